//! CLIP's text tower: causal transformer, read at the end token. B texts, L length, D width, E joint embedding.

use super::block::Block;
use super::sizes::TextSizes;
use super::tokenizer::{LongTexts, Tokenizer};
use crate::layers::{Init, LayerNorm};
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use maclip_framework::error::{Error, Result};
use maclip_framework::slots::adapter::Adapter;
use maclip_framework::slots::backbone::{AdaptableText, TextPrefix};
use maclip_framework::slots::block::FrozenBlock;
use maclip_framework::slots::cost::Cost;
use maclip_kernels::operations;

/// The text tower.
#[derive(Module, Debug)]
pub struct TextTower {
    /// `[V, D]`
    token_embedding: Param<Tensor<2>>,
    /// `[L, D]`
    positional_embedding: Param<Tensor<2>>,
    resblocks: Vec<Block>,
    ln_final: LayerNorm,
    /// `[D, E]`
    text_projection: Param<Tensor<2>>,
    #[module(skip)]
    tokenizer: Tokenizer,
    #[module(skip)]
    long_texts: LongTexts,
}

impl TextTower {
    /// A tower with initial weights from `init`; the tokenizer decides the number of token embeddings.
    pub fn new(sizes: TextSizes, tokenizer: Tokenizer, init: &mut Init) -> Self {
        let d = sizes.blocks.width;
        Self {
            token_embedding: init.normal([tokenizer.size(), d], 0.02),
            positional_embedding: init.normal([sizes.context_length, d], 0.01),
            resblocks: Block::stack(sizes.blocks, init),
            ln_final: init.layer_norm_with(d, sizes.blocks.epsilon),
            text_projection: init.normal([d, sizes.embed_dim], (d as f64).powf(-0.5)),
            tokenizer,
            long_texts: LongTexts::Refuse,
        }
    }

    /// The same with another rule for texts that are too long. A new tower refuses them.
    pub fn with_long_texts(mut self, long_texts: LongTexts) -> Self {
        self.long_texts = long_texts;
        self
    }

    /// Sentences → `[B, E]`, not normalised.
    ///
    /// # Errors
    /// Where a text is too long and [`LongTexts::Refuse`] holds, or the tokenizer is [`Tokenizer::Unknown`].
    pub fn encode(&self, texts: &[String]) -> Result<Tensor<2>> {
        let (ids, ends) = self.ids(texts)?;
        Ok(self.forward(ids, &ends))
    }

    /// Token ids `[B, L]` of sentences, and the position of each one's end token.
    fn ids(&self, texts: &[String]) -> Result<(Tensor<2, Int>, Vec<usize>)> {
        let encoded: Vec<Vec<i32>> = texts.iter().map(|text| self.tokens(text)).collect::<Result<_>>()?;
        // No longer than the longest text: padding after the end token is never attended to.
        let length = encoded.iter().map(Vec::len).max().unwrap_or(1);
        let ends: Vec<usize> = encoded.iter().map(|ids| ids.len() - 1).collect();
        let mut ids = vec![0; texts.len() * length];
        for (row, encoded) in ids.chunks_exact_mut(length).zip(&encoded) {
            row[..encoded.len()].copy_from_slice(encoded);
        }
        let device = crate::layers::plain_device(&self.token_embedding.val());
        let ids = Tensor::from_data(TensorData::new(ids, [texts.len(), length]), &device);
        Ok((ids, ends))
    }

    /// Token ids of a sentence, start and end included.
    ///
    /// # Errors
    /// As [`TextTower::encode`].
    pub fn tokens(&self, text: &str) -> Result<Vec<i32>> {
        let [context_length, _] = self.positional_embedding.lazy_shape().dims();
        self.tokenizer.encode(text, context_length, self.long_texts)
    }

    /// ids `[B, L]`, position of each text's end token → `[B, E]`.
    pub fn forward(&self, ids: Tensor<2, Int>, ends: &[usize]) -> Tensor<2> {
        let mask = causal_mask(&ids);
        let mut x = self.embed(ids);
        for block in &self.resblocks {
            x = block.forward_masked(x, mask.clone());
        }
        self.head(x, ends)
    }

    /// What `texts` texts of the greatest length cost.
    pub fn cost(&self, texts: usize) -> Option<Cost> {
        let [l, d] = self.positional_embedding.lazy_shape().dims();
        let [_, e] = self.text_projection.lazy_shape().dims();
        let blocks: Option<Cost> = self.resblocks.iter().map(|block| FrozenBlock::cost(block, [texts, l, d])).sum();
        Some(blocks? + Cost::norm(texts * d) + Cost::product(texts, d, e))
    }

    /// Token and position embeddings of ids `[B, L]`: `[B, L, D]`.
    pub fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [b, l] = ids.dims();
        let embedding = self.token_embedding.val();
        let d = embedding.dims()[1];
        let tokens = embedding.select(0, ids.reshape([b * l])).reshape([b, l, d]);
        tokens + self.positional_embedding.val().narrow(0, 0, l).unsqueeze()
    }

    /// The transformer blocks, from the first to the last.
    pub fn blocks(&self) -> &[Block] {
        &self.resblocks
    }

    /// The end tokens of `[B, L, D]` → ln_final → projection, `[B, E]`.
    fn head(&self, x: Tensor<3>, ends: &[usize]) -> Tensor<2> {
        let [b, l, d] = x.dims();
        let rows: Vec<i32> = ends.iter().enumerate().map(|(row, end)| (row * l + end) as i32).collect();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [b]), &crate::layers::plain_device(&x));
        let ends = x.reshape([b * l, d]).select(0, rows);
        operations::linear(self.ln_final.forward(ends), self.text_projection.val(), None, None)
    }
}

impl TextTower {
    /// Token ids of C classes `[C P, L]`, with the end token of each, through the blocks below the first one that
    /// `adapter` adapts.
    pub fn prefix_of(
        &self,
        ids: Tensor<2, Int>,
        ends: Vec<usize>,
        classes: usize,
        adapter: &dyn Adapter,
    ) -> TextPrefix {
        let mask = causal_mask(&ids);
        let frozen = self.resblocks.iter().enumerate().take_while(|(index, _)| !adapter.adapts_text(*index));
        let x = frozen.fold(self.embed(ids), |x, (_, block)| block.forward_masked(x, mask.clone()));
        let [b, l, d] = x.dims();
        TextPrefix { tokens: x.reshape([classes, b / classes, l, d]), ends }
    }
}

impl AdaptableText for TextTower {
    fn text_prefix(&self, classes: &[Vec<String>], adapter: &dyn Adapter) -> Result<TextPrefix> {
        let sentences = classes.first().map_or(0, Vec::len);
        if let Some(other) = classes.iter().find(|other| other.len() != sentences) {
            return Err(Error::failed(format!(
                "the adapter changes the text tower for all sentences of a class together, and one class has {sentences} of them \
                 and another one {}",
                other.len()
            ))
            .help("choose a `prompt` that writes the same number of sentences for every class"));
        }
        let (ids, ends) = self.ids(&classes.concat())?;
        Ok(self.prefix_of(ids, ends, classes.len(), adapter))
    }

    fn encode_prefix(&self, prefix: &TextPrefix, adapter: &dyn Adapter) -> Tensor<3> {
        let [c, p, l, d] = prefix.tokens.dims();
        let mask = mask(l, &crate::layers::plain_device(&prefix.tokens));
        let rest = self.resblocks.iter().enumerate().skip_while(|(index, _)| !adapter.adapts_text(*index));
        let x = rest.fold(prefix.tokens.clone(), |x, (index, block)| match adapter.adapts_text(index) {
            true => adapter.forward_text(index, block, x, &mask),
            false => block.forward_masked(x.reshape([c * p, l, d]), mask.clone()).reshape([c, p, l, d]),
        });
        let features = self.head(x.reshape([c * p, l, d]), &prefix.ends);
        let e = features.dims()[1];
        features.reshape([c, p, e])
    }
}

/// `[L, L]` for ids `[B, L]`, added to the attention scores: no token sees a later one, so padding after the end token
/// is never seen.
pub fn causal_mask(ids: &Tensor<2, Int>) -> Tensor<2> {
    mask(ids.dims()[1], &ids.device())
}

fn mask(l: usize, device: &Device) -> Tensor<2> {
    // Finite, so that no row of scores can become not-a-number.
    let mask: Vec<f32> = (0..l * l).map(|p| if p % l > p / l { -1e9 } else { 0.0 }).collect();
    Tensor::from_data(TensorData::new(mask, [l, l]), device)
}

//! CLIP's text tower: causal transformer, read at the end token. B texts, L length, D width, E joint embedding.

use super::block::Block;
use super::sizes::TextSizes;
use super::tokenizer::{LongTexts, Tokenizer};
use crate::layers::{Init, LayerNorm};
use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};
use maclip_framework::error::Result;
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
        Ok(self.forward(ids, &ends))
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
            x = block.forward(x, Some(mask.clone()));
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

/// `[L, L]` for ids `[B, L]`, added to the attention scores: no token sees a later one, so padding after the end token
/// is never seen.
pub fn causal_mask(ids: &Tensor<2, Int>) -> Tensor<2> {
    let [_, l] = ids.dims();
    // Finite, so that no row of scores can become not-a-number.
    let mask: Vec<f32> = (0..l * l).map(|p| if p % l > p / l { -1e9 } else { 0.0 }).collect();
    Tensor::from_data(TensorData::new(mask, [l, l]), &ids.device())
}

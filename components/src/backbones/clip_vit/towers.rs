//! The two transformers of CLIP. B images or texts, N patches, D width, E joint embedding, L text length.

use super::Architecture;
use crate::layers::{Attention, Init, quick_gelu};
use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Int, Tensor, TensorData};
use maclip_framework::slots::backbone::FrozenBlock;

/// Pre-norm transformer block with QuickGELU.
#[derive(Module, Debug)]
pub struct Block {
    ln_1: LayerNorm,
    attn: Attention,
    ln_2: LayerNorm,
    c_fc: Linear,
    c_proj: Linear,
}

impl Block {
    /// Initial standard deviations of OpenAI's code: D^-½ for attention, narrower for what feeds the residual.
    fn new(width: usize, heads: usize, layers: usize, init: &mut Init) -> Self {
        let std = (width as f64).powf(-0.5);
        let residual = std * (2.0 * layers as f64).powf(-0.5);
        Self {
            ln_1: init.layer_norm(width),
            attn: Attention::new(width, heads, std, init),
            ln_2: init.layer_norm(width),
            c_fc: init.linear_normal(width, 4 * width, (2.0 * width as f64).powf(-0.5)),
            c_proj: init.linear_normal(4 * width, width, residual),
        }
    }

    /// The block as trained: x `[b, n, D]`, mask `[n, n]` added to the scores.
    fn masked(&self, x: Tensor<3>, mask: Option<Tensor<2>>) -> Tensor<3> {
        let y = x.clone() + self.attn.forward(self.ln_1.forward(x), mask);
        y.clone() + self.mlp(self.ln_2.forward(y))
    }

    pub fn plain(&self, x: Tensor<3>) -> Tensor<3> {
        self.masked(x, None)
    }
}

impl FrozenBlock for Block {
    fn ln_1(&self, x: Tensor<3>) -> Tensor<3> {
        self.ln_1.forward(x)
    }

    fn attention(&self, x: Tensor<3>) -> Tensor<3> {
        self.attn.forward(x, None)
    }

    fn ln_2(&self, x: Tensor<3>) -> Tensor<3> {
        self.ln_2.forward(x)
    }

    fn mlp(&self, x: Tensor<3>) -> Tensor<3> {
        self.c_proj.forward(quick_gelu(self.c_fc.forward(x)))
    }
}

#[derive(Module, Debug)]
pub struct VisionTower {
    /// Patch embedding as a matrix `[3 P P, D]`: the transpose of the convolution's flattened weight.
    patch: Param<Tensor<2>>,
    class_embedding: Param<Tensor<1>>,
    /// `[N + 1, D]`
    positional_embedding: Param<Tensor<2>>,
    ln_pre: LayerNorm,
    resblocks: Vec<Block>,
    ln_post: LayerNorm,
    /// `[D, E]`
    proj: Param<Tensor<2>>,
    patch_size: usize,
}

impl VisionTower {
    pub fn new(a: &Architecture, init: &mut Init) -> Self {
        let (d, p) = (a.vision_width, a.patch_size);
        let grid = a.image_size / p;
        let std = (d as f64).powf(-0.5);
        Self {
            patch: init.normal([3 * p * p, d], ((3 * p * p) as f64).powf(-0.5)),
            class_embedding: init.normal([d], std),
            positional_embedding: init.normal([grid * grid + 1, d], std),
            ln_pre: init.layer_norm(d),
            resblocks: (0..a.vision_layers).map(|_| Block::new(d, a.vision_heads, a.vision_layers, init)).collect(),
            ln_post: init.layer_norm(d),
            proj: init.normal([d, a.embed_dim], std),
            patch_size: p,
        }
    }

    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.resblocks.iter()
    }

    /// Images `[B, 3, H, W]` → tokens after ln_pre `[B, 1 + N, D]`, patches in row-major order.
    pub fn embed(&self, images: Tensor<4>) -> Tensor<3> {
        let [b, c, h, w] = images.dims();
        let p = self.patch_size;
        let (rows, columns) = (h / p, w / p);
        // A convolution whose stride is its size is a matrix product over cut-out patches.
        let patches = images.reshape([b, c, rows, p, columns, p]).permute([0, 2, 4, 1, 3, 5]).reshape([
            b,
            rows * columns,
            c * p * p,
        ]);
        let d = self.class_embedding.val().dims()[0];
        let x = patches.matmul(self.patch.val().unsqueeze());
        let class = self.class_embedding.val().reshape([1, 1, d]).expand([b, 1, d]);
        let x = Tensor::cat(vec![class, x], 1) + self.positional_embedding.val().unsqueeze();
        self.ln_pre.forward(x)
    }

    /// Class tokens `[B, D]` → ln_post → projection `[B, E]`.
    pub fn head(&self, class: Tensor<2>) -> Tensor<2> {
        self.ln_post.forward(class).matmul(self.proj.val())
    }
}

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
}

impl TextTower {
    pub fn new(a: &Architecture, vocabulary: usize, init: &mut Init) -> Self {
        let d = a.text_width;
        Self {
            token_embedding: init.normal([vocabulary, d], 0.02),
            positional_embedding: init.normal([a.context_length, d], 0.01),
            resblocks: (0..a.text_layers).map(|_| Block::new(d, a.text_heads, a.text_layers, init)).collect(),
            ln_final: init.layer_norm(d),
            text_projection: init.normal([d, a.embed_dim], (d as f64).powf(-0.5)),
        }
    }

    /// ids `[B, L]`, position of each text's end token → `[B, E]`. Attention is causal, so padding is never seen.
    pub fn forward(&self, ids: Tensor<2, Int>, ends: &[usize]) -> Tensor<2> {
        let [b, l] = ids.dims();
        let device = ids.device();
        let embedding = self.token_embedding.val();
        let d = embedding.dims()[1];
        let tokens = embedding.select(0, ids.reshape([b * l])).reshape([b, l, d]);
        let mut x = tokens + self.positional_embedding.val().narrow(0, 0, l).unsqueeze();
        // Finite, so that no row of scores can become not-a-number.
        let mask: Vec<f32> = (0..l * l).map(|p| if p % l > p / l { -1e9 } else { 0.0 }).collect();
        let mask = Tensor::<2>::from_data(TensorData::new(mask, [l, l]), &device);
        for block in &self.resblocks {
            x = block.masked(x, Some(mask.clone()));
        }
        let rows: Vec<i32> = ends.iter().enumerate().map(|(row, end)| (row * l + end) as i32).collect();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [b]), &device);
        let ends = x.reshape([b * l, d]).select(0, rows);
        self.ln_final.forward(ends).matmul(self.text_projection.val())
    }
}

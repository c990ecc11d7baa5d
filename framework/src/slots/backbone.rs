//! Slot `backbone`: frames → features, and class texts → features where it has a text tower.

use super::adapter::{Adapter, Branch, TowerPart};
use crate::clone_boxed;
use crate::error::{Error, Result};
use crate::images::{CLIP_MEAN, CLIP_STD};
use crate::slots::cost::Cost;
use crate::slots::module::DynModule;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Number format of the frozen tower's matrix products. Trainable parts, norms and everything after the tower are f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision everywhere.
    #[default]
    F32,
    /// Half the memory of the frozen weights, and faster where the device has units for it.
    Bf16,
}

/// The sizes that other components build themselves by.
#[derive(Clone, Debug, PartialEq)]
pub struct Geometry {
    /// Side of the square input image in pixels.
    pub image_size: usize,
    /// Width D of the blocks' tokens.
    pub width: usize,
    /// Width E of the joint embedding.
    pub embed_dim: usize,
    /// Number of blocks: transformer blocks, or stages of a ResNet.
    pub blocks: usize,
    /// Whether the blocks are transformer blocks, which adapters can go around.
    pub transformer: bool,
    /// Tokens of one frame, class token included: N + 1.
    pub tokens: usize,
    pub has_text_tower: bool,
    /// Normalisation of pixels in 0..1: (x − mean) / std.
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

impl Geometry {
    /// CLIP's ViT-B/16, on which the field and MA-CLIP's paper (table 4) count parameters.
    pub fn clip_vit_b16() -> Self {
        Self {
            image_size: 224,
            width: 768,
            embed_dim: 512,
            blocks: 12,
            transformer: true,
            tokens: 197,
            has_text_tower: true,
            mean: CLIP_MEAN,
            std: CLIP_STD,
        }
    }
}

/// The frozen parts of one pre-norm transformer block, as adapters see them. All take `[b, n, D]` for any n.
pub trait FrozenBlock {
    fn ln_1(&self, x: Tensor<3>) -> Tensor<3>;
    /// Multi-head self-attention with its output projection.
    fn attention(&self, x: Tensor<3>) -> Tensor<3>;
    /// The same with `shift` `[b, n, 3 D]` added to the packed queries, keys and values, in this order.
    fn attention_shifted(&self, x: Tensor<3>, shift: Tensor<3>) -> Tensor<3>;
    fn ln_2(&self, x: Tensor<3>) -> Tensor<3>;
    fn mlp(&self, x: Tensor<3>) -> Tensor<3>;

    /// The block as it was trained: y = x + MSA(LN1 x), y + MLP(LN2 y).
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let y = x.clone() + self.attention(self.ln_1(x));
        y.clone() + self.mlp(self.ln_2(y))
    }

    /// What [`FrozenBlock::attention`] costs for x of this shape; `None` where nobody counted.
    fn attention_cost(&self, _x: [usize; 3]) -> Option<Cost> {
        None
    }

    /// What [`FrozenBlock::mlp`] costs for x of this shape.
    fn mlp_cost(&self, _x: [usize; 3]) -> Option<Cost> {
        None
    }

    /// What [`FrozenBlock::forward`] costs: attention, feed-forward layer and the norm before each.
    fn cost(&self, x: [usize; 3]) -> Option<Cost> {
        let norms = Cost::norm(x.iter().product()) * 2.0;
        Some(self.attention_cost(x)? + self.mlp_cost(x)? + norms)
    }
}

/// An image encoder with transformer blocks, and maybe a text encoder.
pub trait Backbone: DynModule + CloneBackbone {
    fn geometry(&self) -> &Geometry;

    /// Normalised pixels `[B, T, 3, H, W]` → what the frozen part of the tower makes of them, `[B, T, F]`: see [`Depth`](super::adapter::Depth). A
    /// function of each clip alone.
    fn prefix(&self, pixels: Tensor<5>, adapter: &dyn Adapter) -> Tensor<3>;

    /// [`Backbone::prefix`] → frame features `[B, T, E]`, not normalised.
    fn encode(&self, prefix: Tensor<3>, adapter: &dyn Adapter, branch: &Branch) -> Tensor<3>;

    /// Normalised pixels `[B, T, 3, H, W]` → frame features `[B, T, E]`, not normalised.
    fn encode_clips(&self, pixels: Tensor<5>, adapter: &dyn Adapter, branch: &Branch) -> Tensor<3> {
        self.encode(self.prefix(pixels, adapter), adapter, branch)
    }

    /// What [`Backbone::prefix`] costs for `[B, T]` frames; `None` where nobody counted.
    fn prefix_cost(&self, _clips: [usize; 2], _adapter: &dyn Adapter) -> Option<Cost> {
        None
    }

    /// What [`Backbone::encode`] costs for `[B, T]` frames.
    fn encode_cost(&self, _clips: [usize; 2], _adapter: &dyn Adapter, _branch: &Branch) -> Option<Cost> {
        None
    }

    /// What [`Backbone::encode_texts`] costs for so many texts of the greatest length; shorter ones cost less.
    fn texts_cost(&self, _texts: usize) -> Option<Cost> {
        None
    }

    /// Raised whenever the values of [`Backbone::prefix`] change for the same weights, so that kept ones are made again.
    fn code_version(&self) -> u32 {
        1
    }

    /// Brings the frozen matrix products of the towers to `precision`. Called once, after [`Backbone::tune`].
    fn lower(&mut self, precision: Precision) -> Result<()> {
        match precision {
            Precision::F32 => Ok(()),
            Precision::Bf16 => Err(Error::failed("this backbone computes in f32 only").help("set `precision: f32`")),
        }
    }

    /// Makes the parts of the image tower that `tunes` names trainable.
    fn tune(&mut self, tunes: &dyn Fn(TowerPart) -> bool);

    /// Sentences → features `[C, E]`, not normalised. An error where there is no text tower or a text does not fit.
    fn encode_texts(&self, texts: &[String]) -> Result<Tensor<2>>;

    /// ln of the factor on image-text cosines, `[1]`, where the backbone learns one.
    fn logit_scale(&self) -> Option<Tensor<1>>;

    /// Writes the weights in the backbone's own format, for `task: contrastive`.
    fn export(&self, path: &std::path::Path, about: &std::collections::BTreeMap<String, String>) -> Result<()>;
}

clone_boxed!(Backbone, CloneBackbone);

//! `unimodal_transformer`: self-attention over the frames alone, the same for support and query.
//!
//! Source: the row "Unimodal Transformer" of MA-CLIP's table 6, as a layer of TPCM's size.

use super::transformer::{Layer, LayerSizes, Norm};
use crate::layers::Init;
use burn::module::Module;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{Component, Problems};
use maclip_framework::run::BuildContext;
use maclip_framework::slots::Scope;
use maclip_framework::slots::prototype::Prototype;
use serde::{Deserialize, Serialize};

/// Options of the unimodal transformer.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct UnimodalTransformerConfig {
    /// Attention heads; must divide E.
    heads: usize,
    /// Width of the feed-forward layer in units of E.
    ffn_ratio: usize,
    /// `none`, as in TPCM, `post` or `pre`.
    norm: Norm,
}

impl Default for UnimodalTransformerConfig {
    fn default() -> Self {
        Self { heads: 8, ffn_ratio: 4, norm: Norm::None }
    }
}

register!(dyn Prototype, UnimodalTransformerConfig, name: "unimodal_transformer",
    summary: "self-attention over frames; no text", paper: Some("MA-CLIP, arXiv 2308.01532, table 6"),
    stability: Stable, example: "{heads: 8}");

impl Component for UnimodalTransformerConfig {
    type Slot = dyn Prototype;

    fn check(&self, problems: &mut Problems) {
        problems.when(self.heads == 0, "heads", "must be at least 1");
        problems.when(self.ffn_ratio == 0, "ffn_ratio", "must be at least 1");
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Prototype>> {
        let e = context.geometry()?.embed_dim;
        let mut init = Init::new(context.init("prototype"), context.trainable_device());
        let Self { heads, ffn_ratio, norm } = self;
        let sizes = LayerSizes { width: e, heads, hidden: e * ffn_ratio, norm, projection_bias: true };
        Ok(Box::new(UnimodalTransformer { layer: Layer::new(sizes, &mut init)? }))
    }
}

#[derive(Module, Debug)]
struct UnimodalTransformer {
    layer: Layer,
}

impl Prototype for UnimodalTransformer {
    fn scope(&self) -> Scope {
        Scope::Clip
    }

    fn needs_text(&self) -> bool {
        false
    }

    fn support(&self, frames: Tensor<3>, _: Tensor<2>) -> Tensor<3> {
        self.query(frames)
    }

    fn query(&self, frames: Tensor<3>) -> Tensor<3> {
        self.layer.forward(frames.clone(), frames)
    }
}

//! `multimodal_transformer`: self-attention over the frames and their class text; the frames are kept.
//!
//! Source: the row "Multimodal Transformer" of MA-CLIP's table 6. The paper does not draw it; this is a layer of TPCM's size whose
//! support tokens are [f_T, F_S]. Queries go through the same layer without text.

use super::transformer::{Layer, LayerOptions};
use burn::module::Module;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::Scope;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::prototype::Prototype;
use serde::{Deserialize, Serialize};

/// Options of the multimodal transformer.
#[derive(Clone, Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
struct MultimodalTransformerConfig(LayerOptions);

register!(dyn Prototype, MultimodalTransformerConfig, name: "multimodal_transformer",
    summary: "self-attention over frames and class text", paper: Some("MA-CLIP, arXiv 2308.01532, table 6"),
    stability: Stable, usage: "{heads: 8}");

impl Component for MultimodalTransformerConfig {
    type Slot = dyn Prototype;

    fn describe(&self, facts: &mut Facts) {
        facts.readers.push("prototype");
    }

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        self.0.fit(facts, problems);
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Prototype>> {
        Ok(Box::new(MultimodalTransformer { layer: self.0.build(context)? }))
    }
}

#[derive(Module, Debug)]
struct MultimodalTransformer {
    layer: Layer,
}

impl Prototype for MultimodalTransformer {
    fn scope(&self) -> Scope {
        Scope::LabelledClip
    }

    fn needs_text(&self) -> bool {
        true
    }

    fn support(&self, frames: Tensor<3>, text: Tensor<2>) -> Tensor<3> {
        // The text's own row is dropped, so it need not be a query.
        self.layer.forward(frames.clone(), Tensor::cat(vec![text.unsqueeze_dim(1), frames], 1))
    }

    fn query(&self, frames: Tensor<3>) -> Tensor<3> {
        self.layer.forward(frames.clone(), frames)
    }

    fn support_cost(&self, frames: [usize; 3]) -> Option<Cost> {
        Some(self.layer.cost(frames, frames[1] + 1))
    }

    fn query_cost(&self, frames: [usize; 3]) -> Option<Cost> {
        Some(self.layer.cost(frames, frames[1]))
    }
}

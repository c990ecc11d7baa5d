//! `unimodal_transformer`: self-attention over the frames alone, the same for support and query.
//!
//! Source: the row "Unimodal Transformer" of MA-CLIP's table 6, as a layer of TPCM's size.

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

/// Options of the unimodal transformer.
#[derive(Clone, Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
struct UnimodalTransformerConfig(LayerOptions);

register!(dyn Prototype, UnimodalTransformerConfig, name: "unimodal_transformer",
    summary: "self-attention over frames; no text", paper: Some("MA-CLIP, arXiv 2308.01532, table 6"),
    stability: Stable, usage: "{heads: 8}");

impl Component for UnimodalTransformerConfig {
    type Slot = dyn Prototype;

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        self.0.compatible(facts, problems);
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Prototype>> {
        Ok(Box::new(UnimodalTransformer { layer: self.0.build(context)? }))
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

    fn support_cost(&self, frames: [usize; 3]) -> Option<Cost> {
        self.query_cost(frames)
    }

    fn query_cost(&self, frames: [usize; 3]) -> Option<Cost> {
        Some(self.layer.cost(frames, frames[1]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::checks;
    use super::*;
    use crate::conformance::{self, prototype::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::prototype::holds::<UnimodalTransformerConfig>(Traits {
            also: &["norm: pre"],
            ..Traits::default()
        });
    }

    #[test]
    fn parameters_are_those_of_the_paper() {
        // TPCM's size at E = 512: an attention of 1,050,624 and a feed-forward layer of 2,099,712 (MA-CLIP, table 4:
        // 3.15 M).
        assert_eq!(checks::parameters::<UnimodalTransformerConfig>(), 3_150_336);
    }

    #[test]
    fn flops_are_the_hand_computed_ones() {
        // Four frames.
        let want = (checks::layer_flops(4.0, 4.0), checks::layer_flops(4.0, 4.0));
        assert_eq!(checks::flops::<UnimodalTransformerConfig>(""), want);
    }
}

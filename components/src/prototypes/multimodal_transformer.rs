//! `multimodal_transformer`: self-attention over the frames and their class text; the frames are kept.
//!
//! Source: the row "Multimodal Transformer" of MA-CLIP's table 6. The paper does not draw it; this is a layer of TPCM's
//! size whose support tokens are [f_T, F_S]. Queries go through the same layer without text.

use super::text_layer::{AverageShots, TextLayer};
use super::transformer::{Layer, LayerOptions};
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
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
        self.0.compatible(facts, problems);
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Prototype>> {
        Ok(Box::new(TextLayer::new(self.0.build(context)?, attend, AverageShots::After)))
    }
}

/// Tokens [f_T, F_S]. The text's own row of the result is not used, so the text need not be a query.
fn attend(layer: &Layer, frames: Tensor<3>, text: Tensor<2>) -> Tensor<3> {
    layer.forward(frames.clone(), Tensor::cat(vec![text.unsqueeze_dim(1), frames], 1))
}

#[cfg(test)]
mod tests {
    use super::super::checks;
    use super::*;
    use crate::conformance::{self, prototype::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::prototype::holds::<MultimodalTransformerConfig>(Traits::default());
    }

    #[test]
    fn parameters_are_those_of_the_paper() {
        // TPCM's size at E = 512: an attention of 1,050,624 and a feed-forward layer of 2,099,712 (MA-CLIP, table 4:
        // 3.15 M).
        assert_eq!(checks::parameters::<MultimodalTransformerConfig>(), 3_150_336);
    }

    #[test]
    fn flops_are_the_hand_computed_ones() {
        // Four frames, in the support with the text.
        let want = (checks::layer_flops(4.0, 5.0), checks::layer_flops(4.0, 4.0));
        assert_eq!(checks::flops::<MultimodalTransformerConfig>(""), want);
    }
}

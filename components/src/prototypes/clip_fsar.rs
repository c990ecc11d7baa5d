//! `clip_fsar`: CLIP-FSAR's prototype modulation, a pre-norm transformer layer over frames and class text.
//!
//! Source: CLIP-FSAR (Wang et al., IJCV 2023) and its public code (`CNN_OTAM_CLIPFSAR`, module `context2`): 8 heads,
//! queries, keys and values without bias, feed-forward layer of 2048 with GELU and no norm of its own. Support: tokens
//! [F_S, f_T], the frames are kept; query: frames alone. Dropout is 0.2 on the attention's output, and 0.05 inside and
//! after the feed-forward layer.

use super::text_layer::{AverageShots, TextLayer};
use super::transformer::{Layer, LayerSizes, Norm, check_heads};
use crate::layers::Init;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::prototype::Prototype;
use serde::{Deserialize, Serialize};

/// Options of CLIP-FSAR's prototype modulation.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ClipFsarConfig {
    /// Attention heads; must divide E.
    #[schemars(range(min = 1))]
    heads: usize,
    /// Width of the feed-forward layer: 2048 in public code, whatever E; `null` is 4 E.
    #[schemars(range(min = 1, max = 65536))]
    hidden: Option<usize>,
    /// Whether several shots of a class are averaged `after` this module (by the alignment's own rule) or `before` it.
    /// Public code's 5-shot configurations average before (`MERGE_BEFORE`).
    average_shots: AverageShots,
    /// Dropout of the attention's output. 0.2 in public code.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    dropout: f64,
    /// Dropout inside and after the feed-forward layer. 0.05 in public code.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    ffn_dropout: f64,
}

impl Default for ClipFsarConfig {
    fn default() -> Self {
        Self { heads: 8, hidden: Some(2048), average_shots: AverageShots::After, dropout: 0.2, ffn_dropout: 0.05 }
    }
}

register!(dyn Prototype, ClipFsarConfig, name: "clip_fsar",
    summary: "pre-norm transformer over frames and class text", paper: Some("CLIP-FSAR, IJCV 2023"), stability: Stable,
    usage: "{heads: 8}");

impl Component for ClipFsarConfig {
    type Slot = dyn Prototype;

    fn describe(&self, facts: &mut Facts) {
        facts.readers.push("prototype");
    }

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        check_heads(self.heads, facts, problems);
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Prototype>> {
        let e = context.geometry()?.embed_dim;
        let mut init = Init::new(context.init("prototype"), context.trainable_device());
        let hidden = self.hidden.unwrap_or(4 * e);
        let dropout = [self.dropout, self.ffn_dropout];
        let sizes =
            LayerSizes { width: e, heads: self.heads, hidden, norm: Norm::Pre, projection_bias: false, dropout };
        Ok(Box::new(TextLayer::new(Layer::new(sizes, &mut init), modulate, self.average_shots)))
    }
}

/// Tokens [F_S, f_T]. The text's own row of the result is not used, so the text need not be a query.
fn modulate(layer: &Layer, frames: Tensor<3>, text: Tensor<2>) -> Tensor<3> {
    layer.forward(frames.clone(), Tensor::cat(vec![frames, text.unsqueeze_dim(1)], 1))
}

#[cfg(test)]
mod tests {
    use super::super::checks;
    use super::*;
    use crate::conformance::{self, prototype::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::prototype::holds::<ClipFsarConfig>(Traits {
            also: &["average_shots: before"],
            ..Traits::default()
        });
    }

    #[test]
    fn parameters_are_those_of_public_code() {
        // TPCM's 3,150,336, without biases of queries, keys and values, and with one norm.
        assert_eq!(checks::parameters::<ClipFsarConfig>(), 3_150_336 - 3 * 512 + 2 * 512);
    }

    #[test]
    fn flops_are_the_hand_computed_ones() {
        // Four frames, in the support with the text.
        let want = (checks::layer_flops(4.0, 5.0), checks::layer_flops(4.0, 4.0));
        assert_eq!(checks::flops::<ClipFsarConfig>("hidden: null"), want);
    }

    #[test]
    fn equal_shots_are_averaged_first_or_last() {
        checks::equal_shots_are_averaged_first_or_last::<ClipFsarConfig>();
    }
}

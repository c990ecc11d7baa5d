//! `text_guided`: MA-CLIP's text-guided prototype construction module (TPCM).
//!
//! Source: MA-CLIP (arXiv 2308.01532), figure 4. Support: q = F_S + Repeat(f_T), k = v = [f_T, F_S]; query: q = k = v =
//! F_Q.
//!
//! ```text
//! u = q + MHA(q, k, v)          the residual is taken from q, after the sum
//! F~ = u + FFN(u)
//! ```
//! One module for both branches: MHA and FFN of 4 E give the paper's 3,150,336 parameters at E = 512.

use super::text_layer::{AverageShots, TextLayer};
use super::transformer::{Layer, LayerSizes, Norm, check_heads};
use crate::layers::Init;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::explanation::normalize;
use maclip_framework::slots::prototype::Prototype;
use serde::{Deserialize, Serialize};

/// Options of TPCM.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct TextGuidedConfig {
    /// Attention heads; must divide E. The paper does not say; 8 is the peers' choice.
    #[schemars(range(min = 1))]
    heads: usize,
    /// Width of the feed-forward layer in units of E. 4 is what the paper's parameter count says.
    #[schemars(range(min = 1, max = 64))]
    ffn_ratio: usize,
    /// `none`, as the figure draws it, or `post`: LayerNorm after each residual sum.
    norm: Norm,
    /// L2-normalise the text feature first.
    normalize_text: bool,
    /// Whether several shots of a class are averaged `after` this module (by the alignment's own rule) or `before` it.
    /// The paper does not say; CLIP-FSAR averages after in training and before in its 5-shot configuration.
    average_shots: AverageShots,
    /// Dropout of the attention's output, and of the feed-forward layer inside and after it. The paper names none.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    dropout: f64,
}

impl Default for TextGuidedConfig {
    fn default() -> Self {
        Self {
            heads: 8,
            ffn_ratio: 4,
            norm: Norm::None,
            normalize_text: false,
            average_shots: AverageShots::After,
            dropout: 0.0,
        }
    }
}

register!(dyn Prototype, TextGuidedConfig, name: "text_guided",
    summary: "cross-attention of frames with their class text, shared by support and query (TPCM)",
    paper: Some("MA-CLIP, arXiv 2308.01532, figure 4"), stability: Stable, usage: "{heads: 8}");

impl Component for TextGuidedConfig {
    type Slot = dyn Prototype;

    fn validate(&self, problems: &mut Problems) {
        problems.when(self.norm == Norm::Pre, "norm", "must be none or post");
    }

    fn describe(&self, facts: &mut Facts) {
        facts.readers.push("prototype");
    }

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        check_heads(self.heads, facts, problems);
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Prototype>> {
        let e = context.geometry()?.embed_dim;
        let mut init = Init::new(context.init("prototype"), context.trainable_device());
        let sizes = LayerSizes {
            width: e,
            heads: self.heads,
            hidden: e * self.ffn_ratio,
            norm: self.norm,
            projection_bias: true,
            dropout: [self.dropout; 2],
        };
        let rewrite = if self.normalize_text { guide_by_direction } else { guide };
        Ok(Box::new(TextLayer::new(Layer::new(sizes, &mut init), rewrite, self.average_shots)))
    }
}

/// q = F_S + f_T at every frame, k = v = [f_T, F_S].
fn guide(layer: &Layer, frames: Tensor<3>, text: Tensor<2>) -> Tensor<3> {
    let text: Tensor<3> = text.unsqueeze_dim(1);
    layer.forward(frames.clone() + text.clone(), Tensor::cat(vec![text, frames], 1))
}

/// The same with a text of length 1.
fn guide_by_direction(layer: &Layer, frames: Tensor<3>, text: Tensor<2>) -> Tensor<3> {
    guide(layer, frames, normalize(text))
}

#[cfg(test)]
mod tests {
    use super::super::checks;
    use super::*;
    use crate::conformance::{self, prototype::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::prototype::holds::<TextGuidedConfig>(Traits {
            also: &["average_shots: before", "norm: post, normalize_text: true"],
            ..Traits::default()
        });
    }

    #[test]
    fn parameters_are_those_of_the_paper() {
        // TPCM's size at E = 512: an attention of 1,050,624 and a feed-forward layer of 2,099,712 (MA-CLIP, table 4:
        // 3.15 M).
        assert_eq!(checks::parameters::<TextGuidedConfig>(), 3_150_336);
    }

    #[test]
    fn flops_are_the_hand_computed_ones() {
        // Four frames, in the support with the text.
        let want = (checks::layer_flops(4.0, 5.0), checks::layer_flops(4.0, 4.0));
        assert_eq!(checks::flops::<TextGuidedConfig>(""), want);
    }

    #[test]
    fn equal_shots_are_averaged_first_or_last() {
        checks::equal_shots_are_averaged_first_or_last::<TextGuidedConfig>();
    }
}

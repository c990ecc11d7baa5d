//! `text_guided`: MA-CLIP's text-guided prototype construction module (TPCM).
//!
//! Source: MA-CLIP (arXiv 2308.01532), figure 4. Support: q = F_S + Repeat(f_T), k = v = [f_T, F_S]; query: q = k = v = F_Q.
//!
//! ```text
//! u = q + MHA(q, k, v)          the residual is taken from q, after the sum
//! F~ = u + FFN(u)
//! ```
//! One module for both branches: MHA and FFN of 4 E give the paper's 3,150,336 parameters at E = 512.

use super::transformer::{Layer, LayerSizes, Norm, fit_heads};
use crate::layers::Init;
use burn::module::Module;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::Scope;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::explanation::normalize;
use maclip_framework::slots::prototype::{EpisodeFeatures, Prototype, Related};
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
    /// Whether several shots of a class are averaged `after` this module (by the alignment's own rule) or `before` it. The
    /// paper does not say; CLIP-FSAR averages after in training and before in its 5-shot configuration.
    average_shots: AverageShots,
}

/// When the shots of a class are averaged.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AverageShots {
    /// First the average, then the module.
    Before,
    /// First the module, then the alignment's own rule.
    After,
}

impl Default for TextGuidedConfig {
    fn default() -> Self {
        Self { heads: 8, ffn_ratio: 4, norm: Norm::None, normalize_text: false, average_shots: AverageShots::After }
    }
}

register!(dyn Prototype, TextGuidedConfig, name: "text_guided",
    summary: "cross-attention of frames with their class text, shared by support and query (TPCM)",
    paper: Some("MA-CLIP, arXiv 2308.01532, figure 4"), stability: Stable, usage: "{heads: 8}");

impl Component for TextGuidedConfig {
    type Slot = dyn Prototype;

    fn validate(&self, problems: &mut Problems) {
        problems.when(self.norm == Norm::Pre, "norm", "is none or post");
    }

    fn describe(&self, facts: &mut Facts) {
        facts.readers.push("prototype");
    }

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        fit_heads(self.heads, facts, problems);
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
        };
        Ok(Box::new(TextGuided {
            layer: Layer::new(sizes, &mut init),
            normalize_text: self.normalize_text,
            average_shots: self.average_shots,
        }))
    }
}

#[derive(Module, Debug)]
struct TextGuided {
    layer: Layer,
    normalize_text: bool,
    #[module(skip)]
    average_shots: AverageShots,
}

impl TextGuided {
    /// frames `[S, T, E]`, text `[S, E]` → `[S, T, E]`.
    fn guide(&self, frames: Tensor<3>, text: Tensor<2>) -> Tensor<3> {
        let text = if self.normalize_text { normalize(text) } else { text };
        let text: Tensor<3> = text.unsqueeze_dim(1);
        self.layer.forward(frames.clone() + text.clone(), Tensor::cat(vec![text, frames], 1))
    }
}

impl Prototype for TextGuided {
    fn scope(&self) -> Scope {
        match self.average_shots {
            AverageShots::After => Scope::LabelledClip,
            AverageShots::Before => Scope::Episode,
        }
    }

    fn needs_text(&self) -> bool {
        true
    }

    fn support(&self, frames: Tensor<3>, text: Tensor<2>) -> Tensor<3> {
        match self.average_shots {
            AverageShots::After => self.guide(frames, text),
            AverageShots::Before => frames,
        }
    }

    fn query(&self, frames: Tensor<3>) -> Tensor<3> {
        self.layer.forward(frames.clone(), frames)
    }

    fn relate(&self, features: EpisodeFeatures) -> Related {
        let EpisodeFeatures { query, support, text } = features;
        average_then(support, text, query, |frames, text| self.guide(frames, text))
    }

    fn support_cost(&self, frames: [usize; 3]) -> Option<Cost> {
        Some(match self.average_shots {
            AverageShots::After => self.layer.cost(frames, frames[1] + 1),
            AverageShots::Before => Cost::NONE,
        })
    }

    fn query_cost(&self, frames: [usize; 3]) -> Option<Cost> {
        Some(self.layer.cost(frames, frames[1]))
    }

    fn relate_cost(&self, _: [usize; 4], [n, w, _, t, e]: [usize; 5]) -> Option<(Cost, [usize; 6])> {
        Some((self.layer.cost([n * w, t, e], t + 1), [n, 1, w, 1, t, e]))
    }
}

/// Averages the shots of each class, then rewrites the averages `[N W, T, E]` with their texts `[N W, E]`.
pub fn average_then(
    support: Tensor<5>,
    text: Tensor<3>,
    query: Tensor<4>,
    rewrite: impl Fn(Tensor<3>, Tensor<2>) -> Tensor<3>,
) -> Related {
    let [n, w, _, t, e] = support.dims();
    let averages = support.mean_dim(2).reshape([n * w, t, e]);
    let support = rewrite(averages, text.reshape([n * w, e])).reshape([n, 1, w, 1, t, e]);
    Related { query, support }
}

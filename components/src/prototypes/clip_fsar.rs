//! `clip_fsar`: CLIP-FSAR's prototype modulation, a pre-norm transformer layer over frames and class text.
//!
//! Source: CLIP-FSAR (Wang et al., IJCV 2023) and its public code (`CNN_OTAM_CLIPFSAR`, module `context2`): 8 heads, queries, keys
//! and values without bias, feed-forward layer of 2048 with GELU and no norm of its own. Support: tokens [F_S, f_T], the frames are
//! kept; query: frames alone. The public code's dropout of 0.2 is left out: a draw inside the forward pass would not be a function
//! of seed and index.

use super::text_guided::{AverageShots, average_then};
use super::transformer::{Layer, LayerSizes, Norm, fit_heads};
use crate::layers::Init;
use burn::module::Module;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::Scope;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::prototype::{EpisodeFeatures, Prototype, Related};
use serde::{Deserialize, Serialize};

/// Options of CLIP-FSAR's prototype modulation.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ClipFsarConfig {
    /// Attention heads; must divide E.
    #[schemars(range(min = 1))]
    heads: usize,
    /// Width of the feed-forward layer. 2048 in public code; `null` is 4 E, the same at E = 512.
    #[schemars(range(min = 1, max = 65536))]
    hidden: Option<usize>,
    /// `before` is public code's MERGE_BEFORE of its 5-shot configurations.
    average_shots: AverageShots,
}

impl Default for ClipFsarConfig {
    fn default() -> Self {
        Self { heads: 8, hidden: None, average_shots: AverageShots::After }
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
        fit_heads(self.heads, facts, problems);
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Prototype>> {
        let e = context.geometry()?.embed_dim;
        let mut init = Init::new(context.init("prototype"), context.trainable_device());
        let hidden = self.hidden.unwrap_or(4 * e);
        let sizes = LayerSizes { width: e, heads: self.heads, hidden, norm: Norm::Pre, projection_bias: false };
        Ok(Box::new(ClipFsar { layer: Layer::new(sizes, &mut init), average_shots: self.average_shots }))
    }
}

#[derive(Module, Debug)]
struct ClipFsar {
    layer: Layer,
    #[module(skip)]
    average_shots: AverageShots,
}

impl ClipFsar {
    fn modulate(&self, frames: Tensor<3>, text: Tensor<2>) -> Tensor<3> {
        // The text's own row is dropped, so it need not be a query.
        self.layer.forward(frames.clone(), Tensor::cat(vec![frames, text.unsqueeze_dim(1)], 1))
    }
}

impl Prototype for ClipFsar {
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
            AverageShots::After => self.modulate(frames, text),
            AverageShots::Before => frames,
        }
    }

    fn query(&self, frames: Tensor<3>) -> Tensor<3> {
        self.layer.forward(frames.clone(), frames)
    }

    fn relate(&self, features: EpisodeFeatures) -> Related {
        let EpisodeFeatures { query, support, text } = features;
        average_then(support, text, query, |frames, text| self.modulate(frames, text))
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

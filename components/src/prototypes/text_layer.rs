//! A transformer layer that reads the class text in the support branch: what `text_guided`, `clip_fsar` and
//! `multimodal_transformer` share. They differ in how frames and text are put together.

use super::transformer::Layer;
use burn::module::Module;
use burn::tensor::Tensor;
use maclip_framework::slots::Scope;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::prototype::{EpisodeFeatures, Prototype, Related};
use serde::{Deserialize, Serialize};

/// When the shots of a class are averaged.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AverageShots {
    /// First the average, then the module.
    Before,
    /// First the module, then the alignment's own rule.
    After,
}

/// How frames `[S, T, E]` of support clips and their class texts `[S, E]` go through the layer → `[S, T, E]`.
pub type Rewrite = fn(&Layer, Tensor<3>, Tensor<2>) -> Tensor<3>;

/// One layer for both branches. The support branch reads frames and class text, the query branch frames alone.
#[derive(Module, Debug)]
pub struct TextLayer {
    layer: Layer,
    #[module(skip)]
    rewrite: Rewrite,
    #[module(skip)]
    average_shots: AverageShots,
}

impl TextLayer {
    /// The context of the support branch is one token longer than the clip: the text.
    pub fn new(layer: Layer, rewrite: Rewrite, average_shots: AverageShots) -> Self {
        Self { layer, rewrite, average_shots }
    }
}

impl Prototype for TextLayer {
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
            AverageShots::After => (self.rewrite)(&self.layer, frames, text),
            AverageShots::Before => frames,
        }
    }

    fn query(&self, frames: Tensor<3>) -> Tensor<3> {
        self.layer.forward(frames.clone(), frames)
    }

    // Only asked for with the scope of an episode: averages the shots of each class, then rewrites the averages `[N W,
    // T, E]` with their texts `[N W, E]`.
    fn relate(&self, features: EpisodeFeatures) -> Related {
        let EpisodeFeatures { query, support, text } = features;
        let [n, w, _, t, e] = support.dims();
        let averages = support.mean_dim(2).reshape([n * w, t, e]);
        let support = (self.rewrite)(&self.layer, averages, text.reshape([n * w, e])).reshape([n, 1, w, 1, t, e]);
        Related { query, support }
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

//! `clip_spm`: ordered temporal alignment of three views of the frames.
//!
//! Source: CLIP-SPM (hnlxy/CLIP-SPM, models/model_clipspm.py) as its public code computes it. On the parts that the
//! prototype module `clip_spm` adds, each averaged over the shots of a class:
//!
//! ```text
//! distance = s OTAM(guided by text) + OTAM(after the attention among clips) + OTAM(tokens of the classes)
//! ```

use super::frame_costs::{Cosine, ShotRule, distances, distances_cost, explain};
use super::otam::{Direction, otam};
use crate::prototypes::clip_spm::{SEMANTIC, TASK};
use burn::module::Module;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::explanation::Explanation;
use maclip_framework::slots::layout::{Layout, Part};
use serde::{Deserialize, Serialize};

/// Options of CLIP-SPM's distances.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ClipSpmConfig {
    /// s, the factor of the frames that text has guided. 0.5 in public code.
    #[schemars(range(min = 0.0))]
    semantic: f64,
    /// λ of the soft minimum. 0.5 in public code.
    #[schemars(range(min = 1e-6))]
    lambda: f64,
    /// Which sequence is passed as a whole. `both` in public code.
    direction: Direction,
    /// How the cosine of two frames is computed.
    cosine: Cosine,
}

impl Default for ClipSpmConfig {
    fn default() -> Self {
        Self { semantic: 0.5, lambda: 0.5, direction: Direction::Both, cosine: Cosine::PlusEpsilon }
    }
}

register!(dyn Alignment, ClipSpmConfig, name: "clip_spm", summary: "OTAM of three views of the frames",
    paper: Some("CLIP-SPM, 2025"), stability: Stable, usage: "{semantic: 0.5}");

impl Component for ClipSpmConfig {
    type Slot = dyn Alignment;

    fn describe(&self, facts: &mut Facts) {
        facts.reads("alignment", SEMANTIC);
        facts.reads("alignment", TASK);
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Alignment>> {
        let layout = context.compared().clone();
        layout.shape(SEMANTIC)?;
        layout.shape(TASK)?;
        let Self { semantic, lambda, direction, cosine } = self;
        Ok(Box::new(ClipSpm { semantic, lambda, direction, cosine, layout }))
    }
}

#[derive(Module, Debug)]
struct ClipSpm {
    semantic: f64,
    lambda: f64,
    #[module(skip)]
    direction: Direction,
    #[module(skip)]
    cosine: Cosine,
    #[module(skip)]
    layout: Layout,
}

impl Alignment for ClipSpm {
    fn reads(&self) -> Vec<Part> {
        vec![SEMANTIC, TASK]
    }

    fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3> {
        let metric = |costs: Tensor<3>| otam(costs, self.lambda, self.direction);
        let of = |query: Tensor<4>, support: Tensor<5>| {
            distances(query, support, ShotRule::MeanFeatures, self.cosine, metric)
        };
        let part = |part: Part| of(self.layout.part(part, query.clone()), self.layout.part(part, support.clone()));
        let frames = of(self.layout.feature(query.clone()), self.layout.feature(support.clone()));
        part(SEMANTIC) * self.semantic + frames + part(TASK)
    }

    fn explain(&self, query: Tensor<3>, support: Tensor<4>) -> Result<Explanation> {
        let features = (self.layout.feature(query), self.layout.feature(support));
        let metric = |costs: Tensor<3>| otam(costs, self.lambda, self.direction);
        explain(features, ShotRule::MeanFeatures, self.cosine, "soft alignment path", metric)
    }

    fn cost(&self, mut query: [usize; 4], mut support: [usize; 5]) -> Option<Cost> {
        (query[3], support[4]) = (self.layout.feature_width(), self.layout.feature_width());
        Some(distances_cost(query, support, ShotRule::MeanFeatures, self.cosine) * 3.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, alignment::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<ClipSpmConfig>(Traits {
            // ε counts beside features as short as these.
            norm_blind: false,
            shots: &[],
            parts: &[(SEMANTIC, [1, 2]), (TASK, [1, 2])],
            with: &[("prototype", "{type: clip_spm, head_width: 8, hidden: 32}")],
            ..Traits::default()
        });
    }
}

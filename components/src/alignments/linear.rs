//! `linear`: learned weights on the T × T matrix of cosines, no bias.
//!
//! Source: "linear" of matching_based_fsar; the distance is −Σ w[i, j] cos[i, j]. The weights start as the mean of the
//! diagonal.

use super::frame_costs::{Cosine, ShotRule, distances, distances_cost, explain, total};
use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Problems};
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::explanation::Explanation;
use serde::{Deserialize, Serialize};

/// Options of linear matching.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct LinearConfig {
    /// How several shots of a class become one distance; not `joint`, as there are weights for T support frames only.
    shots: ShotRule,
    /// How the cosine of two frames is computed.
    cosine: Cosine,
}

impl Default for LinearConfig {
    fn default() -> Self {
        Self { shots: ShotRule::MeanFeatures, cosine: Cosine::PlusEpsilon }
    }
}

register!(dyn Alignment, LinearConfig, name: "linear", summary: "learned weights on all pairs of frames",
    paper: Some("matching_based_fsar"), stability: Stable, usage: "{}");

impl Component for LinearConfig {
    type Slot = dyn Alignment;

    fn validate(&self, problems: &mut Problems) {
        problems.when(self.shots == ShotRule::Joint, "shots", "must be mean_features or mean_distances here");
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Alignment>> {
        let t = context.frames()?;
        let diagonal: Vec<f32> = (0..t * t).map(|p| if p / t == p % t { 1.0 / t as f32 } else { 0.0 }).collect();
        let weight = Tensor::from_data(TensorData::new(diagonal, [t, t]), &context.trainable_device());
        Ok(Box::new(Linear { weight: Param::from_tensor(weight), shots: self.shots, cosine: self.cosine }))
    }
}

#[derive(Module, Debug)]
struct Linear {
    /// `[Tq, Ts]`
    weight: Param<Tensor<2>>,
    #[module(skip)]
    shots: ShotRule,
    #[module(skip)]
    cosine: Cosine,
}

impl Alignment for Linear {
    fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3> {
        distances(query, support, self.shots, self.cosine, |costs| linear(costs, self.weight.val()))
    }

    fn explain(&self, query: Tensor<3>, support: Tensor<4>) -> Result<Explanation> {
        let metric = |costs| linear(costs, self.weight.val());
        explain((query, support), self.shots, self.cosine, "size of the learned weights", metric)
    }

    fn cost(&self, query: [usize; 4], support: [usize; 5]) -> Option<Cost> {
        Some(distances_cost(query, support, self.shots, self.cosine))
    }
}

/// −Σ w (1 − cost) of costs `[P, Tq, Ts]` and weights w `[Tq, Ts]` → `[P]`.
pub fn linear(costs: Tensor<3>, weight: Tensor<2>) -> Tensor<1> {
    total((costs - 1.0) * weight.unsqueeze())
}

#[cfg(test)]
mod tests {
    use super::super::frame_costs::check;
    use super::*;
    use crate::conformance::{self, alignment::Traits};
    use burn::tensor::Device;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        // The weights are for T × T.
        conformance::alignment::holds::<LinearConfig>(Traits {
            fixed_length: true,
            shots: &["mean_features", "mean_distances"],
            ..Traits::default()
        });
    }

    #[test]
    fn the_cost_is_that_of_the_cosines() {
        assert_eq!(conformance::alignment::flops::<LinearConfig>("cosine: normalized"), Some(check::COSINES));
    }

    #[test]
    fn a_hand_computed_case() {
        let weight = Tensor::<2>::from_data([[1.0f32, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]], &Device::flex());
        // −(1 · (1 − 0.1) + 2 · (1 − 0.2))
        check::close(linear(check::d1(), weight), -2.5);
    }
}

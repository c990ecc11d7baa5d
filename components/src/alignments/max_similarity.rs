//! `max_similarity`: the one best pair of frames.
//!
//! Source: "max" of matching_based_fsar.

use super::frame_costs::{Cosine, ShotRule, nearest, on_costs};
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use serde::{Deserialize, Serialize};

/// Options of maximum matching.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct MaxSimilarity {
    /// How several shots of a class become one distance.
    shots: ShotRule,
    /// How the cosine of two frames is computed.
    cosine: Cosine,
}

impl Default for MaxSimilarity {
    fn default() -> Self {
        Self { shots: ShotRule::MeanFeatures, cosine: Cosine::PlusEpsilon }
    }
}

register!(dyn Alignment, MaxSimilarity, name: "max_similarity", summary: "the best pair of frames alone",
    paper: Some("matching_based_fsar"), stability: Stable, usage: "{}");

impl Component for MaxSimilarity {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        let Self { shots, cosine } = self;
        on_costs(shots, cosine, "the two most similar frames", max_similarity)
    }
}

/// Distance of costs `[P, Tq, Ts]` → `[P]`.
pub fn max_similarity(costs: Tensor<3>) -> Tensor<1> {
    let pairs = costs.dims()[0];
    nearest(nearest(costs, 2), 1).reshape([pairs]) - 1.0
}

#[cfg(test)]
mod tests {
    use super::super::frame_costs::check;
    use super::*;
    use crate::conformance::{self, alignment::Traits};
    use burn::tensor::Device;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<MaxSimilarity>(Traits { order_blind: true, ..Traits::default() });
    }

    #[test]
    fn the_cost_is_that_of_the_cosines() {
        assert_eq!(conformance::alignment::flops::<MaxSimilarity>("cosine: normalized"), Some(check::COSINES));
    }

    #[test]
    fn a_hand_computed_case() {
        check::close(max_similarity(check::d1()), -0.9);
    }

    #[test]
    fn the_explanation_has_shots_side_by_side() {
        // Frames of angle 0 and 90; the first shot has the same 0 second, the other the same 90 first.
        let config = MaxSimilarity { shots: ShotRule::MeanDistances, ..MaxSimilarity::default() };
        let metric = config.build(&BuildContext::new(0, Device::flex())).unwrap();
        let query = Tensor::<3>::from_data([[[1.0f32, 0.0], [0.0, 1.0]]], &Device::flex());
        let shots = [[[1.0f32, 1.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 1.0]]];
        let found = metric.explain(query, Tensor::<4>::from_data([shots], &Device::flex())).unwrap();
        assert_eq!((found.shots, &found.weights[0]), (2, &vec![vec![0.0, 1.0, 0.0, 0.0], vec![0.0, 0.0, 1.0, 0.0]]));
    }
}

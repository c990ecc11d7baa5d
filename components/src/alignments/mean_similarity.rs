//! `mean_similarity`: every frame against every frame, −mean over query frames of the sum over support frames.
//!
//! Source: "mean" of matching_based_fsar. Unlike `mean_cosine` it averages cosines, not features.

use super::frame_costs::{Cosine, ShotRule, on_costs, total};
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use serde::{Deserialize, Serialize};

/// Options of mean matching.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct MeanSimilarity {
    /// How several shots of a class become one distance.
    shots: ShotRule,
    /// How the cosine of two frames is computed.
    cosine: Cosine,
}

impl Default for MeanSimilarity {
    fn default() -> Self {
        Self { shots: ShotRule::MeanFeatures, cosine: Cosine::PlusEpsilon }
    }
}

register!(dyn Alignment, MeanSimilarity, name: "mean_similarity", summary: "all frames against all frames",
    paper: Some("matching_based_fsar"), stability: Stable, usage: "{}");

impl Component for MeanSimilarity {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        let Self { shots, cosine } = self;
        on_costs(shots, cosine, "all pairs of frames alike", mean_similarity)
    }
}

/// Distance of costs `[P, Tq, Ts]` → `[P]`.
pub fn mean_similarity(costs: Tensor<3>) -> Tensor<1> {
    let [_, rows, columns] = costs.dims();
    total(costs) / rows as f64 - columns as f64
}

#[cfg(test)]
mod tests {
    use super::super::frame_costs::check;
    use super::*;
    use crate::conformance::{self, alignment::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        // A sum over all pairs of frames is not largest for equal sequences.
        conformance::alignment::holds::<MeanSimilarity>(Traits {
            order_blind: true,
            nearest_to_itself: false,
            ..Traits::default()
        });
    }

    #[test]
    fn the_cost_is_that_of_the_cosines() {
        assert_eq!(conformance::alignment::flops::<MeanSimilarity>("cosine: normalized"), Some(check::COSINES));
    }

    #[test]
    fn a_hand_computed_case() {
        // D1 sums to 4.5: −(9 − 4.5) / 3.
        check::close(mean_similarity(check::d1()), -1.5);
    }
}

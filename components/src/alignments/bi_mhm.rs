//! `bi_mhm`: bidirectional mean Hausdorff metric.
//!
//! Source: HyRSM (Wang et al., CVPR 2022) as public code has it: Σ_i min_j D[i, j] + Σ_j min_i D[i, j], sums and not
//! means.

use super::frame_costs::{Cosine, ShotRule, mean, nearest, on_costs, total};
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use serde::{Deserialize, Serialize};

/// Options of Bi-MHM.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct BiMhm {
    /// `both` as in HyRSM, or one direction alone.
    direction: Direction,
    /// `sum` as public code has it (HyRSM, D2ST, CLIP-FSAR), or `mean` as the name says. For sequences of equal length
    /// T they differ by the factor T.
    reduce: Reduce,
    /// How several shots of a class become one distance.
    shots: ShotRule,
    /// How the cosine of two frames is computed.
    cosine: Cosine,
}

/// Whose frames look for their nearest frame in the other sequence.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The sum of both.
    Both,
    /// Each query frame to its nearest support frame.
    Query,
    /// Each support frame to its nearest query frame.
    Support,
}

/// How the smallest cost of each frame becomes one distance.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reduce {
    /// The sum over the frames.
    Sum,
    /// The mean over the frames.
    Mean,
}

impl Default for BiMhm {
    fn default() -> Self {
        Self {
            direction: Direction::Both,
            reduce: Reduce::Sum,
            shots: ShotRule::MeanFeatures,
            cosine: Cosine::Normalized,
        }
    }
}

register!(dyn Alignment, BiMhm, name: "bi_mhm", summary: "each frame to its nearest, both ways; order does not count",
    paper: Some("HyRSM, CVPR 2022"), stability: Stable, usage: "{shots: mean_features}");

impl Component for BiMhm {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        let Self { direction, reduce, shots, cosine } = self;
        let what = match direction {
            Direction::Both => "nearest frames, both ways",
            Direction::Query => "each query frame's nearest",
            Direction::Support => "each support frame's nearest",
        };
        on_costs(shots, cosine, what, move |costs| bi_mhm(costs, direction, reduce))
    }
}

/// Bi-MHM of costs `[P, Tq, Ts]` → `[P]`.
pub fn bi_mhm(costs: Tensor<3>, direction: Direction, reduce: Reduce) -> Tensor<1> {
    let reduced = |values: Tensor<3>| match reduce {
        Reduce::Sum => total(values),
        Reduce::Mean => mean(values),
    };
    match direction {
        Direction::Both => reduced(nearest(costs.clone(), 2)) + reduced(nearest(costs, 1)),
        Direction::Query => reduced(nearest(costs, 2)),
        Direction::Support => reduced(nearest(costs, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame_costs::check;
    use super::*;
    use crate::conformance::{self, alignment::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<BiMhm>(Traits { order_blind: true, ..Traits::default() });
    }

    #[test]
    fn the_cost_is_that_of_the_cosines() {
        assert_eq!(conformance::alignment::flops::<BiMhm>(""), Some(check::COSINES));
    }

    #[test]
    fn values_agree_with_an_independent_implementation() {
        check::close(bi_mhm(check::d1(), Direction::Both, Reduce::Sum), 1.2);
        check::close(bi_mhm(check::d2(), Direction::Both, Reduce::Sum), 0.16821363059117644);
        check::close(bi_mhm(check::d2(), Direction::Both, Reduce::Mean), 0.16821363059117644 / 8.0);
    }

    #[test]
    fn the_explanation_is_the_matches_by_hand() {
        // Costs [[0, .5], [.06, .83]]: both rows are nearest in the first column, both columns in the first row.
        let metric = BiMhm::default().build(&BuildContext::new(0, burn::tensor::Device::flex())).unwrap();
        let weights = check::explained(&*metric, &[0.0, 20.0], &[0.0, -60.0]);
        assert_eq!(weights, [[1.0, 0.5], [0.5, 0.0]]);
    }
}

//! `chamfer`: mean similarity of each frame to its nearest, from the query's side, the support's or both.
//!
//! Source: Chamfer matching of matching_based_fsar; Chamfer++ there is `shots: joint` on clip tuples. The distance is
//! the negative similarity, so that logits equal public code's.

use super::frame_costs::{Cosine, ShotRule, mean, nearest, on_costs};
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use serde::{Deserialize, Serialize};

/// Options of Chamfer matching.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Chamfer {
    /// Whose frames look for their nearest frame in the other sequence. `both` is half the sum of the two.
    side: Side,
    /// How several shots of a class become one distance.
    shots: ShotRule,
    /// How the cosine of two frames is computed.
    cosine: Cosine,
}

/// Whose frames look for their nearest frame in the other sequence.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// mean_i max_j of the cosine.
    Query,
    /// mean_j max_i of the cosine.
    Support,
    /// Half the sum of both.
    Both,
}

impl Default for Chamfer {
    fn default() -> Self {
        Self { side: Side::Both, shots: ShotRule::MeanFeatures, cosine: Cosine::PlusEpsilon }
    }
}

register!(dyn Alignment, Chamfer, name: "chamfer", summary: "mean frame to its nearest: query, support or both",
    paper: Some("matching_based_fsar"), stability: Stable, usage: "{side: both, shots: joint}");

impl Component for Chamfer {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        let Self { side, shots, cosine } = self;
        let what = match side {
            Side::Both => "nearest frames, both ways",
            Side::Query => "each query frame's nearest",
            Side::Support => "each support frame's nearest",
        };
        on_costs(shots, cosine, what, move |costs| chamfer(costs, side))
    }
}

/// Chamfer distance of costs `[P, Tq, Ts]` → `[P]`; rows are query frames.
pub fn chamfer(costs: Tensor<3>, side: Side) -> Tensor<1> {
    let query = |costs: Tensor<3>| mean(nearest(costs, 2)) - 1.0;
    let support = |costs: Tensor<3>| mean(nearest(costs, 1)) - 1.0;
    match side {
        Side::Query => query(costs),
        Side::Support => support(costs),
        Side::Both => (query(costs.clone()) + support(costs)) * 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame_costs::check;
    use super::*;
    use crate::conformance::{self, alignment::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        // With the other cosine a nearest frame changes within the step of the finite differences.
        conformance::alignment::holds::<Chamfer>(Traits {
            options: "cosine: normalized",
            order_blind: true,
            ..Traits::default()
        });
    }

    #[test]
    fn the_cost_is_that_of_the_cosines() {
        assert_eq!(conformance::alignment::flops::<Chamfer>("cosine: normalized"), Some(check::COSINES));
    }

    #[test]
    fn a_hand_computed_case() {
        // The first two columns of D1: row minima 0.1, 0.2, 0.4 and column minima 0.1, 0.2.
        let costs = || check::d1().narrow(2, 0, 2);
        check::close(chamfer(costs(), Side::Query) + 1.0, 0.7 / 3.0);
        check::close(chamfer(costs(), Side::Support) + 1.0, 0.15);
        check::close(chamfer(costs(), Side::Both) + 1.0, (0.7 / 3.0 + 0.15) / 2.0);
    }
}

//! `hausdorff`: max(max_i min_j D, max_j min_i D), the frame that is farthest from the other sequence.
//!
//! Source: the textbook formula; checked against scipy's `directed_hausdorff`.

use super::frame_costs::{Cosine, ShotRule, nearest, on_costs};
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use serde::{Deserialize, Serialize};

/// Options of the Hausdorff distance.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Hausdorff {
    /// How several shots of a class become one distance.
    shots: ShotRule,
    /// How the cosine of two frames is computed.
    cosine: Cosine,
}

impl Default for Hausdorff {
    fn default() -> Self {
        Self { shots: ShotRule::MeanFeatures, cosine: Cosine::Normalized }
    }
}

register!(dyn Alignment, Hausdorff, name: "hausdorff", summary: "the worst frame to its nearest, both ways",
    paper: None, stability: Stable, usage: "{}");

impl Component for Hausdorff {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        let Self { shots, cosine } = self;
        on_costs(shots, cosine, "the two frames that decide", hausdorff)
    }
}

/// Hausdorff distance of costs `[P, Tq, Ts]` → `[P]`.
pub fn hausdorff(costs: Tensor<3>) -> Tensor<1> {
    let pairs = costs.dims()[0];
    let query = nearest(costs.clone(), 2).max_dim(1);
    let support = nearest(costs, 1).max_dim(2);
    Tensor::cat(vec![query, support], 1).max_dim(1).reshape([pairs])
}

#[cfg(test)]
mod tests {
    use super::super::frame_costs::check;
    use super::*;
    use crate::conformance::{self, alignment::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<Hausdorff>(Traits { order_blind: true, ..Traits::default() });
    }

    #[test]
    fn the_cost_is_that_of_the_cosines() {
        assert_eq!(conformance::alignment::flops::<Hausdorff>(""), Some(check::COSINES));
    }

    #[test]
    fn values_agree_with_an_independent_implementation() {
        check::close(hausdorff(check::d1()), 0.3);
        check::close(hausdorff(check::d2()), 0.09955289764732295);
    }
}

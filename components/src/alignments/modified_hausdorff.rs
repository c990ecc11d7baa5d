//! `modified_hausdorff`: max(mean_i min_j D, mean_j min_i D).
//!
//! Source: Dubuisson and Jain, ICPR 1994.

use super::frame_costs::{Cosine, ShotRule, nearest, on_costs};
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use serde::{Deserialize, Serialize};

/// Options of the modified Hausdorff distance.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ModifiedHausdorff {
    /// How several shots of a class become one distance.
    shots: ShotRule,
    /// How the cosine of two frames is computed.
    cosine: Cosine,
}

impl Default for ModifiedHausdorff {
    fn default() -> Self {
        Self { shots: ShotRule::MeanFeatures, cosine: Cosine::Normalized }
    }
}

register!(dyn Alignment, ModifiedHausdorff, name: "modified_hausdorff", summary: "mean frame to its nearest, the worse of both ways",
    paper: Some("Dubuisson and Jain, ICPR 1994"), stability: Stable, usage: "{}");

impl Component for ModifiedHausdorff {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        let Self { shots, cosine } = self;
        on_costs(shots, cosine, "each frame's nearest, the worse way", modified_hausdorff)
    }
}

/// Modified Hausdorff distance of costs `[P, Tq, Ts]` → `[P]`.
pub fn modified_hausdorff(costs: Tensor<3>) -> Tensor<1> {
    let pairs = costs.dims()[0];
    let query = nearest(costs.clone(), 2).mean_dim(1);
    let support = nearest(costs, 1).mean_dim(2);
    Tensor::cat(vec![query, support], 1).max_dim(1).reshape([pairs])
}

#[cfg(test)]
mod tests {
    use super::super::frame_costs::check;
    use super::*;
    use crate::conformance::{self, alignment::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<ModifiedHausdorff>(Traits { order_blind: true, ..Traits::default() });
    }

    #[test]
    fn the_cost_is_that_of_the_cosines() {
        assert_eq!(conformance::alignment::flops::<ModifiedHausdorff>(""), Some(check::COSINES));
    }

    #[test]
    fn values_agree_with_an_independent_implementation() {
        check::close(modified_hausdorff(check::d1()), 0.2);
        check::close(modified_hausdorff(check::d2()), 0.016033600385908852);
    }
}

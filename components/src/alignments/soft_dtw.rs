//! `soft_dtw`: dynamic time warping with a soft minimum, differentiable everywhere.
//!
//! Source: Cuturi and Blondel, ICML 2017; the values of tslearn. Distances may be negative.

use super::dtw::warp;
use super::frame_costs::{Cosine, ShotRule, on_costs, soft_min};
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use serde::{Deserialize, Serialize};

/// Options of soft-DTW.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct SoftDtw {
    /// γ of the soft minimum; towards 0 it becomes DTW.
    #[schemars(range(min = 1e-6))]
    gamma: f64,
    /// How several shots of a class become one distance.
    shots: ShotRule,
    /// How the cosine of two frames is computed.
    cosine: Cosine,
}

impl Default for SoftDtw {
    fn default() -> Self {
        Self { gamma: 0.1, shots: ShotRule::MeanFeatures, cosine: Cosine::Normalized }
    }
}

register!(dyn Alignment, SoftDtw, name: "soft_dtw", summary: "DTW with a soft minimum",
    paper: Some("Cuturi and Blondel, ICML 2017"), stability: Stable, usage: "{gamma: 0.1}");

impl Component for SoftDtw {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        let Self { gamma, shots, cosine } = self;
        on_costs(shots, cosine, "soft alignment path", move |costs| soft_dtw(costs, gamma))
    }
}

/// Soft-DTW of costs `[P, Tq, Ts]` → `[P]`.
pub fn soft_dtw(costs: Tensor<3>, gamma: f64) -> Tensor<1> {
    warp(costs, |candidates| soft_min(candidates, gamma))
}

#[cfg(test)]
mod tests {
    use super::super::frame_costs::check;
    use super::*;
    use crate::conformance::{self, alignment::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<SoftDtw>(Traits { long: &["gamma: 0.01"], ..Traits::default() });
    }

    #[test]
    fn the_cost_is_that_of_the_cosines() {
        assert_eq!(conformance::alignment::flops::<SoftDtw>(""), Some(check::COSINES));
    }

    #[test]
    fn values_agree_with_an_independent_implementation() {
        check::close(soft_dtw(check::d1(), 0.1), 0.5971410196210817);
        check::close(soft_dtw(check::d2(), 0.1), -0.5073282375990793);
        check::close(soft_dtw(check::d2(), 1e-4), 0.13949772515122857);
    }
}

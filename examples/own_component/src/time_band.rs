//! `time_band`: frames against frames, and the more the nearer they are in time.
//!
//! With frame i of Tq at the time t_i = i / (Tq − 1), and t_j likewise, the distance is a weighted mean of the costs
//! D[i, j] = 1 − cosine:
//!
//! ```text
//! w[i, j] = exp(−(t_i − t_j)² / 2σ²)        d = Σ w[i, j] D[i, j] / Σ w[i, j]
//! ```
//! A small σ compares frames at the same time alone, a large one all with all.

use burn::tensor::{Tensor, TensorData};
use maclip_components::alignments::frame_costs::{Cosine, ShotRule, on_costs, total};
use maclip_components::layers::plain_device;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use serde::{Deserialize, Serialize};

/// Options of the metric.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct TimeBand {
    /// σ, in clip lengths: how far apart in time two frames are still compared. 0.15 is about one of 8 frames.
    #[schemars(range(min = 0.001, max = 100.0))]
    sigma: f64,
    /// What becomes of several shots.
    shots: ShotRule,
    /// The cosine of two frames.
    cosine: Cosine,
}

impl Default for TimeBand {
    fn default() -> Self {
        Self { sigma: 0.15, shots: ShotRule::MeanFeatures, cosine: Cosine::Normalized }
    }
}

register!(dyn Alignment, TimeBand, name: "time_band", summary: "frames against frames that are near in time",
    paper: None, stability: Experimental, usage: "{sigma: 0.15}");

impl Component for TimeBand {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        let Self { sigma, shots, cosine } = self;
        on_costs(shots, cosine, "frames that are near in time", move |costs| time_band(costs, sigma))
    }
}

/// costs `[P, Tq, Ts]` → `[P]`.
fn time_band(costs: Tensor<3>, sigma: f64) -> Tensor<1> {
    let [_, rows, columns] = costs.dims();
    let time = |i: usize, count: usize| i as f64 / (count.max(2) - 1) as f64;
    let weight = |i: usize, j: usize| (-0.5 * ((time(i, rows) - time(j, columns)) / sigma).powi(2)).exp();
    let weights: Vec<f64> = (0..rows * columns).map(|at| weight(at / columns, at % columns)).collect();
    let sum: f64 = weights.iter().sum();
    let weights: Vec<f32> = weights.into_iter().map(|weight| (weight / sum) as f32).collect();
    let weights = Tensor::<3>::from_data(TensorData::new(weights, [1, rows, columns]), &plain_device(&costs));
    total(costs * weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use maclip_components::conformance::{self, alignment::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<TimeBand>(Traits { long: &["sigma: 0.001"], ..Traits::default() });
    }

    #[test]
    fn a_hand_computed_case() {
        // Two frames each, at the times 0 and 1. With 2σ² = 1 the pairs across weigh 1/e.
        let costs = Tensor::<3>::from_data([[[0.1f32, 0.5], [0.9, 0.2]]], &Device::flex());
        let distance = time_band(costs, 0.5f64.sqrt()).into_scalar::<f32>() as f64;
        let across = (-1.0f64).exp();
        let want = (0.1 + 0.2 + across * (0.5 + 0.9)) / (2.0 + 2.0 * across);
        assert!((distance - want).abs() < 1e-6, "{distance} {want}");
    }
}

//! `__name__`: __summary__.
//!
//! Source: say which paper and equation, or whose public code, this follows, and where it differs. What this template
//! does:
//!
//! ```text
//! d(q, s) = scale · mean_i ‖ q_i / ‖q_i‖ − s_i / ‖s_i‖ ‖²        i over the frames of the shorter of the two
//! ```
//! The first test holds it to the contract of its slot and to what it claims of itself: a metric that is blind to the
//! order of frames says so there.

use super::frame_costs::ShotRule;
use burn::module::Module;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::explanation::normalize;
use serde::{Deserialize, Serialize};

/// Options of the metric.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct __Name__Config {
    /// Factor on the distance: how sharp the objective's softmax over the classes is.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    scale: f64,
    /// How several shots of a class become one distance.
    shots: ShotRule,
}

impl Default for __Name__Config {
    fn default() -> Self {
        Self { scale: 1.0, shots: ShotRule::MeanFeatures }
    }
}

register!(dyn Alignment, __Name__Config, name: "__name__", summary: "__summary__",
    paper: None, stability: Experimental, usage: "{scale: 1.0}");

impl Component for __Name__Config {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        // A metric with weights makes them here: see `linear.rs`.
        Ok(Box::new(__Name__ { scale: self.scale, shots: self.shots }))
    }
}

#[derive(Module, Debug)]
struct __Name__ {
    scale: f64,
    #[module(skip)]
    shots: ShotRule,
}

impl Alignment for __Name__ {
    fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3> {
        // `[N, W, K, Ts, E]` → K' sequences of each class: their average, all of them, or all laid end to end.
        let support = self.shots.sequences(support);
        let [n, q, tq, e] = query.dims();
        let [_, w, k, ts, _] = support.dims();
        let t = tq.min(ts);
        // Unit length, as CLIP's features are compared by their angle: `[N, Q, 1, t E]` and `[N, 1, W K', t E]`.
        let query = normalize(query.narrow(2, 0, t)).reshape([n, q, 1, t * e]);
        let support = normalize(support.narrow(3, 0, t)).reshape([n, 1, w * k, t * e]);
        // Squares summed over frames and features: `[N, Q, W K', 1]`.
        let squares = (query - support).powf_scalar(2.0).sum_dim(3);
        let distances = squares * (self.scale / t as f64);
        // The mean over the K' sequences: `[N, Q, W]`.
        distances.reshape([n, q, w, k]).mean_dim(3).squeeze_dim(3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, alignment::Traits};
    use burn::tensor::Device;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<__Name__Config>(Traits {
            // Count its operations in `cost`, and claim it.
            costed: false,
            ..Traits::default()
        });
    }

    #[test]
    fn a_hand_computed_case() {
        let device = Device::flex();
        // The query's directions are (1, 0), (0, 1); the classes' (1, 0), (0, 1) and (0, 1), (0, 1).
        let query = Tensor::<4>::from_data([[[[3.0f32, 0.0], [0.0, 2.0]]]], &device);
        let support = Tensor::<5>::from_data([[[[[1.0f32, 0.0], [0.0, 5.0]]], [[[0.0, 1.0], [0.0, 1.0]]]]], &device);
        let config = __Name__Config { scale: 2.0, ..Default::default() };
        let metric = config.build(&BuildContext::new(0, device)).unwrap();
        let d: Vec<f32> = metric.distances(query, support).into_data().try_to_vec().unwrap();
        // 2 · (0 + 0) / 2, and 2 · (‖(1, −1)‖² + 0) / 2
        assert!(d[0].abs() < 1e-6 && (d[1] - 2.0).abs() < 1e-6, "{d:?}");
    }
}

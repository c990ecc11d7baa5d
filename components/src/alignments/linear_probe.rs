//! `linear_probe`: a linear classifier that is trained on the support clips of each episode.
//!
//! A baseline that arXiv 2406.01073 finds ahead of specialised methods where the domain gap grows. With x the unit
//! vectors of the time averages of the support clips, y their classes, and V = 0 at the start, it takes `steps` steps
//! of gradient descent:
//!
//! ```text
//! V ← V − η (mean over the supports of (softmax(τ V x) − y) xᵀ + λ V)      distance = −τ V q
//! ```
//! The distance to a class depends on the other classes of the episode.

use super::probe::{self, units};
use crate::layers::plain_device;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::explanation::Explanation;
use serde::{Deserialize, Serialize};

/// Options of the classifier.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct LinearProbeConfig {
    /// Steps of gradient descent in each episode.
    #[schemars(range(min = 1, max = 10_000))]
    steps: usize,
    /// Step size η of gradient descent.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    learning_rate: f64,
    /// λ, the decay of the weights.
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
    /// τ, the factor on V x: features have the length 1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    scale: f64,
}

impl Default for LinearProbeConfig {
    fn default() -> Self {
        Self { steps: 50, learning_rate: 1.0, weight_decay: 0.01, scale: 10.0 }
    }
}

register!(dyn Alignment, LinearProbeConfig, name: "linear_probe",
    summary: "a linear classifier trained on the episode's support clips", paper: Some("arXiv 2406.01073"),
    stability: Experimental, usage: "{steps: 20}");

impl Component for LinearProbeConfig {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        let Self { steps, learning_rate, weight_decay, scale } = self;
        Ok(Box::new(LinearProbe { steps, learning_rate, weight_decay, scale }))
    }
}

#[derive(Module, Debug)]
struct LinearProbe {
    steps: usize,
    learning_rate: f64,
    weight_decay: f64,
    scale: f64,
}

impl Alignment for LinearProbe {
    fn compares_classes(&self) -> bool {
        true
    }

    fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3> {
        let (query, support, classes) = units(query, support);
        let ([n, s, e], w) = (support.dims(), classes.dims()[2]);
        let mut weights = Tensor::<3>::zeros([n, e, w], &plain_device(&support));
        let transposed = support.clone().swap_dims(1, 2);
        for _ in 0..self.steps {
            let probabilities = softmax(support.clone().matmul(weights.clone()) * self.scale, 2);
            let gradient = transposed.clone().matmul(probabilities - classes.clone()) / s as f64;
            weights = weights.clone() * (1.0 - self.learning_rate * self.weight_decay) - gradient * self.learning_rate;
        }
        query.matmul(weights) * -self.scale
    }

    fn explain(&self, query: Tensor<3>, support: Tensor<4>) -> Result<Explanation> {
        probe::explain(query, support)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<LinearProbeConfig>(probe::tested::traits());
    }

    #[test]
    fn one_step_is_the_hand_computed_one() {
        // Supports (1, 0) and (0, 1); at V = 0 all probabilities are 1/2, so V = η / 4 · [[1, −1], [−1, 1]].
        let (query, support) = probe::tested::two_classes();
        let probe = LinearProbe { steps: 1, learning_rate: 2.0, weight_decay: 0.1, scale: 10.0 };
        let d: Vec<f32> = probe.distances(query, support).into_data().try_to_vec().unwrap();
        // τ η / 4 (0.6 − 0.8) = −1.
        assert!((d[0] - 1.0).abs() < 1e-5 && (d[1] + 1.0).abs() < 1e-5, "{d:?}");
    }
}

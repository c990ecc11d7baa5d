//! `cosine_classifier`: a classifier by cosines that is trained on the support clips of each episode.
//!
//! Source: the distance-based classifier of Baseline++ (Chen et al., ICLR 2019), which begins here with the mean of the
//! supports of a class, as imprinted weights do (Qi et al., CVPR 2018). With x the unit vectors of the time averages of
//! the support clips, y their classes, and u_w the unit vector of class w, it takes `steps` steps of gradient descent
//! on the sphere:
//!
//! ```text
//! G ← mean over the supports of (softmax(τ U x) − y) xᵀ
//! u_w ← unit(u_w − η (g_w − (g_w · u_w) u_w))      distance = −τ U q
//! ```
//! The distance to a class depends on the other classes of the episode.

use super::probe::{self, units};
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::explanation::{Explanation, normalize};
use serde::{Deserialize, Serialize};

/// Options of the classifier.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct CosineClassifierConfig {
    /// Steps of gradient descent in each episode.
    #[schemars(range(min = 1, max = 10_000))]
    steps: usize,
    /// Step size η of gradient descent.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    learning_rate: f64,
    /// τ, the factor on the cosines.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    scale: f64,
}

impl Default for CosineClassifierConfig {
    fn default() -> Self {
        Self { steps: 50, learning_rate: 1.0, scale: 10.0 }
    }
}

register!(dyn Alignment, CosineClassifierConfig, name: "cosine_classifier",
    summary: "a classifier by cosines trained on the episode's support clips", paper: Some("Baseline++, ICLR 2019"),
    stability: Experimental, usage: "{steps: 20}");

impl Component for CosineClassifierConfig {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        let Self { steps, learning_rate, scale } = self;
        Ok(Box::new(CosineClassifier { steps, learning_rate, scale }))
    }
}

#[derive(Module, Debug)]
struct CosineClassifier {
    steps: usize,
    learning_rate: f64,
    scale: f64,
}

impl Alignment for CosineClassifier {
    fn compares_classes(&self) -> bool {
        true
    }

    fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3> {
        let (query, support, classes) = units(query, support);
        let s = support.dims()[1] as f64;
        // One row for each class.
        let mut weights = normalize(classes.clone().swap_dims(1, 2).matmul(support.clone()));
        for _ in 0..self.steps {
            let cosines = support.clone().matmul(weights.clone().swap_dims(1, 2));
            let errors = softmax(cosines * self.scale, 2) - classes.clone();
            let gradient = errors.swap_dims(1, 2).matmul(support.clone()) / s;
            let along = (gradient.clone() * weights.clone()).sum_dim(2) * weights.clone();
            weights = normalize(weights - (gradient - along) * self.learning_rate);
        }
        query.matmul(weights.swap_dims(1, 2)) * -self.scale
    }

    fn explain(&self, query: Tensor<3>, support: Tensor<4>) -> Result<Explanation> {
        probe::explain(query, support)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;
    use burn::tensor::Device;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<CosineClassifierConfig>(probe::tested::traits());
    }

    #[test]
    fn one_step_is_the_hand_computed_one() {
        // Supports (1, 0) and (0, 1). With τ = 1 the probability of the other class is p = 1 / (1 + e), the gradient of
        // a class along its own direction does not count, and across it is p / 2: u = unit(1, −p / 2) and unit(−p / 2,
        // 1).
        let (query, support) = probe::tested::two_classes();
        let classifier = CosineClassifier { steps: 1, learning_rate: 1.0, scale: 1.0 };
        let d: Vec<f32> = classifier.distances(query, support).into_data().try_to_vec().unwrap();
        let across = 0.5 / (1.0 + 1f32.exp());
        let length = (1.0 + across * across).sqrt();
        let wanted = [-(0.6 - 0.8 * across) / length, -(0.8 - 0.6 * across) / length];
        assert!(d.iter().zip(wanted).all(|(own, wanted)| (own - wanted).abs() < 1e-5), "{d:?} {wanted:?}");
    }

    #[test]
    fn without_pull_it_is_the_cosine_with_the_mean_of_the_supports() {
        // One class has no error, so nothing moves: two supports, (1, 0) and (0, 1), whose mean has the direction (1,
        // 1).
        let device = Device::flex();
        let query = Tensor::<4>::from_data([[[[1.0f32, 0.0]]]], &device);
        let support = Tensor::<5>::from_data([[[[[2.0f32, 0.0]], [[0.0, 5.0]]]]], &device);
        let classifier = CosineClassifier { steps: 5, learning_rate: 1.0, scale: 2.0 };
        let d: Vec<f32> = classifier.distances(query, support).into_data().try_to_vec().unwrap();
        assert!((d[0] + 2f32.sqrt()).abs() < 1e-5, "{d:?}");
    }
}

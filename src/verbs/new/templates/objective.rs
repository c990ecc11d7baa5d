//! `__name__`: __summary__.
//!
//! Source: say which paper and equation, or whose public code, this follows, and where it differs. What this template
//! does, for distances d `[N, Q, W]`:
//!
//! ```text
//! L = CE(−d / temperature)        p = softmax(−d / temperature)
//! ```
//! An objective that reads class texts says so in `needs_text` and `describe` and finds cosines in [`Scores`]: see
//! `ma_clip.rs`, and `clip_fsar.rs` for a learned temperature.

use super::ma_clip::cross_entropy;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::objective::{Labels, Loss, Objective, Scores};
use serde::{Deserialize, Serialize};

/// Options of the objective.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct __Name__Config {
    /// What distances are divided by before the softmax.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    temperature: f64,
}

impl Default for __Name__Config {
    fn default() -> Self {
        Self { temperature: 0.5 }
    }
}

register!(dyn Objective, __Name__Config, name: "__name__", summary: "__summary__",
    paper: None, stability: Experimental, usage: "{temperature: 0.5}");

impl Component for __Name__Config {
    type Slot = dyn Objective;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Objective>> {
        Ok(Box::new(__Name__ { temperature: self.temperature }))
    }
}

#[derive(Module, Debug)]
struct __Name__ {
    temperature: f64,
}

impl __Name__ {
    /// `[N, Q, W]`
    fn logits(&self, scores: &Scores) -> Tensor<3> {
        scores.distances.clone() / -self.temperature
    }
}

impl Objective for __Name__ {
    fn needs_text(&self) -> bool {
        false
    }

    fn loss(&self, scores: &Scores, labels: &Labels) -> Loss {
        let metric = cross_entropy(self.logits(scores), labels.query.clone());
        // Each part has a curve of its own in the report.
        Loss { parts: vec![("metric", metric.clone())], total: metric }
    }

    fn probabilities(&self, scores: &Scores) -> Tensor<3> {
        softmax(self.logits(scores), 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, objective::Traits};
    use burn::tensor::{Device, Int};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::objective::holds::<__Name__Config>(Traits::default());
    }

    #[test]
    fn a_hand_computed_case() {
        let device = Device::flex();
        let objective = __Name__ { temperature: 2.0 };
        let distances = Tensor::<3>::from_data([[[1.0f32, 3.0]]], &device);
        let label = Tensor::<2, Int>::from_data([[0]], &device);
        let scores = Scores::of(distances);
        let loss = objective.loss(&scores, &Labels { query: label.clone(), support: label });
        // Log odds of the right class: (3 − 1) / 2 = 1
        let odds = (1.0f64 + (-1.0f64).exp()).recip();
        assert!((loss.total.into_scalar::<f32>() as f64 + odds.ln()).abs() < 1e-6);
        let p: Vec<f32> = objective.probabilities(&scores).into_data().try_to_vec().unwrap();
        assert!((p[0] as f64 - odds).abs() < 1e-6, "{p:?}");
    }
}

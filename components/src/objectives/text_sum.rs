//! `text_sum`: the distance and the cosine with the class text in one sum, in loss and prediction.
//!
//! Source: Tip-Adapter (Zhang et al., ECCV 2022), equation 6, with `alignment: {type: cache}`. With d a distance and c
//! the cosine of the query's time average with the class text:
//!
//! ```text
//! logits = τ c − α d      L = CE(logits)      prediction: the largest
//! ```
//! CLIP has learned τ = 100. Without anything to train it is a baseline of support clips and texts together.

use super::ma_clip::cross_entropy;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::objective::{Labels, Loss, Objective, Scores};
use serde::{Deserialize, Serialize};

/// Options of the sum.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct TextSumConfig {
    /// α, the factor on −distance. 1 in Tip-Adapter's main setting.
    #[schemars(range(min = 0.0))]
    metric_scale: f64,
    /// τ, the factor on cosines with texts. 100 is the factor that CLIP itself has learned.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    text_scale: f64,
}

impl Default for TextSumConfig {
    fn default() -> Self {
        Self { metric_scale: 1.0, text_scale: 100.0 }
    }
}

register!(dyn Objective, TextSumConfig, name: "text_sum", summary: "cross-entropy on text cosine minus distance, largest sum",
    paper: Some("Tip-Adapter, ECCV 2022"), stability: Experimental, usage: "{metric_scale: 1, text_scale: 20}");

impl Component for TextSumConfig {
    type Slot = dyn Objective;

    fn describe(&self, facts: &mut Facts) {
        facts.readers.push("objective");
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Objective>> {
        Ok(Box::new(TextSum { metric_scale: self.metric_scale, text_scale: self.text_scale }))
    }
}

#[derive(Module, Debug)]
struct TextSum {
    metric_scale: f64,
    text_scale: f64,
}

impl TextSum {
    /// `[N, Q, W]`
    fn logits(&self, scores: &Scores) -> Tensor<3> {
        let text = scores.query_text.clone().expect("given to an objective that needs texts");
        text * self.text_scale - scores.distances.clone() * self.metric_scale
    }
}

impl Objective for TextSum {
    fn needs_text(&self) -> bool {
        true
    }

    fn loss(&self, scores: &Scores, labels: &Labels) -> Loss {
        let total = cross_entropy(self.logits(scores), labels.query.clone());
        Loss { parts: vec![("sum", total.clone())], total }
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
        conformance::objective::holds::<TextSumConfig>(Traits::default());
    }

    #[test]
    fn loss_and_prediction_are_the_hand_computed_ones() {
        let device = Device::flex();
        let tensor = |values: [f32; 2]| Tensor::<3>::from_data([[values]], &device);
        // Logits 10 · 0.2 + 2 · 0.5 = 3 and 10 · 0.3 + 2 · 0.25 = 3.5.
        let scores = Scores { query_text: Some(tensor([0.2, 0.3])), ..Scores::of(tensor([-0.5, -0.25])) };
        let label = || Tensor::<2, Int>::from_data([[0]], &device);
        let sum = TextSum { metric_scale: 2.0, text_scale: 10.0 };
        let want = (1.0f32 + 0.5f32.exp()).ln();
        let loss = sum.loss(&scores, &Labels { query: label(), support: label() });
        assert!((loss.total.into_scalar::<f32>() - want).abs() < 1e-5);
        let p: Vec<f32> = sum.probabilities(&scores).into_data().try_to_vec().unwrap();
        assert!((p[0] - (-want).exp()).abs() < 1e-5, "{p:?}");
    }
}

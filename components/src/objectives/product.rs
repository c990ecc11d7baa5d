//! `product`: the similarity to a class times the cosine with its text, in loss and prediction.
//!
//! Source: Task-Adapter (Cao et al., ACM MM 2024) and the public code of its family. With v = −distance, which is the
//! cosine of time averages with `alignment: {type: mean_cosine}`, and c the cosine of the query's time average with the
//! class text:
//!
//! ```text
//! L = CE(s · v · c)      s = 64      prediction: the largest product
//! ```

use super::ma_clip::cross_entropy;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::objective::{Labels, Loss, Objective, Scores};
use serde::{Deserialize, Serialize};

/// Options of the product objective.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ProductConfig {
    /// s, the factor on the product before the softmax. 64 in public code; does not change a prediction.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    scale: f64,
}

impl Default for ProductConfig {
    fn default() -> Self {
        Self { scale: 64.0 }
    }
}

register!(dyn Objective, ProductConfig, name: "product",
    summary: "cross-entropy on similarity times text cosine, largest product",
    paper: Some("Task-Adapter, ACM MM 2024"), stability: Stable, usage: "{scale: 64.0}");

impl Component for ProductConfig {
    type Slot = dyn Objective;

    fn describe(&self, facts: &mut Facts) {
        facts.readers.push("objective");
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Objective>> {
        Ok(Box::new(Product { scale: self.scale }))
    }
}

#[derive(Module, Debug)]
struct Product {
    scale: f64,
}

impl Product {
    /// s · v · c `[N, Q, W]`.
    fn logits(&self, scores: &Scores) -> Tensor<3> {
        let similarity = -scores.distances.clone();
        let text = scores.query_text.clone().expect("given to an objective that needs texts");
        similarity * text * self.scale
    }
}

impl Objective for Product {
    fn needs_text(&self) -> bool {
        true
    }

    fn loss(&self, scores: &Scores, labels: &Labels) -> Loss {
        let total = cross_entropy(self.logits(scores), labels.query.clone());
        Loss { parts: vec![("product", total.clone())], total }
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
    use maclip_framework::registry::{build_choice, resolve_choice, slot};
    use maclip_framework::slots::alignment::Alignment;
    use maclip_language::read_str;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::objective::holds::<ProductConfig>(Traits::default());
    }

    /// With the alignment that it is made for, the similarity is the cosine itself.
    #[test]
    fn with_mean_cosine_the_similarity_is_the_cosine() {
        let device = Device::flex();
        let context = BuildContext::new(1, device.clone());
        let choice = read_str("test.yaml", "{type: mean_cosine}").unwrap();
        let choice = resolve_choice(slot("alignment").unwrap(), &choice).unwrap();
        let alignment: Box<dyn Alignment> = build_choice(&choice, &context).unwrap();
        // Cosines 0.6 and 0.8 of one query with two classes.
        let query = Tensor::<4>::from_data([[[[1.0f32, 0.0]]]], &device);
        let support = Tensor::<5>::from_data([[[[[0.6f32, 0.8]]], [[[0.8, 0.6]]]]], &device);
        let scores = Scores {
            query_text: Some(Tensor::from_data([[[0.5f32, 0.25]]], &device)),
            ..Scores::of(alignment.distances(query, support))
        };
        let logits: Vec<f32> = Product { scale: 64.0 }.logits(&scores).into_data().try_to_vec().unwrap();
        assert!((logits[0] - 64.0 * 0.3).abs() < 1e-4 && (logits[1] - 64.0 * 0.2).abs() < 1e-4, "{logits:?}");
    }

    #[test]
    fn loss_and_prediction_are_the_hand_computed_ones() {
        let device = Device::flex();
        let tensor = |values: [f32; 2]| Tensor::<3>::from_data([[values]], &device);
        // Products 0.5 · 0.2 and 0.25 · 0.3, times 10.
        let scores = Scores { query_text: Some(tensor([0.2, 0.3])), ..Scores::of(tensor([-0.5, -0.25])) };
        let label = || Tensor::<2, Int>::from_data([[0]], &device);
        let product = Product { scale: 10.0 };
        let want = (1.0f32 + (0.75f32 - 1.0).exp()).ln();
        let loss = product.loss(&scores, &Labels { query: label(), support: label() });
        assert!((loss.total.into_scalar::<f32>() - want).abs() < 1e-6);
        let p: Vec<f32> = product.probabilities(&scores).into_data().try_to_vec().unwrap();
        assert!((p[0] - (-want).exp()).abs() < 1e-6, "{p:?}");
    }
}

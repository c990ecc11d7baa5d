//! `metric`: cross-entropy on −distance alone, and the nearest class as prediction. No text.
//!
//! Source: every metric-based few-shot method; OTAM, TRX and HyRSM train with it.

use super::ma_clip::cross_entropy;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::objective::{Labels, Loss, Objective, Scores};
use serde::{Deserialize, Serialize};

/// Options of the metric objective.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct MetricConfig {
    /// Factor on −distance before the softmax. 1 in public code; does not change a prediction.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    scale: f64,
}

impl Default for MetricConfig {
    fn default() -> Self {
        Self { scale: 1.0 }
    }
}

register!(dyn Objective, MetricConfig, name: "metric", summary: "cross-entropy on distances, nearest class; no text",
    paper: None, stability: Stable, usage: "{scale: 1.0}");

impl Component for MetricConfig {
    type Slot = dyn Objective;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Objective>> {
        Ok(Box::new(Metric { scale: self.scale }))
    }
}

#[derive(Module, Debug)]
struct Metric {
    scale: f64,
}

impl Objective for Metric {
    fn needs_text(&self) -> bool {
        false
    }

    fn loss(&self, scores: &Scores, labels: &Labels) -> Loss {
        let total = cross_entropy(scores.distances.clone() * -self.scale, labels.query.clone());
        Loss { parts: vec![("q2s", total.clone())], total }
    }

    fn probabilities(&self, scores: &Scores) -> Tensor<3> {
        softmax(scores.distances.clone() * -self.scale, 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, objective::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::objective::holds::<MetricConfig>(Traits::default());
    }
}

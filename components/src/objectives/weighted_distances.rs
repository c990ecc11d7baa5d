//! `weighted_distances`: a sum of cross-entropies, one for each of several distances that the alignment computes.
//!
//! Source: public code of STRM (Thatipelli et al., CVPR 2022: Anirudh257/strm, run.py), with the weights 1 and 0.1 for
//! `frames` and `patches`, and of MoLo (Wang et al., CVPR 2023: alibaba-mmai-research/MoLo,
//! runs/train_net_few_shot.py), with 0.05 for each of four contrastive distances:
//!
//! ```text
//! L = w · CE(−distance) + Σ w_i · CE(−further distance i)
//! ```
//! The prediction is the nearest class by the alignment's own distance.

use super::ma_clip::cross_entropy;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::objective::{Labels, Loss, Objective, Scores};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Options of the weighted distances.
#[derive(Clone, Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct WeightedDistances {
    /// w, the factor of the loss of the alignment's own distance.
    #[schemars(range(min = 0.0))]
    own: f64,
    /// w_i, the factor of the loss of each further distance, by its name. `maclip describe alignment NAME` tells the
    /// names.
    weights: BTreeMap<String, f64>,
}

register!(dyn Objective, WeightedDistances, name: "weighted_distances",
    summary: "cross-entropy on each of several distances of an alignment; no text",
    paper: Some("STRM, CVPR 2022; MoLo, CVPR 2023"), stability: Stable, usage: "{own: 1.0}");

impl Component for WeightedDistances {
    type Slot = dyn Objective;

    fn validate(&self, problems: &mut Problems) {
        for (name, weight) in &self.weights {
            problems.when(weight.is_nan() || *weight < 0.0, &format!("weights.{name}"), "must be at least 0");
        }
        let none = self.own + self.weights.values().sum::<f64>() == 0.0;
        problems.when(none, "own", "must be above 0 where no further distance has a weight: nothing would be trained");
    }

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        let unknown = |name: &&String| facts.complete && !facts.further.contains(&name.as_str());
        for name in self.weights.keys().filter(unknown) {
            let there = match &facts.further[..] {
                [] => "the alignment computes no further distances".to_owned(),
                names => format!("the alignment's further distances are {}", names.join(", ")),
            };
            problems.push("weights", format!("has the name `{name}`, and {there}"));
        }
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Objective>> {
        let names = self.weights.into_iter();
        // The names of loss terms live as long as the program, and a recipe has few of them.
        let weights = names.map(|(name, weight)| (&*String::leak(name), weight)).collect();
        Ok(Box::new(Weighted { own: self.own, weights }))
    }
}

#[derive(Module, Debug)]
struct Weighted {
    own: f64,
    #[module(skip)]
    weights: Vec<(&'static str, f64)>,
}

impl Objective for Weighted {
    fn needs_text(&self) -> bool {
        false
    }

    fn loss(&self, scores: &Scores, labels: &Labels) -> Loss {
        let of = |distances: Tensor<3>| cross_entropy(distances.neg(), labels.query.clone());
        let own = (self.own > 0.0).then(|| ("distances", self.own, of(scores.distances.clone())));
        let further = self.weights.iter().map(|(name, weight)| (*name, *weight, of(scores.named(name))));
        let terms: Vec<_> = own.into_iter().chain(further).collect();
        let total = terms.iter().map(|(_, weight, loss)| loss.clone() * *weight).reduce(|a, b| a + b);
        Loss {
            total: total.expect("a weight above 0 is checked"),
            parts: terms.into_iter().map(|(name, _, loss)| (name, loss)).collect(),
        }
    }

    fn probabilities(&self, scores: &Scores) -> Tensor<3> {
        softmax(scores.distances.clone().neg(), 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, objective::Traits};
    use burn::tensor::Device;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::objective::holds::<WeightedDistances>(Traits::default());
    }

    #[test]
    fn each_distance_has_its_weight() {
        let device = Device::flex();
        let of = |values: [f32; 2]| Tensor::<3>::from_data([[values]], &device);
        let weights = BTreeMap::from([("frames".to_owned(), 1.0), ("patches".to_owned(), 0.1)]);
        let objective = WeightedDistances { own: 0.0, weights }.build(&BuildContext::new(1, device.clone())).unwrap();
        let further = vec![("frames", of([1.0, 3.0])), ("patches", of([2.0, 1.0]))];
        let scores = Scores { further, ..Scores::of(of([0.0, 9.0])) };
        let labels = |value: i32| Tensor::from_data([[value]], &device);
        let loss = objective.loss(&scores, &Labels { query: labels(0), support: labels(0) });
        let entropy = |difference: f64| (1.0 + difference.exp()).ln();
        let want = entropy(-2.0) + 0.1 * entropy(1.0);
        assert!((f64::from(loss.total.into_scalar::<f32>()) - want).abs() < 1e-6);
        assert_eq!(loss.parts.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["frames", "patches"]);
    }
}

//! `with_class_loss`: another objective, and the loss of a linear classifier over all training classes.
//!
//! Source: public code of HyRSM (Wang et al., CVPR 2022), whose classifier sees each frame after the attention inside
//! the clip, and of D2ST-Adapter (Pei et al., ICCV 2025), whose classifier sees the time average of a clip:
//!
//! ```text
//! L = L' + w · CE(W x + b, class of the clip among all training classes)      L' is the other objective's loss
//! ```
//! The classifier is trained with the rest and takes no part in the prediction.

use super::ma_clip::cross_entropy;
use crate::layers::{Init, linear};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Int, Tensor};
use maclip_framework::error::{Error, Result};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Nested};
use maclip_framework::slots::module::Slot;
use maclip_framework::slots::objective::{AllClasses, Labels, Loss, Objective, Scores};
use serde::{Deserialize, Serialize};

/// Options of the classifier.
#[derive(Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct WithClassLoss {
    /// The objective that the loss is added to, with its `type` and its options.
    objective: Nested<dyn Objective>,
    /// w. In the public code of HyRSM 0.6 on SSv2-Full, 0.4 on Kinetics and 0.15 elsewhere.
    #[serde(default = "weight")]
    #[schemars(range(min = 0.0))]
    weight: f64,
    /// What is classified: `frames_after_prototype` as in HyRSM, or `clips` as in D2ST-Adapter.
    #[serde(default)]
    of: Of,
    /// Number of training classes; `null` takes it from the dataset, where the dataset states it.
    #[serde(default)]
    #[schemars(range(min = 2, max = 100_000))]
    classes: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Of {
    /// Each frame after the prototype module, support clips and queries.
    #[default]
    FramesAfterPrototype,
    /// The time average of each clip before the prototype module.
    Clips,
}

fn weight() -> f64 {
    0.5
}

register!(dyn Objective, WithClassLoss, name: "with_class_loss",
    summary: "another objective, and a linear classifier over all training classes",
    paper: Some("HyRSM, CVPR 2022"), stability: Stable, usage: "{objective: {type: metric}, weight: 0.5, classes: 64}");

impl Component for WithClassLoss {
    type Slot = dyn Objective;

    fn build(self, context: &BuildContext) -> Result<Box<dyn Objective>> {
        let Some(classes) = self.classes.or(context.train_classes) else {
            return Err(Error::failed(
                "the objective `with_class_loss` does not know how many training classes there are",
            )
            .help("the dataset does not state it before it is read: give `objective.classes`"));
        };
        let objective = Slot::new(self.objective.build(context)?);
        let mut init = Init::new(context.init("objective.classifier"), context.trainable_device());
        let layout = if self.of == Of::Clips { context.given() } else { context.compared() };
        let classifier = init.linear(layout.feature_width(), classes);
        Ok(Box::new(Classified { objective, classifier, weight: self.weight, of: self.of, classes }))
    }
}

#[derive(Module, Debug)]
struct Classified {
    objective: Slot<dyn Objective>,
    classifier: Linear,
    weight: f64,
    #[module(skip)]
    of: Of,
    classes: usize,
}

impl Classified {
    /// The mean cross-entropy over frames or clips.
    fn class_loss(&self, all: &AllClasses) -> Tensor<1> {
        let [n, m, t, e] = all.prototypes.dims();
        let (features, labels): (Tensor<3>, Tensor<2, Int>) = match self.of {
            Of::FramesAfterPrototype => {
                let labels = all.labels.clone().unsqueeze_dim::<3>(2).expand([n, m, t]);
                (all.prototypes.clone().reshape([n, m * t, e]), labels.reshape([n, m * t]))
            }
            Of::Clips => (all.clips(), all.labels.clone()),
        };
        cross_entropy(linear(&self.classifier, features), labels)
    }
}

impl Objective for Classified {
    fn inner(&self) -> Option<&dyn Objective> {
        Some(&*self.objective)
    }

    fn needs_text(&self) -> bool {
        self.objective.needs_text()
    }

    fn all_classes(&self) -> bool {
        true
    }

    fn classes(&self) -> Option<usize> {
        Some(self.classes)
    }

    fn loss(&self, scores: &Scores, labels: &Labels) -> Loss {
        let Loss { mut total, mut parts } = self.objective.loss(scores, labels);
        if let Some(all) = &scores.all_classes {
            let loss = self.class_loss(all);
            total = total + loss.clone() * self.weight;
            parts.push(("classes", loss));
        }
        Loss { total, parts }
    }

    fn probabilities(&self, scores: &Scores) -> Tensor<3> {
        self.objective.probabilities(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, objective::Traits};
    use burn::module::Param;
    use burn::nn::LinearConfig;
    use burn::tensor::Device;
    use maclip_framework::registry::{build_choice, resolve_choice, slot};
    use maclip_language::read_str;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::objective::holds::<WithClassLoss>(Traits {
            also: &[
                "objective: {type: metric}, of: clips, classes: 64",
                "objective: {type: ma_clip, alpha: 0.3, text_scale: 10}, classes: 64",
            ],
            ..Traits::default()
        });
    }

    #[test]
    fn the_loss_is_the_hand_computed_one() {
        let device = Device::flex();
        let metric =
            resolve_choice(slot("objective").unwrap(), &read_str("t.yaml", "{type: metric}").unwrap()).unwrap();
        let metric: Box<dyn Objective> = build_choice(&metric, &BuildContext::new(1, device.clone())).unwrap();
        // Logits are the two features and their sum.
        let mut classifier = LinearConfig::new(2, 3).init(&device);
        classifier.weight = Param::from_tensor(Tensor::from_data([[1.0f32, 0.0, 1.0], [0.0, 1.0, 1.0]], &device));
        classifier.bias = None;
        let classified = |of| Classified {
            objective: Slot::new(metric.clone()),
            classifier: classifier.clone(),
            weight: 0.5,
            of,
            classes: 3,
        };
        let frames = Tensor::<4>::from_data([[[[1.0f32, 0.0], [0.0, 2.0]]]], &device);
        let labels = |value: i32| Tensor::<2, Int>::from_data([[value]], &device);
        let scores = Scores {
            all_classes: Some(AllClasses {
                frames: frames.clone(),
                given: frames.clone(),
                compared: frames.clone(),
                prototypes: frames,
                texts: Tensor::zeros([1, 3, 2], &device),
                labels: labels(2),
            }),
            ..Scores::of(Tensor::from_data([[[1.0f32, 3.0]]], &device))
        };
        let of = |of| {
            let loss = classified(of).loss(&scores, &Labels { query: labels(0), support: labels(0) });
            loss.total.into_scalar::<f32>() as f64
        };
        let metric = (1.0f64 + (-2.0f64).exp()).ln();
        let entropy = |logits: [f64; 3]| logits.map(f64::exp).iter().sum::<f64>().ln() - logits[2];
        let frames = (entropy([1.0, 0.0, 1.0]) + entropy([0.0, 2.0, 2.0])) / 2.0;
        assert!((of(Of::FramesAfterPrototype) - (metric + 0.5 * frames)).abs() < 1e-5);
        assert!((of(Of::Clips) - (metric + 0.5 * entropy([0.5, 1.0, 1.5]))).abs() < 1e-5);
    }
}

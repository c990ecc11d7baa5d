//! `ts_fsar`: cross-entropies of the metric, of a classifier and of texts at two places, and the product of three
//! probabilities.
//!
//! Source: TS-FSAR (AAAI 2026) and its public code (yaozhang0417/TS-FSAR@1a91053, `trainers/ts_fsar.py`). With d the
//! distances of `alignment: {type: ts_dcm}`, and z, c and f' (covariances, class tokens of the side network, features)
//! of `prototype: {type: ts_fsar}`, averaged over time:
//!
//! ```text
//! u = W_u LN(c)    l_u = τ_s cos(u, text)    l_f = τ_c cos(f', text)    l_z = W_z dropout(z)
//! L = λ_v CE(−d) + λ_z CE(l_z) + λ_u CE(l_u) + λ_k (T² KL(softmax(l_f / T) ‖ softmax(l_z / T)) + CE(l_f))
//! p ∝ softmax(−d)^a softmax(l_f)^b softmax(l_u)^c
//! ```
//! The losses with texts and the classifier are over all training classes, and over support clips and queries.
//! Gradients flow into both sides of the divergence. The exponents of the public code differ by data set and number of
//! shots.

use super::ma_clip::cross_entropy;
use crate::layers::{Init, LayerNorm, linear};
use crate::prototypes::ts_fsar::{COVARIANCE, SIDE};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::{log_softmax, softmax};
use maclip_framework::error::{Error, Result};
use maclip_framework::model::few_shot::text_cosines;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::draws::Dropout;
use maclip_framework::slots::layout::{Layout, Part};
use maclip_framework::slots::objective::{Labels, Loss, Objective, Scores};
use serde::{Deserialize, Serialize};

/// Options of TS-FSAR's objective. The defaults are those of HMDB51 with one shot.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TsFsarConfig {
    /// λ_v, the weight of the metric's loss.
    #[schemars(range(min = 0.0))]
    vision_weight: f64,
    /// λ_z, the weight of the classifier's loss.
    #[schemars(range(min = 0.0))]
    class_weight: f64,
    /// λ_u, the weight of the side network's loss with texts.
    #[schemars(range(min = 0.0))]
    side_weight: f64,
    /// λ_k, the weight of the features' loss with texts and of the divergence.
    #[schemars(range(min = 0.0))]
    distillation_weight: f64,
    /// T of the divergence: 4 on SSv2, 10 elsewhere.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    temperature: f64,
    /// τ_c, the factor on cosines of features and texts.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    clip_scale: f64,
    /// τ_s, the factor on cosines of the side network and texts.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    side_scale: f64,
    /// a, the exponent of the metric's probability.
    #[schemars(range(min = 0.0))]
    vision_exponent: f64,
    /// b, the exponent of the features' probability.
    #[schemars(range(min = 0.0))]
    clip_exponent: f64,
    /// c, the exponent of the side network's probability.
    #[schemars(range(min = 0.0))]
    side_exponent: f64,
    /// Dropout before the classifier.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    dropout: f64,
    /// Number of training classes; `null` takes it from the dataset, where the dataset states it.
    #[schemars(range(min = 2, max = 100_000))]
    classes: Option<usize>,
}

impl Default for TsFsarConfig {
    fn default() -> Self {
        Self {
            vision_weight: 1.0,
            class_weight: 1.0,
            side_weight: 1.0,
            distillation_weight: 6.0,
            temperature: 10.0,
            clip_scale: 50.0,
            side_scale: 50.0,
            vision_exponent: 0.15,
            clip_exponent: 0.8,
            side_exponent: 0.05,
            dropout: 0.7,
            classes: None,
        }
    }
}

register!(dyn Objective, TsFsarConfig, name: "ts_fsar",
    summary: "losses of the metric, of a classifier and of texts; the product of three probabilities",
    paper: Some("TS-FSAR, AAAI 2026"), stability: Experimental, usage: "{classes: 64}");

const READ: [Part; 2] = [COVARIANCE, SIDE];

impl TsFsarConfig {
    /// The objective, for frames of the values that `context` says.
    ///
    /// # Errors
    /// Where the number of training classes is not known, or the prototype module is another one.
    pub fn head(&self, context: &BuildContext) -> Result<TsFsar> {
        let Some(classes) = self.classes.or(context.train_classes) else {
            return Err(Error::failed("the objective `ts_fsar` does not know how many training classes there are")
                .help("the dataset does not state it before it is read: give `objective.classes`"));
        };
        let layout = context.compared().clone();
        let [_, covariance] = layout.shape(COVARIANCE)?;
        let [_, width] = layout.shape(SIDE)?;
        let mut init = Init::new(context.init("objective"), context.trainable_device());
        Ok(TsFsar {
            up_norm: init.layer_norm(width),
            up: init.linear_without_bias(width, layout.feature_width()),
            classifier: init.linear_without_bias(covariance, classes),
            dropout: Dropout::new(self.dropout, "objective.classifier"),
            options: self.clone(),
            layout,
            classes,
        })
    }
}

impl Component for TsFsarConfig {
    type Slot = dyn Objective;

    fn describe(&self, facts: &mut Facts) {
        facts.readers.push("objective");
        READ.iter().for_each(|part| facts.reads("objective", *part));
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Objective>> {
        Ok(Box::new(self.head(context)?))
    }
}

/// The objective with its trained parts.
#[derive(Module, Debug)]
pub struct TsFsar {
    up_norm: LayerNorm,
    up: Linear,
    classifier: Linear,
    dropout: Dropout,
    #[module(skip)]
    options: TsFsarConfig,
    #[module(skip)]
    layout: Layout,
    classes: usize,
}

/// The mean over time: `[N, M, T, A]` → `[N, M, A]`.
fn over_time(x: Tensor<4>) -> Tensor<3> {
    x.mean_dim(2).squeeze_dim(2)
}

impl TsFsar {
    /// u of all values of frames: `[N, M, T, F]` → `[N, M, T, E]`.
    pub fn mapped(&self, values: Tensor<4>) -> Tensor<4> {
        linear(&self.up, self.up_norm.forward(self.layout.part(SIDE, values)))
    }

    /// l_f and l_u of values `[N, M, T, F]` and texts `[N, C, E]`, each `[N, M, C]`.
    fn by_text(&self, values: Tensor<4>, texts: Tensor<3>) -> [Tensor<3>; 2] {
        let features = over_time(self.layout.feature(values.clone()));
        let side = over_time(self.mapped(values));
        [
            text_cosines(features, texts.clone()) * self.options.clip_scale,
            text_cosines(side, texts) * self.options.side_scale,
        ]
    }

    /// l_z of values `[N, M, T, F]` → `[N, M, C]`.
    pub fn by_class(&self, values: Tensor<4>) -> Tensor<3> {
        linear(&self.classifier, self.dropout.forward(over_time(self.layout.part(COVARIANCE, values))))
    }

    /// The logarithm of softmax(−d)^a softmax(l_f)^b softmax(l_u)^c, `[N, Q, W]`.
    pub fn log_product(&self, scores: &Scores) -> Tensor<3> {
        let given = scores.frames.as_ref().expect("given to an objective that needs frames");
        let [clip, side] = self.by_text(given.query.clone(), given.texts.clone());
        let vision = log_softmax(-scores.distances.clone(), 2) * self.options.vision_exponent;
        vision + log_softmax(clip, 2) * self.options.clip_exponent + log_softmax(side, 2) * self.options.side_exponent
    }

    /// T² KL(softmax(teacher / T) ‖ softmax(student / T)), the mean over clips: `[N, M, C]` each.
    fn divergence(&self, student: Tensor<3>, teacher: Tensor<3>) -> Tensor<1> {
        let ([n, m, _], t) = (student.dims(), self.options.temperature);
        let (student, teacher) = (log_softmax(student / t, 2), log_softmax(teacher / t, 2));
        (teacher.clone().exp() * (teacher - student)).sum() * (t * t / (n * m) as f64)
    }
}

impl Objective for TsFsar {
    fn needs_text(&self) -> bool {
        true
    }

    fn needs_frames(&self) -> bool {
        true
    }

    fn all_classes(&self) -> bool {
        true
    }

    fn classes(&self) -> Option<usize> {
        Some(self.classes)
    }

    fn loss(&self, scores: &Scores, labels: &Labels) -> Loss {
        let options = &self.options;
        let vision = cross_entropy(-scores.distances.clone(), labels.query.clone());
        let mut total = vision.clone() * options.vision_weight;
        let mut parts = vec![("vision", vision)];
        if let Some(all) = &scores.all_classes {
            let (of_class, labels) = (self.by_class(all.compared.clone()), &all.labels);
            let [clip, side] = self.by_text(all.compared.clone(), all.texts.clone());
            let divergence = self.divergence(of_class.clone(), clip.clone());
            let [of_class, clip, side] = [of_class, clip, side].map(|logits| cross_entropy(logits, labels.clone()));
            total = total
                + of_class.clone() * options.class_weight
                + side.clone() * options.side_weight
                + (divergence.clone() + clip.clone()) * options.distillation_weight;
            parts.extend([("classes", of_class), ("clip_text", clip), ("side_text", side), ("divergence", divergence)]);
        }
        Loss { total, parts }
    }

    fn probabilities(&self, scores: &Scores) -> Tensor<3> {
        softmax(self.log_product(scores), 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, objective::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::objective::holds::<TsFsarConfig>(Traits {
            instead: Some("classes: 5"),
            parts: &[(COVARIANCE, [1, 10]), (SIDE, [1, 4])],
            with: &[
                ("prototype", "{type: ts_fsar, blocks: 6, width: 8, heads: 2, temporal: [3], adapter_heads: 4}"),
                ("alignment", "{type: ts_dcm}"),
            ],
            ..Traits::default()
        });
    }
}

//! `ma_clip`: the three losses of MA-CLIP and its combined prediction.
//!
//! Source: MA-CLIP (arXiv 2308.01532), figure 2; the form of the KL loss is that of the same authors' ActionCLIP.
//!
//! ```text
//! L = α ½ (L_S2T + L_Q2T) + (1 − α) L_Q2S
//! p = α p_Q2T + (1 − α) p_Q2S
//! ```
//! p_Q2S = softmax(−s_m · distance), p_Q2T = softmax(s_t · cosine), over the classes of the episode. ActionCLIP writes
//! P sentences for a class and predicts with the mean of P softmaxes: `text_prediction: each_sentence`.

use burn::module::Module;
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Int, Tensor};
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::objective::{Labels, Loss, Objective, Scores};
use serde::{Deserialize, Serialize};

/// Options of MA-CLIP's objective. The paper gives neither α nor the temperatures.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct MaClipConfig {
    /// α in 0..1, the weight of the video-text part in loss and prediction. 0.5: no side is preferred.
    #[schemars(range(min = 0.0, max = 1.0))]
    alpha: f64,
    /// s_t, the factor on video-text cosines. 100 is the factor that CLIP itself has learned.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    text_scale: f64,
    /// s_m, the factor on −distance. 1 in public code.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    metric_scale: f64,
    /// Form of the video-text loss: `kl`, KL(target ‖ p) with target = softmax(`kl_target_scale` · one-hot), mean over
    /// clips; `kl_elements`, the sum over clips divided by the number of classes, as in ActionCLIP's code; or
    /// `cross_entropy`, the same as `kl` with a one-hot target.
    text_loss: TextLoss,
    /// How close the target of `kl` is to one-hot. 10 in ActionCLIP.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    kl_target_scale: f64,
    /// p_Q2T where `prompt` writes several sentences for a class: `averaged_embedding`, the softmax of the cosines with
    /// the class text, which is the mean of the sentences' unit vectors; or `each_sentence`, the mean of the softmaxes
    /// of the cosines with each sentence, as in ActionCLIP's code. The loss takes the class text either way; ActionCLIP
    /// trains with one random sentence a clip.
    text_prediction: TextPrediction,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum TextPrediction {
    /// Softmax of the cosines with the class text.
    AveragedEmbedding,
    /// Mean of the softmaxes of the cosines with each sentence, as in ActionCLIP's code.
    EachSentence,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum TextLoss {
    /// KL(target ‖ p), mean over clips.
    Kl,
    /// The sum over clips divided by the number of classes, as in ActionCLIP's code.
    KlElements,
    /// KL with a one-hot target.
    CrossEntropy,
}

impl Default for MaClipConfig {
    fn default() -> Self {
        Self {
            alpha: 0.5,
            text_scale: 100.0,
            metric_scale: 1.0,
            text_loss: TextLoss::Kl,
            kl_target_scale: 10.0,
            text_prediction: TextPrediction::AveragedEmbedding,
        }
    }
}

register!(dyn Objective, MaClipConfig, name: "ma_clip",
    summary: "metric loss and two video-text losses, combined prediction",
    paper: Some("MA-CLIP, arXiv 2308.01532, figure 2"), stability: Stable, usage: "{alpha: 0.5}");

impl Component for MaClipConfig {
    type Slot = dyn Objective;

    fn describe(&self, facts: &mut Facts) {
        facts.readers.extend((self.alpha > 0.0).then_some("objective"));
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Objective>> {
        Ok(Box::new(MaClip { config: self }))
    }
}

#[derive(Module, Debug)]
struct MaClip {
    #[module(skip)]
    config: MaClipConfig,
}

/// Mean cross-entropy of logits `[N, M, W]` with labels `[N, M]`.
pub fn cross_entropy(logits: Tensor<3>, labels: Tensor<2, Int>) -> Tensor<1> {
    let chosen = log_softmax(logits, 2).gather(2, labels.unsqueeze_dim(2));
    chosen.mean().neg()
}

impl MaClip {
    /// Loss of video-text logits `[N, M, W]`, mean over N · M clips.
    fn text_loss(&self, cosines: Tensor<3>, labels: Tensor<2, Int>) -> Tensor<1> {
        let logits = cosines * self.config.text_scale;
        if self.config.text_loss == TextLoss::CrossEntropy {
            return cross_entropy(logits, labels);
        }
        // target: e^s for the label and 1 for the other W − 1 classes, normalised. Its entropy is a constant.
        let [n, m, way] = logits.dims();
        let others = (-self.config.kl_target_scale).exp();
        let sum = 1.0 + others * (way as f64 - 1.0);
        let (hit, miss) = (1.0 / sum, others / sum);
        let entropy = hit * hit.ln() + (way as f64 - 1.0) * if miss > 0.0 { miss * miss.ln() } else { 0.0 };
        let log_p = log_softmax(logits, 2);
        let chosen = log_p.clone().gather(2, labels.unsqueeze_dim(2)).sum();
        let all = log_p.sum();
        let cross = chosen * (hit - miss) + all * miss;
        let mean = (cross * (-1.0 / (n * m) as f64)) + entropy;
        match self.config.text_loss {
            TextLoss::KlElements => mean * (m as f64 / way as f64),
            _ => mean,
        }
    }
}

impl Objective for MaClip {
    fn needs_text(&self) -> bool {
        self.config.alpha > 0.0
    }

    fn needs_sentences(&self) -> bool {
        self.needs_text() && self.config.text_prediction == TextPrediction::EachSentence
    }

    fn loss(&self, scores: &Scores, labels: &Labels) -> Loss {
        let alpha = self.config.alpha;
        let metric = cross_entropy(scores.distances.clone() * -self.config.metric_scale, labels.query.clone());
        let mut parts = vec![("q2s", metric.clone())];
        let mut total = metric * (1.0 - alpha);
        if let (Some(query), Some(support)) = (&scores.query_text, &scores.support_text) {
            let q2t = self.text_loss(query.clone(), labels.query.clone());
            let s2t = self.text_loss(support.clone(), labels.support.clone());
            total = total + (q2t.clone() + s2t.clone()) * (0.5 * alpha);
            parts.extend([("s2t", s2t), ("q2t", q2t)]);
        }
        Loss { total, parts }
    }

    fn probabilities(&self, scores: &Scores) -> Tensor<3> {
        let metric = softmax(scores.distances.clone() * -self.config.metric_scale, 2);
        let scale = self.config.text_scale;
        let of_sentences = scores.query_sentences.clone().filter(|_| self.needs_sentences());
        let text = match (of_sentences, &scores.query_text) {
            // [N, Q, P, W] → [N, Q, W]
            (Some(cosines), _) => softmax(cosines * scale, 3).mean_dim(2).squeeze_dim(2),
            (None, Some(cosines)) => softmax(cosines.clone() * scale, 2),
            (None, None) => return metric,
        };
        metric * (1.0 - self.config.alpha) + text * self.config.alpha
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, objective::Traits, scopes};
    use burn::tensor::Device;

    fn objective(change: impl Fn(&mut MaClipConfig)) -> MaClip {
        let mut config = MaClipConfig { text_scale: 1.0, ..Default::default() };
        change(&mut config);
        MaClip { config }
    }

    fn scores() -> (Scores, Labels) {
        let device = Device::flex();
        let tensor = |values: [[[f32; 2]; 2]; 1]| Tensor::<3>::from_data(values, &device);
        let labels = |values: [[i32; 2]; 1]| Tensor::<2, Int>::from_data(values, &device);
        let scores = Scores {
            query_text: Some(tensor([[[0.2, 0.1], [0.3, 0.0]]])),
            support_text: Some(tensor([[[0.5, -0.5], [0.0, 0.0]]])),
            ..Scores::of(tensor([[[0.0, 1.0], [1.0, 0.5]]]))
        };
        (scores, Labels { query: labels([[0, 1]]), support: labels([[0, 1]]) })
    }

    fn value(tensor: &Tensor<1>) -> f64 {
        tensor.clone().into_scalar::<f32>() as f64
    }

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::objective::holds::<MaClipConfig>(Traits {
            also: &[
                "alpha: 0",
                "text_loss: kl_elements",
                "text_loss: cross_entropy",
                "text_prediction: each_sentence",
                "alpha: 0, text_prediction: each_sentence",
            ],
            ..Traits::default()
        });
    }

    /// Evaluation by scopes and episode by episode, where each of the 16 sentences counts.
    #[test]
    fn evaluation_compares_with_each_sentence() {
        let each = ("objective", "{type: ma_clip, alpha: 1, text_prediction: each_sentence}");
        let prompt = ("prompt", "{type: action_clip}");
        let [planned, one_by_one] = scopes::both_ways(&[each, prompt], |model| model);
        assert!(planned == one_by_one);
        let averaged = ("objective", "{type: ma_clip, alpha: 1}");
        let [other, _] = scopes::both_ways(&[averaged, prompt], |model| model);
        assert!(planned.iter().zip(&other).any(|(one, other)| one.probabilities != other.probabilities));
    }

    #[test]
    fn losses_are_the_hand_computed_ones() {
        let (scores, labels) = scores();
        let loss = objective(|c| c.text_loss = TextLoss::CrossEntropy).loss(&scores, &labels);
        let nll = |difference: f64| (1.0 + (-difference).exp()).ln();
        let q2s = (nll(1.0) + nll(0.5)) / 2.0;
        let q2t = (nll(0.1) + nll(-0.3)) / 2.0;
        let s2t = (nll(1.0) + nll(0.0)) / 2.0;
        for (part, want) in loss.parts.iter().zip([q2s, s2t, q2t]) {
            assert!((value(&part.1) - want).abs() < 1e-6, "{}", part.0);
        }
        assert!((value(&loss.total) - (0.25 * (q2t + s2t) + 0.5 * q2s)).abs() < 1e-6);
    }

    #[test]
    fn kl_is_zero_at_its_target_and_cross_entropy_for_a_sharp_one() {
        let (mut scores, labels) = scores();
        let same = Tensor::<3>::from_data([[[2.0f32, 0.0], [0.0, 2.0]]], &Device::flex());
        scores.query_text = Some(same.clone());
        scores.support_text = Some(same);
        let kl = objective(|c| c.kl_target_scale = 2.0).loss(&scores, &labels);
        assert!(value(&kl.parts[1].1).abs() < 1e-6);
        let sharp = objective(|c| c.kl_target_scale = 60.0).loss(&scores, &labels);
        let entropy = objective(|c| c.text_loss = TextLoss::CrossEntropy).loss(&scores, &labels);
        assert!((value(&sharp.total) - value(&entropy.total)).abs() < 1e-6);
    }

    #[test]
    fn with_each_sentence_the_softmaxes_are_averaged() {
        let (scores, _) = scores();
        // Two sentences: cosines (0.5, 0.1) and (−0.2, 0.4) with the two classes, for the first query.
        let each = Tensor::<4>::from_data([[[[0.5f32, 0.1], [-0.2, 0.4]], [[0.0, 0.0], [0.0, 0.0]]]], &Device::flex());
        let scores = Scores { query_sentences: Some(each), ..scores };
        let objective = objective(|c| {
            c.alpha = 1.0;
            c.text_scale = 2.0;
            c.text_prediction = TextPrediction::EachSentence;
        });
        let p: Vec<f32> = objective.probabilities(&scores).into_data().try_to_vec().unwrap();
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let want = 0.5 * (sigmoid(2.0 * 0.4) + sigmoid(2.0 * -0.6));
        assert!((p[0] as f64 - want).abs() < 1e-6 && (p[2] - 0.5).abs() < 1e-6, "{p:?}");
    }

    #[test]
    fn the_prediction_mixes_both_sides() {
        let (scores, _) = scores();
        let p: Vec<f32> = objective(|_| ()).probabilities(&scores).into_data().try_to_vec().unwrap();
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let want = 0.5 * sigmoid(1.0) + 0.5 * sigmoid(0.1);
        assert!((p[0] as f64 - want).abs() < 1e-6 && (p[0] + p[1] - 1.0).abs() < 1e-6);
        let metric_only: Vec<f32> = objective(|c| c.alpha = 0.0)
            .probabilities(&Scores { query_text: None, ..scores })
            .into_data()
            .try_to_vec()
            .unwrap();
        assert!((metric_only[0] as f64 - sigmoid(1.0)).abs() < 1e-6);
    }
}

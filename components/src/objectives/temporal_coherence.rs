//! `temporal_coherence`: another objective, and a loss that keeps frames near in time alike and frames far apart
//! different.
//!
//! Source: HyRSM++ (Wang et al., 2023, arXiv 2301.03330) as its public code computes it (alibaba-mmai-research/MoLo,
//! models/base/few_shot.py, `CNN_HyRSM_plusplus_1shot`). On what is aligned, each query and each view of a support
//! clip, with D the distance 1 − cosine of its frames i and j:
//!
//! ```text
//! l(i, j) = D / ((i − j)² + 1)                                      |i − j| ≤ window
//! l(i, j) = λ relu(1 − exp(−(|i − j| − window)² / σ) − D)           else
//! L = L' + w · (mean of l over queries + mean of l over supports)    L' is the other objective's loss
//! ```

use crate::layers::plain_device;
use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData};
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Nested};
use maclip_framework::slots::explanation::normalize;
use maclip_framework::slots::module::Slot;
use maclip_framework::slots::objective::{Labels, Loss, Objective, Scores};
use serde::{Deserialize, Serialize};

/// Options of the temporal coherence.
#[derive(Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct TemporalCoherence {
    /// The objective that the loss is added to, with its `type` and its options.
    objective: Nested<dyn Objective>,
    /// w. In public code 0.3 on SSv2-Full, 0.2 on SSv2-Small and HMDB51, 0.1 elsewhere.
    #[serde(default = "weight")]
    #[schemars(range(min = 0.0))]
    weight: f64,
    /// How far apart frames are that shall be alike. In public code 1 on SSv2-Full and HMDB51, 3 elsewhere.
    #[serde(default = "window")]
    #[schemars(range(min = 0))]
    window: usize,
    /// σ. In public code 51 with the window 1, 23 with the window 3.
    #[serde(default = "sigma")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    sigma: f64,
    /// λ. In public code 20 on HMDB51, 10 elsewhere.
    #[serde(default = "balance")]
    #[schemars(range(min = 0.0))]
    balance: f64,
}

fn weight() -> f64 {
    0.3
}

fn window() -> usize {
    1
}

fn sigma() -> f64 {
    51.0
}

fn balance() -> f64 {
    10.0
}

register!(dyn Objective, TemporalCoherence, name: "temporal_coherence",
    summary: "another objective, and a loss on how alike the frames of a clip are",
    paper: Some("HyRSM++, arXiv 2301.03330"), stability: Stable, usage: "{objective: {type: metric}, weight: 0.3}");

impl Component for TemporalCoherence {
    type Slot = dyn Objective;

    fn build(self, context: &BuildContext) -> Result<Box<dyn Objective>> {
        let Self { objective, weight, window, sigma, balance } = self;
        let objective = Slot::new(objective.build(context)?);
        Ok(Box::new(Coherent { objective, weight, window, sigma, balance }))
    }
}

#[derive(Module, Debug)]
struct Coherent {
    objective: Slot<dyn Objective>,
    weight: f64,
    window: usize,
    sigma: f64,
    balance: f64,
}

/// For each pair of `t` frames: whether they are within `window`, as 1 or 0, and 1 / ((i − j)² + 1) where they are,
/// 1 − exp(−(|i − j| − window)² / σ) where they are not. Each is `[T, T]`, row after row.
pub fn targets(t: usize, window: usize, sigma: f64) -> [Vec<f32>; 2] {
    let pairs = || (0..t * t).map(|at| (at / t).abs_diff(at % t));
    let target = |apart: usize| match apart <= window {
        true => 1.0 / ((apart * apart) as f64 + 1.0),
        false => 1.0 - (-((apart - window) as f64).powi(2) / sigma).exp(),
    };
    [pairs().map(|apart| f32::from(apart <= window)).collect(), pairs().map(|apart| target(apart) as f32).collect()]
}

impl Coherent {
    /// The mean of l over clips `[B, T, E]` and pairs of frames, `[1]`.
    fn coherence(&self, clips: Tensor<3>) -> Tensor<1> {
        let [_, t, _] = clips.dims();
        let device = plain_device(&clips);
        let unit = normalize(clips);
        let distances = unit.clone().matmul(unit.swap_dims(1, 2)).neg() + 1.0;
        let matrix = |values: Vec<f32>| Tensor::<3>::from_data(TensorData::new(values, [1, t, t]), &device);
        let [inside, target] = targets(t, self.window, self.sigma);
        let (inside, target) = (matrix(inside), matrix(target));
        let near = distances.clone() * (inside.clone() * target.clone());
        let far = relu(distances.neg() + target) * ((inside.neg() + 1.0) * self.balance);
        (near + far).mean()
    }
}

impl Objective for Coherent {
    fn inner(&self) -> Option<&dyn Objective> {
        Some(&*self.objective)
    }

    fn needs_text(&self) -> bool {
        self.objective.needs_text()
    }

    fn needs_related(&self) -> bool {
        true
    }

    fn loss(&self, scores: &Scores, labels: &Labels) -> Loss {
        let Loss { mut total, mut parts } = self.objective.loss(scores, labels);
        if let Some(related) = &scores.related {
            let [_, _, _, _, t, e] = related.support.dims();
            let support = self.coherence(related.support.clone().reshape([-1, t as i32, e as i32]));
            let [_, _, t, e] = related.query.dims();
            let query = self.coherence(related.query.clone().reshape([-1, t as i32, e as i32]));
            let loss = support + query;
            total = total + loss.clone() * self.weight;
            parts.push(("temporal", loss));
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
    use burn::tensor::Device;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::objective::holds::<TemporalCoherence>(Traits {
            also: &["objective: {type: sub_action_product, sub_actions: 1}"],
            ..Traits::default()
        });
    }

    #[test]
    fn a_hand_computed_case() {
        let metric =
            conformance::built::<TemporalCoherence>("objective: {type: metric}", &conformance::context(1, 2, 3));
        drop(metric);
        // Three frames, the first two alike, the third at a right angle: D is 0 or 1.
        let [inside, target] = targets(3, 1, 4.0);
        assert_eq!(inside, [1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
        assert_eq!((target[0], target[1]), (1.0, 0.5));
        assert!((f64::from(target[2]) - (1.0 - (-0.25f64).exp())).abs() < 1e-7);
        let recipe = conformance::built::<TemporalCoherence>(
            "objective: {type: metric}, window: 1, sigma: 4, balance: 10, weight: 1",
            &conformance::context(1, 2, 3),
        );
        let device = Device::flex();
        let clip = |last: [f32; 2]| Tensor::<3>::from_data([[[1.0f32, 0.0], [2.0, 0.0], last]], &device);
        let related = maclip_framework::slots::prototype::Related {
            query: clip([0.0, 1.0]).unsqueeze(),
            support: clip([3.0, 0.0]).reshape([1, 1, 1, 1, 3, 2]),
        };
        let scores = Scores { related: Some(related), ..Scores::of(Tensor::zeros([1, 1, 1], &device)) };
        let labels = || Tensor::from_data([[0i32]], &device);
        let loss = recipe.loss(&scores, &Labels { query: labels(), support: labels() });
        // Query: D = 1 for the pairs (1, 2) and (2, 1) inside; the pair (0, 2) is as far apart as it shall be. Support:
        // all alike, so the pair (0, 2) costs 10 times its target, twice.
        let want = 2.0 * 0.5 / 9.0 + 2.0 * 10.0 * (1.0 - (-0.25f64).exp()) / 9.0;
        assert!((f64::from(loss.total.into_scalar::<f32>()) - want).abs() < 1e-5);
    }
}

//! `sub_action_product`: the similarity to a class times how well the frames fit the class's sub-actions in their
//! order.
//!
//! Source: Task-Adapter++ (arXiv 2505.06002) and its public code (Jaulin-Bage/Task-Adapter-pp@3a29783, `models.py`,
//! `run.py`). With q the frames of a query, t the P sub-actions of a class, and v = −distance, which is the cosine of
//! time averages with `alignment: {type: mean_cosine, shots: mean_features}`:
//!
//! ```text
//! h_f = q_{f+1} + LN(softmax(q_f q_{f+1}ᵀ / √E) q_{f+1})      an attention over the episode's queries, without weights
//! s   = 1 / 3P · Σ_i Σ_{k = 0, 1, 2} cos(t_i, h_{2i+k})
//! L   = CE(64 · v · s)                                        prediction: the largest product
//! ```
//! The norm is there on SSv2-Full alone. A query's score depends on the other queries of the episode (transductive).
//!
//! The public code multiplies v of `[query, class]` with s of `[class, query]` as they are. So a query at place i is
//! scored with the text of the class at place i. Its queries stand in the order of their classes, so this is its own
//! class, and the product knows the label. `as_published` does the same to the queries as they stand. The episodes here
//! shuffle them, so that no place tells a label, and the text is then that of a class at random.

use super::ma_clip::cross_entropy;
use crate::layers::{Init, LayerNorm};
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::explanation::normalize;
use maclip_framework::slots::layout::Layout;
use maclip_framework::slots::objective::{Labels, Loss, Objective, Scores};
use maclip_kernels::operations;
use serde::{Deserialize, Serialize};

/// Options of the objective.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct SubActionProductConfig {
    /// The factor on the product before the softmax. 64 in public code; does not change a prediction.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    scale: f64,
    /// P, the sub-actions of a class: the `prompt` must write so many sentences for each. They take 2 P + 2 frames.
    #[schemars(range(min = 1, max = 64))]
    sub_actions: usize,
    /// Whether the attention over queries has a layer norm behind it, which is trained: in public code on SSv2-Full
    /// alone.
    layer_norm: bool,
    /// `true` multiplies the transposed matrix, as public code does, for comparisons with that code: the score of a
    /// query then depends on its place in the episode. There this is its label, and results are too good; the episodes
    /// here shuffle their queries, and results are too bad. It needs one query of each class.
    as_published: bool,
}

impl Default for SubActionProductConfig {
    fn default() -> Self {
        Self { scale: 64.0, sub_actions: 3, layer_norm: false, as_published: false }
    }
}

register!(dyn Objective, SubActionProductConfig, name: "sub_action_product",
    summary: "cross-entropy on similarity times the fit of frames and sub-actions, largest product; transductive",
    paper: Some("Task-Adapter++, arXiv 2505.06002"), stability: Experimental, usage: "{sub_actions: 1}");

impl Component for SubActionProductConfig {
    type Slot = dyn Objective;

    fn describe(&self, facts: &mut Facts) {
        facts.readers.push("objective");
    }

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        let needed = FIRST + STRIDE * self.sub_actions;
        if let Some(frames) = facts.frames.filter(|frames| *frames < needed) {
            let message = format!("take {needed} frames, and a clip has {frames}");
            problems.push("sub_actions", message);
        }
        problems.when(
            self.as_published && facts.queries.iter().any(|queries| *queries != 1),
            "as_published",
            "needs one query of each class in training and test: set `task.queries` and `task.test.queries` to 1",
        );
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Objective>> {
        let width = context.compared().feature_width();
        let mut init = Init::new(context.init("objective"), context.trainable_device());
        Ok(Box::new(SubActionProduct {
            norm: self.layer_norm.then(|| init.layer_norm(width)),
            layout: context.compared().clone(),
            scale: self.scale,
            sub_actions: self.sub_actions,
            as_published: self.as_published,
        }))
    }
}

/// Aligned frames that a sub-action is compared with, and how many the next one is further.
const WINDOW: usize = 3;
const STRIDE: usize = 2;
/// Frames that are needed beside `STRIDE` for each sub-action: one more in the window, and the one before all.
const FIRST: usize = WINDOW - STRIDE + 1;

#[derive(Module, Debug)]
struct SubActionProduct {
    norm: Option<LayerNorm>,
    #[module(skip)]
    layout: Layout,
    scale: f64,
    sub_actions: usize,
    as_published: bool,
}

/// h: frames `[N, Q, T, E]` → `[N, T − 1, Q, E]`, with `norm` behind the attention where there is one.
pub fn aligned(frames: Tensor<4>, norm: Option<&LayerNorm>) -> Tensor<4> {
    let [n, q, t, e] = frames.dims();
    let frames = frames.swap_dims(1, 2);
    let part = |from: usize| frames.clone().narrow(1, from, t - 1).reshape([n * (t - 1), q, e]);
    let (before, after) = (part(0), part(1));
    let mixed = operations::cross_attention(before, Tensor::cat(vec![after.clone(); 2], 2), None, 1);
    let mixed = match norm {
        Some(norm) => norm.forward(mixed),
        None => mixed,
    };
    (after + mixed).reshape([n, t - 1, q, e])
}

/// s `[N, Q, W]` of h `[N, T − 1, Q, E]` and sentences `[N, W, P, E]`.
pub fn semantic(aligned: Tensor<4>, sentences: Tensor<4>) -> Tensor<3> {
    let units = normalize(aligned);
    let [n, _, q, e] = units.dims();
    let sentences = normalize(sentences).swap_dims(1, 2);
    let [_, p, w, _] = sentences.dims();
    let windows = (0..p).map(|i| units.clone().narrow(1, STRIDE * i, WINDOW).sum_dim(1)).collect();
    let windows: Tensor<4> = Tensor::cat(windows, 1);
    // [N, P, Q, E] · [N, P, E, W].
    let cosines = windows.reshape([n * p, q, e]).matmul(sentences.reshape([n * p, w, e]).swap_dims(1, 2));
    cosines.reshape([n, p, q, w]).sum_dim(1).squeeze_dim(1) / (WINDOW * p) as f64
}

impl SubActionProduct {
    /// 64 · v · s, `[N, Q, W]`.
    fn logits(&self, scores: &Scores) -> Tensor<3> {
        let given = scores.frames.as_ref().expect("given to an objective that needs frames");
        let semantic =
            semantic(aligned(self.layout.feature(given.query.clone()), self.norm.as_ref()), given.sentences.clone());
        let semantic = if self.as_published { semantic.swap_dims(1, 2) } else { semantic };
        -scores.distances.clone() * semantic * self.scale
    }
}

impl Objective for SubActionProduct {
    fn needs_text(&self) -> bool {
        true
    }

    fn needs_frames(&self) -> bool {
        true
    }

    fn mixes_queries(&self) -> bool {
        true
    }

    fn sentences(&self) -> Option<usize> {
        Some(self.sub_actions)
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
    use burn::tensor::{Device, TensorData};
    use maclip_framework::slots::objective::FramesAndSentences;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::objective::holds::<SubActionProductConfig>(Traits {
            also: &["sub_actions: 1, layer_norm: true, scale: 10"],
            ..Traits::default()
        });
    }

    #[test]
    fn frames_and_queries_that_do_not_fit_are_refused() {
        let problems = |config: SubActionProductConfig, frames: usize, queries: Vec<usize>| {
            let mut problems = Problems::default();
            config.compatible(&Facts { frames: Some(frames), queries, ..Facts::default() }, &mut problems);
            problems.into_vec()
        };
        let published = || SubActionProductConfig { as_published: true, ..SubActionProductConfig::default() };
        assert!(problems(published(), 8, vec![1, 1]).is_empty());
        assert_eq!(problems(published(), 7, vec![1, 1])[0].0, "sub_actions");
        assert_eq!(problems(published(), 8, vec![5, 1])[0].0, "as_published");
        assert!(problems(SubActionProductConfig::default(), 8, vec![5, 1]).is_empty());
    }

    #[test]
    fn with_one_query_it_is_the_hand_computed_one() {
        // Alone, a query attends to its own next frame: h_f = 2 q_{f+1}. One sub-action: windows of q_1, q_2 and q_3.
        let device = Device::flex();
        let tensor =
            |values: Vec<f32>, shape: [usize; 4]| Tensor::<4>::from_data(TensorData::new(values, shape), &device);
        let frames = tensor(vec![9.0, 9.0, 1.0, 0.0, 0.0, 2.0, 3.0, 4.0], [1, 1, 4, 2]);
        let given = FramesAndSentences {
            query: frames,
            sentences: tensor(vec![5.0, 0.0, 0.0, 7.0], [1, 2, 1, 2]),
            texts: Tensor::zeros([1, 2, 2], &device),
            shots: 1,
        };
        let objective = SubActionProduct {
            norm: None,
            layout: Layout::of_feature(2),
            scale: 10.0,
            sub_actions: 1,
            as_published: false,
        };
        let semantic = semantic(aligned(given.query.clone(), None), given.sentences.clone());
        let semantic: Vec<f32> = semantic.into_data().try_to_vec().unwrap();
        // Cosines with (1, 0): 1, 0 and 0.6; with (0, 1): 0, 1 and 0.8.
        assert!((semantic[0] - 1.6 / 3.0).abs() < 1e-6 && (semantic[1] - 1.8 / 3.0).abs() < 1e-6, "{semantic:?}");
        let distances = Tensor::<3>::from_data([[[-0.5f32, -0.25]]], &device);
        let scores = Scores { frames: Some(given), ..Scores::of(distances) };
        let logits: Vec<f32> = objective.logits(&scores).into_data().try_to_vec().unwrap();
        assert!((logits[0] - 8.0 / 3.0).abs() < 1e-5 && (logits[1] - 1.5).abs() < 1e-5, "{logits:?}");
    }
}

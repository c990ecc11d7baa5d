//! `emp_net`: the mean of six probabilities, of OTAM and of class texts at three levels.
//!
//! Source: EMP-Net (Wu et al., ECCV 2024) and its public code (cong-wu/EMP-Net@b4dc006, `models/base/few_shot.py` and
//! `runs/train_net_few_shot.py`). With d the distances of `alignment: {type: emp_net}`, and the values before the
//! fusion with the text of `prototype: {type: emp_net}`:
//!
//! ```text
//! p_level = softmax(−d_level)                                              class tokens, frames, patches
//! q_token = softmax(mean over t of cos(c_t, text))
//! q_frame = softmax(mean of the 2 largest of cos(f_t, text))
//! q_patch = softmax(mean of the 49 largest, over places n, of the mean over t of cos(p_tn, text))
//! L = Σ CE(softmax(p), class of the query) + Σ CE(softmax(q), class of the clip)      prediction: the mean of all six
//! ```
//! The cross-entropy there takes the probabilities for logits, so that they go through a second softmax. The q of
//! support clips are in the loss too. cos(x, y) = x·y / (‖x‖ ‖y‖ + 0.01).
//!
//! The public code looks up the text of class c among the first five supports of the shuffled episode, and takes that
//! of class 0 where it is not among them. With one shot all five classes are; with five, 1.46 of them are not on
//! average.

use super::ma_clip::cross_entropy;
use crate::alignments::frame_costs::Cosine;
use crate::prototypes::emp_net::{FRAME_ALONE, PATCHES_ALONE, TOKEN_ALONE};
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Int, Tensor, TensorData};
use maclip_framework::error::Result;
use maclip_framework::random::Stream;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::layout::{Layout, Part};
use maclip_framework::slots::objective::{FramesAndSentences, Labels, Loss, Objective, Scores};
use serde::{Deserialize, Serialize};

/// Options of EMP-Net's objective.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct EmpNetConfig {
    /// How many places of a frame count for the text, those with the largest cosines. 49 of 196 in public code.
    #[schemars(range(min = 1))]
    patches: usize,
    /// How many frames count for the text, those with the largest cosines. 2 of 8 in public code.
    #[schemars(range(min = 1))]
    frames: usize,
    /// `true` looks up texts as public code does, so that with several shots some classes get the text of class 0, in
    /// training and test. All episodes are shuffled in one way here, and there each in its own. Either way the
    /// cross-entropy takes probabilities for logits, as there.
    as_published: bool,
}

impl Default for EmpNetConfig {
    fn default() -> Self {
        Self { patches: 49, frames: 2, as_published: false }
    }
}

register!(dyn Objective, EmpNetConfig, name: "emp_net", summary: "the mean of six probabilities, of OTAM and of class texts",
    paper: Some("EMP-Net, ECCV 2024"), stability: Experimental, usage: "{patches: 4, frames: 2}");

const PARTS: [Part; 3] = [TOKEN_ALONE, FRAME_ALONE, PATCHES_ALONE];

impl Component for EmpNetConfig {
    type Slot = dyn Objective;

    fn describe(&self, facts: &mut Facts) {
        facts.readers.push("objective");
        PARTS.iter().for_each(|part| facts.reads("objective", *part));
    }

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        if let Some(places) = facts.geometry.as_ref().map(|geometry| geometry.tokens - 1) {
            problems.when(self.patches > places, "patches", format!("is {}, and a frame has {places}", self.patches));
        }
        if let Some(frames) = facts.frames {
            problems.when(self.frames > frames, "frames", format!("is {}, and a clip has {frames}", self.frames));
        }
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Objective>> {
        let layout = context.compared().clone();
        for part in PARTS {
            layout.shape(part)?;
        }
        Ok(Box::new(EmpNet { patches: self.patches, frames: self.frames, as_published: self.as_published, layout }))
    }
}

/// Which class' text public code takes for each of W classes: `order` has the supports, ordered by class with `shot` of
/// each, as they stand in its shuffled episode. A class that is not among the first W gets the text of class 0.
pub fn published_lookup(order: &[usize], way: usize, shot: usize) -> Vec<usize> {
    let seen: Vec<usize> = order.iter().take(way).map(|support| support / shot).collect();
    (0..way).map(|class| if seen.contains(&class) { class } else { 0 }).collect()
}

/// An order of `supports` clips, always the same.
fn shuffled(supports: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..supports).collect();
    let mut rng = Stream::new(0, "emp_net/as_published").at(0);
    for last in (1..supports).rev() {
        order.swap(last, rng.below(last + 1));
    }
    order
}

#[derive(Module, Debug)]
struct EmpNet {
    patches: usize,
    frames: usize,
    as_published: bool,
    #[module(skip)]
    layout: Layout,
}

/// Cosines with the class texts at the levels of class tokens, frames and patches, `[N, M, W]` each: values of M clips
/// `[N, M, T, F]`, texts `[N, W, E]`.
pub fn text_cosines(
    values: Tensor<4>,
    texts: Tensor<3>,
    layout: &Layout,
    [frames, patches]: [usize; 2],
) -> [Tensor<3>; 3] {
    let ([n, m, t, _], [_, w, e]) = (values.dims(), texts.dims());
    // [N, M, T, rows, W]
    let cosines = |part: Part| {
        let rows = layout.part(part, values.clone());
        let each = rows.dims()[3] / e;
        Cosine::PlusEpsilon.of(rows.reshape([n, m * t * each, e]), texts.clone()).reshape([n * m, t, each, w])
    };
    let token = cosines(TOKEN_ALONE).mean_dim(1).reshape([n, m, w]);
    let frame = mean_of_largest(cosines(FRAME_ALONE).reshape([n * m, t, w]), frames).reshape([n, m, w]);
    let patch = cosines(PATCHES_ALONE).mean_dim(1).squeeze_dim::<3>(1);
    [token, frame, mean_of_largest(patch, patches).reshape([n, m, w])]
}

/// The mean of the `count` largest values along axis 1: `[B, A, W]` → `[B, 1, W]`.
fn mean_of_largest(x: Tensor<3>, count: usize) -> Tensor<3> {
    let (_, places) = x.clone().without_autodiff().sort_descending_with_indices(1);
    x.gather(1, places.narrow(1, 0, count)).mean_dim(1)
}

impl EmpNet {
    /// The texts `[N, W, E]` that clips are compared with.
    fn texts(&self, given: &FramesAndSentences) -> Tensor<3> {
        let (texts, shot) = (given.texts.clone(), given.shots);
        if !self.as_published {
            return texts;
        }
        let way = texts.dims()[1];
        let rows: Vec<i32> = published_lookup(&shuffled(way * shot), way, shot).iter().map(|row| *row as i32).collect();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [way]), &texts.device());
        texts.select(1, rows)
    }

    /// Probabilities by the text of M clips with values `[N, M, T, F]`, at each level `[N, M, W]`.
    fn by_text(&self, values: Tensor<4>, given: &FramesAndSentences) -> [Tensor<3>; 3] {
        let cosines = text_cosines(values, self.texts(given), &self.layout, [self.frames, self.patches]);
        cosines.map(|cosines| softmax(cosines, 2))
    }

    /// Probabilities by the distances, at each level `[N, Q, W]`.
    fn by_distance(&self, scores: &Scores) -> [Tensor<3>; 3] {
        let levels = [scores.distances.clone(), scores.named("frame"), scores.named("patch")];
        levels.map(|distances| softmax(-distances, 2))
    }
}

/// What they are called in the records: class tokens, frames, patches.
const NAMES: [[&str; 3]; 2] = [["token", "frame", "patch"], ["token_text", "frame_text", "patch_text"]];

impl Objective for EmpNet {
    fn needs_text(&self) -> bool {
        true
    }

    fn needs_frames(&self) -> bool {
        true
    }

    fn all_classes(&self) -> bool {
        true
    }

    fn loss(&self, scores: &Scores, labels: &Labels) -> Loss {
        let frames = scores.frames.as_ref().expect("given to an objective that needs frames");
        let by_distance = self.by_distance(scores);
        let terms = |probabilities: [Tensor<3>; 3], labels: Tensor<2, Int>| {
            probabilities.map(|probabilities| cross_entropy(probabilities, labels.clone()))
        };
        let mut parts: Vec<(&'static str, Tensor<1>)> = Vec::new();
        parts.extend(NAMES[0].into_iter().zip(terms(by_distance, labels.query.clone())));
        let (values, of_clips) = match &scores.all_classes {
            Some(all) => (all.compared.clone(), Tensor::cat(vec![labels.query.clone(), labels.support.clone()], 1)),
            None => (frames.query.clone(), labels.query.clone()),
        };
        parts.extend(NAMES[1].into_iter().zip(terms(self.by_text(values, frames), of_clips)));
        let total = parts.iter().map(|(_, part)| part.clone()).reduce(|sum, part| sum + part);
        Loss { total: total.expect("six terms"), parts }
    }

    fn probabilities(&self, scores: &Scores) -> Tensor<3> {
        let frames = scores.frames.as_ref().expect("given to an objective that needs frames");
        let by_text = self.by_text(frames.query.clone(), frames);
        let all = self.by_distance(scores).into_iter().chain(by_text);
        all.reduce(|sum, part| sum + part).expect("six probabilities") / 6.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, objective::Traits};
    use burn::tensor::Device;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::objective::holds::<EmpNetConfig>(Traits {
            parts: &[(TOKEN_ALONE, [1, 8]), (FRAME_ALONE, [1, 8]), (PATCHES_ALONE, [6, 8])],
            further: &["frame", "patch"],
            with: &[("prototype", "{type: emp_net, after: [2, 4, 6]}"), ("alignment", "{type: emp_net}")],
            ..Traits::default()
        });
    }

    #[test]
    fn the_published_lookup_misses_classes_beyond_the_first_supports() {
        // Three classes of two shots: the first three supports are of classes 1, 1 and 2.
        assert_eq!(published_lookup(&[3, 2, 4, 0, 1, 5], 3, 2), [0, 1, 2]);
        assert_eq!(published_lookup(&[0, 1, 2, 3, 4, 5], 3, 2), [0, 1, 0]);
        // With one shot all are there.
        assert_eq!(published_lookup(&shuffled(5), 5, 1), [0, 1, 2, 3, 4]);
        let mut order = shuffled(25);
        order.sort_unstable();
        assert_eq!(order, (0..25).collect::<Vec<_>>());
    }

    #[test]
    fn the_mean_of_the_largest_is_the_hand_computed_one() {
        let x = Tensor::<3>::from_data([[[1.0f32, 5.0], [3.0, 4.0], [2.0, 9.0]]], &Device::flex());
        let got: Vec<f32> = mean_of_largest(x, 2).into_data().try_to_vec().unwrap();
        assert_eq!(got, [2.5, 7.0]);
    }
}

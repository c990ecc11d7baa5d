//! Recognises new clips from a few examples of each class, which need no training classes of their own.
//!
//! Here belongs what turns support clips and new clips into answers. Not here: which files these are, how answers are
//! printed, and training.

pub mod calibration;
mod head;
mod kept;
mod model;
mod reel;
pub mod timeline;
mod zero_shot;

use crate::clips::loader::View;
use crate::engine::evaluation::{CLIPS_PER_BATCH, PAIRS_PER_BATCH, select_rows};
use crate::engine::examples::{Seen, strip};
use crate::engine::features::ClipSource;
use crate::error::{Error, Result};
use crate::model::few_shot::{ClassTexts, FewShotModel, class_texts, sentence_cosines, text_cosines, time_average};
use crate::progress::Progress;
use crate::random::Stream;
use crate::runs::examples::ExampleAlignment;
use crate::slots::Scope;
use crate::slots::adapter::Branch;
use crate::slots::alignment::Aligned;
use crate::slots::dataset::Timeline;
use crate::slots::objective::Scores;
use crate::slots::prompt::Prompt;
use burn::tensor::Tensor;
use calibration::{Calibration, LeftOut, largest};
use head::Head;
pub use kept::Kept;
pub use model::Ready;
use reel::Reel;
use std::collections::{BTreeMap, BTreeSet};
use timeline::{WindowAnswer, Windows};
pub use zero_shot::zero_shot;

/// A class to recognise, with its examples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupportClass {
    /// What answers call it, such as the name of its folder.
    pub name: String,
    /// What prompts call it.
    pub text: String,
    /// Identifiers of its clips in the dataset, at least one.
    pub clips: Vec<String>,
}

/// The answer for one clip, before the calibration.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Distance to each class.
    pub distances: Vec<f64>,
    /// Probability of each class, as the objective computes it.
    pub probabilities: Vec<f64>,
}

impl Answer {
    /// How well the nearest class fits: minus its distance.
    pub fn fit(&self) -> f64 {
        -self.distances.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// Features of clips as queries, in their order.
#[derive(Clone)]
struct Encodings {
    /// After the prototype module's query branch, `[B, T, E]`.
    query: Tensor<3>,
    /// Time averages before the prototype module, `[B, E]`.
    averages: Tensor<2>,
}

/// Features of support clips, in their order.
struct Examples {
    /// After the prototype module's support branch, `[S, T, E]`.
    support: Tensor<3>,
    /// As queries, for leave one out.
    query: Encodings,
}

/// What is kept of the support clips.
enum Support {
    /// Features: they depend on nothing but the clip and its class.
    Apart(Box<Examples>),
    /// Prefixes `[S, T, F]`: features depend on all clips that are compared, so they are computed for each query.
    Together(Box<Tensor<3>>),
}

/// Recognises clips by the support clips that it was given.
pub struct Classifier<'a> {
    model: FewShotModel,
    source: ClipSource<'a>,
    classes: Vec<SupportClass>,
    texts: ClassTexts,
    support: Support,
    /// Gives the probabilities in place of the objective.
    head: Option<Head>,
}

/// A query beside the support clip that is nearest to it, for a person to look at.
#[derive(Clone, Debug)]
pub struct Look {
    /// The support clip of the predicted class with the smallest distance.
    pub nearest: String,
    /// The frames of the query, side by side, as JPEG.
    pub query_frames: Vec<u8>,
    /// Those of the support clip.
    pub nearest_frames: Vec<u8>,
    /// What the weights of `alignment` are.
    pub explanation: String,
    /// How the frames of the two were aligned.
    pub alignment: ExampleAlignment,
}

impl<'a> Classifier<'a> {
    /// Encodes the clips of `classes`. `model` must be without autodiff (`valid()`). Features that `kept` has are not
    /// computed again, and their clips are not opened.
    ///
    /// # Errors
    /// Where there are no two classes, a class has no clip, a clip cannot be opened, or a class text cannot be encoded.
    pub fn new(
        model: FewShotModel,
        source: ClipSource<'a>,
        prompt: &dyn Prompt,
        classes: Vec<SupportClass>,
        kept: Option<&Kept>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        if classes.len() < 2 {
            return Err(Error::failed("there must be two classes at least to choose from"));
        }
        if let Some(empty) = classes.iter().find(|class| class.clips.is_empty()) {
            return Err(Error::failed(format!("class {:?} has no clip", empty.name)));
        }
        if model.objective.mixes_queries() {
            return Err(Error::failed(
                "the objective scores the queries of an episode together, and here clips come one by one",
            )
            .help("train with another objective, such as `product`"));
        }
        let device = source.loader().device.clone();
        let names: Vec<&str> = classes.iter().map(|class| class.text.as_str()).collect();
        let texts = class_texts(&model, prompt, &names, &device)?;
        let clips: Vec<(usize, &str)> = classes
            .iter()
            .enumerate()
            .flat_map(|(class, SupportClass { clips, .. })| clips.iter().map(move |clip| (class, clip.as_str())))
            .collect();
        progress.begin("support", 0, clips.len() as u64);
        let together = model.adapter.scope() == Scope::Episode;
        let mut parts = Vec::new();
        for (at, part) in clips.chunks(CLIPS_PER_BATCH).enumerate() {
            if progress.stopped() {
                return Err(Error::Interrupted);
            }
            parts.push(match (together, kept) {
                (true, _) => kept::Features::prefixes(prefixes(&source, part)?),
                (false, Some(kept)) => kept.encodings(part, &classes, |missing| {
                    encode(&model, &texts, prefixes(&source, missing)?, missing)
                })?,
                (false, None) => encode(&model, &texts, prefixes(&source, part)?, part)?,
            });
            progress.at(((at + 1) * CLIPS_PER_BATCH).min(clips.len()) as u64, "");
        }
        progress.end();
        let features = kept::Features::joined(parts)?;
        let support = match together {
            true => Support::Together(Box::new(features.prefix(&device)?)),
            false => Support::Apart(Box::new(features.examples(&device)?)),
        };
        Ok(Self { model, source, classes, texts, support, head: None })
    }

    /// The same with a linear head on the time averages of the frame features, fitted to the support clips: it gives
    /// the probabilities, and distances stay those of the alignment.
    ///
    /// # Errors
    /// Where the features of a clip depend on the clips beside it, or are not finite.
    pub fn fitted(mut self) -> Result<Self> {
        let Support::Apart(known) = &self.support else {
            return Err(Error::failed(
                "the adapter looks across clips, so there are no features of a clip alone to fit a head to",
            )
            .help("leave `--fit` out, or choose another adapter"));
        };
        let labels: Vec<usize> =
            self.classes.iter().enumerate().flat_map(|(class, found)| found.clips.iter().map(move |_| class)).collect();
        self.head = Some(Head::fit(host_rows(&known.query.averages), &labels, self.classes.len())?);
        Ok(self)
    }

    /// The classes, in the order of every answer.
    pub fn classes(&self) -> &[SupportClass] {
        &self.classes
    }

    /// The answers for the clips `clips` of the dataset, each as if it were asked alone.
    ///
    /// # Errors
    /// Where a clip cannot be opened, or a number is not finite.
    pub fn classify(&self, clips: &[&str]) -> Result<Vec<Answer>> {
        let views = |at: usize| view(&self.source, clips[at]);
        self.answers(self.source.prefixes(clips, views)?, &self.all(), &self.rows(|_| true))
    }

    /// The answers of overlapping windows of one long video, and its timeline. Frames are decoded once, from the first
    /// to the last, and no more than those of a few windows are held.
    ///
    /// # Errors
    /// As [`Classifier::classify`], and where the video has no frame rate and `fps` gives none.
    pub fn windows(
        &self,
        clip: &str,
        windows: Windows,
        fps: Option<f64>,
        calibration: &Calibration,
        progress: &dyn Progress,
    ) -> Result<(Vec<WindowAnswer>, Timeline)> {
        let dataset = &*self.source.loader().clips.dataset;
        let mut reel = Reel {
            classifier: self,
            windows,
            fps: 0.0,
            wanted: BTreeSet::new(),
            planned: 0,
            held: BTreeMap::new(),
            next: 0,
            answers: Vec::new(),
            calibration,
            clip,
        };
        let rate = |timeline: &Timeline| {
            timeline.fps.or(fps).filter(|fps| *fps > 0.0).ok_or_else(|| {
                Error::failed(format!("{clip} has no frame rate, and windows are in seconds"))
                    .help("give it with `--fps`")
            })
        };
        let mut begun = false;
        let mut count = 0;
        let timeline = dataset.stream(clip, &mut |timeline, index, image| {
            if !begun {
                reel.fps = rate(timeline)?;
                windows.check(reel.fps)?;
                progress.begin("windows", 0, timeline.frames as u64);
                begun = true;
            }
            if progress.stopped() {
                return Err(Error::Interrupted);
            }
            count = index + 1;
            reel.take(index, image)?;
            progress.at(index as u64 + 1, "");
            Ok(())
        })?;
        progress.end();
        reel.finish(count)?;
        Ok((reel.answers, Timeline { frames: count, fps: timeline.fps.or(fps) }))
    }

    /// Every support clip asked while it was left out of its class, in the order of the classes. Classes of one clip
    /// are passed over: without it, nothing is left of them.
    ///
    /// # Errors
    /// Where a number is not finite.
    pub fn leave_one_out(&self, progress: &dyn Progress) -> Result<Vec<LeftOut>> {
        let all = self.all();
        let counted: Vec<usize> = all.iter().copied().filter(|&class| self.classes[class].clips.len() > 1).collect();
        let total: usize = counted.iter().map(|&class| self.classes[class].clips.len()).sum();
        let mut found = Vec::with_capacity(total);
        progress.begin("leave one out", 0, total as u64);
        for class in counted {
            let others: Vec<usize> = all.iter().copied().filter(|&other| other != class).collect();
            for row in self.rows(|_| true)[class].clone() {
                if progress.stopped() {
                    return Err(Error::Interrupted);
                }
                let ask = |classes: &[usize]| -> Result<Answer> {
                    let support = self.rows(|other| other != row);
                    let support: Vec<Vec<usize>> = classes.iter().map(|&class| support[class].clone()).collect();
                    self.ask_support(row, classes, &support)
                };
                let mut answer = ask(&all)?;
                if let Some(head) = &self.head {
                    answer.probabilities = head.left_out(row);
                }
                let without = if others.len() > 1 { Some(ask(&others)?.fit()) } else { None };
                found.push(LeftOut {
                    label: class,
                    distances: answer.distances,
                    probabilities: answer.probabilities,
                    fit_without_class: without,
                });
                progress.at(found.len() as u64, "");
            }
        }
        progress.end();
        Ok(found)
    }

    /// The support clip of class `class` that is nearest to `clip`, and how the two were aligned.
    ///
    /// # Errors
    /// As [`Classifier::classify`], and where the alignment's explanation is not valid.
    pub fn look(&self, clip: &str, class: usize) -> Result<Look> {
        let rows = &self.rows(|_| true)[class];
        let prefix = self.source.prefixes(&[clip], |_| view(&self.source, clip))?;
        let encoded = matches!(self.support, Support::Apart(_)).then(|| self.query_encodings(prefix.clone()));
        let mut best: Option<(f64, usize)> = None;
        for (at, &row) in rows.iter().enumerate() {
            let answers = match (&encoded, &self.support) {
                (Some(query), Support::Apart(known)) => {
                    self.scored(query, known.support.clone(), &[class], &[vec![row]])?
                }
                _ => self.answers(prefix.clone(), &[class], &[vec![row]])?,
            };
            let distance = answers[0].distances[0];
            if best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, at));
            }
        }
        let (_, at) = best.ok_or_else(|| Error::failed("the class has no clip"))?;
        let (query, support, text) = self.compared(prefix, &[class], &[vec![rows[at]]]);
        let (query, support) = self.model.related(query.query.unsqueeze(), support, text.unsqueeze());
        let seen = Seen { query: query.squeeze_dim(0), support: support.squeeze_dim(0) };
        let (explanation, mut alignments) = seen.explained(&self.model)?;
        let alignment = alignments.pop().ok_or_else(|| Error::failed("the alignment gave no explanation"))?;
        let nearest = self.classes[class].clips[at].clone();
        let (query_frames, nearest_frames) = (frames(&self.source, clip)?, frames(&self.source, &nearest)?);
        Ok(Look { nearest, query_frames, nearest_frames, explanation, alignment })
    }

    fn all(&self) -> Vec<usize> {
        (0..self.classes.len()).collect()
    }

    /// Rows of the support clips of each class, those for which `wanted` holds.
    fn rows(&self, wanted: impl Fn(usize) -> bool) -> Vec<Vec<usize>> {
        let mut next = 0;
        let of_class = |class: &SupportClass| {
            let rows = next..next + class.clips.len();
            next = rows.end;
            rows.filter(|&row| wanted(row)).collect()
        };
        self.classes.iter().map(of_class).collect()
    }

    /// The class of each support row.
    fn class_of(&self, row: usize) -> usize {
        let mut end = 0;
        self.classes
            .iter()
            .position(|class| {
                end += class.clips.len();
                row < end
            })
            .unwrap_or(0)
    }

    /// [`Classifier::answers`] for a support clip.
    fn ask_support(&self, row: usize, classes: &[usize], support: &[Vec<usize>]) -> Result<Answer> {
        let answers = match &self.support {
            Support::Apart(known) => {
                self.scored(&known.query.narrow(row, 1), known.support.clone(), classes, support)?
            }
            Support::Together(prefixes) => self.answers(Tensor::clone(prefixes).narrow(0, row, 1), classes, support)?,
        };
        answers.into_iter().next().ok_or_else(|| Error::failed("there is no answer"))
    }

    /// The answers for queries with these prefixes `[Q, T, F]`, by the support rows `support` of each of `classes`.
    fn answers(&self, prefix: Tensor<3>, classes: &[usize], support: &[Vec<usize>]) -> Result<Vec<Answer>> {
        match &self.support {
            Support::Apart(known) => {
                let queries = self.query_encodings(prefix);
                let count = support.iter().map(Vec::len).sum::<usize>().max(1);
                let at_once = (PAIRS_PER_BATCH / count).max(1);
                let groups = known.support.clone();
                let total = queries.query.dims()[0];
                let mut answers = Vec::with_capacity(total);
                for start in (0..total).step_by(at_once) {
                    let part = queries.narrow(start, at_once.min(total - start));
                    answers.extend(self.scored(&part, groups.clone(), classes, support)?);
                }
                Ok(answers)
            }
            Support::Together(_) => {
                let count = prefix.dims()[0];
                let one = |at: usize| -> Result<Answer> {
                    let (query, groups, rows) = self.together(prefix.clone().narrow(0, at, 1), support);
                    let answers = self.scored(&query, groups, classes, &rows)?;
                    answers.into_iter().next().ok_or_else(|| Error::failed("there is no answer"))
                };
                (0..count).map(one).collect()
            }
        }
    }

    fn query_encodings(&self, prefix: Tensor<3>) -> Encodings {
        let encoded = self.model.query_prototypes(self.model.encode(prefix, &Branch::Query));
        Encodings { query: encoded.prototypes, averages: time_average(encoded.frames) }
    }

    /// One query encoded together with the support rows `support`: its features, those of the support clips, and their
    /// rows in these.
    fn together(&self, query: Tensor<3>, support: &[Vec<usize>]) -> (Encodings, Tensor<3>, Vec<Vec<usize>>) {
        let support = &even(support);
        let Support::Together(prefixes) = &self.support else { unreachable!("features that depend on the clip alone") };
        let flat: Vec<usize> = support.iter().flatten().copied().collect();
        let of_clips: Vec<usize> = flat.iter().map(|&row| self.class_of(row)).collect();
        let text = select_rows(&self.texts.mean, &of_clips);
        let [_, t, f] = prefixes.dims();
        let supports = rows_of(Tensor::clone(prefixes), &flat).reshape([flat.len(), t, f]);
        let (supports, query) = self.model.episode(supports, text.clone(), query);
        let supports = self.model.support_prototypes(supports, text).prototypes;
        let query = self.model.query_prototypes(query);
        let mut next = 0;
        let rows = support.iter().map(|rows| {
            next += rows.len();
            (next - rows.len()..next).collect()
        });
        let encodings = Encodings { query: query.prototypes, averages: time_average(query.frames) };
        (encodings, supports, rows.collect())
    }

    /// What [`FewShotModel::related`] takes for one query and one clip: query features, `[1, 1, 1, T, E]`, `[1, E]`.
    fn compared(
        &self,
        prefix: Tensor<3>,
        classes: &[usize],
        support: &[Vec<usize>],
    ) -> (Encodings, Tensor<5>, Tensor<2>) {
        let text = select_rows(&self.texts.mean, classes);
        let (query, groups, rows) = match &self.support {
            Support::Apart(known) => {
                let groups = known.support.clone();
                (self.query_encodings(prefix), groups, support.to_vec())
            }
            Support::Together(_) => self.together(prefix, support),
        };
        let [_, t, e] = groups.dims();
        (query, rows_of(groups, &rows[0]).reshape([1, 1, 1, t, e]), text)
    }

    /// The answers for encoded queries. `groups` has the features of support clips, `[S, T, E]`, and `support` the rows
    /// of each of `classes` in it.
    fn scored(
        &self,
        queries: &Encodings,
        groups: Tensor<3>,
        classes: &[usize],
        support: &[Vec<usize>],
    ) -> Result<Vec<Answer>> {
        let ClassTexts { mean, sentences, .. } = self.texts.select(classes);
        let [_, t, e] = groups.dims();
        let query: Tensor<4> = queries.query.clone().unsqueeze();
        let align = |rows: &[Vec<usize>], text: Tensor<2>| {
            let flat: Vec<usize> = rows.iter().flatten().copied().collect();
            let shots = rows[0].len();
            let clips = rows_of(groups.clone(), &flat).reshape([1, rows.len(), shots, t, e]);
            self.model.align(query.clone(), clips, text.unsqueeze())
        };
        let together = self.model.prototype.scope() == Scope::Episode || self.model.alignment.compares_classes();
        let aligned = if together {
            align(&even(support), mean.clone())
        } else {
            let one =
                |(at, rows): (usize, &Vec<usize>)| align(std::slice::from_ref(rows), mean.clone().narrow(0, at, 1));
            Aligned::joined(support.iter().enumerate().map(one).collect())
                .ok_or_else(|| Error::failed("there is no class to compare a clip with"))?
        };
        let mut scores = Scores::aligned(aligned);
        if self.model.objective.needs_text() {
            let averages: Tensor<3> = queries.averages.clone().unsqueeze();
            let sentences: Option<Tensor<4>> = sentences.map(Tensor::unsqueeze);
            let (texts, shots) = (mean.clone().unsqueeze(), support.iter().map(Vec::len).max().unwrap_or(1));
            scores.frames = self.model.frames_and_sentences(&query, &texts, sentences.as_ref(), shots);
            let sentences = sentences.filter(|_| self.model.objective.needs_sentences());
            scores.query_sentences = sentences.map(|each| sentence_cosines(averages.clone(), each));
            scores.query_text = Some(text_cosines(averages, mean.unsqueeze()));
        }
        let mut answers = answers(&self.model, &scores)?;
        if let Some(head) = self.head.as_ref().filter(|_| classes.len() == self.classes.len()) {
            for (answer, features) in answers.iter_mut().zip(host_rows(&queries.averages)) {
                answer.probabilities = head.probabilities(features);
            }
        }
        Ok(answers)
    }
}

/// How the frames of a clip are chosen: always the same ones. A sampler that draws in evaluation gets a draw for this
/// clip.
fn view(source: &ClipSource, clip: &str) -> View {
    match source.loader().clips.frames.random_in_evaluation() {
        true => View::RandomFrames(Stream::new(0, &format!("classify/{clip}")).at(0)),
        false => View::Evaluation,
    }
}

/// The frames of a clip that the model looks at, side by side, as JPEG.
///
/// # Errors
/// Where the clip cannot be opened.
pub fn frames(source: &ClipSource, clip: &str) -> Result<Vec<u8>> {
    let opened = source.loader().open(&[(clip, view(source, clip))])?;
    strip(&opened[0], source.loader().geometry.image_size)
}

fn prefixes(source: &ClipSource, clips: &[(usize, &str)]) -> Result<Tensor<3>> {
    let names: Vec<&str> = clips.iter().map(|(_, clip)| *clip).collect();
    source.prefixes(&names, |at| view(source, names[at]))
}

/// Features of support clips of these classes.
fn encode(
    model: &FewShotModel,
    texts: &ClassTexts,
    prefix: Tensor<3>,
    clips: &[(usize, &str)],
) -> Result<kept::Features> {
    let classes: Vec<usize> = clips.iter().map(|(class, _)| *class).collect();
    let text = select_rows(&texts.mean, &classes);
    let frames = model.encode(prefix.clone(), &Branch::Query);
    // Where the support branch does not read the class text, both branches are the same function.
    let branches_differ = model.adapter.scope() > Scope::Clip;
    let support = if branches_differ { model.encode(prefix, &Branch::Support { text: &text }) } else { frames.clone() };
    let support = model.support_prototypes(support, text).prototypes;
    let query = model.query_prototypes(frames);
    Ok(kept::Features::encoded(support, query.prototypes, time_average(query.frames)))
}

impl Encodings {
    fn narrow(&self, start: usize, count: usize) -> Self {
        Self {
            query: self.query.clone().narrow(0, start, count),
            averages: self.averages.clone().narrow(0, start, count),
        }
    }
}

/// As many rows of each class: smaller classes repeat theirs. Modules that look at all classes at once need it, and
/// without it a class would weigh as much as it has examples.
fn even(support: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let shots = support.iter().map(Vec::len).max().unwrap_or(0);
    support.iter().map(|rows| rows.iter().copied().cycle().take(shots).collect()).collect()
}

fn rows_of(tensor: Tensor<3>, rows: &[usize]) -> Tensor<3> {
    let [_, t, e] = tensor.dims();
    select_rows(&tensor.clone().reshape([tensor.dims()[0], t * e]), rows).reshape([rows.len(), t, e])
}

fn host_rows(tensor: &Tensor<2>) -> Vec<Vec<f64>> {
    let [_, width] = tensor.dims();
    let values: Vec<f64> = tensor.clone().into_data().iter::<f64>().collect();
    values.chunks(width).map(<[f64]>::to_vec).collect()
}

fn answers(model: &FewShotModel, scores: &Scores) -> Result<Vec<Answer>> {
    let [_, _, w] = scores.distances.dims();
    let values = |tensor: Tensor<3>| tensor.into_data().iter::<f64>().collect::<Vec<f64>>();
    let (distances, probabilities) = (values(scores.distances.clone()), values(model.objective.probabilities(scores)));
    let each = distances.chunks(w).zip(probabilities.chunks(w));
    let answers: Vec<Answer> = each.map(|(d, p)| Answer { distances: d.to_vec(), probabilities: p.to_vec() }).collect();
    finite(&answers)?;
    Ok(answers)
}

fn finite(answers: &[Answer]) -> Result<()> {
    let whole = |answer: &Answer| answer.distances.iter().chain(&answer.probabilities).all(|value| value.is_finite());
    match answers.iter().all(whole) {
        true => Ok(()),
        false => Err(Error::failed("a distance or probability is not a finite number, so no answer can be trusted")
            .help("look at the weights with `maclip weights inspect`")),
    }
}

/// The class of an answer: its position and probability, and those of the second.
pub fn best_two(probabilities: &[f64]) -> ((usize, f64), Option<(usize, f64)>) {
    let first = largest(probabilities);
    let others = (0..probabilities.len()).filter(|&at| at != first);
    let second = others.max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]).then(b.cmp(&a)));
    ((first, probabilities[first]), second.map(|at| (at, probabilities[at])))
}

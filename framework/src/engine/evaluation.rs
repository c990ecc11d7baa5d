//! Evaluation of a model on a list of episodes.
//!
//! Each distinct clip is encoded once for each branch. Then the episodes take its features from a table, and many of
//! them are aligned at once.

use crate::clips::loader::View;
use crate::engine::episodes::{Episode, EpisodeList, Shape};
use crate::engine::features::ClipSource;
use crate::error::{Error, Result};
use crate::model::few_shot::{ClassTexts, Encoded, FewShotModel, sentence_cosines, text_cosines, time_average};
use crate::profile::{self, Phase};
use crate::progress::{Progress, stop_requested};
use crate::random::Stream;
use crate::slots::Scope;
use crate::slots::adapter::Branch;
use crate::slots::dataset::Class;
use crate::slots::draws::without_draws;
use crate::slots::frames::FrameSampler;
use crate::slots::objective::Scores;
use burn::tensor::{Device, Int, Tensor, TensorData};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

/// Number of clips that are encoded in one forward pass.
pub const CLIPS_PER_BATCH: usize = 8;
/// Number of pairs of a query and a support clip that are aligned at once: those of 125 episodes with 5 classes, one
/// shot and one query.
pub(crate) const PAIRS_PER_BATCH: usize = 125 * 25;

/// Number of episodes of `shape` that are aligned at once, at least 1. It bounds the memory of the alignment.
pub fn episodes_per_batch(shape: Shape) -> usize {
    (PAIRS_PER_BATCH / (shape.way * shape.way * shape.shot * shape.queries)).max(1)
}

/// The episodes of a split, with the classes and class texts that they refer to.
pub struct SplitEpisodes<'a> {
    /// The C classes of the split, with their clips.
    pub classes: &'a [Class],
    /// Text features of the C classes.
    pub texts: &'a ClassTexts,
    /// The episodes.
    pub list: &'a EpisodeList,
}

/// The result of one episode. Queries and classes are in the episode's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Predicted class of each query, as a position in [`Episode::classes`].
    pub predictions: Vec<usize>,
    /// Number of queries that were predicted correctly.
    pub correct: usize,
    /// Distance of each query to each class, `[query][class]`, as the alignment computes it.
    pub distances: Vec<Vec<f32>>,
    /// Probability of each class for each query, `[query][class]`, as the objective computes it. The prediction is the
    /// class with the largest one; of equal ones, the first.
    pub probabilities: Vec<Vec<f32>>,
}

impl Outcome {
    fn new(episode: &Episode, distances: &[f32], probabilities: &[f32]) -> Self {
        let way = episode.classes.len();
        let rows = |values: &[f32]| values.chunks(way).map(<[f32]>::to_vec).collect::<Vec<_>>();
        let best = |row: &Vec<f32>| (0..way).fold(0, |best, class| if row[class] > row[best] { class } else { best });
        let probabilities = rows(probabilities);
        let predictions: Vec<usize> = probabilities.iter().map(best).collect();
        let correct = episode.queries.iter().zip(&predictions).filter(|((label, _), p)| label == *p).count();
        Self { predictions, correct, distances: rows(distances), probabilities }
    }

    /// Share of the queries that were predicted correctly, 0 to 1.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.predictions.len() as f64
    }
}

/// Whether a clip must be encoded again for every episode, because its frame features depend on the episode.
///
/// They do with an adapter of [`Scope::Episode`], and where the sampler picks frames at random in evaluation. A
/// prototype module of that scope makes no difference here: it works on frame features after they were encoded.
pub fn encodes_every_episode(model: &FewShotModel, frames: &dyn FrameSampler) -> bool {
    model.adapter.scope() == Scope::Episode || frames.random_in_evaluation()
}

/// Evaluates all episodes of `split`; the outcomes are in their order. `model` must be without autodiff (`valid()`).
///
/// # Errors
/// Where a clip cannot be opened, a distance or probability is not finite, and [`Error::Interrupted`] after a request
/// to stop.
pub fn evaluate(
    model: &FewShotModel,
    source: &ClipSource,
    split: &SplitEpisodes,
    progress: &dyn Progress,
) -> Result<Vec<Outcome>> {
    if encodes_every_episode(model, &*source.loader().clips.frames) {
        return one_by_one(model, source, split, progress);
    }
    let texts = model.current_texts(split.texts.clone());
    let table = ClipTable::encode(model, source, split, progress)?;
    let shape = split.list.shape;
    let batch = episodes_per_batch(shape);
    let batches: Vec<&[Episode]> = split.list.episodes.chunks(batch).collect();
    progress.begin("test", 0, split.list.episodes.len() as u64);
    let done = AtomicU64::new(0);
    let outcomes: Vec<Vec<Outcome>> = batches
        .par_iter()
        .map(|episodes| {
            let outcomes = without_draws(|| table.align(model, &texts, split.list.shape, episodes))?;
            let done = done.fetch_add(episodes.len() as u64, Ordering::Relaxed) + episodes.len() as u64;
            progress.at(done, "");
            if stop_requested() { Err(Error::Interrupted) } else { Ok(outcomes) }
        })
        .collect::<Result<_>>()?;
    progress.end();
    Ok(outcomes.into_iter().flatten().collect())
}

/// [`evaluate`] without the table: every episode encodes its own clips. Needed where [`encodes_every_episode`];
/// elsewhere it is slower, with the same result, and tests compare the two.
///
/// # Errors
/// As [`evaluate`].
pub fn one_by_one(
    model: &FewShotModel,
    source: &ClipSource,
    split: &SplitEpisodes,
    progress: &dyn Progress,
) -> Result<Vec<Outcome>> {
    progress.begin("test", 0, split.list.episodes.len() as u64);
    let done = AtomicU64::new(0);
    let models = replicas(model, source);
    let encoders: Vec<EpisodeEncoder> =
        models.iter().enumerate().map(|(at, model)| EpisodeEncoder::new(model, source.on(at), split)).collect();
    let outcomes = split
        .list
        .episodes
        .par_iter()
        .enumerate()
        .map(|(at, episode)| {
            let (encoder, model) = (&encoders[at % encoders.len()], &models[at % models.len()]);
            let EpisodeEncoding { support, query, class_text } = encoder.encode(at)?;
            let scores = without_draws(|| model.scores(support, query, class_text, split.list.shape.shot));
            let outcome = outcomes(model, &scores, std::slice::from_ref(episode))?.remove(0);
            progress.at(done.fetch_add(1, Ordering::Relaxed) + 1, "");
            if stop_requested() { Err(Error::Interrupted) } else { Ok(outcome) }
        })
        .collect::<Result<Vec<_>>>()?;
    progress.end();
    Ok(outcomes)
}

/// `model` on each device of `source`, the first of which it lies on.
fn replicas(model: &FewShotModel, source: &ClipSource) -> Vec<FewShotModel> {
    (0..source.devices()).map(|at| source.replica(at, model)).collect()
}

/// Encodes the clips of single episodes, with the same frames as in the test.
pub struct EpisodeEncoder<'a> {
    model: &'a FewShotModel,
    source: &'a ClipSource<'a>,
    split: &'a SplitEpisodes<'a>,
    /// Texts of the split's classes.
    texts: ClassTexts,
    /// Random numbers for the choice of frames; `None` where the test needs none.
    draws: Option<Stream>,
}

/// The encoded clips of one episode.
#[derive(Clone)]
pub struct EpisodeEncoding {
    /// The S support clips, `[S, T, E]`, in the order of [`EpisodeClips::support`].
    pub support: Encoded,
    /// The Q queries, `[Q, T, E]`.
    pub query: Encoded,
    /// Text features of the W classes of the episode.
    pub class_text: ClassTexts,
}

impl<'a> EpisodeEncoder<'a> {
    /// Encodes episodes of `split`. `model` must be without autodiff (`valid()`).
    pub fn new(model: &'a FewShotModel, source: &'a ClipSource, split: &'a SplitEpisodes) -> Self {
        // Only the list decides the random numbers, so that all runs on one list see the same frames.
        let draws = Stream::new(0, &format!("frames of {}", split.list.hash));
        let drawn = source.loader().clips.frames.random_in_evaluation();
        let texts = model.current_texts(split.texts.clone());
        Self { model, source, split, texts, draws: drawn.then_some(draws) }
    }

    /// Whether a clip has other frames in another episode.
    pub(crate) fn drawn(&self) -> bool {
        self.draws.is_some()
    }

    /// Ids of the clips of episode number `episode` of the list, from 0.
    pub fn clips(&self, episode: usize) -> EpisodeClips<'a> {
        EpisodeClips::new(&self.split.list.episodes[episode], self.split.classes)
    }

    /// The view of clip number `clip` of an episode. Support clips are counted first, then queries.
    pub(crate) fn view(&self, episode: usize, clip: usize) -> View {
        let Shape { way, shot, queries } = self.split.list.shape;
        let first = episode * way * (shot + queries);
        self.draws.as_ref().map_or(View::Evaluation, |draws| View::RandomFrames(draws.at((first + clip) as u64)))
    }

    /// Encodes the clips of episode number `episode` of the list, from 0.
    ///
    /// # Errors
    /// Where a clip cannot be opened.
    pub fn encode(&self, episode: usize) -> Result<EpisodeEncoding> {
        let (clips, device) = (self.clips(episode), self.source.loader().device);
        let texts = select_rows(&self.texts.mean, &clips.support_classes).to_device(device);
        let supports = clips.support.len();
        let support = self.source.prefixes(&clips.support, |i| self.view(episode, i))?;
        let query = self.source.prefixes(&clips.queries, |i| self.view(episode, supports + i))?;
        let (support, query) = without_draws(|| {
            let (support, query) = self.model.episode(support, texts.clone(), query);
            (self.model.support_prototypes(support, texts), self.model.query_prototypes(query))
        });
        Ok(EpisodeEncoding {
            support,
            query,
            class_text: self.texts.select(&self.split.list.episodes[episode].classes).to_device(device),
        })
    }
}

/// Clip ids of an episode in the order that a model takes them.
pub struct EpisodeClips<'a> {
    /// Ordered by class, then shot.
    pub support: Vec<&'a str>,
    /// Class (position in the split) of each support clip.
    pub support_classes: Vec<usize>,
    /// In the order of [`Episode::queries`].
    pub queries: Vec<&'a str>,
}

impl<'a> EpisodeClips<'a> {
    /// The clips of `episode`, whose positions are those in `classes`.
    pub fn new(episode: &Episode, classes: &'a [Class]) -> Self {
        let clip = |class: usize, clip: usize| classes[class].clips[clip].as_str();
        let mut support = Vec::new();
        let mut support_classes = Vec::new();
        for (&class, clips) in episode.classes.iter().zip(&episode.support) {
            support.extend(clips.iter().map(|&i| clip(class, i)));
            support_classes.extend(clips.iter().map(|_| class));
        }
        let queries = episode.queries.iter().map(|&(label, i)| clip(episode.classes[label], i)).collect();
        Self { support, support_classes, queries }
    }
}

/// The rows `rows` of a `[C, E]` tensor, `[rows, E]`.
pub fn select_rows(tensor: &Tensor<2>, rows: &[usize]) -> Tensor<2> {
    tensor.clone().select(0, indices(rows.iter().copied(), &tensor.device()))
}

fn indices(rows: impl Iterator<Item = usize>, device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i32> = rows.map(|row| row as i32).collect();
    let count = rows.len();
    Tensor::from_data(TensorData::new(rows, [count]), device)
}

/// The outcomes of `episodes` with these scores; an error where a number is not finite, as no prediction could be
/// trusted then.
fn outcomes(model: &FewShotModel, scores: &Scores, episodes: &[Episode]) -> Result<Vec<Outcome>> {
    let probabilities = {
        let _span = profile::span(Phase::Objective);
        model.objective.probabilities(scores)
    };
    let [_, q, w] = probabilities.dims();
    let values = |tensor: Tensor<3>| tensor.into_data().iter::<f32>().collect::<Vec<f32>>();
    let (distances, probabilities) = (values(scores.distances.clone()), values(probabilities));
    if let Some(at) = probabilities.iter().zip(&distances).position(|(p, d)| !p.is_finite() || !d.is_finite()) {
        let Episode { classes, support, queries } = &episodes[at / (q * w)];
        return Err(Error::failed(format!(
            "a distance or probability is not a finite number, so no prediction can be trusted; first in the episode \
             of the classes {classes:?} with the support clips {support:?} and the queries (label, clip) {queries:?}"
        ))
        .help(
            "numbers are positions in the split's list; look at the weights with `maclip weights inspect`, and at the \
             loss",
        ));
    }
    let each = distances.chunks(q * w).zip(probabilities.chunks(q * w));
    Ok(episodes.iter().zip(each).map(|(episode, (d, p))| Outcome::new(episode, d, p)).collect())
}

/// Features of the V clips that the episodes of a split use.
struct ClipTable {
    /// The row of a clip, by (class, clip) in the split.
    rows: BTreeMap<(usize, usize), usize>,
    /// `[V, T, E]` after the prototype module's support branch.
    support: Tensor<3>,
    /// `[V, T, E]` after its query branch.
    query: Tensor<3>,
    /// Time averages of the query features before the prototype module, `[V, E]`.
    averages: Tensor<2>,
}

impl ClipTable {
    fn encode(
        model: &FewShotModel,
        source: &ClipSource,
        split: &SplitEpisodes,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let mut wanted = BTreeSet::new();
        for episode in &split.list.episodes {
            for (&class, clips) in episode.classes.iter().zip(&episode.support) {
                wanted.extend(clips.iter().map(|&clip| (class, clip)));
            }
            wanted.extend(episode.queries.iter().map(|&(label, clip)| (episode.classes[label], clip)));
        }
        let keys: Vec<(usize, usize)> = wanted.into_iter().collect();
        // Where the support branch does not read the class text, both branches are the same function, so one run is
        // enough.
        let branches_differ = model.adapter.scope() > Scope::Clip;
        progress.begin("encode", 0, keys.len() as u64);
        let done = AtomicU64::new(0);
        let (models, first) = (replicas(model, source), source.loader().device);
        let batches: Vec<(Tensor<3>, Tensor<3>, Tensor<2>)> = keys
            .par_chunks(CLIPS_PER_BATCH)
            .enumerate()
            .map(|(at, keys)| {
                let (source, model) = (source.on(at), &models[at % models.len()]);
                let clips: Vec<&str> = keys.iter().map(|&(c, i)| split.classes[c].clips[i].as_str()).collect();
                let classes: Vec<usize> = keys.iter().map(|&(class, _)| class).collect();
                let prefix = source.prefixes(&clips, |_| View::Evaluation)?;
                let texts = select_rows(&split.texts.mean, &classes).to_device(source.loader().device);
                let (support, query) = without_draws(|| {
                    let frames = model.encode(prefix.clone(), &Branch::Query);
                    let support = if branches_differ {
                        model.encode(prefix, &Branch::Support { text: &texts })
                    } else {
                        frames.clone()
                    };
                    (model.support_prototypes(support, texts), model.query_prototypes(frames))
                });
                let done = done.fetch_add(keys.len() as u64, Ordering::Relaxed) + keys.len() as u64;
                progress.at(done, "");
                if stop_requested() {
                    return Err(Error::Interrupted);
                }
                let averages = time_average(query.frames).to_device(first);
                let of = |prototypes| model.tested(prototypes).to_device(first);
                Ok((of(support.prototypes), of(query.prototypes), averages))
            })
            .collect::<Result<_>>()?;
        progress.end();
        let mut tables = (Vec::new(), Vec::new(), Vec::new());
        for (support, query, averages) in batches {
            tables.0.push(support);
            tables.1.push(query);
            tables.2.push(averages);
        }
        Ok(Self {
            rows: keys.into_iter().enumerate().map(|(row, key)| (key, row)).collect(),
            support: Tensor::cat(tables.0, 0),
            query: Tensor::cat(tables.1, 0),
            averages: Tensor::cat(tables.2, 0),
        })
    }

    /// Row of a clip that an episode uses.
    fn row(&self, class: usize, clip: usize) -> usize {
        self.rows[&(class, clip)]
    }

    fn align(
        &self,
        model: &FewShotModel,
        texts: &ClassTexts,
        shape: Shape,
        episodes: &[Episode],
    ) -> Result<Vec<Outcome>> {
        let device = self.query.device();
        let [_, t, e] = self.query.dims();
        let (n, q, way, shot) = (episodes.len(), shape.way * shape.queries, shape.way, shape.shot);
        let queries: Vec<usize> = episodes
            .iter()
            .flat_map(|ep| ep.queries.iter().map(|&(label, clip)| self.row(ep.classes[label], clip)))
            .collect();
        let supports = episodes.iter().flat_map(|ep| {
            ep.classes
                .iter()
                .zip(&ep.support)
                .flat_map(|(&class, clips)| clips.iter().map(move |&i| self.row(class, i)))
        });
        let queries = indices(queries.into_iter(), &device);
        let supports = indices(supports, &device);
        let classes: Vec<usize> = episodes.iter().flat_map(|episode| episode.classes.iter().copied()).collect();
        let ClassTexts { mean, sentences, .. } = texts.select(&classes);
        let texts: Tensor<3> = mean.clone().reshape([n, way, mean.dims()[1]]);
        let of_queries = self.query.clone().select(0, queries.clone()).reshape([n, q, t, e]);
        let aligned = model.align(
            of_queries.clone(),
            self.support.clone().select(0, supports).reshape([n, way, shot, t, e]),
            texts.clone(),
        );
        let mut scores = Scores::aligned(aligned);
        if model.objective.needs_text() {
            let sentences = sentences.map(|sentences| {
                let [_, each, width] = sentences.dims();
                sentences.reshape([n, way, each, width])
            });
            scores.frames = model.frames_and_sentences(&of_queries, &texts, sentences.as_ref(), shot);
            let averages = self.averages.clone().select(0, queries);
            let width = averages.dims()[1];
            let averages: Tensor<3> = averages.reshape([n, q, width]);
            let sentences = sentences.filter(|_| model.objective.needs_sentences());
            scores.query_sentences = sentences.map(|sentences| sentence_cosines(averages.clone(), sentences));
            scores.query_text = Some(text_cosines(averages, texts));
        }
        outcomes(model, &scores, episodes)
    }
}

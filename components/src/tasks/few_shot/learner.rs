//! One training step: episodes prepared, their losses and gradients, and validation.

use super::passes::{Part, PartBranch, Passes};
use super::{FewShot, SplitData};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use maclip_framework::clips::loader::View;
use maclip_framework::engine::episodes::{self, Episode, EpisodeList, Shape};
use maclip_framework::engine::evaluation::{self, EpisodeClips, Outcome, select_rows};
use maclip_framework::engine::features::ClipSource;
use maclip_framework::engine::training::{Learner, StepOutput, Validation};
use maclip_framework::error::{Error, Result};
use maclip_framework::model::few_shot::{ClassTexts, FewShotModel};
use maclip_framework::model::gradients::{gradient_norm, gradient_norms, sum_gradients};
use maclip_framework::profile::{self, Phase};
use maclip_framework::progress::{Progress, Silent};
use maclip_framework::random::Stream;
use maclip_framework::recipe::compute::{Compute, Recompute};
use maclip_framework::recipe::expectation::mean_ci95;
use maclip_framework::slots::Scope;
use maclip_framework::slots::draws::Draws;
use maclip_framework::slots::module::{GraphStrategy, on_graph};
use maclip_framework::slots::objective::{Labels, Loss, Scores};
use maclip_framework::slots::optimizer::Optimizer;
use rayon::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::Range;

#[derive(Clone)]
pub struct EpisodeLearner<'a> {
    pub task: &'a FewShot,
    pub compute: &'a Compute,
    /// Number of parts that an episode is split into on each device; they are encoded at the same time.
    pub shards: Vec<usize>,
    /// What is kept of the tower, see [`Passes`].
    pub recompute: Recompute,
    /// Clips that are encoded at the same time; `None` is all.
    pub micro_batch: Option<usize>,
    /// Changes the weights in the fine-tuning on supports.
    pub optimizer: &'a dyn Optimizer,
    /// Opens clips, on each device.
    pub source: &'a ClipSource<'a>,
    /// Shape of the episodes.
    pub shape: Shape,
    pub train: &'a SplitData,
    /// Texts of the training classes, on each device.
    pub texts: Vec<ClassTexts>,
    pub val: &'a SplitData,
    pub validation: &'a EpisodeList,
    /// Draws episodes.
    pub episodes: Stream,
    /// Draws frames and augmentation of each clip of each episode.
    pub clips: Stream,
    /// The run's seed, which draws inside the forward pass depend on.
    pub seed: u64,
    /// Which activations a graph keeps for the backward pass.
    pub graph_strategy: GraphStrategy,
}

/// A training episode, ready for the trainable part of the model.
pub struct Prepared {
    index: u64,
    /// Number of the device that it is computed on.
    device: usize,
    episode: Episode,
    /// Frozen prefixes, `[S, T, F]`.
    support: Tensor<3>,
    /// `[Q, T, F]`
    query: Tensor<3>,
}

/// Frame features of both branches, `[S, T, E]` and `[Q, T, E]`.
struct Frames {
    support: Tensor<3>,
    query: Tensor<3>,
}

/// Loss of one episode with its scores and accuracy.
struct Judged {
    loss: Loss,
    scores: Scores,
    /// Class of each query, `[1, Q]`. It is read after the backward pass was begun: a number that is read makes the
    /// program wait for a card.
    predicted: Tensor<3, Int>,
}

impl Judged {
    /// Part of the queries that were right.
    fn accuracy(&self, episode: &Episode) -> f64 {
        let predicted: Vec<i64> = self.predicted.clone().into_data().iter::<i64>().collect();
        let hits = predicted.iter().zip(&episode.queries).filter(|(p, (label, _))| **p == *label as i64).count();
        hits as f64 / predicted.len() as f64
    }
}

/// Numbers of one episode.
pub struct EpisodeStep {
    loss: f64,
    parts: Vec<(&'static str, f64)>,
    accuracy: f64,
}

fn scalar(tensor: &Tensor<1>) -> f64 {
    tensor.clone().into_scalar::<f32>() as f64
}

impl EpisodeLearner<'_> {
    /// Episode number `index` of the training, for the device number `device`.
    fn prepare_episode(&self, index: u64, device: usize) -> Result<Prepared> {
        let episode = episodes::draw(self.shape, &self.train.classes, &self.episodes, index);
        self.prepared(index, episode, device)
    }

    /// `episode` for the device number `device`. Its frames and augmentation are drawn by `index`.
    pub fn prepared(&self, index: u64, episode: Episode, device: usize) -> Result<Prepared> {
        let shape = self.shape;
        let ids = EpisodeClips::new(&episode, &self.train.classes);
        let first = index * (shape.way * (shape.shot + shape.queries)) as u64;
        let supports = ids.support.len();
        let draw = |i: usize| self.clips.at(first + i as u64);
        let source = self.source.on(device);
        let support = source.prefixes(&ids.support, |i| View::TrainingSupport(draw(i)))?;
        let query = source.prefixes(&ids.queries, |i| View::Training(draw(supports + i)))?;
        Ok(Prepared { index, device, episode, support, query })
    }

    /// Texts of the support clips' classes, `[S, E]`.
    fn support_texts(&self, input: &Prepared) -> Tensor<2> {
        let clips = EpisodeClips::new(&input.episode, &self.train.classes);
        select_rows(&self.texts[input.device].mean, &clips.support_classes)
    }

    fn device(&self, input: &Prepared) -> &Device {
        self.source.on(input.device).loader().device
    }

    /// Everything after the tower.
    fn judge(&self, model: &FewShotModel, draws: &Draws, input: &Prepared, frames: Frames) -> Judged {
        let (episode, device, all_texts) = (&input.episode, self.device(input), &self.texts[input.device]);
        let shape = self.shape;
        let ids = EpisodeClips::new(episode, &self.train.classes);
        let supports = ids.support.len();
        let clips = supports + ids.queries.len();
        let class_text = model.current_texts(all_texts.select(&episode.classes));
        let of_supports: Vec<usize> = (0..supports).map(|clip| clip / shape.shot).collect();
        let support_texts = select_rows(&class_text.mean, &of_supports);
        let support = draws.of_clips(0..supports).during(|| model.support_prototypes(frames.support, support_texts));
        let query = draws.of_clips(supports..clips).during(|| model.query_prototypes(frames.query));
        let tensor = |labels: Vec<i32>| {
            let count = labels.len();
            Tensor::<2, Int>::from_data(TensorData::new(labels, [1, count]), device)
        };
        let labels = Labels {
            query: tensor(episode.queries.iter().map(|&(label, _)| label as i32).collect()),
            support: tensor((0..supports).map(|i| (i / shape.shot) as i32).collect()),
        };
        let all = model.objective.all_classes().then(|| {
            let queries = episode.queries.iter().map(|&(label, _)| episode.classes[label]);
            let classes = queries.chain(ids.support_classes.iter().copied()).map(|class| class as i32);
            let texts = match model.objective.needs_text() {
                true => model.current_texts(all_texts.clone()),
                false => all_texts.clone(),
            };
            model.all_classes(&support, &query, texts.mean, tensor(classes.collect()))
        });
        let mut scores = draws.during(|| model.scores(support, query, class_text, shape.shot));
        scores.all_classes = all;
        let _span = profile::span(Phase::Objective);
        let loss = model.objective.loss(&scores, &labels);
        let predicted = model.objective.probabilities(&scores).argmax(2);
        Judged { loss, scores, predicted }
    }

    /// The clips of an episode in the parts that go through the tower together, support clips first.
    fn parts(&self, model: &FewShotModel, input: &Prepared) -> Vec<Part> {
        let texts = self.support_texts(input);
        let Prepared { support, query, .. } = input;
        let (supports, queries) = (support.dims()[0], query.dims()[0]);
        if model.adapter.scope() == Scope::Episode {
            let prefix = Tensor::cat(vec![support.clone(), query.clone()], 0);
            return vec![Part { prefix, clips: 0..supports + queries, branch: PartBranch::Episode(texts) }];
        }
        let size = part_size(self.micro_batch, self.shards[input.device], supports + queries);
        let ranges = |clips: usize| (0..clips).step_by(size).map(move |from| from..(from + size).min(clips));
        let of = |tensor: &Tensor<3>, range: &Range<usize>| tensor.clone().narrow(0, range.start, range.len());
        let support_parts = ranges(supports).map(|range| Part {
            prefix: of(support, &range),
            branch: PartBranch::Support(texts.clone().narrow(0, range.start, range.len())),
            clips: range,
        });
        let query_parts = ranges(queries).map(|range| Part {
            prefix: of(query, &range),
            branch: PartBranch::Query,
            clips: supports + range.start..supports + range.end,
        });
        support_parts.chain(query_parts).collect()
    }

    /// Loss and gradients of one episode.
    fn episode(&self, model: &FewShotModel, input: &Prepared) -> Result<(Judged, GradientsParams)> {
        if self.micro_batch.is_some() && model.adapter.scope() == Scope::Episode {
            return Err(Error::failed(
                "the adapter looks across the clips of an episode, so they cannot be encoded in parts",
            )
            .help("set `compute.micro_batch: null`"));
        }
        let supports = input.support.dims()[0];
        let clips = supports + input.query.dims()[0];
        let (recompute, graph_strategy) = (self.recompute, self.graph_strategy);
        let side_by_side = self.micro_batch.is_none_or(|size| size >= clips);
        let draws = Draws::new(self.seed, input.index);
        let device = self.device(input);
        let passes = Passes { recompute, side_by_side, graph_strategy, device, draws: &draws };
        let forward = passes.forward(model, self.parts(model, input));
        let leaf = on_graph(forward.frames.clone(), graph_strategy);
        // Nothing below the features of a frozen tower is trained, so their gradient is not computed.
        let frozen = model.backbone.encode_steps(&*model.adapter).is_empty();
        let leaf = if frozen { leaf } else { leaf.require_grad() };
        let frames = Frames {
            support: leaf.clone().narrow(0, 0, supports),
            query: leaf.clone().narrow(0, supports, clips - supports),
        };
        let judged = self.judge(model, &draws, input, frames);
        let gradients = {
            let _span = profile::span(Phase::Backward);
            judged.loss.total.clone().backward()
        };
        let tower = leaf.grad(&gradients).and_then(|gradient| passes.backward(model, forward, gradient));
        let sums = tower.into_iter().chain([GradientsParams::from_grads(gradients, model)]).collect();
        Ok((judged, sum_gradients(model, sums, 1.0)))
    }

    /// [`Self::episode`] as numbers; an error where they are not finite.
    pub fn episode_step(&self, model: &FewShotModel, input: &Prepared) -> Result<(EpisodeStep, GradientsParams)> {
        let (judged, gradients) = self.episode(model, input)?;
        let loss = scalar(&judged.loss.total);
        let norm = gradient_norm(model, &gradients);
        if !loss.is_finite() || !norm.is_finite() {
            let classes: Vec<&str> =
                input.episode.classes.iter().map(|&class| self.train.classes[class].name.as_str()).collect();
            return Err(Error::failed(format!(
                "training episode {} has the loss {loss} and a gradient of norm {norm}; its classes are {}",
                input.index,
                classes.join(", ")
            )));
        }
        let parts = judged.loss.parts.iter().map(|(name, part)| (*name, scalar(part))).collect();
        Ok((EpisodeStep { loss, parts, accuracy: judged.accuracy(&input.episode) }, gradients))
    }
}

/// Clips that go through the tower together, of `clips` of an episode.
pub fn part_size(micro_batch: Option<usize>, shards: usize, clips: usize) -> usize {
    micro_batch.unwrap_or_else(|| clips.div_ceil(shards)).min(clips)
}

/// `asked` where it is one of the ways; `none` is `tower` where only some of the clips may be in memory.
pub fn with_micro_batch(asked: Recompute, micro_batch: Option<usize>, clips: usize) -> Recompute {
    match (asked, micro_batch) {
        (Recompute::None, Some(size)) if size < clips => Recompute::Tower,
        _ => asked,
    }
}

impl Learner for EpisodeLearner<'_> {
    type Model = FewShotModel;
    type Input = Vec<Prepared>;

    fn prepare(&self, step: u64) -> Result<Vec<Prepared>> {
        let count = self.task.episodes_per_step as u64;
        let episode = |at: u64| self.prepare_episode(step * count + at, at as usize % self.source.devices());
        (0..count).map(episode).collect()
    }

    fn step(&self, model: &FewShotModel, input: Vec<Prepared>) -> Result<StepOutput> {
        let count = input.len();
        let devices = self.source.devices();
        let at_once = self.compute.episodes_at_once.map_or(count, |each| each * devices);
        let models: Vec<FewShotModel> = (0..devices).map(|at| self.source.replica(at, model)).collect();
        let first = self.source.loader().device;
        let mut steps: Vec<EpisodeStep> = Vec::with_capacity(count);
        let mut sum: Vec<GradientsParams> = Vec::new();
        for inputs in input.chunks(at_once) {
            // Each episode has its own graph over its own copy of the leaves; the gradients are added in order, so that
            // neither the number of threads nor of episodes at once changes them.
            let one = |input: &Prepared| {
                let replica = models[input.device].clone().fork(self.device(input));
                let (step, gradients) = self.episode_step(&replica, input)?;
                let gradients = if input.device > 0 { gradients.to_device(first, model) } else { gradients };
                Ok((step, gradients))
            };
            let done: Vec<(EpisodeStep, GradientsParams)> = inputs.par_iter().map(one).collect::<Result<_>>()?;
            for (step, gradients) in done {
                steps.push(step);
                sum.push(gradients);
            }
            sum = vec![sum_gradients(model, sum, 1.0)];
        }
        let mean = |value: &dyn Fn(&EpisodeStep) -> f64| steps.iter().map(value).sum::<f64>() / count as f64;
        let names: Vec<&'static str> = steps.first().map_or(Vec::new(), |s| s.parts.iter().map(|(n, _)| *n).collect());
        let parts =
            names.iter().enumerate().map(|(i, name)| ((*name).to_owned(), mean(&|step| step.parts[i].1))).collect();
        let (loss, accuracy) = (mean(&|step| step.loss), mean(&|step| step.accuracy));
        let gradients = sum_gradients(model, sum, 1.0 / count as f64);
        Ok(StepOutput { gradients, loss, parts, accuracy })
    }

    fn validate(&self, model: &FewShotModel) -> Result<Validation> {
        let outcomes = self.outcomes(model, (self.val, self.validation), &Silent)?;
        let (value, ci95) = mean_ci95(&outcomes.iter().map(Outcome::accuracy).collect::<Vec<_>>());
        Ok(Validation { value, ci95, episodes: outcomes.len() as u64 })
    }

    fn inspect(&self, model: &FewShotModel, input: Vec<Prepared>) -> Result<Value> {
        let episodes = input.iter().map(|input| {
            let model = self.source.replica(input.device, model).fork(self.device(input));
            let ids = EpisodeClips::new(&input.episode, &self.train.classes);
            let names = |rows: &[usize]| -> Vec<&str> {
                rows.iter().map(|&class| self.train.classes[class].name.as_str()).collect()
            };
            let plain = model.valid();
            let texts = self.support_texts(input);
            let (support, query) = plain.episode(input.support.clone(), texts.clone(), input.query.clone());
            let prototypes = plain.support_prototypes(support.clone(), texts).prototypes;
            let (judged, gradients) = self.episode(&model, input)?;
            Ok(json!({
                "episode": input.index,
                "classes": names(&input.episode.classes),
                "support": ids.support,
                "queries": ids.queries,
                "query_labels": input.episode.queries.iter().map(|&(label, _)| label).collect::<Vec<_>>(),
                "loss": number(scalar(&judged.loss.total)),
                "parts": judged.loss.parts.iter()
                    .map(|(name, part)| ((*name).to_owned(), number(scalar(part)))).collect::<BTreeMap<_, _>>(),
                "accuracy": judged.accuracy(&input.episode),
                "values": {
                    "frozen_prefix": range(input.support.clone()),
                    "support_features": range(support),
                    "query_features": range(query),
                    "prototypes": range(prototypes),
                    "distances": range(judged.scores.distances.inner()),
                },
                "gradient_norms": gradient_norms(&model, &gradients).into_iter()
                    .map(|(path, norm)| (path, number(norm))).collect::<BTreeMap<_, _>>(),
            }))
        });
        Ok(Value::Array(episodes.collect::<Result<_>>()?))
    }
}

impl EpisodeLearner<'_> {
    /// The outcomes of the episodes of a list, with the weights of `model`, or with those that each episode's supports
    /// make of them where the task says so.
    ///
    /// # Errors
    /// Where a clip cannot be opened or a number is not finite; [`Error::Interrupted`] after a request to stop.
    pub fn outcomes(
        &self,
        model: &FewShotModel,
        (data, list): (&SplitData, &EpisodeList),
        progress: &dyn Progress,
    ) -> Result<Vec<Outcome>> {
        if let Some(fine_tune) = &self.task.fine_tune {
            return fine_tune.evaluate(self, self.optimizer, model, (data, list), progress);
        }
        let split = evaluation::SplitEpisodes { classes: &data.classes, texts: &data.texts, list };
        evaluation::evaluate(&model.valid(), self.source, &split, progress)
    }
}

/// A number, or its name as a text where it is not finite: JSON has no NaN and no infinity, and `replay` is there to
/// find them.
fn number(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { json!(value.to_string()) }
}

/// Smallest and largest finite value, and how many are not finite.
fn range(tensor: Tensor<3>) -> Value {
    let values: Vec<f32> = tensor.into_data().iter::<f32>().collect();
    let finite = values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let wrong = values.iter().filter(|value| !value.is_finite()).count();
    json!({"min": number(low.into()), "max": number(high.into()), "not_finite": wrong, "of": values.len()})
}

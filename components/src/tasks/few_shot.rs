//! `few_shot`: episodic training, selection on validation classes, one test of the selected checkpoint.
//!
//! Source: the protocol of the field (TRX, few-shot-action-recognition): C-way K-shot episodes, classes drawn uniformly, clips
//! without replacement; 10,000 test episodes. Selection is on val and cannot be on test.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use maclip_framework::clips::ClipLoader;
use maclip_framework::episode::{self, Episode, EpisodeList, Shape, mean_ci95};
use maclip_framework::error::{Error, Result};
use maclip_framework::evaluation::{self, EpisodeClips, Outcome, select_rows};
use maclip_framework::model::{FewShotModel, class_texts, text_cosines, time_average};
use maclip_framework::parameters;
use maclip_framework::plan::{Node, Plan};
use maclip_framework::progress::{Progress, Silent};
use maclip_framework::random::Stream;
use maclip_framework::records::{EpisodeRecord, Seconds, State, TestResult};
use maclip_framework::register;
use maclip_framework::registry::{Component, Problems};
use maclip_framework::run::{BuildContext, Recipe, RunContext};
use maclip_framework::slots::Scope;
use maclip_framework::slots::augment::Augment;
use maclip_framework::slots::dataset::{Class, Dataset, Split};
use maclip_framework::slots::frames::FrameSampler;
use maclip_framework::slots::objective::{AllClasses, Labels};
use maclip_framework::slots::optimizer::Optimizer;
use maclip_framework::slots::prompt::Prompt;
use maclip_framework::slots::schedule::Schedule;
use maclip_framework::slots::task::Task;
use maclip_framework::training::{Learner, Loop, LoopOptions, StepOutput, Validation};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Instant;

/// Options of few-shot training and testing.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct FewShot {
    /// Classes of an episode.
    way: usize,
    /// Support clips of each class.
    shot: usize,
    /// Support clips of each class in training and validation, where it is not `shot`. CLIP-FSAR and D2ST train with 1.
    train_shot: Option<usize>,
    /// Training episodes whose mean gradient makes one step.
    episodes_per_step: usize,
    /// Query clips of each class in a training episode. 5 in most public code, 1 in D2ST.
    queries: usize,
    /// The training loop.
    train: LoopOptions,
    /// Episodes of val classes that choose the checkpoint.
    validation: Evaluation,
    /// Episodes of test classes, run once with the chosen checkpoint.
    test: Evaluation,
}

/// A fixed list of episodes.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Evaluation {
    /// Number of episodes.
    episodes: usize,
    /// Query clips of each class. 1 in the field.
    queries: usize,
    /// Seed of the list: the evaluation's own, so that all runs of a study share it.
    seed: u64,
    /// Use only the first clips of each class; `null` uses all.
    clips_per_class: Option<usize>,
}

impl Default for FewShot {
    fn default() -> Self {
        Self {
            way: 5,
            shot: 1,
            train_shot: None,
            episodes_per_step: 1,
            queries: 5,
            train: LoopOptions::default(),
            validation: Evaluation { episodes: 500, ..Evaluation::default() },
            test: Evaluation::default(),
        }
    }
}

impl Default for Evaluation {
    fn default() -> Self {
        Self { episodes: 10_000, queries: 1, seed: 0, clips_per_class: None }
    }
}

register!(dyn Task, FewShot, name: "few_shot", summary: "episodic training, selection on val, one test of the selected weights",
    paper: Some("protocol of TRX and few-shot-action-recognition"), stability: Stable, example: "{way: 5, shot: 1}");

impl Component for FewShot {
    type Slot = dyn Task;

    fn check(&self, problems: &mut Problems) {
        problems.when(!(2..=10_000).contains(&self.way), "way", "must be within 2 and 10000");
        problems.when(!(1..=10_000).contains(&self.shot), "shot", "must be within 1 and 10000");
        problems.when(self.train_shot == Some(0), "train_shot", "must be at least 1");
        problems.when(self.episodes_per_step == 0, "episodes_per_step", "must be at least 1");
        problems.when(self.queries == 0, "queries", "must be at least 1");
        self.train.check("train.", problems);
        for (name, list) in [("validation", &self.validation), ("test", &self.test)] {
            problems.when(list.episodes < 2, &format!("{name}.episodes"), "must be at least 2");
            let wrong = !(1..=10_000).contains(&list.queries);
            problems.when(wrong, &format!("{name}.queries"), "must be within 1 and 10000");
        }
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Task>> {
        Ok(Box::new(self))
    }
}

/// Classes of one split with their text features.
struct SplitData {
    classes: Vec<Class>,
    /// `[C, E]`
    texts: Tensor<2>,
}

impl Task for FewShot {
    fn slots(&self) -> &'static [&'static str] {
        &[
            "dataset",
            "frames",
            "augment",
            "backbone",
            "prompt",
            "adapter",
            "prototype",
            "alignment",
            "objective",
            "optimizer",
            "schedule",
        ]
    }

    fn plan(&self, recipe: &Recipe) -> Result<Plan> {
        let mut build = BuildContext::new(recipe.seed, Device::flex());
        build.sizes_only = true;
        let frames = recipe.build::<dyn FrameSampler>(&build)?.count();
        let model = FewShotModel::build(recipe, &build, frames)?;
        let geometry = model.backbone.geometry();
        let (w, s, q) = (self.way, self.way * self.shot, self.way * self.test.queries);
        let (t, e, side) = (frames, geometry.embed_dim, geometry.image_size);
        let names = recipe.components();
        let by = |slots: &[&str]| {
            let names = slots.iter().filter_map(|slot| names.get(*slot)).map(String::as_str);
            names.filter(|name| *name != "none").collect::<Vec<_>>().join(" + ")
        };
        // The query branch reads no class text.
        let query = |scope: Scope| if scope == Scope::LabelledClip { Scope::Clip } else { scope };
        let (adapter, prototype) = (model.adapter.scope(), model.prototype.scope());
        // A module that relates clips first rewrites each on its own.
        let relates = prototype == Scope::Episode;
        let alone = if relates { Scope::LabelledClip } else { prototype };
        let node = |id, by: String, from: &[&'static str], shape: &[usize], scope: Scope| Node {
            id,
            by: if by.is_empty() { "–".to_owned() } else { by },
            from: from.to_vec(),
            shape: shape.to_vec(),
            scope,
            runs: Plan::runs(scope),
        };
        let mut nodes = Vec::new();
        let text = model.needs_text();
        if text {
            let mut texts = node("texts", by(&["prompt", "backbone"]), &[], &[w, e], Scope::Frozen);
            texts.runs = "once per class";
            nodes.push(texts);
        }
        let with_text = |from: &'static str, reads: bool| if reads { vec![from, "texts"] } else { vec![from] };
        let encoder = by(&["backbone", "adapter"]);
        let support = with_text("pixels", model.adapter.needs_text());
        let prototypes = with_text("support", model.prototype.needs_text());
        let mut compared = vec!["prototypes", "queries"];
        let mut scored = vec!["distances"];
        if model.objective.needs_text() {
            scored.extend(["query", "texts"]);
        }
        nodes.extend([
            node("pixels", by(&["dataset", "frames", "augment"]), &[], &[s + q, t, 3, side, side], Scope::Frozen),
            node("support", encoder.clone(), &support, &[s, t, e], adapter),
            node("query", encoder, &["pixels"], &[q, t, e], query(adapter)),
            node("prototypes", by(&["prototype"]), &prototypes, &[s, t, e], adapter.max(alone)),
            node("queries", by(&["prototype"]), &["query"], &[q, t, e], query(adapter.max(alone))),
        ]);
        if relates {
            let mut reads = with_text("prototypes", model.prototype.needs_text());
            reads.push("queries");
            nodes.push(node("related", by(&["prototype"]), &reads, &[s + q, t, e], Scope::Episode));
            compared = vec!["related"];
        }
        nodes.extend([
            node("distances", by(&["alignment"]), &compared, &[q, w], Scope::Episode),
            node("probabilities", by(&["objective"]), &scored, &[q, w], Scope::Episode),
        ]);
        Ok(Plan { nodes, params: parameters::count(&model) })
    }

    fn run(&self, context: &mut RunContext) -> Result<()> {
        let recipe = context.recipe;
        let build = BuildContext::new(recipe.seed, context.device.clone());
        let dataset = recipe.build::<dyn Dataset>(&build)?;
        let frames = recipe.build::<dyn FrameSampler>(&build)?;
        let augment = recipe.build::<dyn Augment>(&build)?;
        let prompt = recipe.build::<dyn Prompt>(&build)?;
        let optimizer = recipe.build::<dyn Optimizer>(&build)?;
        let schedule = recipe.build::<dyn Schedule>(&build)?;
        let lists = self.lists(&*dataset, context)?;

        let model = FewShotModel::build(recipe, &build, frames.count())?;
        let params = parameters::count(&model);
        context.manifest.weights = build.weights();
        context.store.write_json("manifest.json", &context.manifest)?;
        context.store.write_json("params.json", &params)?;

        let geometry = model.backbone.geometry().clone();
        let loader = ClipLoader {
            dataset: &*dataset,
            frames: &*frames,
            augment: &*augment,
            geometry: &geometry,
            device: &context.device,
        };
        let [train, val, test] = lists
            .map(|classes| {
                let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
                let texts = class_texts(&model, &*prompt, &names, &context.device)?;
                Ok(SplitData { classes, texts })
            })
            .into_iter()
            .collect::<Result<Vec<_>>>()?
            .try_into()
            .map_err(|_| Error::failed("a dataset has three splits"))?;

        let mut seconds = Seconds::default();
        let (model, best_step) = if params.trainable == 0 {
            context.progress.note("nothing to train: the recipe has no trainable parameters");
            (model, None)
        } else {
            let learner = EpisodeLearner {
                task: self,
                loader: &loader,
                train: &train,
                validation: self.validation.list(self.shape(Split::Val), Split::Val, &val.classes)?,
                val: &val,
                stream: Stream::new(recipe.seed, "train/episodes"),
                clips: Stream::new(recipe.seed, "train/clips"),
                device: &context.device,
            };
            let trained = Loop {
                options: &self.train,
                optimizer: &*optimizer,
                schedule: &*schedule,
                store: context.store,
                progress: context.progress,
            }
            .run(&learner, model)?;
            seconds.train = trained.seconds;
            (trained.model, trained.best_step)
        };
        self.test(context, &model.valid(), &loader, &test, best_step, seconds)
    }
}

impl FewShot {
    /// Shape of the episodes of `split`.
    fn shape(&self, split: Split) -> Shape {
        let training = self.train_shot.unwrap_or(self.shot);
        let (shot, queries) = match split {
            Split::Train => (training, self.queries),
            Split::Val => (training, self.validation.queries),
            Split::Test => (self.shot, self.test.queries),
        };
        Shape { way: self.way, shot, queries }
    }

    /// Train, val and test classes, checked: large enough for their episodes, and disjoint in classes and clips.
    fn lists(&self, dataset: &dyn Dataset, context: &mut RunContext) -> Result<[Vec<Class>; 3]> {
        let recipe = context.recipe;
        let limits = [None, self.validation.clips_per_class, self.test.clips_per_class];
        let mut seen: BTreeMap<String, &'static str> = BTreeMap::new();
        let mut lists = Vec::new();
        for (split, limit) in Split::ALL.into_iter().zip(limits) {
            let mut listing = dataset.list(split).map_err(|error| error.at(recipe.place("dataset")))?;
            if !listing.skipped.is_empty() {
                let (clip, reason) = &listing.skipped[0];
                let note = format!(
                    "{} clip{} of split {} left out; the first: {clip}: {reason}",
                    listing.skipped.len(),
                    if listing.skipped.len() == 1 { "" } else { "s" },
                    split.name(),
                );
                context.progress.note(&note);
                context.manifest.notes.push(note);
                context.store.write_json(&format!("skipped_{}.json", split.name()), &listing.skipped)?;
            }
            for class in &mut listing.classes {
                class.clips.truncate(limit.unwrap_or(usize::MAX));
            }
            let too_wide = listing.classes.len() < self.way;
            let cause = if too_wide { "task.way" } else { "task.shot" };
            episode::check(self.shape(split), split, &listing.classes)
                .map_err(|error| error.at(recipe.place(cause)))?;
            let keys = listing.classes.iter().flat_map(|class| {
                std::iter::once(format!("class `{}`", class.name))
                    .chain(class.clips.iter().map(|clip| format!("clip `{clip}`")))
            });
            for key in keys {
                if let Some(other) = seen.insert(key.clone(), split.name()) {
                    return Err(Error::failed(format!("{key} is in split {other} and in split {}", split.name()))
                        .help("few-shot splits are disjoint, or the result says nothing about new classes"));
                }
            }
            lists.push(listing.classes);
        }
        lists.try_into().map_err(|_| Error::failed("a dataset has three splits"))
    }

    fn test(
        &self,
        context: &RunContext,
        model: &FewShotModel,
        loader: &ClipLoader,
        test: &SplitData,
        best_step: Option<u64>,
        mut seconds: Seconds,
    ) -> Result<()> {
        let started = Instant::now();
        let list = self.test.list(self.shape(Split::Test), Split::Test, &test.classes)?;
        let split = evaluation::Split { classes: &test.classes, texts: &test.texts, list: &list };
        let outcomes = evaluation::evaluate(model, loader, &split, context.progress)?;
        seconds.test = started.elapsed().as_secs_f64();
        let mut records = context.store.records("episodes.jsonl", |_: &EpisodeRecord| false)?;
        let lines: Vec<EpisodeRecord> = list
            .episodes
            .iter()
            .zip(&outcomes)
            .enumerate()
            .map(|(id, (episode, outcome))| record(id, episode, outcome, &test.classes))
            .collect();
        records.append_all(&lines)?;
        let (value, ci95) = mean_ci95(&outcomes.iter().map(Outcome::accuracy).collect::<Vec<_>>());
        let result = TestResult {
            metric: "accuracy".to_owned(),
            value,
            ci95,
            episodes: outcomes.len() as u64,
            episodes_hash: list.hash,
            way: self.way,
            shot: self.shot,
        };
        context.store.write_status(State::Done, None, Some(result), best_step, seconds)
    }
}

impl Evaluation {
    fn list(&self, shape: Shape, split: Split, classes: &[Class]) -> Result<EpisodeList> {
        EpisodeList::new(shape, split, classes, self.seed, self.episodes)
    }
}

fn record(id: usize, episode: &Episode, outcome: &Outcome, classes: &[Class]) -> EpisodeRecord {
    let clip = |class: usize, clip: usize| classes[class].clips[clip].clone();
    EpisodeRecord {
        id: id as u64,
        classes: episode.classes.iter().map(|&class| classes[class].name.clone()).collect(),
        support: episode
            .classes
            .iter()
            .zip(&episode.support)
            .map(|(&class, clips)| clips.iter().map(|&i| clip(class, i)).collect())
            .collect(),
        queries: episode.queries.iter().map(|&(label, i)| clip(episode.classes[label], i)).collect(),
        labels: episode.queries.iter().map(|&(label, _)| label).collect(),
        predictions: outcome.predictions.clone(),
        correct: outcome.correct,
    }
}

struct EpisodeLearner<'a> {
    task: &'a FewShot,
    loader: &'a ClipLoader<'a>,
    train: &'a SplitData,
    val: &'a SplitData,
    validation: EpisodeList,
    stream: Stream,
    clips: Stream,
    device: &'a Device,
}

/// Gradient and figures of one episode.
struct EpisodeStep {
    gradients: GradientsParams,
    loss: f64,
    parts: Vec<(&'static str, f64)>,
    accuracy: f64,
}

impl EpisodeLearner<'_> {
    fn episode_index(&self, step: u64, i: usize) -> u64 {
        step * self.task.episodes_per_step as u64 + i as u64
    }

    fn episode(&self, model: &FewShotModel, index: u64) -> Result<EpisodeStep> {
        let shape = self.task.shape(Split::Train);
        let episode = episode::draw(shape, &self.train.classes, &self.stream, index);
        let ids = EpisodeClips::new(&episode, &self.train.classes);
        let first = index * (shape.way * (shape.shot + shape.queries)) as u64;
        let supports = ids.support.len();
        let draw = |i: usize| Some(self.clips.at(first + i as u64));
        let support_pixels = self.loader.load(&ids.support, draw)?;
        let query_pixels = self.loader.load(&ids.queries, |i| draw(supports + i))?;
        let texts = select_rows(&self.train.texts, &ids.support_classes, self.device);
        let (support, query) = model.episode(support_pixels, texts, query_pixels);
        let averages = model.objective.all_classes().then(|| {
            let averages =
                Tensor::cat(vec![time_average(query.frames.clone()), time_average(support.frames.clone())], 0);
            text_cosines(averages.unsqueeze(), self.train.texts.clone().unsqueeze())
        });
        let class_text = select_rows(&self.train.texts, &episode.classes, self.device);
        let mut scores = model.scores(support, query, class_text, shape.shot);
        let tensor = |labels: Vec<i32>| {
            let count = labels.len();
            Tensor::<2, Int>::from_data(TensorData::new(labels, [1, count]), self.device)
        };
        let labels = Labels {
            query: tensor(episode.queries.iter().map(|&(label, _)| label as i32).collect()),
            support: tensor((0..supports).map(|i| (i / shape.shot) as i32).collect()),
        };
        scores.all_classes = averages.map(|cosines| {
            let queries = episode.queries.iter().map(|&(label, _)| episode.classes[label]);
            let classes = queries.chain(ids.support_classes.iter().copied()).map(|class| class as i32);
            AllClasses { cosines, labels: tensor(classes.collect()) }
        });
        let loss = model.objective.loss(&scores, &labels);
        let predicted: Vec<i64> = model.objective.probabilities(&scores).argmax(2).into_data().iter::<i64>().collect();
        let hits = predicted.iter().zip(&episode.queries).filter(|(p, (label, _))| **p == *label as i64).count();
        let scalar = |tensor: Tensor<1>| tensor.into_scalar::<f32>() as f64;
        let total = scalar(loss.total.clone());
        let parts = loss.parts.into_iter().map(|(name, part)| (name, scalar(part))).collect();
        let gradients = GradientsParams::from_grads(loss.total.backward(), model);
        Ok(EpisodeStep { gradients, loss: total, parts, accuracy: hits as f64 / predicted.len() as f64 })
    }
}

impl Learner for EpisodeLearner<'_> {
    type Model = FewShotModel;

    fn step(&self, model: &FewShotModel, step: u64) -> Result<StepOutput> {
        let count = self.task.episodes_per_step;
        // Each episode has its own graph over its own copy of the leaves, so that episodes can run side by side; the
        // gradients are added in order, so that the number of threads does not change them.
        let steps: Vec<EpisodeStep> = (0..count)
            .into_par_iter()
            .map(|i| self.episode(&model.clone().fork(&self.device.clone()), self.episode_index(step, i)))
            .collect::<Result<_>>()?;
        let mean = |value: &dyn Fn(&EpisodeStep) -> f64| steps.iter().map(value).sum::<f64>() / count as f64;
        let mut parts = BTreeMap::new();
        for step in &steps {
            for (name, value) in &step.parts {
                *parts.entry((*name).to_owned()).or_insert(0.0) += value / count as f64;
            }
        }
        Ok(StepOutput {
            loss: mean(&|step| step.loss),
            accuracy: mean(&|step| step.accuracy),
            parts,
            gradients: parameters::mean_gradients(model, steps.into_iter().map(|step| step.gradients).collect()),
        })
    }

    fn validate(&self, model: &FewShotModel) -> Result<Validation> {
        let split = evaluation::Split { classes: &self.val.classes, texts: &self.val.texts, list: &self.validation };
        let quiet: &dyn Progress = &Silent;
        let outcomes = evaluation::evaluate(&model.valid(), self.loader, &split, quiet)?;
        let (value, ci95) = mean_ci95(&outcomes.iter().map(Outcome::accuracy).collect::<Vec<_>>());
        Ok(Validation { value, ci95, episodes: outcomes.len() as u64 })
    }

    fn describe(&self, step: u64) -> String {
        let first = self.episode_index(step, 0);
        let last = self.episode_index(step, self.task.episodes_per_step - 1);
        format!("at step {} (training episodes {first} to {last} of this seed)", step + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maclip_framework::recipe::read_str;

    /// Evaluation by scopes must equal evaluation episode by episode, for a recipe with the given adapter and prototype.
    fn planned_equals_brute_force(adapter: &str, prototype: &str) {
        let text = format!(
            "name: test
dataset: {{type: shapes_in_motion, clips_per_class: 3}}
frames: {{type: uniform_segments, count: 4}}
backbone: {{type: clip_vit, weights: 'builtin:shapes_clip'}}
adapter: {{type: {adapter}}}
prototype: {{type: {prototype}}}
alignment: {{type: otam}}
objective: {{type: ma_clip, alpha: 0.3, text_scale: 10}}
"
        );
        let recipe = Recipe::check(&read_str("test.yaml", &text).unwrap()).unwrap();
        let device = Device::flex();
        let build = BuildContext::new(1, device.clone());
        let frames = recipe.build::<dyn FrameSampler>(&build).unwrap();
        let model = FewShotModel::build(&recipe, &build, frames.count()).unwrap();
        // Adapters start as the identity; noise makes every part count.
        let mut rng = Stream::new(3, "noise").at(0);
        let mut tensors = parameters::export(&model, true);
        tensors.values_mut().flat_map(|t| &mut t.values).for_each(|value| *value += 0.05 * rng.normal() as f32);
        let model = parameters::import(model, tensors, true).unwrap().valid();

        let dataset = recipe.build::<dyn Dataset>(&build).unwrap();
        let augment = recipe.build::<dyn Augment>(&build).unwrap();
        let prompt = recipe.build::<dyn Prompt>(&build).unwrap();
        let geometry = model.backbone.geometry().clone();
        let loader = ClipLoader {
            dataset: &*dataset,
            frames: &*frames,
            augment: &*augment,
            geometry: &geometry,
            device: &device,
        };
        let classes = dataset.list(Split::Test).unwrap().classes;
        let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
        let texts = class_texts(&model, &*prompt, &names, &device).unwrap();
        let shape = Shape { way: 4, shot: 2, queries: 1 };
        let list = EpisodeList::new(shape, Split::Test, &classes, 5, 12).unwrap();
        let split = evaluation::Split { classes: &classes, texts: &texts, list: &list };
        let planned = evaluation::evaluate(&model, &loader, &split, &Silent).unwrap();
        let brute = evaluation::one_by_one(&model, &loader, &split, &Silent).unwrap();
        assert_eq!(planned, brute);
        assert!(planned.iter().any(|outcome| outcome.correct < 4), "a test that nothing fails says nothing");
    }

    #[test]
    fn evaluation_by_scopes_equals_evaluation_episode_by_episode() {
        for adapter in ["none", "multimodal", "aim", "st_adapter", "lora", "full", "last_blocks", "task_adapter"] {
            planned_equals_brute_force(adapter, "none");
        }
        for prototype in [
            "text_guided",
            "text_guided, average_shots: before",
            "unimodal_transformer",
            "multimodal_transformer",
            "clip_fsar",
            "clip_fsar, average_shots: before",
            "hyrsm",
        ] {
            planned_equals_brute_force("none", prototype);
        }
        planned_equals_brute_force("multimodal, query_text: mean", "text_guided");
        planned_equals_brute_force("multimodal", "text_guided");
        planned_equals_brute_force("multimodal", "hyrsm");
    }
}

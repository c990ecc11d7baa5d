//! `few_shot`: episodic training, selection on validation classes, one test of the selected checkpoint.
//!
//! Source: the protocol of the field (TRX, few-shot-action-recognition): C-way K-shot episodes, classes drawn
//! uniformly, clips without replacement; 10,000 test episodes. The checkpoint is chosen on val and never on test.
//!
//! Here belongs what is specific to this protocol: options, lists of clips, losses of an episode, costs. Not here: how
//! episodes are drawn and evaluated (`maclip_framework::engine`).

mod costs;
mod disjoint;
mod examine;
mod fine_tune;
mod fixed_list;
mod learner;
mod lists;
mod memory;
mod passes;
mod plan;
mod start;
pub(super) mod tested;
#[cfg(test)]
mod tests;
mod workload;

use burn::tensor::Device;
use disjoint::Overlap;
use fine_tune::FineTune;
use fixed_list::Evaluation;
use learner::EpisodeLearner;
use lists::Lists;
use maclip_framework::clips::contents::store_of;
use maclip_framework::clips::filler::Filler;
use maclip_framework::clips::joined::Joined;
use maclip_framework::clips::loader::ClipLoader;
use maclip_framework::clips::sources::{Clips, Needs};
use maclip_framework::clips::store::local::LocalCache;
use maclip_framework::clips::store::stored::StoredClips;
use maclip_framework::engine::context::RunContext;
use maclip_framework::engine::episodes::{EpisodeList, Shape};
use maclip_framework::engine::features::{ClipSource, FeatureCache};
use maclip_framework::engine::task::{Known, Task};
use maclip_framework::engine::training::{Loop, LoopOptions};
use maclip_framework::error::{Error, Result};
use maclip_framework::model::few_shot::{ClassTexts, FewShotModel, class_texts};
use maclip_framework::model::parameters::{self, Params};
use maclip_framework::model::plan::Plan;
use maclip_framework::model::workload::Workload;
use maclip_framework::profile::{self, Phase};
use maclip_framework::random::Stream;
use maclip_framework::recipe::compute::Recompute;
use maclip_framework::recipe::{Recipe, device};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Nested, Problems};
use maclip_framework::runs::records::Inputs;
use maclip_framework::runs::store::checkpoint_steps;
use maclip_framework::slots::backbone::Geometry;
use maclip_framework::slots::dataset::{Class, Dataset, Split};
use maclip_framework::slots::module::GraphStrategy;
use maclip_framework::slots::optimizer::Optimizer;
use maclip_framework::slots::prompt::Prompt;
use maclip_framework::slots::schedule::Schedule;
use maclip_language::Diagnostic;
use memory::Way;
use serde::{Deserialize, Serialize};
use start::Start;
use std::collections::BTreeMap;
use std::time::Instant;

/// Options of few-shot training and testing.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-elsewhere" = {
    "train_on": "what is trained on is the recipe's `dataset`; `task.test_on` is another dataset to test on"
}))]
struct FewShot {
    /// Classes of an episode.
    #[schemars(range(min = 2, max = 10_000))]
    way: usize,
    /// Support clips of each class.
    #[schemars(range(min = 1, max = 10_000))]
    shot: usize,
    /// Support clips of each class in training and validation, where it is not `shot`. CLIP-FSAR and D2ST train with 1.
    #[schemars(range(min = 1, max = 10_000))]
    train_shot: Option<usize>,
    /// Training episodes whose mean gradient makes one step.
    #[schemars(range(min = 1, max = 10_000))]
    episodes_per_step: usize,
    /// Query clips of each class in a training episode. 5 in most public code, 1 in D2ST.
    #[schemars(range(min = 1, max = 10_000))]
    queries: usize,
    /// The training loop.
    train: LoopOptions,
    /// Episodes of val classes that choose the checkpoint.
    validation: Evaluation,
    /// Episodes of test classes, run once with the chosen checkpoint.
    test: Evaluation,
    /// The dataset whose test classes the test is on, with its `type` and its options; `null` is the recipe's
    /// `dataset`, whose training and validation classes are used in any case.
    test_on: Option<Nested<dyn Dataset>>,
    /// With `test_on`: what becomes of classes of the training that the test has too, compared by their letters and
    /// digits. `report` names them beside the result, `leave_out` takes them out of the training, `refuse` ends the
    /// run.
    overlap: Overlap,
    /// Fine-tuning on the supports of each episode of the validation and of the test, with the loss of the recipe and
    /// the optimizer; `null` judges every episode with the trained weights.
    fine_tune: Option<FineTune>,
    /// Trained weights of another run to begin with; `null` begins with those of the recipe.
    start: Option<Start>,
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
            test_on: None,
            overlap: Overlap::default(),
            fine_tune: None,
            start: None,
        }
    }
}

register!(dyn Task, FewShot, name: "few_shot", summary: "episodic training, selection on val, one test of the selected weights",
    paper: Some("protocol of TRX and few-shot-action-recognition"), stability: Stable, usage: "{way: 5, shot: 1}");

/// Slots that the task reads; a recipe that fills any other is refused.
const SLOTS: &[&str] = &[
    "dataset",
    "frames",
    "resize",
    "augment",
    "backbone",
    "prompt",
    "adapter",
    "prototype",
    "alignment",
    "objective",
    "optimizer",
    "schedule",
];

impl Component for FewShot {
    type Slot = dyn Task;

    fn validate(&self, problems: &mut Problems) {
        problems.when(
            self.validation.split == Some(Split::Test),
            "validation.split",
            "must not be test: a checkpoint that was chosen on the test classes has no honest test left; use val, or train \
             where a benchmark has no val classes",
        );
        problems.when(
            self.validation.examples.is_some(),
            "validation.examples",
            "has no effect: examples are kept of the test, with `test.examples`",
        );
        problems.when(
            self.validation.occlusion > 0,
            "validation.occlusion",
            "has no effect: frames of the test's examples are covered, with `test.occlusion`",
        );
        problems.when(
            self.validation.map_clips > 0,
            "validation.map_clips",
            "has no effect: the map is of the test's clips, with `test.map_clips`",
        );
        let wrong = self.test.split.is_some_and(|split| split != Split::Test);
        problems.when(wrong, "test.split", "must be test, whose classes the training has not seen");
        let useless = self.overlap != Overlap::default() && self.test_on.is_none();
        problems.when(useless, "overlap", "has no effect without `test_on`: one dataset has no class in two splits");
        if let Some(start) = &self.start {
            start.validate(problems);
        }
    }

    fn required_inputs(&self, problems: &mut Problems) {
        for (name, list) in [("validation", &self.validation), ("test", &self.test)] {
            if let Some(file) = list.list.as_ref().filter(|file| !std::path::Path::new(&file.path).is_file()) {
                problems.push(&format!("{name}.list.path"), format!("names {}, which is no file", file.path));
            }
        }
    }

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        self.check_splits(facts, problems);
    }

    fn describe(&self, facts: &mut Facts) {
        facts.task_slots = Some(SLOTS);
        // What stands here now is of `test_on`; the recipe's dataset comes after the task.
        facts.tested_splits = facts.splits.take();
        (facts.gives_features, facts.directed) = (false, None);
        facts.several_devices = true;
        facts.queries = vec![self.queries, self.test.queries];
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Task>> {
        Ok(Box::new(self))
    }
}

/// Classes of one split with their text features.
struct SplitData {
    classes: Vec<Class>,
    /// `[C, E]`
    texts: ClassTexts,
}

impl Task for FewShot {
    fn plan(&self, recipe: &Recipe) -> Result<Plan> {
        self.graph(recipe)
    }

    fn workload(&self, recipe: &Recipe) -> Result<Workload> {
        self.work(recipe)
    }

    fn examine(&self, recipe: &Recipe, device: &Device) -> Vec<Diagnostic> {
        self.look(recipe, device)
    }

    fn needs(&self, recipe: &Recipe) -> Result<Needs> {
        let build = recipe.sizes_context();
        let clips = self.clips(recipe, &build)?;
        let model = FewShotModel::build(recipe, &build, clips.frames.count());
        let lists = self.lists(&*clips.dataset, recipe, &model)?;
        let geometry = model?.backbone.geometry().clone();
        let wants = lists.wants(&clips);
        let broken = lists.broken();
        let left_out = lists.skipped().filter(|skipped| !skipped.strict).map(|skipped| skipped.note);
        let notes = left_out.chain(lists.passed_over().cloned()).collect();
        Ok(Needs { clips, geometry, device: build.device, wants, notes, broken })
    }

    fn inputs(&self, recipe: &Recipe, known: &Known) -> Result<Inputs> {
        let build = recipe.context(&Device::flex());
        let clips = self.clips(recipe, &build)?;
        let model = FewShotModel::build(recipe, &build, clips.frames.count());
        recipe.build::<dyn Prompt>(&build)?;
        let mut lists = self.lists(&*clips.dataset, recipe, &model)?;
        model?;
        lists.leave_out(&known.left_out, true);
        let store = store_of(recipe, known.runs)?;
        let contents = lists.contents(&*clips.dataset, store.as_ref())?;
        Ok(Inputs { weights: build.weights(), lists: lists.sums()?, clips: contents.sum(), contents })
    }

    fn run(&self, context: &mut RunContext) -> Result<()> {
        let parts = self.parts(context)?;
        context.write_manifest()?;
        context.store.write_json("params.json", &parts.params)?;
        let mut best_step = None;
        let source = parts.source(context)?;
        // Weights that were loaded, or that a checkpoint has, are not made anew.
        let begins = self.start.is_none() && checkpoint_steps(context.store.path())?.is_empty();
        let mut model = if begins { parts.begun(context.recipe)? } else { parts.model.clone() };
        if parts.params.trainable == 0 {
            context.progress.note("nothing to train: the recipe has no trainable parameters");
        } else if let Some(start) = self.start.as_ref().filter(|_| !self.trains()) {
            let note = format!("nothing was trained here: the weights are those of {}", start.run);
            context.progress.note(&note);
            context.note(note);
        } else {
            context.attempt()?.recompute = Some(parts.way.words());
            if parts.way.recompute != Recompute::None {
                context.progress.note(&format!("the memory is enough with compute: {{{}}}", parts.way.words()));
            }
            let (episodes, devices) = (self.episodes_per_step, context.devices.len());
            if episodes < devices {
                let note = format!("a step has {episodes} episodes, so {episodes} of the {devices} devices train");
                context.progress.note(&note);
                context.note(note);
            }
            let started = Instant::now();
            let trained = parts.train(context).run(&self.learner(&parts, &source, context), model);
            context.attempt()?.seconds.train = started.elapsed().as_secs_f64();
            let trained = trained.inspect_err(|_| drop(context.note_costs()))?;
            (model, best_step) = (trained.model, trained.best_step);
        }
        let started = Instant::now();
        let result = self.test(context, &model, &source, &parts);
        context.attempt()?.seconds.test = started.elapsed().as_secs_f64();
        let (result, notes) = result.inspect_err(|_| drop(context.note_costs()))?;
        for note in notes {
            context.progress.note(&note);
            context.note(note);
        }
        source.trim()?;
        if let Some((found, made)) = source.cached().filter(|(found, _)| *found > 0) {
            context.progress.note(&format!("features of {found} clips were kept from before, {made} are new"));
        }
        context.finish(result, best_step)
    }

    fn replay(&self, context: &mut RunContext, step: u64) -> Result<serde_json::Value> {
        let parts = self.parts(context)?;
        if parts.params.trainable == 0 {
            return Err(Error::failed("the run has nothing to train, so there is no step to replay"));
        }
        let source = parts.source(context)?;
        let model = if self.start.is_none() { parts.begun(context.recipe)? } else { parts.model.clone() };
        parts.train(context).replay(&self.learner(&parts, &source, context), model, step)
    }
}

/// What a run is made of.
struct Parts {
    clips: Clips,
    stored: StoredClips,
    optimizer: Box<dyn Optimizer>,
    schedule: Box<dyn Schedule>,
    model: FewShotModel,
    geometry: Geometry,
    params: Params,
    /// Train, val (the classes that the checkpoint is chosen on) and test, in the order of [`Split::ALL`].
    data: [SplitData; 3],
    /// Episodes of the validation and of the test.
    validation: EpisodeList,
    test: EpisodeList,
    options: LoopOptions,
    weights: BTreeMap<String, String>,
    graph_strategy: GraphStrategy,
    /// How the clips of a training episode go through the tower.
    way: Way,
}

impl Parts {
    /// The model before its first training step.
    fn begun(&self, recipe: &Recipe) -> Result<FewShotModel> {
        self.model.clone().begun().map_err(|error| error.at(recipe.place("prototype")))
    }

    fn source<'a>(&'a self, context: &RunContext<'a>) -> Result<ClipSource<'a>> {
        let (clips, geometry, store) = (&self.clips, &self.geometry, Some(&self.stored));
        let loader = ClipLoader { clips, geometry, device: context.device(), store };
        let RunContext { recipe, runs, progress, devices, .. } = *context;
        let cache = |name: &str| FeatureCache::new(recipe, &self.model, &self.weights, name, runs, progress);
        let first = recipe.devices.first();
        let mut source = ClipSource::new(loader, &self.model, cache(first)?);
        // Devices of one kind compute the same values, so they share what is kept.
        let mut kinds = BTreeMap::from([(device::kind(first), 0)]);
        for (at, (name, device)) in recipe.devices.names().iter().zip(devices).enumerate().skip(1) {
            let like = *kinds.entry(device::kind(name)).or_insert(at);
            let cache = if like < at { source.on(like).cache() } else { cache(name)? };
            source = source.beside(device, cache);
        }
        Ok(source)
    }

    fn train<'a>(&'a self, context: &RunContext<'a>) -> Loop<'a> {
        Loop {
            options: &self.options,
            optimizer: &*self.optimizer,
            schedule: &*self.schedule,
            store: context.store,
            log: context.log(),
            progress: context.progress,
            workers: context.recipe.compute.workers,
            prefetch: context.recipe.compute.prefetch,
        }
    }
}

impl FewShot {
    /// The components that make frames of clips. The test's clips are of `test_on`, where there is one.
    fn clips(&self, recipe: &Recipe, build: &BuildContext) -> Result<Clips> {
        let mut clips = Clips::build(recipe, build)?;
        if let Some(test_on) = &self.test_on {
            let joined = test_on.build(build).and_then(|tested| Joined::new(clips.dataset, tested));
            clips.dataset = Box::new(joined.map_err(|error| error.at(recipe.place("task.test_on")))?);
        }
        Ok(clips)
    }

    /// The key of the recipe that names the dataset of `split`.
    fn source(&self, split: Split) -> &'static str {
        if split == Split::Test && self.test_on.is_some() { "task.test_on" } else { "dataset" }
    }

    /// The options of the training loop: with no step where all is left to the fine-tuning.
    fn options(&self) -> LoopOptions {
        let alone = self.fine_tune.as_ref().is_some_and(|fine_tune| fine_tune.alone);
        LoopOptions { steps: if alone { 0 } else { self.train.steps }, ..self.train.clone() }
    }

    /// An error where nothing can be fine-tuned on the supports of an episode.
    fn can_fine_tune(&self, clips: &Clips, model: &FewShotModel, recipe: &Recipe) -> Result<()> {
        let why = if parameters::count(model).trainable == 0 {
            "the recipe has no trainable parameters"
        } else if model.objective.classes().is_some() {
            "the objective is for the classes of the training, and an episode has others"
        } else if clips.frames.random_in_evaluation() {
            "its frames are drawn for every clip of every episode"
        } else {
            return Ok(());
        };
        let message = format!("nothing can be fine-tuned on the supports: {why}");
        let help = "leave `task.fine_tune` out, or choose another adapter, objective or sampler";
        Err(Error::failed(message).help(help).at(recipe.place("task.fine_tune")))
    }

    /// Whether there is a training, if the model has anything to train.
    fn trains(&self) -> bool {
        self.start.as_ref().is_none_or(|start| start.train)
    }

    /// Whether episodes are made of the classes of `role`: of train and val only where something is trained.
    fn uses(&self, role: Split) -> bool {
        role == Split::Test || self.trains()
    }

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

    fn parts(&self, context: &mut RunContext) -> Result<Parts> {
        let recipe = context.recipe;
        let build = recipe.build_context(context.device())?;
        let clips = self.clips(recipe, &build)?;
        let prompt = recipe.build::<dyn Prompt>(&build)?;
        let model = FewShotModel::build(recipe, &build, clips.frames.count());
        // What is wrong with the data is told first.
        let mut lists = self.lists(&*clips.dataset, recipe, &model)?;
        lists.report(self, context)?;
        let mut model = model?;
        if let Some(start) = &self.start {
            let loaded = start.load(model, &build, recipe);
            let (begun, told) = loaded.map_err(|error| error.at(recipe.place("task.start")))?;
            model = begun;
            for line in told {
                context.progress.note(&line);
                context.note(line);
            }
        }
        if clips.frames.random_in_evaluation() {
            let name = &recipe.components()["frames"];
            context.note(format!(
                "test frames are random: `frames: {name}` draws them anew for every clip of every episode, so this \
                 result cannot be compared with results on fixed frames"
            ));
        }
        let geometry = model.backbone.geometry().clone();
        let stored = StoredClips::open(recipe, &clips, &geometry, context.runs)?
            .beside(LocalCache::open(&recipe.compute, context.progress));
        self.fill_store(&mut lists, &clips, &geometry, &stored, context)?;
        context.note_inputs("list", lists.sums()?)?;
        context.note_clips(lists.contents(&*clips.dataset, stored.store())?)?;
        let trains = lists.trains;
        let lists = lists.into_classes();
        let [train, ..] = &lists;
        if let Some(classes) = model.objective.classes().filter(|&classes| trains && classes != train.len()) {
            let found = train.len();
            let message = format!("the objective is for {classes} training classes, and the dataset has {found}");
            return Err(Error::failed(message)
                .at(recipe.place("objective"))
                .help(format!("set `objective.classes: {found}`")));
        }
        // Before the training: a list that does not fit must not be found after it.
        let [_, val, test] = &lists;
        let test = self.test.episodes(self.shape(Split::Test), Split::Test, test);
        let test = test.map_err(|error| error.at(recipe.place("task.test")))?;
        let validation = match trains {
            true => self
                .validation
                .episodes(self.shape(Split::Val), Split::Val, val)
                .map_err(|error| error.at(recipe.place("task.validation")))?,
            // Nothing is chosen.
            false => EpisodeList { episodes: Vec::new(), ..test.clone() },
        };
        if self.fine_tune.is_some() {
            self.can_fine_tune(&clips, &model, recipe)?;
        }
        context.note_weights(&build)?;
        let with_texts = |classes: Vec<Class>| -> Result<SplitData> {
            let _span = profile::span(Phase::Texts);
            let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
            let texts = class_texts(&model, &*prompt, &names, context.device())?;
            Ok(SplitData { classes, texts })
        };
        let [train, val, tested] = lists;
        let tested = with_texts(tested)?;
        // Without a training, the other splits have no classes, and nobody asks for their texts.
        let other = |classes: Vec<Class>| match trains {
            true => with_texts(classes),
            false => Ok(SplitData { classes, texts: tested.texts.clone() }),
        };
        let data = [other(train)?, other(val)?, tested];
        let way = self.way_here(recipe, &model, clips.frames.count())?;
        Ok(Parts {
            way,
            clips,
            optimizer: recipe.build(&build)?,
            schedule: recipe.build(&build)?,
            stored,
            geometry,
            params: parameters::count(&model),
            model,
            data,
            validation,
            test,
            options: self.options(),
            weights: build.weights(),
            graph_strategy: build.graph_strategy(),
        })
    }

    /// Finds every clip in the store or decodes it, so that broken clips are known before the training.
    fn fill_store(
        &self,
        lists: &mut Lists,
        clips: &Clips,
        geometry: &Geometry,
        stored: &StoredClips,
        context: &mut RunContext,
    ) -> Result<()> {
        let wants = lists.wants(clips);
        let wants: Vec<_> = wants.iter().map(|(clip, part)| (clip.as_str(), *part)).collect();
        let loader = ClipLoader { clips, geometry, device: context.device(), store: Some(stored) };
        let Some(filler) = Filler::look(&loader, &wants, context.progress)? else { return Ok(()) };
        let filled = filler.fill(context.progress)?;
        filled.sentences(stored).iter().for_each(|line| context.progress.note(line));
        if !filled.broken.is_empty() {
            lists.leave_out(&filled.broken, clips.dataset.skips_broken());
            lists.report(self, context)?;
        }
        stored.copy_in(&*clips.dataset, &wants, context.progress)
    }

    fn learner<'a>(
        &'a self,
        parts: &'a Parts,
        source: &'a ClipSource<'a>,
        context: &RunContext<'a>,
    ) -> EpisodeLearner<'a> {
        let [train, val, _] = &parts.data;
        let seed = context.recipe.seed;
        EpisodeLearner {
            task: self,
            shape: self.shape(Split::Train),
            optimizer: &*parts.optimizer,
            compute: &context.recipe.compute,
            shards: context.recipe.devices.names().iter().map(|name| context.recipe.compute.shards_on(name)).collect(),
            recompute: parts.way.recompute,
            micro_batch: parts.way.micro_batch,
            source,
            train,
            texts: (0..source.devices()).map(|at| train.texts.to_device(source.on(at).loader().device)).collect(),
            val,
            validation: &parts.validation,
            episodes: Stream::new(seed, "train/episodes"),
            clips: Stream::new(seed, "train/clips"),
            seed,
            graph_strategy: parts.graph_strategy,
        }
    }
}

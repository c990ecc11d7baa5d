//! Our side of a measurement, in a process of its own.

use crate::cases::{Case, EPISODES, Kind, WAY, architecture};
use crate::noise::{FRAMES, words};
use burn::module::Module;
use burn::tensor::Device;
use maclip_framework::clips::loader::{ClipLoader, View};
use maclip_framework::clips::sources::Clips;
use maclip_framework::engine::context::RunContext;
use maclip_framework::engine::episodes::{EpisodeList, Shape};
use maclip_framework::engine::evaluation::{self, SplitEpisodes};
use maclip_framework::engine::features::ClipSource;
use maclip_framework::engine::task::{self, Task};
use maclip_framework::error::{Error, Result};
use maclip_framework::model::few_shot::{FewShotModel, class_texts};
use maclip_framework::profile::{self, Totals};
use maclip_framework::progress::{Progress, Silent, Validated, request_stop};
use maclip_framework::recipe::Recipe;
use maclip_framework::registry::BuildContext;
use maclip_framework::runs::records::{Attempt, FORMAT, Manifest};
use maclip_framework::runs::store::RunStore;
use maclip_framework::slots::adapter::Branch;
use maclip_framework::slots::backbone::Backbone;
use maclip_framework::slots::dataset::Split;
use maclip_framework::slots::prompt::Prompt;
use maclip_language::read_str;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The first device that the recipe names.
fn opened(recipe: &Recipe) -> Result<Device> {
    Ok(recipe.devices.probe(recipe.precision)?.remove(0))
}

/// A checkpoint with random weights of the peer's architecture, so that the tower is frozen as there.
pub fn checkpoint(arch: &str, path: &Path) -> Result<()> {
    let text = json!({
        "name": "bench",
        "dataset": {"type": "noise", "side": 8},
        "backbone": {"type": "clip_vit", "weights": "random", "architecture": architecture(arch)},
    });
    let recipe = Recipe::check(&read_str("bench", &text.to_string())?)?;
    let mut build = BuildContext::new(1, opened(&recipe)?);
    build.vocabulary = words().collect();
    recipe.build::<dyn Backbone>(&build)?.export(path, &Default::default())
}

/// Measures `case` in this process. `folder` is empty and for files of the run.
pub fn measure(case: &Case, weights: &Path, threads: usize, folder: &Path) -> Result<Value> {
    let text = case.recipe(weights, threads).to_string();
    let recipe = Recipe::check(&read_str("bench", &text)?)?;
    // Before anything is measured, which takes memory that the plan would not see any more.
    let memory = task::of(&recipe)?.plan(&recipe)?.memory;
    let seconds = match case.kind {
        Kind::Train => train(case, &recipe, folder)?,
        Kind::Evaluate => vec![evaluate(case, &recipe)?],
        Kind::Encode => encode(case, &recipe)?,
    };
    let planned = match case.kind {
        Kind::Train => memory.training_bytes,
        Kind::Evaluate => Some(memory.evaluation_bytes),
        Kind::Encode => None,
    };
    Ok(json!({
        "planned_mib": planned.map(|bytes| bytes / 1_048_576.0),
        "seconds_median": crate::median(seconds.clone()),
        "seconds_mean": seconds.iter().sum::<f64>() / seconds.len() as f64,
        "peak_rss_mib": profile::peak_memory().unwrap_or_default() as f64 / 1_048_576.0,
    }))
}

/// Notes when each training step ends, and stops the run after the last one: before its validation, its checkpoint and
/// the test.
struct Steps {
    last: u64,
    training: AtomicBool,
    ends: Mutex<Vec<Instant>>,
}

impl Progress for Steps {
    fn begin(&self, phase: &str, _: u64, _: u64) {
        self.training.store(phase == "train", Ordering::Relaxed);
    }
    fn at(&self, done: u64, _: &str) {
        if self.training.load(Ordering::Relaxed) {
            self.ends.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
            if done == self.last {
                request_stop();
            }
        }
    }
    fn validated(&self, _: &[Validated]) {}
    fn end(&self) {}
    fn note(&self, _: &str) {}
}

/// Seconds of each timed step of a run: clips, loss, gradients, clipping, optimizer, and the step's record. The clips
/// of a step are opened while those before it are computed, as in every run.
fn train(case: &Case, recipe: &Recipe, folder: &Path) -> Result<Vec<f64>> {
    let store = RunStore::open(&folder.join("bench/run"))?;
    let devices = recipe.devices.probe(recipe.precision)?;
    let all = case.warm_up + case.count;
    let steps = Steps { last: all as u64, training: AtomicBool::new(false), ends: Mutex::default() };
    let mut context = RunContext {
        recipe,
        store: &store,
        progress: &steps,
        devices: &devices,
        manifest: Manifest { format: FORMAT, attempts: vec![Attempt::default()], ..Manifest::default() },
        shared: &folder.join("bench"),
        runs: folder,
        started: Totals::now(),
    };
    match recipe.build::<dyn Task>(&BuildContext::new(1, devices[0].clone()))?.run(&mut context) {
        Err(Error::Interrupted) => {}
        other => return other.and(Err(Error::failed("the run was not stopped after its last step"))),
    }
    let ends = steps.ends.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(ends.len(), all, "every step was seen");
    Ok(ends[case.warm_up - 1..].windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect())
}

/// Seconds of an episode in an evaluation of [`EPISODES`] episodes: encoding every clip that they use, distances,
/// probabilities and predictions.
fn evaluate(case: &Case, recipe: &Recipe) -> Result<f64> {
    let device = opened(recipe)?;
    let build = recipe.build_context(&device)?;
    let clips = Clips::build(recipe, &build)?;
    let model = FewShotModel::build(recipe, &build, FRAMES)?.valid();
    let geometry = model.backbone.geometry().clone();
    let classes = clips.dataset.list(Split::Test)?.classes;
    let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
    let texts = class_texts(&model, &*recipe.build::<dyn Prompt>(&build)?, &names, &device)?;
    let loader = ClipLoader { clips: &clips, geometry: &geometry, device: &device, store: None };
    let source = ClipSource::new(loader, &model, None);
    let shape = Shape { way: WAY, shot: case.shot, queries: case.query };
    let seconds = |episodes: usize| {
        let list = EpisodeList::new(shape, Split::Test, &classes, 0, episodes)?;
        let split = SplitEpisodes { classes: &classes, texts: &texts, list: &list };
        let started = Instant::now();
        let outcomes = evaluation::evaluate(&model, &source, &split, &Silent)?;
        let seconds = started.elapsed().as_secs_f64();
        assert_eq!(outcomes.len(), episodes, "every episode has an outcome");
        Ok::<_, Error>(seconds / episodes as f64)
    };
    seconds(case.warm_up)?;
    seconds(EPISODES)
}

/// Seconds of each time that one clip goes from pixels in memory to frame features, in the query branch.
fn encode(case: &Case, recipe: &Recipe) -> Result<Vec<f64>> {
    let device = opened(recipe)?;
    let build = recipe.build_context(&device)?;
    let clips = Clips::build(recipe, &build)?;
    let model = FewShotModel::build(recipe, &build, FRAMES)?.valid();
    let geometry = model.backbone.geometry().clone();
    let loader = ClipLoader { clips: &clips, geometry: &geometry, device: &device, store: None };
    let pixels = loader.load(&[("test/0/0", View::Evaluation)])?;
    let seconds = (0..case.warm_up + case.count).map(|_| {
        let started = Instant::now();
        let features = model.encode(model.prefix(pixels.clone()), &Branch::Query);
        let sum = features.sum().into_scalar::<f32>();
        assert!(sum.is_finite(), "features are numbers");
        started.elapsed().as_secs_f64()
    });
    Ok(seconds.skip(case.warm_up).collect())
}

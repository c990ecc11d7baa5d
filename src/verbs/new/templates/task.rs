//! `__name__`: __summary__.
//!
//! Source: say whose protocol this is. What this template does: C-way K-shot episodes of the test classes with the
//! model as it is built, nothing trained; the episodes are those that `few_shot` draws for the same shape, so results
//! can be compared. A task that trains goes through `maclip_framework::engine::training`: see `few_shot` for episodes,
//! `contrastive.rs` for batches.

use super::few_shot::tested::record;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use maclip_framework::clips::loader::ClipLoader;
use maclip_framework::clips::sources::Clips;
use maclip_framework::clips::store::stored::StoredClips;
use maclip_framework::engine::context::RunContext;
use maclip_framework::engine::episodes::{EpisodeList, Shape, list_checksum};
use maclip_framework::engine::evaluation::{self, Outcome};
use maclip_framework::engine::features::{ClipSource, FeatureCache};
use maclip_framework::engine::task::Task;
use maclip_framework::error::{Error, Result};
use maclip_framework::model::few_shot::{ClassTexts, FewShotModel, class_texts};
use maclip_framework::model::parameters;
use maclip_framework::model::plan::{Flops, Memory, Plan, Step};
use maclip_framework::recipe::Recipe;
use maclip_framework::recipe::expectation::{TestResult, mean_ci95};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::runs::records::EpisodeRecord;
use maclip_framework::slots::Scope;
use maclip_framework::slots::dataset::{Class, Listing, Split};
use maclip_framework::slots::frames::FrameSampler;
use maclip_framework::slots::prompt::Prompt;
use maclip_language::{Diagnostic, codes};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Instant;

/// Options of the test.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct __Name__ {
    /// Classes of an episode.
    #[schemars(range(min = 2, max = 10_000))]
    way: usize,
    /// Support clips of each class.
    #[schemars(range(min = 1, max = 10_000))]
    shot: usize,
    /// Query clips of each class.
    #[schemars(range(min = 1, max = 10_000))]
    queries: usize,
    /// Number of episodes.
    #[schemars(range(min = 2))]
    episodes: usize,
}

impl Default for __Name__ {
    fn default() -> Self {
        Self { way: 5, shot: 1, queries: 1, episodes: 10_000 }
    }
}

register!(dyn Task, __Name__, name: "__name__", summary: "__summary__",
    paper: None, stability: Experimental, usage: "{way: 5, shot: 1}");

/// Slots that the task reads; a recipe that fills any other is refused.
const SLOTS: &[&str] =
    &["dataset", "frames", "resize", "augment", "backbone", "prompt", "adapter", "prototype", "alignment", "objective"];

impl Component for __Name__ {
    type Slot = dyn Task;

    // Checked against what the dataset describes before anything is read.
    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        let Some([_, _, test]) = facts.splits else { return };
        let &Self { way, shot, queries, .. } = self;
        let message = format!("is {way}, and split test has {} classes", test.classes);
        problems.when(test.classes < way, "way", message);
        let needed = shot + queries;
        let message = format!(
            "is {shot}, which with {queries} queries needs {needed} clips of a class, and split test has {}",
            test.clips
        );
        problems.when(test.clips < needed, "shot", message);
    }

    fn describe(&self, facts: &mut Facts) {
        facts.task_slots = Some(SLOTS);
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Task>> {
        Ok(Box::new(self))
    }
}

/// What is tested on.
struct Data {
    clips: Clips,
    classes: Vec<Class>,
    /// Clips that the dataset left out, with the reason.
    skipped: Vec<(String, String)>,
    list: EpisodeList,
}

impl __Name__ {
    fn data(&self, recipe: &Recipe, build: &BuildContext) -> Result<Data> {
        let clips = Clips::build(recipe, build)?;
        let listing = clips.dataset.list(Split::Test).map_err(|error| error.at(recipe.place("dataset")))?;
        let Listing { classes, skipped, .. } = listing;
        let shape = Shape { way: self.way, shot: self.shot, queries: self.queries };
        let list = EpisodeList::new(shape, Split::Test, &classes, 0, self.episodes);
        let list = list.map_err(|error| error.at(recipe.place("task")))?;
        Ok(Data { clips, classes, skipped, list })
    }
}

impl Data {
    /// Opens the first clip of every class.
    fn open(&self) -> Result<()> {
        self.classes.iter().filter_map(|class| class.clips.first()).try_for_each(|clip| self.clips.look(clip))
    }
}

fn model(recipe: &Recipe, build: &BuildContext) -> Result<FewShotModel> {
    FewShotModel::build(recipe, build, recipe.build::<dyn FrameSampler>(build)?.count())
}

fn texts(recipe: &Recipe, build: &BuildContext, model: &FewShotModel, classes: &[Class]) -> Result<ClassTexts> {
    let prompt = recipe.build::<dyn Prompt>(build)?;
    let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
    class_texts(model, &*prompt, &names, &build.device)
}

impl Task for __Name__ {
    fn plan(&self, recipe: &Recipe) -> Result<Plan> {
        let build = recipe.sizes_context();
        let t = recipe.build::<dyn FrameSampler>(&build)?.count();
        let model = model(recipe, &build)?;
        let geometry = model.backbone.geometry();
        let (w, e, side) = (self.way, geometry.embed_dim, geometry.image_size);
        let (q, clips) = (w * self.queries, w * (self.shot + self.queries));
        let names = recipe.components();
        let node = |id, slot: &str, from: &[&'static str], shape: &[usize], scope| Step {
            id,
            by: names.get(slot).cloned().unwrap_or_default(),
            from: from.to_vec(),
            shape: shape.to_vec(),
            scope,
            runs: Plan::runs(scope),
            flops: None,
        };
        let nodes = vec![
            node("pixels", "dataset", &[], &[clips, t, 3, side, side], Scope::Frozen),
            node("features", "backbone", &["pixels"], &[clips, t, e], model.adapter.scope()),
            node("prototypes", "prototype", &["features"], &[clips, t, e], model.prototype.scope()),
            node("distances", "alignment", &["prototypes"], &[q, w], Scope::Episode),
            node("probabilities", "objective", &["distances"], &[q, w], Scope::Episode),
        ];
        // `maclip plan` says that this is not counted; `few_shot` counts it.
        let memory = Memory { about: "not counted".to_owned(), ..Memory::default() };
        Ok(Plan { nodes, params: parameters::count(&model), flops: Flops::new(Vec::new()), memory })
    }

    // For `validate --deep`: all that a run reads and builds, as it does so.
    fn examine(&self, recipe: &Recipe, device: &Device) -> Vec<Diagnostic> {
        let data = self.data(recipe, &BuildContext::new(recipe.seed, device.clone()));
        let opened = data.as_ref().map_or(Ok(()), Data::open);
        let built = recipe.build_context(device).and_then(|build| {
            let model = model(recipe, &build)?;
            // Without the data there are no names to read.
            data.as_ref().map_or(Ok(()), |data| texts(recipe, &build, &model, &data.classes).map(drop))
        });
        let problem = |code, path, error: Option<Error>| error.map(|error| recipe.diagnostic(code, path, &error));
        let problems = [
            problem(codes::DATA, "dataset", data.err().or(opened.err())),
            problem(codes::MODEL, "backbone", built.err()),
        ];
        problems.into_iter().flatten().collect()
    }

    fn run(&self, context: &mut RunContext) -> Result<()> {
        let recipe = context.recipe;
        let build = recipe.build_context(context.device())?;
        let Data { clips, classes, skipped, list } = self.data(recipe, &build)?;
        if !skipped.is_empty() {
            context.note(format!("{} clips of split test left out", skipped.len()));
            context.store.write_json("skipped_test.json", &skipped)?;
        }
        // What the result rests on goes into the manifest by its checksum.
        context.note_inputs("list", BTreeMap::from([("test".to_owned(), list_checksum(&classes)?)]))?;
        let model = model(recipe, &build)?;
        context.note_weights(&build)?;
        context.write_manifest()?;
        context.store.write_json("params.json", &parameters::count(&model))?;
        let texts = texts(recipe, &build, &model, &classes)?;
        let geometry = model.backbone.geometry().clone();
        let stored = StoredClips::open(recipe, &clips, &geometry, context.runs)?;
        let loader = ClipLoader { clips: &clips, geometry: &geometry, device: context.device(), store: Some(&stored) };
        let (weights, device) = (build.weights(), recipe.devices.first());
        let cache = FeatureCache::new(recipe, &model, &weights, device, context.runs, context.progress)?;
        let source = ClipSource::new(loader, &model, cache);
        let started = Instant::now();
        let split = evaluation::SplitEpisodes { classes: &classes, texts: &texts, list: &list };
        let outcomes = evaluation::evaluate(&model.valid(), &source, &split, context.progress);
        context.attempt()?.seconds.test = started.elapsed().as_secs_f64();
        let outcomes = outcomes.inspect_err(|_| drop(context.note_costs()))?;
        source.trim()?;
        // All runs on one list share its file.
        let shared = context.shared.join(EpisodeList::file_name(&list.hash));
        if !shared.is_file() {
            list.write(&shared, &classes)?;
        }
        let each = list.episodes.iter().zip(&outcomes).enumerate();
        let lines: Vec<EpisodeRecord> =
            each.map(|(id, (episode, outcome))| record(id, episode, outcome, &classes)).collect();
        context.store.fresh_records("episodes.jsonl")?.append_all(&lines)?;
        let (value, ci95) = mean_ci95(&outcomes.iter().map(Outcome::accuracy).collect::<Vec<_>>());
        let result = TestResult {
            metric: "accuracy".to_owned(),
            value,
            ci95,
            episodes: outcomes.len() as u64,
            episodes_hash: list.hash.clone(),
            way: self.way,
            shot: self.shot,
        };
        context.finish(result, None)
    }

    fn replay(&self, _: &mut RunContext, _: u64) -> Result<serde_json::Value> {
        Err(Error::failed("task __name__ trains nothing, so there is no step to replay"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maclip_framework::engine::execute::{Options, execute, replay};
    use maclip_framework::progress::Silent;
    use maclip_framework::recipe::study::StudyRun;
    use maclip_framework::runs::records::State;
    use maclip_language::read_str;

    fn recipe(weights: &str) -> Recipe {
        let text = format!(
            "name: test\ndataset: {{type: shapes_in_motion, clips_per_class: 3}}\n\
             frames: {{type: uniform_segments, count: 4}}\nbackbone: {{type: clip_vit, weights: '{weights}'}}\n\
             objective: {{type: metric}}\ntask: {{type: __name__, way: 3, queries: 2, episodes: 10}}\n"
        );
        Recipe::check(&read_str("test.yaml", &text).unwrap()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_result_is_the_mean_of_the_records() {
        let folder = tempfile::tempdir().unwrap();
        let study_run = StudyRun::new("default", recipe("builtin:shapes_clip"));
        let run = execute(&study_run, folder.path(), Options::default(), &Silent).unwrap();
        let episodes = run.episodes().unwrap();
        let correct: usize = episodes.iter().map(|episode| episode.correct).sum();
        let test = run.test().unwrap();
        // 10 episodes of 3 · 2 queries
        assert_eq!((run.state(), episodes.len(), test.episodes), (Some(State::Done), 10, 10));
        assert!((test.value - correct as f64 / 60.0).abs() < 1e-12, "{}", test.value);
        assert!(replay(&run.path, 1, &Silent).is_err());
        let task = __Name__ { way: 3, queries: 2, ..__Name__::default() };
        assert!(task.plan(&study_run.recipe).unwrap().nodes.iter().any(|node| node.shape == [6, 3]));
    }

    #[test]
    fn what_cannot_be_read_is_found_without_a_run() {
        let task = __Name__ { way: 3, ..__Name__::default() };
        assert_eq!(task.examine(&recipe("builtin:shapes_clip"), &Device::flex()), []);
        let found = task.examine(&recipe("missing.safetensors"), &Device::flex());
        assert_eq!(found.iter().map(|problem| problem.code).collect::<Vec<_>>(), [codes::MODEL]);
        let found = __Name__ { shot: 3, ..task }.examine(&recipe("builtin:shapes_clip"), &Device::flex());
        assert_eq!(found.iter().map(|problem| problem.code).collect::<Vec<_>>(), [codes::DATA]);
    }
}

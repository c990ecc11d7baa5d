//! The engine's promises: keeping features and splitting the work change no number, and examples are of what was
//! tested. That evaluation by scopes changes none either is a property of every component: `conformance::scopes`.

use super::learner::{EpisodeLearner, with_micro_batch};
use super::*;
use crate::conformance::model::{self, with_noise};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor};
use maclip_framework::clips::loader::View;
use maclip_framework::engine::evaluation::{self, EpisodeEncoder, EpisodeEncoding};
use maclip_framework::engine::examples::{Gallery, GalleryOptions, Seen};
use maclip_framework::engine::training::Learner;
use maclip_framework::progress::Silent;
use maclip_framework::recipe::compute::{Compute, Recompute};
use maclip_framework::recipe::device;
use maclip_framework::registry::SlotTrait;
use maclip_framework::runs::examples::{Example, Occlusion};
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::{Adapter, Branch, Depth};
use maclip_framework::slots::draws::Draws;
use maclip_framework::weights::HostTensor;
use std::path::{Path, PathBuf};

/// A small recipe on the embedded benchmark with some slots filled otherwise.
struct Bench {
    recipe: Recipe,
    parts: Parts,
    device: Device,
}

fn bench(changes: &[(&str, &str)]) -> Bench {
    bench_on(Device::flex(), changes)
}

fn bench_on(device: Device, changes: &[(&str, &str)]) -> Bench {
    let recipe = model::recipe(changes);
    let build = recipe.build_context(&device).unwrap();
    let clips = Clips::build(&recipe, &build).unwrap();
    let model = with_noise(FewShotModel::build(&recipe, &build, clips.frames.count()).unwrap(), 0.05);
    let prompt = recipe.build::<dyn Prompt>(&build).unwrap();
    let data = Split::ALL.map(|split| {
        let classes = clips.dataset.list(split).unwrap().classes;
        let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
        let texts = class_texts(&model, &*prompt, &names, &device).unwrap();
        SplitData { classes, texts }
    });
    let list = |data: &SplitData, split| {
        EpisodeList::new(Shape { way: 3, shot: 2, queries: 1 }, split, &data.classes, 0, 2).unwrap()
    };
    let (validation, test) = (list(&data[1], Split::Val), list(&data[2], Split::Test));
    let geometry = model.backbone.geometry().clone();
    // Clips that are made by code are not kept, so that nothing is written here.
    let stored = StoredClips::open(&recipe, &clips, &geometry, std::path::Path::new("runs")).unwrap();
    let parts = Parts {
        way: Way { recompute: Recompute::None, micro_batch: None },
        clips,
        stored,
        optimizer: recipe.build(&build).unwrap(),
        schedule: recipe.build(&build).unwrap(),
        geometry,
        params: parameters::count(&model),
        model,
        data,
        validation,
        test,
        options: LoopOptions::default(),
        weights: build.weights(),
        graph_strategy: build.graph_strategy(),
    };
    Bench { recipe, parts, device }
}

impl Bench {
    fn loader(&self) -> ClipLoader<'_> {
        let Parts { clips, geometry, .. } = &self.parts;
        ClipLoader { clips, geometry, device: &self.device, store: None }
    }

    fn source(&self, runs: Option<&std::path::Path>) -> ClipSource<'_> {
        let model = &self.parts.model;
        let cache = runs.and_then(|runs| {
            FeatureCache::new(&self.recipe, model, &self.parts.weights, "flex", runs, &Silent).unwrap()
        });
        ClipSource::new(self.loader(), model, cache)
    }

    /// [`Bench::source`] on `count` devices, all of which are this one.
    fn source_on(&self, count: usize) -> ClipSource<'_> {
        (1..count).fold(self.source(None), |source, _| source.beside(&self.device, None))
    }

    /// Loss and gradients by path of training step 3.
    fn try_step(&self, compute: Compute, source: &ClipSource) -> Result<(f64, BTreeMap<String, HostTensor>)> {
        let [train, val, _] = &self.parts.data;
        let task = FewShot { way: 3, shot: 2, queries: 1, episodes_per_step: 2, ..FewShot::default() };
        let learner = EpisodeLearner {
            task: &task,
            shape: task.shape(Split::Train),
            optimizer: &*self.parts.optimizer,
            shards: vec![compute.shards.unwrap_or(1); source.devices()],
            recompute: with_micro_batch(compute.recompute, compute.micro_batch, 9),
            micro_batch: compute.micro_batch,
            compute: &compute,
            source,
            train,
            texts: vec![train.texts.clone(); source.devices()],
            val,
            validation: &self.parts.validation,
            episodes: Stream::new(1, "train/episodes"),
            clips: Stream::new(1, "train/clips"),
            seed: 1,
            graph_strategy: self.parts.graph_strategy,
        };
        let model = &self.parts.model;
        let output = learner.step(model, learner.prepare(3)?)?;
        Ok((output.loss, tensors(model, output.gradients)))
    }

    fn step(&self, compute: Compute, source: &ClipSource) -> (f64, BTreeMap<String, HostTensor>) {
        self.try_step(compute, source).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Gradients by path, read out by a plain step down: before − after.
fn tensors(model: &FewShotModel, gradients: GradientsParams) -> BTreeMap<String, HostTensor> {
    let before = parameters::export(model, true);
    let after = burn::optim::SgdConfig::new().init().step(1.0, model.clone(), gradients);
    let mut found = parameters::export(&after, true);
    for (path, tensor) in &mut found {
        for (after, before) in tensor.values.iter_mut().zip(&before[path].values) {
            *after = before - *after;
        }
    }
    found
}

/// Largest difference, in parts of the largest value of all.
fn difference(a: &BTreeMap<String, HostTensor>, b: &BTreeMap<String, HostTensor>) -> f32 {
    let values = |map: &BTreeMap<String, HostTensor>| map.values().flat_map(|t| t.values.clone()).collect::<Vec<f32>>();
    let (a, b) = (values(a), values(b));
    let largest = a.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest
}

/// What the alignment says of the examples of a test: the distances of the record, by scopes and by draws of frames.
#[test]
fn examples_are_of_what_was_tested() {
    for changes in [
        &[("alignment", "{type: otam}")][..],
        &[("prototype", "{type: hyrsm}"), ("alignment", "{type: bi_mhm, shots: mean_distances}")],
        &[("prototype", "{type: text_guided, average_shots: before}")],
        &[("prototype", "{type: clip_fsar}"), ("adapter", "{type: task_adapter}")],
        &[("adapter", "{type: multimodal}"), ("prototype", "{type: text_guided}")],
        &[("frames", "{type: clip_fsar_segments, count: 4}")],
    ] {
        let bench = bench(changes);
        let test = &bench.parts.data[2];
        let list = EpisodeList::new(Shape { way: 4, shot: 2, queries: 1 }, Split::Test, &test.classes, 5, 12).unwrap();
        let split = evaluation::SplitEpisodes { classes: &test.classes, texts: &test.texts, list: &list };
        let (model, source) = (bench.parts.model.valid(), bench.source(None));
        let outcomes = evaluation::evaluate(&model, &source, &split, &Silent).unwrap();
        let gallery =
            Gallery::new(&model, &source, &split, &outcomes, GalleryOptions { examples: 2, occlusion: 2 }).unwrap();
        let encoder = EpisodeEncoder::new(&model, &source, &split);
        let frames = bench.parts.clips.frames.count();
        let examples = &gallery.examples.examples;
        assert_eq!(examples.len(), 6, "{changes:?}");
        for example in examples {
            let (at, outcome) = (example.episode as usize, &outcomes[example.episode as usize]);
            let query = encoder.clips(at).queries.iter().position(|clip| example.query.starts_with(clip)).unwrap();
            let recorded: Vec<f32> = example.classes.iter().map(|class| class.distance).collect();
            assert_eq!(recorded, outcome.distances[query], "{changes:?}");
            let seen = Seen::new(&model, encoder.encode(at).unwrap(), 2, query, &[0, 1, 2, 3]);
            let distances = model.alignment.distances(seen.query.unsqueeze_dim(1), seen.support.unsqueeze_dim(1));
            let distances: Vec<f32> = distances.into_data().try_to_vec().unwrap();
            let close = distances.iter().zip(&recorded).all(|(a, b)| (a - b).abs() <= 1e-5 * (1.0 + b.abs()));
            assert!(close, "{changes:?}: {distances:?} {recorded:?}");
            for (class, found) in example.classes.iter().enumerate() {
                let Some(alignment) = &found.alignment else { continue };
                assert!([example.label, example.prediction].contains(&class));
                for matrix in [&alignment.costs, &alignment.weights] {
                    let fits = |row: &Vec<f32>| [frames, 2 * frames].contains(&row.len());
                    assert!(matrix.len() == frames && matrix.iter().all(fits), "{changes:?}");
                }
            }
            let given = example.classes.iter().filter(|class| class.alignment.is_some()).count();
            assert_eq!(given, if example.label == example.prediction { 1 } else { 2 });
            let clips = example.classes.iter().flat_map(|class| &class.support).chain([&example.query]);
            let drawn = changes[0].0 == "frames";
            for clip in clips {
                assert!(gallery.examples.clips.contains_key(clip), "{clip}");
                // What is seen anew in every episode has a picture for each.
                assert_eq!(clip.ends_with(&format!(" in episode {at}")), drawn, "{clip}");
            }
        }
        let covered: Vec<&Example> = examples.iter().filter(|example| example.occlusion.is_some()).collect();
        // Where clips see each other in the tower, nothing is covered.
        assert_eq!(
            covered.len(),
            if changes.last().unwrap().1 == "{type: task_adapter}" { 0 } else { 3 },
            "{changes:?}"
        );
        for example in covered.into_iter().filter(|_| changes[0].0 != "frames") {
            let Occlusion { side, falls } = example.occlusion.as_ref().unwrap();
            assert!(*side == 2 && falls.len() == frames && falls.iter().all(|row| row.len() == 4));
            // The last cell of the second frame, covered among the normalised pixels, where its colour is 0.
            let at = example.episode as usize;
            let query = encoder.clips(at).queries.iter().position(|clip| *clip == example.query).unwrap();
            let clip = source.loader().load(&[(&example.query, View::Evaluation)]).unwrap();
            let [_, _, _, h, w] = clip.dims();
            let blank = Tensor::zeros([1, 1, 3, h - h / 2, w - w / 2], &clip.device());
            let clip = clip.slice_assign([0..1, 1..2, 0..3, h / 2..h, w / 2..w], blank);
            let EpisodeEncoding { support, query: mut queries, class_text } = encoder.encode(at).unwrap();
            let covered = model.query_prototypes(model.encode(model.prefix(clip), &Branch::Query));
            let count = queries.frames.dims()[0];
            let put = |of: Tensor<3>, covered: Tensor<3>| {
                let before = of.clone().narrow(0, 0, query);
                let behind = (query + 1 < count).then(|| of.narrow(0, query + 1, count - query - 1));
                let before = (query > 0).then_some(before);
                Tensor::cat(before.into_iter().chain([covered]).chain(behind).collect(), 0)
            };
            queries.frames = put(queries.frames, covered.frames);
            queries.given = put(queries.given, covered.given);
            queries.prototypes = put(queries.prototypes, covered.prototypes);
            let scores = model.scores(support, queries, class_text, 2);
            let probabilities: Vec<f32> = model.objective.probabilities(&scores).into_data().iter::<f32>().collect();
            let fall =
                outcomes[at].probabilities[query][example.prediction] - probabilities[query * 4 + example.prediction];
            assert!((fall - falls[1][3]).abs() < 5e-3, "{changes:?}: {fall} {}", falls[1][3]);
        }
    }
}

/// What trains below the features: nothing, some blocks, all blocks, the pixels' embedding.
const ADAPTERS: [&str; 5] = [
    "{type: none}",
    "{type: last_blocks, count: 1}",
    "{type: multimodal, at: {last: 2}}",
    "{type: multimodal}",
    "{type: aim}",
];

#[test]
fn kept_features_change_nothing() {
    let blocks = bench(&[]).parts.geometry.blocks;
    let mut depths = Vec::new();
    for adapter in ADAPTERS {
        let fixed = "{type: uniform_segments, count: 8, random_in_training: false}";
        let bench = bench(&[("adapter", adapter), ("prototype", "{type: text_guided}"), ("frames", fixed)]);
        let folder = tempfile::tempdir().unwrap();
        let depth = Depth::of(&*bench.parts.model.adapter, blocks);
        depths.push(depth);
        let plain = bench.step(Compute::default(), &bench.source(None));
        for round in 0..2 {
            let source = bench.source(Some(folder.path()));
            assert!(bench.step(Compute::default(), &source) == plain, "{adapter}, round {round}");
            // Kept is what saves a block at least.
            let expected = depth.pays().then_some(round);
            // The first time all are new, the second time all are there; a clip in both episodes counts once as new.
            let found = source.cached().map(|(hits, misses)| match (hits, misses) {
                (0, 1..) => 0,
                (18, 0) => 1,
                other => panic!("{adapter}, round {round}: {other:?}"),
            });
            assert_eq!(found, expected, "{adapter}");
        }
    }
    assert_eq!(
        depths,
        [Depth::Features, Depth::Block(blocks - 1), Depth::Block(blocks - 2), Depth::Block(0), Depth::Pixels]
    );
}

/// Copies of the model take the same values, so that nothing differs by a bit: in a step, in a test of clips that are
/// encoded once, and in one of clips that are encoded for each episode.
#[test]
fn several_devices_of_one_kind_compute_what_one_computes() {
    for adapter in ["{type: multimodal}", "{type: task_adapter}", "{type: last_blocks, count: 1}"] {
        let bench = bench(&[("adapter", adapter), ("prototype", "{type: text_guided, dropout: 0.2}")]);
        let one = bench.step(Compute::default(), &bench.source(None));
        let test = &bench.parts.data[2];
        let list = EpisodeList::new(Shape { way: 3, shot: 1, queries: 1 }, Split::Test, &test.classes, 5, 20).unwrap();
        let split = evaluation::SplitEpisodes { classes: &test.classes, texts: &test.texts, list: &list };
        // Other weights than those that the copies were made of, as after some steps.
        let moved = with_noise(bench.parts.model.clone(), 0.3).valid();
        let tested = |source: &ClipSource| evaluation::evaluate(&moved, source, &split, &Silent).unwrap();
        let on_one = tested(&bench.source(None));
        assert!(
            on_one != evaluation::evaluate(&bench.parts.model.valid(), &bench.source(None), &split, &Silent).unwrap()
        );
        for count in [2, 3] {
            let source = bench.source_on(count);
            assert!(bench.step(Compute::default(), &source) == one, "{adapter}, {count} devices");
            let at_once = Compute { episodes_at_once: Some(1), ..Compute::default() };
            assert!(bench.step(at_once, &source) == one, "{adapter}, {count} devices, one episode at once");
            assert!(tested(&source) == on_one, "{adapter}, {count} devices");
        }
    }
}

#[test]
fn random_frames_are_not_taken_from_the_cache() {
    let bench = bench(&[("prototype", "{type: text_guided}")]);
    let folder = tempfile::tempdir().unwrap();
    let source = bench.source(Some(folder.path()));
    let plain = bench.step(Compute::default(), &bench.source(None));
    assert!(bench.step(Compute::default(), &source) == plain);
    assert_eq!(source.cached(), Some((0, 0)));
}

#[test]
fn a_change_of_weights_frames_or_pixels_is_another_key() {
    let folder = tempfile::tempdir().unwrap();
    let list = |bench: &Bench| -> Vec<String> { bench.parts.data[2].classes[0].clips.clone() };
    let prefixes = |changes: &[(&str, &str)]| {
        let bench = bench(changes);
        let clips = list(&bench);
        let clips: Vec<&str> = clips.iter().map(String::as_str).collect();
        let source = bench.source(Some(folder.path()));
        source.prefixes(&clips, |_| View::Evaluation).unwrap();
        source.cached().unwrap()
    };
    assert_eq!(prefixes(&[]), (0, 4));
    assert_eq!(prefixes(&[]), (4, 0));
    assert_eq!(prefixes(&[("prototype", "{type: text_guided}")]), (4, 0));
    assert_eq!(prefixes(&[("frames", "{type: uniform_segments, count: 4}")]), (0, 4));
    assert_eq!(prefixes(&[("dataset", "{type: shapes_in_motion, clips_per_class: 4, seed: 7}")]), (0, 4));
    assert_eq!(prefixes(&[("adapter", "{type: last_blocks, count: 1}")]), (0, 4));
    assert_eq!(prefixes(&[("precision", "bf16")]), (0, 4));
}

#[test]
fn kept_features_are_those_that_were_computed() {
    for (precision, bytes) in [("f32", 4), ("bf16", 2)] {
        let folder = tempfile::tempdir().unwrap();
        let bench = bench(&[("precision", precision), ("adapter", "{type: last_blocks, count: 1}")]);
        let clip = bench.parts.data[2].classes[0].clips[0].clone();
        let prefix = || bench.source(Some(folder.path())).prefixes(&[&clip], |_| View::Evaluation).unwrap();
        let (made, kept) = (prefix(), prefix());
        assert_eq!(made.to_data(), kept.to_data(), "{precision}");
        let size = files_below(folder.path()).iter().map(|file| std::fs::metadata(file).unwrap().len()).sum::<u64>();
        // Magic, key, number of frames, and a checksum.
        assert_eq!(size, 4 + 32 + 4 + 4 + bytes * made.shape().num_elements() as u64, "{precision}");
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn splitting_the_work_changes_gradients_by_rounding_only() {
    // The last has nothing trainable in the query branch.
    for adapter in ADAPTERS.into_iter().chain(["{type: multimodal, parts: {only: []}}"]) {
        for objective in ["{type: ma_clip, alpha: 0.3, text_scale: 10}", "{type: clip_fsar}"] {
            let bench = bench(&[("adapter", adapter), ("prototype", "{type: text_guided}"), ("objective", objective)]);
            let source = bench.source(None);
            let whole = bench.step(Compute::default(), &source);
            let one = bench.step(Compute { episodes_at_once: Some(1), ..Compute::default() }, &source);
            assert!(one == whole, "{adapter}: episodes one after the other");
            let ways = [Recompute::None, Recompute::Block, Recompute::Tower];
            let each = |compute: Compute| ways.map(|recompute| Compute { recompute, ..compute.clone() });
            // The same parts give the same bits, whatever is computed again.
            for compute in [Compute::default(), Compute { shards: Some(3), ..Compute::default() }] {
                let [none, block, tower] = each(compute).map(|compute| bench.step(compute, &source));
                assert!(none == block && none == tower, "{adapter}");
            }
            let parts = [1, 4, 100].map(|size| Compute { micro_batch: Some(size), ..Compute::default() });
            let shards = [2, 7].map(|shards| Compute { shards: Some(shards), ..Compute::default() });
            for split in parts.into_iter().chain(shards).flat_map(each) {
                let name = format!("{adapter}, {split:?}");
                let parts = bench.step(split, &source);
                assert!((parts.0 - whole.0).abs() < 1e-5, "{name}: {} {}", parts.0, whole.0);
                assert_eq!(parts.1.keys().collect::<Vec<_>>(), whole.1.keys().collect::<Vec<_>>());
                let difference = difference(&whole.1, &parts.1);
                assert!(difference < 1e-4, "{name}: {difference}");
            }
        }
    }
}

#[test]
fn what_is_dropped_does_not_depend_on_how_the_work_is_split() {
    for (with, without) in [
        (
            ["{type: multimodal, drop_path: 0.4}", "{type: text_guided, dropout: 0.3}", "{type: otam}"],
            ["{type: multimodal}", "{type: text_guided}", "{type: otam}"],
        ),
        (
            ["{type: aim}", "{type: clip_fsar}", "{type: trx}"],
            ["{type: aim, drop_path: 0}", "{type: clip_fsar, dropout: 0, ffn_dropout: 0}", "{type: trx, dropout: 0}"],
        ),
        (
            ["{type: last_blocks, count: 1}", "{type: hyrsm}", "{type: bi_mhm}"],
            [
                "{type: last_blocks, count: 1}",
                "{type: hyrsm, code_dropout: 0, intra_dropout: 0, inter_dropout: 0, inter_weight_dropout: 0}",
                "{type: bi_mhm}",
            ],
        ),
    ] {
        let bench = |[adapter, prototype, alignment]: [&str; 3]| {
            bench(&[("adapter", adapter), ("prototype", prototype), ("alignment", alignment)])
        };
        let (dropping, plain) = (bench(with), bench(without));
        let source = dropping.source(None);
        let whole = dropping.step(Compute::default(), &source);
        assert!(dropping.step(Compute::default(), &source) == whole, "{with:?}: twice");
        let off = plain.step(Compute::default(), &plain.source(None));
        assert!(difference(&off.1, &whole.1) > 1e-3, "{with:?} drops nothing");
        for (micro_batch, shards) in [(None, Some(2)), (None, Some(4)), (Some(1), None), (Some(4), None)] {
            for recompute in [Recompute::None, Recompute::Block, Recompute::Tower] {
                let compute = Compute { micro_batch, shards, recompute, ..Compute::default() };
                let name = format!("{with:?}, {compute:?}");
                let parts = dropping.step(compute, &source);
                assert!((parts.0 - whole.0).abs() < 1e-5, "{name}: {} {}", parts.0, whole.0);
                let difference = difference(&whole.1, &parts.1);
                assert!(difference < 1e-4, "{name}: {difference}");
            }
        }
    }
}

#[test]
fn a_test_drops_nothing_on_a_thread_that_waits_inside_a_training_pass() {
    for adapter in ["{type: none}", "{type: task_adapter}"] {
        let bench = bench(&[("adapter", adapter), ("prototype", "{type: clip_fsar, dropout: 0.5}")]);
        let Parts { data: [_, _, test], test: list, model, .. } = &bench.parts;
        let split = evaluation::SplitEpisodes { classes: &test.classes, texts: &test.texts, list };
        let (model, source) = (model.valid(), bench.source(None));
        let distances = || -> Vec<Vec<Vec<f32>>> {
            let outcomes = evaluation::evaluate(&model, &source, &split, &Silent).unwrap();
            outcomes.into_iter().map(|outcome| outcome.distances).collect()
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let alone = pool.install(distances);
        assert_eq!(pool.install(|| Draws::new(1, 0).during(distances)), alone, "{adapter}");
    }
}

#[test]
fn an_adapter_that_looks_across_clips_refuses_parts() {
    let mut refused = 0;
    for entry in <dyn Adapter>::entries() {
        let options = entry.info.usage.trim_start_matches('{');
        let bench = bench(&[("adapter", &format!("{{type: {}, {options}", entry.info.name))]);
        if bench.parts.model.adapter.scope() < Scope::Episode {
            continue;
        }
        let compute = Compute { micro_batch: Some(2), ..Compute::default() };
        let message = bench.try_step(compute, &bench.source(None)).err().unwrap().to_string();
        assert!(message.contains("micro_batch: null"), "{}: {message}", entry.info.name);
        refused += 1;
    }
    assert!(refused > 0, "no adapter looks across clips");
}

#[test]
fn activation_checkpointing_changes_nothing() {
    let on = ("compute", "{activation_checkpointing: true}");
    for adapter in ["{type: multimodal}", "{type: last_blocks, count: 2}", "{type: full}"] {
        let model = [("adapter", adapter), ("prototype", "{type: text_guided}")];
        for compute in [
            Compute::default(),
            Compute { shards: Some(3), ..Compute::default() },
            Compute { micro_batch: Some(4), ..Compute::default() },
        ] {
            let step = |changes: &[(&str, &str)]| {
                let bench = bench(changes);
                bench.step(compute.clone(), &bench.source(None))
            };
            let (plain, kept) = (step(&model), step(&[model[0], model[1], on]));
            assert!((plain.0 - kept.0).abs() < 1e-6, "{adapter}");
            assert!(difference(&plain.1, &kept.1) < 1e-5, "{adapter}");
        }
    }
    // It is really on, also after a checkpoint was loaded into the model.
    let kept = bench(&[("adapter", "{type: multimodal}"), on]).parts;
    assert_eq!(parameters::trainable_graph_strategy(&with_noise(kept.model, 0.05)), kept.graph_strategy);
    assert_ne!(kept.graph_strategy, bench(&[]).parts.graph_strategy);
}

#[test]
fn bf16_is_near_and_not_the_same() {
    let step = |precision: &str| {
        let bench =
            bench(&[("adapter", "{type: multimodal}"), ("prototype", "{type: text_guided}"), ("precision", precision)]);
        bench.step(Compute::default(), &bench.source(None))
    };
    let (full, half) = (step("f32"), step("bf16"));
    assert!(full.0 != half.0 && (full.0 - half.0).abs() < 0.03 * full.0, "{} {}", full.0, half.0);
    let difference = difference(&full.1, &half.1);
    assert!(difference > 0.0 && difference < 0.1, "{difference}");
}

/// LibTorch where this build has it, and the device that MACLIP_DEVICE names.
fn other_devices() -> Vec<String> {
    let mut devices = Vec::new();
    devices.extend(cfg!(feature = "tch").then(|| "tch:cpu".to_owned()));
    devices.extend(std::env::var("MACLIP_DEVICE").ok().filter(|name| !name.is_empty() && name != "flex"));
    devices.dedup();
    devices
}

#[test]
fn every_gradient_on_another_device_is_that_of_flex() {
    let heads = [
        ("{type: multimodal}", "{type: text_guided}", "{type: otam}"),
        ("{type: aim}", "{type: text_guided}", "{type: otam}"),
        ("{type: st_adapter}", "{type: clip_fsar}", "{type: trx}"),
        ("{type: lora}", "{type: hyrsm}", "{type: bi_mhm}"),
    ];
    for name in other_devices() {
        let other = device::parse(&name).unwrap_or_else(|(message, help)| panic!("{message}; {help}"));
        let mut precisions = vec![(Recompute::None, "f32"), (Recompute::Block, "f32")];
        precisions.extend(other.supports_dtype(DType::BF16).then_some((Recompute::None, "bf16")));
        for (adapter, prototype, alignment) in heads {
            for &(recompute, precision) in &precisions {
                let step = |device: Device| {
                    let changes = [
                        ("adapter", adapter),
                        ("prototype", prototype),
                        ("alignment", alignment),
                        ("precision", precision),
                    ];
                    let bench = bench_on(device, &changes);
                    bench.step(Compute { recompute, ..Compute::default() }, &bench.source(None))
                };
                let (ours, theirs) = (step(other.clone()), step(Device::flex()));
                // In bf16 the last bit is 1/256, and the order of a sum decides about it.
                let tolerance = if precision == "f32" { 1e-4 } else { 0.05 };
                let what = format!("{name}: {adapter}, {recompute:?}, {precision}");
                assert!((ours.0 - theirs.0).abs() < f64::from(tolerance) * theirs.0, "{what}: {} {}", ours.0, theirs.0);
                assert_eq!(ours.1.len(), theirs.1.len());
                let largest = theirs.1.values().flat_map(|t| &t.values).fold(0.0f32, |a, b| a.max(b.abs()));
                let mut worst = 0.0f32;
                for (path, theirs) in &theirs.1 {
                    let own = theirs.values.iter().fold(0.0f32, |a, b| a.max(b.abs()));
                    // `max` would drop not-a-number.
                    let apart = ours.1[path].values.iter().zip(&theirs.values).map(|(a, b)| (a - b).abs());
                    let apart = apart.fold(0.0, |a, b| if b.is_nan() { f32::INFINITY } else { f32::max(a, b) });
                    let part = apart / own.max(largest * 1e-3);
                    worst = worst.max(part);
                    assert!(part <= tolerance, "{what}: {path} is {apart} of {own} apart");
                }
                println!("{what}: {} gradients, largest difference {worst:.1e}", theirs.1.len());
            }
        }
    }
}

/// Training and test on one variant of shapes, whose splits stand for two datasets with a class in common.
#[test]
fn what_the_training_has_seen_of_another_dataset_depends_on_whether_there_is_one() {
    let classes = |task: FewShot, adapter: &str| {
        let recipe = model::recipe(&[("adapter", adapter)]);
        let build = recipe.build_context(&Device::flex()).unwrap();
        let dataset = Twice(recipe.build(&build).unwrap());
        let model = FewShotModel::build(&recipe, &build, 8);
        let lists = task.lists(&dataset, &recipe, &model).unwrap();
        let [train, _, test] = lists.classes().map(|classes| classes.len());
        let told = lists.notes().any(|note| note.contains("the training has seen"));
        (train, test, told)
    };
    let test_on = serde_json::from_value(serde_json::json!({"type": "shapes_in_motion"})).unwrap();
    let task = FewShot { test_on: Some(test_on), ..FewShot::default() };
    let (train, test, told) = classes(task.clone(), "{type: multimodal}");
    assert!(train > 0 && test > 0 && told, "a training has seen them");
    let left_out = FewShot { overlap: Overlap::LeaveOut, ..task.clone() };
    assert_eq!(classes(left_out, "{type: multimodal}"), (train - 1, test, false));
    let alone = FewShot { fine_tune: Some(FineTune { alone: true, ..FineTune::default() }), ..task };
    assert!(!classes(alone, "{type: multimodal}").2, "nothing was trained before the test");
}

/// A dataset whose first test class has the name of its first training class.
struct Twice(Box<dyn Dataset>);

impl Dataset for Twice {
    fn list(&self, split: Split) -> Result<maclip_framework::slots::dataset::Listing> {
        let mut listing = self.0.list(split)?;
        if split == Split::Test {
            listing.classes[0].name = self.0.list(Split::Train)?.classes[0].name.to_uppercase();
        }
        Ok(listing)
    }

    fn frame_count(&self, clip: &str) -> Result<usize> {
        self.0.frame_count(clip)
    }

    fn open(&self, clip: &str, indices: &[usize]) -> Result<maclip_framework::slots::dataset::Frames> {
        self.0.open(clip, indices)
    }
}

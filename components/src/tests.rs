//! What holds for the options of every component: defaults are in range, and a value outside is refused where it was written.

use burn::tensor::Device;
use maclip_framework::engine::task::Task;
use maclip_framework::error::Result;
use maclip_framework::recipe::Recipe;
use maclip_framework::registry::{BuildContext, Facts, build_choice, describe_choice, resolve_choice, slot, slots};
use maclip_framework::slots::adapter::Adapter;
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::augment::Augment;
use maclip_framework::slots::backbone::{Backbone, Geometry};
use maclip_framework::slots::dataset::Dataset;
use maclip_framework::slots::frames::FrameSampler;
use maclip_framework::slots::objective::Objective;
use maclip_framework::slots::optimizer::Optimizer;
use maclip_framework::slots::prompt::Prompt;
use maclip_framework::slots::prototype::Prototype;
use maclip_framework::slots::resize::Resize;
use maclip_framework::slots::schedule::Schedule;
use maclip_language::{Diagnostics, Node, codes, ranges, read_str};

/// Options in YAML, without braces, as `resolve_choice` gives them back.
fn resolved(slot_name: &str, component: &str, options: &str) -> std::result::Result<Node, Diagnostics> {
    let text = format!("{{type: {component}, {options}}}");
    resolve_choice(slot(slot_name).unwrap(), &read_str("test.yaml", &text).unwrap())
}

#[test]
fn the_defaults_of_every_component_are_in_range() {
    for slot in slots() {
        for info in (slot.components)().into_iter().map(|candidate| candidate.info) {
            let example = info.usage.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap();
            let node = resolved(slot.name, info.name, example).unwrap_or_else(|problems| panic!("{problems}"));
            assert_eq!(ranges::check(&(info.schema)().to_value(), &node, slot.name), [], "{} {}", slot.name, info.name);
        }
    }
}

/// Builds the component `node` of the slot, and says whether it reads class texts, where a component of the slot can.
fn built(slot: &str, node: &Node, context: &BuildContext) -> Result<Option<bool>> {
    macro_rules! of {
        ($($name:literal $trait:ident)*) => {
            match slot {
                "adapter" => build_choice::<dyn Adapter>(node, context).map(|made| Some(made.needs_text())),
                "prototype" => build_choice::<dyn Prototype>(node, context).map(|made| Some(made.needs_text())),
                "objective" => build_choice::<dyn Objective>(node, context).map(|made| Some(made.needs_text())),
                $($name => build_choice::<dyn $trait>(node, context).map(|_| None),)*
                other => panic!("slot {other} is new: build its examples here too"),
            }
        };
    }
    of! { "task" Task "dataset" Dataset "frames" FrameSampler "resize" Resize "augment" Augment "backbone" Backbone "prompt" Prompt
    "alignment" Alignment "optimizer" Optimizer "schedule" Schedule }
}

#[test]
fn the_example_of_every_component_round_trips_and_builds() {
    let mut plain = BuildContext::new(0, Device::flex());
    plain.sizes_only = true;
    let context = plain.with_sizes(Geometry::clip_vit_b16(), 8);
    for slot in slots() {
        for info in (slot.components)().into_iter().map(|candidate| candidate.info) {
            let name = format!("{}/{}", slot.name, info.name);
            let example = info.usage.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap();
            let node = resolved(slot.name, info.name, example).unwrap();
            let again = read_str("again.yaml", &node.to_yaml()).unwrap();
            assert_eq!(resolve_choice(slot, &again).unwrap(), node, "{name}: written and read again");
            match built(slot.name, &node, &context) {
                Ok(reads) => {
                    let mut facts = Facts::default();
                    describe_choice(slot, &node, &mut facts);
                    let told = facts.readers.contains(&slot.name);
                    assert_eq!(reads.unwrap_or(told), told, "{name}: what it tells about class texts");
                }
                // Only a file that the example names and that is not here may be in the way.
                Err(error) => {
                    let message = error.to_string();
                    let file =
                        ["weights", "root"].into_iter().find_map(|key| node.at(key)?.as_str().map(str::to_owned));
                    assert!(file.is_some_and(|file| message.contains(&file)), "{name}: {message}");
                }
            }
        }
    }
}

#[test]
fn a_value_outside_its_range_is_refused_in_every_component() {
    for (at, options, field, message) in [
        ("schedule cosine", "floor: 1.1", "floor", "must be within 0 and 1"),
        ("schedule multi_step", "factor: -0.1", "factor", "must be within 0 and 1"),
        ("schedule multi_step", "milestones: [0.5, 1.5]", "milestones[1]", "must be within 0 and 1"),
        ("schedule multi_step", "milestones: [0.5, 0.5]", "milestones", "must be ascending shares of the training"),
        ("frames uniform_segments", "count: 257", "count", "must be within 1 and 256"),
        ("augment random_crop", "scale: 0", "scale", "must be above 0 and at most 1"),
        ("augment random_crop", "flip: 2", "flip", "must be within 0 and 1"),
        ("optimizer adamw", "learning_rate: 100", "learning_rate", "must be above 0 and below 100"),
        ("optimizer adamw", "beta_1: 1", "beta_1", "must be at least 0 and below 1"),
        ("optimizer adamw", "beta_2: -0.1", "beta_2", "must be at least 0 and below 1"),
        ("optimizer adamw", "epsilon: 0", "epsilon", "must be above 0"),
        ("optimizer adamw", "weight_decay: -1", "weight_decay", "must be 0 or above"),
        (
            "optimizer adamw",
            "groups: {adapter: {learning_rate: 0}}",
            "groups.adapter.learning_rate",
            "must be above 0 and below 100, or null",
        ),
        (
            "optimizer sgd",
            "groups: {adapter: {weight_decay: -1}}",
            "groups.adapter.weight_decay",
            "must be 0 or above, or null",
        ),
        ("optimizer sgd", "learning_rate: .nan", "learning_rate", "must be a finite number"),
        ("optimizer sgd", "momentum: 1", "momentum", "must be at least 0 and below 1"),
        ("optimizer sgd", "weight_decay: -1", "weight_decay", "must be 0 or above"),
        ("objective clip_fsar", "text_weight: -1", "text_weight", "must be 0 or above"),
        ("objective clip_fsar", "text_exponent: 2", "text_exponent", "must be within 0 and 1"),
        ("objective clip_fsar", "text_scale: 0", "text_scale", "must be above 0"),
        ("objective ma_clip", "alpha: 2", "alpha", "must be within 0 and 1"),
        ("objective ma_clip", "text_scale: 0", "text_scale", "must be above 0"),
        ("objective ma_clip", "metric_scale: 0", "metric_scale", "must be above 0"),
        ("objective ma_clip", "kl_target_scale: 0", "kl_target_scale", "must be above 0"),
        ("objective metric", "scale: 0", "scale", "must be above 0"),
        ("adapter lora", "rank: 0", "rank", "must be within 1 and 4096"),
        ("adapter lora", "alpha: .inf", "alpha", "must be a finite number"),
        ("adapter lora", "on: []", "on", "must name at least one"),
        ("adapter lora", "on: [key, key]", "on[1]", "must not repeat an item before it"),
        ("adapter lora", "at: {last: 0}", "at.last", "must be at least 1"),
        ("adapter task_adapter", "ratio: 5", "ratio", "must be above 0 and at most 4"),
        ("adapter task_adapter", "at: {list: []}", "at.list", "must name at least one"),
        ("adapter task_adapter", "scale: .nan", "scale", "must be a finite number"),
        ("adapter st_adapter", "ratio: 0", "ratio", "must be above 0 and at most 4"),
        ("adapter st_adapter", "kernel: [3, 11, 1]", "kernel[1]", "must be within 1 and 9"),
        ("adapter st_adapter", "kernel: [3, 2, 1]", "kernel", "has odd sides"),
        ("adapter last_blocks", "count: 0", "count", "must be at least 1"),
        ("adapter multimodal", "ratio: 0", "ratio", "must be above 0 and at most 4"),
        ("adapter multimodal", "temporal_adapters: 3", "temporal_adapters", "must be within 1 and 2"),
        ("adapter multimodal", "joint_scale: .nan", "joint_scale", "must be a finite number"),
        ("adapter aim", "ratio: 0", "ratio", "must be above 0 and at most 4"),
        ("adapter aim", "scale: .nan", "scale", "must be a finite number"),
        ("adapter aim", "temporal_adapters: 0", "temporal_adapters", "must be within 1 and 2"),
        ("prompt templates", "templates: []", "templates", "must name at least one"),
        ("alignment bi_mhm", "cosine: {plus: -1}", "cosine.plus", "must be 0 or above"),
        ("alignment dtw", "cosine: {clamp: -1}", "cosine.clamp", "must be 0 or above"),
        ("alignment otam", "lambda: 0", "lambda", "must be at least 1e-6"),
        ("alignment soft_dtw", "gamma: 0", "gamma", "must be at least 1e-6"),
        ("alignment optimal_transport", "epsilon: 0", "epsilon", "must be at least 1e-6"),
        ("alignment optimal_transport", "rho: 0", "rho", "must be above 0, or null"),
        ("alignment optimal_transport", "iterations: 0", "iterations", "must be within 1 and 1000"),
        ("alignment trx", "cardinalities: []", "cardinalities", "must name at least one"),
        ("alignment trx", "cardinalities: [2, 0]", "cardinalities[1]", "must be at least 1"),
        ("alignment trx", "cardinalities: [2, 2]", "cardinalities[1]", "must not repeat an item before it"),
        ("alignment trx", "width: 0", "width", "must be within 1 and 65536"),
        ("alignment trx", "position_scale: .nan", "position_scale", "must be a finite number"),
        ("prototype clip_fsar", "heads: 0", "heads", "must be at least 1"),
        ("prototype clip_fsar", "hidden: 0", "hidden", "must be within 1 and 65536, or null"),
        ("prototype hyrsm", "heads: 0", "heads", "must be at least 1"),
        ("prototype hyrsm", "feature_divisor: 0", "feature_divisor", "must be above 0"),
        ("prototype hyrsm", "position_scale: .nan", "position_scale", "must be a finite number"),
        ("prototype text_guided", "heads: 0", "heads", "must be at least 1"),
        ("prototype text_guided", "ffn_ratio: 65", "ffn_ratio", "must be within 1 and 64"),
        ("prototype multimodal_transformer", "heads: 0", "heads", "must be at least 1"),
        ("prototype unimodal_transformer", "ffn_ratio: 0", "ffn_ratio", "must be within 1 and 64"),
        ("task contrastive", "batch_size: 1", "batch_size", "must be at least 2"),
        ("task contrastive", "spell: 2", "spell", "must be within 0 and 1"),
        ("task contrastive", "gallery: 1", "gallery", "must be at least 2"),
        ("task contrastive", "held_out: 10", "held_out", "must be at least two galleries"),
        ("task contrastive", "train: {steps: 0}", "train.steps", "must be at least 1"),
        ("task few_shot", "way: 1", "way", "must be within 2 and 10000"),
        ("task few_shot", "shot: 0", "shot", "must be within 1 and 10000"),
        ("task few_shot", "train_shot: 0", "train_shot", "must be at least 1, or null"),
        ("task few_shot", "episodes_per_step: 0", "episodes_per_step", "must be at least 1"),
        ("task few_shot", "queries: 0", "queries", "must be at least 1"),
        ("task few_shot", "validation: {episodes: 1}", "validation.episodes", "must be at least 2"),
        (
            "task few_shot",
            "validation: {examples: 1}",
            "validation.examples",
            "has no effect: examples are kept of the test, with `test.examples`",
        ),
        ("task few_shot", "test: {examples: 21}", "test.examples", "must be within 0 and 20, or null"),
        ("task few_shot", "test: {queries: 0}", "test.queries", "must be within 1 and 10000"),
        ("task few_shot", "train: {clip_norm: -1}", "train.clip_norm", "must be above 0, or null"),
        ("task few_shot", "train: {validate_every_steps: 0}", "train.validate_every_steps", "must be at least 1"),
        ("task few_shot", "train: {checkpoint_every_steps: 0}", "train.checkpoint_every_steps", "must be at least 1"),
        ("task few_shot", "train: {keep_checkpoints: 0}", "train.keep_checkpoints", "must be at least 1"),
        ("task few_shot", "train: {patience: 0}", "train.patience", "must be at least 1, or null"),
        ("dataset shapes_in_motion", "clips_per_class: 1", "clips_per_class", "must be at least 2"),
        ("dataset shapes_in_motion", "frames: 1", "frames", "must be at least 2"),
        ("dataset shapes_in_motion", "size: 513", "size", "must be within 16 and 512"),
        ("backbone vit", "heads: 0", "heads", "must be at least 1, or null"),
        ("backbone vit", "epsilon: 1", "epsilon", "must be above 0 and below 1, or null"),
        ("backbone clip_vit", "vision_heads: 0", "vision_heads", "must be at least 1, or null"),
        ("backbone clip_vit", "text_heads: 0", "text_heads", "must be at least 1, or null"),
        ("backbone clip_resnet", "vision_heads: 0", "vision_heads", "must be at least 1, or null"),
        ("backbone clip_resnet", "text_heads: 0", "text_heads", "must be at least 1, or null"),
        (
            "backbone clip_vit",
            "architecture: {image_size: 64, patch_size: 0, vision_width: 64, vision_layers: 1, vision_heads: 1, \
             embed_dim: 64, context_length: 8, text_width: 64, text_layers: 1, text_heads: 1}",
            "architecture.patch_size",
            "must be within 1 and 8192",
        ),
        (
            "backbone clip_resnet",
            "architecture: {image_size: 64, vision_width: 64, vision_layers: [1, 0, 1, 1], vision_heads: 32, \
             embed_dim: 64, context_length: 8, text_width: 64, text_layers: 1, text_heads: 1}",
            "architecture.vision_layers[1]",
            "must be within 1 and 8192",
        ),
    ] {
        let (slot, component) = at.split_once(' ').unwrap();
        let problems = resolved(slot, component, options).expect_err(&format!("{at} {options}")).into_vec();
        let found: Vec<_> = problems.iter().map(|p| (p.code, p.message.as_str(), p.path.as_str())).collect();
        let want = (format!("`{field}` {message}"), format!("{slot}.{field}"));
        assert_eq!(found, [(codes::OUT_OF_RANGE, want.0.as_str(), want.1.as_str())], "{at} {options}");
    }
}

#[test]
fn ranges_of_what_no_component_owns_hold_too() {
    let text = "name: x\ndataset: {type: shapes_in_motion}\nbackbone: {type: clip_vit, weights: 'builtin:shapes_clip'}\n\
                compute: {workers: 257, prefetch: 1025, shards: 0, micro_batch: 0, cache_limit_gb: -1}\n\
                expect:\n- {metric: accuracy, value: 100, tolerance: 0, source: a}\n\
                - {metric: accuracy, value: 101, tolerance: .nan, source: b}\n";
    let problems = Recipe::check(&read_str("test.yaml", text).unwrap()).unwrap_err();
    let found: Vec<_> = problems
        .iter()
        .map(|problem| {
            let line = problem.origin.as_ref().and_then(|origin| origin.place()).unwrap().line;
            (line, problem.message.as_str(), problem.path.as_str())
        })
        .collect();
    let want = [
        (4, "`workers` must be within 0 and 256", "compute.workers"),
        (4, "`prefetch` must be within 0 and 1024", "compute.prefetch"),
        (4, "`shards` must be within 1 and 256, or null", "compute.shards"),
        (4, "`micro_batch` must be at least 1, or null", "compute.micro_batch"),
        (4, "`cache_limit_gb` must be 0 or above", "compute.cache_limit_gb"),
        (7, "`expect[1].value` must be within 0 and 100", "expect[1].value"),
        (7, "`expect[1].tolerance` must be a finite number", "expect[1].tolerance"),
    ];
    assert_eq!(found, want);
}

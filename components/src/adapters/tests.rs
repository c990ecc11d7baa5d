//! What adapters must hold: the start of training, and the parameter counts that papers give.

use super::no_adapter;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use maclip_framework::model::few_shot::FewShotModel;
use maclip_framework::model::parameters::{self, Params};
use maclip_framework::random::Stream;
use maclip_framework::recipe::{Purpose, Recipe};
use maclip_framework::registry::{BuildContext, SlotTrait};
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::{Adapter, Branch};
use maclip_framework::slots::backbone::{FrozenBlock, Precision};
use maclip_language::read_str;

fn model(adapter: &str, prototype: &str, architecture: Option<&str>) -> FewShotModel {
    let backbone = match architecture {
        None => "weights: 'builtin:shapes_clip'".to_owned(),
        Some(name) => format!("weights: absent, architecture: {name}"),
    };
    let text = format!(
        "name: test\ndataset: {{type: shapes_in_motion}}\nbackbone: {{type: clip_vit, {backbone}}}\n\
         adapter: {{type: {adapter}}}\nprototype: {{type: {prototype}}}\n"
    );
    let recipe = Recipe::check_for(&read_str("test.yaml", &text).unwrap(), Purpose::Plan).unwrap();
    let mut context = BuildContext::new(1, Device::flex());
    context.sizes_only = architecture.is_some();
    FewShotModel::build(&recipe, &context, 8).unwrap()
}

fn count(adapter: &str, prototype: &str, architecture: &str) -> Params {
    parameters::count(&model(adapter, prototype, Some(architecture)))
}

/// FLOPs of CLIP's image tower for one frame, counted by torch.utils.flop_counter (PyTorch 2.9) on a module written by hand from
/// the paper; 17.6, 4.4 and 81 GMACs in the literature.
const FRAME: [(&str, f64); 3] =
    [("ViT-B/16", 35_126_906_880.0), ("ViT-B/32", 8_817_623_040.0), ("ViT-L/14", 162_025_537_536.0)];

#[test]
fn flops_of_a_frame_are_those_of_an_independent_count() {
    for (architecture, flops) in FRAME {
        let model = model("none", "none", Some(architecture));
        let cost = model.backbone.prefix_cost([1, 1], &*model.adapter).unwrap();
        assert_eq!(cost.flops, flops, "{architecture}");
        assert_eq!(model.backbone.prefix_cost([3, 8], &*model.adapter).unwrap().flops, 24.0 * flops);
        let full = self::model("full", "none", Some(architecture));
        assert_eq!(full.backbone.prefix_cost([1, 1], &*full.adapter).unwrap().flops, 0.0);
        assert_eq!(full.backbone.encode_cost([1, 1], &*full.adapter, &Branch::Query).unwrap().flops, flops);
    }
}

#[test]
fn flops_of_the_adapters_are_the_hand_computed_ones() {
    // ViT-B/32 with 8 frames: 50 tokens of width 768, 12 blocks, bottlenecks of 192.
    let (t, n, d, h, blocks) = (8.0, 50.0, 768.0, 192.0, 12.0);
    let tower = t * FRAME[1].1;
    let attention = |sequences: f64, length: f64| 2.0 * sequences * length * (4.0 * d * d + 2.0 * length * d);
    let bottleneck = |rows: f64| 2.0 * 2.0 * rows * d * h;
    let flops = |adapter: &str, branch: &Branch| {
        let model = model(adapter, "none", Some("ViT-B/32"));
        let clips = [if matches!(branch, Branch::Episode { .. }) { 5 } else { 1 }, 8];
        let prefix = model.backbone.prefix_cost(clips, &*model.adapter).unwrap();
        (prefix + model.backbone.encode_cost(clips, &*model.adapter, branch).unwrap()).flops
    };
    let query = |adapter: &str| flops(adapter, &Branch::Query);
    assert_eq!(query("none"), tower);
    assert_eq!(query("last_blocks"), tower);
    assert_eq!(query("lora, rank: 4"), tower + blocks * 2.0 * (2.0 * 2.0 * t * n * d * 4.0));
    assert_eq!(query("aim"), tower + blocks * (attention(n, t) + 3.0 * bottleneck(t * n)));
    let patches = t * (n - 1.0);
    assert_eq!(query("st_adapter"), tower + blocks * 2.0 * patches * (2.0 * d * 384.0 + 3.0 * 384.0));
    // The class tokens over time; then one token more in each frame, and with a text two and TextFC.
    let more = |tokens: f64| attention(t, n + tokens) - attention(t, n);
    let shared = attention(1.0, t) + bottleneck(t) + 2.0 * bottleneck(t * n);
    assert_eq!(query("multimodal"), tower + blocks * (shared + more(1.0)));
    let text = |clips: usize| Tensor::<2>::zeros([clips, 512], &Device::flex());
    let support = flops("multimodal", &Branch::Support { text: &text(1) });
    assert_eq!(support, tower + blocks * (shared + more(2.0) + 2.0 * 512.0 * d));
    // Two of five clips are supports; two blocks.
    let episode = flops("task_adapter", &Branch::Episode { text: &text(2) });
    let over_clips = attention(t * n, 2.0) + attention(t * n, 3.0);
    let added = 5.0 * attention(n, t) + over_clips + 4.0 * bottleneck(5.0 * t * n);
    assert_eq!(episode, 5.0 * tower + 2.0 * added);
}

/// An adapter as a user writes it first: without a word about its cost.
#[derive(Module, Debug)]
struct Uncounted {}

impl Adapter for Uncounted {
    fn adapts(&self, index: usize) -> bool {
        index > 3
    }
    fn scope(&self) -> Scope {
        Scope::Clip
    }
    fn needs_text(&self) -> bool {
        false
    }
    fn forward(&self, _: usize, block: &dyn FrozenBlock, x: Tensor<4>, _: &Branch) -> Tensor<4> {
        super::none::as_trained(block, x)
    }
}

#[test]
fn an_adapter_that_does_not_say_its_cost_makes_no_number_wrong() {
    let model = model("none", "none", Some("ViT-B/32"));
    assert!(model.backbone.encode_cost([1, 8], &Uncounted {}, &Branch::Query).is_none());
    // What lies below it is known: patches and four of twelve blocks.
    let prefix = model.backbone.prefix_cost([1, 8], &Uncounted {}).unwrap().flops;
    assert!((0.32..0.36).contains(&(prefix / (8.0 * FRAME[1].1))), "{prefix}");
}

#[test]
fn a_model_of_which_only_the_sizes_matter_has_no_values() {
    struct Made(usize, usize);
    impl ModuleVisitor for Made {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 += 1;
            self.1 += usize::from(param.is_initialized());
        }
    }
    for adapter in ["full", "multimodal", "aim", "lora", "st_adapter", "task_adapter"] {
        let model = model(adapter, "text_guided", Some("ViT-B/16"));
        assert!(parameters::count(&model).trainable > 0);
        assert!(parameters::bytes(&model, Precision::F32).trainable > 0.0);
        let mut made = Made(0, 0);
        model.visit(&mut made);
        assert!(made.0 > 100 && made.1 == 0, "{adapter}: {} of {}", made.1, made.0);
    }
}

#[test]
fn parameter_counts_are_those_of_the_papers() {
    // MA-CLIP, table 4: 18.54 M of 169.81 M; fine-tuned visual-only 90.99 M.
    let ours = count("multimodal", "text_guided", "ViT-B/32");
    assert_eq!((ours.trainable, ours.total), (18_529_536, 169_806_849));
    assert_eq!(count("multimodal", "text_guided", "ViT-B/16").trainable, 18_529_536);
    assert_eq!(count("full", "text_guided", "ViT-B/32").trainable, 87_849_216 + 3_150_336);
    // Its rows add 4.79 M, 7.10 M and 3.50 M: the twelve TextFC, two adapters a block, and one.
    let rows = ["[]", "[temporal, multimodal]", "[joint, temporal, multimodal]"]
        .map(|parts| count(&format!("multimodal, parts: {{only: {parts}}}"), "text_guided", "ViT-B/32").trainable);
    assert_eq!(rows, [3_150_336 + 12 * 393_984, 7_878_144 + 24 * 295_872, ours.trainable]);
    // AIM: 11 M on ViT-B/16 (adapters 10,651,392, position codes 8 × 768, last norm 2 × 768).
    assert_eq!(count("aim", "none", "ViT-B/16").trainable, 10_659_072);
    // ST-Adapter: 7.2 M on ViT-B/16 with a 3 × 3 × 3 kernel.
    assert_eq!(count("st_adapter, kernel: [3, 3, 3]", "none", "ViT-B/16").trainable, 7_220_736);
    // LoRA: 2 · 768 · r for each of query and value in each of 12 blocks.
    assert_eq!(count("lora, rank: 4", "none", "ViT-B/16").trainable, 12 * 2 * 2 * 768 * 4);
    // Task-Adapter: four adapters of 295,872 in each of the last two blocks, and position codes.
    assert_eq!(count("task_adapter", "none", "ViT-B/16").trainable, 2 * 4 * 295_872 + 8 * 768);
    assert_eq!(count("none", "none", "ViT-B/16").trainable, 0);
}

fn pixels(clips: usize) -> Tensor<5> {
    let mut rng = Stream::new(2, "pixels").at(0);
    let values: Vec<f32> = (0..clips * 8 * 3 * 64 * 64).map(|_| rng.normal() as f32).collect();
    Tensor::from_data(TensorData::new(values, [clips, 8, 3, 64, 64]), &Device::flex())
}

fn features(model: &FewShotModel, branch: &Branch) -> Vec<f32> {
    model.backbone.encode_clips(pixels(2), &*model.adapter, branch).into_data().try_to_vec().unwrap()
}

#[test]
fn training_starts_at_the_frozen_model() {
    let plain = model("none", "none", None);
    let want: Vec<f32> =
        plain.backbone.encode_clips(pixels(2), &*no_adapter(), &Branch::Query).into_data().try_to_vec().unwrap();
    for adapter in <dyn Adapter>::entries().iter().map(|entry| entry.info.name) {
        let model = model(adapter, "none", None);
        let error = |branch: &Branch| {
            let got = features(&model, branch);
            got.iter().zip(&want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max)
        };
        let text = Tensor::<2>::zeros([1, plain.backbone.geometry().embed_dim], &Device::flex());
        let episode = Branch::Episode { text: &text };
        let error = error(if adapter == "task_adapter" { &episode } else { &Branch::Query });
        // MA-CLIP's frames attend to one more token from the start.
        assert_eq!(error < 1e-4, adapter != "multimodal", "{adapter}: {error}");
    }
}

#[test]
fn what_is_left_out_of_a_block_is_the_frozen_block() {
    // Without text and adapters that see other frames, the query branch is the plain tower.
    let joint = model("multimodal, use_text: false, parts: {only: [joint]}", "none", None);
    let plain = features(&model("none", "none", None), &Branch::Query);
    let difference = |got: Vec<f32>| got.iter().zip(&plain).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max);
    assert!(difference(features(&joint, &Branch::Query)) < 1e-4);
    let temporal = model("multimodal, use_text: false, parts: {only: [temporal]}", "none", None);
    assert!(difference(features(&temporal, &Branch::Query)) > 1e-4, "its token is attended to");
}

#[test]
fn every_trainable_tensor_takes_part() {
    let partly =
        ["[]", "[temporal]", "[multimodal]", "[joint]"].map(|parts| format!("multimodal, parts: {{only: {parts}}}"));
    let whole = <dyn Adapter>::entries().into_iter().map(|entry| entry.info.name);
    for adapter in whole.chain(partly.iter().map(String::as_str)) {
        let model = model(adapter, "none", None);
        // At the start zeros hide what lies before them.
        let mut rng = Stream::new(3, "noise").at(0);
        let mut tensors = parameters::export(&model, true);
        tensors.values_mut().flat_map(|t| &mut t.values).for_each(|value| *value += 0.1 * rng.normal() as f32);
        let count = tensors.len();
        let model = parameters::import(model, tensors, true).unwrap();
        if count == 0 {
            continue;
        }
        let text = Tensor::<2>::ones(
            [if adapter == "task_adapter" { 1 } else { 2 }, model.backbone.geometry().embed_dim],
            &Device::flex(),
        );
        let branch = match adapter {
            "task_adapter" => Branch::Episode { text: &text },
            _ => Branch::Support { text: &text },
        };
        let features = model.backbone.encode_clips(pixels(2), &*model.adapter, &branch);
        let grads = (features.clone() * features).sum().backward();
        let grads = burn::optim::GradientsParams::from_grads(grads, &model);
        assert_eq!(grads.len(), count, "{adapter}");
        assert!(Module::num_params(&model) > 0);
    }
}

//! What adapters must hold: the start of training, and the parameter counts that papers give.

use super::no_adapter;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use maclip_framework::model::FewShotModel;
use maclip_framework::parameters;
use maclip_framework::random::Stream;
use maclip_framework::recipe::read_str;
use maclip_framework::records::Params;
use maclip_framework::registry::SlotTrait;
use maclip_framework::run::{BuildContext, Purpose, Recipe};
use maclip_framework::slots::adapter::{Adapter, Branch};

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

#[test]
fn parameter_counts_are_those_of_the_papers() {
    // MA-CLIP, table 4: 18.54 M of 169.81 M; fine-tuned visual-only 90.99 M.
    let ours = count("multimodal", "text_guided", "ViT-B/32");
    assert_eq!((ours.trainable, ours.total), (18_529_536, 169_806_849));
    assert_eq!(count("multimodal", "text_guided", "ViT-B/16").trainable, 18_529_536);
    assert_eq!(count("full", "text_guided", "ViT-B/32").trainable, 87_849_216 + 3_150_336);
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
fn every_trainable_tensor_takes_part() {
    for adapter in <dyn Adapter>::entries().iter().map(|entry| entry.info.name) {
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

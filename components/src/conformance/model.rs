//! Few-shot models on the embedded benchmark, to try components in.

use super::ok;
use burn::tensor::{Device, Tensor};
use maclip_framework::model::few_shot::FewShotModel;
use maclip_framework::model::parameters;
use maclip_framework::random::Stream;
use maclip_framework::recipe::{Purpose, Recipe};
use maclip_framework::registry::BuildContext;
use maclip_language::{Diagnostics, read_str};
use std::collections::BTreeMap;

/// Frames T of a clip in the models of this module.
pub const FRAMES: usize = 8;

/// A small recipe with some keys changed, such as `("adapter", "{type: aim}")`.
///
/// # Panics
/// With what is wrong with the recipe.
pub fn recipe(changes: &[(&str, &str)]) -> Recipe {
    ok(checked(changes, Purpose::Run), "the recipe")
}

fn checked(changes: &[(&str, &str)], purpose: Purpose) -> Result<Recipe, Diagnostics> {
    let mut keys = BTreeMap::from([
        ("dataset", "{type: shapes_in_motion, clips_per_class: 4}"),
        ("frames", "{type: uniform_segments, count: 8}"),
        ("backbone", "{type: clip_vit, weights: 'builtin:shapes_clip'}"),
        ("adapter", "{type: none}"),
        ("prototype", "{type: none}"),
        ("alignment", "{type: otam}"),
        ("objective", "{type: ma_clip, alpha: 0.3, text_scale: 10}"),
        ("task", "{type: few_shot, way: 3, shot: 2, queries: 1, episodes_per_step: 2}"),
    ]);
    keys.extend(changes.iter().copied());
    let lines: Vec<String> = keys.iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
    let text = format!("name: test\nseed: 1\n{}", lines.concat());
    Recipe::check_for(&read_str("recipe.yaml", &text)?, purpose)
}

/// The prototype module that the component `name` of `slot` needs beside it, as it reads what that adds; small, for the
/// embedded CLIP.
pub fn prototype_beside(slot: &str, name: &str) -> Option<&'static str> {
    let reads = matches!(slot, "alignment" | "objective");
    match name {
        _ if !reads => None,
        "clip_spm" | "motion_consistency" => Some("{type: clip_spm, head_width: 8, hidden: 32}"),
        "emp_net" => Some("{type: emp_net, after: [2, 4, 6]}"),
        "molo" => Some("{type: molo, hidden: 32}"),
        "strm" => Some("{type: strm, patches: 2}"),
        "ts_dcm" | "ts_fsar" => Some("{type: ts_fsar, blocks: 6, width: 8, heads: 2, temporal: [3], adapter_heads: 4}"),
        _ => None,
    }
}

/// The model of [`recipe`], with the weights of the embedded CLIP.
///
/// # Panics
/// With what is wrong with the recipe, or stands in the way of building it.
pub fn built(changes: &[(&str, &str)]) -> FewShotModel {
    let context = BuildContext::new(1, Device::flex());
    ok(FewShotModel::build(&recipe(changes), &context, FRAMES), "the model")
}

/// The same around a CLIP of a published size, such as `ViT-B/16`, for its sizes alone.
///
/// # Panics
/// As [`built`].
pub fn sized(changes: &[(&str, &str)], architecture: &str) -> FewShotModel {
    sized_with(changes, &format!("{{type: clip_vit, weights: absent, architecture: {architecture}}}"))
}

/// The same around any backbone.
///
/// # Panics
/// As [`built`].
pub fn sized_with(changes: &[(&str, &str)], backbone: &str) -> FewShotModel {
    let changes: Vec<(&str, &str)> = changes.iter().copied().chain([("backbone", backbone)]).collect();
    let recipe = ok(checked(&changes, Purpose::Plan), "the recipe");
    let mut context = BuildContext::new(1, Device::flex());
    context.sizes_only = true;
    ok(FewShotModel::build(&recipe, &context, FRAMES), "the model")
}

/// The model with noise of this standard deviation on everything that is trained. Many parts start as the identity, and
/// zeros hide what lies before them.
pub fn with_noise(model: FewShotModel, deviation: f32) -> FewShotModel {
    let mut rng = Stream::new(3, "noise").at(0);
    let mut tensors = parameters::export(&model, true);
    tensors.values_mut().flat_map(|t| &mut t.values).for_each(|value| *value += deviation * rng.normal() as f32);
    ok(parameters::import(model, tensors, true), "the model's own tensors")
}

/// Random pixels of so many clips for the embedded CLIP, `[B, T, 3, H, W]`.
pub fn pixels(seed: u64, model: &FewShotModel, clips: usize) -> Tensor<5> {
    let side = model.backbone.geometry().image_size;
    super::tensors::random(seed, [clips, FRAMES, 3, side, side])
}

//! Cases that the peers' own public code computed: heads, towers, objectives, and how clips and texts are prepared.

use crate::clip::ids;
use crate::method::gradients_of;
use crate::set::{Check, list};
use burn::optim::GradientsParams;
use burn::tensor::{Gradients, Int, Tensor, TensorData};
use maclip_components::alignments::otam;
use maclip_components::augments::color_jitter::{Change, Color};
use maclip_components::backbones::clip::tokenizer::{LongTexts, Tokenizer};
use maclip_components::backbones::clip_vit::ClipVitConfig;
use maclip_framework::engine::evaluation::select_rows;
use maclip_framework::images::{Image, to_tensor_values};
use maclip_framework::model::few_shot::{ClassTexts, FewShotModel};
use maclip_framework::model::parameters;
use maclip_framework::random::Stream;
use maclip_framework::recipe::Recipe;
use maclip_framework::registry::{BuildContext, SlotTrait};
use maclip_framework::slots::augment::Augment;
use maclip_framework::slots::backbone::Backbone;
use maclip_framework::slots::dataset::{Frames, Timeline};
use maclip_framework::slots::frames::FrameSampler;
use maclip_framework::slots::module::Slot;
use maclip_framework::slots::objective::{AllClasses, Labels, Objective, Scores};
use maclip_framework::slots::prompt::Prompt;
use maclip_framework::slots::resize::Resize;
use maclip_framework::weights::HostTensor;
use maclip_language::read_str;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A recipe with these entries; what they leave out is the smallest that there is.
pub fn recipe(entries: &Value) -> Recipe {
    let mut recipe = json!({
        "name": "golden", "dataset": {"type": "shapes_in_motion"},
        "backbone": {"type": "clip_vit", "weights": "builtin:shapes_clip"},
        "adapter": {"type": "none"}, "prototype": {"type": "none"}, "alignment": {"type": "mean_cosine"},
        "objective": {"type": "metric"},
    });
    for (key, value) in entries.as_object().into_iter().flatten() {
        recipe[key] = value.clone();
    }
    // JSON is YAML.
    Recipe::check(&read_str("golden.yaml", &recipe.to_string()).unwrap()).unwrap_or_else(|error| panic!("{error}"))
}

/// The component of slot `T` that the case's entry `key` chooses.
fn component<T: SlotTrait + ?Sized>(check: &Check, key: &str, slot: &str) -> Box<T> {
    let recipe = recipe(&json!({slot: check.case[key]}));
    recipe.build::<T>(&BuildContext::new(0, check.set.device.clone())).unwrap_or_else(|error| panic!("{error}"))
}

/// The model with the case's weights; what these do not name keeps its start.
fn with_weights(check: &Check, model: FewShotModel) -> FewShotModel {
    let mut named = check.case["weights"].as_object().cloned().unwrap_or_default();
    let tensors = parameters::export(&model, true).into_iter().map(|(path, tensor)| {
        let Some(name) = named.remove(&path) else { return (path, tensor) };
        let stored = check.set.tensors(check.case["file"].as_str().unwrap())[name.as_str().unwrap()].clone();
        assert_eq!(stored.values.len(), tensor.values.len(), "{path}");
        (path, HostTensor { shape: tensor.shape, values: stored.f32() })
    });
    let tensors = tensors.collect();
    assert!(named.is_empty(), "the model has no {named:?}");
    parameters::import(model, tensors, true).unwrap_or_else(|error| panic!("{error}"))
}

pub fn labels(check: &Check, values: &[usize]) -> Tensor<2, Int> {
    let values: Vec<i32> = values.iter().map(|&value| value as i32).collect();
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [1, count]), &check.set.device)
}

/// An input that gets a gradient.
fn leaf<const D: usize>(check: &Check, name: &str) -> Tensor<D> {
    check.input(name).tensor(&check.set.device.clone().autodiff()).require_grad()
}

/// Compares the gradients that the case expects: of the inputs `leaves`, and of the model's trained tensors. A tensor
/// that cannot change the result has none, and there zeros are expected.
fn gradients<const D: usize>(
    check: &mut Check,
    model: &FewShotModel,
    mut grads: Gradients,
    leaves: &[(&str, &Tensor<D>)],
) {
    for (name, leaf) in leaves {
        let name = format!("grad.{name}");
        if check.expected().contains(&name) {
            let gradient = leaf.grad(&grads).expect("an input has a gradient");
            check.value(&name, &list(&gradient));
        }
    }
    let of_model = gradients_of(model, &GradientsParams::from_module(&mut grads, model));
    for name in check.expected() {
        let Some(path) = name.strip_prefix("grad.").filter(|path| !leaves.iter().any(|(leaf, _)| leaf == path)) else {
            continue;
        };
        match of_model.get(path) {
            Some(values) => check.value(&name, values),
            None => {
                let size = parameters::export(model, true).get(path).map(|tensor| tensor.values.len());
                match size {
                    Some(size) => check.value(&name, &vec![0.0; size]),
                    None => check.fail(format!("{name}: the model does not train it")),
                }
            }
        }
    }
}

/// Prototype module, alignment and objective on features. Support clips are ordered by class.
pub fn head(check: &mut Check) {
    let device = check.set.device.clone();
    let number = |key: &str| check.case[key].as_u64().unwrap() as usize;
    let (way, shot, frames, width) = (number("way"), number("shot"), number("frames"), number("width"));
    let recipe = recipe(&check.case["recipe"]);
    let plain = BuildContext::new(0, device.clone());
    let backbone: Box<dyn Backbone> = recipe.build(&plain).unwrap();
    let mut geometry = backbone.geometry().clone();
    geometry.embed_dim = width;
    let context = plain.with_sizes(geometry, frames);
    let model = FewShotModel {
        backbone: Slot::new(backbone),
        adapter: Slot::new(recipe.build(&context).unwrap()),
        prototype: Slot::new(recipe.build(&context).unwrap_or_else(|error| panic!("{error}"))),
        alignment: Slot::new(recipe.build(&context).unwrap_or_else(|error| panic!("{error}"))),
        objective: Slot::new(recipe.build(&context).unwrap_or_else(|error| panic!("{error}"))),
    };
    let model = with_weights(check, model);
    let has = |name: &str| check.case["inputs"].get(name).is_some();
    let (support, query): (Tensor<3>, Tensor<3>) = (leaf(check, "support"), leaf(check, "query"));
    let text =
        if has("text") { check.input("text").tensor(&device) } else { Tensor::<2>::zeros([way, width], &device) };
    let sorted: Vec<usize> = (0..way * shot).map(|clip| clip / shot).collect();
    let texts = select_rows(&text, &sorted);
    let encoded = (model.support_prototypes(support.clone(), texts), model.query_prototypes(query.clone()));
    let related = {
        let [q, t, e] = encoded.1.prototypes.dims();
        let support = encoded.0.prototypes.clone().reshape([1, way, shot, t, e]);
        model.related(encoded.1.prototypes.clone().reshape([1, q, t, e]), support, text.clone().unsqueeze()).0
    };
    let prototypes = Tensor::cat(vec![encoded.1.prototypes.clone(), encoded.0.prototypes.clone()], 0);
    let mut scores = model.scores(encoded.0, encoded.1, ClassTexts::of(text), shot);
    if has("all_texts") {
        scores.all_classes = Some(AllClasses {
            frames: Tensor::cat(vec![query.clone(), support.clone()], 0).unsqueeze(),
            given: Tensor::cat(vec![query.clone(), support.clone()], 0).unsqueeze(),
            compared: prototypes.clone().unsqueeze(),
            prototypes: prototypes.unsqueeze(),
            texts: check.input("all_texts").tensor::<2>(&device).unsqueeze(),
            labels: labels(check, &check.input("all_labels").labels()),
        });
    }
    let mut got = BTreeMap::from([
        ("distances".to_owned(), list(&scores.distances)),
        ("query".to_owned(), list(&related)),
        ("probabilities".to_owned(), list(&model.objective.probabilities(&scores))),
    ]);
    let total = if has("query_labels") {
        let query = labels(check, &check.input("query_labels").labels());
        let loss = model.objective.loss(&scores, &Labels { query, support: labels(check, &sorted) });
        got.insert("loss".to_owned(), list(&loss.total));
        got.extend(loss.parts.iter().map(|(name, part)| (format!("loss.{name}"), list(part))));
        loss.total
    } else {
        let cotangent: Tensor<2> = check.input("cotangent").tensor(&device);
        (scores.distances.clone() * cotangent.unsqueeze()).sum()
    };
    values(check, &got);
    if check.expected().iter().any(|name| name.starts_with("grad.")) {
        gradients(check, &model, total.backward(), &[("support", &support), ("query", &query)]);
    }
}

/// Compares all expected values that are no gradients.
fn values(check: &mut Check, got: &BTreeMap<String, Vec<f64>>) {
    for name in check.expected().into_iter().filter(|name| !name.starts_with("grad.")) {
        match got.get(&name) {
            Some(values) => check.value(&name, values),
            None => check.fail(format!("{name} is not computed")),
        }
    }
}

/// OTAM of cost matrices `[N, A, B]`.
pub fn otam_matrix(check: &mut Check) {
    let costs: Tensor<3> = leaf(check, "costs");
    let lambda = check.case["lambda_"].as_f64().unwrap();
    let one_way = otam::otam(costs.clone(), lambda, otam::Direction::QueryToSupport);
    let both = otam::otam(costs.clone(), lambda, otam::Direction::Both);
    check.value("one_way", &list(&one_way));
    check.value("both", &list(&both));
    let cotangent: Tensor<1> = check.input("cotangent").tensor(&check.set.device);
    let grads = (both.reshape([-1]) * cotangent).sum().backward();
    check.value("grad.costs", &list(&costs.grad(&grads).unwrap()));
}

/// The backbone of a case: a checkpoint with OpenAI's names and heads that its shapes do not say.
fn backbone(check: &Check) -> Value {
    let mut backbone = match &check.case["backbone"] {
        Value::Object(options) => Value::Object(options.clone()),
        _ => json!({}),
    };
    backbone["weights"] = json!(check.set.folder.join(check.case["clip"].as_str().unwrap()));
    let heads = &check.case["heads"];
    let kind = backbone.get("type").and_then(Value::as_str).unwrap_or("clip_vit").to_owned();
    backbone["type"] = json!(kind);
    backbone["vision_heads"] = heads[0].clone();
    backbone["text_heads"] = heads[1].clone();
    backbone
}

/// Pixels through an image tower with its adapter.
pub fn tower(check: &mut Check) {
    let device = check.set.device.clone();
    let mut adapter = check.case["adapter"].clone();
    // The recipe of a case does not say where the adapter stands; what was run does.
    let ran = check.case["source"]["what"].as_str().unwrap_or_default();
    if adapter["type"] == "st_adapter" && adapter.get("place").is_none() {
        adapter["place"] = json!(if ran.contains("pre_attn") { "attention" } else { "mlp" });
    }
    let recipe = recipe(&json!({"backbone": backbone(check), "adapter": adapter}));
    let frames = check.case["frames"].as_u64().map_or_else(|| check.input("support").shape[1], |t| t as usize);
    let model = FewShotModel::build(&recipe, &BuildContext::new(0, device.clone()), frames);
    let model = with_weights(check, model.unwrap_or_else(|error| panic!("{error}")));
    let [support, query] = ["support", "query"].map(|name| check.input(name).tensor::<5>(&device));
    let text = Tensor::zeros([support.dims()[0], model.backbone.geometry().embed_dim], &device);
    let (support, query) = model.episode(model.prefix(support), text, model.prefix(query));
    check.value("support", &list(&support));
    check.value("query", &list(&query));
    if check.expected().iter().any(|name| name.starts_with("grad.")) {
        let [of_support, of_query] = ["cot_support", "cot_query"].map(|name| check.input(name).tensor::<3>(&device));
        let total = (support * of_support).sum() + (query * of_query).sum();
        gradients::<3>(check, &model, total.backward(), &[]);
    }
}

/// Token ids through a text tower.
pub fn text_tower(check: &mut Check) {
    let heads = &check.case["heads"];
    let config = ClipVitConfig {
        weights: check.set.folder.join(check.case["clip"].as_str().unwrap()).display().to_string(),
        vision_heads: heads[0].as_u64().map(|heads| heads as usize),
        text_heads: heads[1].as_u64().map(|heads| heads as usize),
        ..ClipVitConfig::default()
    };
    let clip = config.clip(&BuildContext::new(0, check.set.device.clone())).unwrap_or_else(|error| panic!("{error}"));
    let (ids, ends) = ids(check, "ids");
    check.value("text", &list(&clip.text.forward(ids, &ends)));
    check.value("logit_scale", &list(&clip.logit_scale.val().exp()));
}

/// An objective on distances `[Q, W]` and text cosines.
pub fn objective(check: &mut Check) {
    let objective: Box<dyn Objective> = component(check, "objective", "objective");
    let query_text: Tensor<2> = leaf(check, "query_text");
    let of = |name: &str| check.input(name).tensor::<2>(&check.set.device).unsqueeze();
    let scores = Scores {
        query_text: Some(query_text.clone().unsqueeze()),
        support_text: Some(of("support_text")),
        ..Scores::of(of("distances"))
    };
    let of = |name: &str| labels(check, &check.input(name).labels());
    let loss = objective.loss(&scores, &Labels { query: of("query_labels"), support: of("support_labels") });
    let mut got = BTreeMap::from([("loss".to_owned(), list(&loss.total))]);
    got.extend(loss.parts.iter().map(|(name, part)| (format!("loss.{name}"), list(part))));
    values(check, &got);
    let grads = loss.total.backward();
    check.value("grad.query_text", &list(&query_text.grad(&grads).unwrap()));
}

/// Which frames of a clip are taken: in evaluation, and at each place in training over many draws.
pub fn frames(check: &mut Check) {
    let sampler: Box<dyn FrameSampler> = component(check, "frames_option", "frames");
    let clip = |row: &Value| Timeline { frames: row[0].as_u64().unwrap() as usize, fps: row[2].as_f64() };
    let row_of = |row: &Value| format!("{} frames, {} fps", row[0], row[2]);
    for row in check.case["evaluation"].as_array().unwrap() {
        let want: Option<Vec<usize>> = serde_json::from_value(row[1].clone()).unwrap();
        let got = sampler.sample(&clip(row), None).ok();
        check.note(&format!("{}: {got:?} for {want:?}", row_of(row)), f64::from(got != want), 0.5);
    }
    let stream = Stream::new(1, "golden");
    for row in check.case["training"].as_array().unwrap() {
        let want: Vec<BTreeSet<usize>> = serde_json::from_value(row[1].clone()).unwrap();
        let mut got = vec![BTreeSet::new(); want.len()];
        for draw in 0..20_000 {
            let taken =
                sampler.sample(&clip(row), Some(&mut stream.at(draw))).unwrap_or_else(|error| panic!("{error}"));
            got.iter_mut().zip(taken).for_each(|(seen, frame)| {
                seen.insert(frame);
            });
        }
        check.note(&format!("{} in training: {got:?} for {want:?}", row_of(row)), f64::from(got != want), 0.5);
    }
}

/// A picture through resize, crop and normalisation.
pub fn preparation(check: &mut Check) {
    let picture = check.input("image");
    let image = Image {
        height: picture.shape[0],
        width: picture.shape[1],
        pixels: picture.values.iter().map(|value| *value as u8).collect(),
    };
    let bytes = |pixels: &[u8]| pixels.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
    let resized = component::<dyn Resize>(check, "resize", "resize").apply(image).unwrap();
    let mut got = BTreeMap::from([("resized".to_owned(), bytes(&resized.pixels))]);
    let frames = Frames { height: resized.height, width: resized.width, images: vec![resized.pixels] };
    let cropped = component::<dyn Augment>(check, "augment", "augment").apply(frames, None);
    got.insert("cropped".to_owned(), bytes(&cropped.images[0]));
    if check.case["inputs"].get("mean").is_some() {
        let [mean, std] = ["mean", "std"].map(|name| check.input(name).f32().try_into().unwrap());
        let values = to_tensor_values(&cropped.images[0], mean, std);
        got.insert("normalised".to_owned(), values.into_iter().map(f64::from).collect());
    }
    values(check, &got);
}

pub fn tokens(check: &mut Check) {
    const LENGTH: usize = 77;
    for row in check.case["rows"].as_array().unwrap() {
        let (text, want): (String, Vec<i32>) = serde_json::from_value(row.clone()).unwrap();
        let got = Tokenizer::OpenAi.encode(&text, LENGTH, LongTexts::Cut).unwrap_or_else(|error| panic!("{error}"));
        check.note(&format!("{text:?}: {got:?} for {want:?}"), f64::from(got != want), 0.5);
    }
}

/// Each change of colours by itself.
pub fn colors(check: &mut Check) {
    let image = check.input("image");
    for change in check.case["changes"].as_array().unwrap() {
        let (name, amount) = (change[0].as_str().unwrap(), change[1].as_f64().unwrap());
        let amount32 = amount as f32;
        let applied = match name {
            "brightness" => Change::Brightness(amount32),
            "contrast" => Change::Contrast(amount32),
            "saturation" => Change::Saturation(amount32),
            "hue" => Change::Hue(amount32),
            "gray" => Change::Saturation(0.0),
            other => panic!("a change called {other}"),
        };
        let mut colors: Vec<Color> = image.f32().as_chunks::<3>().0.to_vec();
        applied.apply(&mut colors);
        let got: Vec<f64> = colors.into_iter().flatten().map(f64::from).collect();
        check.value(&format!("{name}{amount}"), &got);
    }
}

pub fn prompts(check: &mut Check) {
    let prompt: Box<dyn Prompt> = component(check, "prompt", "prompt");
    let want: Vec<String> = serde_json::from_value(check.case["sentences"].clone()).unwrap();
    let got = prompt.sentences(check.case["class"].as_str().unwrap()).unwrap();
    check.note(&format!("{got:?} for {want:?}"), f64::from(got != want), 0.5);
}

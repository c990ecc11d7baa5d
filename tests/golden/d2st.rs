//! D²ST-Adapter: one path, the adapter of a block, the tower from pixels, and head with losses.

use crate::named::{self, Peer, leaf, number, of_leaf, values, weights};
use crate::peers::{labels, recipe};
use crate::set::{Check, list};
use burn::tensor::Tensor;
use maclip_components::adapters::d2st::{BlockAdapter, Form, Path, Sizes, Window};
use maclip_components::layers::Init;
use maclip_framework::model::few_shot::{ClassTexts, FewShotModel};
use maclip_framework::model::parameters;
use maclip_framework::registry::BuildContext;
use maclip_framework::slots::module::Slot;
use maclip_framework::slots::objective::{AllClasses, Labels};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub fn case(check: &mut Check) {
    if check.case.get("adapter_width").is_some() && check.case.get("blocks").is_some() {
        tower(check);
    } else if check.case.get("adapter_width").is_some() {
        adapter(check);
    } else if check.case.get("kernel").is_some() {
        path(check);
    } else {
        head(check);
    }
}

/// A path's parameter: `norm` names the layer norm before it, `within` the attention.
fn of_path(path: &str, norm: Option<&str>, within: &str) -> Option<Peer> {
    let (owner, kind) = path.rsplit_once('.').unwrap_or(("", path));
    let name = |part: &str| format!("{within}{part}");
    Some(match (owner, kind) {
        ("norm", _) => Peer::norm(norm?, kind),
        ("query", _) => Peer::layer(&name("proj_q"), kind),
        ("key_value", _) => Peer::stacked([&*name("proj_k"), &*name("proj_v")], kind),
        ("output", _) => Peer::layer(&name("proj_out"), kind),
        ("", "offset_kernel") => Peer::turned(name("conv_offset.0.weight")),
        ("", "offset_bias") => Peer::same(name("conv_offset.0.bias")),
        ("offset_norm", _) => Peer::norm(&name("conv_offset.1.norm"), kind),
        ("offset", _) => Peer::layer(&name("conv_offset.3"), kind),
        _ => panic!("{path} is no part of a path"),
    })
}

/// A parameter of a block's adapter, whose names there begin with `within`. `norm` ends the names of the two norms.
fn of_adapter(path: &str, within: &str, norm: &str) -> Option<Peer> {
    let name = |part: &str| format!("{within}{part}");
    for (ours, theirs) in [("spatial", "s"), ("temporal", "t")] {
        if let Some(path) = path.strip_prefix(&format!("{ours}.")) {
            return of_path(path, Some(&name(&format!("{theirs}_ln{norm}"))), &name(&format!("{theirs}_attn.")));
        }
    }
    Some(match path.rsplit_once('.') {
        Some((layer, kind)) => Peer::layer(&name(layer), kind),
        None if path == "position_kernel" => Peer::turned(name("pos_embed.weight")),
        None => Peer::same(name("pos_embed.bias")),
    })
}

fn window(of: &Value) -> Window {
    serde_json::from_value(json!({"kernel": of["kernel"], "stride": of["stride"]})).unwrap()
}

fn sizes(check: &Check, width: usize, channels: usize) -> Sizes {
    let of = |key: &str| check.case[key].as_u64().unwrap_or(4) as usize;
    Sizes { width, channels, heads: of("heads"), groups: of("groups") }
}

/// The peer's tokens `[N + 1, B T, C]` → `[B, T, N + 1, C]`.
fn tokens(x: Tensor<3>, frames: usize) -> Tensor<4> {
    let [n, bt, c] = x.dims();
    x.swap_dims(0, 1).reshape([bt / frames, frames, n, c])
}

/// And back.
fn of_tokens(x: Tensor<4>) -> Tensor<3> {
    let [b, t, n, c] = x.dims();
    x.reshape([b * t, n, c]).swap_dims(0, 1)
}

/// Points, in the order width, height, time.
fn reversed(points: &Tensor<3>) -> Vec<f64> {
    list(&points.clone().flip([2]))
}

fn path(check: &mut Check) {
    let z: Tensor<3> = leaf(check, "z");
    let (frames, c) = (number(check, "frames"), z.dims()[2]);
    let mut init = Init::blank(check.set.device.clone().autodiff());
    let empty = Path::new(sizes(check, c, c), window(check.case), Form::Tokens, &mut init);
    let find = |path: &str| of_path(path, None, "");
    let path = named::import(check, empty, &find, &|_| false);
    let tokens = tokens(z.clone(), frames);
    let n = tokens.dims()[2];
    let points = path.points(path.queries(tokens.clone()));
    let sampled = path.sampled(tokens.clone(), points.clone());
    let y = of_tokens(path.attention(tokens, n));
    let got = [("y", list(&y)), ("pos", reversed(&points)), ("sampled", list(&sampled.swap_dims(1, 2)))];
    values(check, &got.map(|(name, values)| (name.to_owned(), values)).into());
    let grads = (y * check.input("cotangent.y").tensor(&check.set.device)).sum().backward();
    let leaves = [of_leaf("z", &z, &grads)];
    named::gradients(check, &path, grads, &find, &leaves);
}

/// The peer's map `[B T, C, h, w]` → `[B, T, h w, C]`.
fn positions(x: Tensor<4>, frames: usize) -> Tensor<4> {
    let [bt, c, h, w] = x.dims();
    let x: Tensor<3> = x.reshape([bt, c, h * w]);
    x.swap_dims(1, 2).reshape([bt / frames, frames, h * w, c])
}

/// And back, with the height and width behind one another.
fn of_positions(x: Tensor<4>) -> Tensor<3> {
    let [b, t, n, c] = x.dims();
    x.reshape([b * t, n, c]).swap_dims(1, 2)
}

/// The adapter behind a stage of a ResNet.
fn behind_stage(check: &mut Check) {
    let x: Tensor<4> = leaf(check, "x");
    let frames = number(check, "frames");
    let windows = ["spatial", "temporal"].map(|path| window(&check.case["kernels"][path]));
    let mut init = Init::blank(check.set.device.clone().autodiff());
    let sizes = sizes(check, number(check, "width"), number(check, "adapter_width"));
    let empty = BlockAdapter::new(sizes, windows, Form::Map, &mut init);
    let find = |path: &str| of_adapter(path, "", ".norm");
    let adapter = named::import(check, empty, &find, &|_| false);
    let map = positions(x.clone(), frames);
    let n = map.dims()[2];
    let y = of_positions(adapter.forward(map.clone(), n));
    let [spatial, temporal] = adapter.points(map);
    let got = [("y", list(&y)), ("spatial.pos", reversed(&spatial)), ("temporal.pos", reversed(&temporal))];
    values(check, &got.map(|(name, values)| (name.to_owned(), values)).into());
    let cotangent: Tensor<4> = check.input("cotangent.y").tensor(&check.set.device);
    let grads = (y * cotangent.flatten(2, 3)).sum().backward();
    let leaves = [of_leaf("x", &x, &grads)];
    named::gradients(check, &adapter, grads, &find, &leaves);
}

fn adapter(check: &mut Check) {
    if check.case["map"] == true {
        return behind_stage(check);
    }
    let x: Tensor<3> = leaf(check, "x");
    let frames = number(check, "frames");
    let windows = ["spatial", "temporal"].map(|path| window(&check.case["kernels"][path]));
    let mut init = Init::blank(check.set.device.clone().autodiff());
    let empty =
        BlockAdapter::new(sizes(check, x.dims()[2], number(check, "adapter_width")), windows, Form::Tokens, &mut init);
    let find = |path: &str| of_adapter(path, "", "");
    let adapter = named::import(check, empty, &find, &|_| false);
    let tokens = tokens(x.clone(), frames);
    let n = tokens.dims()[2];
    let y = of_tokens(adapter.forward(tokens.clone(), n));
    let [spatial, temporal] = adapter.points(tokens);
    let got = [("y", list(&y)), ("spatial.pos", reversed(&spatial)), ("temporal.pos", reversed(&temporal))];
    values(check, &got.map(|(name, values)| (name.to_owned(), values)).into());
    let grads = (y * check.input("cotangent.y").tensor(&check.set.device)).sum().backward();
    let leaves = [of_leaf("x", &x, &grads)];
    named::gradients(check, &adapter, grads, &find, &leaves);
}

/// Alignment and objective, with a classifier where the case has one.
fn of_head(check: &Check) -> Value {
    let metric = json!({"type": "metric"});
    let weight = check.case["class_weight"].as_f64().unwrap();
    let objective = match weights(check).get("classification_layer.weight") {
        Some(layer) if weight != 0.0 => json!({
            "type": "with_class_loss", "objective": metric, "of": "clips", "weight": weight, "classes": layer.shape[0],
        }),
        _ => metric,
    };
    json!({"alignment": {"type": "bi_mhm", "shots": "mean_features", "cosine": "normalized"}, "objective": objective})
}

/// Logits, losses and gradients from frame features `[S, T, E]` and `[Q, T, E]`.
fn scored(
    check: &mut Check,
    model: &FewShotModel,
    support: Tensor<3>,
    query: Tensor<3>,
    mut got: BTreeMap<String, Vec<f64>>,
) -> Tensor<1> {
    let shot = number(check, "shot");
    let [clips, _, e] = support.dims();
    let texts = ClassTexts::of(Tensor::zeros([clips / shot, e], &check.set.device));
    let mut scores =
        model.scores(model.query_prototypes(support.clone()), model.query_prototypes(query.clone()), texts, shot);
    got.insert("logits".to_owned(), list(&-scores.distances.clone()));
    let of_query = check.input("query_labels").labels();
    let of_support: Vec<usize> = (0..clips).map(|clip| clip / shot).collect();
    if model.objective.all_classes() {
        let classes = check.input("training_classes").labels();
        let all: Vec<usize> = of_query.iter().chain(&of_support).map(|&class| classes[class]).collect();
        let frames = Tensor::cat(vec![query.clone(), support.clone()], 0).unsqueeze::<4>();
        scores.all_classes = Some(AllClasses {
            prototypes: frames.clone(),
            given: frames.clone(),
            compared: frames.clone(),
            frames,
            texts: Tensor::zeros([1, 1, e], &check.set.device),
            labels: labels(check, &all),
        });
        let classifier = parameters::export(&model.objective, true);
        let [weight, bias] = ["classifier.weight", "classifier.bias"].map(|path| classifier[path].clone());
        let weight =
            Tensor::<2>::from_data(burn::tensor::TensorData::new(weight.values, weight.shape), &check.set.device);
        let bias = Tensor::<1>::from_data(bias.values.as_slice(), &check.set.device);
        for (name, frames) in [("support", &support), ("query", &query)] {
            let mean = frames.clone().inner().mean_dim(1).squeeze_dim::<2>(1);
            let logits = mean.matmul(weight.clone()) + bias.clone().unsqueeze();
            got.insert(format!("class_logits.{name}"), list(&logits));
        }
    }
    let of_query = labels(check, &of_query);
    let loss = model.objective.loss(&scores, &Labels { query: of_query, support: labels(check, &of_support) });
    got.insert("loss".to_owned(), list(&loss.total));
    for (name, part) in &loss.parts {
        let name = if *name == "classes" { "class" } else { "metric" };
        got.insert(format!("loss.{name}"), list(part));
    }
    values(check, &got);
    loss.total
}

fn of_classifier(path: &str) -> Option<Peer> {
    path.strip_prefix("objective.classifier.").map(|kind| Peer::layer("classification_layer", kind))
}

/// From frame features.
fn head(check: &mut Check) {
    let device = check.set.device.clone();
    let recipe = recipe(&of_head(check));
    let plain = BuildContext::new(0, device);
    let backbone = recipe.build::<dyn maclip_framework::slots::backbone::Backbone>(&plain).unwrap();
    let mut geometry = backbone.geometry().clone();
    geometry.embed_dim = number(check, "width");
    let context = plain.with_sizes(geometry, number(check, "frames"));
    let model = FewShotModel {
        backbone: Slot::new(backbone),
        adapter: Slot::new(recipe.build(&context).unwrap()),
        prototype: Slot::new(recipe.build(&context).unwrap()),
        alignment: Slot::new(recipe.build(&context).unwrap()),
        objective: Slot::new(recipe.build(&context).unwrap()),
    };
    let model = named::import(check, model, &of_classifier, &|_| false);
    let (support, query): (Tensor<3>, Tensor<3>) = (leaf(check, "support"), leaf(check, "query"));
    let grads = scored(check, &model, support.clone(), query.clone(), BTreeMap::new()).backward();
    let leaves = [of_leaf("support", &support, &grads), of_leaf("query", &query, &grads)];
    named::gradients(check, &model, grads, &of_classifier, &leaves);
}

/// From pixels.
fn tower(check: &mut Check) {
    let [width, blocks, channels] = ["width", "blocks", "adapter_width"].map(|key| number(check, key));
    let mut options = of_head(check);
    options["backbone"] = json!({
        "type": "clip_vit", "weights": "random", "features": "class_token",
        "architecture": {
            "image_size": number(check, "pixels"), "patch_size": number(check, "patch"),
            "vision_width": width, "vision_layers": blocks, "vision_heads": number(check, "clip_heads"),
            "embed_dim": 8, "context_length": 8, "text_width": 8, "text_layers": 1, "text_heads": 1,
        },
    });
    let kernels = &check.case["kernels"];
    let Sizes { heads, groups, .. } = sizes(check, width, channels);
    options["adapter"] = json!({
        "type": "d2st", "ratio": (channels as f64 + 0.5) / width as f64, "spatial": kernels["spatial"],
        "temporal": kernels["temporal"], "heads": heads, "groups": groups,
    });
    let mut context = BuildContext::new(0, check.set.device.clone());
    context.untrained = true;
    let model = FewShotModel::build(&recipe(&options), &context, number(check, "frames"));
    let find = |path: &str| {
        if let Some(path) = path.strip_prefix("adapter.blocks.") {
            let (block, path) = path.split_once('.')?;
            return of_adapter(path, &format!("transformer.resblocks.{block}.Adapter."), "");
        }
        match path.strip_prefix("backbone.visual.") {
            Some("proj") => None,
            Some(path) => named::clip(path, ""),
            None if path == "adapter.temporal_embedding" => Some(Peer::same("temporal_embedding")),
            None => of_classifier(path),
        }
    };
    let model = named::import(check, model.unwrap_or_else(|error| panic!("{error}")), &find, &|_| false);
    let [support, query] = ["support", "query"].map(|name| check.input(name).tensor::<5>(&check.set.device));
    let text = Tensor::zeros([support.dims()[0], width], &check.set.device);
    let (support, query) = model.episode(model.prefix(support), text, model.prefix(query));
    let got = [("features.support", list(&support)), ("features.query", list(&query))];
    let got = got.map(|(name, values)| (name.to_owned(), values)).into();
    let grads = scored(check, &model, support, query, got).backward();
    named::gradients(check, &model, grads, &find, &[]);
}

//! TS-FSAR: distance covariances, blocks of the side network, the matching of frames, and all of it with losses and
//! prediction.

use crate::named::{self, Peer, leaf, number, of_leaf, weights};
use crate::peers::labels;
use crate::set::{Check, list};
use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use maclip_components::layers::Init;
use maclip_components::objectives::ts_fsar::{TsFsar as Head, TsFsarConfig as HeadConfig};
use maclip_components::prototypes::ts_fsar::{
    COVARIANCE, MATCHING, SideBlock, TsFsar, TsFsarConfig, distance_covariance,
};
use maclip_framework::model::parameters;
use maclip_framework::registry::{BuildContext, build_choice, resolve_choice, slot};
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::backbone::{Geometry, TextGeometry};
use maclip_framework::slots::layout::{Layout, Part};
use maclip_framework::slots::objective::{AllClasses, FramesAndSentences, Labels, Objective, Scores};
use maclip_framework::slots::prototype::{EpisodeFeatures, Prototype};
use maclip_framework::weights::HostTensor;
use maclip_language::read_str;
use serde_json::json;
use std::collections::BTreeMap;

pub fn case(check: &mut Check) {
    if check.case.get("mode").is_some() {
        whole(check);
    } else if check.case.get("temporal").is_some() {
        block(check);
    } else if check.case.get("way").is_some() {
        matching(check);
    } else {
        covariance(check);
    }
}

fn covariance(check: &mut Check) {
    let x: Tensor<3> = leaf(check, "x");
    let z = distance_covariance(x.clone().swap_dims(1, 2), check.case["alpha"].as_f64().unwrap());
    named::values(check, &[("z".to_owned(), list(&z))].into());
    let grads = (z * check.input("cotangent.z").tensor(&check.set.device)).sum().backward();
    let leaves = [of_leaf("x", &x, &grads)];
    named::gradients(check, &Init::blank(check.set.device.clone()).layer_norm(1), grads, &|_| None, &leaves);
}

/// A block's parameter, whose names there begin with `prefix`.
fn of_block(path: &str, prefix: &str) -> Option<Peer> {
    let (part, kind) = path.rsplit_once('.')?;
    let of = |part: &str| format!("{prefix}{part}");
    Some(match part {
        "norm_1" => Peer::norm(&of("norm1"), kind),
        "norm_2" => Peer::norm(&of("norm2"), kind),
        "fc1" | "fc2" => Peer::layer(&of(&format!("mlp.{part}")), kind),
        _ => return of_attention(part.strip_prefix("attention.")?, kind, &of("attn.")),
    })
}

fn of_attention(layer: &str, kind: &str, prefix: &str) -> Option<Peer> {
    let [q, k, v, out] = ["q_linear", "k_linear", "v_linear", "proj"].map(|part| format!("{prefix}{part}"));
    Some(if layer == "in_proj" { Peer::stacked([&*q, &*k, &*v], kind) } else { Peer::layer(&out, kind) })
}

/// What stands before the name of a block's first norm.
fn prefix_of_block(check: &Check) -> String {
    let name = weights(check).into_keys().find(|name| name.ends_with("norm1.weight")).unwrap();
    name.strip_suffix("norm1.weight").unwrap().to_owned()
}

fn block(check: &mut Check) {
    let x: Tensor<3> = leaf(check, "x");
    let [clips, n, w] = x.dims();
    let (frames, prefix) = (number(check, "frames"), prefix_of_block(check));
    let hidden = weights(check)[&format!("{prefix}mlp.fc1.bias")].values.len();
    let mut init = Init::blank(check.set.device.clone().autodiff());
    let temporal = check.case["temporal"] == true;
    let empty = SideBlock::new(w, number(check, "side_heads"), hidden, temporal, &mut init);
    let find = |path: &str| of_block(path, &prefix);
    let block = named::import(check, empty, &find, &|_| false);
    let y = block.forward(x.clone().reshape([clips / frames, frames, n, w])).reshape([clips, n, w]);
    named::values(check, &[("y".to_owned(), list(&y))].into());
    let grads = (y * check.input("cotangent.y").tensor(&check.set.device)).sum().backward();
    let leaves = [of_leaf("x", &x, &grads)];
    named::gradients(check, &block, grads, &find, &leaves);
}

/// The side network for frames of these sizes, with the layouts before and after it.
fn network(
    check: &Check,
    options: serde_json::Value,
    [d, e, tokens, blocks, frames]: [usize; 5],
) -> (TsFsar, BuildContext) {
    let geometry = Geometry {
        width: d,
        embed_dim: e,
        tokens,
        blocks,
        text: Some(TextGeometry { width: e, blocks: 1 }),
        ..Geometry::clip_vit_b16()
    };
    let parts: Vec<Part> = (0..=blocks).map(Part::Block).collect();
    let given = geometry.layout(&parts);
    let context = BuildContext::new(0, check.set.device.clone()).with_sizes(geometry, frames).with_given(given.clone());
    let config: TsFsarConfig = serde_json::from_value(options).unwrap();
    let network = config.network(&context).unwrap_or_else(|error| panic!("{error}"));
    let compared: Layout = network.layout(&given);
    (network, context.with_compared(compared))
}

fn alignment(context: &BuildContext) -> Box<dyn Alignment> {
    let node = read_str("golden.yaml", "{type: ts_dcm}").unwrap();
    let choice = resolve_choice(slot("alignment").unwrap(), &node).unwrap_or_else(|error| panic!("{error}"));
    build_choice(&choice, context).unwrap_or_else(|error| panic!("{error}"))
}

fn of_generator(path: &str) -> Option<Peer> {
    path.strip_prefix("generator.").map(|kind| Peer::layer("ts_dcm.generator", kind))
}

/// From tokens of the side network to the scores.
fn matching(check: &mut Check) {
    let side: Tensor<3> = leaf(check, "side");
    let [way, shot, queries, frames] = ["way", "shot", "queries", "frames"].map(|key| number(check, key));
    let [_, n, w] = side.dims();
    let options = json!({"blocks": 1, "width": w, "heads": 1, "temporal": [], "adapter_heads": 1});
    let (empty, context) = network(check, options, [w, 1, n, 1, frames]);
    let network = named::import(check, empty, &of_generator, &|_| false);
    let clips = way * shot + queries;
    let features = Tensor::zeros([clips, frames, 1], &check.set.device);
    let values = network.packed(side.clone().reshape([clips, frames, n, w]), features);
    let f = values.dims()[2];
    let support = values.clone().narrow(0, 0, way * shot).reshape([1, way, shot, frames, f]);
    let query = values.narrow(0, way * shot, queries).reshape([1, queries, frames, f]);
    let text = Tensor::zeros([1, way, 1], &check.set.device);
    let related = network.relate(EpisodeFeatures { query: query.clone(), support, text });
    let score = -alignment(&context).distances(related.query, related.support.squeeze_dim(1));
    let got = [("score", list(&score)), ("z.query", list(&context.compared().part(COVARIANCE, query)))];
    named::values(check, &got.map(|(name, values)| (name.to_owned(), values)).into());
    let score: Tensor<2> = score.squeeze_dim(0);
    let grads = (score * check.input("cotangent.score").tensor(&check.set.device)).sum().backward();
    let leaves = [of_leaf("side", &side, &grads)];
    named::gradients(check, &network, grads, &of_generator, &leaves);
}

fn of_network(path: &str) -> Option<Peer> {
    if let Some(rest) = path.strip_prefix("blocks.") {
        let (index, rest) = rest.split_once('.')?;
        return of_block(rest, &format!("model.side_transformer.{index}."));
    }
    if let Some(index) = path.strip_prefix("gates.") {
        return Some(Peer::same(format!("model.side_gate_params.{index}")));
    }
    if let Some(rest) = path.strip_prefix("down.") {
        let (index, rest) = rest.split_once('.')?;
        let (part, kind) = rest.rsplit_once('.')?;
        return Some(match part {
            "norm" => Peer::norm(&format!("model.side_LN.{index}"), kind),
            _ => Peer::layer(&format!("model.side_downsample.{index}"), kind),
        });
    }
    let (part, kind) = path.rsplit_once('.')?;
    match part {
        "adapter_norm" => Some(Peer::norm("model.Adapter.norm1", kind)),
        _ => match part.strip_prefix("adapter.") {
            Some(layer) => of_attention(layer, kind, "model.Adapter.attn."),
            None => of_generator(path),
        },
    }
}

fn of_head(path: &str) -> Option<Peer> {
    let (part, kind) = path.rsplit_once('.')?;
    Some(match part {
        "up_norm" => Peer::norm("model.up_ln", kind),
        "up" => Peer::layer("model.up_linear", kind),
        _ => Peer::layer("model.Linear", kind),
    })
}

/// Both trained modules, for their gradients.
#[derive(Module, Debug)]
struct Both {
    network: TsFsar,
    head: Head,
}

fn of_both(path: &str) -> Option<Peer> {
    match path.strip_prefix("network.") {
        Some(path) => of_network(path),
        None => of_head(path.strip_prefix("head.")?),
    }
}

/// From the tokens of the tower to losses, or to the prediction.
fn whole(check: &mut Check) {
    let device = check.set.device.clone();
    let [way, shot, queries, frames, patches, d, w, e, blocks] =
        ["way", "shot", "queries", "frames", "patches", "clip_width", "side_width", "joint_width", "blocks"]
            .map(|key| number(check, key));
    let (trains, n) = (check.case["mode"] == "train", patches + 1);
    let options = json!({
        "blocks": blocks, "width": w, "heads": number(check, "side_heads"), "temporal": check.case["temporal_blocks"],
        "ffn_ratio": weights(check)["model.side_transformer.0.mlp.fc1.bias"].values.len() / w,
        "gate_temperature": check.case["gate_temperature"], "alpha": check.case["alpha"],
        "residual": check.case["rho"], "adapter_heads": number(check, "adapter_heads"),
    });
    let (network, context) = network(check, options, [d, e, n, blocks, frames]);
    let (weight, exponent) = (&check.case["loss_weights"], &check.case["exponents"]);
    let config: HeadConfig = serde_json::from_value(json!({
        "vision_weight": weight["vision"], "class_weight": weight["distance_covariance"],
        "side_weight": weight["text_side"], "distillation_weight": weight["kd"],
        "temperature": check.case["kd_temperature"], "clip_scale": check.case["tau_clip"],
        "side_scale": check.case["tau_side"], "vision_exponent": exponent["vision"],
        "clip_exponent": exponent["clip"], "side_exponent": exponent["side"], "dropout": 0.0,
        "classes": weights(check)["model.Linear.weight"].shape[0],
    }))
    .unwrap();
    let head = config.head(&context).unwrap_or_else(|error| panic!("{error}"));
    let frozen = |name: &str| name.starts_with("model.post_layernorm.") || name.starts_with("model.projection.");
    let both = named::import(check, Both { network, head }, &of_both, &frozen);
    let Both { network, head } = &both;
    let clips = way * shot + queries;
    let tokens: Vec<Tensor<3>> =
        (0..=blocks).map(|index| check.input(&format!("h.{index}")).tensor::<3>(&device)).collect();
    let class = tokens[blocks].clone().narrow(1, 0, 1).reshape([clips * frames, d]);
    let class = projected(check, class);
    let rows = tokens.into_iter().map(|tokens| tokens.reshape([clips, frames, n * d]));
    let rows: Vec<Tensor<3>> = [class.clone().reshape([clips, frames, e])].into_iter().chain(rows).collect();
    let given = Tensor::cat(rows, 2);
    let values = network.query(given.clone());
    let layout = context.compared();
    let f = values.dims()[2];
    let support = values.clone().narrow(0, 0, way * shot).reshape([1, way, shot, frames, f]);
    let query = values.clone().narrow(0, way * shot, queries).reshape([1, queries, frames, f]);
    let text = Tensor::zeros([1, way, e], &device);
    let related = network.relate(EpisodeFeatures { query: query.clone(), support, text });
    let matching = layout.part(MATCHING, related.query.clone());
    let distances = alignment(&context).distances(related.query, related.support.squeeze_dim(1));
    let texts: Tensor<3> = check.input("text").tensor::<2>(&device).unsqueeze();
    let of_query = check.input("query_labels").labels();
    let of_support: Vec<usize> = (0..way * shot).map(|clip| clip / shot).collect();
    let all: Tensor<4> = values.clone().unsqueeze();
    let mut scores = Scores {
        frames: Some(FramesAndSentences {
            query: query.clone(),
            sentences: texts.clone().unsqueeze_dim(2),
            texts: texts.clone(),
            shots: shot,
        }),
        ..Scores::of(distances.clone())
    };
    // Of the clips that the case has: all in training, queries in the test.
    let seen = if trains { all.clone() } else { query };
    let mut got = BTreeMap::from([
        ("side", list(&network.side(&given))),
        ("clip_class", list(&class)),
        ("z", list(&layout.part(COVARIANCE, all.clone()))),
        ("matching", list(&matching)),
        ("score", list(&-distances)),
        ("adapted", list(&layout.feature(seen.clone()))),
        ("up", list(&head.mapped(seen))),
    ]);
    if !trains {
        let log = head.log_product(&scores);
        // There, 1e-8 is added to the product.
        let fused = (log.exp() + 1e-8).log();
        got.insert("log_fused", list(&fused));
        let rows = fused.clone().into_data().iter::<f64>().collect::<Vec<_>>();
        let chosen: f64 = of_query.iter().enumerate().map(|(row, class)| rows[row * way + class]).sum();
        got.insert("loss", vec![-chosen / queries as f64]);
        let prediction = head.probabilities(&scores).argmax(2);
        got.insert("prediction", prediction.into_data().iter::<f64>().collect());
        named::values(check, &got.into_iter().map(|(name, values)| (name.to_owned(), values)).collect());
        return;
    }
    let classes = check.input("training_classes").labels();
    let every: Vec<usize> = of_support.iter().chain(&of_query).map(|&class| classes[class]).collect();
    got.insert("logits.distance_covariance", list(&head.by_class(all.clone())));
    scores.all_classes = Some(AllClasses {
        frames: all.clone(),
        prototypes: all.clone(),
        given: all.clone(),
        compared: all,
        texts,
        labels: labels(check, &every),
    });
    let loss = head.loss(&scores, &Labels { query: labels(check, &of_query), support: labels(check, &of_support) });
    let mut got: BTreeMap<String, Vec<f64>> = got.into_iter().map(|(name, values)| (name.to_owned(), values)).collect();
    for (name, part) in &loss.parts {
        let name = match *name {
            "classes" => "distance_covariance",
            "clip_text" => "text_clip",
            "side_text" => "text_side",
            "divergence" => "kl",
            name => name,
        };
        got.insert(format!("loss.{name}"), list(part));
    }
    got.insert("loss".to_owned(), list(&loss.total));
    named::values(check, &got);
    named::gradients(check, &both, loss.total.backward(), &of_both, &[]);
}

/// The class tokens through the frozen last norm and projection: `[B, D]` → `[B, E]`.
fn projected(check: &Check, class: Tensor<2>) -> Tensor<2> {
    let found = weights(check);
    let norm = Init::blank(check.set.device.clone()).layer_norm(class.dims()[1]);
    let tensors = [("gamma", "weight"), ("beta", "bias")].map(|(ours, theirs)| {
        let array = &found[&format!("model.post_layernorm.{theirs}")];
        (ours.to_owned(), HostTensor { shape: array.shape.clone(), values: array.f32() })
    });
    let norm = parameters::import(norm, tensors.into(), false).unwrap();
    let map = &found["model.projection.weight"];
    let map = Tensor::<2>::from_data(TensorData::new(map.f32(), map.shape.clone()), &check.set.device);
    norm.forward(class).matmul(map.swap_dims(0, 1))
}

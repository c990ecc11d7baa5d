//! Task-Adapter++: a block of the text tower with an order adapter, both towers, and the score of sub-actions.

use crate::named::{self, Peer, leaf, number, of_leaf, values, weights};
use crate::peers::{labels, recipe};
use crate::set::{Check, list};
use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use maclip_components::backbones::clip::block::{Activation, BlockSizes};
use maclip_components::backbones::clip::sizes::TextSizes;
use maclip_components::backbones::clip::text_tower::{TextTower, causal_mask};
use maclip_components::backbones::clip::tokenizer::Tokenizer;
use maclip_components::layers::Init;
use maclip_components::objectives::sub_action_product::{aligned, semantic};
use maclip_framework::model::few_shot::{ClassTexts, FewShotModel};
use maclip_framework::model::parameters;
use maclip_framework::registry::BuildContext;
use maclip_framework::slots::adapter::{Adapter, Branch};
use maclip_framework::slots::backbone::{AdaptableText, Backbone, TextGeometry};
use maclip_framework::slots::module::Slot;
use maclip_framework::slots::objective::Labels;
use serde_json::json;
use std::collections::BTreeMap;

pub fn case(check: &mut Check) {
    if check.case["inputs"].get("tokens").is_some() {
        text(check);
    } else if check.case["inputs"].get("clips").is_some() {
        visual(check);
    } else if check.case.get("way").is_some() {
        alignment(check);
    } else {
        order_block(check);
    }
}

/// A text tower with its order adapters.
#[derive(Module, Debug)]
struct Text {
    tower: TextTower,
    adapter: Slot<dyn Adapter>,
}

/// Sizes of a text tower: width, blocks, heads, context, token ids.
fn text_model(check: &Check, [width, layers, heads, context, ids]: [usize; 5], adapted: usize) -> Text {
    let (activation, epsilon) = (Activation::QuickGelu, 1e-5);
    let blocks = BlockSizes { width, heads, layers, hidden: 4 * width, activation, epsilon };
    let sizes = TextSizes { blocks, context_length: context, embed_dim: width };
    let tower = TextTower::new(sizes, Tokenizer::Unknown(ids), &mut Init::blank(check.set.device.clone())).no_grad();
    let hidden = weights(check).iter().find(|(name, _)| name.ends_with("D_fc1.bias")).unwrap().1.values.len();
    let adapter = json!({
        "type": "task_adapter", "at": {"last": 1}, "text_at": {"last": adapted}, "ratio": (hidden as f64 + 0.5) / width as f64,
    });
    let recipe = recipe(&json!({"adapter": adapter}));
    let plain = BuildContext::new(0, check.set.device.clone());
    let mut geometry = recipe.build::<dyn Backbone>(&plain).unwrap().geometry().clone();
    geometry.text = Some(TextGeometry { width, blocks: layers });
    let adapter = recipe.build::<dyn Adapter>(&plain.with_sizes(geometry, 8)).unwrap_or_else(|error| panic!("{error}"));
    Text { tower, adapter: Slot::new(adapter) }
}

fn of_text(path: &str) -> Option<Peer> {
    if let Some(path) = path.strip_prefix("tower.") {
        return named::clip(path, "text.");
    }
    of_bottleneck(path.strip_prefix("adapter.order.")?, &[("", "sub3_adapter")], "text.transformer.resblocks.")
}

/// The layers of adapters `BLOCK.OURS.down.weight`, by our name and theirs.
fn of_bottleneck(path: &str, names: &[(&str, &str)], prefix: &str) -> Option<Peer> {
    let (block, rest) = path.split_once('.')?;
    let (rest, kind) = rest.rsplit_once('.')?;
    let (ours, layer) = rest.rsplit_once('.').unwrap_or(("", rest));
    let (_, theirs) = names.iter().find(|(name, _)| *name == ours)?;
    let layer = if layer == "down" { "D_fc1" } else { "D_fc2" };
    Some(Peer::layer(&format!("{prefix}{block}.{theirs}.{layer}"), kind))
}

/// One block, with the gradients of everything.
fn order_block(check: &mut Check) {
    // [context, 3, width] → one class of three sentences.
    let x: Tensor<3> = leaf(check, "x");
    let [context, _, width] = x.dims();
    let text = text_model(check, [width, 1, number(check, "heads"), context, 1], 1);
    let known = |path: &str| of_text(path).filter(|_| path.contains("resblocks") || path.starts_with("adapter.order"));
    let text = parameters::trainable(named::import(check, text, &known, &|_| false));
    let mask = causal_mask(&Tensor::zeros([1, context], &check.set.device));
    let y = text.adapter.forward_text(0, &text.tower.blocks()[0], x.clone().swap_dims(0, 1).unsqueeze(), &mask);
    let y: Tensor<3> = y.squeeze_dim::<3>(0).swap_dims(0, 1);
    values(check, &[("y".to_owned(), list(&y))].into());
    let grads = (y * check.input("cotangent.y").tensor(&check.set.device)).sum().backward();
    let leaves = [of_leaf("x", &x, &grads)];
    named::gradients(check, &text, grads, &known, &leaves);
}

/// Token ids through the text tower.
fn text(check: &mut Check) {
    let tokens = check.input("tokens");
    let [classes, sentences, context] = tokens.shape[..] else { panic!("tokens of classes and sentences") };
    let width = weights(check)["text.ln_final.weight"].values.len();
    let ids = weights(check)["text.token_embedding.weight"].shape[0];
    let layers = number(check, "blocks");
    let sizes = [width, layers, number(check, "heads"), context, ids];
    let text = text_model(check, sizes, number(check, "adapter_blocks"));
    let text = named::import(check, text, &of_text, &|_| false);
    let ends = tokens.values.chunks(context).map(|row| {
        let largest = row.iter().copied().fold(f64::MIN, f64::max);
        row.iter().position(|id| *id == largest).unwrap()
    });
    let ends: Vec<usize> = ends.collect();
    let values_of: Vec<i32> = tokens.values.iter().map(|id| *id as i32).collect();
    let ids =
        Tensor::<2, Int>::from_data(TensorData::new(values_of, [classes * sentences, context]), &check.set.device);
    let mask = causal_mask(&ids);
    let prefix = text.tower.prefix_of(ids, ends, classes, &*text.adapter);
    let first = layers - number(check, "adapter_blocks");
    let after = text.adapter.forward_text(first, &text.tower.blocks()[first], prefix.tokens.clone(), &mask);
    let of_first = |x: Tensor<4>| list(&x.narrow(0, 0, 1).squeeze_dim::<3>(0).swap_dims(0, 1));
    let features = text.tower.encode_prefix(&prefix, &*text.adapter).swap_dims(0, 1);
    let got = [
        ("text", list(&features)),
        ("first_class.before_adapter_block", of_first(prefix.tokens.clone())),
        ("first_class.after_adapter_block", of_first(after)),
    ];
    values(check, &got.map(|(name, values)| (name.to_owned(), values)).into());
    let grads = (features * check.input("cotangent.text").tensor(&check.set.device)).sum().backward();
    named::gradients(check, &text, grads, &of_text, &[]);
}

/// Clips through the image tower, all of which see each other.
fn visual(check: &mut Check) {
    let found = weights(check);
    let size = |name: &str, axis: usize| found[&format!("feature.{name}")].shape[axis];
    let (width, hidden) =
        (size("class_embedding", 0), found.iter().find(|(name, _)| name.ends_with("t_adapter.D_fc1.bias")));
    let ratio = (hidden.unwrap().1.values.len() as f64 + 0.5) / width as f64;
    let backbone = json!({
        "type": "clip_vit", "weights": "random",
        "architecture": {
            "image_size": number(check, "pixels"), "patch_size": number(check, "patch"), "vision_width": width,
            "vision_layers": number(check, "blocks"), "vision_heads": number(check, "heads"),
            "embed_dim": size("proj", 1), "context_length": 8, "text_width": 8, "text_layers": 1, "text_heads": 1,
        },
    });
    let adapter = json!({"type": "task_adapter", "at": {"last": number(check, "adapter_blocks")}, "ratio": ratio});
    let mut context = BuildContext::new(0, check.set.device.clone());
    context.untrained = true;
    // [clips, 3, T, H, W] → frames first.
    let clips: Tensor<5> = check.input("clips").tensor::<5>(&check.set.device).swap_dims(1, 2);
    let recipe = recipe(&json!({"backbone": backbone, "adapter": adapter}));
    let model = FewShotModel::build(&recipe, &context, clips.dims()[1]).unwrap_or_else(|error| panic!("{error}"));
    let find = |path: &str| {
        if let Some(path) = path.strip_prefix("backbone.visual.") {
            return named::clip(path, "feature.");
        }
        if path == "adapter.temporal_embedding" {
            return Some(Peer::same("feature.temporal_embedding"));
        }
        let names =
            [("temporal", "t_adapter"), ("spatial", "s_adapter"), ("task", "task_adapter"), ("joint", "MLP_adapter")];
        of_bottleneck(path.strip_prefix("adapter.blocks.")?, &names, "feature.transformer.resblocks.")
    };
    let model = named::import(check, model, &find, &|_| false);
    let features = model.encode(model.prefix(clips), &Branch::Query);
    values(check, &[("features".to_owned(), list(&features))].into());
    let grads = (features * check.input("cotangent.features").tensor(&check.set.device)).sum().backward();
    named::gradients(check, &model, grads, &find, &[]);
}

/// The scores of features, with the product as published and with the transposed one.
fn alignment(check: &mut Check) {
    let device = check.set.device.clone();
    let (way, shot) = (number(check, "way"), number(check, "shot"));
    let of_query = check.input("query_labels").labels();
    for published in [true, false] {
        let (support, query, text): (Tensor<4>, Tensor<3>, Tensor<3>) =
            (leaf(check, "support"), leaf(check, "query"), leaf(check, "text"));
        let [_, _, frames, width] = support.dims();
        let recipe = recipe(&json!({
            "alignment": {"type": "mean_cosine", "shots": "mean_features", "cosine": "normalized"},
            "objective": {
                "type": "sub_action_product", "scale": 64, "sub_actions": text.dims()[0],
                "layer_norm": check.case["layer_norm"], "as_published": published,
            },
            "task": {"type": "few_shot", "queries": 1, "test": {"queries": 1}},
        }));
        let plain = BuildContext::new(0, device.clone());
        let backbone = recipe.build::<dyn Backbone>(&plain).unwrap();
        let mut geometry = backbone.geometry().clone();
        geometry.embed_dim = width;
        let context = plain.with_sizes(geometry, frames);
        let model = FewShotModel {
            backbone: Slot::new(backbone),
            adapter: Slot::new(recipe.build(&context).unwrap()),
            prototype: Slot::new(recipe.build(&context).unwrap()),
            alignment: Slot::new(recipe.build(&context).unwrap()),
            objective: Slot::new(recipe.build(&context).unwrap()),
        };
        let find = |path: &str| Some(Peer::norm("ca.ln_1", path.strip_prefix("objective.norm.")?));
        let model = named::import(check, model, &find, &|_| false);
        let sentences = text.clone().swap_dims(0, 1);
        let texts = ClassTexts {
            sentences: Some(sentences.clone()),
            ..ClassTexts::of(sentences.clone().mean_dim(1).squeeze_dim(1))
        };
        let encoded = (
            model.query_prototypes(support.clone().reshape([way * shot, frames, width])),
            model.query_prototypes(query.clone()),
        );
        let scores = model.scores(encoded.0, encoded.1, texts, shot);
        let of_support: Vec<usize> = (0..way * shot).map(|clip| clip / shot).collect();
        let given = Labels { query: labels(check, &of_query), support: labels(check, &of_support) };
        let loss = model.objective.loss(&scores, &given).total;
        let grads = loss.clone().backward();
        let leaves =
            [of_leaf("support", &support, &grads), of_leaf("query", &query, &grads), of_leaf("text", &text, &grads)];
        if !published {
            check.value("fixed.loss", &list(&loss));
            for (name, gradient) in leaves {
                check.value(&format!("fixed.grad.{name}"), &gradient);
            }
            continue;
        }
        let norm = parameters::export(&model.objective, true);
        let norm = (!norm.is_empty()).then(|| {
            let empty = Init::blank(device.clone()).layer_norm(width);
            let tensors = norm.into_iter().map(|(path, tensor)| (path.replace("norm.", ""), tensor)).collect();
            parameters::import(empty, tensors, false).unwrap()
        });
        let aligned = aligned(query.clone().unsqueeze(), norm.as_ref());
        let semantic = semantic(aligned.clone(), sentences.unsqueeze());
        let visual = -scores.distances.clone();
        let prediction = model.objective.probabilities(&scores).argmax(2);
        let mut got = BTreeMap::from([
            ("aligned", list(&aligned)),
            // There, the axes are class and query.
            ("semantic", list(&semantic.clone().swap_dims(1, 2))),
            ("product", list(&(visual.clone() * semantic.clone().swap_dims(1, 2)))),
            ("fixed.product", list(&(visual.clone() * semantic))),
            ("visual", list(&visual)),
            ("loss", list(&loss)),
            ("prediction", prediction.into_data().iter::<f64>().collect()),
        ]);
        for name in check.expected().into_iter().filter(|name| !name.contains("grad.") && name != "fixed.loss") {
            match got.remove(name.as_str()) {
                Some(values) => check.value(&name, &values),
                None => check.fail(format!("{name} is not computed")),
            }
        }
        named::gradients(check, &model, grads, &find, &leaves);
    }
}

//! STRM: patch and frame enrichment, the similarity of tuples, and the whole head from maps.

use crate::maps;
use crate::named::{self, Peer, leaf, number, of_leaf, values};
use crate::set::{Check, list};
use burn::tensor::Tensor;
use maclip_components::alignments::strm::Similarity;
use maclip_components::layers::Init;
use maclip_components::prototypes::strm::{FrameEnrichment, PATCHES, PatchEnrichment, pooled};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub fn case(check: &mut Check) {
    let weights = named::weights(check);
    let has = |name: &str| weights.contains_key(name);
    if has("gamma") {
        patches(check);
    } else if has("Tok_MLP.inp_fc.weight") {
        frames(check);
    } else if check.case.get("cardinality").is_some() {
        similarity(check);
    } else {
        head(check);
    }
}

/// A parameter of the patch enrichment, whose names there begin with `within`.
fn of_patches(path: &str, within: &str) -> Option<Peer> {
    let Some((layer, kind)) = path.rsplit_once('.') else { return Some(Peer::same(format!("{within}gamma"))) };
    let name = match layer {
        "query" => "query_proj",
        "key" => "key_proj",
        "value" => "value_conv",
        "first" => "Bot_MLP.inp_fc",
        "middle" => "Bot_MLP.hid_fc",
        "last" => "Bot_MLP.out_fc",
        _ => return None,
    };
    Some(Peer::layer(&format!("{within}{name}"), kind))
}

/// The same of the frame enrichment.
fn of_frames(path: &str, within: &str) -> Option<Peer> {
    let (layer, kind) = path.rsplit_once('.')?;
    let name = match layer {
        "time_in" => "Tok_MLP.inp_fc",
        "time_out" => "Tok_MLP.out_fc",
        "channels_in" => "Bot_MLP.inp_fc",
        "channels_out" => "Bot_MLP.out_fc",
        _ => return None,
    };
    Some(Peer::layer(&format!("{within}{name}"), kind))
}

fn of_model(path: &str) -> Option<Peer> {
    if let Some(path) = path.strip_prefix("prototype.patch_enrichment.") {
        return of_patches(path, "attn_pat.");
    }
    if let Some(path) = path.strip_prefix("prototype.frame_enrichment.") {
        return of_frames(path, "fr_enrich.");
    }
    if let Some(path) = path.strip_prefix("alignment.similarities.") {
        let (head, kind) = path.split_once(".projection.")?;
        return Some(Peer::layer(&format!("new_dist_loss_post_pat.{head}.clsW"), kind));
    }
    let path = path.strip_prefix("alignment.alignment.heads.")?;
    let (head, rest) = path.split_once('.')?;
    let (layer, kind) = rest.split_once('.')?;
    let name = format!("transformers.{head}.{layer}");
    Some(if ["norm_k", "norm_v"].contains(&layer) { Peer::norm(&name, kind) } else { Peer::layer(&name, kind) })
}

fn patches(check: &mut Check) {
    let x: Tensor<3> = leaf(check, "x");
    let empty = PatchEnrichment::new(x.dims()[2], 0.1, 0.0, &mut Init::blank(check.set.device.clone().autodiff()));
    let find = |path: &str| of_patches(path, "");
    let module = named::import(check, empty, &find, &|_| false);
    let y = module.forward(x.clone());
    values(check, &BTreeMap::from([("y".to_owned(), list(&y))]));
    let grads = (y * check.input("cotangent.y").tensor(&check.set.device)).sum().backward();
    let leaves = [of_leaf("x", &x, &grads)];
    named::gradients(check, &module, grads, &find, &leaves);
}

fn frames(check: &mut Check) {
    let x: Tensor<3> = leaf(check, "x");
    let [_, t, d] = x.dims();
    let empty = FrameEnrichment::new(t, d, 0.1, 0.0, &mut Init::blank(check.set.device.clone().autodiff()));
    let find = |path: &str| of_frames(path, "");
    let module = named::import(check, empty, &find, &|_| false);
    let y = module.forward(x.clone());
    values(check, &BTreeMap::from([("y".to_owned(), list(&y))]));
    let grads = (y * check.input("cotangent.y").tensor(&check.set.device)).sum().backward();
    let leaves = [of_leaf("x", &x, &grads)];
    named::gradients(check, &module, grads, &find, &leaves);
}

fn similarity(check: &mut Check) {
    let (support, query): (Tensor<3>, Tensor<3>) = (leaf(check, "support"), leaf(check, "query"));
    let (way, shot) = (number(check, "way"), number(check, "shot"));
    let [_, t, d] = query.dims();
    let mut init = Init::blank(check.set.device.clone().autodiff());
    let empty = Similarity::new(number(check, "cardinality"), d, &mut init);
    let find = |path: &str| Some(Peer::layer("new_dist_loss_post_pat.0.clsW", path.strip_prefix("projection.")?));
    let module = named::import(check, empty, &find, &|_| false);
    let distances = module.distances(query.clone().unsqueeze(), support.clone().reshape([1, way, shot, t, d]));
    let logits = distances.neg().squeeze_dim::<2>(0);
    values(check, &BTreeMap::from([("logits_b".to_owned(), list(&logits))]));
    let grads = (logits * check.input("cotangent.logits_b").tensor(&check.set.device)).sum().backward();
    let leaves = [of_leaf("support", &support, &grads), of_leaf("query", &query, &grads)];
    named::gradients(check, &module, grads, &find, &leaves);
}

fn head(check: &mut Check) {
    let (frames, width, side) = (number(check, "frames"), number(check, "width"), number(check, "map"));
    let (tuples, pool) = (check.case["cardinalities"].clone(), number(check, "pooled"));
    let entries = json!({
        "prototype": {"type": "strm", "patches": pool},
        "alignment": {
            "type": "strm", "cardinalities": tuples,
            "alignment": {"type": "trx", "cardinalities": tuples, "width": number(check, "trx_width")},
        },
        "objective": {"type": "weighted_distances", "weights": {"frames": 1, "patches": 0.1}},
    });
    let model = maps::model(check, &entries, [width, side], frames);
    let never_used = |name: &str| name.contains(".norm_v.");
    let published = as_published(check, &entries, [width, side], frames);
    let model = named::import(check, model, &of_model, &never_used);
    let (support, query): (Tensor<5>, Tensor<5>) = (leaf(check, "support"), leaf(check, "query"));
    let given = maps::values(&model, query.clone(), None);
    let encoded = model.query_prototypes(given);
    let [q, t, ..] = query.dims();
    let tokens = {
        let map: Tensor<4> = query.clone().permute([0, 1, 3, 4, 2]).reshape([q * t, side, side, width]);
        pooled(map, pool).reshape([q, t, pool * pool, width])
    };
    let layout = model.compared();
    let mut got = BTreeMap::from([
        ("query.tokens".to_owned(), list(&tokens)),
        ("query.frames".to_owned(), list(&layout.part(PATCHES, encoded.prototypes.clone()))),
        ("query.frame_enriched".to_owned(), list(&layout.feature(encoded.prototypes.clone()))),
    ]);
    let patches = {
        let empty = PatchEnrichment::new(width, 0.1, 0.0, &mut Init::blank(check.set.device.clone()));
        let others = |_: &str| true;
        let module = named::import(check, empty, &|path| of_patches(path, "attn_pat."), &others);
        module.forward(tokens.inner().reshape([q * t, pool * pool, width]))
    };
    got.insert("query.patch_enriched".to_owned(), list(&patches));
    let supports = model.query_prototypes(maps::values(&model, support.clone(), None));
    let texts = maps::no_texts(check, width);
    let (scores, loss) = maps::scored(check, &model, supports, encoded, texts);
    // The public code adds up the losses of the queries, and counts a task as one of 16.
    let queries = q as f64;
    got.insert("logits_a".to_owned(), list(&scores.named("frames").neg()));
    got.insert("logits_b".to_owned(), list(&scores.named("patches").neg()));
    got.insert("prediction".to_owned(), list(&scores.distances.clone().neg()));
    for (name, part) in &loss.parts {
        let name = if *name == "frames" { "loss_a.sum" } else { "loss_b.sum" };
        got.insert(name.to_owned(), list(&(part.clone() * queries)));
    }
    let total = loss.total * (queries / 16.0);
    got.insert("loss".to_owned(), list(&total));
    values(check, &got);
    check.value("prediction", &published);
    let grads = total.backward();
    let mut leaves = vec![of_leaf("support", &support, &grads), of_leaf("query", &query, &grads)];
    leaves.extend(never(check));
    named::gradients(check, &model, grads, &of_model, &leaves);
}

/// With the fault of the public code, which trains no projection, and with all of its parameters: the logits are the
/// same.
fn as_published(check: &mut Check, entries: &Value, sizes: [usize; 2], frames: usize) -> Vec<f64> {
    let mut entries = entries.clone();
    entries["alignment"]["as_published"] = true.into();
    entries["alignment"]["alignment"]["unused_norm"] = true.into();
    let model = maps::model(check, &entries, sizes, frames);
    let model = named::import(check, model, &of_model, &|_| false);
    let (support, query): (Tensor<5>, Tensor<5>) = (leaf(check, "support"), leaf(check, "query"));
    let encoded = model.query_prototypes(maps::values(&model, query, None));
    let supports = model.query_prototypes(maps::values(&model, support, None));
    let texts = maps::no_texts(check, sizes[0]);
    let (scores, loss) = maps::scored(check, &model, supports, encoded, texts);
    let trained = named::trained(&model, loss.total.backward());
    assert!(trained.iter().any(|name| name.contains("k_linear")));
    assert!(!trained.iter().any(|name| name.contains("similarities")), "{trained:?}");
    list(&scores.distances.neg())
}

/// Gradients of the norm of values, which is never used there and is not here: zeros.
fn never(check: &Check) -> Vec<(&'static str, Vec<f64>)> {
    let named = named::weights(check).into_iter().filter(|(name, _)| name.contains(".norm_v."));
    named.map(|(name, array)| (&*String::leak(name), vec![0.0; array.values.len()])).collect()
}

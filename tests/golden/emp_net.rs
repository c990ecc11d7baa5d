//! EMP-Net: everything behind the tower, from its tokens to the six probabilities.

use crate::named::{self, Peer, number};
use crate::peers::labels;
use crate::set::{Check, list};
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use maclip_components::objectives::emp_net::{published_lookup, text_cosines};
use maclip_framework::engine::evaluation::select_rows;
use maclip_framework::registry::{BuildContext, SlotTrait, build_choice, resolve_choice, slot};
use maclip_framework::slots::Scope;
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::backbone::{Geometry, TextGeometry};
use maclip_framework::slots::layout::{Layout, Part};
use maclip_framework::slots::module::Slot;
use maclip_framework::slots::objective::{AllClasses, FramesAndSentences, Labels, Objective, Scores};
use maclip_framework::slots::prototype::{EpisodeFeatures, Prototype, Related};
use maclip_language::read_str;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The blocks whose tokens the cases have, counted from 0.
const BLOCKS: [usize; 3] = [3, 7, 11];

/// A component with these options, for the sizes of `context`.
fn built<T: SlotTrait + ?Sized>(context: &BuildContext, options: &Value) -> Box<T> {
    let node = read_str("golden.yaml", &options.to_string()).unwrap();
    let choice = resolve_choice(slot(T::NAME).unwrap(), &node).unwrap_or_else(|error| panic!("{error}"));
    build_choice(&choice, context).unwrap_or_else(|error| panic!("{error}"))
}

fn find(path: &str) -> Option<Peer> {
    if let Some(path) = path.strip_prefix("reasoning.") {
        let (index, path) = path.split_once('.')?;
        let layers = format!("spatialtemporal_reasion_{}.layers.0", index.parse::<usize>().ok()? + 1);
        let (part, kind) = path.rsplit_once('.')?;
        return Some(match part {
            "space_norm" => Peer::norm(&format!("{layers}.0.norm"), kind),
            "time_norm" => Peer::norm(&format!("{layers}.1.norm"), kind),
            "space.in_proj" => Peer::layer(&format!("{layers}.0.fn.to_qkv"), kind),
            "time.in_proj" => Peer::layer(&format!("{layers}.1.fn.to_qkv"), kind),
            "space.out_proj" => Peer::layer(&format!("{layers}.0.fn.to_out.0"), kind),
            "time.out_proj" => Peer::layer(&format!("{layers}.1.fn.to_out.0"), kind),
            "fc1" => Peer::layer(&format!("{layers}.2.net.0"), kind),
            _ => Peer::layer(&format!("{layers}.2.net.3"), kind),
        });
    }
    let (level, path) = path.split_once('.')?;
    let level = match level.strip_prefix("fuse_") {
        Some(level) => format!("fusion_{level}"),
        None => format!("inter_reasion_{level}"),
    };
    let (part, kind) = path.rsplit_once('.')?;
    let of = |part: &str| format!("{level}.layers.0.{part}");
    Some(match part {
        "norms.0" => Peer::norm(&of("0.norm"), kind),
        "attention.in_proj" => Peer::stacked([&*of("0.fn.to_q"), &*of("0.fn.to_k"), &*of("0.fn.to_v")], kind),
        "attention.out_proj" => Peer::layer(&of("0.fn.to_out.0"), kind),
        "fc1" => Peer::layer(&of("1.net.0"), kind),
        _ => Peer::layer(&of("1.net.3"), kind),
    })
}

pub fn case(check: &mut Check) {
    let device = check.set.device.clone();
    let [way, shot, frames, patches, width] =
        ["way", "shot", "frames", "patches", "width"].map(|key| number(check, key));
    let after = BLOCKS.map(|block| block + 1);
    let geometry = Geometry {
        width,
        embed_dim: width,
        tokens: patches + 1,
        text: Some(TextGeometry { width, blocks: 1 }),
        ..Geometry::clip_vit_b16()
    };
    let parts = after.map(Part::Joint);
    let given = geometry.layout(&parts);
    let context = BuildContext::new(0, device.clone()).with_sizes(geometry, frames).with_given(given.clone());
    let ratio = |key: &str| (number(check, key) as f64 + 0.5) / width as f64;
    let merged = check.case["merge_before"] == true;
    let prototype: Box<dyn Prototype> = built(
        &context,
        &json!({
            "type": "emp_net", "after": after, "heads": number(check, "heads"), "head_ratio": ratio("head_width"),
            "ffn_ratio": ratio("hidden"), "average_shots": if merged { "before" } else { "after" },
        }),
    );
    let compared: Layout = prototype.layout(&given);
    let context = context.with_compared(compared.clone());
    let alignment: Box<dyn Alignment> = built(&context, &json!({"type": "emp_net"}));
    let objective: Box<dyn Objective> = built(&context, &json!({"type": "emp_net"}));
    let others = |name: &str| !weights_of_training(name);
    let prototype = named::import(check, Slot::new(prototype), &find, &others);
    // Frames as the tower hands them out; the feature is not read.
    let values = |name: &str| {
        let parts = BLOCKS.map(|block| check.input(&format!("{name}.{block}")).tensor::<4>(&device).flatten::<3>(2, 3));
        let [clips, t, _] = parts[0].dims();
        Tensor::cat([vec![Tensor::zeros([clips, t, width], &device)], parts.to_vec()].concat(), 2)
    };
    let (support, query) = (values("support"), values("query"));
    let (clips, queries) = (support.dims()[0], query.dims()[0]);
    // The mean over the templates, of the classes of the episode.
    let texts: Tensor<2> = check.input("texts").tensor::<3>(&device).mean_dim(0).squeeze_dim(0);
    let texts = select_rows(&texts, &check.input("episode_classes").labels());
    let of_support: Vec<usize> = (0..clips).map(|clip| clip / shot).collect();
    let support = prototype.support(support, select_rows(&texts, &of_support));
    let query = prototype.query(query);
    let [_, t, f] = query.dims();
    let all = Tensor::cat(vec![query.clone(), support.clone()], 0);
    let (query, support) = (query.reshape([1, queries, t, f]), support.reshape([1, way, shot, t, f]));
    let related = match prototype.scope() {
        Scope::Episode => {
            prototype.relate(EpisodeFeatures { query: query.clone(), support, text: texts.clone().unsqueeze() })
        }
        _ => Related { query: query.clone(), support: support.unsqueeze_dim(1) },
    };
    let aligned = alignment.aligned(related.query, related.support.squeeze_dim(1));
    let compared_texts: Tensor<3> = match check.case["text_lookup"].as_str() {
        Some(lookup) if lookup.starts_with("published") => {
            let order = check.input("support_order").labels();
            select_rows(&texts, &published_lookup(&order, way, shot)).unsqueeze()
        }
        _ => texts.unsqueeze(),
    };
    let given = FramesAndSentences {
        query,
        sentences: compared_texts.clone().unsqueeze_dim(2),
        texts: compared_texts.clone(),
        shots: shot,
    };
    let of_query = check.input("query_labels").labels();
    let every: Vec<usize> = of_query.iter().chain(&of_support).copied().collect();
    let of_clips = all.clone().unsqueeze::<4>();
    let scores = Scores {
        frames: Some(given),
        all_classes: Some(AllClasses {
            frames: of_clips.clone(),
            prototypes: of_clips.clone(),
            given: of_clips.clone(),
            compared: of_clips.clone(),
            texts: compared_texts.clone(),
            labels: labels(check, &every),
        }),
        ..Scores::aligned(aligned)
    };
    let loss =
        objective.loss(&scores, &Labels { query: labels(check, &of_query), support: labels(check, &of_support) }).total;
    let mut got = BTreeMap::from([
        ("token_logits".to_owned(), list(&softmax(-scores.distances.clone(), 2))),
        ("prediction".to_owned(), list(&objective.probabilities(&scores))),
        ("loss".to_owned(), list(&loss)),
    ]);
    for name in ["frame", "patch"] {
        got.insert(format!("{name}_logits"), list(&softmax(-scores.named(name), 2)));
    }
    // As many places and frames as the public code takes.
    let by_text = text_cosines(of_clips, compared_texts, &compared, [2, 49]);
    for (name, cosines) in ["token", "frame", "patch"].into_iter().zip(by_text) {
        let probabilities = softmax(cosines, 2);
        let [query, support] =
            [(0, queries), (queries, clips)].map(|(from, count)| list(&probabilities.clone().narrow(1, from, count)));
        got.insert(format!("{name}_class_logits.query"), query);
        got.insert(format!("{name}_class_logits.support"), support);
    }
    named::values(check, &got);
    if check.expected().iter().any(|name| name.starts_with("grad.")) {
        named::gradients(check, &prototype, loss.backward(), &find, &[]);
    }
}

/// Whether a parameter is trained, and not one of the frozen tower.
fn weights_of_training(name: &str) -> bool {
    ["inter_reasion", "fusion", "spatialtemporal"].iter().any(|start| name.starts_with(start))
}

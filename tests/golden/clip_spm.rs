//! CLIP-SPM: the head from features, with its loss on motion.

use crate::maps;
use crate::named::{self, Peer, leaf, number, of_leaf, values};
use crate::set::{Check, list};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use maclip_components::layers::Init;
use maclip_components::prototypes::clip_spm::{ClipSpm, ClipSpmConfig, MOTION};
use maclip_framework::model::few_shot::FewShotModel;
use maclip_framework::slots::prototype::{EpisodeFeatures, Prototype, Related};
use serde_json::json;

/// A parameter of the prototype module.
fn of_module(path: &str) -> Option<Peer> {
    let (owner, kind) = path.rsplit_once('.')?;
    if let Some((layer, part)) = owner.split_once('.') {
        let name = match layer {
            "task" => "context1",
            "semantic" => "context2",
            "text_gate" => "gate_text",
            "frame_gate" => "gate_vision",
            _ => return None,
        };
        let within = format!("{name}.layers.0");
        return Some(match part {
            "first" => Peer::layer(&format!("{name}.0"), kind),
            "second" => Peer::layer(&format!("{name}.2"), kind),
            "norm" => Peer::norm(&format!("{within}.0.norm"), kind),
            "attention.in_proj" => {
                let part = |part: &str| format!("{within}.0.fn.to_{part}");
                Peer::stacked([&*part("q"), &*part("k"), &*part("v")], kind)
            }
            "attention.out_proj" => Peer::layer(&format!("{within}.0.fn.to_out.0"), kind),
            "fc1" => Peer::layer(&format!("{within}.1.net.0"), kind),
            "fc2" => Peer::layer(&format!("{within}.1.net.3"), kind),
            _ => return None,
        });
    }
    Some(match owner {
        "motion_first" => Peer::same(format!("motion_conv1.{kind}")),
        "motion_second" => Peer::same(format!("motion_conv2.{kind}")),
        "token_in" => Peer::layer("token_tr.mlp.net.0", kind),
        "token_out" => Peer::layer("token_tr.mlp.net.3", kind),
        _ => return None,
    })
}

fn of_whole(path: &str) -> Option<Peer> {
    if let Some(path) = path.strip_prefix("module.") {
        return of_module(path);
    }
    match path {
        "model.objective.alpha" => Some(Peer::same("mo_alpha1")),
        "model.objective.unused" => Some(Peer::same("scale")),
        _ => None,
    }
}

/// The model, with its prototype module by itself: a case may give the mean of texts that enters it.
#[derive(Module, Debug)]
struct Whole {
    model: FewShotModel,
    module: ClipSpm,
}

pub fn case(check: &mut Check) {
    let (frames, width) = (number(check, "frames"), number(check, "width"));
    let (way, shot) = (number(check, "way"), number(check, "shot"));
    let published = &check.case["parameters_published"];
    let of = |key: &str| published[key].as_f64().unwrap();
    let config = ClipSpmConfig {
        heads: number(check, "heads"),
        head_width: number(check, "head_width"),
        hidden: number(check, "hidden"),
        text_gate: of("mid_dim_text"),
        frame_gate: of("mid_dim_vision"),
        negative_slope: of("negative_slope"),
        alpha: of("alpha"),
        as_published: true,
        ..ClipSpmConfig::default()
    };
    let entries = json!({
        "prototype": config_entry(&config),
        "alignment": {"type": "clip_spm"},
        "objective": {"type": "motion_consistency", "as_published": true, "objective": {"type": "metric"}},
    });
    let model = maps::model(check, &entries, [width, 1], frames);
    let device: Device = check.set.device.clone();
    let module = ClipSpm::new(&config, width, true, &mut Init::blank(device.clone().autodiff()));
    let whole = named::import(check, Whole { model, module }, &of_whole, &|_| false);
    let (support, query): (Tensor<3>, Tensor<3>) = (leaf(check, "support"), leaf(check, "query"));
    let of_query = check.input("query_labels").labels();
    let classes = check.input("episode_classes").labels();
    let texts: Tensor<2> = check.input("texts").tensor(&device);
    let text = maclip_framework::engine::evaluation::select_rows(&texts, &classes);
    // The public code takes the mean over the classes of all clips.
    let all: Vec<usize> = of_query.iter().copied().chain((0..way * shot).map(|clip| clip / shot)).collect();
    let mean = maclip_framework::engine::evaluation::select_rows(&text, &all).mean_dim(0);
    let (q, queries) = (of_query.len(), query.dims()[0]);
    assert_eq!(q, queries);
    let features = EpisodeFeatures {
        query: query.clone().reshape([1, q, frames, width]),
        support: support.clone().reshape([1, way, shot, frames, width]),
        text: text.unsqueeze(),
    };
    let related = whole.module.related(features, mean);
    if check.case["class_balanced_queries"] == true {
        balanced(check, &whole, &related, &support, &query);
    }
    let (mut scores, labels) = maps::of_related(check, &whole.model, related.clone());
    scores.related = Some(related.clone());
    let loss = whole.model.objective.loss(&scores, &labels);
    let motion = loss.parts.iter().find(|(name, _)| *name == "motion").expect("a term of motion").1.clone();
    let metric = loss.parts.iter().find(|(name, _)| *name == "q2s").expect("a term of distances").1.clone();
    let sum = metric * q as f64;
    // The public code adds up the losses of the queries, and counts a task as one of 16; it does not so with the
    // motion.
    let total = sum.clone() / 16.0 + motion.clone() * 0.001;
    let got = [
        ("logits", list(&scores.distances.clone().neg())),
        ("dists", list(&motion)),
        ("loss.metric.sum", list(&sum)),
        ("loss", list(&total)),
    ];
    values(check, &got.map(|(name, values)| (name.to_owned(), values)).into());
    let grads = total.backward();
    let leaves = [of_leaf("support", &support, &grads), of_leaf("query", &query, &grads)];
    named::gradients(check, &whole, grads, &of_whole, &leaves);
}

fn config_entry(config: &ClipSpmConfig) -> serde_json::Value {
    let mut entry = serde_json::to_value(config).unwrap();
    entry["type"] = "clip_spm".into();
    entry
}

/// With as many queries of each class, the module takes the same mean by itself.
fn balanced(check: &mut Check, whole: &Whole, related: &Related, support: &Tensor<3>, query: &Tensor<3>) {
    let (way, shot) = (number(check, "way"), number(check, "shot"));
    let [q, t, e] = query.dims();
    let classes = check.input("episode_classes").labels();
    let texts: Tensor<2> = check.input("texts").tensor(&check.set.device);
    let own = whole.module.relate(EpisodeFeatures {
        query: query.clone().reshape([1, q, t, e]),
        support: support.clone().reshape([1, way, shot, t, e]),
        text: maclip_framework::engine::evaluation::select_rows(&texts, &classes).unsqueeze(),
    });
    let largest = f64::from(related.query.clone().abs().max().into_scalar::<f32>());
    let difference = (own.query - related.query.clone()).abs().max().into_scalar::<f32>();
    let allowed = (2e-5 * largest).max(1e-6);
    check.note("the mean of the class texts is that of all clips' texts", f64::from(difference), allowed);
    assert!(whole.model.compared().has(MOTION));
}

//! MoLo: both branches from maps, all logits, the decoder and the losses, in training and with fixed statistics.

use crate::maps;
use crate::named::{self, Peer, leaf, number, of_leaf, values};
use crate::set::{Check, list};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use maclip_components::layers::{Init, linear};
use maclip_components::objectives::molo::{Decoder, Statistics};
use maclip_components::prototypes::molo::{CHANGES, CLASS_TOKEN, MOTION};
use maclip_framework::model::few_shot::{Encoded, FewShotModel};
use maclip_framework::slots::objective::Scores;
use serde_json::json;
use std::collections::BTreeMap;

/// How often the side of a map is in that of an image.
const UP: usize = 32;

fn of_layer(path: &str, name: &str) -> Option<Peer> {
    let (owner, kind) = path.rsplit_once('.')?;
    Some(match owner {
        "attention.in_proj" => Peer::layer(&format!("{name}.layers.0.0.fn.to_qkv"), kind),
        "attention.out_proj" => Peer::layer(&format!("{name}.layers.0.0.fn.to_out.0"), kind),
        "norms.0" => Peer::norm(&format!("{name}.layers.0.0.norm"), kind),
        "fc1" => Peer::layer(&format!("{name}.layers.0.1.net.0"), kind),
        "fc2" => Peer::layer(&format!("{name}.layers.0.1.net.3"), kind),
        _ => return None,
    })
}

fn of_decoder(path: &str) -> Option<Peer> {
    if let Some(kind) = path.strip_prefix("output.") {
        return Some(Peer::layer("outc.conv", kind));
    }
    let (step, part) = path.strip_prefix("steps.")?.split_once('.')?;
    let name = |layer: usize| format!("up{}.conv.double_conv.{layer}", step.parse::<usize>().unwrap() + 1);
    Some(match part {
        "kernel" => Peer::same(format!("{}.weight", name(0))),
        kind => Peer::norm(&name(1), kind),
    })
}

fn of_model(path: &str) -> Option<Peer> {
    Some(match path {
        "prototype.class_token" => Peer::same("class_token"),
        "prototype.motion_class_token" => Peer::same("class_token_motion"),
        "alignment.scale" => Peer::same("scale"),
        "alignment.motion_scale" => Peer::same("scale_motion"),
        _ => {
            if let Some(path) = path.strip_prefix("prototype.frames.") {
                return of_layer(path, "temporal_atte_before");
            }
            if let Some(path) = path.strip_prefix("prototype.motion.") {
                return of_layer(path, "temporal_atte_before_motion");
            }
            if let Some(path) = path.strip_prefix("objective.decoder.") {
                return of_decoder(path);
            }
            let (owner, kind) = path.rsplit_once('.')?;
            match owner {
                "prototype.motion_reduce" | "prototype.motion_conv" => {
                    Peer::same(format!("{}.{kind}", owner.trim_start_matches("prototype.")))
                }
                "prototype.motion_up" => Peer::layer("motion_up", kind),
                "objective.classifier" => Peer::layer("classification_layer", kind),
                _ => return None,
            }
        }
    })
}

/// Every value of a map repeated to a field of pixels: `[B, T, 3, 7, 7]` → `[B, T, 3, 224, 224]`.
fn enlarged(images: Tensor<5>) -> Tensor<5> {
    let [b, t, c, h, w] = images.dims();
    let fields: Tensor<5> = images.reshape([b * t * c, h, 1, w, 1]).expand([b * t * c, h, UP, w, UP]);
    fields.reshape([b, t, c, h * UP, w * UP])
}

/// Means over fields of 32 × 32 pixels: `[b, 3, H, W]` → `[b, 3, H / 32, W / 32]`.
fn block_means(y: Tensor<4>) -> Tensor<4> {
    let [b, c, h, w] = y.dims();
    let fields = y.reshape([b * c, h / UP, UP, w / UP, UP]);
    fields.mean_dim(4).mean_dim(2).reshape([b, c, h / UP, w / UP])
}

/// Δ of encoded clips, `[B (T − 1), m, h, w]`.
fn changes(model: &FewShotModel, encoded: &Encoded) -> Tensor<4> {
    let layout = model.compared();
    let [b, t, _] = encoded.prototypes.dims();
    let [positions, m] = layout.shape(CHANGES).unwrap();
    let side = positions.isqrt();
    let changes = layout.part(CHANGES, encoded.prototypes.clone()).narrow(1, 0, t - 1);
    let changes: Tensor<3> = changes.reshape([b * (t - 1), positions, m]).swap_dims(1, 2);
    changes.reshape([b * (t - 1), m, side, side])
}

/// Logits of the training classes of encoded clips.
fn class_logits(model: &FewShotModel, classifier: &Linear, encoded: &Encoded) -> Tensor<2> {
    let (layout, [b, t, _]) = (model.compared(), encoded.prototypes.dims());
    let of = |tensor: Tensor<3>| tensor.sum_dim(1).reshape([b, layout.feature_width()]);
    let frames = of(layout.feature(encoded.prototypes.clone()));
    let class = of(layout.part(CLASS_TOKEN, encoded.prototypes.clone()).narrow(1, 0, 1));
    let motion = of(layout.part(MOTION, encoded.prototypes.clone())) / t as f64;
    linear(classifier, (frames + class) / (t + 1) as f64 + motion)
}

pub fn case(check: &mut Check) {
    let (frames, width) = (number(check, "frames"), number(check, "width"));
    let case = check.case.clone();
    let batch = case["batch_size"].as_f64().unwrap();
    let (support, query): (Tensor<5>, Tensor<5>) = (leaf(check, "support"), leaf(check, "query"));
    let side = query.dims()[3];
    let entries = json!({
        "prototype": {
            "type": "molo", "heads": case["heads"], "hidden": case["hidden"], "motion_width": case["motion_width"],
            "feature_divisor": case["position_A"], "position_scale": case["position_B"],
        },
        "alignment": {"type": "molo", "motion": case["motion_share"]},
        "objective": {
            "type": "molo", "class_weight": case["class_weight"], "classes": case["training_classes"],
            "decoder": case["decoder"], "reconstruction_weight": case["reconstruction_weight"].as_f64().unwrap() * batch,
            "objective": {
                "type": "weighted_distances", "own": 1,
                "weights": {"s2q": 0.05, "q2s": 0.05, "s2q_motion": 0.05, "q2s_motion": 0.05},
            },
        },
    });
    let model = maps::model(check, &entries, [width, side], frames);
    let buffers = |name: &str| name.contains("running_");
    let model = named::import(check, model, &of_model, &buffers);
    let decoder = named::import(
        check,
        Decoder::new(
            number(check, "motion_width"),
            serde_json::from_value(case["decoder"].clone()).unwrap(),
            &mut Init::blank(check.set.device.clone().autodiff()),
        ),
        &of_decoder,
        &|_| true,
    );
    let classifier = named::import(
        check,
        Init::blank(check.set.device.clone().autodiff()).linear(width, number(check, "training_classes")),
        &|kind| Some(Peer::layer("classification_layer", kind)),
        &|_| true,
    );
    let given = [(&support, "support_images_7x7"), (&query, "query_images_7x7")];
    let [supports, queries] = given.map(|(maps, name)| {
        let [b, t, _, h, w] = maps.dims();
        // Without a loss, no images are given.
        let pixels = match check.case["inputs"].get(name) {
            Some(_) => enlarged(check.input(name).tensor(&check.set.device)),
            None => Tensor::zeros([b, t, 3, UP * h, UP * w], &check.set.device),
        };
        model.query_prototypes(maps::values(&model, maps.clone(), Some(Tensor::from_inner(pixels))))
    });
    let mut got = BTreeMap::new();
    let of_classes = [&supports, &queries].map(|encoded| class_logits(&model, &classifier, encoded));
    got.insert("class_logits.support".to_owned(), list(&of_classes[0]));
    got.insert("class_logits.query".to_owned(), list(&of_classes[1]));
    let stored = named::weights(check);
    let running = [1, 2, 3].map(|step| {
        ["running_mean", "running_var"].map(|kind| {
            let array = &stored[&format!("up{step}.conv.double_conv.1.{kind}")];
            array.tensor::<1>(&check.set.device)
        })
    });
    let train = case["mode"] == "train";
    let of_both = Tensor::cat(vec![changes(&model, &supports), changes(&model, &queries)], 0);
    let statistics = if train { Statistics::OfTheBatch } else { Statistics::Given(&running) };
    let (decoded, seen) = decoder.forward(of_both.clone(), &statistics);
    let count = supports.prototypes.dims()[0] * (frames - 1);
    let all = decoded.dims()[0];
    let (of_support, of_query) = (decoded.clone().narrow(0, 0, count), decoded.clone().narrow(0, count, all - count));
    let means = [block_means(of_support), block_means(of_query.clone())];
    for (name, means) in ["support", "query"].into_iter().zip(&means) {
        got.insert(format!("decoder.{name}.block_means"), list(means));
    }
    let [_, c, h, w] = of_query.dims();
    let clips = (all - count) / (frames - 1);
    let line: Tensor<5> = of_query.reshape([clips, frames - 1, c, h, w]);
    let line = line.narrow(1, 0, 1).narrow(3, 100, 1).narrow(4, 90, 30);
    got.insert("decoder.query.line".to_owned(), list(&line));
    let texts = maps::no_texts(check, width);
    if train {
        for (at, ([mean, variance], before)) in seen.iter().zip(&running).enumerate() {
            let values = (all * (side * [2, 8, 32][at]).pow(2)) as f64;
            let name = |kind: &str| format!("after.up{}.conv.double_conv.1.{kind}", at + 1);
            // PyTorch keeps a tenth of the new values, and of the variance the unbiased one.
            let mixed = |before: &Tensor<1>, new: Tensor<1>| before.clone() * 0.9 + new.inner() * 0.1;
            got.insert(name("running_mean"), list(&mixed(&before[0], mean.clone())));
            let unbiased = variance.clone() * (values / (values - 1.0));
            got.insert(name("running_var"), list(&mixed(&before[1], unbiased)));
        }
    }
    let total = if train {
        let (scores, loss) = maps::scored(check, &model, supports, queries, texts);
        logits(&mut got, &scores);
        for (name, part) in &loss.parts {
            let name = match *name {
                "distances" => "metric",
                "classes" => "class",
                name => name,
            };
            got.insert(format!("loss.{name}"), list(part));
        }
        let total = loss.total / batch;
        got.insert("loss".to_owned(), list(&total));
        total
    } else {
        let scores = model.scores(supports, queries, texts, number(check, "shot"));
        logits(&mut got, &scores);
        let device = check.set.device.clone();
        let further = scores.further.iter().map(|(name, distances)| (format!("logits_{name}"), distances.clone()));
        let outputs = [("logits".to_owned(), scores.distances.clone())].into_iter().chain(further);
        let outputs = outputs.map(|(name, distances)| (name, distances.neg().squeeze_dim::<2>(0)));
        let [_, of_query] = of_classes;
        let outputs = outputs.chain([("class_logits.query".to_owned(), of_query)]);
        let terms =
            outputs.map(|(name, output)| (output * check.input(&format!("cotangent.{name}")).tensor(&device)).sum());
        terms.reduce(|a, b| a + b).expect("there are outputs")
    };
    values(check, &got);
    let grads = total.backward();
    let leaves = [of_leaf("support", &support, &grads), of_leaf("query", &query, &grads)];
    if train {
        named::gradients(check, &model, grads, &of_model, &leaves);
    } else {
        let find = |path: &str| match path.strip_prefix("classifier.") {
            Some(kind) => Some(Peer::layer("classification_layer", kind)),
            // Nothing goes through the objective here.
            None => path.strip_prefix("model.").filter(|path| !path.starts_with("objective.")).and_then(of_model),
        };
        named::gradients(check, &Whole { model, classifier }, grads, &find, &leaves);
    }
}

/// The model with a classifier that is not inside the objective.
#[derive(Module, Debug)]
struct Whole {
    model: FewShotModel,
    classifier: Linear,
}

fn logits(got: &mut BTreeMap<String, Vec<f64>>, scores: &Scores) {
    got.insert("logits".to_owned(), list(&scores.distances.clone().neg()));
    for (name, distances) in &scores.further {
        got.insert(format!("logits_{name}"), list(&distances.clone().neg()));
    }
}

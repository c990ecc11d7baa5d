//! HyRSM++: the head from features, with one and several shots, and its losses.

use crate::maps;
use crate::named::{self, Peer, leaf, number, of_leaf, values};
use crate::set::{Check, list};
use burn::tensor::{Tensor, TensorData};
use maclip_components::objectives::temporal_coherence::targets;
use maclip_framework::model::parameters;
use serde_json::json;
use std::collections::BTreeMap;

fn of_model(path: &str) -> Option<Peer> {
    let (owner, kind) = path.rsplit_once('.')?;
    let weight = kind == "weight";
    Some(match owner {
        "prototype.intra.in_proj" => Peer::layer("temporal_atte_before.fn.to_qkv", kind),
        "prototype.intra.out_proj" => Peer::layer("temporal_atte_before.fn.to_out.0", kind),
        "prototype.intra_norm" => Peer::norm("temporal_atte_before.norm", kind),
        "prototype.inter.in_proj" => {
            Peer::stacked(["temporal_atte.w_qs", "temporal_atte.w_ks", "temporal_atte.w_vs"], kind)
        }
        "prototype.inter.out_proj" => Peer::layer("temporal_atte.fc", kind),
        "prototype.inter_norm" => Peer::norm("temporal_atte.layer_norm", kind),
        "prototype.join_frames" if weight => Peer::half("layer2.0.weight", 0),
        "prototype.join_frames" => Peer::same("layer2.0.bias"),
        "prototype.join_relation" if weight => Peer::half("layer2.0.weight", 1),
        _ if owner.ends_with("classifier") => Peer::layer("classification_layer", kind),
        _ => return None,
    })
}

pub fn case(check: &mut Check) {
    let (frames, width) = (number(check, "frames"), number(check, "width"));
    let several = check.case["variant"].as_str().unwrap().ends_with("5shot");
    let classes = named::weights(check)["classification_layer.bias"].values.len();
    let case = check.case.clone();
    let entries = json!({
        "prototype": {
            "type": "hyrsm", "heads": case["heads"], "feature_divisor": case["position_A"],
            "position_scale": case["position_B"], "average_shots": if several { "before" } else { "after" },
        },
        "alignment": {"type": "bi_mhm", "cosine": "normalized", "shots": "mean_distances"},
        "objective": {
            "type": "temporal_coherence", "weight": case["temporal_weight"], "window": case["window"],
            "sigma": case["sigma"], "balance": case["balance"],
            "objective": {
                "type": "with_class_loss", "of": "frames_after_prototype", "weight": case["class_weight"],
                "classes": classes, "objective": {"type": "metric"},
            },
        },
    });
    let model = maps::model(check, &entries, [width, 1], frames);
    let model = named::import(check, model, &of_model, &|_| false);
    let (support, query): (Tensor<3>, Tensor<3>) = (leaf(check, "support"), leaf(check, "query"));
    let [supports, queries] = [&support, &query].map(|frames| model.query_prototypes(frames.clone()));
    let mut got = BTreeMap::new();
    let classifier = parameters::export(&model.objective, true);
    let tensor = |kind: &str| classifier[&format!("objective.classifier.{kind}")].clone();
    let (weight, bias) = (tensor("weight"), tensor("bias"));
    for (name, encoded) in [("support", &supports), ("query", &queries)] {
        let device = &check.set.device;
        let weight = Tensor::<2>::from_data(TensorData::new(weight.values.clone(), weight.shape.clone()), device);
        let bias = Tensor::<1>::from_data(bias.values.as_slice(), device);
        let [b, t, e] = encoded.prototypes.dims();
        let logits = encoded.prototypes.clone().inner().reshape([b * t, e]).matmul(weight) + bias.unsqueeze();
        got.insert(format!("class_logits.{name}"), list(&logits));
    }
    let [inside, target] = targets(frames, number(check, "window"), case["sigma"].as_f64().unwrap());
    for (name, values) in [("temporal.inside", inside), ("temporal.target", target)] {
        got.insert(name.to_owned(), values.into_iter().map(f64::from).collect());
    }
    let texts = maps::no_texts(check, width);
    let (scores, loss) = maps::scored(check, &model, supports, queries, texts);
    got.insert("logits".to_owned(), list(&scores.distances.clone().neg()));
    for (name, part) in &loss.parts {
        let name = match *name {
            "q2s" => "metric",
            "classes" => "class",
            other => other,
        };
        got.insert(format!("loss.{name}"), list(part));
    }
    // The public code divides by the tasks of a step.
    let total = loss.total / case["batch_size"].as_f64().unwrap();
    got.insert("loss".to_owned(), list(&total));
    values(check, &got);
    let grads = total.backward();
    let leaves = [of_leaf("support", &support, &grads), of_leaf("query", &query, &grads)];
    named::gradients(check, &model, grads, &of_model, &leaves);
}

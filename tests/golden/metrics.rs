//! Alignment metrics: values and gradients for pairs, classes and given cost matrices.

use crate::set::{Array, Check, list};
use burn::tensor::{Device, Int, Tensor, TensorData};
use maclip_components::alignments::{
    bi_mhm, diagonal, dtw, frame_costs, hausdorff, linear, modified_hausdorff, otam, soft_dtw,
};
use maclip_framework::model::parameters;
use maclip_framework::registry::{BuildContext, build_choice, resolve_choice, slot};
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::backbone::Geometry;
use maclip_framework::slots::module::Slot;
use maclip_framework::weights::HostTensor;
use maclip_language::read_str;
use serde_json::{Value, json};

/// A metric of the set → our component and its options.
pub fn alignment(metric: &str, params: &Value) -> (&'static str, Vec<(&'static str, Value)>) {
    let lambda = || ("lambda", params["lam"].clone());
    match metric {
        "otam" => ("otam", vec![lambda()]),
        "otam_q2s" => ("otam", vec![lambda(), ("direction", json!("query_to_support"))]),
        "otam_s2q" => ("otam", vec![lambda(), ("direction", json!("support_to_query"))]),
        "bi_mhm" => ("bi_mhm", vec![]),
        "mhm_query" => ("bi_mhm", vec![("direction", json!("query"))]),
        "hausdorff" => ("hausdorff", vec![]),
        "modified_hausdorff" => ("modified_hausdorff", vec![]),
        "dtw" => ("dtw", vec![]),
        "soft_dtw" => ("soft_dtw", vec![("gamma", params["gamma"].clone())]),
        "diagonal" => ("diagonal", vec![]),
        "diagonal_similarity" => ("diagonal", vec![("form", json!("similarity"))]),
        "mean_similarity" => ("mean_similarity", vec![]),
        "max_similarity" => ("max_similarity", vec![]),
        "chamfer_query" => ("chamfer", vec![("side", json!("query"))]),
        "chamfer_support" => ("chamfer", vec![("side", json!("support"))]),
        "chamfer" => ("chamfer", vec![("side", json!("both"))]),
        "linear" => ("linear", vec![]),
        "mean_cosine" => ("mean_cosine", vec![]),
        "mean_sq_l2" => ("mean_squared_l2", vec![]),
        other => panic!("metric {other}"),
    }
}

/// The two forms of the cosine as our option.
pub fn cosine_option(form: &Value, epsilon: &Value) -> Value {
    match form.as_str() {
        Some("add") => json!({"plus": epsilon}),
        Some("clamp") => json!({"clamp": epsilon}),
        other => panic!("cosine {other:?}"),
    }
}

fn build(options: &Value, width: usize, frames: usize, device: &Device) -> Slot<dyn Alignment> {
    let node = read_str("golden.yaml", &options.to_string()).unwrap();
    let node = resolve_choice(slot("alignment").unwrap(), &node).unwrap_or_else(|error| panic!("{error}"));
    let geometry = Geometry {
        image_size: 1,
        width,
        embed_dim: width,
        blocks: 1,
        transformer: true,
        tokens: 2,
        text: None,
        mean: [0.0; 3],
        std: [1.0; 3],
    };
    let context = BuildContext::new(0, device.clone()).with_sizes(geometry, frames);
    Slot::new(build_choice(&node, &context).unwrap_or_else(|error| panic!("{error}")))
}

/// Rows of support clips ordered by class.
fn by_class(labels: &Array) -> (Vec<i32>, usize) {
    let labels = labels.labels();
    let mut rows: Vec<usize> = (0..labels.len()).collect();
    rows.sort_by_key(|&row| labels[row]);
    (rows.into_iter().map(|row| row as i32).collect(), labels.iter().max().unwrap() + 1)
}

/// A metric on query `[Q, Tq, d]` and support `[S, Ts, d]`.
struct Metric {
    component: Slot<dyn Alignment>,
    /// Weights of `linear` for Tq × Ts, and its cosine.
    linear: Option<(Tensor<2>, frame_costs::Cosine)>,
    shots: &'static str,
}

impl Metric {
    fn distances(&self, query: Tensor<3>, support: Tensor<5>) -> Tensor<3> {
        let query = query.unsqueeze();
        match &self.linear {
            None => self.component.distances(query, support),
            Some((weight, cosine)) => {
                let shots = match self.shots {
                    "mean_distances" => frame_costs::ShotRule::MeanDistances,
                    _ => frame_costs::ShotRule::MeanFeatures,
                };
                frame_costs::distances(query, support, shots, *cosine, |costs| linear::linear(costs, weight.clone()))
            }
        }
    }
}

pub fn metric(check: &mut Check) {
    let device = check.set.device.clone();
    let (q, s, labels) = (check.input("q"), check.input("s"), check.input("labels"));
    let params = check.case["params"].clone();
    let similarity = check.case["value"] == "similarity";
    let (rows, way) = by_class(&labels);
    let shot = rows.len() / way;
    let (name, options) = alignment(check.case["metric"].as_str().unwrap(), &params);
    for what in check.expected().into_iter().filter(|name| !name.contains(".grad_")) {
        let shots = match what.strip_prefix("class.") {
            None => "mean_distances",
            Some("mean_features") => "mean_features",
            Some("mean_distances") => "mean_distances",
            Some("joint") => "joint",
            Some(other) => panic!("shot rule {other}"),
        };
        let mut choice = json!({"type": name, "shots": shots});
        if name != "mean_squared_l2" {
            choice["cosine"] = cosine_option(&params["cos_form"], &params["cos_eps"]);
        }
        for (key, value) in &options {
            choice[*key] = value.clone();
        }
        let weights = params["weight"].as_str().map(|weight| {
            let prefix = check.case["inputs"]["q"].as_str().unwrap().trim_end_matches('q').to_owned();
            let file = check.set.tensors(check.case["file"].as_str().unwrap());
            let weight = Array { shape: vec![q.shape[1], s.shape[1]], ..file[&(prefix + weight)].clone() };
            (weight.tensor(&device), serde_json::from_value(choice["cosine"].clone()).unwrap())
        });
        let metric = Metric { component: build(&choice, q.shape[2], q.shape[1], &device), linear: weights, shots };
        let leaf = |array: &Array| array.tensor::<3>(&device.clone().autodiff()).require_grad();
        let (query, support) = (leaf(&q), leaf(&s));
        let [count, ts, d] = support.dims();
        let classes = if what == "pair" {
            support.clone().reshape([1, count, 1, ts, d])
        } else {
            let order = Tensor::<1, Int>::from_data(TensorData::new(rows.clone(), [count]), &device);
            support.clone().select(0, order).reshape([1, way, shot, ts, d])
        };
        let distances = metric.distances(query.clone(), classes);
        let values = if similarity { distances.neg() } else { distances };
        check.value(&what, &list(&values));
        if check.case["expected"].get(format!("{what}.grad_q")).is_some() {
            let cotangent = check.input(if what == "pair" { "cot_pair" } else { "cot_class" }).tensor::<2>(&device);
            let grads = (values * cotangent.unsqueeze()).sum().backward();
            let gradient = |tensor: &Tensor<3>| list(&tensor.grad(&grads).expect("a gradient"));
            check.value(&format!("{what}.grad_q"), &gradient(&query));
            check.value(&format!("{what}.grad_s"), &gradient(&support));
        }
    }
}

pub fn matrix(check: &mut Check) {
    let device = check.set.device.clone();
    let costs = check.input("D");
    for tag in check.expected() {
        let (name, parameter) = tag.split_once('.').unwrap_or((&tag, ""));
        let number = || -> f64 { parameter[1..].parse().unwrap() };
        let leaf = costs.tensor::<2>(&device.clone().autodiff()).require_grad();
        let d: Tensor<3> = leaf.clone().unsqueeze();
        let value = match name {
            "otam" => otam::otam(d, number(), otam::Direction::Both),
            "otam_q2s" => otam::otam(d, number(), otam::Direction::QueryToSupport),
            "otam_s2q" => otam::otam(d, number(), otam::Direction::SupportToQuery),
            "soft_dtw" => soft_dtw::soft_dtw(d, number()),
            "bi_mhm" => bi_mhm::bi_mhm(d, bi_mhm::Direction::Both, bi_mhm::Reduce::Sum),
            "hausdorff" => hausdorff::hausdorff(d),
            "modified_hausdorff" => modified_hausdorff::modified_hausdorff(d),
            "dtw" => dtw::dtw(d),
            "diagonal" => diagonal::diagonal(d, diagonal::Form::Cost),
            other => {
                check.fail(format!("matrix metric {other}"));
                continue;
            }
        };
        check.value(&tag, &list(&value));
        let rule = check.case["expected"][&tag].clone();
        if let Some(name) = rule["grad"].as_str() {
            let want = check.set.tensors(check.case["file"].as_str().unwrap())[name].values.clone();
            let gradient = list(&leaf.grad(&value.backward()).expect("a gradient"));
            check.against(&format!("{tag}.grad"), &gradient, &want, &rule);
        }
    }
}

pub fn trx(check: &mut Check) {
    let device = check.set.device.clone();
    let (q, s, labels) = (check.input("q"), check.input("s"), check.input("labels"));
    let params = check.case["params"].clone();
    let (rows, way) = by_class(&labels);
    let stored = check.set.tensors(check.case["file"].as_str().unwrap());
    let prefix = check.case["weights_prefix"].as_str().unwrap();
    let cardinalities: Vec<u64> = serde_json::from_value(params["cardinalities"].clone()).unwrap();
    let component = |cardinalities: &[u64]| -> Slot<dyn Alignment> {
        let options = json!({"type": "trx", "cardinalities": cardinalities, "width": params["out_dim"],
                             "position_scale": params["pe_scale"]});
        let component = build(&options, q.shape[2], q.shape[1], &device);
        let tensors = parameters::export(&component, false).into_iter().map(|(path, tensor)| {
            let (index, rest) = path.strip_prefix("heads.").unwrap().split_once('.').unwrap();
            let rest = rest.replace("gamma", "weight").replace("beta", "bias");
            let array = &stored[&format!("{prefix}heads.{}.{rest}", cardinalities[index.parse::<usize>().unwrap()])];
            let stored = HostTensor { shape: array.shape.clone(), values: array.f32() };
            (path, HostTensor { shape: tensor.shape, values: maclip_framework::weights::transpose(stored).values })
        });
        parameters::import(component.clone(), tensors.collect(), false).unwrap_or_else(|error| panic!("{error}"))
    };
    let leaf = |array: &Array| array.tensor::<3>(&device.clone().autodiff()).require_grad();
    let (query, support) = (leaf(&q), leaf(&s));
    let [count, ts, d] = support.dims();
    let order = Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), &device);
    let classes = support.clone().select(0, order).reshape([1, way, count / way, ts, d]);
    let values = component(&cardinalities).distances(query.clone().unsqueeze(), classes.clone());
    check.value("class", &list(&values));
    for cardinality in &cardinalities {
        let alone = component(&[*cardinality]).distances(query.clone().unsqueeze(), classes.clone());
        check.value(&format!("cardinality{cardinality}"), &list(&alone));
    }
    let cotangent = check.input("cot_class").tensor::<2>(&device);
    let grads = (values * cotangent.unsqueeze()).sum().backward();
    let gradient = |tensor: &Tensor<3>| list(&tensor.grad(&grads).expect("a gradient"));
    check.value("class.grad_q", &gradient(&query));
    check.value("class.grad_s", &gradient(&support));
}

pub fn cosine(check: &mut Check) {
    let device = check.set.device.clone();
    let (q, s) = (check.input("q"), check.input("s"));
    let params = &check.case["params"];
    let cosine: frame_costs::Cosine =
        serde_json::from_value(cosine_option(&params["form"], &params["eps"])).expect("a form of the cosine");
    let ([a, tq, d], [b, ts, _]) = ([q.shape[0], q.shape[1], q.shape[2]], [s.shape[0], s.shape[1], s.shape[2]]);
    let (q, s) = (q.tensor::<3>(&device), s.tensor::<3>(&device));
    let similarity = cosine.of(q.reshape([1, a * tq, d]), s.reshape([1, b * ts, d]));
    check.value("similarity", &list(&similarity.reshape([a, tq, b, ts]).swap_dims(1, 2)));
}

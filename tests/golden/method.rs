//! MA-CLIP: blocks, prototype module, episode, gradients, optimizer steps, scores, counts.

use crate::clip::Spy;
use crate::metrics::{alignment, cosine_option};
use crate::set::{Array, Check, list};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use maclip_framework::engine::evaluation::select_rows;
use maclip_framework::engine::training::Stepper;
use maclip_framework::model::few_shot::{ClassTexts, Encoded, FewShotModel};
use maclip_framework::model::parameters;
use maclip_framework::recipe::Recipe;
use maclip_framework::registry::BuildContext;
use maclip_framework::slots::adapter::Branch;
use maclip_framework::slots::objective::Labels;
use maclip_framework::slots::optimizer::Optimizer;
use maclip_framework::weights::HostTensor;
use maclip_language::read_str;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The recipe that a case's options say.
fn recipe(check: &Check, options: &Value, backbone: Value, more: &Value) -> Recipe {
    let mut recipe = json!({"name": "golden", "dataset": {"type": "shapes_in_motion"}, "backbone": backbone});
    let blocks = match &options["adapted_blocks"] {
        Value::Null => json!("all"),
        list => json!({"list": list}),
    };
    let option = |name: &str, default: Value| options.get(name).cloned().unwrap_or(default);
    recipe["adapter"] = json!({
        "type": "multimodal", "ratio": option("ratio", json!(0.25)), "at": blocks,
        "use_text": option("use_text", json!(true)), "shared_text_fc": option("shared_text_fc", json!(false)),
        "normalize_text": option("normalize_text", json!(false)), "temporal_skip": option("temporal_skip", json!(false)),
        "multimodal_skip": option("multimodal_skip", json!(true)), "joint_skip": option("joint_skip", json!(false)),
        "joint_scale": option("joint_scale", json!(0.5)), "temporal_residual": option("temporal_residual", json!(true)),
        "temporal_adapters": option("num_temporal_adapters", json!(1)),
    });
    recipe["prototype"] = if option("tpcm", json!(true)) == true {
        json!({"type": "text_guided", "heads": option("tpcm_heads", json!(8)),
               "ffn_ratio": option("tpcm_ffn_mult", json!(4)), "norm": option("tpcm_norm", json!("none")),
               "normalize_text": option("normalize_text", json!(false))})
    } else {
        json!({"type": "none"})
    };
    let episode = &check.case["params"]["episode"];
    if episode.is_object() {
        let cosine = cosine_option(&episode["cos_form"], &episode["cos_eps"]);
        let (name, options) = alignment(episode["metric"].as_str().unwrap(), &episode["metric_params"]);
        recipe["alignment"] = json!({"type": name, "shots": episode["shot_rule"]});
        if name != "mean_squared_l2" {
            recipe["alignment"]["cosine"] = cosine;
        }
        for (key, value) in options {
            recipe["alignment"][key] = value;
        }
        // A one-hot target makes the KL loss cross-entropy.
        let (form, scale) = match (episode["text_loss"].as_str().unwrap(), &episode["kl_target_scale"]) {
            ("ce", _) | (_, Value::String(_)) => ("cross_entropy", json!(10.0)),
            ("kl", scale) => ("kl", scale.clone()),
            ("kl_elements", scale) => ("kl_elements", scale.clone()),
            (other, _) => panic!("text loss {other}"),
        };
        recipe["objective"] = json!({
            "type": "ma_clip", "alpha": episode["alpha"], "text_scale": episode["logit_scale"],
            "metric_scale": episode["metric_scale"], "text_loss": form, "kl_target_scale": scale,
        });
    }
    for (key, value) in more.as_object().into_iter().flatten() {
        recipe[key] = value.clone();
    }
    // JSON is YAML.
    Recipe::check(&read_str("golden.yaml", &recipe.to_string()).unwrap()).unwrap_or_else(|error| panic!("{error}"))
}

/// Our path of a trained tensor → its name in the set.
fn golden_name(path: &str) -> String {
    path.replace("adapter.blocks.", "adapters.")
        .replace("adapter.text_fc", "text_fc")
        .replace("prototype.layer.attention.in_proj.", "tpcm.attn.in_proj_")
        .replace("prototype.layer.attention.", "tpcm.attn.")
        .replace("prototype.layer.norms.0.", "tpcm.norm1.")
        .replace("prototype.layer.norms.1.", "tpcm.norm2.")
        .replace("prototype.layer.", "tpcm.")
        .replace(".gamma", ".weight")
        .replace(".beta", ".bias")
}

/// Matrices are `[out, in]` in the set and `[in, out]` here.
fn ours(path: &str, array: &Array) -> Vec<f64> {
    match (path.ends_with(".weight"), array.shape.as_slice()) {
        (true, &[rows, columns]) => {
            (0..rows * columns).map(|p| array.values[(p % rows) * columns + p / rows]).collect()
        }
        _ => array.values.clone(),
    }
}

/// The model of a case with its frozen and trained weights.
fn model(check: &Check) -> FewShotModel {
    model_with(check, &Value::Null)
}

/// The same with other entries of the recipe.
fn model_with(check: &Check, more: &Value) -> FewShotModel {
    let (vision_heads, text_heads) = check.set.heads();
    let file = check.case["weights"]
        .as_str()
        .or_else(|| check.set.cases.iter().filter_map(|case| case["weights"].as_str()).find(|file| !file.is_empty()));
    let backbone = json!({"type": "clip_vit", "weights": check.set.folder.join(file.unwrap()),
                          "vision_heads": vision_heads, "text_heads": text_heads});
    let params = &check.case["params"];
    let options = match &params["options"] {
        Value::Null => json!({"tpcm_heads": params["heads"], "tpcm_norm": params["norm"]}),
        options => options.clone(),
    };
    let recipe = recipe(check, &options, backbone, more);
    let context = BuildContext::new(0, check.set.device.clone());
    let model = FewShotModel::build(&recipe, &context, frames(check)).unwrap_or_else(|error| panic!("{error}"));
    let stored = check.set.tensors(check.case["trainable"].as_str().unwrap());
    let own = check.case["file"].as_str().map(|file| check.set.tensors(file));
    let zero_up = check.case["trainable_change"].as_str().is_some_and(|change| change.contains("is zero"));
    let trained = parameters::export(&model, true)
        .into_iter()
        .map(|(path, tensor)| {
            let name = golden_name(&path);
            // What stands in for options that need tensors of their own.
            let stand_in = match name.strip_prefix("text_fc.") {
                Some(rest) => format!("adapters.0.text_fc.{rest}"),
                None => name.replace(".temporal_in.", ".joint."),
            };
            let extra = own.as_ref().and_then(|own| own.get(&format!("extra.{name}")));
            let array = extra.or_else(|| stored.get(&stand_in)).unwrap_or_else(|| panic!("no tensor for {name}"));
            let mut values: Vec<f32> = ours(&path, array).into_iter().map(|value| value as f32).collect();
            if zero_up && name.contains(".up.") {
                values.fill(0.0);
            }
            (path, HostTensor { shape: tensor.shape, values })
        })
        .collect();
    parameters::import(model, trained, true).unwrap_or_else(|error| panic!("{error}"))
}

/// T of the case's clips or features.
fn frames(check: &Check) -> usize {
    let inputs = check.case["inputs"].as_object().unwrap();
    let name =
        ["clips_u8", "support_u8", "support_frames"].into_iter().find(|name| inputs.contains_key(*name)).unwrap();
    check.input(name).shape[1]
}

fn class_text(check: &Check) -> Tensor<2> {
    check.input("class_text").tensor(&check.set.device)
}

pub fn forward(check: &mut Check) {
    let model = model(check);
    let labels = check.input("labels").labels();
    let text = select_rows(&class_text(check), &labels);
    let clips = check.clips("clips_u8");
    let [b, t, ..] = clips.dims();
    let mut got = BTreeMap::new();
    for (name, branch) in [("support", Branch::Support { text: &text }), ("query", Branch::Query)] {
        let spy = Spy::new(maclip_framework::slots::adapter::CloneAdapter::clone_boxed(&*model.adapter));
        let features = model.backbone.encode_clips(clips.clone(), &spy, &branch);
        let seen = spy.seen();
        for (index, output) in seen.output.iter().enumerate() {
            let [_, _, n, d] = output.dims();
            got.insert(format!("{name}.block{index}.out"), list(output));
            // An adapted block norms z, then [x, z', text]; the norm before the MLP sees what was selected.
            if let [_, h] = seen.ln_1[index].as_slice() {
                let temporal = h.clone().narrow(1, n, 1).reshape([b, t, d]);
                got.insert(format!("{name}.block{index}.temporal"), list(&temporal));
                got.insert(format!("{name}.block{index}.selected"), list(&seen.ln_2[index][0]));
            }
        }
        let rewritten = match name {
            "support" => model.prototype.support(features.clone(), text.clone()),
            _ => model.prototype.query(features.clone()),
        };
        got.insert(format!("{name}.frames"), list(&features));
        got.insert(format!("tpcm.{name}"), list(&rewritten));
    }
    for name in check.expected() {
        match got.get(&name) {
            Some(values) => check.value(&name, values),
            None => check.fail(format!("{name} is not computed")),
        }
    }
}

pub fn tpcm(check: &mut Check) {
    let model = model(check);
    let device = check.set.device.clone();
    let text = select_rows(&class_text(check), &check.input("labels").labels());
    let support = model.prototype.support(check.input("support_frames").tensor(&device), text);
    let query = model.prototype.query(check.input("query_frames").tensor(&device));
    check.value("support", &list(&support));
    check.value("query", &list(&query));
}

/// Support clips are ordered by class here; labels in any order there.
struct Order {
    /// Position there of each clip here.
    rows: Vec<usize>,
    shot: usize,
    sorted: Vec<usize>,
}

impl Order {
    fn new(labels: &[usize]) -> Self {
        let mut rows: Vec<usize> = (0..labels.len()).collect();
        rows.sort_by_key(|&row| labels[row]);
        let sorted: Vec<usize> = rows.iter().map(|&row| labels[row]).collect();
        let way = sorted.last().unwrap() + 1;
        let shot = labels.len() / way;
        assert!(sorted.iter().enumerate().all(|(i, label)| *label == i / shot), "as many shots of each class");
        Self { rows, shot, sorted }
    }

    fn sort<const D: usize>(&self, tensor: Tensor<D>, device: &Device) -> Tensor<D> {
        let rows: Vec<i32> = self.rows.iter().map(|&row| row as i32).collect();
        let count = rows.len();
        tensor.select(0, Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), device))
    }

    /// Rows of values here → in the order there.
    fn restore(&self, values: Vec<f64>) -> Vec<f64> {
        let width = values.len() / self.rows.len();
        let mut restored = vec![0.0; values.len()];
        for (here, &there) in self.rows.iter().enumerate() {
            restored[there * width..(there + 1) * width].copy_from_slice(&values[here * width..(here + 1) * width]);
        }
        restored
    }
}

struct Scored {
    values: BTreeMap<&'static str, Vec<f64>>,
    loss: Tensor<1>,
    /// Frame features of both branches, for their gradients.
    frames: [Tensor<3>; 2],
}

/// Everything after the encoders.
fn scored(check: &Check, model: &FewShotModel, support: Encoded, query: Encoded, order: &Order) -> Scored {
    let device = &check.set.device;
    let frames = [support.frames.clone(), query.frames.clone()];
    let mut values = BTreeMap::from([
        ("support_frames", order.restore(list(&support.frames))),
        ("support_proto", order.restore(list(&support.prototypes))),
        ("query_frames", list(&query.frames)),
        ("query_proto", list(&query.prototypes)),
    ]);
    let text = ClassTexts::of(class_text(check));
    let scores = model.scores(support, query, text, order.shot);
    let labels = |labels: &[usize]| {
        let labels: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
        let count = labels.len();
        Tensor::<2, Int>::from_data(TensorData::new(labels, [1, count]), device)
    };
    let labels = Labels { query: labels(&check.input("query_labels").labels()), support: labels(&order.sorted) };
    let loss = model.objective.loss(&scores, &labels);
    let p = model.objective.probabilities(&scores);
    let episode = &check.case["params"]["episode"];
    let number = |key: &str| episode[key].as_f64().unwrap();
    values.insert("distances", list(&scores.distances));
    values.insert("p", list(&p));
    values.insert("prediction", p.argmax(2).into_data().iter::<f64>().collect());
    values.insert("loss", list(&loss.total));
    let softmax = |tensor: Tensor<3>| list(&burn::tensor::activation::softmax(tensor, 2));
    values.insert("p_q2s", softmax(scores.distances.clone() * -number("metric_scale")));
    if let (Some(query), Some(support)) = (&scores.query_text, &scores.support_text) {
        let scale = number("logit_scale");
        values.insert("q2t_logits", list(&(query.clone() * scale)));
        values.insert("s2t_logits", order.restore(list(&(support.clone() * scale))));
        values.insert("p_q2t", softmax(query.clone() * scale));
    }
    for (name, part) in &loss.parts {
        let name = match *name {
            "q2s" => "loss_q2s",
            "s2t" => "loss_s2t",
            "q2t" => "loss_q2t",
            other => panic!("loss {other}"),
        };
        values.insert(name, list(part));
    }
    Scored { values, loss: loss.total, frames }
}

/// Frame features of both branches, from pixels.
fn frame_features(check: &Check, model: &FewShotModel, order: &Order, texts: Tensor<2>) -> (Tensor<3>, Tensor<3>) {
    let support = model.prefix(order.sort(check.clips("support_u8"), &check.set.device));
    model.episode(support, texts, model.prefix(check.clips("query_u8")))
}

/// A whole episode from pixels.
fn run(check: &Check, model: &FewShotModel) -> Scored {
    let order = Order::new(&check.input("support_labels").labels());
    let texts = select_rows(&class_text(check), &order.sorted);
    let (support, query) = frame_features(check, model, &order, texts.clone());
    let (support, query) = (model.support_prototypes(support, texts), model.query_prototypes(query));
    scored(check, model, support, query, &order)
}

fn compare(check: &mut Check, values: &BTreeMap<&'static str, Vec<f64>>) {
    for name in check.expected() {
        match values.get(name.as_str()) {
            Some(values) => check.value(&name, values),
            None => check.fail(format!("{name} is not computed")),
        }
    }
}

/// The values of a case by `run`. With α 0 no text is read, so what a case expects of the texts comes from α 1.
fn values(check: &Check, run: impl Fn(&FewShotModel) -> Scored) -> BTreeMap<&'static str, Vec<f64>> {
    let mut values = run(&model(check)).values;
    if !values.contains_key("loss_q2t") {
        let mut objective = recipe(check, &check.case["params"]["options"], small(), &Value::Null)
            .resolved
            .at("objective")
            .map(|node| node.to_json())
            .unwrap();
        objective["alpha"] = json!(1.0);
        let texts = run(&model_with(check, &json!({"objective": objective}))).values;
        values.extend(texts.into_iter().filter(|(name, _)| name.contains("2t")));
    }
    values
}

/// A backbone that is always there, where only the rest of a recipe matters.
fn small() -> Value {
    json!({"type": "clip_vit", "weights": "builtin:shapes_clip"})
}

pub fn episode(check: &mut Check) {
    let values = values(check, |model| run(check, model));
    compare(check, &values);
}

pub fn score(check: &mut Check) {
    let values = values(check, |model| {
        let device = &check.set.device;
        let order = Order::new(&check.input("support_labels").labels());
        let texts = select_rows(&class_text(check), &order.sorted);
        let frames = order.sort(check.input("support_frames").tensor::<3>(device), device);
        let support = model.support_prototypes(frames, texts);
        let query = model.query_prototypes(check.input("query_frames").tensor(device));
        scored(check, model, support, query, &order)
    });
    compare(check, &values);
}

/// Gradients by our path.
pub fn gradients_of<M: Module>(model: &M, grads: &GradientsParams) -> BTreeMap<String, Vec<f64>> {
    struct Collect<'a>(Vec<String>, &'a GradientsParams, BTreeMap<String, Vec<f64>>);
    impl ModuleVisitor for Collect<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(grad) = self.1.get::<D>(param.id) {
                self.2.insert(self.0.join("."), list(&grad));
            }
        }
    }
    let mut collect = Collect(Vec::new(), grads, BTreeMap::new());
    model.visit(&mut collect);
    collect.2
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m: f64, v| m.max(v.abs()))
}

pub fn gradients(check: &mut Check) {
    let model = model(check);
    let Scored { loss, frames, .. } = run(check, &model);
    let mut grads = loss.backward();
    let order = Order::new(&check.input("support_labels").labels());
    let of_frames = frames.map(|frames| frames.grad_remove(&mut grads));
    let mut got: BTreeMap<String, (String, Vec<f64>)> =
        gradients_of(&model, &GradientsParams::from_grads(grads, &model))
            .into_iter()
            .map(|(path, values)| (golden_name(&path), (path, values)))
            .collect();
    let [support, query] = of_frames;
    match (support, query) {
        (Some(support), Some(query)) => {
            got.insert("support_frames".into(), (String::new(), order.restore(list(&support))));
            got.insert("query_frames".into(), (String::new(), list(&query)));
        }
        // Autodiff keeps no gradient of inner tensors: the rest of the graph is run again from them.
        _ => {
            for (name, values) in frame_gradients(check, &model, &order) {
                got.insert(name.into(), (String::new(), values));
            }
        }
    }
    let stored = check.set.tensors(check.case["file"].as_str().unwrap());
    let limit = check.case["expected"]["rel_max"].as_f64().unwrap();
    let names: Vec<String> = serde_json::from_value(check.case["expected"]["names"].clone()).unwrap();
    if names.len() != got.len() {
        check.fail(format!("{} gradients, expected {}", got.len(), names.len()));
    }
    for name in names {
        let Some((path, values)) = got.get(&name) else {
            check.fail(format!("no gradient of {name}"));
            continue;
        };
        let want = ours(path, &stored[&name]);
        let error = values.iter().zip(&want).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max) / largest(&want);
        check.note(&name, if values.len() == want.len() { error } else { f64::NAN }, limit);
    }
}

/// Gradients of the loss for the frame features of both branches, taken as inputs.
fn frame_gradients(check: &Check, model: &FewShotModel, order: &Order) -> [(&'static str, Vec<f64>); 2] {
    let device = &check.set.device;
    let texts = select_rows(&class_text(check), &order.sorted);
    let (support, query) = frame_features(check, model, order, texts.clone());
    let leaf =
        |tensor: Tensor<3>| Tensor::<3>::from_data(tensor.into_data(), &device.clone().autodiff()).require_grad();
    let (support, query) = (leaf(support), leaf(query));
    let encoded = |frames: &Tensor<3>, prototypes: Tensor<3>| Encoded {
        frames: frames.clone(),
        given: frames.clone(),
        prototypes,
    };
    let rewritten = (model.prototype.support(support.clone(), texts), model.prototype.query(query.clone()));
    let scored = scored(check, model, encoded(&support, rewritten.0), encoded(&query, rewritten.1), order);
    let grads = scored.loss.backward();
    let gradient = |tensor: &Tensor<3>| list(&tensor.grad(&grads).expect("the features take part in the loss"));
    [("support_frames", order.restore(gradient(&support))), ("query_frames", gradient(&query))]
}

pub fn steps(check: &mut Check) {
    let mut model = model(check);
    let before = parameters::export(&model, true);
    let params = check.case["params"].clone();
    let hyper = &params["hyper"];
    let name = params["optimiser"].as_str().unwrap();
    let option = match name {
        "adamw" => json!({"type": "adamw", "learning_rate": hyper["lr"], "beta_1": hyper["betas"][0],
                          "beta_2": hyper["betas"][1], "epsilon": hyper["eps"], "weight_decay": hyper["weight_decay"]}),
        "sgd" => json!({"type": "sgd", "learning_rate": hyper["lr"], "momentum": hyper["momentum"],
                        "weight_decay": hyper["weight_decay"]}),
        other => panic!("optimiser {other}"),
    };
    let context = BuildContext::new(0, check.set.device.clone());
    let recipe = recipe(
        check,
        &params["options"],
        json!({"type": "clip_vit", "weights": "builtin:shapes_clip"}),
        &json!({"optimizer": option}),
    );
    let optimizer = recipe.build::<dyn Optimizer>(&context).unwrap_or_else(|error| panic!("{error}"));
    let mut stepper = Stepper::new(&*optimizer, &model).unwrap();
    let count = params["steps"].as_u64().unwrap();
    let mut gradients = BTreeMap::new();
    for step in 0..count {
        let grads = GradientsParams::from_grads(run(check, &model).loss.backward(), &model);
        if step == 0 {
            gradients = gradients_of(&model, &grads);
        }
        model = stepper.step(1.0, model, grads);
    }
    let expected = check.case["expected"].clone();
    let after = list(&run(check, &model).loss)[0];
    let error = (after - expected["loss_after"].as_f64().unwrap()).abs();
    check.note("loss_after", error, expected["loss_after_atol"].as_f64().unwrap());
    let stored = check.set.tensors(check.case["file"].as_str().unwrap());
    let atol = expected["atol"].as_f64().unwrap();
    let number = |key: &str| hyper[key].as_f64().unwrap();
    for (path, tensor) in parameters::export(&model, true) {
        let want = ours(&path, &stored[&golden_name(&path)]);
        let gradient = &gradients[&path];
        // Where there is almost no gradient, m / √v amplifies rounding: there only the size of the change is bounded.
        let solid = |i: usize| name == "sgd" || gradient[i].abs() > 1e-3 * largest(gradient) + 1e-6;
        let mut error = 0.0f64;
        for (i, want) in want.iter().enumerate() {
            let (got, old) = (f64::from(tensor.values[i]), f64::from(before[&path].values[i]));
            if solid(i) {
                error = error.max((got - want).abs() / atol);
            } else {
                let limit = count as f64 * number("lr") * (1.1 + number("weight_decay") * old.abs());
                error = error.max((got - old).abs() / limit);
            }
        }
        check.note(&golden_name(&path), error, 1.0);
    }
}

pub fn counts(check: &mut Check) {
    let table = check.set.json(check.case["file"].as_str().unwrap());
    for row in table["rows"].as_array().unwrap() {
        let backbone = json!({"type": "clip_vit", "weights": "absent", "architecture": row["arch"]});
        let recipe = recipe(check, &row["options"], backbone, &Value::Null);
        let mut context = BuildContext::new(0, check.set.device.clone());
        context.sizes_only = true;
        let model = FewShotModel::build(&recipe, &context, 8).unwrap_or_else(|error| panic!("{error}"));
        let params = parameters::count(&model);
        let sum = |slot: &str, part: &str| -> usize {
            let parts =
                params.parts.iter().filter(|entry| entry.slot == slot && (part.is_empty() || entry.part == part));
            parts.map(|entry| entry.total).sum()
        };
        for (name, want) in row["counts"].as_object().unwrap() {
            let got = match name.as_str() {
                "tpcm" => sum("prototype", ""),
                "clip" => sum("backbone", ""),
                "clip_visual" => sum("backbone", "visual"),
                "clip_text_and_scale" => sum("backbone", "") - sum("backbone", "visual"),
                "trainable" => params.trainable,
                "total" => params.total,
                part => sum("adapter", part),
            };
            let error = (got as f64 - want.as_f64().unwrap()).abs();
            check.note(&format!("{} {} {name}", row["arch"], row["options"]), error, 0.5);
        }
    }
}

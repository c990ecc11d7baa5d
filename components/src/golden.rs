//! MA-CLIP against an independent implementation: one whole episode and the gradient of every trainable tensor.
//!
//! Reads the folder in `MACLIP_GOLDEN` (default `../shared/golden/open`); visibly skipped where it is missing.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use maclip_framework::evaluation::select_rows;
use maclip_framework::model::FewShotModel;
use maclip_framework::parameters::{self, HostTensor};
use maclip_framework::recipe::read_str;
use maclip_framework::run::{BuildContext, Recipe};
use maclip_framework::slots::objective::Labels;
use maclip_framework::weights::{self, Precision};
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("MACLIP_GOLDEN")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/golden/open"));
    if folder.join("golden.json").is_file() {
        return Some(folder);
    }
    eprintln!("skipped: no golden.json in {} (give its folder as MACLIP_GOLDEN)", folder.display());
    None
}

/// Every tensor of a file as f64.
fn tensors(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f64>)> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let read = |view: &safetensors::tensor::TensorView| -> Vec<f64> {
        let data = view.data();
        match view.dtype() {
            Dtype::F32 => data.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
            Dtype::F64 => data.chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
            Dtype::I64 => data.chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
            Dtype::U8 => data.iter().map(|&b| b as f64).collect(),
            other => panic!("{other:?}"),
        }
    };
    file.tensors().iter().map(|(name, view)| (name.clone(), (view.shape().to_vec(), read(view)))).collect()
}

/// The name and layout of one of our tensors in the golden files.
fn golden_name(path: &str) -> (String, bool) {
    let name = path
        .replace("adapter.blocks.", "adapters.")
        .replace("prototype.attention.in_proj.", "tpcm.attn.in_proj_")
        .replace("prototype.attention.", "tpcm.attn.")
        .replace("prototype.", "tpcm.");
    (name, path.ends_with("weight"))
}

fn transpose(shape: &[usize], values: &[f64]) -> Vec<f64> {
    let (rows, columns) = (shape[0], shape[1]);
    (0..rows * columns).map(|p| values[(p % rows) * columns + p / rows]).collect()
}

struct Case {
    model: FewShotModel,
    case: serde_json::Value,
    folder: PathBuf,
    inputs: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
    _weights: tempfile::TempDir,
}

/// The model of case `id` with its frozen and trained weights.
fn case(id: &str) -> Option<Case> {
    let folder = folder()?;
    let golden: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("golden.json")).unwrap()).unwrap();
    let case = golden["cases"].as_array().unwrap().iter().find(|case| case["id"] == id).unwrap().clone();
    // The golden CLIP has neither published head counts nor a tokenizer: both are put beside it.
    let bytes = std::fs::read(folder.join(case["weights"].as_str().unwrap())).unwrap();
    let (clip, _) = weights::parse("clip", &bytes).unwrap();
    let shape = |name: &str| clip[name].shape.clone();
    let layers = |prefix: &str| {
        clip.keys().filter_map(|k| k.strip_prefix(prefix)?.split('.').next()?.parse::<usize>().ok()).max().unwrap() + 1
    };
    let patch = shape("visual.conv1.weight")[3];
    let architecture = serde_json::json!({
        "image_size": (shape("visual.positional_embedding")[0] - 1).isqrt() * patch, "patch_size": patch,
        "vision_width": shape("visual.conv1.weight")[0], "vision_layers": layers("visual.transformer.resblocks."),
        "vision_heads": case["params"]["vision_heads"], "embed_dim": shape("text_projection")[1],
        "context_length": shape("positional_embedding")[0], "text_width": shape("ln_final.weight")[0],
        "text_layers": layers("transformer.resblocks."), "text_heads": 1,
    });
    let words: Vec<String> = (258..shape("token_embedding.weight")[0]).map(|i| format!("word{i}")).collect();
    let about = BTreeMap::from([
        ("architecture".to_owned(), architecture.to_string()),
        ("vocabulary".to_owned(), serde_json::json!(words).to_string()),
    ]);
    let weights_folder = tempfile::tempdir().unwrap();
    let path = weights_folder.path().join("clip.safetensors");
    weights::write_atomically(&path, &weights::serialize(&clip, &about, Precision::F32).unwrap()).unwrap();

    let (options, episode) = (&case["params"]["options"], &case["params"]["episode"]);
    let text = format!(
        "name: golden
dataset: {{type: shapes_in_motion}}
backbone: {{type: clip_vit, weights: '{}'}}
adapter: {{type: multimodal, ratio: {}, joint_scale: {}}}
prototype: {{type: text_guided, heads: {}}}
alignment: {{type: otam, lambda: {}}}
objective: {{type: ma_clip, alpha: {}, text_scale: {}, kl_target_scale: {}}}
",
        path.display(),
        options["ratio"],
        options["joint_scale"],
        options["tpcm_heads"],
        episode["metric_params"]["lam"],
        episode["alpha"],
        episode["logit_scale"],
        episode["kl_target_scale"],
    );
    let recipe = Recipe::check(&read_str("golden.yaml", &text).unwrap()).unwrap();
    let model = FewShotModel::build(&recipe, &BuildContext::new(0, Device::flex()), 4).unwrap();
    let trained = tensors(&folder.join(case["trainable"].as_str().unwrap()));
    let ours = parameters::export(&model, true)
        .into_iter()
        .map(|(path, tensor)| {
            let (name, transposed) = golden_name(&path);
            let (shape, values) = &trained[&name];
            let values = if transposed { transpose(shape, values) } else { values.clone() };
            (path, HostTensor { shape: tensor.shape, values: values.iter().map(|&v| v as f32).collect() })
        })
        .collect();
    let model = parameters::import(model, ours, true).unwrap();
    let inputs = tensors(&folder.join("maclip_inputs.safetensors"));
    Some(Case { model, case, folder, inputs, _weights: weights_folder })
}

struct Run {
    values: BTreeMap<&'static str, Vec<f64>>,
    loss: Tensor<1>,
}

fn list<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.clone().into_data().iter::<f64>().collect()
}

impl Case {
    fn run(&self) -> Run {
        let device = Device::flex();
        let clips = |name: &str| {
            let (shape, values) = &self.inputs[name];
            let values: Vec<f32> = values.iter().map(|v| ((v - 128.0) / 64.0) as f32).collect();
            Tensor::<5>::from_data(TensorData::new(values, shape.clone()), &device)
        };
        let labels = |name: &str| -> Vec<usize> { self.inputs[name].1.iter().map(|&v| v as usize).collect() };
        let (shape, text) = &self.inputs["class_text"];
        let text: Vec<f32> = text.iter().map(|&v| v as f32).collect();
        let text = Tensor::<2>::from_data(TensorData::new(text, shape.clone()), &device);
        let (support_labels, query_labels) = (labels("support_labels"), labels("query_labels"));
        // Our support is ordered by class.
        let mut order: Vec<usize> = (0..support_labels.len()).collect();
        order.sort_by_key(|&i| support_labels[i]);
        let rows: Vec<i32> = order.iter().map(|&i| i as i32).collect();
        let pixels = clips("support_u8").select(0, Tensor::<1, Int>::from_data(rows.as_slice(), &device));
        let sorted: Vec<usize> = order.iter().map(|&i| support_labels[i]).collect();
        let support = self.model.support(pixels, select_rows(&text, &sorted, &device));
        let query = self.model.query(clips("query_u8"));
        let per_clip = |tensor: &Tensor<3>| -> Vec<f64> {
            let [s, t, e] = tensor.dims();
            let (sorted, mut restored) = (list(tensor), vec![0.0; s * t * e]);
            for (row, &i) in order.iter().enumerate() {
                restored[i * t * e..(i + 1) * t * e].copy_from_slice(&sorted[row * t * e..(row + 1) * t * e]);
            }
            restored
        };
        let mut values = BTreeMap::from([
            ("support_frames", per_clip(&support.frames)),
            ("support_proto", per_clip(&support.prototypes)),
            ("query_frames", list(&query.frames)),
            ("query_proto", list(&query.prototypes)),
        ]);
        let shot = self.case["params"]["shot"].as_u64().unwrap() as usize;
        let scores = self.model.scores(support, query, text, shot);
        let labels = |labels: &[usize]| {
            let labels: Vec<i32> = labels.iter().map(|&l| l as i32).collect();
            Tensor::<2, Int>::from_data(TensorData::new(labels.clone(), [1, labels.len()]), &device)
        };
        let loss =
            self.model.objective.loss(&scores, &Labels { query: labels(&query_labels), support: labels(&sorted) });
        values.insert("distances", list(&scores.distances));
        values.insert("p", list(&self.model.objective.probabilities(&scores)));
        values.insert("loss", list(&loss.total));
        for (name, part) in &loss.parts {
            let name = match *name {
                "q2s" => "loss_q2s",
                "s2t" => "loss_s2t",
                _ => "loss_q2t",
            };
            values.insert(name, list(part));
        }
        Run { values, loss: loss.total }
    }
}

#[test]
fn golden_episode_agrees() {
    let Some(case) = case("maclip.episode") else { return };
    let expected = tensors(&case.folder.join(case.case["file"].as_str().unwrap()));
    for (name, got) in case.run().values {
        let rule = &case.case["expected"][name];
        let (atol, rtol) = (rule["atol"].as_f64().unwrap(), rule["rtol"].as_f64().unwrap());
        let want = &expected[rule["tensor"].as_str().unwrap()].1;
        assert_eq!(got.len(), want.len(), "{name}");
        let error = got.iter().zip(want).map(|(g, w)| (g - w).abs() / (atol + rtol * w.abs())).fold(0.0, f64::max);
        eprintln!("{name}: largest error {error:.3} of the tolerance");
        assert!(error <= 1.0, "{name}: {error} times the tolerance");
    }
}

#[test]
fn golden_gradients_agree() {
    let Some(case) = case("maclip.gradients") else { return };
    let expected = tensors(&case.folder.join(case.case["file"].as_str().unwrap()));
    let grads = GradientsParams::from_grads(case.run().loss.backward(), &case.model);
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
    let mut collect = Collect(Vec::new(), &grads, BTreeMap::new());
    case.model.visit(&mut collect);
    assert_eq!(collect.2.len(), parameters::export(&case.model, true).len());
    let rule = &case.case["expected"];
    let limit = rule["rel_max"].as_f64().unwrap();
    let mut worst = (0.0, String::new());
    for (path, got) in collect.2 {
        let (name, transposed) = golden_name(&path);
        let (shape, want) = expected.get(&name).or_else(|| expected.get(&format!("grad.{name}"))).expect(&name);
        let want = if transposed { transpose(shape, want) } else { want.clone() };
        let scale = want.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let error = got.iter().zip(&want).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max) / scale;
        if error > worst.0 {
            worst = (error, name.clone());
        }
        assert!(error <= limit, "{name}: {error} of the largest value, allowed {limit}");
    }
    eprintln!(
        "gradients: largest error {:.2e} of a tensor's largest value ({}), allowed {limit:.0e}",
        worst.0, worst.1
    );
}

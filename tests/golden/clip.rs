//! CLIP itself: both towers from every format, structures, tokens, preprocessing.

use crate::set::{Check, list};
use burn::tensor::{Int, Tensor, TensorData};
use maclip_components::adapters::no_adapter;
use maclip_components::backbones::clip::text_tower::causal_mask;
use maclip_components::backbones::clip::tokenizer::{LongTexts, Tokenizer};
use maclip_components::backbones::clip::{Clip, names};
use maclip_components::backbones::clip_vit::ClipVitConfig;
use maclip_framework::images;
use maclip_framework::model::parameters;
use maclip_framework::registry::BuildContext;
use maclip_framework::slots::adapter::{Adapter, Branch};
use maclip_framework::slots::backbone::Backbone;
use maclip_framework::slots::block::FrozenBlock;
use maclip_framework::slots::explanation::normalize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The CLIP of a case's weights.
fn load(check: &Check) -> Clip {
    let heads = check.set.heads();
    let config = ClipVitConfig {
        weights: check.set.folder.join(check.case["weights"].as_str().unwrap()).display().to_string(),
        vision_heads: Some(heads.0 as usize),
        text_heads: Some(heads.1 as usize),
        ..ClipVitConfig::default()
    };
    config.clip(&BuildContext::new(0, check.set.device.clone())).unwrap_or_else(|error| panic!("{error}"))
}

/// What enters and leaves each block of the image tower.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub input: Vec<Tensor<4>>,
    pub output: Vec<Tensor<4>>,
    /// Arguments of the frozen norms, in the order of the calls.
    pub ln_1: Vec<Vec<Tensor<3>>>,
    pub ln_2: Vec<Vec<Tensor<3>>>,
}

/// An adapter that does what `inner` does and writes down what passes.
#[derive(burn::module::Module, Debug)]
pub struct Spy {
    inner: maclip_framework::slots::module::Slot<dyn Adapter>,
    #[module(skip)]
    pub seen: Arc<Mutex<Seen>>,
}

impl Spy {
    pub fn new(inner: Box<dyn Adapter>) -> Self {
        Self { inner: maclip_framework::slots::module::Slot::new(inner), seen: Arc::default() }
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }
}

struct SpyBlock<'a> {
    block: &'a dyn FrozenBlock,
    ln_1: Mutex<Vec<Tensor<3>>>,
    ln_2: Mutex<Vec<Tensor<3>>>,
}

impl FrozenBlock for SpyBlock<'_> {
    fn ln_1(&self, x: Tensor<3>) -> Tensor<3> {
        self.ln_1.lock().unwrap().push(x.clone());
        self.block.ln_1(x)
    }
    fn attention(&self, x: Tensor<3>) -> Tensor<3> {
        self.block.attention(x)
    }
    fn attention_shifted(&self, x: Tensor<3>, shift: Tensor<3>) -> Tensor<3> {
        self.block.attention_shifted(x, shift)
    }
    fn attention_masked(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        self.block.attention_masked(x, mask)
    }
    fn ln_2(&self, x: Tensor<3>) -> Tensor<3> {
        self.ln_2.lock().unwrap().push(x.clone());
        self.block.ln_2(x)
    }
    fn mlp(&self, x: Tensor<3>) -> Tensor<3> {
        self.block.mlp(x)
    }
}

impl Adapter for Spy {
    fn adapts(&self, _: usize) -> bool {
        true
    }
    fn scope(&self) -> maclip_framework::slots::Scope {
        self.inner.scope()
    }
    fn needs_text(&self) -> bool {
        self.inner.needs_text()
    }
    fn forward(&self, index: usize, block: &dyn FrozenBlock, x: Tensor<4>, branch: &Branch, first: usize) -> Tensor<4> {
        let tokens = x.dims()[2];
        let spied = SpyBlock { block, ln_1: Mutex::default(), ln_2: Mutex::default() };
        let output = if self.inner.adapts(index) {
            self.inner.forward(index, &spied, x.clone(), branch, tokens)
        } else {
            no_adapter().forward(index, &spied, x.clone(), branch, tokens)
        };
        let mut seen = self.seen.lock().unwrap();
        seen.input.push(x);
        seen.output.push(output.clone());
        seen.ln_1.push(spied.ln_1.into_inner().unwrap());
        seen.ln_2.push(spied.ln_2.into_inner().unwrap());
        output.narrow(2, 0, first)
    }
}

/// The token ids of input `name`, and where each text ends.
pub fn ids(check: &Check, name: &str) -> (Tensor<2, Int>, Vec<usize>) {
    let ids = check.input(name);
    let rows: Vec<&[f64]> = ids.values.chunks(ids.shape[1]).collect();
    // The first place of the largest id.
    let ends = rows.iter().map(|row| {
        let largest = row.iter().cloned().fold(f64::MIN, f64::max);
        row.iter().position(|id| *id == largest).unwrap()
    });
    let values: Vec<i32> = ids.values.iter().map(|id| *id as i32).collect();
    (Tensor::from_data(TensorData::new(values, ids.shape.clone()), &check.set.device), ends.collect())
}

pub fn towers(check: &mut Check) {
    let clip = load(check);
    let pixels: Tensor<4> = check.input("pixel_values").tensor(&check.set.device);
    let spy = Spy::new(no_adapter());
    // [B, 3, H, W] → B clips of one frame.
    let image = clip.encode_clips(pixels.unsqueeze_dim(1), &spy, &Branch::Query);
    let image: Tensor<2> = image.squeeze_dim(1);
    let (ids, ends) = ids(check, "input_ids");
    let text = clip.text.forward(ids.clone(), &ends);
    let unit = (normalize(image.clone()), normalize(text.clone()));
    let scale = clip.logit_scale.val().exp().reshape([1, 1]);
    let mut got = BTreeMap::from([
        ("image_embeds".to_owned(), list(&image)),
        ("text_embeds".to_owned(), list(&text)),
        ("image_embeds_unit".to_owned(), list(&unit.0)),
        ("text_embeds_unit".to_owned(), list(&unit.1)),
        ("logits_per_image".to_owned(), list(&(unit.0.matmul(unit.1.transpose()) * scale))),
    ]);
    let seen = spy.seen();
    for (index, hidden) in seen.input.iter().chain(seen.output.last()).enumerate() {
        got.insert(format!("vision_hidden.{index}"), list(hidden));
    }
    let mask = causal_mask(&ids);
    let mut x = clip.text.embed(ids);
    got.insert("text_hidden.0".to_owned(), list(&x));
    for (index, block) in clip.text.blocks().iter().enumerate() {
        x = block.forward_masked(x, mask.clone());
        got.insert(format!("text_hidden.{}", index + 1), list(&x));
    }
    for name in check.expected() {
        match got.get(&name) {
            Some(values) => check.value(&name, values),
            None => check.fail(format!("{name} is not computed")),
        }
    }
}

pub fn text(check: &mut Check) {
    let clip = load(check);
    let (ids, ends) = ids(check, "input_ids");
    let features = clip.text.forward(ids, &ends);
    check.value("text_embeds", &list(&features));
}

pub fn frozen(check: &mut Check) {
    let clip = load(check);
    let features = clip.encode_clips(check.clips("clips_u8"), &*no_adapter(), &Branch::Query);
    check.value("frames", &list(&features));
}

pub fn structures(check: &mut Check) {
    let table = check.set.json(check.case["file"].as_str().unwrap());
    for (name, row) in table.as_object().unwrap() {
        let sizes = &row["sizes"];
        let architecture = [
            "image_size",
            "patch_size",
            "vision_width",
            "vision_layers",
            "vision_heads",
            "embed_dim",
            "context_length",
            "text_width",
            "text_layers",
            "text_heads",
        ]
        .map(|key| (key.to_owned(), sizes[key].clone()));
        let architecture = serde_json::Value::Object(architecture.into_iter().collect());
        let config: ClipVitConfig =
            serde_json::from_value(serde_json::json!({"weights": "absent", "architecture": architecture})).unwrap();
        let mut context = BuildContext::new(0, check.set.device.clone());
        context.sizes_only = true;
        let clip = config.clip(&context).unwrap_or_else(|error| panic!("{error}"));
        let total: u64 = parameters::count(&clip).total as u64;
        check.note(&format!("{name} total"), (total as f64 - row["counts"]["total"].as_f64().unwrap()).abs(), 0.5);
        let shapes = |table: &serde_json::Value| -> BTreeMap<String, Vec<usize>> {
            serde_json::from_value(table.clone()).unwrap()
        };
        let ours: BTreeMap<String, Vec<usize>> = names::to_openai(parameters::export(&clip, false))
            .into_iter()
            // One number is written with one axis here and with none there.
            .map(|(name, tensor)| (name.clone(), if name == "logit_scale" { Vec::new() } else { tensor.shape }))
            .collect();
        drop(clip);
        let openai = shapes(&row["openai"]);
        check.note(&format!("{name} names and shapes"), f64::from(ours != openai), 0.5);
        let zeros = shapes(&row["hf"]).into_iter().map(|(name, shape)| {
            let values = vec![0.0; shape.iter().product()];
            (name, maclip_framework::weights::HostTensor { shape, values })
        });
        let renamed: BTreeMap<String, Vec<usize>> = names::from_hugging_face(zeros.collect())
            .unwrap_or_else(|error| panic!("{error}"))
            .into_iter()
            .map(|(name, tensor)| (name, tensor.shape))
            .collect();
        check.note(&format!("{name} renamed"), f64::from(renamed != openai), 0.5);
    }
}

pub fn tokens(check: &mut Check) {
    let table = check.set.json(check.case["file"].as_str().unwrap());
    let length = table["context_length"].as_u64().unwrap() as usize;
    for row in table["cases"].as_array().unwrap() {
        let text = row["text"].as_str().unwrap();
        let want: Vec<i32> = serde_json::from_value(row["ids"].clone()).unwrap();
        let got = Tokenizer::OpenAi.encode(text, length, LongTexts::Cut).unwrap_or_else(|error| panic!("{error}"));
        if got != want {
            check.fail(format!("{text:?}: {got:?}, expected {want:?}"));
        }
        check.compared += 1;
    }
}

pub fn preprocess(check: &mut Check) {
    let open = |name: &str| {
        let bytes = std::fs::read(check.set.folder.join(name)).unwrap();
        let mut png = zune_png::PngDecoder::new(zune_png::zune_core::bytestream::ZCursor::new(&bytes));
        let pixels = png.decode().unwrap().u8().expect("8-bit PNG");
        let (width, height) = png.dimensions().unwrap();
        (pixels, width, height)
    };
    let size = check.case["params"]["size"].as_u64().unwrap() as usize;
    let (pixels, width, height) = open(check.case["image"].as_str().unwrap());
    let expected = check.case["expected"].clone();
    let (want, _, _) = open(expected["crop_png"].as_str().unwrap());
    let crop = images::resize_crop_rgb(&pixels, width, height, size).unwrap_or_else(|error| panic!("{error}"));
    let differences: Vec<f64> = crop.iter().zip(&want).map(|(a, b)| f64::from(a.abs_diff(*b))).collect();
    let allowed = &expected["tolerance_u8"];
    check.note("crop, largest", differences.iter().cloned().fold(0.0, f64::max), allowed["max"].as_f64().unwrap());
    let mean = differences.iter().sum::<f64>() / differences.len() as f64;
    check.note("crop, mean", mean, allowed["mean"].as_f64().unwrap());
    let rule = &expected["normalized"];
    let stored = check.set.tensors(rule["file"].as_str().unwrap())[rule["tensor"].as_str().unwrap()].clone();
    let step = rule["row_step"].as_u64().unwrap() as usize;
    let constants = |key: &str| -> [f32; 3] { serde_json::from_value(check.case["params"][key].clone()).unwrap() };
    let (mean, std) = (constants("mean"), constants("std"));
    for (name, pixels, allowed) in [
        ("normalised, from the crop", &want, "atol_from_crop_png"),
        ("normalised, end to end", &crop, "atol_end_to_end"),
    ] {
        let values = images::to_tensor_values(pixels, mean, std);
        let rows = values.chunks(size).enumerate().filter(|(row, _)| (row % size).is_multiple_of(step));
        let got: Vec<f64> = rows.flat_map(|(_, row)| row).map(|value| f64::from(*value)).collect();
        assert_eq!(got.len(), stored.values.len());
        let error = got.iter().zip(&stored.values).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max);
        check.note(name, error, rule[allowed].as_f64().unwrap());
    }
}

//! Features of an exported model on pixels that every program can make: what `check.py` compares with.

use super::ClassTexts;
use burn::tensor::{Device, Tensor, TensorData};
use maclip_framework::model::few_shot::FewShotModel;
use maclip_framework::slots::adapter::Branch;
use maclip_framework::weights::HostTensor;
use std::collections::BTreeMap;

/// Clips of the comparison: two supports of two classes, then two queries.
const CLIPS: usize = 4;

/// Whether the forward pass in `ma_clip.py` covers a model with these options of its slots, which has its backbone
/// beside it or not; else why not.
pub fn covered(slots: &serde_json::Map<String, serde_json::Value>, with_backbone: bool) -> Result<(), String> {
    let kind = |slot: &str| slots.get(slot).and_then(|options| options["type"].as_str()).unwrap_or("none");
    let known: [(&str, &[&str]); 3] = [
        ("backbone", &["clip_vit"]),
        ("adapter", &["none", "full", "last_blocks", "lora", "multimodal"]),
        ("prototype", &["none", "text_guided"]),
    ];
    for (slot, names) in known {
        if !names.contains(&kind(slot)) {
            return Err(format!("it has no {slot} `{}`", kind(slot)));
        }
    }
    let not = |slot: &str, key: &str, value: &str| slots.get(slot).is_some_and(|options| options[key] == value);
    if not("adapter", "query_text", "mean") {
        return Err("it has no `query_text: mean` of the adapter `multimodal`".to_owned());
    }
    if not("prototype", "average_shots", "before") {
        return Err("it has no `average_shots: before` of the prototype `text_guided`".to_owned());
    }
    let resized = slots.get("backbone").is_some_and(|options| !options["image_size"].is_null());
    if resized && !with_backbone {
        let why = "it does not change the image size of a backbone as `backbone.image_size` does; an export with \
                   `--with-backbone` has the changed one";
        return Err(why.to_owned());
    }
    Ok(())
}

/// Value `index` of the clips: any program computes it exactly.
fn pixel(index: usize) -> f32 {
    (index * 7919 % 2003) as f32 / 1000.0 - 1.0
}

/// Features of `model`, which has no gradients, by the names that `check.py` has for them. `texts` are those of two
/// classes.
pub fn features(model: &FewShotModel, frames: usize, texts: &ClassTexts) -> BTreeMap<String, HostTensor> {
    let (side, device) = (model.backbone.geometry().image_size, Device::flex());
    let values: Vec<f32> = (0..CLIPS * frames * 3 * side * side).map(pixel).collect();
    let pixels = Tensor::<5>::from_data(TensorData::new(values, [CLIPS, frames, 3, side, side]), &device);
    let (supports, queries) = (pixels.clone().narrow(0, 0, 2), pixels.narrow(0, 2, 2));
    let text = texts.clone();
    let encode = |pixels, branch: &Branch| model.backbone.encode_clips(pixels, &*model.adapter, branch);
    let support_frames = encode(supports, &Branch::Support { text: &text });
    let query_frames = encode(queries, &Branch::Query);
    let support = model.support_prototypes(support_frames.clone(), text.clone()).prototypes;
    let query = model.query_prototypes(query_frames.clone()).prototypes;
    let [_, t, e] = support.dims();
    let classes = support.clone().reshape([1, 2, 1, t, e]);
    let distances = model.align(query.clone().unsqueeze(), classes, text.clone().unsqueeze()).distances;
    let mut found = BTreeMap::new();
    let mut keep = |name: &str, shape: Vec<usize>, data: TensorData| {
        found.insert(name.to_owned(), HostTensor { shape, values: data.iter::<f32>().collect() });
    };
    keep("texts", text.dims().to_vec(), text.into_data());
    for (name, tensor) in
        [("support_frames", support_frames), ("query_frames", query_frames), ("support", support), ("query", query)]
    {
        keep(name, tensor.dims().to_vec(), tensor.into_data());
    }
    keep("distances", distances.dims()[1..].to_vec(), distances.into_data());
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_backbone_of_another_image_size_must_come_along() {
        let slots = |side: serde_json::Value| {
            let slots = json!({"backbone": {"type": "clip_vit", "image_size": side}});
            slots.as_object().cloned().unwrap_or_default()
        };
        assert_eq!(covered(&slots(json!(null)), false), Ok(()));
        assert_eq!(covered(&slots(json!(48)), true), Ok(()));
        assert!(covered(&slots(json!(48)), false).unwrap_err().contains("--with-backbone"));
    }
}

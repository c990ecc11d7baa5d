//! LoRA as an adapter of PEFT, for `CLIPModel` of transformers.
//!
//! Source: the files that PEFT itself writes (`PeftModel.save_pretrained`): names are the modules' own after
//! `base_model.model.`, A is `[r, D]` and B `[D, r]`, the change is α / r · B A.

use maclip_framework::error::{Error, Result};
use maclip_framework::runs::model_folder::Placed;
use maclip_framework::weights::HostTensor;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What stands before the names of the image tower's blocks in PEFT's file.
const BLOCKS: &str = "base_model.model.vision_model.encoder.layers";

/// Whether a model with these options of its slots is LoRA in a `CLIPModel`, and else why not; `None` where it has
/// another adapter.
pub fn covered(slots: &Map<String, Value>) -> Option<std::result::Result<(), String>> {
    let kind = |slot: &str| slots.get(slot).and_then(|options| options["type"].as_str()).unwrap_or("none");
    match kind("backbone") {
        _ if kind("adapter") != "lora" => None,
        "clip_vit" => Some(Ok(())),
        other => Some(Err(format!("PEFT's files are for a `CLIPModel`, and the backbone `{other}` is none"))),
    }
}

/// The tensors and the config of PEFT's adapter. `tensors` are those of the file with their `placed` names, `adapter`
/// has the options of LoRA, and `base` names the checkpoint that it was trained on.
///
/// # Errors
/// Where `tensors` are not those of LoRA.
pub fn adapter(
    tensors: &BTreeMap<String, HostTensor>,
    placed: &BTreeMap<String, Placed>,
    adapter: &Value,
    base: Option<&str>,
) -> Result<(BTreeMap<String, HostTensor>, Value)> {
    let (mut renamed, mut layers, mut projections) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    for name in placed.iter().filter(|(_, placed)| placed.path.starts_with("adapter.")).map(|(name, _)| name) {
        let parts = name.strip_prefix("visual.transformer.resblocks.").and_then(|rest| rest.split_once(".attn."));
        let place = parts.and_then(|(number, rest)| Some((number.parse::<usize>().ok()?, rest)));
        let (Some((number, rest)), Some(tensor)) = (place, tensors.get(name)) else {
            return Err(Error::failed(format!("{name} is no tensor of LoRA")));
        };
        layers.insert(number);
        projections.extend(rest.split('.').next());
        renamed.insert(format!("{BLOCKS}.{number}.self_attn.{rest}"), tensor.clone());
    }
    let (rank, alpha) = (&adapter["rank"], &adapter["alpha"]);
    let layers: Vec<String> = layers.iter().map(usize::to_string).collect();
    let projections: Vec<&str> = projections.into_iter().collect();
    // A text is a pattern that the whole name matches; a list of names would also mean the text tower's.
    let target =
        format!(r".*vision_model\.encoder\.layers\.({})\.self_attn\.({})", layers.join("|"), projections.join("|"));
    let config = json!({
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "modules_to_save": null,
        "peft_type": "LORA",
        "r": rank,
        "target_modules": target,
        "task_type": null,
        "use_rslora": false,
    });
    Ok((renamed, config))
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;
    use crate::conformance;
    use maclip_framework::model::parameters;

    #[test]
    fn names_shapes_and_options_are_those_that_peft_reads() {
        let model = conformance::model::built(&[(
            "adapter",
            "{type: lora, rank: 4, alpha: 6, on: [query, value], at: {last: 2}}",
        )]);
        let options = json!({"type": "lora", "rank": 4, "alpha": 6.0});
        let placed = names::placed(&model, &options);
        let trained = parameters::export(&model, true);
        let written = |placed: &Placed| placed.layout.written(trained[&placed.path].clone());
        let tensors = placed.iter().map(|(name, placed)| (name.clone(), written(placed))).collect();
        let (found, config) = adapter(&tensors, &placed, &options, None).unwrap();
        // Two matrices of two projections in two of six blocks; the embedded CLIP has D = 192.
        assert_eq!(found.len(), 8);
        let shape = |part: &str| found[&format!("{BLOCKS}.4.self_attn.{part}.weight")].shape.clone();
        assert_eq!((shape("q_proj.lora_A"), shape("v_proj.lora_B")), (vec![4, 192], vec![192, 4]));
        assert_eq!(
            (&config["r"], &config["lora_alpha"], &config["peft_type"]),
            (&json!(4), &json!(6.0), &json!("LORA"))
        );
        let target = r".*vision_model\.encoder\.layers\.(4|5)\.self_attn\.(q_proj|v_proj)";
        assert_eq!(config["target_modules"], target);
    }

    #[test]
    fn lora_in_another_backbone_than_a_clip_is_not_for_it() {
        let of = |backbone: &str, adapter: &str| {
            let slots = json!({"backbone": {"type": backbone}, "adapter": {"type": adapter}});
            covered(slots.as_object().unwrap())
        };
        assert_eq!((of("clip_vit", "lora"), of("vit", "aim")), (Some(Ok(())), None));
        assert!(of("vit", "lora").unwrap().unwrap_err().contains("`vit` is none"));
    }
}

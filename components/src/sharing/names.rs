//! What trained tensors are called in an exported file: as in OpenAI's code of CLIP, and as in the public code of an
//! adapter where there is some. What has no public name keeps the path of its parameter.

use crate::backbones::clip::names::{layout_of, openai_name};
use maclip_framework::model::few_shot::FewShotModel;
use maclip_framework::model::parameters;
use maclip_framework::runs::model_folder::Placed;
use maclip_framework::weights::Layout;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// AIM's public code, whose adapters MA-CLIP's are too: parts of a block, ours and theirs.
const AIM: [(&str, &str); 8] = [
    ("temporal_in.", "T_Adapter_in."),
    ("temporal.", "T_Adapter."),
    ("spatial.", "S_Adapter."),
    ("multimodal.", "M_Adapter."),
    ("joint.", "MLP_Adapter."),
    ("text_fc.", "TextFC."),
    ("down.", "D_fc1."),
    ("up.", "D_fc2."),
];
/// PEFT's names of LoRA's matrices, in the attention of a block.
const LORA: [(&str, &str); 5] = [
    ("query.", "attn.q_proj."),
    ("key.", "attn.k_proj."),
    ("value.", "attn.v_proj."),
    (".a", ".lora_A.weight"),
    (".b", ".lora_B.weight"),
];
/// The adapter of ST-Adapter's public code.
const ST_ADAPTER: [(&str, &str); 4] =
    [("down.", "fc1."), ("up.", "fc2."), ("kernel_bias", "conv.bias"), ("kernel", "conv.weight")];

/// Every trained tensor of `model`, which has the adapter with these options, by its name in the file.
pub fn placed(model: &FewShotModel, adapter: &Value) -> BTreeMap<String, Placed> {
    let linear = parameters::linear_weights(model);
    let paths = parameters::export(model, true).into_keys();
    paths
        .map(|path| {
            let (name, layout) = one(&path, adapter, &linear);
            (name, Placed { path, layout })
        })
        .collect()
}

fn one(path: &str, adapter: &Value, linear: &BTreeSet<String>) -> (String, Layout) {
    if let Some(own) = path.strip_prefix("backbone.") {
        return (openai_name(own), layout_of(own));
    }
    let usual = if linear.contains(path) { Layout::Transposed } else { Layout::Same };
    if let Some((name, layout)) = path.strip_prefix("adapter.").and_then(|own| of_adapter(own, adapter)) {
        return (name, layout.unwrap_or(usual));
    }
    (torch_name(&path.replacen("prototype.layer.", "prototype.", 1)), usual)
}

/// The public name of the tensor at `path` below the adapter, and its layout where it is no linear layer's.
fn of_adapter(path: &str, adapter: &Value) -> Option<(String, Option<Layout>)> {
    let kind = adapter["type"].as_str()?;
    let renamed = |rest: &str, names: &[(&str, &str)]| {
        names.iter().fold(rest.to_owned(), |name, (ours, theirs)| match ours.starts_with('.') {
            true => name.strip_suffix(ours).map_or(name.clone(), |stem| format!("{stem}{theirs}")),
            // A part of a name must not be taken for the whole: `up.` is no end of `group.`.
            false => match name.split_once(ours) {
                Some((before, after)) if before.is_empty() || before.ends_with('.') => {
                    format!("{before}{theirs}{after}")
                }
                _ => name,
            },
        })
    };
    let (place, number, rest) = match path.split_once('.')? {
        (place, rest) if place != "text_fc" => {
            let (number, rest) = rest.split_once('.')?;
            (place, number, rest)
        }
        // One for all blocks.
        (_, rest) => return (kind == "multimodal").then(|| (format!("visual.TextFC.{rest}"), None)),
    };
    let block = format!("visual.transformer.resblocks.{number}");
    match (kind, place) {
        ("multimodal" | "aim", "blocks") => Some((format!("{block}.{}", renamed(rest, &AIM)), None)),
        ("lora", "blocks") => Some((format!("{block}.{}", renamed(rest, &LORA)), Some(Layout::Transposed))),
        ("st_adapter", _) => {
            let before_mlp = place == "before_mlp" || adapter["place"] == "mlp";
            let place = if before_mlp { "adapter_pre_mlp" } else { "adapter_pre_attn" };
            let sides: Option<[usize; 3]> = serde_json::from_value(adapter["kernel"].clone()).ok();
            let taps = (rest == "kernel").then(|| Layout::Taps(sides.unwrap_or_default()));
            Some((format!("{block}.{place}.{}", renamed(rest, &ST_ADAPTER)), taps))
        }
        _ => None,
    }
}

/// A path with the names that PyTorch has for the same layers.
fn torch_name(path: &str) -> String {
    path.replace(".in_proj.", ".in_proj_").replace(".gamma", ".weight").replace(".beta", ".bias")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;
    use serde_json::json;

    fn names(slots: &[(&str, &str)], adapter: Value) -> BTreeMap<String, Placed> {
        placed(&conformance::model::built(slots), &adapter)
    }

    #[test]
    fn names_and_shapes_are_those_of_public_code() {
        let ours = names(
            &[("adapter", "{type: multimodal, temporal_adapters: 2}"), ("prototype", "{type: text_guided}")],
            json!({"type": "multimodal"}),
        );
        for (name, path, layout) in [
            ("visual.transformer.resblocks.0.T_Adapter_in.D_fc1.weight", "blocks.0.temporal_in.down.weight", true),
            ("visual.transformer.resblocks.1.T_Adapter.D_fc2.bias", "blocks.1.temporal.up.bias", false),
            ("visual.transformer.resblocks.1.M_Adapter.D_fc1.bias", "blocks.1.multimodal.down.bias", false),
            ("visual.transformer.resblocks.0.MLP_Adapter.D_fc1.weight", "blocks.0.joint.down.weight", true),
            ("visual.transformer.resblocks.0.TextFC.weight", "blocks.0.text_fc.weight", true),
        ] {
            let layout = if layout { Layout::Transposed } else { Layout::Same };
            assert_eq!(ours[name], Placed { path: format!("adapter.{path}"), layout }, "{name}");
        }
        let packed = &ours["prototype.attention.in_proj_weight"];
        assert_eq!(
            (packed.path.as_str(), packed.layout),
            ("prototype.layer.attention.in_proj.weight", Layout::Transposed)
        );
        assert!(ours.contains_key("prototype.fc1.weight") && ours.keys().all(|name| !name.contains(".blocks.")));

        let lora = names(&[("adapter", "{type: lora, on: [key]}")], json!({"type": "lora"}));
        let a = &lora["visual.transformer.resblocks.0.attn.k_proj.lora_A.weight"];
        assert_eq!((a.path.as_str(), a.layout), ("adapter.blocks.0.key.a", Layout::Transposed));
        let aim = names(&[("adapter", "{type: aim}")], json!({"type": "aim"}));
        assert!(aim.contains_key("visual.transformer.resblocks.0.S_Adapter.D_fc1.weight"));
        assert_eq!(aim["visual.ln_post.weight"].path, "backbone.visual.ln_post.gamma");
        let options = json!({"type": "st_adapter", "place": "both", "kernel": [3, 1, 1]});
        let st = names(&[("adapter", "{type: st_adapter, place: both}")], options);
        let kernel = &st["visual.transformer.resblocks.1.adapter_pre_mlp.conv.weight"];
        assert_eq!((kernel.path.as_str(), kernel.layout), ("adapter.before_mlp.1.kernel", Layout::Taps([3, 1, 1])));
        assert!(st.contains_key("visual.transformer.resblocks.1.adapter_pre_attn.fc2.bias"));
    }

    #[test]
    fn every_adapter_and_prototype_has_a_name_for_each_tensor() {
        for slot in ["adapter", "prototype", "alignment"] {
            let entries = maclip_framework::registry::slots().find(|known| known.name == slot).unwrap();
            for entry in (entries.components)() {
                let options =
                    entry.info.usage.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
                let written = format!("{{type: {}, {options}}}", entry.info.name).replace(", }", "}");
                let beside = conformance::model::prototype_beside(slot, entry.info.name);
                let chosen: Vec<_> =
                    beside.map(|it| ("prototype", it)).into_iter().chain([(slot, &*written)]).collect();
                let model = conformance::model::built(&chosen);
                let adapter =
                    if slot == "adapter" { json!({"type": entry.info.name, "kernel": [3, 1, 1]}) } else { json!({}) };
                let names = placed(&model, &adapter);
                let trained = parameters::export(&model, true);
                assert_eq!(names.len(), trained.len(), "{slot} {}: two tensors of one name", entry.info.name);
                for Placed { path, layout } in names.values() {
                    assert_eq!(layout.read(layout.written(trained[path].clone())), trained[path], "{path}");
                }
            }
        }
    }
}

//! What stands before and between the names that a model gives its tensors: wrappers of torch, and the place of the
//! model in a larger one.

use super::names::Renamed;
use maclip_framework::error::{Error, Result};
use maclip_framework::weights::HostTensor;
use maclip_language::first_of;
use std::collections::{BTreeMap, BTreeSet};

type Tensors = BTreeMap<String, HostTensor>;

/// Parts of names that torch's wrappers add (DataParallel, `torch.compile`, FSDP, activation checkpointing), at the
/// front or inside. No model here has such a part in its own names.
const WRAPPERS: [&str; 4] = ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];
/// Tensors that every model of a kind has, in the order in which they decide: CLIP's image tower, an image transformer,
/// CLIP's text tower alone, CLIP's image tower under its own names, and a ResNet.
const ANCHORS: [&[&str]; 5] = [
    &["visual.conv1.weight", "visual.layer1.0.conv1.weight", "vision_model.embeddings.patch_embedding.weight"],
    &["patch_embed.proj.weight", "embeddings.patch_embeddings.projection.weight"],
    &["text.ln_final.weight", "text_model.final_layer_norm.weight", "ln_final.weight"],
    &["class_embedding", "attnpool.c_proj.weight"],
    &["layer1.0.conv1.weight"],
];
/// How many names a sentence has.
const NAMED: usize = 4;

/// Tensors under the names of their model.
pub(crate) struct Stripped {
    pub tensors: Tensors,
    /// The file's name of each.
    pub origin: BTreeMap<String, String>,
    /// What stands in the file before every name, wrappers included, with a dot at its end; empty where it is nothing.
    pub front: String,
    /// Tensors of the file that are no part of the model, under the file's names.
    pub outside: Tensors,
    /// What was done, as sentences.
    pub notes: Vec<String>,
}

/// Whether tensors of these names can be a model, under whatever prefix.
pub(crate) fn suits(names: &BTreeSet<&str>) -> bool {
    !prefixes(names.iter().map(|name| unwrapped(name)).collect::<Vec<_>>().iter().map(String::as_str)).is_empty()
}

/// The name without the parts that wrappers add.
fn unwrapped(name: &str) -> String {
    if !WRAPPERS.iter().any(|wrapper| name.contains(wrapper)) {
        return name.to_owned();
    }
    name.split('.').filter(|part| !WRAPPERS.contains(part)).collect::<Vec<_>>().join(".")
}

/// What stands before the names of the models that are there, each with a dot at its end, or empty.
fn prefixes<'a>(names: impl Iterator<Item = &'a str> + Clone) -> BTreeSet<String> {
    let before = |name: &str, anchor: &str| {
        let prefix = name.strip_suffix(anchor)?;
        (prefix.is_empty() || prefix.ends_with('.')).then(|| prefix.to_owned())
    };
    let group = |anchors: &&[&str]| -> BTreeSet<String> {
        // The first anchor that fits a name: `ln_final.weight` stands in `text.ln_final.weight`, too.
        names.clone().filter_map(|name| anchors.iter().find_map(|anchor| before(name, anchor))).collect()
    };
    ANCHORS.iter().map(group).find(|found| !found.is_empty()).unwrap_or_default()
}

/// Removes wrappers and the prefix that leads to known names from `tensors` of the file `source`. `key` chooses between
/// several prefixes.
///
/// # Errors
/// Where several models are there and `key` names none of them, and where two tensors get the same name.
pub(crate) fn strip(source: &str, tensors: Tensors, key: Option<&str>) -> Result<Stripped> {
    let clean: BTreeMap<String, String> = tensors.keys().map(|name| (name.clone(), unwrapped(name))).collect();
    let found = prefixes(clean.values().map(String::as_str));
    let prefix = choose(source, &found, key)?;
    let others: Vec<&String> = found.iter().filter(|other| **other != prefix && other.starts_with(&prefix)).collect();
    let mut wrappers = BTreeSet::new();
    let (mut renamed, mut origin, mut outside) = (Renamed::default(), BTreeMap::new(), Tensors::new());
    for (name, tensor) in tensors {
        let inside =
            clean[&name].strip_prefix(&prefix).filter(|_| !others.iter().any(|o| clean[&name].starts_with(*o)));
        let Some(own) = inside.filter(|own| !own.is_empty()) else {
            outside.insert(name, tensor);
            continue;
        };
        if own.len() + prefix.len() != name.len() {
            wrappers.extend(name.split('.').filter_map(|part| WRAPPERS.into_iter().find(|known| *known == part)));
        }
        if let Some(before) = origin.insert(own.to_owned(), name.clone()) {
            return Err(Error::failed(format!("{source} holds {own} twice: as {before} and as {name}")));
        }
        renamed.insert(own.to_owned(), tensor)?;
    }
    let mut notes = Vec::new();
    let mut removed: Vec<String> = wrappers.iter().map(|wrapper| format!("`{wrapper}.`")).collect();
    removed.extend((!prefix.is_empty()).then(|| format!("`{prefix}`")));
    if !removed.is_empty() {
        notes.push(format!("removed from the names of the tensors of {source}: {}", removed.join(", ")));
    }
    if !outside.is_empty() {
        notes.push(format!("no part of the model, and not used of {source}: {}", listed(outside.keys())));
    }
    // Where a wrapper is around one part alone, no front is before every name.
    let fronts: BTreeSet<&str> =
        origin.iter().map(|(own, theirs)| theirs.strip_suffix(own.as_str()).unwrap_or_default()).collect();
    let front = if fronts.len() == 1 { fronts.first().copied().unwrap_or_default().to_owned() } else { prefix };
    Ok(Stripped { tensors: renamed.finish(), origin, front, outside, notes })
}

fn choose(source: &str, found: &BTreeSet<String>, key: Option<&str>) -> Result<String> {
    let asked = key.map(|key| if key.is_empty() { String::new() } else { format!("{}.", unwrapped(key)) });
    if let Some(asked) = &asked
        && found.contains(asked)
    {
        return Ok(asked.clone());
    }
    let say = |prefix: &String| match prefix.as_str() {
        "" => "`` (nothing before the names)".to_owned(),
        prefix => format!("`{}`", prefix.trim_end_matches('.')),
    };
    let there: Vec<String> = found.iter().map(say).collect();
    let help = "choose one: `key` of the backbone in a recipe, `--key` of `maclip weights`";
    if let Some(key) = key {
        let there = if there.is_empty() { "no model of a known kind".to_owned() } else { there.join(", ") };
        return Err(Error::failed(format!("{source} has no tensors under the key `{key}`; there is {there}"))
            .help("leave `key` out, or give one of these"));
    }
    match found.len() {
        0 => Ok(String::new()),
        1 => Ok(found.first().cloned().unwrap_or_default()),
        _ => {
            let message =
                format!("{source} holds several models, and any of them could be meant: {}", there.join(", "));
            Err(Error::failed(message).help(help))
        }
    }
}

/// The first names, and how many more there are.
pub(crate) fn listed<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    first_of(names, NAMED, ", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(names: &[&str]) -> Tensors {
        let one = HostTensor { shape: vec![1], values: vec![0.0] };
        names.iter().map(|name| ((*name).to_owned(), one.clone())).collect()
    }

    fn stripped(names: &[&str], key: Option<&str>) -> Result<Stripped> {
        strip("a.pt", tensors(names), key)
    }

    fn message(names: &[&str], key: Option<&str>) -> String {
        stripped(names, key).err().unwrap().to_string()
    }

    #[test]
    fn prefixes_and_wrappers_are_removed_in_any_order() {
        let own = ["ln_final.weight", "visual.conv1.weight", "visual.transformer.resblocks.0.ln_1.weight"];
        for prefix in [
            "",
            "module.",
            "_orig_mod.",
            "model.",
            "clip_model.",
            "base_model.model.",
            "module._orig_mod.",
            "_orig_mod.module.",
            "model.module.clip_model.",
            "module.base_model.model._orig_mod.",
            "anything.else.",
        ] {
            let names = own.map(|name| format!("{prefix}{name}"));
            let found = stripped(&names.each_ref().map(String::as_str), None).unwrap();
            assert_eq!(found.tensors.keys().collect::<Vec<_>>(), own, "{prefix}");
            assert_eq!((found.origin["ln_final.weight"].as_str(), found.front.as_str()), (names[0].as_str(), prefix));
            assert_eq!(found.notes.is_empty(), prefix.is_empty(), "{:?}", found.notes);
            for part in prefix.split_inclusive('.').filter(|part| part.contains("mod.") || part.contains("module")) {
                assert!(found.notes[0].contains(part), "{part} is not in {}", found.notes[0]);
            }
        }
        // A wrapper around one part alone.
        let inside = stripped(&["visual.module.conv1.weight", "ln_final.weight"], None).unwrap();
        assert_eq!(inside.tensors.keys().collect::<Vec<_>>(), ["ln_final.weight", "visual.conv1.weight"]);
        // The names of Hugging Face and of image transformers lead there, too.
        let theirs =
            stripped(&["clip.vision_model.embeddings.patch_embedding.weight", "clip.logit_scale"], None).unwrap();
        assert_eq!(theirs.front, "clip.");
        assert_eq!(stripped(&["vit.embeddings.patch_embeddings.projection.weight"], None).unwrap().front, "vit.");
        assert_eq!(stripped(&["model.text.ln_final.weight"], None).unwrap().front, "model.");
        assert_eq!(stripped(&["something.else"], None).unwrap().tensors.keys().collect::<Vec<_>>(), ["something.else"]);
    }

    #[test]
    fn what_lies_outside_of_the_model_is_said() {
        let found = stripped(&["clip.visual.conv1.weight", "head.bias", "head.weight"], None).unwrap();
        assert_eq!(found.outside.keys().collect::<Vec<_>>(), ["head.bias", "head.weight"]);
        assert!(found.notes[1].contains("head.bias, head.weight"), "{:?}", found.notes);
    }

    #[test]
    fn several_models_are_named_and_a_key_chooses() {
        let names = ["student.visual.conv1.weight", "teacher.visual.conv1.weight", "visual.conv1.weight"];
        let all = message(&names, None);
        assert!(
            all.contains("`` (nothing before the names), `student`, `teacher`") && all.contains("`--key`"),
            "{all}"
        );
        assert_eq!(stripped(&names, Some("teacher")).unwrap().origin["visual.conv1.weight"], names[1]);
        let whole = stripped(&names, Some("")).unwrap();
        assert_eq!((whole.tensors.len(), whole.outside.len()), (1, 2));
        assert!(message(&names, Some("other")).contains("names), `student`, `teacher`"));
        assert!(message(&["a"], Some("b")).contains("no model of a known kind"));
        let twice = message(&["module.visual.conv1.weight", "visual.conv1.weight"], None);
        assert!(twice.contains("visual.conv1.weight twice: as module.visual.conv1.weight"), "{twice}");
    }
}

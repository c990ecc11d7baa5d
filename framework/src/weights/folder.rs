//! Folders of a checkpoint: which file holds the tensors, and the configs that lie beside it.

use super::{DAMAGED, read_bytes};
use crate::error::{Error, Result};
use crate::files::sha256;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Most bytes of a JSON file that is read.
const MAX_JSON: u64 = 64 << 20;
/// Files that hold the tensors of a folder, in order of preference: safetensors first.
pub(super) const USUAL: [&str; 6] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "open_clip_model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "open_clip_pytorch_model.bin",
];
/// Ends of the names of files that may hold tensors.
const ENDS: [&str; 5] = [".safetensors", ".bin", ".pt", ".pth", ".ckpt"];
/// Beginnings of such names that do not hold a model: what trainers write beside it.
const NO_MODEL: [&str; 6] = ["optimizer", "scheduler", "scaler", "training_args", "rng_state", "random_states"];

/// A JSON file that says what the tensors of a checkpoint do not show.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name: one of [`Config::FILES`].
    pub name: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// What a manifest calls it: its path, or its address on the hub.
    pub label: String,
    /// SHA-256 (hex) of its bytes.
    pub sha256: String,
    /// Its content.
    pub json: serde_json::Value,
}

impl Config {
    /// Hugging Face's model, open_clip's model, and Hugging Face's preparation of images.
    pub const FILES: [&'static str; 3] = ["config.json", "open_clip_config.json", "preprocessor_config.json"];
}

/// The files, or indexes of files, among `names` that may hold the tensors of a model: the usual one, or all others of
/// a known kind, in order of name.
pub(super) fn choices(names: &[String]) -> Vec<String> {
    if let Some(usual) = USUAL.into_iter().find(|usual| names.iter().any(|name| name == usual)) {
        return vec![usual.to_owned()];
    }
    let holds = |name: &&String| {
        ENDS.iter().any(|end| name.ends_with(end)) && !NO_MODEL.iter().any(|begin| name.starts_with(begin))
    };
    let mut names: Vec<String> = names.iter().filter(holds).cloned().collect();
    names.sort();
    names
}

/// The file, or the index of files, that holds the tensors of `folder`. What is not the usual is said in `notes`.
pub(super) fn weights_file(folder: &Path, notes: &mut Vec<String>) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::io("read", folder, error))?;
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.retain(|name| USUAL.contains(&&**name) || folder.join(name).is_file());
    match &choices(&names)[..] {
        [name] => {
            if !USUAL.contains(&&**name) {
                notes.push(format!("the tensors of the folder {} are those of its file {name}", folder.display()));
            }
            return Ok(folder.join(name));
        }
        [] => {}
        several => {
            return Err(Error::failed(format!(
                "the folder {} has none of the usual names ({}), and several files that could be meant: {}",
                folder.display(),
                USUAL.join(", "),
                several.join(", ")
            ))
            .help("give the path of the file itself"));
        }
    }
    if let Some(revision) = revision(folder) {
        notes.push(format!("{} is a model in a Hugging Face cache; {} is read", folder.display(), revision.display()));
        return weights_file(&revision, notes);
    }
    Err(Error::failed(format!("the folder {} has no {} or {}", folder.display(), USUAL[0], USUAL[3]))
        .help("give the path of the weights file itself; in a Hugging Face cache, the folder is snapshots/REVISION"))
}

/// The revision `main` of a model's folder in a Hugging Face cache, or the only one.
fn revision(folder: &Path) -> Option<PathBuf> {
    let snapshots = folder.join("snapshots");
    let main = read_bytes(&folder.join("refs/main"), 1 << 10).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let main = main
        .map(|name| name.trim().to_owned())
        .filter(|name| Path::new(name).file_name().is_some_and(|n| n == &**name));
    if let Some(main) = main.map(|name| snapshots.join(name)).filter(|path| path.is_dir()) {
        return Some(main);
    }
    let mut folders = std::fs::read_dir(snapshots).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let only = folders.next().filter(|path| path.is_dir())?;
    folders.next().is_none().then_some(only)
}

/// The configs in `folder`. One that cannot be read is an error where it `belongs` to the checkpoint. Beside a single
/// file it may belong to something else, and is passed over with a note.
pub(super) fn configs(folder: &Path, belongs: bool, notes: &mut Vec<String>) -> Result<Vec<Config>> {
    let mut found = Vec::new();
    for name in Config::FILES {
        let path = folder.join(name);
        if !path.exists() {
            continue;
        }
        match read_config(name, path) {
            Ok(config) => found.push(config),
            Err(error) if belongs => return Err(error),
            Err(error) => notes.push(format!("{}, so it is not used", error.reason())),
        }
    }
    Ok(found)
}

fn read_config(name: &'static str, path: PathBuf) -> Result<Config> {
    let bytes = read_bytes(&path, MAX_JSON)?;
    let json = parse(&path, &bytes)?;
    let label = path.display().to_string();
    Ok(Config { name, path, label, sha256: sha256(&bytes), json })
}

/// Whether `file` names the files that hold the tensors, and has none itself.
pub(super) fn is_index(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".index.json"))
}

/// The files that the index at `path` names, which lie beside it, with the names of their tensors.
pub(super) fn shards(path: &Path) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let bad = |what: &str| Error::failed(format!("the index {} {what}", path.display())).help(DAMAGED);
    let json = parse(path, &read_bytes(path, MAX_JSON)?)?;
    let map = json.get("weight_map").and_then(|map| map.as_object()).ok_or_else(|| bad("has no weight_map"))?;
    let mut shards: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (tensor, shard) in map {
        let shard = shard.as_str().filter(|shard| Path::new(shard).file_name().is_some_and(|name| name == *shard));
        let shard = shard.ok_or_else(|| bad(&format!("gives {tensor} a place that is not a file name")))?;
        shards.entry(shard.to_owned()).or_default().insert(tensor.clone());
    }
    if shards.is_empty() { Err(bad("names no tensors")) } else { Ok(shards) }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<serde_json::Value> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::failed(format!("{} is not JSON: {error}", path.display())).help(DAMAGED))
}

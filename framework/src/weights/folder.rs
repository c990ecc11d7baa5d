//! Folders of a checkpoint: which file holds the tensors, and the configs that lie beside it.

use super::{DAMAGED, read_bytes};
use crate::error::{Error, Result};
use crate::files::sha256;
use std::path::{Path, PathBuf};

/// Most bytes of a JSON file that is read.
const MAX_JSON: u64 = 64 << 20;
/// Files that hold the tensors of a folder, in order of preference: safetensors first.
const USUAL: [&str; 6] = [
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
    /// SHA-256 (hex) of its bytes.
    pub sha256: String,
    /// Its content.
    pub json: serde_json::Value,
}

impl Config {
    /// Hugging Face's model, open_clip's model, and Hugging Face's preparation of images.
    pub const FILES: [&'static str; 3] = ["config.json", "open_clip_config.json", "preprocessor_config.json"];
}

/// The file, or the index of files, that holds the tensors of `folder`. What is not the usual is said in `notes`.
pub(super) fn weights_file(folder: &Path, notes: &mut Vec<String>) -> Result<PathBuf> {
    if let Some(name) = USUAL.into_iter().find(|name| folder.join(name).exists()) {
        return Ok(folder.join(name));
    }
    let entries = std::fs::read_dir(folder).map_err(|error| Error::io("read", folder, error))?;
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.retain(|name| ENDS.iter().any(|end| name.ends_with(end)) && folder.join(name).is_file());
    names.retain(|name| !NO_MODEL.iter().any(|begin| name.starts_with(begin)));
    names.sort();
    match &names[..] {
        [name] => {
            notes.push(format!("the tensors of the folder {} are those of its file {name}", folder.display()));
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
    Ok(Config { name, path, sha256: sha256(&bytes), json })
}

/// The content of the JSON file at `path`.
pub(super) fn read_json(path: &Path) -> Result<serde_json::Value> {
    parse(path, &read_bytes(path, MAX_JSON)?)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<serde_json::Value> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::failed(format!("{} is not JSON: {error}", path.display())).help(DAMAGED))
}

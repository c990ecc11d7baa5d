//! Files of weights: safetensors files, torch files and Hugging Face folders are read into host memory, without running
//! any code in them; safetensors files are also written. `hub` brings weights of the Hugging Face hub here.
//!
//! Here belongs the way from files of any kind, or their address, to named tensors in f32.
//! Not here: what the tensors are called in a model (the backbones), and checkpoints of a training (`runs`).

mod elements;
mod folder;
mod globals;
pub mod hub;
mod layout;
mod pickle;
mod safetensors_file;
mod torch_file;
mod zip_file;

#[cfg(test)]
mod tests;

pub use elements::transpose;
pub use folder::Config;
pub use layout::Layout;
pub use safetensors_file::{ElementType, own_metadata, parse, serialize};

use crate::error::{Error, Result};
use crate::files::hex;
use hub::Address;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Most bytes of a file that is read: a ViT-L/14 in f32 has 1.7 GB.
const MAX_BYTES: u64 = 8 << 30;

const DAMAGED: &str = "copy or download the file again, and compare its size and checksum";
const RESAVE: &str = "in Python, where you trust the file, save only the tensors: \
                      torch.save(model.state_dict(), \"weights.pt\"), or \
                      safetensors.torch.save_file(model.state_dict(), \"weights.safetensors\")";

/// A tensor in host memory, always f32.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// The values in row-major order, as many as the product of the sizes.
    pub values: Vec<f32>,
}

/// The file format of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One safetensors file.
    Safetensors,
    /// Several safetensors files with an index, as in large Hugging Face models.
    ShardedSafetensors,
    /// A zip archive with a pickle, as `torch.save` writes since torch 1.6. Sharded ones have this format, too.
    TorchZip,
    /// Pickles and storages one after the other, as `torch.save` wrote before torch 1.6.
    TorchLegacy,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Safetensors => "safetensors",
            Format::ShardedSafetensors => "safetensors in several files",
            Format::TorchZip => "torch zip archive",
            Format::TorchLegacy => "torch file of the format before 1.6",
        })
    }
}

/// The content of a checkpoint.
#[derive(Clone, Debug)]
pub struct StateDict {
    /// The format of the files.
    pub format: Format,
    /// The tensors by name.
    pub tensors: BTreeMap<String, HostTensor>,
    /// The element type that each tensor has in the file, such as `F16`, by name.
    pub dtypes: BTreeMap<String, &'static str>,
    /// The metadata of safetensors files.
    pub metadata: BTreeMap<String, String>,
    /// The key of a training checkpoint that had the tensors, such as `state_dict`; keys in each other with dots
    /// between.
    pub taken_from: Option<String>,
    /// The configs in the folder, or beside the file: see [`Config::FILES`].
    pub configs: Vec<Config>,
    /// What was chosen or passed over, as sentences for the user.
    pub notes: Vec<String>,
    /// SHA-256 (hex) of the file; of several files, of their bytes one after the other, in order of name.
    pub sha256: String,
    /// The files that hold tensors, in order of name.
    pub files: Vec<PathBuf>,
    /// Of weights of the hub, the address of this very content: with the commit and the file.
    pub pinned: Option<String>,
}

/// Which tensors are read of a file that holds several dicts of them, as training checkpoints do.
#[derive(Clone, Copy)]
pub struct Choice<'a> {
    /// The key of the dict; keys in each other with dots between. Another value than the file's keys has no effect
    /// here: see [`StateDict::taken_from`].
    pub key: Option<&'a str>,
    /// Whether tensors of these names can be used. It decides between several dicts where `key` does not.
    pub suits: &'a (dyn Fn(&BTreeSet<&str>) -> bool + Sync),
    /// Of an address on the hub, the one that it is read at; its own by default.
    pub pin: Option<&'a str>,
}

impl Default for Choice<'_> {
    fn default() -> Self {
        Self { key: None, suits: &|_| true, pin: None }
    }
}

/// The content of one file.
struct Loaded {
    format: Format,
    tensors: Vec<(String, &'static str, HostTensor)>,
    metadata: BTreeMap<String, String>,
    taken: Taken,
}

/// Where in a training checkpoint the tensors were.
#[derive(Default)]
struct Taken {
    key: Option<String>,
    /// Other dicts of tensors in it.
    others: Vec<String>,
    /// Entries beside the tensors that are none, such as the number of epochs.
    left_out: Vec<String>,
}

/// [`read_choice`], where the file holds one dict of tensors.
///
/// # Errors
/// As [`read_choice`].
pub fn read(path: &Path) -> Result<StateDict> {
    read_choice(path, Choice::default())
}

/// Reads a safetensors file, a torch file, an index of several files (`*.index.json`), a Hugging Face folder, or an
/// address on the hub, `hf:OWNER/NAME`, from its cache. The format of a file is recognised by its content, not by its
/// name.
///
/// # Errors
/// Where the weights of an address are not in the cache: [`hub::provide`] fetches them. Where a file cannot be read, is
/// damaged, is larger than 8 GiB or has no known format; where it holds anything but plain tensors, or several dicts of
/// them of which `choice` does not say one; and where files of an index are missing or do not fit together.
pub fn read_choice(path: &Path, choice: Choice) -> Result<StateDict> {
    match path.to_str().map(Address::of).transpose()?.flatten() {
        Some(address) => read_hub(&address, choice),
        None => read_path(path, choice),
    }
}

/// Reads the weights of `address` from the cache of the hub.
fn read_hub(address: &Address, choice: Choice) -> Result<StateDict> {
    let pinned = choice.pin.map(Address::of).transpose()?.flatten();
    let read = pinned.as_ref().unwrap_or(address);
    let found = hub::find(read).ok_or_else(|| hub::missing(read))?;
    let mut checkpoint = read_path(&found.path, choice)?;
    checkpoint.pinned = Some(found.exactly(&checkpoint.files).to_string());
    for config in &mut checkpoint.configs {
        config.label = Address { file: found.within(&config.path), ..address.clone() }.to_string();
    }
    if !found.unknown.is_empty() {
        let files = found.unknown.join(", ");
        checkpoint.notes.push(format!("{address} was read without {files}, which its cache does not know"));
    }
    if !found.better.is_empty() {
        let (files, path) = (found.better.join(", "), found.path.display());
        checkpoint
            .notes
            .push(format!("{path} was read; whether {address} has {files}, which would come first, is not known"));
    }
    Ok(checkpoint)
}

/// Reads a file, an index or a folder.
fn read_path(path: &Path, choice: Choice) -> Result<StateDict> {
    let found = std::fs::metadata(path).map_err(|error| Error::io("read the weights", path, error))?;
    let mut notes = Vec::new();
    let file = if found.is_dir() { folder::weights_file(path, &mut notes)? } else { path.to_owned() };
    let mut checkpoint =
        if folder::is_index(&file) { read_shards(&file, choice)? } else { gather(vec![file.clone()], None, choice)? };
    let beside = file.parent().unwrap_or(Path::new(""));
    checkpoint.configs = folder::configs(beside, found.is_dir(), &mut notes)?;
    checkpoint.notes.splice(0..0, notes);
    Ok(checkpoint)
}

/// Reads the files that the index at `path` names.
fn read_shards(path: &Path, choice: Choice) -> Result<StateDict> {
    let shards = folder::shards(path)?;
    let missing: Vec<&str> =
        shards.keys().map(String::as_str).filter(|shard| !path.with_file_name(shard).is_file()).collect();
    if !missing.is_empty() {
        return Err(Error::failed(format!(
            "{} of the {} files that {} names are missing: {}",
            missing.len(),
            shards.len(),
            path.display(),
            missing.join(", ")
        ))
        .help("download all files of the folder"));
    }
    let files = shards.keys().map(|shard| path.with_file_name(shard)).collect();
    gather(files, Some(&shards.into_values().collect::<Vec<_>>()), choice)
}

/// Reads `files`. No tensor may be in two of them, and each file must have the tensors that are `expected` of it.
fn gather(files: Vec<PathBuf>, expected: Option<&[BTreeSet<String>]>, choice: Choice) -> Result<StateDict> {
    let mut format = None;
    let mut tensors = BTreeMap::new();
    let mut dtypes = BTreeMap::new();
    let mut metadata = BTreeMap::new();
    let mut taken_from = None;
    let mut notes = Vec::new();
    let mut hash = Sha256::new();
    for (number, path) in files.iter().enumerate() {
        let name = path.display().to_string();
        let bytes = read_bytes(path, MAX_BYTES)?;
        let (loaded, intact) = rayon::join(
            || load(&name, &bytes, choice),
            || {
                hash.update(&bytes);
                let whole = (files.len() == 1).then(|| hex(&hash.clone().finalize()));
                hub::intact(path, &bytes, whole)
            },
        );
        intact?;
        let loaded = loaded?;
        if format.replace(loaded.format).is_some_and(|format| format != loaded.format) {
            return Err(Error::failed(format!("{name} has another format than the files before it")).help(DAMAGED));
        }
        if let Some(expected) = expected.and_then(|expected| expected.get(number)) {
            let present: BTreeSet<&str> = loaded.tensors.iter().map(|(tensor, ..)| tensor.as_str()).collect();
            if let Some(tensor) = expected.iter().find(|tensor| !present.contains(tensor.as_str())) {
                return Err(Error::failed(format!("{name} has no tensor {tensor}, which the index places there"))
                    .help("download the index and all files again, from one revision"));
            }
        }
        for (tensor, dtype, value) in loaded.tensors {
            if tensors.contains_key(&tensor) {
                return Err(Error::failed(format!("{name} has the tensor {tensor}, as a file before it does"))
                    .help("download the index and all files again, from one revision"));
            }
            dtypes.insert(tensor.clone(), dtype);
            tensors.insert(tensor, value);
        }
        metadata.extend(loaded.metadata);
        let Taken { key, others, left_out } = loaded.taken;
        if !left_out.is_empty() {
            notes.push(format!("no tensors, and left out of {name}: {}", left_out.join(", ")));
        }
        if let Some(key) = &key {
            let passed =
                if others.is_empty() { String::new() } else { format!(", not from `{}`", others.join("`, `")) };
            notes.push(format!("the tensors of {name} are those of its `{key}`{passed}"));
        }
        taken_from = key.or(taken_from);
    }
    let format = match format.filter(|_| !tensors.is_empty()) {
        Some(Format::Safetensors) if expected.is_some() => Format::ShardedSafetensors,
        Some(format) => format,
        None => return Err(Error::failed(format!("{} holds no tensors", list(&files)))),
    };
    let sha256 = hex(&hash.finalize());
    let configs = Vec::new();
    let pinned = None;
    Ok(StateDict { format, tensors, dtypes, metadata, taken_from, configs, notes, sha256, files, pinned })
}

fn list(files: &[PathBuf]) -> String {
    files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The content of a file of any known format.
fn load(name: &str, bytes: &[u8], choice: Choice) -> Result<Loaded> {
    // A larger number is no length, but the first eight characters of a text.
    let is_length = |length| length < 1 << 48;
    match bytes {
        [b'P', b'K', 3..=8, 4..=8, ..] => torch_file::load_zip(name, bytes, choice),
        _ if torch_file::is_legacy(bytes) => torch_file::load_legacy(name, bytes, choice),
        _ if safetensors_file::header_length(bytes).is_some_and(is_length) => safetensors_file::load(name, bytes),
        _ => Err(unknown(name, bytes)),
    }
}

fn unknown(name: &str, bytes: &[u8]) -> Error {
    let start = bytes.trim_ascii_start();
    let (what, help) = if bytes.is_empty() {
        ("is empty", DAMAGED)
    } else if bytes.starts_with(b"version https://git-lfs") {
        ("is only a pointer to a file in Git LFS", "fetch the file itself: git lfs pull")
    } else if start.starts_with(b"<") {
        ("is a web page, not a weights file", "download the file itself, and compare its size and checksum")
    } else if start.starts_with(b"{") {
        ("is a JSON file, not a weights file", "give the folder that it is in")
    } else if bytes.get(257..262) == Some(b"ustar") {
        (
            "is a tar archive, the format of torch before 0.1.10 or a packed folder",
            "unpack it, or save it with a newer torch",
        )
    } else if bytes.starts_with(b"\x80") {
        ("is a pickle that torch.save did not write", RESAVE)
    } else {
        (
            "is neither a safetensors nor a torch file",
            "give a safetensors file, a state dict saved by torch.save, or a Hugging Face folder",
        )
    };
    Error::failed(format!("{name} {what}")).help(help)
}

/// The content of a regular file of at most `limit` bytes.
fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let bad = |error| Error::io("read", path, error);
    let found = std::fs::metadata(path).map_err(bad)?;
    if !found.is_file() {
        return Err(Error::failed(format!("{} is not a file", path.display())));
    }
    if found.len() > limit {
        return Err(Error::failed(format!(
            "{} has {} bytes; files above {} MiB are refused",
            path.display(),
            found.len(),
            limit >> 20
        )));
    }
    let length = usize::try_from(found.len()).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(|_| {
        Error::failed(format!("there is not enough memory for the {length} bytes of {}", path.display()))
    })?;
    std::fs::File::open(path).and_then(|file| file.take(found.len()).read_to_end(&mut bytes)).map_err(bad)?;
    Ok(bytes)
}

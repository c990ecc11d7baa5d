//! Torch files: the state dict in a pickle and its storages, from zip archives and from the format before torch 1.6.

use super::elements::{Element, View};
use super::globals::Global;
use super::pickle::{self, Id, Pickle, Value};
use super::{DAMAGED, Format, Loaded, RESAVE, zip_file};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// The number that a file of the old format starts with, as a pickled number.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
/// Keys under which training checkpoints have their state dict, in order of preference.
const PARTS: [&str; 2] = ["state_dict", "model"];
/// Largest number of axes of a torch tensor.
const MAX_RANK: usize = 64;
/// Tensors that share their storage can hold this many values for each byte of the file, and more in small files.
const MAX_VALUES: (usize, usize) = (4, 1 << 20);

/// A tensor of the state dict, still in its storage.
struct Stored<'a> {
    name: &'a str,
    storage: Storage<'a>,
    view: View,
}

/// A storage that a pickle refers to.
#[derive(Clone, Copy)]
struct Storage<'a> {
    key: &'a str,
    /// `None` for a storage of bytes, which can hold any element type.
    element: Option<Element>,
    bytes: usize,
}

/// Whether `bytes` start as the old format does.
pub(super) fn is_legacy(bytes: &[u8]) -> bool {
    // After the protocol and a frame; in text for protocols 0 and 1.
    bytes.starts_with(b"L119547037146038801333356L")
        || bytes.starts_with(b"\x80") && bytes[..bytes.len().min(32)].windows(MAGIC.len()).any(|part| part == MAGIC)
}

/// Reads the zip format.
pub(super) fn load_zip(name: &str, bytes: &[u8]) -> Result<Loaded> {
    let entries = zip_file::entries(name, bytes)?;
    let mut folders = entries.keys().filter_map(|entry| entry.strip_suffix("/data.pkl"));
    let folder = folders.next().filter(|folder| !folder.contains('/') && folders.next().is_none());
    let folder = folder.ok_or_else(|| {
        Error::failed(format!("{name} is a zip archive but not a torch checkpoint: it has no FOLDER/data.pkl"))
            .help("give a safetensors file, a state dict saved by torch.save, or a Hugging Face folder")
    })?;
    let entry = |part: &str| entries.get(format!("{folder}/{part}").as_str());
    let code = format!("{folder}/code/");
    if entry("constants.pkl").is_some() || entries.keys().any(|entry| entry.starts_with(&code)) {
        return Err(torch_script(name));
    }
    let content = |part: &str| -> Result<&[u8]> {
        let entry = entry(part).ok_or_else(|| damaged(name, &format!("{part} is missing")))?;
        entry.content().map_err(|what| damaged(name, &format!("{part} {what}")))
    };
    if entry("byteorder").is_some() && content("byteorder")? != b"little" {
        return Err(big_endian(name));
    }
    let pickled = content("data.pkl")?;
    let (pickle, length) = pickle::parse(name, pickled)?;
    if length != pickled.len() {
        return Err(damaged(name, "bytes follow the pickle in data.pkl"));
    }

    let (tensors, taken) = state_dict(name, &pickle)?;
    let keys: BTreeSet<&str> = tensors.iter().map(|tensor| tensor.storage.key).collect();
    let storages = keys.into_par_iter().map(|key| Ok((key, content(&format!("data/{key}"))?)));
    let storages = storages.collect::<Result<BTreeMap<_, _>>>()?;
    load(name, bytes.len(), Format::TorchZip, tensors, taken, &storages)
}

/// Reads the format before torch 1.6: pickles of a magic number, a version, the machine, the state dict and the keys of
/// its storages, then each storage after its length.
pub(super) fn load_legacy(name: &str, bytes: &[u8]) -> Result<Loaded> {
    let mut rest = bytes;
    let mut next = || -> Result<Pickle> {
        let (pickle, length) = pickle::parse(name, rest)?;
        rest = rest.get(length..).unwrap_or_default();
        Ok(pickle)
    };
    let (_magic, version, machine, pickle, keys) = (next()?, next()?, next()?, next()?, next()?);
    if !matches!(version.values[version.root], Value::Int(1001)) {
        return Err(damaged(name, "its version is not 1001"));
    }
    let little = dict(name, &machine, machine.root)?.get("little_endian").copied();
    if !little.is_some_and(|id| matches!(machine.values[id], Value::Bool(true))) {
        return Err(big_endian(name));
    }

    // Lengths are in elements, whose type the references in the pickle give.
    let mut referred: BTreeMap<&str, Storage<'_>> = BTreeMap::new();
    for value in &pickle.values {
        if let Value::Persistent(id) = value {
            let storage = storage(&pickle, *id).ok_or_else(|| not_a_storage(name))?;
            referred.insert(storage.key, storage);
        }
    }
    let Value::List(keys_in_order) = &keys.values[keys.root] else {
        return Err(damaged(name, "the list of its storages is missing"));
    };
    let mut storages = BTreeMap::new();
    for key in keys_in_order {
        let storage = text(&keys, *key).and_then(|key| referred.get(key));
        let storage = storage.ok_or_else(|| damaged(name, "it lists a storage that nothing refers to"))?;
        let content = rest.split_first_chunk().and_then(|(length, content)| {
            let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
            let length = length.checked_mul(storage.element.map_or(1, Element::size))?;
            content.split_at_checked(length)
        });
        let (content, after) =
            content.ok_or_else(|| damaged(name, &format!("it ends within storage {}", storage.key)))?;
        rest = after;
        if storages.insert(storage.key, content).is_some() {
            return Err(damaged(name, &format!("storage {} is there twice", storage.key)));
        }
    }
    if !rest.is_empty() {
        return Err(damaged(name, &format!("{} bytes follow the last storage", rest.len())));
    }
    let (tensors, taken) = state_dict(name, &pickle)?;
    load(name, bytes.len(), Format::TorchLegacy, tensors, taken, &storages)
}

/// Converts `tensors` from their storages.
fn load(
    name: &str,
    file_length: usize,
    format: Format,
    tensors: Vec<Stored<'_>>,
    taken: Option<&str>,
    storages: &BTreeMap<&str, &[u8]>,
) -> Result<Loaded> {
    let (per_byte, more) = MAX_VALUES;
    let limit = file_length.saturating_mul(per_byte).saturating_add(more);
    let total = tensors.iter().try_fold(0usize, |sum, tensor| sum.checked_add(tensor.view.count()?));
    if total.is_none_or(|total| total > limit) {
        return Err(Error::failed(format!(
            "{name} claims more than {limit} values by expanded or shared tensors, in {file_length} bytes"
        ))
        .help(RESAVE));
    }
    let read = |tensor: Stored<'_>| {
        let Stored { name: key, storage, view } = tensor;
        let data = storages.get(storage.key).filter(|data| data.len() == storage.bytes);
        let data = data.ok_or_else(|| {
            damaged(name, &format!("storage {} of tensor {key} has not its {} bytes", storage.key, storage.bytes))
        })?;
        let element = view.element.name();
        let tensor = view.read(data);
        let tensor = tensor.ok_or_else(|| damaged(name, &format!("tensor {key} reaches out of its storage")))?;
        Ok((key.to_owned(), element, tensor))
    };
    let tensors = tensors.into_par_iter().map(read).collect::<Result<Vec<_>>>()?;
    let metadata = taken.map(|part| ("taken_from".to_owned(), part.to_owned())).into_iter().collect();
    Ok(Loaded { format, tensors, metadata })
}

/// The tensors of the state dict in `pickle`, and under which key of a training checkpoint it was.
fn state_dict<'a>(name: &str, pickle: &'a Pickle) -> Result<(Vec<Stored<'a>>, Option<&'static str>)> {
    let root = dict(name, pickle, pickle.root)?;
    let part = PARTS.into_iter().find_map(|part| match root.get(part) {
        Some(id) if matches!(pickle.values[*id], Value::Dict(_)) => Some((part, *id)),
        _ => None,
    });
    let (entries, taken) = match part {
        Some((part, id)) => (dict(name, pickle, id)?, Some(part)),
        None => (root, None),
    };
    let tensors = entries.into_iter().map(|(key, id)| {
        let (storage, view) = tensor(pickle, id).ok_or_else(|| {
            let place = taken.map(|part| format!("in {part}, ")).unwrap_or_default();
            let kind = match pickle.kind(id) {
                "a tensor" => "a tensor of another form (conjugate, negated or damaged)",
                kind => kind,
            };
            Error::failed(format!("{name} is not a plain state dict: {place}{key} is {kind}, not a plain tensor"))
                .help(RESAVE)
        })?;
        Ok(Stored { name: key, storage, view })
    });
    Ok((tensors.collect::<Result<_>>()?, taken))
}

/// The dict at `id`, whose keys must be distinct texts.
fn dict<'a>(name: &str, pickle: &'a Pickle, id: Id) -> Result<BTreeMap<&'a str, Id>> {
    let Value::Dict(items) = &pickle.values[id] else {
        return Err(Error::failed(format!("{name} holds {}, not a state dict", pickle.kind(id))).help(RESAVE));
    };
    let mut entries = BTreeMap::new();
    for (key, value) in items {
        let key = text(pickle, *key).ok_or_else(|| {
            Error::failed(format!("{name} is not a plain state dict: {} is a key in it", pickle.kind(*key)))
                .help(RESAVE)
        })?;
        if entries.insert(key, *value).is_some() {
            return Err(damaged(name, &format!("{key} is there twice")));
        }
    }
    Ok(entries)
}

fn text(pickle: &Pickle, id: Id) -> Option<&str> {
    match &pickle.values[id] {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn tuple(pickle: &Pickle, id: Id) -> Option<&[Id]> {
    match &pickle.values[id] {
        Value::Tuple(items) | Value::List(items) => Some(items),
        _ => None,
    }
}

fn size(pickle: &Pickle, id: Id) -> Option<usize> {
    match &pickle.values[id] {
        Value::Int(number) => usize::try_from(*number).ok(),
        _ => None,
    }
}

fn sizes(pickle: &Pickle, id: Id) -> Option<Vec<usize>> {
    let id = match pickle.values[id] {
        // torch.Size((2, 3))
        Value::Call(Global::Size, arguments) => *tuple(pickle, arguments)?.first()?,
        _ => id,
    };
    let items = tuple(pickle, id).filter(|items| items.len() <= MAX_RANK)?;
    items.iter().map(|id| size(pickle, *id)).collect()
}

/// The storage that the tuple at `id` refers to: ("storage", class, key, device, number of elements).
fn storage(pickle: &Pickle, id: Id) -> Option<Storage<'_>> {
    let items = tuple(pickle, id)?;
    let (kind, class, key, count) = match items {
        [kind, class, key, _, count] => (kind, class, key, count),
        // The old format has the part of another storage here, which torch has not written since 0.4.
        [kind, class, key, _, count, part] if matches!(pickle.values[*part], Value::None) => (kind, class, key, count),
        _ => return None,
    };
    let Value::Global(Global::Storage(element)) = pickle.values[*class] else { return None };
    let bytes = size(pickle, *count)?.checked_mul(element.map_or(1, Element::size))?;
    (text(pickle, *kind) == Some("storage")).then_some(Storage { key: text(pickle, *key)?, element, bytes })
}

/// The tensor that the call at `id` would make.
fn tensor(pickle: &Pickle, mut id: Id) -> Option<(Storage<'_>, View)> {
    // Parameters and tensors with attributes contain the call for the tensor itself.
    for _ in 0..4 {
        let Value::Call(function, arguments) = pickle.values[id] else { return None };
        let arguments = tuple(pickle, arguments)?;
        match (function, arguments) {
            (Global::Parameter, [inner, _, _] | [inner, _, _, _]) => id = *inner,
            (Global::FromType, [function, _class, arguments, _state]) => {
                let Value::Global(function @ (Global::Tensor | Global::TypedTensor)) = pickle.values[*function] else {
                    return None;
                };
                return view(pickle, function, tuple(pickle, *arguments)?);
            }
            (function, arguments) => return view(pickle, function, arguments),
        }
    }
    None
}

fn view<'a>(pickle: &'a Pickle, function: Global, arguments: &[Id]) -> Option<(Storage<'a>, View)> {
    let [from, offset, shape, strides, rest @ ..] = arguments else { return None };
    let Value::Persistent(from) = pickle.values[*from] else { return None };
    let storage = storage(pickle, from)?;
    // After the strides come requires_grad, hooks, for typed tensors the type, and bits that change what values mean.
    let (element, bits) = match (function, rest) {
        (Global::Tensor, []) => (storage.element?, None),
        (Global::Tensor, [_grad, _hooks, bits @ ..]) => (storage.element?, bits.first()),
        (Global::TypedTensor, [_grad, _hooks, class, bits @ ..]) => match pickle.values[*class] {
            Value::Global(Global::Type(element)) => (element, bits.first()),
            _ => return None,
        },
        _ => return None,
    };
    let plain = bits.is_none_or(|bits| match &pickle.values[*bits] {
        Value::None => true,
        Value::Dict(bits) => bits.is_empty(),
        _ => false,
    });
    let (offset, shape, strides) = (size(pickle, *offset)?, sizes(pickle, *shape)?, sizes(pickle, *strides)?);
    (plain && shape.len() == strides.len()).then_some((storage, View { element, offset, shape, strides }))
}

fn damaged(name: &str, what: &str) -> Error {
    Error::failed(format!("{name} is not a whole torch file: {what}")).help(DAMAGED)
}

fn not_a_storage(name: &str) -> Error {
    Error::failed(format!("{name} refers to a storage in a way that is not known")).help(RESAVE)
}

fn big_endian(name: &str) -> Error {
    Error::failed(format!("{name} was saved on a big-endian machine, which is not supported"))
        .help("save its state dict as safetensors there, or from a little-endian machine")
}

fn torch_script(name: &str) -> Error {
    Error::failed(format!("{name} is a TorchScript archive: a program with its weights, not a state dict")).help(
        format!(
            "convert it in Python, where nothing but torch is needed:\n    \
         import torch\n    \
         model = torch.jit.load({name:?}, map_location=\"cpu\")\n    \
         torch.save(model.state_dict(), \"weights.pt\")\n  \
         or as safetensors: from safetensors.torch import save_file; \
         save_file({{k: v.contiguous() for k, v in model.state_dict().items()}}, \"weights.safetensors\")"
        ),
    )
}

//! Torch files: the state dict in a pickle and its storages, from zip archives and from the format before torch 1.6.

use super::elements::{Element, View};
use super::globals::Global;
use super::pickle::{self, Id, Pickle, Value};
use super::{Choice, DAMAGED, Format, Loaded, RESAVE, Taken, zip_file};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// The number that a file of the old format starts with, as a pickled number.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
/// How deep in each other the dicts of a training checkpoint are looked through.
const MAX_DEPTH: usize = 3;
/// The states of an optimizer have the names of parameters too, under keys that begin so.
const OPTIMIZER: &str = "optim";
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
pub(super) fn load_zip(name: &str, bytes: &[u8], choice: Choice) -> Result<Loaded> {
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

    let (tensors, taken) = state_dict(name, &pickle, choice)?;
    let keys: BTreeSet<&str> = tensors.iter().map(|tensor| tensor.storage.key).collect();
    let storages = keys.into_par_iter().map(|key| Ok((key, content(&format!("data/{key}"))?)));
    let storages = storages.collect::<Result<BTreeMap<_, _>>>()?;
    load(name, bytes.len(), Format::TorchZip, tensors, taken, &storages)
}

/// Reads the format before torch 1.6: pickles of a magic number, a version, the machine, the state dict and the keys of
/// its storages, then each storage after its length.
pub(super) fn load_legacy(name: &str, bytes: &[u8], choice: Choice) -> Result<Loaded> {
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
    let (tensors, taken) = state_dict(name, &pickle, choice)?;
    load(name, bytes.len(), Format::TorchLegacy, tensors, taken, &storages)
}

/// Converts `tensors` from their storages.
fn load(
    name: &str,
    file_length: usize,
    format: Format,
    tensors: Vec<Stored<'_>>,
    taken: Taken,
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
    Ok(Loaded { format, tensors, metadata: BTreeMap::new(), taken })
}

/// The tensors of the state dict in `pickle`, and where in a training checkpoint it was.
fn state_dict<'a>(name: &str, pickle: &'a Pickle, choice: Choice) -> Result<(Vec<Stored<'a>>, Taken)> {
    let dicts = dicts_of_tensors(pickle);
    let chosen = choose(name, &dicts, choice)?;
    let place = chosen.map(|at| dicts[at].path.join(".")).filter(|path| !path.is_empty());
    let entries = dict(name, pickle, chosen.map_or(pickle.root, |at| dicts[at].id))?;
    // What is no tensor and no part of one cannot be missed: a model needs all of its tensors.
    let other = |id: &Id| {
        use Value::{Bool, Dict, Int, List, None, Other, Text, Tuple};
        matches!(pickle.values[*id], None | Bool(_) | Int(_) | Text(_) | List(_) | Tuple(_) | Dict(_) | Other)
    };
    let (entries, left_out) = match chosen {
        Some(_) => entries.into_iter().partition(|(_, id)| !other(id)),
        None => (entries, BTreeMap::new()),
    };
    let left_out = left_out.into_keys().map(str::to_owned).collect();
    let tensors = entries.into_iter().map(|(key, id)| {
        let (storage, view) = tensor(pickle, id).ok_or_else(|| {
            let place = place.as_ref().map(|part| format!("in {part}, ")).unwrap_or_default();
            let kind = match pickle.kind(id) {
                "a tensor" => "a tensor of another form (conjugate, negated or damaged)",
                kind => kind,
            };
            Error::failed(format!("{name} is not a plain state dict: {place}{key} is {kind}, not a plain tensor"))
                .help(RESAVE)
        })?;
        Ok(Stored { name: key, storage, view })
    });
    let tensors = tensors.collect::<Result<_>>()?;
    let others = dicts.iter().enumerate().filter(|(at, _)| Some(*at) != chosen);
    let others = others.map(|(_, dict)| dict.path.join(".")).filter(|path| !path.is_empty()).collect();
    Ok((tensors, Taken { key: place, others, left_out }))
}

/// A dict in a pickle that has tensors in it.
struct Tensors<'a> {
    /// The keys that lead to it; none for the whole.
    path: Vec<&'a str>,
    id: Id,
    /// The names of its tensors.
    names: BTreeSet<&'a str>,
}

/// The dicts that could be a state dict. Names of parameters have dots; dicts without such a name, as the states of
/// random numbers, count only where no other is there.
fn dicts_of_tensors(pickle: &Pickle) -> Vec<Tensors<'_>> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![(Vec::new(), pickle.root)];
    while let Some((path, id)) = open.pop() {
        let Value::Dict(items) = &pickle.values[id] else { continue };
        if !seen.insert(id) {
            continue;
        }
        let named = items.iter().filter_map(|(key, value)| Some((text(pickle, *key)?, *value)));
        let mut names = BTreeSet::new();
        for (key, value) in named {
            if pickle.kind(value) == "a tensor" {
                names.insert(key);
            } else if path.len() < MAX_DEPTH && !key.starts_with(OPTIMIZER) {
                open.push(([&path[..], &[key]].concat(), value));
            }
        }
        if !names.is_empty() {
            found.push(Tensors { path, id, names });
        }
    }
    if found.iter().any(|dict| dict.names.iter().any(|name| name.contains('.'))) {
        found.retain(|dict| dict.names.iter().any(|name| name.contains('.')));
    } else if found.len() > 1 {
        // A tensor beside the state dict, such as the best accuracy so far.
        found.retain(|dict| !dict.path.is_empty());
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The place in `dicts` of the one that is meant; `None` where there is none.
fn choose(name: &str, dicts: &[Tensors], choice: Choice) -> Result<Option<usize>> {
    let named = choice.key.and_then(|key| dicts.iter().position(|dict| dict.path.join(".") == key));
    if named.is_some() || dicts.len() < 2 {
        return Ok(named.or((dicts.len() == 1).then_some(0)));
    }
    let suits: Vec<usize> = (0..dicts.len()).filter(|at| (choice.suits)(&dicts[*at].names)).collect();
    if let [one] = suits[..] {
        return Ok(Some(one));
    }
    let meant = if suits.is_empty() { (0..dicts.len()).collect() } else { suits };
    let say = |at: usize| {
        let Tensors { path, names, .. } = &dicts[at];
        let place = if path.is_empty() { "the whole".to_owned() } else { format!("`{}`", path.join(".")) };
        format!("{place} ({} tensors)", names.len())
    };
    let meant: Vec<String> = meant.into_iter().map(say).collect();
    Err(Error::failed(format!(
        "{name} holds several dicts of tensors, and any of them could be meant: {}",
        meant.join(", ")
    ))
    .help("choose one: `key` of the backbone in a recipe, `--key` of `maclip weights`"))
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

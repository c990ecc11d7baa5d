//! What the shell completes beside options: recipes, components, slots, dotted paths.

use crate::shipped::RECIPES;
use clap_complete::engine::CompletionCandidate;
use maclip_framework::registry::options::{options, shown};
use maclip_framework::registry::{Info, slots};
use maclip_language::codes;
use std::ffi::OsStr;
use std::path::Path;

/// Candidates that begin with what was typed.
pub fn beginning(current: &OsStr, all: impl Iterator<Item = (String, String)>) -> Vec<CompletionCandidate> {
    let Some(start) = current.to_str() else { return Vec::new() };
    all.filter(|(name, _)| name.starts_with(start))
        .map(|(name, help)| CompletionCandidate::new(name).help((!help.is_empty()).then(|| help.into())))
        .collect()
}

/// YAML files and folders in the folder that was typed, and the shipped recipes.
pub fn recipes(current: &OsStr) -> Vec<CompletionCandidate> {
    let text = current.to_string_lossy();
    let (folder, _) = text.rsplit_once('/').unwrap_or(("", ""));
    let listed = std::fs::read_dir(if folder.is_empty() { Path::new(".") } else { Path::new(folder) });
    let mut names: Vec<(String, String)> = listed
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok().filter(|name| !name.starts_with('.'))?;
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let kind = entry.file_type().ok()?;
            let yaml = path.ends_with(".yaml") || path.ends_with(".yml");
            (kind.is_dir() || yaml).then(|| (if kind.is_dir() { format!("{path}/") } else { path }, String::new()))
        })
        .collect();
    names.sort();
    let whole = RECIPES.iter().filter(|recipe| !recipe.name.starts_with("parts/"));
    names.extend(whole.map(|recipe| (recipe.name.to_owned(), recipe.summary())));
    beginning(current, names.into_iter())
}

fn components() -> impl Iterator<Item = (&'static str, &'static Info)> {
    slots().flat_map(|slot| (slot.components)().into_iter().map(|candidate| (slot.name, candidate.info)))
}

/// `alignment/otam`, and keys of a recipe.
pub fn described(current: &OsStr) -> Vec<CompletionCandidate> {
    let components = components().map(|(slot, info)| (format!("{slot}/{}", info.name), info.summary.to_owned()));
    let keys = maclip_framework::recipe::keys::KEYS.iter().map(|key| (key.name.to_owned(), key.summary.to_owned()));
    beginning(current, components.chain(keys))
}

/// Names of launchers.
pub fn launchers(current: &OsStr) -> Vec<CompletionCandidate> {
    beginning(current, values("launcher.type").into_iter())
}

pub fn slot_names(current: &OsStr) -> Vec<CompletionCandidate> {
    beginning(current, slots().map(|slot| (slot.name.to_owned(), slot.summary.to_owned())))
}

pub fn explained(current: &OsStr) -> Vec<CompletionCandidate> {
    beginning(current, codes::TABLE.iter().map(|code| (code.code.to_owned(), code.title.to_owned())))
}

/// Dotted paths of all options.
fn dotted() -> impl Iterator<Item = (String, String)> {
    let of_slots = components().flat_map(|(slot, info)| {
        let schema = serde_json::Value::from((info.schema)());
        let options =
            options(&schema).into_iter().map(move |option| (format!("{slot}.{}", option.path), option.description));
        options.collect::<Vec<_>>()
    });
    let of_keys = maclip_framework::recipe::keys::KEYS.iter().flat_map(|key| {
        let below = options(&key.schema())
            .into_iter()
            .map(|option| (format!("{}.{}", key.name, option.path), option.description));
        std::iter::once((key.name.to_owned(), key.summary.to_owned())).chain(below).collect::<Vec<_>>()
    });
    of_slots.chain(of_keys)
}

/// Paths for `--unset`.
pub fn paths(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut all: Vec<_> = dotted().chain(slots().map(|slot| (slot.name.to_owned(), slot.summary.to_owned()))).collect();
    all.sort();
    all.dedup_by(|b, a| a.0 == b.0);
    beginning(current, all.into_iter())
}

/// `path=` for `--set`, and the values of a path that has names for them.
pub fn changes(current: &OsStr) -> Vec<CompletionCandidate> {
    let text = current.to_string_lossy();
    if let Some((path, _)) = text.split_once('=') {
        return beginning(current, values(path).into_iter().map(|(value, help)| (format!("{path}={value}"), help)));
    }
    let kinds = slots().map(|slot| (format!("{}.type=", slot.name), slot.summary.to_owned()));
    let mut all: Vec<_> = dotted().map(|(path, help)| (format!("{path}="), help)).chain(kinds).collect();
    all.sort();
    all.dedup_by(|b, a| a.0 == b.0);
    beginning(current, all.into_iter())
}

/// Names that the value at `path` may have.
fn values(path: &str) -> Vec<(String, String)> {
    let Some((slot, rest)) = path.split_once('.') else { return Vec::new() };
    let of_slot = components().filter(|(name, _)| *name == slot);
    if rest == "type" {
        return of_slot.map(|(_, info)| (info.name.to_owned(), info.summary.to_owned())).collect();
    }
    let mut found = Vec::new();
    for (_, info) in of_slot {
        let schema = serde_json::Value::from((info.schema)());
        for option in options(&schema).into_iter().filter(|option| option.path == rest) {
            let truths = [("true", ""), ("false", "")].map(|(name, help)| (name.to_owned(), help.to_owned()));
            found.extend(if option.kind == "boolean" { truths.to_vec() } else { option.choices });
            found.extend(option.default.iter().map(|default| (shown(default), "default".to_owned())));
        }
    }
    found.sort();
    found.dedup_by(|b, a| a.0 == b.0);
    found
}

/// Names of shipped recipes.
pub fn shipped() -> Vec<CompletionCandidate> {
    RECIPES.iter().map(|recipe| CompletionCandidate::new(recipe.name).help(Some(recipe.summary().into()))).collect()
}

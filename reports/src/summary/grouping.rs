//! Which runs belong side by side.

use super::{Data, Measure};
use crate::format;
use crate::load::Run;
use crate::settings::Settings;
use std::collections::{BTreeMap, BTreeSet};

/// What runs of one group have in common. Ordered as groups are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey {
    pub study: Option<String>,
    pub task: String,
    pub data: Data,
    pub measure: Option<Measure>,
}

/// The group of each run, in order.
pub fn keys_of(runs: &[Run]) -> Vec<GroupKey> {
    let studies = studies(runs);
    let labels = labels(runs);
    runs.iter()
        .map(|run| {
            let manifest = &run.directory.manifest;
            let like = sibling(run, runs);
            GroupKey {
                study: studies.get(manifest.name.as_str()).map(|name| (*name).to_owned()),
                task: manifest.task.clone(),
                data: like.map_or_else(|| data(run, &labels), |like| data(like, &labels)),
                measure: like.and_then(measure),
            }
        })
        .collect()
}

fn measure(run: &Run) -> Option<Measure> {
    run.result().map(|test| Measure { metric: test.metric.clone(), way: test.way, shot: test.shot })
}

/// Names of the recipes that have a group of their own: where several recipes are studies, each is a table. One study and
/// recipes of a single variant are compared with one another.
fn studies(runs: &[Run]) -> BTreeSet<&str> {
    let mut variants: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for run in runs {
        let manifest = &run.directory.manifest;
        variants.entry(&manifest.name).or_default().insert(&manifest.variant);
    }
    let studies: BTreeSet<&str> =
        variants.into_iter().filter(|(_, variants)| variants.len() > 1).map(|(name, _)| name).collect();
    if studies.len() > 1 { studies } else { BTreeSet::new() }
}

/// The run whose result says where `run` belongs: itself, else one of the same recipe, data, way and shot.
fn sibling<'a>(run: &'a Run, all: &'a [Run]) -> Option<&'a Run> {
    if run.result().is_some() {
        return Some(run);
    }
    let own = &run.directory.manifest;
    let asked = |key: &str| {
        ["dataset.", TESTED_ON].iter().any(|of| key.starts_with(of)) || ["task.way", "task.shot"].contains(&key)
    };
    let alike = |other: &Run| {
        let keys = run.settings.keys.iter().filter(|(key, _)| asked(key));
        keys.into_iter().all(|(key, value)| other.settings.get(key) == Some(value))
    };
    let of_recipe = |other: &&Run| {
        let manifest = &other.directory.manifest;
        other.result().is_some() && (&manifest.task, &manifest.name) == (&own.task, &own.name)
    };
    all.iter().filter(of_recipe).find(|other| alike(other))
}

/// The beginning of the keys of the dataset that is tested on, where it is not that of the training.
const TESTED_ON: &str = "task.test_on.";

/// The dataset that is tested on.
fn component(run: &Run) -> &str {
    let own = || run.directory.manifest.components.get("dataset").map_or("", String::as_str);
    run.settings.get("task.test_on.type").unwrap_or_else(own)
}

/// The options of that dataset.
fn data_options(run: &Run) -> Settings {
    let of = if run.settings.get("task.test_on.type").is_some() { TESTED_ON } else { "dataset." };
    let own =
        run.settings.keys.iter().filter_map(|(key, value)| Some((key.strip_prefix(of)?.to_owned(), value.clone())));
    Settings { setting: run.settings.setting.clone(), keys: own.collect(), ..Settings::default() }
}

fn test_list(run: &Run) -> &str {
    run.directory.manifest.lists.get("test").map_or("", String::as_str)
}

fn data(run: &Run, labels: &BTreeMap<(&str, &str), String>) -> Data {
    let key = (component(run), test_list(run));
    Data { label: labels.get(&key).cloned().unwrap_or_else(|| key.0.to_owned()), test: key.1.to_owned() }
}

/// Values that are longer than this, such as paths, are not part of a label.
const LONGEST_VALUE: usize = 24;

/// Whether a value of an option says something in a label: no path, list or absent one.
fn is_short(value: &str) -> bool {
    !value.is_empty() && value != "null" && value.len() <= LONGEST_VALUE && !value.starts_with(['[', '{'])
}

/// A name for each dataset and test list: the component, and the values of its options in which it differs from another
/// list of the same component.
fn labels(runs: &[Run]) -> BTreeMap<(&str, &str), String> {
    let mut first: BTreeMap<(&str, &str), Settings> = BTreeMap::new();
    for run in runs {
        first.entry((component(run), test_list(run))).or_insert_with(|| data_options(run));
    }
    let label = |key: &(&str, &str), own: &Settings| {
        let others = first.iter().filter(|(other, _)| other.0 == key.0).map(|(_, options)| options);
        let options = crate::settings::varying(others);
        let shown: Vec<&str> =
            options.iter().filter_map(|option| own.get(option)).filter(|value| is_short(value)).collect();
        if shown.is_empty() { key.0.to_owned() } else { format!("{} ({})", key.0, shown.join(", ")) }
    };
    let mut labels: BTreeMap<(&str, &str), String> =
        first.iter().map(|(key, options)| (*key, label(key, options))).collect();
    let shown: Vec<String> = labels.values().cloned().collect();
    for (key, label) in &mut labels {
        // Lists that differ in nothing else get their checksum.
        if shown.iter().filter(|other| *other == label).count() > 1 {
            *label = format!("{label} {}", format::short_hash(key.1));
        }
    }
    labels
}

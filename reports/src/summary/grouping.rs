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
    let names = Names::of(runs);
    runs.iter()
        .map(|run| {
            let manifest = &run.directory.manifest;
            let like = sibling(run, runs);
            GroupKey {
                study: studies.get(manifest.name.as_str()).map(|name| (*name).to_owned()),
                task: manifest.task.clone(),
                data: names.data(like.unwrap_or(run)),
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
    let alike = |other: &Run| {
        let keys = run.settings.keys.iter().filter(|(key, _)| asks(key));
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

/// A dataset as runs use it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Used<'a> {
    component: &'a str,
    /// Checksum of the classes and clips; empty where the run noted none.
    list: &'a str,
}

/// What `run` is trained on.
fn trained(run: &Run) -> Used<'_> {
    let manifest = &run.directory.manifest;
    Used { component: manifest.components.get("dataset").map_or("", String::as_str), list: list(run, "train") }
}

/// What `run` is tested on.
fn tested(run: &Run) -> Used<'_> {
    Used { component: other(run).unwrap_or(trained(run).component), list: list(run, "test") }
}

/// The component of the dataset that is tested on, where it is not that of the training.
fn other(run: &Run) -> Option<&str> {
    run.settings.get("task.test_on.type")
}

fn list<'a>(run: &'a Run, split: &str) -> &'a str {
    run.directory.manifest.lists.get(split).map_or("", String::as_str)
}

/// The options of `run` whose keys begin with `of`.
fn options(run: &Run, of: &str) -> Settings {
    let own = |(key, value): (&String, &String)| Some((key.strip_prefix(of)?.to_owned(), value.clone()));
    let keys = run.settings.keys.iter().filter_map(own).collect();
    Settings { setting: run.settings.setting.clone(), keys, ..Settings::default() }
}

/// What the datasets of a report are called.
struct Names<'a> {
    tested: BTreeMap<Used<'a>, String>,
    /// Those on which variants are trained that are tested on another dataset, where each of them has several methods: each
    /// then has tables of its own. Otherwise variants that are trained on different data are compared with one another.
    trained: BTreeMap<Used<'a>, String>,
}

impl<'a> Names<'a> {
    fn of(runs: &'a [Run]) -> Self {
        let (mut tests, mut trains) = (BTreeMap::new(), BTreeMap::new());
        let mut methods: BTreeMap<Used, BTreeSet<String>> = BTreeMap::new();
        for run in runs {
            let of = if other(run).is_some() { TESTED_ON } else { "dataset." };
            tests.entry(tested(run)).or_insert_with(|| options(run, of));
            if other(run).is_some() {
                trains.entry(trained(run)).or_insert_with(|| options(run, "dataset."));
                methods.entry(trained(run)).or_default().insert(method(run));
            }
        }
        if methods.values().any(|methods| methods.len() < 2) {
            trains.clear();
        }
        Self { tested: labels(&tests, &trains), trained: labels(&trains, &tests) }
    }

    fn data(&self, run: &Run) -> Data {
        let test = tested(run);
        let label = self.tested.get(&test).map_or(test.component, String::as_str);
        let train = self.trained.get(&trained(run)).filter(|train| other(run).is_some() && *train != label);
        let label = train.map_or_else(|| label.to_owned(), |train| format!("{train} → {label}"));
        Data { label, test: test.list.to_owned() }
    }
}

/// A variant without the points of a grid that say what it is trained and tested on.
fn method(run: &Run) -> String {
    let name = &run.directory.manifest.variant;
    name.split('+').filter(|part| !is_setting(part, &run.settings)).collect::<Vec<_>>().join("+")
}

/// Whether a part of a variant's name, such as `dataset.variant=motion` or `shot=5`, is about what is trained or tested on.
pub fn is_setting(part: &str, settings: &Settings) -> bool {
    let Some((name, value)) = part.split_once('=') else { return false };
    let named = |key: &str| key == name || key.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    settings.keys.iter().any(|(key, own)| named(key) && asks(key) && own == value)
}

/// Whether a key says what is trained and tested on.
fn asks(key: &str) -> bool {
    ["dataset.", TESTED_ON].iter().any(|of| key.starts_with(of)) || ["task.way", "task.shot"].contains(&key)
}

/// Values that are longer than this, such as paths, are not part of a label.
const LONGEST_VALUE: usize = 24;

/// Whether a value of an option says something in a label: no path, list or absent one.
fn is_short(value: &str) -> bool {
    !value.is_empty() && value != "null" && value.len() <= LONGEST_VALUE && !value.starts_with(['[', '{'])
}

/// A name for each dataset of `own`: the component, and the values of its options in which it differs from another dataset
/// of that component, in `own` or in `other`.
fn labels<'a>(own: &BTreeMap<Used<'a>, Settings>, other: &BTreeMap<Used<'a>, Settings>) -> BTreeMap<Used<'a>, String> {
    let label = |used: &Used, options: &Settings| {
        let alike = own.iter().chain(other).filter(|(other, _)| other.component == used.component);
        let differing = crate::settings::varying(alike.map(|(_, options)| options));
        let shown: Vec<&str> =
            differing.iter().filter_map(|option| options.get(option)).filter(|value| is_short(value)).collect();
        match shown.is_empty() {
            true => used.component.to_owned(),
            false => format!("{} ({})", used.component, shown.join(", ")),
        }
    };
    let mut labels: BTreeMap<Used, String> = own.iter().map(|(used, options)| (*used, label(used, options))).collect();
    let lists: BTreeSet<(String, &str)> = labels.iter().map(|(used, label)| (label.clone(), used.list)).collect();
    for (used, label) in &mut labels {
        // Lists that differ in nothing else get their checksum.
        if lists.iter().filter(|(other, _)| other == label).count() > 1 {
            *label = format!("{label} {}", format::short_hash(used.list));
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use crate::load::load;
    use crate::summary::{Group, summarise};
    use crate::testing::Study;
    use std::path::Path;

    /// A run of `method` for each way to train on one of `trained` and to test on one of the two variants of a dataset.
    fn crossed(root: &Path, method: &str, trained: &[&str]) {
        for train in trained {
            for test in ["motion", "appearance"] {
                let variant = format!("{method}+dataset.variant={train}+test_on.variant={test}+shot=1");
                let folder = format!("{method}-{train}-{test}");
                Study { variants: vec![(variant, 0.5, 7)], folder: folder.clone(), ..Study::default() }.write(root, 1);
                let run = std::fs::read_dir(root.join(folder)).unwrap().next().unwrap().unwrap().path();
                let manifest = std::fs::read_to_string(run.join("manifest.json")).unwrap();
                let mut manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
                manifest["lists"] =
                    serde_json::json!({"train": format!("{train} train"), "test": format!("{test} test")});
                manifest["components"]["dataset"] = "shapes".into();
                std::fs::write(run.join("manifest.json"), manifest.to_string()).unwrap();
                let recipe = format!(
                    "dataset: {{type: shapes, variant: {train}}}\nadapter: {{type: {method}}}\n\
                     task: {{type: few_shot, shot: 1, test_on: {{type: shapes, variant: {test}}}}}\n"
                );
                std::fs::write(run.join("recipe.resolved.yaml"), recipe).unwrap();
            }
        }
    }

    fn groups(root: &Path) -> Vec<Group> {
        summarise(&load(&[root.to_owned()]).unwrap()).groups
    }

    fn labels(group: &Group) -> Vec<&str> {
        group.variants.iter().map(|variant| variant.label.as_str()).collect()
    }

    #[test]
    fn methods_trained_on_several_datasets_have_a_table_for_each() {
        let folder = tempfile::tempdir().unwrap();
        crossed(folder.path(), "a", &["motion", "appearance"]);
        crossed(folder.path(), "b", &["motion", "appearance"]);
        let groups = groups(folder.path());
        let data: Vec<&str> = groups.iter().map(|group| group.data.label.as_str()).collect();
        let wanted = [
            "shapes (appearance)",
            "shapes (appearance) → shapes (motion)",
            "shapes (motion)",
            "shapes (motion) → shapes (appearance)",
        ];
        assert_eq!(data, wanted);
        assert!(
            groups.iter().all(|group| labels(group) == ["a", "b"]),
            "{:?}",
            groups.iter().map(labels).collect::<Vec<_>>()
        );
        // One method is one in all of them.
        assert!(groups.iter().all(|group| group.variants[0].number == groups[0].variants[0].number));
    }

    #[test]
    fn one_method_trained_on_several_datasets_is_compared_with_itself() {
        let folder = tempfile::tempdir().unwrap();
        crossed(folder.path(), "a", &["motion", "appearance"]);
        let groups = groups(folder.path());
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0].data.label, "shapes (appearance)");
        assert_eq!(labels(&groups[0]), ["a+dataset.variant=appearance", "a+dataset.variant=motion"]);
    }
}

//! Which runs belong side by side.

use super::{Data, Measure};
use crate::format;
use crate::load::Run;
use crate::settings::{Settings, varying};
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
    let names = Names::of(runs, &studies);
    runs.iter()
        .map(|run| {
            let manifest = &run.directory.manifest;
            let like = sibling(run, runs);
            let study = studies.get(manifest.name.as_str()).copied();
            GroupKey {
                study: study.map(str::to_owned),
                task: manifest.task.clone(),
                data: names.data(like.unwrap_or(run), study),
                measure: like.and_then(measure),
            }
        })
        .collect()
}

/// The same, the labels of data with the dataset of the training wherever that is another one.
pub fn keys_across(runs: &[Run]) -> Vec<GroupKey> {
    let names = Names::of(runs, &studies(runs));
    let mut keys = keys_of(runs);
    for (key, run) in keys.iter_mut().zip(runs).filter(|(_, run)| other(run).is_some()) {
        key.data.label = names.across(run, &key.data.tested);
    }
    keys
}

fn measure(run: &Run) -> Option<Measure> {
    run.result().map(|test| Measure { metric: test.metric.clone(), way: test.way, shot: test.shot })
}

/// Names of the recipes that have a group of their own: where several recipes are studies, each is a table. One study
/// and recipes of a single variant are compared with one another.
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

/// The beginning of the keys of the dataset.
const TRAINED_ON: &str = "dataset.";
/// That of the dataset that is tested on, where it is not that of the training.
const TESTED_ON: &str = "task.test_on.";

/// Component and options of a dataset that runs are trained or tested on.
struct Source<'a> {
    component: &'a str,
    options: Settings,
}

impl<'a> Source<'a> {
    fn trained(run: &'a Run) -> Self {
        let component = run.directory.manifest.components.get("dataset").map_or("", String::as_str);
        Self { component, options: options(run, TRAINED_ON) }
    }

    fn tested(run: &'a Run) -> Self {
        match other(run) {
            Some(component) => Self { component, options: options(run, TESTED_ON) },
            None => Self::trained(run),
        }
    }
}

/// The component of the dataset that is tested on, where it is not that of the training.
fn other(run: &Run) -> Option<&str> {
    run.settings.get("task.test_on.type")
}

/// The options of `run` whose keys begin with `of`, by the keys that they have where the dataset is trained on.
fn options(run: &Run, of: &str) -> Settings {
    let own =
        |(key, value): (&String, &String)| Some((format!("{TRAINED_ON}{}", key.strip_prefix(of)?), value.clone()));
    let keys = run.settings.keys.iter().filter_map(own).collect();
    Settings { setting: run.settings.setting.clone(), keys, ..Settings::default() }
}

/// Checksum of the classes and clips that `run` is tested on; empty where it noted none.
fn test_list(run: &Run) -> &str {
    run.directory.manifest.lists.get("test").map_or("", String::as_str)
}

/// A study, and the component and list of a dataset that is tested on and not trained on.
type Crossed<'a> = (Option<&'a str>, &'a str, &'a str);

/// What the datasets of a report are called.
struct Names<'a> {
    /// By component and checksum of the list.
    tested: BTreeMap<(&'a str, &'a str), String>,
    /// For each component, the options in which its datasets differ.
    differing: BTreeMap<&'a str, Vec<String>>,
    /// The study, component and list of those tests on another dataset that have a table for each dataset that is
    /// trained on: so it is where each of several has several methods. Elsewhere such variants are compared with one
    /// another.
    by_training: BTreeSet<Crossed<'a>>,
}

/// Between what was trained on and what was tested on.
pub const ARROW: &str = " → ";

impl<'a> Names<'a> {
    fn of(runs: &'a [Run], studies: &BTreeSet<&'a str>) -> Self {
        let mut lists: BTreeMap<(&str, &str), Source> = BTreeMap::new();
        for run in runs {
            let test = Source::tested(run);
            lists.entry((test.component, test_list(run))).or_insert(test);
        }
        let crossed = || runs.iter().filter(|run| other(run).is_some());
        let mut options: BTreeMap<&str, Vec<Settings>> = BTreeMap::new();
        for source in crossed().map(Source::trained) {
            options.entry(source.component).or_default().push(source.options);
        }
        for source in lists.values() {
            options.entry(source.component).or_default().push(source.options.clone());
        }
        let differing = options.into_iter().map(|(component, options)| (component, varying(&options))).collect();
        let mut names = Self { tested: BTreeMap::new(), differing, by_training: BTreeSet::new() };
        names.tested = names.of_lists(&lists);
        let mut methods: BTreeMap<Crossed, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for run in crossed() {
            let study = studies.get(run.directory.manifest.name.as_str()).copied();
            let trained = methods.entry((study, Source::tested(run).component, test_list(run))).or_default();
            trained.entry(names.label(&Source::trained(run))).or_default().insert(method(run));
        }
        methods.retain(|_, trained| trained.len() > 1 && trained.values().all(|methods| methods.len() > 1));
        names.by_training = methods.into_keys().collect();
        names
    }

    /// The component, and the values of its options in which it differs from other datasets.
    fn label(&self, source: &Source) -> String {
        let differing = self.differing.get(source.component).into_iter().flatten();
        let shown: Vec<String> = differing.filter_map(|option| shown(option, source.options.get(option)?)).collect();
        match shown.is_empty() {
            true => source.component.to_owned(),
            false => format!("{} ({})", source.component, shown.join(", ")),
        }
    }

    fn of_lists(&self, lists: &BTreeMap<(&'a str, &'a str), Source>) -> BTreeMap<(&'a str, &'a str), String> {
        let mut labels: BTreeMap<(&str, &str), String> =
            lists.iter().map(|(list, source)| (*list, self.label(source))).collect();
        let shown: Vec<String> = labels.values().cloned().collect();
        for ((_, list), label) in &mut labels {
            // Lists that differ in nothing else get their checksum.
            if shown.iter().filter(|other| *other == label).count() > 1 {
                *label = format!("{label} {}", format::short_hash(list));
            }
        }
        labels
    }

    fn data(&self, run: &'a Run, study: Option<&'a str>) -> Data {
        let (source, test) = (Source::tested(run), test_list(run));
        let tested = self.tested.get(&(source.component, test)).cloned().unwrap_or_else(|| self.label(&source));
        let trained = self.label(&Source::trained(run));
        let apart = other(run).is_some() && self.by_training.contains(&(study, source.component, test));
        let label = match apart && trained != self.label(&source) {
            true => format!("{trained}{ARROW}{tested}"),
            false => tested.clone(),
        };
        Data { label, tested, test: test.to_owned() }
    }
}

impl Names<'_> {
    /// What `run` is trained on and what it is tested on, which is called `tested`: `shapes (motion → appearance)`.
    fn across(&self, run: &Run, tested: &str) -> String {
        let source = Source::trained(run);
        let trained = self.label(&source);
        let options = |label: &str| {
            let inside = label.strip_prefix(source.component)?.strip_prefix(" (")?.strip_suffix(')')?;
            Some(inside.to_owned())
        };
        match (options(&trained), options(tested)) {
            _ if trained == tested => trained,
            (Some(from), Some(to)) => format!("{} ({from}{ARROW}{to})", source.component),
            _ => format!("{trained}{ARROW}{tested}"),
        }
    }
}

/// What tells the method of a run from another: all that its recipe says but the data, way, shots and seed.
fn method(run: &Run) -> String {
    let about = |key: &str| !asks(key) && key != "seed" && !key.starts_with("task.start");
    let keys = run.settings.keys.iter().filter(|(key, _)| about(key));
    keys.map(|(key, value)| format!("{key}={value}\n")).collect()
}

/// A name of a variant without the points of a grid that say what it is trained and tested on.
pub fn without_settings(name: &str, settings: &Settings) -> String {
    name.split('+').filter(|part| !is_setting(part, settings)).collect::<Vec<_>>().join("+")
}

/// Whether a part of a variant's name, such as `dataset.variant=motion` or `shot=5`, is about what is trained or tested
/// on.
pub fn is_setting(part: &str, settings: &Settings) -> bool {
    let Some((name, value)) = part.split_once('=') else { return false };
    let named = |key: &str| key == name || key.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    settings.keys.iter().any(|(key, own)| named(key) && asks(key) && own == value)
}

/// Whether a key says what is trained and tested on.
fn asks(key: &str) -> bool {
    [TRAINED_ON, TESTED_ON].iter().any(|of| key.starts_with(of)) || ["task.way", "task.shot"].contains(&key)
}

/// Values that are longer than this are not part of a label.
const LONGEST_VALUE: usize = 24;

/// What a label says of an option: a word alone, of a path its last name, and a number or a truth with its key,
/// `seed=7`. `None` for lists, absent values and long ones.
fn shown(option: &str, value: &str) -> Option<String> {
    let bare = value.parse::<f64>().is_ok() || value.parse::<bool>().is_ok();
    let word = value.trim_end_matches('/').rsplit('/').next().unwrap_or(value);
    let says = !word.is_empty() && word != "null" && word.len() <= LONGEST_VALUE && !value.starts_with(['[', '{']);
    let key = option.strip_prefix(TRAINED_ON).unwrap_or(option);
    says.then(|| if bare { format!("{key}={word}") } else { word.to_owned() })
}

#[cfg(test)]
mod tests {
    use crate::load::load;
    use crate::summary::{Group, summarise};
    use crate::testing::Study;
    use std::collections::BTreeSet;
    use std::path::Path;

    const BOTH: [&str; 2] = ["variant: motion", "variant: appearance"];

    /// A run of `method` for each way to train on the dataset with one of the options `trained` and to test on one of
    /// its two variants.
    fn crossed(root: &Path, method: &str, trained: &[&str]) {
        for train in trained {
            for test in ["motion", "appearance"] {
                let points: Vec<String> =
                    train.split(", ").map(|option| format!("dataset.{}", option.replace(": ", "="))).collect();
                let variant = format!("{method}+{}+test_on.variant={test}+shot=1", points.join("+"));
                let folder = format!("{method}-{}-{test}", points.join("-"));
                Study { variants: vec![(variant, 0.5, 7)], folder: folder.clone(), ..Study::default() }.write(root, 1);
                let run = std::fs::read_dir(root.join(folder)).unwrap().next().unwrap().unwrap().path();
                let manifest = std::fs::read_to_string(run.join("manifest.json")).unwrap();
                let mut manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
                // A method that trains nothing reads no list of a train split.
                manifest["lists"] = serde_json::json!({"test": format!("{test} test")});
                manifest["components"]["dataset"] = "shapes".into();
                std::fs::write(run.join("manifest.json"), manifest.to_string()).unwrap();
                let recipe = format!(
                    "dataset: {{type: shapes, {train}}}\nprompt: {{type: {method}}}\n\
                     task: {{type: few_shot, shot: 1, test_on: {{type: shapes, variant: {test}}}}}\n"
                );
                std::fs::write(run.join("recipe.resolved.yaml"), recipe).unwrap();
            }
        }
    }

    #[test]
    fn a_test_on_another_dataset_names_both() {
        let folder = tempfile::tempdir().unwrap();
        crossed(folder.path(), "one", &BOTH);
        let loaded = load(&[folder.path().to_owned()]).unwrap();
        let labels: BTreeSet<String> = super::keys_across(&loaded.runs).into_iter().map(|key| key.data.label).collect();
        let wanted = ["appearance → motion", "appearance", "motion → appearance", "motion"];
        assert_eq!(labels.into_iter().collect::<Vec<_>>(), wanted.map(|options| format!("shapes ({options})")));
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
        crossed(folder.path(), "a", &BOTH);
        crossed(folder.path(), "b", &BOTH);
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
    fn labels_say_in_what_datasets_differ() {
        let shown = |option: &str, value: &str| super::shown(&format!("dataset.{option}"), value);
        assert_eq!(shown("variant", "motion").as_deref(), Some("motion"));
        assert_eq!(shown("seed", "7").as_deref(), Some("seed=7"));
        assert_eq!(shown("shuffle", "true").as_deref(), Some("shuffle=true"));
        assert_eq!(shown("root", "/a/very/long/path/to/the/frames/of/hmdb51/").as_deref(), Some("hmdb51"));
        assert_eq!(shown("root", "null"), None);
        assert_eq!(shown("classes", "[1,2]"), None);
        assert_eq!(shown("note", "a value that is far too long for it"), None);
    }

    #[test]
    fn trainings_that_differ_in_the_seed_of_their_dataset_have_a_table_for_each() {
        let folder = tempfile::tempdir().unwrap();
        let seeds = ["variant: motion, seed: 1", "variant: motion, seed: 2"];
        crossed(folder.path(), "a", &seeds);
        crossed(folder.path(), "b", &seeds);
        let groups = groups(folder.path());
        let data: Vec<&str> = groups.iter().map(|group| group.data.label.as_str()).collect();
        assert_eq!(groups.len(), 4);
        assert!(data.contains(&"shapes (seed=2, motion) → shapes (appearance)"), "{data:?}");
    }

    #[test]
    fn one_method_trained_on_several_datasets_is_compared_with_itself() {
        let folder = tempfile::tempdir().unwrap();
        crossed(folder.path(), "a", &BOTH);
        let groups = groups(folder.path());
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0].data.label, "shapes (appearance)");
        assert_eq!(labels(&groups[0]), ["a+dataset.variant=appearance", "a+dataset.variant=motion"]);
    }
}

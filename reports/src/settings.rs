//! The keys and values of a resolved recipe.

use maclip_framework::error::Result;
use maclip_framework::recipe::design_of;
use maclip_framework::recipe::expectation::{Expectation, Setting};
use maclip_language::{Arguments, Node, from_node};
use std::collections::BTreeMap;

/// Top-level keys that name or select a run and do not change what it computes.
const NAMING: [&str; 7] = ["name", "description", "label", "expect", "study", "preset", "presets"];

/// A resolved recipe, read.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The data and the weights; `None` where the recipe could not be read.
    pub setting: Option<Setting>,
    /// The value at each dotted path, as YAML writes it on a line.
    pub keys: BTreeMap<String, String>,
    /// What runs of one design have in common, see [`design_of`]; empty where the recipe could not be read.
    pub design: String,
    pub expect: Vec<Expectation>,
    /// What the recipe calls the run, as it was when the run began.
    pub label: Option<String>,
}

impl Settings {
    /// # Errors
    /// Where `text` is no YAML, or its `expect` cannot be understood.
    pub fn read(text: &str) -> Result<Self> {
        let root = maclip_language::load_text("recipe.resolved.yaml", text, &Arguments::default())?.root;
        let expect = root.at("expect").map(|node| from_node(node, "expect")).transpose()?.unwrap_or_default();
        let mut keys = BTreeMap::new();
        for entry in root.as_map().into_iter().flatten().filter(|entry| !NAMING.contains(&entry.key.as_str())) {
            flatten(&entry.value, entry.key.clone(), &mut keys);
        }
        let label = root.at("label").and_then(Node::as_str).map(str::to_owned);
        Ok(Self { setting: Some(Setting::of(&root)), keys, design: design_of(&root), expect, label })
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }
}

fn flatten(node: &Node, path: String, keys: &mut BTreeMap<String, String>) {
    match node.as_map().filter(|map| !map.is_empty()) {
        Some(map) => map.iter().for_each(|entry| flatten(&entry.value, maclip_language::join(&path, &entry.key), keys)),
        None => {
            let value = node.to_json();
            keys.insert(path, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
    }
}

/// Keys whose values differ among `settings`; a key that some of them lack differs. Not the seed, in which all runs of
/// a variant differ.
pub fn varying<'a>(settings: impl IntoIterator<Item = &'a Settings>) -> Vec<String> {
    let mut seen: BTreeMap<&str, (usize, &str, bool)> = BTreeMap::new();
    let mut count = 0;
    // A recipe that could not be read does not count as one that lacks a key.
    for settings in settings.into_iter().filter(|settings| settings.setting.is_some()) {
        count += 1;
        for (key, value) in &settings.keys {
            let (times, first, differs) = seen.entry(key).or_insert((0, value, false));
            *times += 1;
            *differs |= *first != value;
        }
    }
    let varies = |(key, (times, _, differs)): (&str, (usize, &str, bool))| {
        (key != "seed" && (differs || times < count)).then(|| key.to_owned())
    };
    seen.into_iter().filter_map(varies).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_flat_and_those_that_differ_are_found() {
        let one = Settings::read("name: a\nseed: 1\nadapter: {type: aim, ratio: 0.25}\nlist: [1, 2]\n").unwrap();
        let two = Settings::read("name: b\nseed: 2\nadapter: {type: none}\nlist: [1, 2]\n").unwrap();
        assert_eq!(one.get("adapter.ratio"), Some("0.25"));
        assert_eq!(one.get("list"), Some("[1,2]"));
        assert_eq!(varying([&one, &two]), ["adapter.ratio", "adapter.type"]);
        assert!(varying([&one]).is_empty());
        assert_eq!(varying([&one, &two, &Settings::default()]), varying([&one, &two]));
    }

    #[test]
    fn expectations_come_along() {
        let text = "name: a\nexpect: [{metric: accuracy, value: 56.5, tolerance: 0.6, source: table 3}]\n";
        assert_eq!(Settings::read(text).unwrap().expect[0].value, 56.5);
        assert!(Settings::read("a: [").is_err());
    }
}

//! Any bytes as a recipe: everything that the recipe language does to a text before a component sees it.
//!
//! An input is one or more YAML texts, separated by the byte 0xFE, each laid over the one before as `extends` does; then
//! `--set` arguments, each after a byte 0xFF. Neither byte occurs in UTF-8 text.

#![no_main]
// What is read is dropped: only the reading counts.
#![allow(dead_code)]

use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

use maclip_language::{Arguments, Diagnostic, Diagnostics, Document, Entry, Node, Value};

/// As the configurations of components are: every kind of type that the deserialiser has a path for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Recipe {
    name: String,
    description: Option<String>,
    seed: u64,
    device: Device,
    task: Task,
    alignment: Alignment,
    adapter: Tagged,
    optimizer: Optimizer,
    backbone: BTreeMap<String, Scalar>,
    dataset: HashMap<u16, Option<Box<Recipe>>>,
    expect: Vec<Expect>,
    prompt: serde_json::Value,
    frames: (i8, u32, f32),
    schedule: Newtype,
    study: Option<serde_json::Value>,
}

impl Default for Recipe {
    fn default() -> Self {
        Recipe {
            name: String::new(),
            description: None,
            seed: 0,
            device: Device::Flex,
            task: Task::default(),
            alignment: Alignment::default(),
            adapter: Tagged::None,
            optimizer: Optimizer::default(),
            backbone: BTreeMap::new(),
            dataset: HashMap::new(),
            expect: Vec::new(),
            prompt: serde_json::Value::Null,
            frames: (0, 0, 0.0),
            schedule: Newtype(0.0),
            study: None,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Task {
    r#type: Option<String>,
    way: usize,
    shot: u8,
    queries: i64,
    train: Steps,
    flag: bool,
    letter: Option<char>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Steps {
    steps: Option<u32>,
    #[serde(flatten)]
    others: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Alignment {
    r#type: Option<String>,
    lambda: f64,
    shots: Option<Direction>,
    weights: [f32; 3],
    unit: (),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Direction {
    MeanDistances,
    Scaled { scale: f32, count: Option<i32> },
    Pair(i16, u64),
    One(String),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Device {
    Flex,
    Tch(String),
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Tagged {
    None,
    Multimodal { ratio: Option<f64>, blocks: Option<Vec<usize>> },
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Many(Vec<Scalar>),
    Named(BTreeMap<String, Scalar>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Optimizer {
    r#type: String,
    learning_rate: f32,
    big: Option<i128>,
    small: Option<u128>,
}

#[derive(Debug, Deserialize)]
struct Newtype(f32);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    metric: String,
    value: f64,
    tolerance: Option<f64>,
    source: Option<String>,
}

fuzz_target!(|data: &[u8]| {
    let mut parts = data.split(|byte| *byte == 0xFF);
    let texts: Vec<_> = parts.next().unwrap_or_default().split(|byte| *byte == 0xFE).map(text).collect();
    // A path alone is taken out.
    let (sets, unsets) = parts.map(text).partition(|argument| argument.contains('='));
    let arguments = Arguments { sets, unsets, others: Vec::new() };
    let Some((first, over)) = texts.split_first() else { return };

    let read = kept(maclip_language::read_str("recipe.yaml", first));
    if let Some(read) = &read {
        comes_back(read);
    }
    let Some(Document { mut root, .. }) = kept(maclip_language::load_text("recipe.yaml", first, &arguments)) else { return };
    for text in over {
        if let Some(node) = kept(maclip_language::read_str("over.yaml", text)) {
            maclip_language::merge(&mut root, node, "", &mut Vec::new());
        }
    }
    comes_back(&root);
    resolved(&root);

    // As a study expands: each variant's changes on the recipe without the study.
    let study = root.as_map_mut().and_then(|map| map.remove("study"));
    let variants = study.as_ref().and_then(|study| study.at("variants")).and_then(Node::as_map);
    for Entry { value: changes, .. } in variants.into_iter().flatten().take(8) {
        let mut changed = root.clone();
        if kept(maclip_language::apply_variant(&mut changed, changes, &mut Vec::new())).is_some() {
            comes_back(&changed);
            resolved(&changed);
        }
    }
});

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// With every `${…}` replaced, the tree comes back too and is typed.
fn resolved(root: &Node) {
    let env = |name: &str| match name {
        "A" => Some("1e-3".to_owned()),
        "B" => Some("a: ${task}".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    let Some(node) = kept(maclip_language::interpolate_with(root, None, &env)) else { return };
    comes_back(&node);
    kept(maclip_language::from_node::<Recipe>(&node, "").map_err(Diagnostics::from));
    let repaired = maclip_language::from_node_repaired::<Recipe>(&node, "");
    assert!(repaired.value.is_some() || !repaired.problems.is_empty(), "what cannot be read has a reason");
    kept(Diagnostics::check(repaired.problems));
    for key in ["task", "alignment", "study.variants", "expect.0", "a"] {
        if let Some(node) = node.at(key) {
            kept(maclip_language::from_node::<Task>(node, key).map_err(Diagnostics::from));
            kept(maclip_language::from_node::<Scalar>(node, key).map_err(Diagnostics::from));
            kept(maclip_language::from_node::<Option<Direction>>(node, key).map_err(Diagnostics::from));
        }
    }
}

/// What was written reads back as the same tree with the same identity.
fn comes_back(node: &Node) {
    let identity = maclip_language::identity(node, &["name", "task.shot"]);
    assert_eq!(
        identity,
        maclip_language::identity(&reversed(node), &["name", "task.shot"]),
        "the order of keys changes nothing"
    );
    let (nodes, finite) = size(node);
    if finite {
        assert_eq!(*node, Node::from_json(&node.to_json()), "through JSON");
    }
    let yaml = node.to_yaml();
    // Aliases and references can make more of a text than the reader takes; it counts keys too.
    if nodes > 4_000 || yaml.len() > 1_000_000 {
        return;
    }
    match maclip_language::read_str("written", &yaml) {
        Ok(read) => {
            assert_eq!(*node, read, "through YAML:\n{yaml}");
            assert_eq!(identity, maclip_language::identity(&read, &["name", "task.shot"]), "identity through YAML:\n{yaml}");
            assert_eq!(yaml, read.to_yaml(), "written again");
        }
        Err(problems) => panic!("what was written cannot be read:\n{}\n{yaml}", problems.render(false)),
    }
}

fn size(node: &Node) -> (usize, bool) {
    let sum = |(a, fa), (b, fb)| (a + b, fa && fb);
    match &node.value {
        Value::List(list) => list.iter().map(size).fold((1, true), sum),
        Value::Map(map) => map.iter().map(|entry| size(&entry.value)).fold((1 + map.len(), true), sum),
        Value::Float(value) => (1, value.is_finite()),
        _ => (1, true),
    }
}

fn reversed(node: &Node) -> Node {
    let value = match &node.value {
        Value::List(list) => Value::List(list.iter().map(reversed).collect()),
        Value::Map(map) => {
            let mut entries: Vec<Entry> =
                map.iter().map(|entry| Entry { value: reversed(&entry.value), ..entry.clone() }).collect();
            entries.reverse();
            Value::Map(entries.into_iter().collect())
        }
        scalar => scalar.clone(),
    };
    Node::new(value, node.origin.clone())
}

/// The value; or every message, in every form that the program shows it in.
fn kept<T>(result: Result<T, Diagnostics>) -> Option<T> {
    let problems = match result {
        Ok(value) => return Some(value),
        Err(problems) => problems,
    };
    assert!(problems.iter().count() > 0, "an error says something");
    problems.iter().take(20).for_each(shown);
    assert!(problems.to_json().is_array());
    Diagnostics::from_list(problems.into_vec());
    None
}

fn shown(problem: &Diagnostic) {
    let plain = problem.render(false);
    let control = plain.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(control, None, "a message drives the terminal: {plain:?}");
    assert!(maclip_language::codes::TABLE.iter().any(|code| code.code == problem.code), "{}", problem.code);
    assert!(!problem.message.is_empty());
    assert!(!problem.render(true).is_empty());
    assert!(problem.to_json().to_string().contains(problem.code));
}

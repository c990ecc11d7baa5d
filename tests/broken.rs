//! Broken recipes, each with the problems that it must be told: `tests/broken/*.yaml` say them in their last lines.
//!
//! ```text
//! # expect: MC007 4:3 alignment.lamda          code, line:column, path in the recipe (`-` for none)
//! # expect: MC006 parts/base.yaml:3:9 task.way a place in another file
//! # expect: MC010 --set alignment.lambda       a place on the command line
//! # set: …   # unset: …   # env: NAME=value    arguments and environment
//! # arguments: --deep                          more arguments
//! # blind: why                                 the JSON schema cannot see it (tests/schema)
//! ```
//!
//! `tests/broken/index.txt` names each of them with the codes that it expects: one that is lost shows there.

mod common;

use common::{command, finish, generated, root};
use maclip_language::codes;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

struct Broken {
    name: String,
    /// Code, place, path.
    expected: Vec<[String; 3]>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

fn folder() -> PathBuf {
    root().join("tests/broken")
}

fn all() -> Vec<Broken> {
    let mut found: Vec<Broken> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| read(&path))
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn read(path: &Path) -> Broken {
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let said = |what: &str| {
        let prefix = format!("# {what}: ");
        text.lines().filter_map(|line| line.strip_prefix(&prefix).map(str::to_owned)).collect::<Vec<_>>()
    };
    let expected = said("expect").into_iter().map(|line| {
        let mut words = line.splitn(3, ' ').map(str::to_owned);
        let mut word = || words.next().unwrap_or_else(|| panic!("{}: {line}", path.display()));
        let [code, place, path] = [word(), word(), word()];
        [code, place, if path == "-" { String::new() } else { path }]
    });
    let mut arguments: Vec<String> = Vec::new();
    said("set").into_iter().for_each(|set| arguments.extend(["--set".to_owned(), set]));
    said("unset").into_iter().for_each(|unset| arguments.extend(["--unset".to_owned(), unset]));
    said("arguments").iter().for_each(|more| arguments.extend(more.split(' ').map(str::to_owned)));
    let environment = said("env").into_iter().map(|line| {
        let (name, value) = line.split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    });
    Broken {
        name: path.file_name().unwrap().to_str().unwrap().to_owned(),
        expected: expected.collect(),
        arguments,
        environment: environment.collect(),
    }
}

/// What `maclip validate` says: exit code, standard output and error.
fn validate(broken: &Broken, more: &[&str]) -> common::Ran {
    let mut words: Vec<&str> = vec!["validate", &broken.name];
    words.extend(broken.arguments.iter().map(String::as_str));
    words.extend(more);
    let mut command = command(&words);
    command.current_dir(folder()).envs(broken.environment.iter().cloned());
    finish(command.output().unwrap())
}

fn told(diagnostic: &Value, broken: &Broken) -> [String; 3] {
    let text = |key: &str| diagnostic[key].as_str().unwrap_or_default().to_owned();
    let place = match (diagnostic["file"].as_str(), diagnostic["argument"].as_str()) {
        (Some(file), _) => {
            let place = format!("{}:{}", diagnostic["line"], diagnostic["column"]);
            if file == broken.name { place } else { format!("{file}:{place}") }
        }
        (None, Some(argument)) => argument.split(' ').next().unwrap().to_owned(),
        (None, None) => "-".to_owned(),
    };
    [text("code"), place, text("path")]
}

/// How the files are written that the program's messages are held against.
const UPDATE: &str = "MACLIP_UPDATE=1 cargo test --release --workspace --test broken";

#[test]
fn no_broken_recipe_is_lost() {
    let line = |broken: &Broken| {
        let codes: Vec<&str> = broken.expected.iter().map(|expected| expected[0].as_str()).collect();
        format!("{}: {}\n", broken.name, codes.join(" "))
    };
    let index: String = all().iter().map(line).collect();
    generated("tests/broken/index.txt", &index, UPDATE);
}

#[test]
fn every_broken_recipe_is_told_what_is_wrong_and_where() {
    let recipes = all();
    let mut wrong = Vec::new();
    for broken in &recipes {
        let ran = validate(broken, &["--json"]);
        let json: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        let empty = Vec::new();
        let listed = json["diagnostics"].as_array().unwrap_or(&empty);
        let found: BTreeSet<_> = listed.iter().map(|diagnostic| told(diagnostic, broken)).collect();
        let expected: BTreeSet<_> = broken.expected.iter().cloned().collect();
        let panicked = ran.stderr.contains("panicked");
        if found != expected || ran.code != Some(2) || panicked {
            wrong.push(format!("{} (exit {:?})\n  expected {expected:?}\n  found    {found:?}", broken.name, ran.code));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), recipes.len(), wrong.join("\n"));
}

#[test]
fn every_code_of_an_error_has_a_recipe_that_triggers_it() {
    let told: BTreeSet<String> = all().iter().flat_map(|broken| broken.expected.iter().map(|e| e[0].clone())).collect();
    // MC014 is a note, and stops nothing.
    let missing: Vec<_> =
        codes::TABLE.iter().map(|code| code.code).filter(|code| *code != "MC014" && !told.contains(*code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// One of each kind as the terminal shows it.
const SHOWN: [&str; 22] = [
    "alias-number",
    "component-misspelt",
    "deep-weights-missing",
    "env-wrong-type",
    "extends-loop-of-two",
    "extends-here-and-there",
    "key-after-unicode",
    "key-of-another-component",
    "merge-value-out-of-range",
    "missing-everything",
    "range-device-not-built",
    "range-way-of-one",
    "ref-circle",
    "set-item-wrong-type",
    "set-overridden-by-seeds",
    "several-in-compute",
    "structure-trx-above-frames",
    "study-without-the-backbone",
    "syntax-tab-indentation",
    "type-number-with-unit",
    "type-slot-as-string",
    "unset-misspelt",
];

#[test]
fn messages_look_as_they_did() {
    let recipes = all();
    for name in SHOWN {
        let broken = recipes.iter().find(|broken| broken.name == format!("{name}.yaml"));
        let broken = broken.unwrap_or_else(|| panic!("{name}.yaml is gone"));
        let shown = validate(broken, &[]).stderr;
        generated(&format!("tests/broken/shown/{name}.txt"), &shown, UPDATE);
    }
    let there = std::fs::read_dir(folder().join("shown")).unwrap().map(|entry| entry.unwrap().file_name());
    let there: BTreeSet<String> = there.map(|name| name.into_string().unwrap()).collect();
    assert_eq!(there, BTreeSet::from(SHOWN.map(|name| format!("{name}.txt"))), "tests/broken/shown has these files");
}

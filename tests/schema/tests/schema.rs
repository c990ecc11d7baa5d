//! The recipes' JSON Schema, held against recipes by a published validator that has nothing of maclip in it.

use serde_json::Value;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn validator() -> jsonschema::Validator {
    let text = std::fs::read_to_string(root().join("recipes/schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    if let Err(problem) = jsonschema::meta::validate(&schema) {
        panic!("it is no valid schema of draft 2020-12: {} at {}", problem, problem.instance_path());
    }
    jsonschema::draft202012::new(&schema).unwrap()
}

/// YAML files below `folder`.
fn recipes(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(recipes(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path, text: &str) -> Value {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        merge_keys: serde_saphyr::options::MergeKeyPolicy::Merge,
    };
    serde_saphyr::from_str_with_options(text.trim_start_matches('\u{feff}'), options)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()))
}

#[test]
fn every_shipped_recipe_is_accepted() {
    let validator = validator();
    let all = recipes(&root().join("recipes"));
    // That these are all shipped recipes is held in tests/registry.rs.
    for name in ["quickstart", "methods/ma_clip"] {
        assert!(all.contains(&root().join(format!("recipes/{name}.yaml"))), "{name} is not among {all:?}");
    }
    for path in all {
        let tree = read(&path, &std::fs::read_to_string(&path).unwrap());
        let problems: Vec<String> =
            validator.iter_errors(&tree).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(problems.is_empty(), "{}:\n{}", path.display(), problems.join("\n"));
    }
}

/// What a schema can see: types, keys, names and ranges. Not what needs the command line, another file or two places at
/// once; where it cannot for another reason, the recipe says `# blind: why`.
#[test]
fn every_broken_recipe_is_rejected_where_a_schema_can_see_it() {
    let validator = validator();
    let visible = ["MC006", "MC007", "MC008", "MC009", "MC010"];
    let folder = root().join("tests/broken");
    let (mut seen, mut missed, mut index) = (0, Vec::new(), String::new());
    for path in recipes(&folder).into_iter().filter(|path| path.parent() == Some(folder.as_path())) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        let said = |what: &str| text.lines().filter(|line| line.starts_with(&format!("# {what}"))).collect::<Vec<_>>();
        let codes: Vec<&str> = said("expect: ").iter().map(|line| line.split(' ').nth(2).unwrap()).collect();
        index += &format!("{name}: {}\n", codes.join(" "));
        let written = said("expect: ").iter().any(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            visible.contains(&words[2]) && !words[3].contains(".yaml")
        });
        let elsewhere = ["set: ", "unset: ", "env: ", "blind: "].iter().any(|what| !said(what).is_empty());
        if !written || elsewhere {
            continue;
        }
        seen += 1;
        if validator.is_valid(&read(&path, &text)) {
            missed.push(name.to_owned());
        }
    }
    assert!(missed.is_empty(), "{} of {seen} are accepted: {}", missed.len(), missed.join(" "));
    // All of them were looked at, and their expectations were understood: tests/broken.rs writes this file.
    assert_eq!(index, std::fs::read_to_string(folder.join("index.txt")).unwrap());
}

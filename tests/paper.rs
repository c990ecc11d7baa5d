//! The paper's tables as recipes, and what they need: presets, several recipes at once, the same run made once.

mod common;

use common::{command, fails, finish, maclip, ok, root, run_directory};
use maclip_framework::recipe::expectation::{Setting, Weights};
use maclip_language::{Node, apply_variant};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// Rows with a number of the paper's own in each table: of tables 1 and 2, which are split by data, three towers with
/// one and with five shots.
const ROWS: [(&str, usize); 12] = [
    ("table1_2_hmdb51", 6),
    ("table1_2_kinetics", 6),
    ("table1_2_ssv2_full", 6),
    ("table1_2_ssv2_small", 6),
    ("table1_2_ucf101", 6),
    ("table3_modules", 8),
    ("table4_adapters", 5),
    ("table5_text", 4),
    ("table6_prototype", 3),
    ("table7_metrics", 18),
    ("table8_cost", 4),
    ("table9_tasks", 8),
];

/// The tables, which have their folder for themselves; what they share lies in `recipes/parts`.
fn tables() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("recipes/paper")).unwrap();
    let mut tables: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    tables.sort();
    let names: Vec<&str> = tables.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ROWS.map(|(table, _)| table));
    tables
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn every_table_is_whole_at_full_size_and_embedded() {
    let mut embedded = HashSet::new();
    for table in tables() {
        let path = table.to_str().unwrap();
        let mut full = command(&["validate", path, "--json"]);
        for name in ["KINETICS", "SSV2", "HMDB51", "UCF101"] {
            full.env(format!("{name}_ROOT"), "clips");
        }
        for name in ["CLIP", "CLIP_B32", "CLIP_RN50", "VIT_B32"] {
            full.env(format!("{name}_WEIGHTS"), "weights.safetensors");
        }
        let full = finish(full.output().unwrap());
        assert_eq!(full.code, Some(0), "{path}\n{}", full.stderr);
        let full = parsed(&full.stdout);
        assert_eq!(full["left_out"], json!([]), "{path}");
        // Without any data and weights.
        let small = parsed(&ok(&["validate", path, "--set", "preset=embedded", "--json"]));
        let [rows, runs, left_out] =
            [&full["runs"], &small["runs"], &small["left_out"]].map(|list| list.as_array().unwrap());
        assert_eq!(rows.len(), runs.len() + left_out.len(), "{path}");
        assert!(!runs.is_empty(), "{path}");
        for run in runs {
            assert_eq!(run["components"]["dataset"], "shapes_in_motion", "{path}");
            embedded.insert(run["hash"].as_str().unwrap().to_owned());
        }
        for run in left_out {
            assert!(run["reason"].as_str().unwrap().contains("embedded"), "{path}: {run}");
        }
    }
    // What stands in several tables is the same run.
    assert_eq!(embedded.len(), 26);
}

#[test]
fn every_row_says_what_its_number_is_of_and_is_of_that() {
    let mut rows = BTreeMap::new();
    for table in tables() {
        let document = maclip_language::load(&table, &maclip_language::Arguments::default()).unwrap();
        let variants = document.root.at("study.variants").and_then(Node::as_map).unwrap();
        for variant in variants {
            let mut row = document.root.clone();
            apply_variant(&mut row, &variant.value, &mut Vec::new()).unwrap();
            let place = format!("{} {}", table.display(), variant.key);
            // As with weights from a file.
            if let Some(backbone) = row.at_mut("backbone").and_then(Node::as_map_mut) {
                backbone.insert("weights", Default::default(), Node::from_json(&json!("weights.safetensors")));
            }
            let Setting { dataset, backbone, weights } = Setting::of(&row);
            assert_eq!(weights, Weights::File, "{place}");
            let expect = row.at("expect").map(Node::to_json).unwrap_or_default();
            let [only] = expect.as_array().unwrap().as_slice() else { panic!("{place}: {expect}") };
            assert_eq!((&only["dataset"], &only["backbone"]), (&json!(dataset), &json!(backbone)), "{place}");
            assert!(only["source"].as_str().unwrap().starts_with("arXiv 2308.01532v1, table"), "{place}");
            *rows.entry(table.file_stem().unwrap().to_str().unwrap().to_owned()).or_insert(0) += 1;
        }
    }
    assert_eq!(rows, BTreeMap::from(ROWS.map(|(table, count)| (table.to_owned(), count))));
}

const BASE: &str = "seed: 1\ndataset: {type: shapes_in_motion, clips_per_class: 6}\n\
    backbone: {type: clip_vit, weights: \"builtin:shapes_clip\"}\nprototype: {type: text_guided}\nobjective: {type: metric}\n\
    task: {type: few_shot, queries: 1, train: {steps: 2, validate_every_steps: 2, checkpoint_every_steps: 1},\n  \
    validation: {episodes: 4, clips_per_class: 6}, test: {episodes: 6, clips_per_class: 6}}\n";

fn write(folder: &Path, name: &str, more: &str) -> String {
    let path = folder.join(format!("{name}.yaml"));
    std::fs::write(&path, format!("name: {name}\n{BASE}{more}")).unwrap();
    path.to_str().unwrap().to_owned()
}

fn manifest(run: &Path) -> Value {
    parsed(&std::fs::read_to_string(run.join("manifest.json")).unwrap())
}

#[test]
fn the_same_run_is_made_once_and_copied_under_its_other_names() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let to = runs.to_str().unwrap();
    let first = write(folder.path(), "first", "study: {variants: {ours: {}, again: {description: the same}}}\n");
    let expect = "expect: [{metric: accuracy, value: 99, tolerance: 0, source: elsewhere, dataset: kinetics100}]\n";
    let second = write(folder.path(), "second", expect);
    fails(2, &["run", folder.path().to_str().unwrap()], &["is a folder, not a recipe", "*.yaml"]);
    // Checked before the first begins, and a file named twice is one.
    fails(2, &["run", &first, &second, "--runs", to, "--set", "task.shoot=2"], &["task.shoot"]);
    assert!(!runs.exists());
    // What a killed process left is no part of a run.
    let all = parsed(&ok(&["run", &first, &second, &first, "--runs", to, "--dry-run", "--json"]));
    assert_eq!(all["runs"].as_array().unwrap().len(), 3);
    let hash = all["runs"][2]["hash"].as_str().unwrap();
    let half = runs.join(format!("second/.default-s1-{}.tmp", &hash[..8]));
    std::fs::create_dir_all(&half).unwrap();
    std::fs::write(half.join("half.jsonl"), "{").unwrap();

    let ran = maclip(&["run", &first, &second, &first, "--runs", to, "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("its records are copied").count(), 2, "{}", ran.stderr);
    let listed = parsed(&ran.stdout)["runs"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|run| run["test"] == listed[0]["test"] && run["status"] == "done"), "{listed:?}");
    for page in ["first/report/index.html", "second/report/index.html", "report/index.html"] {
        assert!(runs.join(page).is_file(), "{page}");
    }
    let made = run_directory(&runs, "first", "ours");
    let taken = run_directory(&runs, "second", "default");
    assert!(!half.exists() && !taken.join("half.jsonl").exists());
    for file in ["episodes.jsonl", "train.jsonl", "params.json", "status.json"] {
        assert_eq!(std::fs::read(made.join(file)).unwrap(), std::fs::read(taken.join(file)).unwrap(), "{file}");
    }
    assert!(made.join("checkpoints").is_dir() && !taken.join("checkpoints").exists());
    let [original, copy] = [&made, &taken].map(|run| manifest(run));
    assert_eq!(
        (&copy["name"], &copy["variant"], &copy["hash"]),
        (&json!("second"), &json!("default"), &original["hash"])
    );
    assert!(copy["notes"].to_string().contains(&format!("the same run as {}", made.display())), "{copy}");
    assert_eq!(copy["attempts"], original["attempts"]);
    assert!(
        taken
            .parent()
            .unwrap()
            .read_dir()
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_string_lossy().starts_with("episodes-") })
    );
    // It is held against its own number, which is of other data.
    let checked = maclip(&["check", to, "--json"]);
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    let checked = parsed(&checked.stdout);
    assert_eq!((&checked["checked"], &checked["short"], &checked["not_comparable"]), (&json!(1), &json!(0), &json!(1)));
    assert!(ok(&["check", to]).contains("not comparable: measured on shapes_in_motion"));
    // Done is done; and a copy is a run like any other.
    assert!(maclip(&["run", &second, "--runs", to]).stderr.contains("done already"));
    let third = write(folder.path(), "third", "");
    let planned = ok(&["run", &third, "--runs", to, "--dry-run"]);
    assert!(planned.contains("the same as") && planned.contains("first/ours"), "{planned}");
    // By force it is made.
    let forced = maclip(&["run", &second, "--runs", to, "--force"]);
    assert_eq!(forced.code, Some(0), "{}", forced.stderr);
    assert!(!forced.stderr.contains("records are copied") && taken.join("checkpoints").is_dir(), "{}", forced.stderr);
    assert_eq!(manifest(&taken)["notes"], json!([]));
}

#[test]
fn a_preset_scales_every_run_and_what_is_typed_wins() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let to = runs.to_str().unwrap();
    let presets = "preset: null\npresets:\n  small: {task: {train: {steps: 1}}, dataset: {seed: 3}}\n";
    let study = "study:\n  variants:\n    a: {task.shot: 2}\n    \
        b: {task.train.steps: 9, presets: {small: {optimizer: {type: sgd}}}}\n";
    let path = write(folder.path(), "presets", &format!("{presets}{study}"));
    let steps = |more: &[&str]| {
        let planned = parsed(&ok(&[&["run", &path, "--runs", to, "--dry-run", "--json"], more].concat()));
        let list = planned["runs"].as_array().unwrap().clone();
        list.iter().map(|run| run["steps"]["wanted"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(steps(&[]), [2, 9]);
    assert_eq!(steps(&["--set", "preset=small"]), [1, 1]);
    assert_eq!(steps(&["--set", "preset=small", "--set", "presets.small.task.train.steps=4"]), [4, 4]);
    let typed = ["--set", "preset=small", "--set", "study.variants.b.task.train.steps=8"];
    assert_eq!(steps(&typed), [1, 1], "a variant lies below the preset, whoever wrote it");
    // A run by preset is the run that is written out.
    let hashes = |path: &str, more: &[&str]| {
        let valid = parsed(&ok(&[&["validate", path, "--json"], more].concat()));
        valid["runs"].as_array().unwrap().iter().map(|run| run["hash"].clone()).collect::<Vec<_>>()
    };
    let written = write(folder.path(), "written", "");
    let out = ["--set", "task.train.steps=1", "--set", "dataset.seed=3", "--set", "task.shot=2"];
    assert_eq!(hashes(&path, &["--set", "preset=small"])[0], hashes(&written, &out)[0]);
    assert_ne!(hashes(&path, &["--set", "preset=small"])[0], hashes(&path, &[])[0]);
    // What is typed wins over what the preset gives, where the variant would have won without it too.
    assert_eq!(steps(&["--set", "preset=small", "--set", "task.train.steps=7"]), [7, 7]);
    assert_eq!(steps(&["--set", "task.train.steps=7"]), [7, 9]);
    fails(2, &["validate", &path, "--set", "preset=smal"], &["MC008", "no preset `smal`", "did you mean `small`?"]);
    let lacking = "study: {variants: {a: {}, b: {presets: {other: {task.shot: 2}}}}}\n";
    let lacking = write(folder.path(), "lacking", lacking);
    fails(2, &["validate", &lacking, "--set", "preset=other"], &["no preset `other`", "only in a"]);
}

#[test]
fn what_a_preset_leaves_out_is_named_and_noted_for_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let to = runs.to_str().unwrap();
    // Without weights, which the run that is left out does not miss.
    let study = "study:\n  variants:\n    ours: {}\n    theirs:\n      backbone: {type: vit, weights: \"\"}\n      prototype: {type: none}\n      \
        presets: {small: {skip: no such weights here}}\n";
    let presets = "presets: {small: {task: {shot: 2}}}\npreset: small\n";
    let path = write(folder.path(), "table", &format!("{presets}{study}"));
    let ran = maclip(&["run", &path, "--runs", to, "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("table theirs-s1 is left out: no such weights here"), "{}", ran.stderr);
    let data = parsed(&ran.stdout);
    assert_eq!((data["runs"].as_array().unwrap().len(), &data["left_out"][0]["variant"]), (1, &json!("theirs")));
    let noted = parsed(&std::fs::read_to_string(runs.join("table/left_out.json")).unwrap());
    assert_eq!(noted, json!([{"variant": "theirs", "seed": 1, "reason": "no such weights here", "expect": []}]));
    assert!(ok(&["validate", &path]).contains("theirs seed 1 is left out"));
    // Nothing else to do is no failure.
    let only = maclip(&["run", &path, "--runs", to, "--only", "theirs"]);
    assert_eq!(only.code, Some(0), "{}", only.stderr);
    // Without the preset its weights are missed.
    fails(2, &["validate", &path, "--unset", "preset"], &["backbone.weights"]);
}

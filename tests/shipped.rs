//! Shipped recipes by name, with nothing but the program: in an empty folder, and beside files and folders of the same
//! name.

mod common;

use common::{Ran, SMALL, command, finish, records, root, run_directory};
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

/// `maclip` with `arguments` in `folder`.
fn called(folder: &Path, arguments: &[&str]) -> Ran {
    finish(command(arguments).current_dir(folder).output().unwrap())
}

/// Standard output of a call that must succeed.
fn ok(folder: &Path, arguments: &[&str]) -> String {
    let ran = called(folder, arguments);
    assert_eq!(ran.code, Some(0), "{arguments:?}\n{}\n{}", ran.stdout, ran.stderr);
    ran.stdout
}

/// Standard error of a call that must end with `code`, and have `words`.
fn fails(folder: &Path, code: i32, arguments: &[&str], words: &[&str]) -> String {
    let ran = called(folder, arguments);
    assert_eq!(ran.code, Some(code), "{arguments:?}\n{}\n{}", ran.stdout, ran.stderr);
    words.iter().for_each(|word| assert!(ran.stderr.contains(word), "`{word}` is not in\n{}", ran.stderr));
    ran.stderr
}

fn empty() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Identities of the runs of a recipe.
fn hashes(folder: &Path, recipe: &str) -> Vec<String> {
    let found: Value = serde_json::from_str(&ok(folder, &["validate", recipe, "--json"])).unwrap();
    found["runs"].as_array().unwrap().iter().map(|run| run["hash"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_shipped_recipe_runs_by_its_name_in_an_empty_folder() {
    let folder = empty();
    let here = folder.path();
    let run = [&["run", "quickstart", "--only", "ma_clip-s1"], &SMALL[..]].concat();
    let told = ok(here, &run);
    assert!(told.contains("report: runs/quickstart/report/index.html"), "{told}");
    let made = run_directory(&here.join("runs"), "quickstart", "ma_clip");
    let before = records(&made.join("train.jsonl"));
    assert_eq!(before.len(), 6);
    // Stopped before its end, it goes on.
    std::fs::remove_file(made.join("status.json")).unwrap();
    let again = called(here, &run);
    assert_eq!((again.code, records(&made.join("train.jsonl"))), (Some(0), before));
    assert!(called(here, &run).stderr.contains("done already"));
    let status = ok(here, &[&["status", "quickstart"], &SMALL[..]].concat());
    assert!(status.lines().any(|line| line.contains("ma_clip-s1") && line.contains("done")), "{status}");
    // Verbs that read runs find them by the recipe's name too.
    assert!(ok(here, &["report", "quickstart", "--out", "page"]).contains("ma_clip"));
    assert!(here.join("page/index.html").is_file());
    assert!(ok(here, &["runs", "list", "quickstart"]).contains("ma_clip"));
    assert!(ok(here, &["runs", "log", "quickstart", "--csv"]).contains("logged"));
}

#[test]
fn a_name_is_the_same_recipe_as_the_file() {
    let folder = empty();
    for name in ["quickstart", "ablations/modules"] {
        assert_eq!(hashes(folder.path(), name), hashes(root(), &format!("recipes/{name}.yaml")), "{name}");
    }
    let planned = ok(folder.path(), &["plan", "kinetics_5w5s"]);
    assert_eq!(planned, ok(root(), &["plan", "recipes/kinetics_5w5s.yaml"]));
    // What is missing is told with its place in the program.
    fails(folder.path(), 2, &["run", "kinetics_5w5s"], &["KINETICS_ROOT", "shipped:"]);
    let listed = ok(folder.path(), &["run", "quickstart", "--dry-run"]);
    assert!(listed.contains("runs/quickstart/"), "{listed}");
}

#[test]
fn a_file_of_exactly_this_name_comes_first() {
    let folder = empty();
    let here = folder.path();
    let shipped = hashes(here, "quickstart");
    let own = "name: own\ndataset: {type: shapes_in_motion}\n\
        backbone: {type: clip_vit, weights: \"builtin:shapes_clip\"}\nobjective: {type: metric}\n";
    // `quickstart.yaml` is another name, and is told of.
    std::fs::write(here.join("quickstart.yaml"), own).unwrap();
    assert_eq!(hashes(here, "quickstart"), shipped);
    let told = called(here, &["validate", "quickstart"]).stderr;
    assert!(told.contains("`quickstart` is the shipped recipe, and not the file quickstart.yaml"), "{told}");
    let file = hashes(here, "quickstart.yaml");
    assert!(file.len() == 1 && file != shipped);
    // A folder is no recipe; for verbs that read runs it is the folder.
    std::fs::create_dir(here.join("quickstart")).unwrap();
    assert_eq!(hashes(here, "quickstart"), shipped);
    assert!(ok(here, &["status", "quickstart"]).contains("no runs"));
    std::fs::remove_dir(here.join("quickstart")).unwrap();
    std::fs::write(here.join("quickstart"), own).unwrap();
    assert_eq!(hashes(here, "quickstart"), file);
}

#[test]
fn what_is_not_there_says_how_shipped_recipes_are_named() {
    let folder = empty();
    let here = folder.path();
    let without = "`quickstart`, without `.yaml`, is a shipped recipe";
    fails(here, 2, &["run", "quickstart.yaml"], &["MC001", without]);
    fails(here, 2, &["validate", "recipes/quickstart.yaml"], &["MC001", without]);
    fails(here, 2, &["plan", "quikstart"], &["MC001", "did you mean `quickstart`?", "`maclip init` lists them"]);
    fails(here, 2, &["run", "mine.yaml"], &["MC001", "`maclip init` lists them"]);
    assert!(ok(here, &["explain", "MC001"]).contains("`quickstart`"));
}

#[test]
fn the_shell_completes_shipped_names() {
    let folder = empty();
    let complete = |word: &str| {
        let mut command = command(&["--", "maclip", "run", word]);
        command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", "2").env("_CLAP_IFS", "\n");
        command.env("_CLAP_COMPLETE_COMP_TYPE", "9").env("_CLAP_COMPLETE_SPACE", "false");
        finish(command.current_dir(folder.path()).output().unwrap()).stdout
    };
    assert!(complete("qui").lines().any(|line| line == "quickstart"), "{}", complete("qui"));
    assert!(complete("ablations/mod").lines().any(|line| line == "ablations/modules"));
    assert!(!complete("parts").contains("parts/"), "a part is no recipe");
}

//! The program of this crate knows the component: in lists, in its description, and in a recipe that is run.

use std::path::Path;
use std::process::{Command, Output};

fn maclip(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_own_component"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).env("NO_COLOR", "1").output().unwrap()
}

/// What it printed.
fn said(arguments: &[&str]) -> String {
    let output = maclip(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}\n{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_is_listed_and_described() {
    let listed = said(&["list", "alignment"]);
    assert!(listed.contains("time_band") && listed.contains("otam"), "{listed}");
    let described = said(&["describe", "alignment/time_band"]);
    assert!(described.contains("sigma: 0.15") && described.contains("in clip lengths"), "{described}");
}

#[test]
fn an_option_outside_its_range_is_refused_where_it_was_written() {
    let set = "study.variants.time_band.alignment.sigma=0";
    let output = maclip(&["validate", "recipe.yaml", "--set", set]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("`sigma` must be within 0.001 and 100"), "{errors}");
}

#[test]
fn a_recipe_runs_with_it() {
    let runs = Path::new(env!("CARGO_TARGET_TMPDIR")).join("runs");
    if runs.exists() {
        std::fs::remove_dir_all(&runs).unwrap();
    }
    let path = runs.to_str().unwrap();
    said(&["run", "recipe.yaml", "--runs", path, "--set", "task.test.episodes=20"]);
    let names = std::fs::read_dir(runs.join("own_component")).unwrap().map(|entry| entry.unwrap());
    let done = names.filter(|entry| entry.path().join("status.json").is_file());
    let done: Vec<String> = done.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(done.iter().any(|name| name.starts_with("time_band+episodes=20-s1-")) && done.len() == 2, "{done:?}");
}

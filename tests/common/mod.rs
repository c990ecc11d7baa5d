//! Drives the binary as a user does.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The repository, where recipes are.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `maclip` with `arguments`, from the repository's root, without colours and without a user's environment.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maclip"));
    command.current_dir(root()).args(arguments).env("NO_COLOR", "1");
    command.env_remove("FRAMES_ROOT").env_remove("KINETICS_ROOT").env_remove("CLIP_WEIGHTS");
    command
}

pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

pub fn maclip(arguments: &[&str]) -> Ran {
    finish(command(arguments).output().unwrap())
}

pub fn finish(output: Output) -> Ran {
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Expects success and gives standard output.
pub fn ok(arguments: &[&str]) -> String {
    let ran = maclip(arguments);
    assert_eq!(ran.code, Some(0), "{arguments:?}\n{}\n{}", ran.stdout, ran.stderr);
    ran.stdout
}

/// Expects exit `code` and gives standard error, which must fit on one screen and hold all of `words`.
pub fn fails(code: i32, arguments: &[&str], words: &[&str]) -> String {
    let ran = maclip(arguments);
    assert_eq!(ran.code, Some(code), "{arguments:?}\n{}\n{}", ran.stdout, ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "`{word}` is not in:\n{}", ran.stderr);
    }
    assert!(ran.stderr.lines().count() <= 40, "more than a screen:\n{}", ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    ran.stderr
}

/// Options that make the quickstart small: seconds in place of minutes.
pub const SMALL: [&str; 12] = [
    "--set",
    "task.train.steps=6",
    "--set",
    "task.train.validate_every_steps=3",
    "--set",
    "task.train.checkpoint_every_steps=2",
    "--set",
    "task.validation={episodes: 20, clips_per_class: 3}",
    "--set",
    "task.test={episodes: 60, clips_per_class: 4}",
    "--set",
    "dataset.clips_per_class=6",
];

/// `run quickstart` made small, into `runs`, with more arguments.
pub fn small_quickstart<'a>(runs: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["run", "recipes/quickstart.yaml", "--runs", runs];
    arguments.extend(SMALL);
    arguments.extend(more);
    arguments
}

/// The run directory whose name starts with `variant`, below `runs`/`name`.
pub fn run_directory(runs: &Path, name: &str, variant: &str) -> PathBuf {
    let entries = std::fs::read_dir(runs.join(name)).unwrap();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{variant}-s")))
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// The records of a JSON-lines file.
pub fn records(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

//! Chores of the repository, called as `cargo xtask NAME`.
//!
//! `regenerate` writes every file that is made from the registrations: docs/components.md, docs/methods.md,
//! docs/audit.md, recipes/schema.json and tests/names.txt. Tests compare these files with what the program says, so a
//! forgotten call is found.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// A generated file, and the arguments of `maclip` that print it.
const GENERATED: [(&str, &[&str]); 5] = [
    ("docs/components.md", &["describe", "--markdown"]),
    ("docs/methods.md", &["describe", "--markdown=methods"]),
    ("docs/audit.md", &["audit", "--markdown"]),
    ("recipes/schema.json", &["schema"]),
    ("tests/names.txt", &["list", "--names"]),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["regenerate"] => regenerate(),
        _ => Err("usage: cargo xtask regenerate".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// Writes all generated files that are not as the program says.
fn regenerate() -> Result<(), String> {
    for (file, arguments) in GENERATED {
        let path = root().join(file);
        let said = maclip(arguments)?;
        if std::fs::read(&path).is_ok_and(|there| there == said) {
            println!("{file} is as it should be");
            continue;
        }
        std::fs::write(&path, said).map_err(|error| format!("cannot write {file}: {error}"))?;
        println!("{file} is written anew");
    }
    Ok(())
}

/// What `maclip`, built from this workspace, prints.
fn maclip(arguments: &[&str]) -> Result<Vec<u8>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // What cargo tells this program about itself would make build scripts run again.
    for (name, _) in std::env::vars_os() {
        let told = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "OUT_DIR"];
        if told.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    // The whole workspace, as the tests build it: with the features of one package alone, dependencies would be built
    // again.
    let built = command
        .args(["build", "--release", "--quiet", "--workspace"])
        .current_dir(root())
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !built.success() {
        return Err(format!("the build ended with {built}"));
    }
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let program = folder.join("release").join("maclip");
    let output = Command::new(&program)
        .args(arguments)
        .current_dir(root())
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(format!("`maclip {}` ended with {}", arguments.join(" "), output.status))
}

//! Puts the shipped recipes and the book into the program, and notes the commit that it is built from, for the manifests of its runs.

use std::path::{Path, PathBuf};
use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// YAML files below `folder`.
fn recipes(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("recipes/ can be read");
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.expect("recipes/ can be read").path()) {
        if path.is_dir() {
            found.extend(recipes(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The chapters of the book in reading order, which is that of the links in its table of contents.
fn topics() -> String {
    println!("cargo:rerun-if-changed=docs");
    let root =
        PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is")).join("docs");
    let contents = std::fs::read_to_string(root.join("README.md")).expect("docs/README.md can be read");
    let mut names: Vec<&str> = Vec::new();
    for link in contents.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let name = link.strip_suffix(".md").filter(|name| !name.contains('/') && !names.contains(name));
        names.extend(name);
    }
    let listed = names.iter().map(|name| {
        let path = root.join(format!("{name}.md"));
        format!("    Topic {{ name: {name:?}, text: include_str!({:?}) }},\n", path.display().to_string())
    });
    format!(
        "/// The chapters of the book, in reading order.\npub const TOPICS: &[Topic] = &[\n{}];\n",
        listed.collect::<String>()
    )
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=recipes");
    let root =
        PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is")).join("recipes");
    let listed = recipes(&root).into_iter().map(|path| {
        let name = path.strip_prefix(&root).expect("it is below recipes/").with_extension("");
        format!(
            "    Shipped {{ name: {:?}, text: include_str!({:?}) }},\n",
            name.display().to_string(),
            path.display().to_string()
        )
    });
    let code = format!(
        "/// All shipped recipes, by name.\npub const RECIPES: &[Shipped] = &[\n{}];\n\n{}",
        listed.collect::<String>(),
        topics()
    );
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo gives a folder"));
    std::fs::write(out.join("recipes.rs"), code).expect("the folder can be written");
    // Outside a repository there is no commit to note.
    let Some(folder) = git(&["rev-parse", "--absolute-git-dir"]) else { return };
    for file in ["HEAD", "index"] {
        println!("cargo:rerun-if-changed={folder}/{file}");
    }
    // A changed source is a changed binary, whether git has been told or not.
    for folder in ["src", "framework/src", "components/src", "reports/src", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={folder}");
    }
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|list| !list.is_empty());
    println!("cargo:rustc-env=MACLIP_COMMIT={commit}{}", if changed { "+" } else { "" });
}

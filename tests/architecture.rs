//! The house stays in order: rooms of the framework import only rooms above them, siblings form no circles, and lines
//! of prose fit into 120 columns.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The doors on the first floor of `framework/src`, from the top down. A room imports only what stands above it.
const ROOMS: [&str; 14] = [
    "error", "files", "images", "profile", "progress", "random", "weights", "slots", "registry", "recipe", "clips",
    "model", "runs", "engine",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Rust files below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    files(folder, "rs")
}

/// Files below `folder` whose names end with this.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The path of the module in `file`: `engine/training/mod.rs` is engine, training.
fn module(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        file.iter().map(|part| part.to_string_lossy().trim_end_matches(".rs").to_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
        parts.pop();
    }
    parts
}

/// Paths that `text`, the source of the module `own`, names below the crate's root: of `use` trees and of single names.
fn names(text: &str, own: &[String], is_folder: bool) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim_start).filter(|line| !line.starts_with("//")) {
        for (at, _) in line.match_indices("crate::") {
            // `$crate` of a macro is where the macro is used.
            let before = line[..at].chars().next_back();
            if before.is_none_or(|c| !c.is_alphanumeric() && !"_:$".contains(c)) {
                found.push(segments(&line[at + "crate::".len()..]));
            }
        }
        for (at, _) in line.match_indices("super::") {
            let ups = line[at..].split("::").take_while(|part| *part == "super").count();
            let follows = line[..at].ends_with("::");
            // In the file of a folder, `super` is the folder above; `mod tests` inside a file does not count.
            let keep = own.len().saturating_sub(ups);
            if !follows && own.len() >= ups && !(is_folder && ups > own.len()) {
                let mut path = own[..keep].to_vec();
                path.extend(segments(&line[at + ups * "super::".len()..]));
                found.push(path);
            }
        }
    }
    found
}

/// The lower-case names that a path begins with: modules, and maybe a function at the end.
fn segments(text: &str) -> Vec<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && !"_:".contains(c)).unwrap_or(text.len());
    let names = text[..end].split("::").filter(|name| !name.is_empty());
    names.take_while(|name| !name.starts_with(char::is_uppercase)).map(str::to_owned).collect()
}

#[test]
fn rooms_import_only_what_stands_above_them() {
    let folder = root().join("framework/src");
    let mut doors = BTreeSet::new();
    let mut wrong = Vec::new();
    for file in sources(&folder) {
        let own = module(file.strip_prefix(&folder).unwrap());
        let Some(room) = own.first() else { continue };
        doors.insert(room.clone());
        let place = |name: &str| ROOMS.iter().position(|room| *room == name);
        let here = place(room).unwrap_or_else(|| panic!("{room} has no place in ROOMS"));
        for path in names(&std::fs::read_to_string(&file).unwrap(), &own, false) {
            // Macros are at the root of the crate.
            let Some(there) = path.first().and_then(|name| place(name)) else { continue };
            if there > here {
                wrong.push(format!("{}: {room} imports {}", file.display(), path.join("::")));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(doors, ROOMS.iter().map(|room| (*room).to_owned()).collect(), "doors of the first floor");
    assert!(ROOMS.len() <= 15);
}

#[test]
fn siblings_form_no_circles() {
    for krate in ["framework/src", "src"] {
        let folder = root().join(krate);
        let mut arrows: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
        let files = sources(&folder);
        let modules: BTreeSet<Vec<String>> =
            files.iter().map(|file| module(file.strip_prefix(&folder).unwrap())).collect();
        for file in &files {
            let relative = file.strip_prefix(&folder).unwrap();
            let own = module(relative);
            // Unit tests may use what their module may not.
            if relative.iter().any(|part| part.to_string_lossy().contains("tests")) || own.is_empty() {
                continue;
            }
            let text = std::fs::read_to_string(file).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let is_folder = relative.ends_with("mod.rs");
            for path in names(text, &own, is_folder) {
                let shared = own.iter().zip(&path).take_while(|(a, b)| a == b).count();
                // From the own ancestor below the common folder to that of the other.
                if shared < own.len() && shared < path.len() && modules.contains(&path[..=shared]) {
                    let (from, to) = (own[..=shared].to_vec(), path[..=shared].to_vec());
                    arrows.entry(from).or_default().insert(to);
                }
            }
        }
        for start in arrows.keys() {
            let mut reached = BTreeSet::new();
            let mut open: Vec<&Vec<String>> = arrows[start].iter().collect();
            while let Some(next) = open.pop() {
                if reached.insert(next) {
                    open.extend(arrows.get(next).into_iter().flatten());
                }
            }
            assert!(!reached.contains(start), "{krate}: {} is in a circle of imports: {reached:?}", start.join("::"));
        }
    }
}

#[test]
fn heavy_libraries_stay_with_the_reports() {
    let framework = ["framework/Cargo.toml", "framework/kernels/Cargo.toml", "framework/language/Cargo.toml"];
    for package in ["Cargo.toml", "components/Cargo.toml"].into_iter().chain(framework) {
        let text = std::fs::read_to_string(root().join(package)).unwrap();
        let own = text.split("[workspace.dependencies]").last().unwrap();
        let own = if package == "Cargo.toml" { own.split("[package]").last().unwrap() } else { own };
        for library in ["polars", "minijinja", "resvg", "skrifa"] {
            assert!(!own.contains(library), "{package} depends on {library}");
        }
    }
    let language = std::fs::read_to_string(root().join("framework/language/Cargo.toml")).unwrap();
    assert!(!language.contains("maclip-framework") && !language.contains("burn"), "the language imports the framework");
}

/// Editors read this line, and take all of it for the place of the schema.
#[test]
fn recipes_name_their_schema_on_a_line_of_its_own() {
    for path in files(&root().join("recipes"), "yaml") {
        let text = std::fs::read_to_string(&path).unwrap();
        let schema = text.lines().next().unwrap().strip_prefix("# yaml-language-server: $schema=");
        let schema = schema.unwrap_or_else(|| panic!("{} names no schema", path.display()));
        assert!(path.parent().unwrap().join(schema).is_file(), "{}: there is no {schema}", path.display());
    }
}

/// Comments of sources and recipes, and the pages that people write. Tables, pictures and code may be wider.
#[test]
fn prose_fits_into_120_columns() {
    const COLUMNS: usize = 120;
    /// These are made from the registrations.
    const GENERATED: [&str; 3] = ["components.md", "methods.md", "audit.md"];
    let below = |folders: &[&str], ending: &str| -> Vec<PathBuf> {
        folders.iter().flat_map(|folder| files(&root().join(folder), ending)).collect()
    };
    let comment = |line: &str, mark: &str| line.trim_start().starts_with(mark);
    let mut wide = Vec::new();
    let mut see = |path: &Path, prose: &mut dyn FnMut(&str) -> bool| {
        let text = std::fs::read_to_string(path).unwrap();
        let too_wide = |line: &str| line.chars().count() > COLUMNS;
        let lines = text.lines().enumerate().filter(|(_, line)| prose(line) && too_wide(line));
        wide.extend(lines.map(|(number, _)| format!("{}:{}", path.display(), number + 1)));
    };
    for path in below(&["framework", "components", "reports", "src", "tests", "xtask"], "rs") {
        see(&path, &mut |line| comment(line, "//"));
    }
    for path in below(&["recipes"], "yaml") {
        see(&path, &mut |line| comment(line, "#"));
    }
    let pages = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(|page| root().join(page));
    let written = |page: &PathBuf| !GENERATED.iter().any(|name| page.ends_with(name));
    for path in below(&["docs"], "md").into_iter().filter(written).chain(pages) {
        let mut code = false;
        see(&path, &mut |line| {
            code ^= comment(line, "```");
            !code && !line.starts_with('|') && !line.starts_with("![")
        });
    }
    assert!(wide.is_empty(), "wider than {COLUMNS} columns: {wide:#?}");
}

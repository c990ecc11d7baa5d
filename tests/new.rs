//! `maclip new`: what it refuses, and that a component of every slot builds, passes the tests of its slot and runs as
//! written.

mod common;

use common::{SMALL, fails, finish, needs, ok, root, run_directory};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

/// Every slot.
fn slots() -> Vec<String> {
    let listed: serde_json::Value = serde_json::from_str(&ok(&["list", "--json"])).unwrap();
    listed["slots"].as_object().unwrap().keys().cloned().collect()
}

/// Copies a folder without its `target`.
fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
        return;
    }
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "target" {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The components' sources alone: enough for `new`, which builds nothing.
fn tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&root().join("components/src"), &folder.path().join("components/src"));
    folder
}

#[test]
fn a_slot_or_name_that_cannot_be_is_refused() {
    let tree = tree();
    let place = tree.path().to_str().unwrap();
    let refused = |slot: &str, name: &str, words: &[&str]| fails(2, &["new", slot, name, "--root", place], words);
    refused("alignmnt", "mine", &["no slot `alignmnt`", "`alignment`"]);
    refused("alignment", "otam", &["`otam`", "describe alignment.otam"]);
    refused("alignment", "alignments", &["folder's own name"]);
    for name in ["fn", "null", "self"] {
        refused("alignment", name, &["word of Rust or YAML"]);
    }
    for name in ["", "Mine", "2d", "my-metric", "my__metric", "mine_", "../mine", "größe", &"a".repeat(41)] {
        refused("alignment", name, &["cannot name a component", "my_metric_2"]);
    }
    fails(2, &["new", "alignment", "mine", "--root", place, "--summary", "two\nlines"], &["one line"]);
    // Files and folders that are no components are not written over either.
    fails(1, &["new", "alignment", "frame_costs", "--root", place], &["frame_costs.rs is there already"]);
    fails(1, &["new", "backbone", "clip", "--root", place], &["clip is there already"]);
    let list = tree.path().join("components/src/schedules/mod.rs");
    std::fs::write(&list, text(&list) + "mod mine;\n").unwrap();
    fails(1, &["new", "schedule", "mine", "--root", place], &["names this module already"]);
    assert!(!list.with_file_name("mine.rs").exists());
}

#[test]
fn outside_a_source_tree_it_says_where_to_go() {
    let folder = tempfile::tempdir().unwrap();
    fails(1, &["new", "prompt", "mine", "--root", folder.path().to_str().unwrap()], &["clone", "--root DIR"]);
    let ran = common::command(&["new", "prompt", "mine"]).current_dir(folder.path()).output().unwrap();
    let ran = finish(ran);
    assert!(ran.code == Some(1) && ran.stderr.contains("--root DIR"), "{}", ran.stderr);
}

#[test]
fn the_nearest_source_tree_upwards_is_taken_and_a_second_try_changes_nothing() {
    let tree = tree();
    let folder = tree.path().join("components/src/alignments");
    let new = |arguments: &[&str]| finish(common::command(arguments).current_dir(&folder).output().unwrap());
    let first = new(&["new", "alignment", "mine", "--summary", r#"says "so"."#]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert!(first.stdout.contains("alignment: {type: mine}"), "{}", first.stdout);
    let (file, list) = (text(&folder.join("mine.rs")), text(&folder.join("mod.rs")));
    assert!(file.starts_with("//! `mine`: says \"so\".\n") && file.contains(r#"summary: "says \"so\"""#), "{file}");
    assert!(list.contains("pub mod mean_squared_l2;\nmod mine;\npub mod modified_hausdorff;\n"), "{list}");
    let second = new(&["new", "alignment", "mine"]);
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert_eq!((text(&folder.join("mine.rs")), text(&folder.join("mod.rs"))), (file, list));
}

/// Where cargo put this test and the binary: `target/release`.
fn profile() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_maclip")).parent().unwrap()
}

/// Size and time of every file below `folder`.
fn state(folder: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let about = entry.metadata().unwrap();
        if about.is_dir() {
            found.extend(state(&entry.path()));
        } else {
            found.insert(entry.path(), (about.len(), about.modified().unwrap()));
        }
    }
    found
}

/// Hard links to what cargo built of others' crates. What belongs to this workspace is built again, and cargo writes
/// fingerprints and lists of dependencies into the files that are there, so those must not be the same files.
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let own = name.to_string_lossy();
        if own.starts_with("maclip") || own.starts_with("libmaclip") || own == ".cargo-lock" {
            continue;
        }
        let (path, about) = (to.join(&name), entry.metadata()?);
        if about.is_dir() {
            link(&entry.path(), &path)?;
        } else if about.len() > 1 << 20 || name.to_string_lossy().ends_with(".rmeta") {
            std::fs::hard_link(entry.path(), &path)?;
        } else {
            // What cargo and build scripts note down is small; a word changed in it must not change in the other. By
            // its time cargo knows what is up to date.
            std::fs::copy(entry.path(), &path)?;
            OpenOptions::new().write(true).open(&path)?.set_modified(about.modified()?)?;
        }
    }
    Ok(())
}

/// A source tree with its own build, in which burn and all the others are taken from this one's.
struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    fn new() -> Self {
        // Beside the build, as links do not leave a file system.
        let folder = tempfile::Builder::new().prefix("new-").tempdir_in(profile().parent().unwrap()).unwrap();
        let copied = Self { folder };
        std::fs::create_dir(copied.source()).unwrap();
        let files = ["build.rs", "Cargo.lock", "rustfmt.toml"];
        let folders = ["src", "framework", "components", "reports", "xtask", "docs", "recipes"];
        for part in files.into_iter().chain(folders) {
            copy(&root().join(part), &copied.source().join(part));
        }
        // The tests and benches of the binary stay behind, and the tables that name them.
        let manifest = text(&root().join("Cargo.toml"));
        let left = ["[bench]]", "[test]]", "[example]]"];
        let tables = manifest.split("\n[").filter(|table| !left.contains(&table.lines().next().unwrap()));
        let kept = tables.collect::<Vec<_>>().join("\n[");
        // Of the libraries only the components are tested; the others' tests take minutes to build.
        let untested = "\n[lib]\ndoctest = false\ntest = false\n";
        let binary = "\n[[bin]]\nname = \"maclip\"\npath = \"src/main.rs\"\ntest = false\n";
        std::fs::write(copied.source().join("Cargo.toml"), kept + untested + binary).unwrap();
        for (part, library) in [
            ("framework", untested),
            ("framework/kernels", untested),
            ("framework/language", untested),
            ("reports", untested),
            ("components", "\n[lib]\ndoctest = false\n"),
        ] {
            let manifest = copied.source().join(part).join("Cargo.toml");
            std::fs::write(&manifest, text(&manifest) + library).unwrap();
        }
        // What the crates' own tests share.
        copy(&root().join("tests/common"), &copied.source().join("tests/common"));
        // One test makes cargo build the binary.
        std::fs::write(copied.source().join("tests/built.rs"), "//! Empty.\n").unwrap();
        if let Err(error) = link(profile(), &copied.target().join("release")) {
            eprintln!("everything is built anew, as the build cannot be linked: {error}");
            std::fs::remove_dir_all(copied.target()).unwrap();
        }
        copied
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("target")
    }

    /// Cargo as a user calls it, without what the outer cargo told this test.
    fn cargo(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO"));
        let told = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
            "CARGO_TARGET_",
            "OUT_DIR",
        ];
        for (name, _) in std::env::vars_os() {
            if told.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.current_dir(self.source()).args(arguments).env("CARGO_TARGET_DIR", self.target());
        command.output().unwrap()
    }

    fn maclip(&self, arguments: &[&str]) -> String {
        let binary = self.target().join("release").join(format!("maclip{}", std::env::consts::EXE_SUFFIX));
        let ran = Command::new(binary).current_dir(self.source()).args(arguments).env("NO_COLOR", "1").output();
        let ran = finish(ran.unwrap());
        assert_eq!(ran.code, Some(0), "{arguments:?}\n{}\n{}", ran.stdout, ran.stderr);
        ran.stdout
    }
}

#[test]
fn a_component_of_every_slot_builds_passes_its_tests_and_runs() {
    if cfg!(debug_assertions) {
        // The copy is built as this test is.
        return needs::skip("no optimised build, without which the components' tests take hours", "use --release");
    }
    let (slots, before) = (slots(), state(profile()));
    let copied = Copy::new();
    let (source, runs) = (copied.source(), copied.folder.path().join("runs"));
    for slot in &slots {
        ok(&["new", slot, &format!("own_{slot}"), "--root", source.to_str().unwrap(), "--no-regenerate"]);
    }
    let formatted = copied.cargo(&["fmt", "--all", "--check"]);
    let said = String::from_utf8_lossy(&formatted.stderr);
    if said.contains("not installed") {
        needs::skip("no rustfmt to look at the new files", "install it (`rustup component add rustfmt`)");
    } else {
        assert!(formatted.status.success(), "{}\n{said}", String::from_utf8_lossy(&formatted.stdout));
    }

    // The own tests of each, among them the contract of its slot, and those of the options of every component.
    let tests = ["own_", "tests::every_component", "tests::the_usage_of_every", "tests::a_value_outside"];
    let base = ["test", "--release", "--workspace", "--offline", "--locked", "-v", "--"];
    let ran = finish(copied.cargo(&[&base[..], &tests[..]].concat()));
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    for slot in &slots {
        assert!(ran.stdout.contains(&format!("::own_{slot}::tests::")), "no test of {slot}:\n{}", ran.stdout);
    }
    // Tasks, datasets and backbones have no shared properties.
    let held = ran.stdout.matches("::tests::it_keeps_the_contract_of_its_slot ... ok").count();
    assert_eq!(held, slots.len() - 3, "{}", ran.stdout);
    let compiled = |line: &&str| {
        line.trim_start().starts_with("Compiling ") && !line.contains(" maclip") && !line.contains(" xtask ")
    };
    let others: Vec<&str> = ran.stderr.lines().filter(compiled).collect();
    assert!(others.is_empty(), "taken from the build that is there, not compiled again: {others:#?}");

    let described = copied.maclip(&["describe", "alignment.own_alignment"]);
    assert!(described.contains("scale: 1.0"), "{described}");
    let path = runs.to_str().unwrap();
    let mut arguments = vec!["run", "recipes/quickstart.yaml", "--runs", path];
    arguments.extend(SMALL);
    let trained =
        ["dataset", "frames", "augment", "prompt", "adapter", "prototype", "alignment", "optimizer", "schedule"];
    let sets: Vec<String> = trained.iter().map(|slot| format!("{slot}.type=own_{slot}")).collect();
    arguments.extend(sets.iter().flat_map(|set| ["--set", set.as_str()]));
    copied.maclip(&arguments);
    assert!(run_directory(&runs, "quickstart", "ma_clip").join("status.json").is_file());

    let recipe = source.join("recipes/own.yaml");
    let lines = ["dataset", "frames", "backbone", "prompt", "prototype", "alignment", "objective"]
        .map(|slot| format!("{slot}: {{type: own_{slot}}}\n"));
    std::fs::write(&recipe, format!("name: own\n{}task: {{type: own_task, episodes: 200}}\n", lines.concat())).unwrap();
    copied.maclip(&["plan", "recipes/own.yaml"]);
    copied.maclip(&["run", "recipes/own.yaml", "--runs", path]);
    let status = text(&run_directory(&runs, "own", "default").join("status.json"));
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    // The colours are there to be seen: 5 classes, and far above 0.2.
    assert!(status["test"]["value"].as_f64().unwrap() > 0.6, "{status}");

    assert!(state(profile()) == before, "the build that this test belongs to was written to");
}

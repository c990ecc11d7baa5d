//! Skips are seen: what a test says that cannot be done here, when it fails for that, and that no test goes another
//! way.

mod common;

use common::{Ran, finish, needs, root};
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
#[ignore = "called by `a_skip_is_said_and_fails_where_it_is_required`"]
fn no_program() {
    needs::skip("no such program", "install it");
}

#[test]
#[ignore = "called by `only_mounts_can_be_excepted`"]
fn no_mounts() {
    needs::skip_mounts();
}

#[test]
#[ignore = "called by `data_are_taken_from_a_variable_or_not_at_all`"]
fn no_data() {
    if let Some(folder) = needs::data("MACLIP_DATA", "clips") {
        assert!(folder.ends_with("clips"));
    }
}

const VARIABLES: [&str; 3] = ["MACLIP_REQUIRE", "MACLIP_REQUIRE_EXCEPT", "MACLIP_DATA"];

/// An ignored test of this program, with these variables and none of the others.
fn ran(test: &str, variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--test-threads=2"]);
    for name in VARIABLES {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    let ran = finish(command.output().unwrap());
    assert!(ran.stdout.contains("running 1 test"), "{}", ran.stdout);
    ran
}

/// It passes, and standard error has `line`, although a passing test's own output is not shown.
fn passes(test: &str, variables: &[(&str, &str)], line: &str) {
    let ran = ran(test, variables);
    assert!(ran.code == Some(0), "{variables:?}\n{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stderr.trim_end(), line, "{variables:?}");
}

fn fails(test: &str, variables: &[(&str, &str)], words: &str) {
    let ran = ran(test, variables);
    let told = ran.stdout + &ran.stderr;
    assert!(ran.code != Some(0) && told.contains(words), "{variables:?}\n{told}");
}

#[test]
fn a_skip_is_said_and_fails_where_it_is_required() {
    let line = "no_program: skipped: no such program; install it";
    passes("no_program", &[], line);
    passes("no_program", &[("MACLIP_REQUIRE", "")], line);
    passes("no_program", &[("MACLIP_REQUIRE", "0")], line);
    let words = "skipped: no such program; install it. MACLIP_REQUIRE is set";
    fails("no_program", &[("MACLIP_REQUIRE", "1")], words);
    fails("no_program", &[("MACLIP_REQUIRE", "1"), ("MACLIP_REQUIRE_EXCEPT", "mounts")], words);
}

#[test]
fn only_mounts_can_be_excepted() {
    let line = "no_mounts: skipped: this system lets nobody mount a file system; allow user namespaces, or run as a root that \
                may mount";
    passes("no_mounts", &[], line);
    fails("no_mounts", &[("MACLIP_REQUIRE", "1")], "MACLIP_REQUIRE is set");
    let excepted = [("MACLIP_REQUIRE", "1"), ("MACLIP_REQUIRE_EXCEPT", "mounts")];
    passes("no_mounts", &excepted, &format!("{line}. MACLIP_REQUIRE_EXCEPT allows it"));
    for other in ["1", "ffmpeg", "mounts,ffmpeg"] {
        let excepted = [("MACLIP_REQUIRE", "1"), ("MACLIP_REQUIRE_EXCEPT", other)];
        fails("no_mounts", &excepted, "only `mounts` can be excepted");
    }
}

#[test]
fn data_are_taken_from_a_variable_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let given = folder.path().to_str().unwrap();
    let line = "no_data: not asked for: MACLIP_DATA may name a folder with `clips` in it, and is not set";
    passes("no_data", &[], line);
    passes("no_data", &[("MACLIP_DATA", "")], line);
    // No program is missing, so nothing is skipped.
    passes("no_data", &[("MACLIP_REQUIRE", "1")], line);
    // A folder that is named must be there, whatever is required.
    fails("no_data", &[("MACLIP_DATA", given)], "MACLIP_DATA is set, and there is no folder");
    std::fs::create_dir(folder.path().join("clips")).unwrap();
    passes("no_data", &[("MACLIP_DATA", given)], "");
}

/// A check that lacks its program or module says so with an exit status of its own.
#[test]
fn scripts_say_what_they_lack() {
    if !needs::starts("python3", "--version") || !needs::starts("bash", "--version") {
        return needs::skip("no python3 or no bash", "install both");
    }
    let page = root().join("tests/common/mod.rs");
    let scripts = root().join("scripts");
    let script = |name: &str| scripts.join(name).display().to_string();
    let (latex, page_check, frame_check) =
        (script("latex_check.sh"), script("page_check.py"), script("frame_check.py"));
    // Without a search path, a browser of that name, and what was installed into Python.
    let alone = format!("PATH=; set -- '{}'; . '{latex}'", scripts.display());
    let cases: [(&str, &[&str], &str); 3] = [
        ("bash", &["-c", &alone], "no pdflatex with booktabs and siunitx; install them"),
        ("python3", &[&page_check, page.to_str().unwrap()], "no browser; install Chromium"),
        (
            "python3",
            &["-S", &frame_check, scripts.to_str().unwrap()],
            "neither polars nor pandas with pyarrow; install",
        ),
    ];
    for (program, arguments, told) in cases {
        for (required, code, begin) in [("", 77, "skipped: "), ("1", 1, "FAILED: ")] {
            let mut command = Command::new(program);
            command
                .args(arguments)
                .env("CHROMIUM", "no-such-browser")
                .env("MACLIP_REQUIRE", required)
                .env_remove("PYTHONPATH");
            let ran = finish(command.output().unwrap());
            let begins = ran.stdout.starts_with(&format!("{begin}{told}"));
            assert!(ran.code == Some(code) && begins, "{arguments:?}\n{}{}", ran.stdout, ran.stderr);
        }
    }
}

/// Sources in `folder`, without what is built.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let below = folders.iter().filter(|folder| !folder.ends_with("target")).flat_map(|folder| sources(folder));
    let files: Vec<PathBuf> =
        files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs")).collect();
    files.iter().cloned().chain(below).collect()
}

#[test]
fn no_test_skips_or_looks_beside_the_repository_on_its_own() {
    // In two parts, so that this file is not one of them.
    let words = [concat!("println!(\"skip", "ped"), concat!("../", "shared")];
    let found: Vec<PathBuf> = ["tests", "benches", "examples", "src", "framework", "components", "reports"]
        .into_iter()
        .flat_map(|folder| sources(&root().join(folder)))
        .filter(|path| !path.ends_with("common/needs.rs"))
        .collect();
    assert!(found.iter().any(|path| path.ends_with("tests/needs.rs")));
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        for word in words {
            assert!(!text.contains(word), "{} has `{word}`: tests/common/needs.rs is the way", path.display());
        }
    }
}

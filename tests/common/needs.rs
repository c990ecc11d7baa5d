//! What tests need beyond this repository: programs, abilities of the system, and data of others.
//!
//! | variable | what it does |
//! |---|---|
//! | `MACLIP_REQUIRE=1` | a test that would be skipped fails |
//! | `MACLIP_REQUIRE_EXCEPT=mounts` | of these only the tests that mount file systems may still be skipped |
//! | `MACLIP_GOLDEN` | folder of a whole golden set; the small one of this repository is always checked |
//! | `MACLIP_TORCH_PYTHON` | a Python with torch and safetensors, where `python3` is none |
//! | `MACLIP_DATA` | folder with `jhmdb14` (videos) and `ssv2_frames` (frames) |
//! | `MACLIP_SPLITS` | folder with the published lists `clipfsar` and `perrett` |
//!
//! A program that is missing is a skip: [`skip`]. Data of others are not part of a test run unless a variable names
//! their folder: [`data`]. A variable that names no folder is always a failure. This file needs nothing but the
//! standard library.
#![allow(dead_code)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whether the variable `name` asks for something: it is set, and neither empty nor `0`.
pub fn is_on(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0")
}

/// Says that the test cannot be done because of what is `missing`, and how to `get` it. The caller then returns.
///
/// # Panics
/// With `MACLIP_REQUIRE=1`.
#[track_caller]
pub fn skip(missing: &str, get: &str) {
    let told = format!("skipped: {missing}; {get}");
    assert!(!is_on("MACLIP_REQUIRE"), "{told}. MACLIP_REQUIRE is set, and turns this into a failure");
    say(&told);
}

/// As [`skip`], where no file system can be mounted: no program helps, so it may be excepted by name.
///
/// # Panics
/// With `MACLIP_REQUIRE=1`, unless `MACLIP_REQUIRE_EXCEPT=mounts`; and where that variable holds anything else.
#[track_caller]
pub fn skip_mounts() {
    let missing = "this system lets nobody mount a file system";
    let get = "allow user namespaces, or run as a root that may mount";
    if !is_on("MACLIP_REQUIRE_EXCEPT") {
        return skip(missing, get);
    }
    let excepted = std::env::var_os("MACLIP_REQUIRE_EXCEPT").unwrap_or_default();
    assert!(excepted == "mounts", "MACLIP_REQUIRE_EXCEPT is {excepted:?}, and only `mounts` can be excepted");
    say(&format!("skipped: {missing}; {get}. MACLIP_REQUIRE_EXCEPT allows it"));
}

/// Whether `program` can be started with `argument`.
pub fn starts(program: &str, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// A Python that has PyTorch and safetensors: the one that `MACLIP_TORCH_PYTHON` names, else `python3`. `None` where
/// there is none, which is said.
///
/// # Panics
/// As [`skip`], where there is none; and where the variable names one that has them not.
#[track_caller]
pub fn torch() -> Option<String> {
    let named = std::env::var("MACLIP_TORCH_PYTHON").ok().filter(|name| !name.is_empty());
    let python = named.clone().unwrap_or_else(|| "python3".to_owned());
    let imports = ["-c", "import torch, safetensors.torch"];
    let found = Command::new(&python).args(imports).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    assert!(named.is_none(), "MACLIP_TORCH_PYTHON is {python}, which has no torch and safetensors");
    skip("no Python with torch and safetensors", "pip install torch safetensors, or name one with MACLIP_TORCH_PYTHON");
    None
}

/// Whether there is no FFmpeg to make videos with, which is said.
///
/// # Panics
/// As [`skip`], where there is none.
#[track_caller]
pub fn no_ffmpeg() -> bool {
    let there = ["ffmpeg", "ffprobe"].iter().all(|program| starts(program, "-version"));
    if !there {
        skip(
            "no ffmpeg and ffprobe to make videos with",
            "install FFmpeg (`apt install ffmpeg`, `brew install ffmpeg`)",
        );
    }
    !there
}

/// The folder `name` in the one that `variable` names; `None` where the variable is not set, which is said. `name` may
/// be empty.
///
/// # Panics
/// Where the variable is set and the folder is not there.
#[track_caller]
pub fn data(variable: &str, name: &str) -> Option<PathBuf> {
    match std::env::var_os(variable).filter(|value| !value.is_empty()) {
        Some(value) => {
            let folder = Path::new(&value).join(name);
            assert!(folder.is_dir(), "{variable} is set, and there is no folder {}", folder.display());
            Some(folder)
        }
        None => {
            let with = if name.is_empty() { String::new() } else { format!(" with `{name}` in it") };
            say(&format!("not asked for: {variable} may name a folder{with}, and is not set"));
            None
        }
    }
}

/// One line on standard error, also where the test passes: what `eprintln!` writes is seen of failed tests only.
fn say(what: &str) {
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main").map_or_else(String::new, |name| format!("{name}: "));
    let _ = writeln!(std::io::stderr(), "{test}{what}");
}

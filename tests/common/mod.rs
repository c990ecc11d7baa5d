//! Drives the binary as a user does.
#![allow(dead_code)]

pub mod hub;
pub mod needs;
pub mod own_clips;
pub mod scripts;
pub mod slurm;
pub mod videos;

use jpeg_encoder::{ColorType, Encoder};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The repository, where recipes are.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Variables that shipped recipes and the program read.
const VARIABLES: [&str; 37] = [
    "FRAMES_ROOT",
    "KINETICS_ROOT",
    "KINETICS_LISTS",
    "SSV2_ROOT",
    "SSV2_SMALL_LISTS",
    "SSV2_FULL_LISTS",
    "SSV2_LABELS",
    "HMDB51_ROOT",
    "HMDB51_LISTS",
    "UCF101_ROOT",
    "UCF101_LISTS",
    "JHMDB14_ROOT",
    "CLIP_WEIGHTS",
    "CLIP_B32_WEIGHTS",
    "CLIP_RN50_WEIGHTS",
    "VIT_B32_WEIGHTS",
    "RESNET50_WEIGHTS",
    "MACLIP_FFMPEG",
    "MACLIP_FFPROBE",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_TOKEN_PATH",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
    "SSL_CERT_FILE",
    "XDG_CACHE_HOME",
    // Loopback is asked directly.
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// `maclip` with `arguments`, from the repository's root, without colours and without a user's environment. Tests that
/// were built on another machine take the program from the folder `MACLIP_BINARIES`, and run where they are.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = match std::env::var_os("MACLIP_BINARIES") {
        Some(folder) => Command::new(Path::new(&folder).join("maclip")),
        None => Command::new(env!("CARGO_BIN_EXE_maclip")),
    };
    if root().is_dir() {
        command.current_dir(root());
    }
    command.args(arguments).env("NO_COLOR", "1");
    for name in VARIABLES {
        command.env_remove(name);
    }
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

/// Holds a file of the repository against `now`, what the program says. With `MACLIP_UPDATE=1` it is written in place
/// of that; `command` does so.
#[track_caller]
pub fn generated(file: &str, now: &str, command: &str) {
    let path = root().join(file);
    if needs::is_on("MACLIP_UPDATE") {
        std::fs::write(path, now).unwrap();
        return;
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    if there == now {
        return;
    }
    let only = |text: &str, other: &str, sign: char| -> String {
        let other: HashSet<&str> = other.lines().collect();
        let lines = text.lines().filter(|line| !other.contains(line)).take(10);
        lines.map(|line| format!("\n{sign} {line}")).collect()
    };
    let difference = only(&there, now, '-') + &only(now, &there, '+');
    panic!("{file} is not as the program says: look at the difference, then `{command}`{difference}");
}

/// The names of the shipped components, `slot/name`, as tests/names.txt has them.
pub fn names() -> Vec<String> {
    let names = std::fs::read_to_string(root().join("tests/names.txt")).unwrap();
    names.lines().map(str::to_owned).collect()
}

/// Options that make the quickstart small: seconds in place of minutes. With a name of their own, the runs are no
/// trials of the quickstart.
pub const SMALL: [&str; 14] = [
    "--set",
    "name=quickstart",
    "--set",
    "task.train.steps=6",
    "--set",
    "task.train.validate_every_steps=3",
    "--set",
    "task.train.checkpoint_every_steps=2",
    "--set",
    "task.validation={episodes: 20, clips_per_class: 3}",
    "--set",
    "task.test={episodes: 60, clips_per_class: 4, occlusion: 0, map_clips: 0}",
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

/// The run directory of `variant` below `runs`/`name`, or that of the only trial of it.
pub fn run_directory(runs: &Path, name: &str, variant: &str) -> PathBuf {
    let begins = |with: &str| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(runs.join(name)).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(with)).collect()
    };
    let mut found = begins(&format!("{variant}-s"));
    if found.is_empty() {
        found = begins(&format!("{variant}+"));
    }
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// The records of a JSON-lines file.
pub fn records(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a shell is started with so that it may mount: in a mount table of its own as any user, in one as root, in
/// everybody's.
const MOUNTING: [&[&str]; 3] = [&["unshare", "-rm", "sh", "-c"], &["unshare", "-m", "sh", "-c"], &["sh", "-c"]];

/// The first of [`MOUNTING`] that mounts a file system here.
fn mounting() -> Option<&'static [&'static str]> {
    static FOUND: OnceLock<Option<&[&str]>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let script = format!("mount -t tmpfs tmpfs '{0}' && umount '{0}'", folder.path().display());
        let mounts = |words: &&&[&str]| {
            let ran = Command::new(words[0]).args(&words[1..]).arg(&script).output();
            ran.is_ok_and(|output| output.status.success())
        };
        MOUNTING.iter().find(mounts).copied()
    })
}

/// Runs a shell script that mounts a small or read-only file system at `folder`, which nobody sees afterwards. `None`
/// where the system lets nobody mount: the test is skipped.
pub fn with_mount(folder: &Path, script: &str) -> Option<Output> {
    let Some(words) = mounting() else {
        needs::skip_mounts();
        return None;
    };
    let output = Command::new(words[0]).current_dir(root()).args(&words[1..]).arg(script).output().unwrap();
    // Only what was mounted in everybody's table is still there.
    let unmount = || Command::new("umount").arg(folder).stderr(Stdio::null()).status();
    while unmount().is_ok_and(|status| status.success()) {}
    Some(output)
}

pub fn quoted(arguments: &[&str]) -> String {
    arguments.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
}

/// A clip of `frames` JPEGs: a bright bar that moves, at a height that depends on the class, before a grey that
/// `number` decides.
pub fn clip(folder: &Path, class: usize, number: usize, frames: usize) {
    std::fs::create_dir_all(folder).unwrap();
    for t in 0..frames {
        let mut pixels = vec![30 + number as u8; 48 * 40 * 3];
        for x in 0..6 {
            for y in 0..6 {
                let at = ((4 + 5 * class + y) * 48 + (4 + 4 * t + x)) * 3;
                pixels[at..at + 3].copy_from_slice(&[230, 200, (40 * class) as u8]);
            }
        }
        let mut bytes = Vec::new();
        Encoder::new(&mut bytes, 90).encode(&pixels, 48, 40, ColorType::Rgb).unwrap();
        std::fs::write(folder.join(format!("{:08}.jpg", t + 1)), bytes).unwrap();
    }
}

/// Five classes of four such clips in each split: `<folder>/<split>/<class>/<clip>/*.jpg`.
pub fn tree(folder: &Path) {
    for (at, split) in ["train", "val", "test"].into_iter().enumerate() {
        for class in 0..5 {
            for number in 0..4 {
                let name = format!("{split}/{split}_class_{class}/clip {number}");
                clip(&folder.join(name), class, 4 * at + number, 8);
            }
        }
    }
}

/// The text of the first file called `name` below `folder`.
pub fn find(folder: &Path, name: &str) -> Option<String> {
    let mut entries: Vec<_> = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort();
    entries.iter().find_map(|path| {
        if path.is_dir() {
            find(path, name)
        } else {
            path.ends_with(name).then(|| std::fs::read_to_string(path).ok())?
        }
    })
}

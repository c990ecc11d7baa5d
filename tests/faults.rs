//! A disk that fails at the n-th call, for every n: each command ends in success or with a named error, and the next
//! one gives the same bytes as if nothing had happened.
//!
//! The test takes every 29th call. `cargo test --release --workspace --test faults -- --ignored --nocapture` takes all
//! and prints the table of docs/reliability.md.

mod common;

use common::own_clips::{ALL, OwnClips};
use common::{command, needs};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The failing disk.
struct Disk {
    shim: PathBuf,
    root: PathBuf,
}

/// What fails.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// The call of this number, once.
    Once(u64),
    /// From this call on every one that takes room: a full disk.
    Full(u64),
}

impl Disk {
    /// `None` where there is no C compiler to build it.
    fn new(root: &Path) -> Option<Self> {
        let source = common::root().join("tests/faults/shim.c");
        let shim = root.join("shim.so");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&shim).arg(source).output();
        match built {
            Ok(built) => assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr)),
            Err(_) => {
                needs::skip("no C compiler", "install gcc");
                return None;
            }
        }
        Some(Self { shim, root: root.to_owned() })
    }

    /// What `arguments` gave with `fault`, and how many calls were counted.
    fn run(&self, arguments: &[&str], fault: Fault) -> (Output, u64) {
        let counted = self.root.join("calls");
        let (at, stays) = match fault {
            Fault::None => (0, "0"),
            Fault::Once(at) => (at, "0"),
            Fault::Full(at) => (at, "1"),
        };
        // Only what lies in the runs: the shim counts by path.
        let output = command(arguments)
            .env("LD_PRELOAD", &self.shim)
            .env("MACLIP_FAULT_ROOT", self.root.join("work"))
            .env("MACLIP_FAULT_AT", at.to_string())
            .env("MACLIP_FAULT_STAYS", stays)
            .env("MACLIP_FAULT_COUNT", &counted)
            .env("RAYON_NUM_THREADS", "1")
            .output()
            .unwrap();
        let calls = std::fs::read_to_string(&counted).ok().and_then(|text| text.trim().parse().ok());
        (output, calls.unwrap_or(0))
    }
}

/// How the commands with a fault ended.
#[derive(Debug, Default)]
struct Ends {
    success: usize,
    error: usize,
}

/// A command under test.
struct Case<'a> {
    name: &'a str,
    /// Brings the work folder into the state before the command.
    before: &'a dyn Fn(),
    arguments: Vec<&'a str>,
    /// What must be equal after a success, and after the command was given once more.
    result: &'a dyn Fn() -> BTreeMap<String, Vec<u8>>,
}

impl Case<'_> {
    /// Gives the command with each fault of every `stride`-th call.
    fn check(&self, disk: &Disk, stride: usize) -> (u64, Ends) {
        (self.before)();
        let (sound, calls) = disk.run(&self.arguments, Fault::None);
        let text = String::from_utf8_lossy(&sound.stderr).into_owned();
        assert!(sound.status.success() && calls > 0, "{}: {calls} calls\n{text}", self.name);
        let expected = (self.result)();
        let mut ends = Ends::default();
        let faults = (1..=calls).step_by(stride).map(Fault::Once);
        let full = (1..=calls).step_by(5 * stride).map(Fault::Full);
        for fault in faults.chain(full) {
            (self.before)();
            let (output, _) = disk.run(&self.arguments, fault);
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let what = format!("{} with {fault:?} of {calls}", self.name);
            assert!(!text.contains("panicked") && !text.contains("mistake of maclip"), "{what}:\n{text}");
            match output.status.code() {
                Some(0) => {
                    ends.success += 1;
                    assert!((self.result)() == expected, "{what}: a success with another result\n{text}");
                }
                Some(1 | 2) => {
                    ends.error += 1;
                    assert!(text.contains("error"), "{what}: no word about it\n{text}");
                }
                code => panic!("{what}: it ended with {code:?}\n{text}"),
            }
            let (again, _) = disk.run(&self.arguments, Fault::None);
            let text = String::from_utf8_lossy(&again.stderr).into_owned();
            assert!(again.status.success(), "{what}: the next command fails\n{text}");
            assert!((self.result)() == expected, "{what}: the next command gives another result");
        }
        (calls, ends)
    }
}

/// The content of the files below `folder` that `wanted` names, by their path in it.
fn files(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, wanted: &dyn Fn(&str) -> bool, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            match path.is_dir() {
                true => walk(root, &path, wanted, found),
                false if wanted(&name) => _ = found.insert(name, std::fs::read(&path).unwrap()),
                false => {}
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, wanted, &mut found);
    found
}

/// The rows of log.csv without its second column.
fn without_times(table: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(table).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        [&cells[..1], &cells[2..]].concat().join(",") + "\n"
    };
    text.lines().map(row).collect::<String>().into_bytes()
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").args(["-rp", "--"]).args([from, to]).status().unwrap().success());
}

fn every_command(stride: usize) -> Option<Vec<(String, u64, Ends)>> {
    let mut mine = OwnClips::new(&ALL, "log: {tensorboard: true, csv: true}\n");
    let disk = Disk::new(&mine.root)?;
    let work = mine.root.join("work");
    let runs = work.join("runs");
    mine.runs = runs.to_str().unwrap().to_owned();
    let fresh = || {
        let _ = std::fs::remove_dir_all(&work);
        std::fs::create_dir_all(&work).unwrap();
    };
    // Times differ from run to run; numbers do not.
    let records = || {
        let mut found = files(&runs, &|name| {
            let file = name.rsplit('/').next().unwrap_or_default();
            let kept = [".jsonl", ".safetensors"].iter().any(|end| file.ends_with(end)) || file == "log.csv";
            !name.contains("/report/") && kept
        });
        for (_, bytes) in found.iter_mut().filter(|(name, _)| name.ends_with("log.csv")) {
            *bytes = without_times(bytes);
        }
        found
    };
    let page = work.join("page");
    let report = || files(&page, &|_| true);
    // A run that is done, to be reported and removed.
    fresh();
    assert!(command(&mine.run(&[])).output().unwrap().status.success());
    let done = mine.root.join("done");
    copy(&runs, &done);
    let with_runs = || {
        fresh();
        copy(&done, &runs);
    };
    let directory = mine.directory("default");
    let (directory, place, out) = (directory.to_str().unwrap(), &mine.runs, page.to_str().unwrap());
    let cases = [
        Case { name: "run", before: &fresh, arguments: mine.run(&[]), result: &records },
        Case {
            name: "prepare",
            before: &fresh,
            arguments: vec!["prepare", &mine.recipe, "--runs", place],
            result: &BTreeMap::new,
        },
        Case { name: "report", before: &with_runs, arguments: vec!["report", place, "--out", out], result: &report },
        Case { name: "run, done", before: &with_runs, arguments: mine.run(&[]), result: &records },
    ];
    let mut table = Vec::new();
    for case in &cases {
        let (calls, ends) = case.check(&disk, stride);
        table.push((case.name.to_owned(), calls, ends));
    }

    // A removed run cannot be removed again, so what is held against is that nothing of it is left.
    with_runs();
    let remove = ["runs", "rm", directory, "--yes"];
    let (_, calls) = disk.run(&remove, Fault::None);
    let mut ends = Ends::default();
    for at in (1..=calls).step_by(stride.min(3)) {
        with_runs();
        let (output, _) = disk.run(&remove, Fault::Once(at));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => ends.success += 1,
            Some(1) if text.contains("error") => ends.error += 1,
            code => panic!("rm with call {at} of {calls}: {code:?}\n{text}"),
        }
        if Path::new(directory).exists() {
            let (again, _) = disk.run(&remove, Fault::None);
            let text = String::from_utf8_lossy(&again.stderr).into_owned();
            assert!(again.status.success(), "rm after call {at} of {calls}:\n{text}");
        }
        assert!(!Path::new(directory).exists(), "rm with call {at} of {calls}: {text}");
    }
    table.push(("runs rm".to_owned(), calls, ends));
    Some(table)
}

#[test]
fn a_disk_that_fails_costs_no_number_and_no_word() {
    every_command(29);
}

#[test]
#[ignore = "takes every call: some minutes"]
fn every_call_of_every_command_can_fail() {
    println!("| Command | Calls | Ended well | Named error |\n|---|---|---|---|");
    for (name, calls, Ends { success, error }) in every_command(1).into_iter().flatten() {
        println!("| `{name}` | {calls} | {success} | {error} |");
    }
}

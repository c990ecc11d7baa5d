//! Shared folders as a network shows them, and copies of a shared store on a disk of the machine.
//!
//! `tests/faults/network_fs.py` shows one folder as two machines see it: with locks or without, and with what each
//! machine believes for a while.

mod common;

use common::{command, find, finish, needs, ok, quoted, run_directory, small_quickstart, tree, with_mount};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_maclip");

/// Seconds that a machine believes what it knew of a file.
const BELIEF: usize = 3;

/// What a shell script says that finds one folder at `$a` and at `$b`, as two machines see it whose locks are `locks`.
/// `None` where that cannot be had, which is said.
fn two_machines(folder: &Path, locks: &str, script: &str) -> Option<String> {
    if !needs::starts("python3", "--version") {
        needs::skip("no python3", "apt install python3");
        return None;
    }
    if !Path::new("/dev/fuse").exists() {
        needs::skip_mounts();
        return None;
    }
    let [back, a, b] = ["back", "a", "b"].map(|name| folder.join(name));
    [&back, &a, &b].into_iter().for_each(|path| std::fs::create_dir_all(path).unwrap());
    let mount = |at: &Path| {
        format!(
            "python3 tests/faults/network_fs.py '{}' '{}' {locks} {BELIEF} || exit 77\n",
            back.display(),
            at.display()
        )
    };
    let script = format!(
        "export NO_COLOR=1\n{}{}a='{}'; b='{}'; maclip='{PROGRAM}'\n{script}\numount \"$a\"; umount \"$b\"; true",
        mount(&a),
        mount(&b),
        a.display(),
        b.display()
    );
    let output = with_mount(&a, &script)?;
    if output.status.code() == Some(77) {
        needs::skip_mounts();
        return None;
    }
    Some(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

/// `run quickstart` made small, one variant with 12 steps. The folder of the runs is still to be named.
fn quickstart(more: &[&str]) -> String {
    let mut arguments = small_quickstart("RUNS", &["--set", "study.variants=null", "--set", "task.train.steps=12"]);
    arguments.extend(more);
    quoted(&arguments)
}

/// The same with its runs in `runs`, a word of the shell.
fn in_folder(line: &str, runs: &str) -> String {
    format!("\"$maclip\" {}", line.replace("'RUNS'", runs))
}

fn assert_same(a: &Path, b: &Path) {
    for file in ["train.jsonl", "validation.jsonl", "episodes.jsonl", "checkpoints/step-00000012/weights.safetensors"] {
        let read = |run: &Path| std::fs::read(run.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(read(a) == read(b), "{file} of {} differs", a.display());
    }
}

#[test]
fn a_file_system_without_locks_is_an_error_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let line = quickstart(&[]);
    let script = format!("{}; echo \"code: $?\"; \"$maclip\" status \"$a\"; true", in_folder(&line, "\"$a/runs\""));
    let Some(said) = two_machines(folder.path(), "refuse", &script) else { return };
    assert!(said.contains("code: 1") && said.contains("refuses locks"), "{said}");
    assert!(said.contains("`flock`") && said.contains("maclip docs shared_storage"), "{said}");
    assert!(!said.contains("another process works on"), "{said}");
    assert!(find(&folder.path().join("back"), "train.jsonl").is_none(), "{said}");
}

#[test]
fn a_clip_store_without_locks_keeps_nothing_and_the_run_says_so() {
    let folder = tempfile::tempdir().unwrap();
    tree(&folder.path().join("frames"));
    let runs = folder.path().join("runs");
    let line = quoted(&frames(folder.path(), &runs, &[]).iter().map(String::as_str).collect::<Vec<_>>());
    let script = format!("\"$maclip\" {line} --set clip_store.folder=\"$a/clips\"; echo \"code: $?\"");
    let Some(said) = two_machines(folder.path(), "refuse", &script) else { return };
    assert!(said.contains("code: 0") && said.contains("keeps no more clips"), "{said}");
    assert!(said.contains("refuses locks"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path().join("back/clips")).unwrap().count(), 0, "an empty pack stays");
}

#[test]
fn two_machines_with_common_locks_make_a_run_once_and_see_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let line = quickstart(&[]);
    // Long enough to be seen at work.
    let long = line.replace("task.train.steps=12", "task.train.steps=4000");
    let script = format!(
        "{} >/dev/null 2>&1 & first=$!
         until [ -s \"$a\"/runs/quickstart/default-*/train.jsonl ]; do sleep 0.1; done
         sleep {BELIEF}; sleep 1
         echo \"seen: $(\"$maclip\" runs list \"$b/runs\")\"
         {}; echo \"second: $?\"
         kill -TERM $first; wait $first; echo \"first: $?\"",
        in_folder(&long, "\"$a/runs\""),
        in_folder(&long, "\"$b/runs\"")
    );
    let Some(said) = two_machines(folder.path(), "forward", &script) else { return };
    assert!(said.contains("another process works on") && said.contains("second: 1"), "{said}");
    // A lock that is only looked at may be refused to a file that is open for reading.
    let seen = said.lines().skip_while(|line| !line.starts_with("seen:")).take(6).collect::<String>();
    assert!(seen.contains("running") && !seen.contains("interrupted"), "{said}");
    assert!(said.contains("first: 130"), "{said}");
}

#[test]
fn a_run_that_was_killed_goes_on_where_a_machine_still_believes_older_files() {
    let folder = tempfile::tempdir().unwrap();
    let (line, straight) = (quickstart(&[]), folder.path().join("straight"));
    let plain: Vec<String> =
        small_quickstart(straight.to_str().unwrap(), &["--set", "study.variants=null", "--set", "task.train.steps=12"])
            .into_iter()
            .map(str::to_owned)
            .collect();
    ok(&plain.iter().map(String::as_str).collect::<Vec<_>>());
    // The second machine looks at the run again and again, so that what it knows is always old.
    let script = format!(
        "{} >/dev/null 2>&1 & first=$!
         lines() {{ cat \"$b\"/runs/quickstart/default-*/\"$1\" 2>/dev/null | wc -l; }}
         until [ $(cat '{back}'/runs/quickstart/default-*/train.jsonl 2>/dev/null | wc -l) -ge 5 ]; do
           lines train.jsonl; ls \"$b\"/runs/quickstart/default-*/checkpoints; sleep 0.05
         done >/dev/null 2>&1
         kill -KILL $first; wait $first
         {}; echo \"second: $?\"",
        in_folder(&line, "\"$a/runs\""),
        in_folder(&line, "\"$b/runs\""),
        back = folder.path().join("back").display()
    );
    let Some(said) = two_machines(folder.path(), "forward", &script) else { return };
    assert!(said.contains("second: 0"), "{said}");
    let made = run_directory(&folder.path().join("back/runs"), "quickstart", "default");
    assert_same(&made, &run_directory(&straight, "quickstart", "default"));
}

#[test]
fn locks_that_each_machine_keeps_for_itself_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let long = quickstart(&[]).replace("task.train.steps=12", "task.train.steps=4000");
    // A name of its own makes the second one another machine.
    let script = format!(
        "{} >/dev/null 2>&1 & first=$!
         until [ -s \"$a\"/runs/quickstart/default-*/train.jsonl ]; do sleep 0.1; done
         export maclip a b
         unshare --uts sh -c 'echo node-b >/proc/sys/kernel/hostname || exit 7; {}'; echo \"second: $?\"
         kill -TERM $first; wait $first; echo \"first: $?\"",
        in_folder(&long, "\"$a/runs\""),
        in_folder(&long, "\"$b/runs\"").replace('\'', "'\\''")
    );
    let Some(said) = two_machines(folder.path(), "local", &script) else { return };
    if said.contains("second: 7") {
        return needs::skip("this system gives nobody another host name", "run as a root that may");
    }
    assert!(said.contains("second: 1") && said.contains("its lock could be taken here"), "{said}");
    assert!(said.contains("localflock") && said.contains("first: 130"), "{said}");
}

/// A small run on frames in `<folder>/frames`, with `more`.
fn frames(folder: &Path, runs: &Path, more: &[&str]) -> Vec<String> {
    let root = format!("dataset.root={}", folder.join("frames").display());
    let sets = [
        root.as_str(),
        "task.train.steps=3",
        "task.train.validate_every_steps=3",
        "task.validation.episodes=10",
        "task.test.episodes=20",
    ];
    let mut all: Vec<String> = ["run", "recipes/benchmarks/frames_5w1s.yaml", "--runs"].map(str::to_owned).into();
    all.push(runs.display().to_string());
    all.extend(sets.iter().flat_map(|set| ["--set".to_owned(), (*set).to_owned()]));
    all.extend(more.iter().map(|word| (*word).to_owned()));
    all
}

/// A data set with a shared store, and a folder on a disk of the machine.
struct Node {
    folder: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        tree(&folder.path().join("frames"));
        Self { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, runs: &str, more: &[&str]) -> Command {
        let shared = format!("clip_store.folder={}", self.at("shared").display());
        let more: Vec<&str> = more.iter().copied().chain(["--set", &shared]).collect();
        let arguments = frames(self.folder.path(), &self.at(runs), &more);
        command(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Makes the run and gives its results and what it said.
    fn run(&self, runs: &str, more: &[&str]) -> (Vec<String>, String) {
        let ran = finish(self.command(runs, more).output().unwrap());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let records = ["train.jsonl", "validation.jsonl", "episodes.jsonl"];
        (records.map(|file| find(&self.at(runs), file).unwrap()).into(), ran.stderr)
    }

    /// The same with copies in `<folder>/disk`.
    fn local(&self, runs: &str, more: &[&str]) -> (Vec<String>, String) {
        let disk = self.at("disk").display().to_string();
        self.run(runs, &[&["--local-cache", &disk], more].concat())
    }

    /// The packs of a store.
    fn packs(&self, store: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.at(store)).unwrap().map(|entry| entry.unwrap().path());
        let mut packs: Vec<PathBuf> =
            entries.filter(|path| path.extension().is_some_and(|end| end == "pack")).collect();
        packs.sort();
        packs
    }

    fn bytes(&self, store: &str) -> u64 {
        self.packs(store).iter().map(|path| path.metadata().unwrap().len()).sum()
    }
}

/// 60 clips of 8 frames of 48×48 pixels, as the backbone of the program wants them, at least.
const CLIPS: u64 = 60 * 8 * 48 * 48;

#[test]
fn a_run_reads_the_copies_and_needs_the_shared_store_no_more() {
    let node = Node::new();
    let (want, _) = node.run("plain", &[]);
    let (first, said) = node.local("first", &[]);
    assert!(first == want && said.contains("60 of 60 clips were copied"), "{said}");
    assert!(node.bytes("disk/maclip") > CLIPS);
    // The shared store is away: nothing is decoded, and nothing is kept there again but the checksums of files.
    std::fs::rename(node.at("shared"), node.at("away")).unwrap();
    let (second, said) = node.local("second", &[]);
    assert!(second == want && !said.contains("copied") && !said.contains("new in"), "{said}");
    assert!(node.bytes("shared") < CLIPS / 10);
    // A new clip goes to the shared store, and from there to the machine.
    std::fs::remove_dir_all(node.at("disk")).unwrap();
    let (third, said) = node.local("third", &[]);
    assert!(
        third == want && said.contains("60 of 60 clips are new in") && said.contains("60 of 60 clips were copied"),
        "{said}"
    );
    assert!(node.bytes("shared") > CLIPS);
}

#[test]
fn a_damaged_copy_is_copied_again() {
    let node = Node::new();
    let (want, _) = node.local("first", &[]);
    for pack in node.packs("disk/maclip") {
        let mut bytes = std::fs::read(&pack).unwrap();
        (700..bytes.len()).step_by(9001).for_each(|at| bytes[at] ^= 8);
        std::fs::write(&pack, bytes).unwrap();
    }
    let damaged = node.bytes("disk/maclip");
    assert_eq!(node.local("second", &[]).0, want);
    assert!(node.bytes("disk/maclip") > damaged, "nothing was copied again");
    // Whole copies are enough again.
    std::fs::remove_dir_all(node.at("shared")).unwrap();
    let (third, said) = node.local("third", &[]);
    assert!(third == want && !said.contains("new in"), "{said}");
    // A damaged record of the shared store is not copied.
    std::fs::remove_dir_all(node.at("disk")).unwrap();
    node.run("fill", &[]);
    for pack in node.packs("shared") {
        let mut bytes = std::fs::read(&pack).unwrap();
        let end = bytes.len() - 5000;
        bytes[end] ^= 1;
        std::fs::write(&pack, bytes).unwrap();
    }
    let (fourth, said) = node.local("fourth", &[]);
    assert!(fourth == want && said.contains("1 clips are damaged in"), "{said}");
}

#[test]
fn two_processes_of_a_machine_copy_every_clip_once() {
    let node = Node::new();
    let (want, _) = node.run("plain", &[]);
    let disk = node.at("disk").display().to_string();
    let start = |runs: &str| {
        node.command(runs, &["--local-cache", &disk]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start("one"), start("two")];
    let said: Vec<String> = both
        .into_iter()
        .map(|child| {
            let ran = finish(child.wait_with_output().unwrap());
            assert_eq!(ran.code, Some(0), "{}", ran.stderr);
            ran.stderr
        })
        .collect();
    for runs in ["one", "two"] {
        let made =
            ["train.jsonl", "validation.jsonl", "episodes.jsonl"].map(|file| find(&node.at(runs), file).unwrap());
        assert_eq!(made.to_vec(), want, "{said:?}");
    }
    assert_eq!(said.iter().filter(|said| said.contains("60 of 60 clips were copied")).count(), 1, "{said:?}");
    let (shared, copied) = (node.bytes("shared"), node.bytes("disk/maclip"));
    assert!(copied < shared + shared / 10, "{copied} of {shared}");
}

#[test]
fn the_limit_of_the_copies_is_kept_and_the_oldest_go_first() {
    let node = Node::new();
    let (want, _) = node.run("plain", &[]);
    let (first, said) = node.local("first", &["--set", "compute.local_cache_limit_gb=0.0005"]);
    assert!(first == want && said.contains("clips are read from") && said.contains("local_cache_limit_gb"), "{said}");
    let bytes = node.bytes("disk/maclip");
    assert!(0 < bytes && bytes <= 500_000, "{bytes}");
    // Copies that nobody has used for an hour make room.
    for pack in node.packs("disk/maclip") {
        let hour = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        std::fs::File::options().write(true).open(&pack).unwrap().set_modified(hour).unwrap();
    }
    let old = node.packs("disk/maclip");
    node.local("second", &["--set", "clip_store.format=jpeg", "--set", "compute.local_cache_limit_gb=0.00045"]);
    let now = node.packs("disk/maclip");
    assert!(!now.is_empty() && old.iter().all(|pack| !now.contains(pack)), "{old:?} {now:?}");
    assert!(node.bytes("disk/maclip") <= 450_000);
}

#[test]
fn kept_features_are_copied_too() {
    let node = Node::new();
    // Without adapters the whole tower is frozen, and its output is kept.
    let frozen = ["--set", "adapter={type: none}", "--set", "augment={type: none}"];
    let (want, _) = node.run("runs", &frozen);
    let features = node.at("runs/.cache/features");
    let cache = format!("compute.cache_folder={}", node.at("runs/.cache").display());
    let with = |runs: &str| node.local(runs, &[&frozen[..], &["--set", &cache]].concat());
    let (first, said) = with("first");
    assert!(first == want && said.contains("were kept from before"), "{said}");
    // Features are away, and are found all the same.
    std::fs::rename(&features, node.at("away")).unwrap();
    let (second, said) = with("second");
    assert!(second == want && said.contains("were kept from before, 0 are new"), "{said}");
}

#[test]
fn the_folder_may_come_from_the_environment_and_a_folder_that_fails_costs_only_a_note() {
    let node = Node::new();
    let recipe = node.at("own.yaml");
    let base = common::root().join("recipes/benchmarks/frames_5w1s.yaml");
    let text = format!("extends: {}\ncompute: {{local_cache: \"${{env:NODE_DISK}}/copies\"}}\n", base.display());
    std::fs::write(&recipe, text).unwrap();
    let mut arguments = frames(node.folder.path(), &node.at("runs"), &[]);
    arguments[1] = recipe.display().to_string();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ran = finish(command(&words).env("NODE_DISK", node.at("disk")).output().unwrap());
    assert!(ran.code == Some(0) && ran.stderr.contains("60 of 60 clips were copied"), "{}", ran.stderr);
    assert!(node.bytes("disk/copies/maclip") > CLIPS);

    let (_, said) = node.run("other", &["--local-cache", "/proc/disk"]);
    assert!(said.contains("nothing is copied to this machine") && said.contains("/proc/disk"), "{said}");
}

#[test]
fn a_spec_is_executed_with_the_folder_of_the_machine_that_executes_it() {
    let node = Node::new();
    node.run("runs", &["--jobs", "1"]);
    let jobs = node.at("runs/frames_5w1s/.jobs");
    let mut specs = std::fs::read_dir(jobs).unwrap().map(|entry| entry.unwrap().path());
    let spec = specs.find(|path| path.extension().is_some_and(|end| end == "json")).unwrap();
    let run = node.at("runs/frames_5w1s").join(spec.file_stem().unwrap());
    let hash = run.file_name().unwrap().to_owned();
    std::fs::remove_dir_all(&run).unwrap();
    let disk = node.at("disk");
    let words = ["execute", spec.to_str().unwrap(), "--local-cache", disk.to_str().unwrap()];
    ok(&words);
    // The copies are no part of the identity.
    assert!(node.at("runs/frames_5w1s").join(hash).join("status.json").is_file());
    assert!(node.bytes("disk/maclip") > CLIPS);
}

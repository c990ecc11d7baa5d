//! `maclip report` and `compare` as a user calls them: older records, half a study, watching, comparisons.

mod common;

use common::{command, fails, ok, run_directory, small_quickstart};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const OLD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/records_v1");

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of the test is text")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn records_of_an_older_format_are_reported_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let table = ok(&["report", OLD, "--out", text(&out)]);
    assert!(table.contains("  ma_clip      1  35.0 ± 16.3 "), "{table}");
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    assert!(page.contains("1 run, 1 with a result"));
    for file in ["runs.csv", "variants.parquet", "tables/table-1.tex", "figures/bars.png", "figures/bars.csv"] {
        assert!(out.join(file).is_file(), "{file}");
    }
    let found: serde_json::Value = serde_json::from_str(&ok(&["compare", OLD, OLD, "--json"])).unwrap();
    assert_eq!((found["difference"].as_f64(), found["p"].as_f64()), (Some(0.0), Some(1.0)));
}

#[test]
fn what_is_no_run_says_what_one_is() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "nothing").unwrap();
    let out = folder.path().join("out");
    fails(1, &["report", text(folder.path()), "--out", text(&out)], &["no runs at or below", "help:", "manifest.json"]);
    assert!(!out.exists(), "nothing is written where there is nothing to say");
    fails(1, &["compare", text(folder.path()), OLD], &["no runs at or below"]);
    let nowhere = folder.path().join("not/here");
    fails(1, &["compare", text(&nowhere), OLD], &["not/here"]);
}

#[test]
fn half_a_study_shows_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (done, begun) = (folder.path().join("runs/old/a"), folder.path().join("runs/old/b"));
    copy(Path::new(OLD), &done);
    copy(Path::new(OLD), &begun);
    std::fs::remove_file(begun.join("status.json")).unwrap();
    std::fs::remove_file(begun.join("episodes.jsonl")).unwrap();
    let out = folder.path().join("out");
    ok(&["report", text(&folder.path().join("runs")), "--out", text(&out)]);
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    assert!(page.contains("2 runs, 1 with a result") && page.contains("no status was written"));
}

/// Stops the program also where the test fails.
struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn watching_waits_for_runs_and_leaves_a_page_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let (runs, out) = (folder.path().join("runs"), folder.path().join("out"));
    std::fs::create_dir_all(&runs).unwrap();
    let mut watch = command(&["report", text(&runs), "--out", text(&out), "--watch"]);
    let mut watch = Watch(watch.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let run: PathBuf = runs.join("old/a");
    copy(Path::new(OLD), &run);
    let status = std::fs::read(run.join("status.json")).unwrap();
    std::fs::remove_file(run.join("status.json")).unwrap();
    let page = || std::fs::read_to_string(out.join("index.html")).unwrap_or_default();
    wait_for("the first page", || page().contains("0 with a result"));
    assert!(page().contains("http-equiv=\"refresh\""));
    std::fs::write(run.join("status.json"), status).unwrap();
    wait_for("the result", || page().contains("1 with a result"));
    let stopped = Command::new("kill").args(["-INT", &watch.0.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    assert!(watch.0.wait().unwrap().success());
    assert!(!page().contains("http-equiv"));
}

#[test]
fn a_run_shows_what_answers_depend_on_and_a_map_of_its_clips() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().to_str().unwrap();
    let asked = ["--set", "task.test.occlusion=2", "--set", "task.test.map_clips=48"];
    ok(&small_quickstart(runs, &asked));
    let run = run_directory(folder.path(), "quickstart", "ma_clip");
    let read =
        |file: &str| -> serde_json::Value { serde_json::from_slice(&std::fs::read(run.join(file)).unwrap()).unwrap() };
    let examples = read("examples/examples.json");
    let examples = examples["examples"].as_array().unwrap();
    let covered: Vec<&serde_json::Value> =
        examples.iter().map(|example| &example["occlusion"]).filter(|of| !of.is_null()).collect();
    // One of each rule: two cells along a side, eight frames.
    assert_eq!((covered.len(), covered[0]["side"].as_u64()), (3, Some(2)));
    assert_eq!(covered[0]["falls"].as_array().unwrap().len(), 8);
    // Two clips of each of the 24 test classes, before the training and behind it.
    let map = read("embedding.json");
    assert_eq!((map["clips"].as_array().unwrap().len(), map["maps"].as_array().unwrap().len()), (48, 2));
    // The frozen CLIP has nothing to train, so there is nothing before.
    let frozen = run_directory(folder.path(), "quickstart", "frozen_clip").join("embedding.json");
    let frozen: serde_json::Value = serde_json::from_slice(&std::fs::read(frozen).unwrap()).unwrap();
    assert_eq!((frozen["maps"].as_array().unwrap().len(), &frozen["maps"][0]["stage"]), (1, &"after".into()));
    let report = folder.path().join("quickstart/report");
    let page = std::fs::read_to_string(report.join("index.html")).unwrap();
    assert!(page.contains("Where the answer comes from") && page.contains("Test clips as "));
    assert!(report.join("figures/map-pca.svg").is_file() && report.join("figures/map-tsne.csv").is_file());
    // Neither makes another run.
    ok(&small_quickstart(runs, &[]));
    assert_eq!(read("manifest.json")["attempts"].as_array().unwrap().len(), 1);
}

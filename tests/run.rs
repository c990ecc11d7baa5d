//! `maclip run`: training, testing, doing nothing when done, going on when stopped.

mod common;

use common::{command, fails, finish, maclip, ok, records, run_directory, small_quickstart};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn a_run_trains_tests_reports_and_is_then_done() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().to_str().unwrap();
    let json: serde_json::Value = serde_json::from_str(&ok(&small_quickstart(runs, &["--json"]))).unwrap();
    let all = json["runs"].as_array().unwrap();
    assert_eq!(all.len(), 2);
    for run in all {
        assert_eq!(run["name"], "quickstart");
        assert_eq!(run["status"], "done");
        assert_eq!(run["seed"], 1);
        assert_eq!(run["test"]["episodes"], 60);
        let directory = Path::new(run["dir"].as_str().unwrap());
        // The mean of the records, with five queries each, is the result: nothing was rounded or counted twice.
        let episodes = records(&directory.join("episodes.jsonl"));
        assert_eq!(episodes.len(), 60);
        let values: Vec<f64> = episodes.iter().map(|record| record["correct"].as_f64().unwrap() / 5.0).collect();
        let mean = values.iter().sum::<f64>() / 60.0;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 60.0;
        for (name, wanted) in [("accuracy", mean), ("ci95", 1.96 * (variance / 60.0).sqrt())] {
            let told = run["test"][name].as_f64().unwrap();
            assert!((told - wanted).abs() < 1e-12, "{name} is {told}, and the records give {wanted}");
        }
        for file in ["recipe.resolved.yaml", "manifest.json", "params.json", "status.json"] {
            assert!(directory.join(file).is_file(), "{file}");
        }
    }
    assert_eq!(all[0]["variant"], "frozen_clip");
    assert_eq!(all[0]["params"]["trainable"], 0);
    assert_eq!(all[1]["params"]["trainable"], 559_296);
    let trained = run_directory(folder.path(), "quickstart", "ma_clip");
    assert_eq!(records(&trained.join("train.jsonl")).len(), 6);
    assert_eq!(records(&trained.join("validation.jsonl")).len(), 2);
    for file in ["index.html", "runs.csv", "runs.parquet"] {
        assert!(folder.path().join("quickstart/report").join(file).is_file(), "{file}");
    }

    let before = std::fs::read(trained.join("status.json")).unwrap();
    let again = maclip(&small_quickstart(runs, &[]));
    assert_eq!(again.code, Some(0));
    assert_eq!(again.stderr.matches("done already, nothing to do").count(), 2, "{}", again.stderr);
    assert_eq!(std::fs::read(trained.join("status.json")).unwrap(), before);

    // The same report from the directories alone.
    let out = folder.path().join("again");
    let table = ok(&["report", runs, "--out", out.to_str().unwrap()]);
    assert!(table.contains("ma_clip") && table.contains("frozen_clip"), "{table}");
    assert!(out.join("index.html").is_file());
}

#[test]
fn without_a_terminal_validations_are_plain_lines() {
    let folder = tempfile::tempdir().unwrap();
    let ran = maclip(&small_quickstart(folder.path().to_str().unwrap(), &["--only", "ma_clip"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let told: Vec<&str> = ran.stderr.lines().filter_map(|line| line.strip_prefix("  val accuracy ")).collect();
    let trained = run_directory(folder.path(), "quickstart", "ma_clip");
    let curve = records(&trained.join("validation.jsonl"));
    assert_eq!((told.len(), curve.len()), (2, 2), "{}", ran.stderr);
    for (line, record) in told.iter().zip(&curve) {
        let percent = |key: &str| 100.0 * record[key].as_f64().unwrap();
        let begin = format!("{:.1} ± {:.1} at step {}, best", percent("accuracy"), percent("ci95"), record["step"]);
        assert!(line.starts_with(&begin), "`{line}` does not begin with `{begin}`");
        assert_eq!(line.ends_with(", best"), record["best"] == true, "{line}");
    }
    assert!(!ran.stderr.contains(['\x1b', '\r']), "{:?}", ran.stderr);
}

/// Waits until `path` holds `lines` lines.
fn wait_for_lines(path: &Path, lines: usize) {
    let started = Instant::now();
    while std::fs::read_to_string(path).map_or(0, |text| text.lines().count()) < lines {
        assert!(started.elapsed() < Duration::from_secs(120), "{} does not grow", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_second_process_on_a_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().to_str().unwrap();
    let arguments = small_quickstart(runs, &["--set", "study.variants={ma_clip: {}}", "--set", "task.train.steps=500"]);
    let mut child = command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    let begun = || -> bool {
        let Ok(mut entries) = std::fs::read_dir(folder.path().join("quickstart")) else { return false };
        entries.any(|entry| entry.unwrap().file_name().to_str().unwrap().starts_with("ma_clip"))
    };
    while !begun() {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    let directory = run_directory(folder.path(), "quickstart", "ma_clip");
    wait_for_lines(&directory.join("train.jsonl"), 1);
    // The other run of the study is done by whoever comes first; of this one alone nothing is left to do.
    assert_eq!(maclip(&arguments).code, Some(0));
    fails(1, &[&arguments[..], &["--only", "ma_clip"]].concat(), &["another process works on"]);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Nobody to talk to, a path that is no text, a folder that nothing can be written to: none of them ends the work or
/// loses it.
#[cfg(target_os = "linux")]
#[test]
fn surroundings_do_not_end_the_work() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join(std::ffi::OsStr::from_bytes(b"r\xff"));
    let frozen = ["--only", "frozen_clip"];
    let mut run = command(&small_quickstart("replaced", &frozen));
    let arguments: Vec<_> = run.get_args().map(std::ffi::OsStr::to_owned).collect();
    let arguments =
        arguments.into_iter().map(|argument| if argument == "replaced" { runs.clone().into() } else { argument });
    run = command(&[]);
    run.args(arguments);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran = finish(run.stderr(full).output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    let directory = run_directory(&runs, "quickstart", "frozen_clip");
    assert!(std::fs::read_to_string(directory.join("status.json")).unwrap().contains("done"));
    // An error message that cannot be written is still an exit code.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_eq!(command(&["check", "nothing/here"]).stderr(full).output().unwrap().status.code(), Some(1));
}

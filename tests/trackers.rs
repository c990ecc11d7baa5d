//! What a run logs for other programs, read back by TensorBoard's own reader for Python, and the scripts of
//! docs/trackers.md.

mod common;

use common::own_clips::{ALL, OwnClips};
use common::{command, fails, maclip, ok, records, root, run_directory};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const LOG: &str = "log: {tensorboard: true, csv: true, histograms: 2}\n";
const ARGUMENT: &str = "log={tensorboard: true, csv: true, histograms: 2}";
/// Two groups of the optimizer, of which one has a rate of its own.
const GROUPS: &str = "optimizer: {type: adamw, learning_rate: 0.01, groups: {adapter: {learning_rate: 0.001}}}\n";

/// What TensorBoard reads of the run in `folder`. It is an error, and no skip, where it is not there.
fn read(folder: &Path) -> Value {
    let output = Command::new("python3").arg(root().join("scripts/events_check.py")).arg(folder).output();
    let output = output.expect("install Python, and TensorBoard for it: `pip install tensorboard`");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{told}"))
}

/// The points of a curve, step and value, in the order of the files.
fn curve(read: &Value, tag: &str) -> Vec<(u64, f64)> {
    let points = read["scalars"][tag].as_array().unwrap_or_else(|| panic!("no {tag} in {read}"));
    points.iter().map(|point| (point[0].as_u64().unwrap(), point[1].as_f64().unwrap())).collect()
}

/// The event files hold 32-bit numbers.
fn same(found: &[(u64, f64)], wanted: &[(u64, f64)]) {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b.abs();
    let equal = found.iter().zip(wanted).all(|(a, b)| a.0 == b.0 && near(a.1, b.1));
    assert!(found.len() == wanted.len() && equal, "{found:?} is not {wanted:?}");
}

/// One field of each record, with its step.
fn recorded(file: &Path, field: &str) -> Vec<(u64, f64)> {
    let value = |record: &Value| record.pointer(field).and_then(Value::as_f64).unwrap();
    records(file).iter().map(|record| (record["step"].as_u64().unwrap(), value(record))).collect()
}

/// The rows of log.csv: name of the column to cell.
fn rows(folder: &Path) -> Vec<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(folder.join("log.csv")).unwrap();
    let names: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let row = |line: &str| -> BTreeMap<String, String> {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), names.len(), "{line}");
        names.iter().zip(cells).map(|(name, cell)| ((*name).to_owned(), cell.to_owned())).collect()
    };
    text.lines().skip(1).map(row).collect()
}

fn event_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let events = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().contains("tfevents");
    let mut found: Vec<PathBuf> = entries.filter(events).collect();
    found.sort();
    found
}

/// Holds the logs in `folder` against the records there: each step once, and the values of the records.
fn agree(folder: &Path) -> Value {
    let found = read(folder);
    let (train, validation) = (folder.join("train.jsonl"), folder.join("validation.jsonl"));
    let status: Value = serde_json::from_slice(&std::fs::read(folder.join("status.json")).unwrap()).unwrap();
    for (tag, file, field) in [
        ("train/loss", &train, "/loss"),
        ("train/accuracy", &train, "/accuracy"),
        ("train/rate", &train, "/learning_rate"),
        ("train/norm", &train, "/gradient_norm"),
        ("val/accuracy", &validation, "/accuracy"),
        ("val/ci95", &validation, "/ci95"),
    ] {
        let wanted = recorded(file, field);
        same(&curve(&found, tag), &wanted);
        let column = rows(folder).into_iter().filter(|row| !row[tag].is_empty());
        let column: Vec<(u64, f64)> =
            column.map(|row| (row["step"].parse().unwrap(), row[tag].parse().unwrap())).collect();
        assert_eq!(column, wanted, "{tag} of log.csv");
    }
    let first = &records(&train)[0];
    for part in first["parts"].as_object().unwrap().keys() {
        same(&curve(&found, &format!("loss/{part}")), &recorded(&train, &format!("/parts/{part}")));
    }
    let tested = status["best_step"].as_u64().unwrap();
    same(&curve(&found, "test/accuracy"), &[(tested, status["test"]["value"].as_f64().unwrap())]);
    same(&curve(&found, "test/ci95"), &[(tested, status["test"]["ci95"].as_f64().unwrap())]);
    found
}

/// The files of a run that its result consists of.
fn result(folder: &Path) -> Vec<Vec<u8>> {
    let names = [
        "train.jsonl",
        "validation.jsonl",
        "episodes.jsonl",
        "params.json",
        "checkpoints/step-00000004/weights.safetensors",
    ];
    names.iter().map(|name| std::fs::read(folder.join(name)).unwrap()).collect()
}

#[test]
fn tensorboard_reads_what_a_run_logs() {
    let logged = OwnClips::new(&ALL, &format!("{LOG}{GROUPS}"));
    ok(&logged.run(&[]));
    let folder = logged.directory("default");
    let plain = logged.root.join("plain");
    ok(&["run", &logged.recipe, "--runs", plain.to_str().unwrap(), "--unset", "log"]);
    let without = plain.join("mine").join(folder.file_name().unwrap());
    assert!(without.is_dir(), "a log is no part of a run's identity");
    assert_eq!(result(&folder), result(&without), "a log changes no record");
    assert!(event_files(&without).is_empty() && !without.join("log.csv").exists());

    let found = agree(&folder);
    // Times are those of the run.
    let manifest: Value = serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let begun = manifest["attempts"][0]["started_unix"].as_f64().unwrap();
    let times: Vec<f64> =
        found["scalars"]["train/loss"].as_array().unwrap().iter().map(|p| p[2].as_f64().unwrap()).collect();
    assert!(times.is_sorted() && times[0] >= begun && times[3] < begun + 600.0, "{begun} {times:?}");
    assert!(rows(&folder).iter().all(|row| row["timestamp"].ends_with("+00:00")), "{:?}", rows(&folder));
    // The rate of each group, after the schedule.
    let tenth: Vec<(u64, f64)> = curve(&found, "train/rate").iter().map(|(step, rate)| (*step, rate / 10.0)).collect();
    same(&curve(&found, "rate/adapter"), &tenth);
    // Histograms of everything that is trained, every second step.
    let trained = |tag: &String| tag.starts_with("parameters/adapter.");
    let histograms = found["histograms"].as_object().unwrap();
    assert!(!histograms.is_empty() && histograms.keys().all(trained), "{histograms:?}");
    let params: Value = serde_json::from_slice(&std::fs::read(folder.join("params.json")).unwrap()).unwrap();
    for at in 0..2 {
        let values: f64 = histograms.values().map(|points| points[at][1].as_f64().unwrap()).sum();
        assert_eq!(values, params["trainable"].as_f64().unwrap());
        assert!(histograms.values().all(|points| points[at][0] == 2 * (at + 1)), "{histograms:?}");
    }
    // Each example is a picture: the query above the support clips, two frames of 64 pixels side by side.
    let examples: Value =
        serde_json::from_slice(&std::fs::read(folder.join("examples/examples.json")).unwrap()).unwrap();
    let images = found["images"].as_object().unwrap();
    assert_eq!(images.len(), examples["examples"].as_array().unwrap().len());
    for (tag, points) in images {
        let (width, height) = (points[0][1].as_u64().unwrap(), points[0][2].as_u64().unwrap());
        assert!(tag.starts_with("examples/") && width == 128 && (height == 128 || height == 192), "{tag}: {points}");
        assert!(points[0][3].as_str().unwrap().starts_with("ffd8ff"), "{tag} is no JPEG");
    }
    // The recipe, and its options.
    let text = found["texts"]["recipe"].as_str().unwrap();
    assert!(text.starts_with("```yaml\nname: mine\n") && text.contains("alignment:"), "{text}");
    let options = &found["hparams"];
    assert_eq!((&options["adapter.rank"], &options["alignment.type"]), (&Value::from(2.0), &Value::from("otam")));
    assert!(options["session_end"] == 1 && options.get("log.csv").is_none(), "{options}");
    assert_eq!(found["group"], "mine/default");
    // The same command again changes nothing.
    let before: Vec<Vec<u8>> = event_files(&folder).iter().map(|path| std::fs::read(path).unwrap()).collect();
    ok(&logged.run(&[]));
    let after: Vec<Vec<u8>> = event_files(&folder).iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert_eq!(before, after);
    fails(2, &logged.run(&["--set", "log.tensorboard=false"]), &["log.histograms", "tensorboard: true"]);
    // The same run under another name is copied, and its log has that name.
    let other = logged.root.join("other.yaml");
    let text = std::fs::read_to_string(&logged.recipe).unwrap();
    std::fs::write(&other, text.replace("name: mine", "name: other")).unwrap();
    let ran = maclip(&["run", other.to_str().unwrap(), "--runs", &logged.runs]);
    assert!(ran.code == Some(0) && ran.stderr.contains("the same run as"), "{}", ran.stderr);
    let copy = run_directory(Path::new(&logged.runs), "other", "default");
    let copied = agree(&copy);
    assert_eq!(copied["group"], "other/default");
    assert!(copied["texts"]["recipe"].as_str().unwrap().starts_with("```yaml\nname: other\n"), "{copied}");
    assert_eq!(copied["histograms"], found["histograms"]);
    // Where no log is asked for, none is copied.
    std::fs::write(&other, text.replace("name: mine", "name: silent").replace(LOG, "")).unwrap();
    ok(&["run", other.to_str().unwrap(), "--runs", &logged.runs]);
    let silent = run_directory(Path::new(&logged.runs), "silent", "default");
    assert!(event_files(&silent).is_empty() && !silent.join("log.csv").exists());
}

#[test]
fn a_resumed_run_has_no_step_twice() {
    let mine = OwnClips::new(&ALL, LOG);
    ok(&mine.run(&[]));
    let folder = mine.directory("default");
    let whole = result(&folder);
    // As if it had been killed after step 4, and the checkpoint there had never been: it goes on from step 2.
    std::fs::remove_dir_all(folder.join("checkpoints/step-00000004")).unwrap();
    std::fs::remove_file(folder.join("status.json")).unwrap();
    let newest = event_files(&folder).pop().unwrap();
    let bytes = std::fs::read(&newest).unwrap();
    std::fs::write(&newest, &bytes[..bytes.len() - 7]).unwrap();
    let text = std::fs::read_to_string(folder.join("log.csv")).unwrap();
    std::fs::write(folder.join("log.csv"), text + "5,2026-01").unwrap();
    let killed = read(&folder);
    assert_eq!(curve(&killed, "train/loss").len(), 4, "a file that was cut is still read");
    let mut resumed = command(&mine.run(&[])).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    // From the first moment on, the manifest says where the second attempt begins: it may be killed at any time.
    let manifest =
        || -> Option<Value> { serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).ok() };
    let second = loop {
        let attempts = manifest().map(|manifest| manifest["attempts"].clone());
        if let Some(second) = attempts.and_then(|attempts| attempts.get(1).cloned()) {
            break second;
        }
        assert!(resumed.try_wait().unwrap().is_none(), "it ended without a second attempt");
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    assert_eq!(second["first_step"], 2, "{second}");
    assert!(resumed.wait().unwrap().success());
    assert_eq!(result(&folder), whole);
    let found = agree(&folder);
    for points in found["histograms"].as_object().unwrap().values() {
        assert!(points[0][0] == 2 && points[1][0] == 4 && points.get(2).is_none(), "{points}");
    }
    let images = found["images"].as_object().unwrap();
    assert!(!images.is_empty() && images.values().all(|points| points.as_array().unwrap().len() == 1), "{images:?}");
    assert!(event_files(&folder).len() >= 2, "a resumed run goes on in a file of its own");

    // A part that is lost before others comes back at its place, and what only the files have stays.
    let path = folder.to_str().unwrap();
    let files = event_files(&folder);
    std::fs::remove_file(&files[0]).unwrap();
    assert!(curve(&read(&folder), "train/loss").len() < 4);
    ok(&["runs", "log", path]);
    let again = agree(&folder);
    assert_eq!((&again["hparams"], &again["texts"]), (&found["hparams"], &found["texts"]));
    assert!(again["histograms"].as_object().unwrap().values().all(|points| points[0][0] == 4), "{again}");
    let bytes = std::fs::read(&event_files(&folder)[0]).unwrap();
    for place in [bytes.len() / 8, bytes.len() / 2, bytes.len() - 9] {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1;
        std::fs::write(&event_files(&folder)[0], damaged).unwrap();
        ok(&["runs", "log", path]);
        let again = agree(&folder);
        assert_eq!((&again["hparams"], &again["texts"]), (&found["hparams"], &found["texts"]));
        assert_eq!(again["images"], found["images"]);
    }
}

#[test]
fn old_runs_are_logged_from_their_records() {
    let mine = OwnClips::new(&ALL, "");
    ok(&mine.run(&[]));
    let folder = mine.directory("default");
    let path = folder.to_str().unwrap();
    let result_before = (result(&folder), std::fs::read(folder.join("status.json")).unwrap());
    assert!(ok(&["runs", "log", path, "--csv"]).contains("logged"));
    assert!(event_files(&folder).is_empty());
    ok(&["runs", "log", &mine.runs]);
    let found = agree(&folder);
    assert_eq!(found["histograms"].as_object().unwrap().len(), 0);
    assert!(!found["images"].as_object().unwrap().is_empty());
    // Times lie within the attempt.
    let status: Value = serde_json::from_slice(&result_before.1).unwrap();
    let end = status["updated_unix"].as_f64().unwrap();
    let times = found["scalars"]["train/loss"].as_array().unwrap();
    assert!(times.iter().all(|point| (end - 600.0..=end + 1.0).contains(&point[2].as_f64().unwrap())), "{times:?}");
    // Completed once, it stays; a part that is lost comes back.
    let files = || -> Vec<Vec<u8>> { event_files(&folder).iter().map(|path| std::fs::read(path).unwrap()).collect() };
    let before = files();
    ok(&["runs", "log", path]);
    assert_eq!(files(), before);
    let newest = event_files(&folder).pop().unwrap();
    std::fs::write(&newest, &before.last().unwrap()[..before.last().unwrap().len() / 2]).unwrap();
    // The command of a run that is done completes its log too.
    ok(&mine.run(&["--set", ARGUMENT]));
    agree(&folder);
    ok(&["verify", path]);
    assert_eq!((result(&folder), std::fs::read(folder.join("status.json")).unwrap()), result_before);
    fails(1, &["runs", "log", "no/such/runs"], &["no/such/runs"]);
    assert!(ok(&["runs", "log", &format!("{}/mine/default", mine.runs)]).contains("logged"));
    let empty = mine.root.join("empty");
    std::fs::create_dir(&empty).unwrap();
    fails(1, &["runs", "log", empty.to_str().unwrap()], &["there is no run in", "maclip runs list"]);
    // A run that is busy does not keep the others from their logs.
    let (first, second) = (mine.folder().join("a"), mine.folder().join("z"));
    for copy in [&first, &second] {
        std::fs::create_dir(copy).unwrap();
        for name in ["manifest.json", "recipe.resolved.yaml", "train.jsonl", "validation.jsonl", "lock"] {
            std::fs::copy(folder.join(name), copy.join(name)).unwrap();
        }
    }
    let lock = std::fs::File::open(first.join("lock")).unwrap();
    lock.lock().unwrap();
    let both = [first.to_str().unwrap(), second.to_str().unwrap()];
    fails(1, &["runs", "log", &mine.runs], &["another process works on", &format!("not logged: {}", both[0])]);
    assert!(event_files(&first).is_empty() && !event_files(&second).is_empty());
    drop(lock);
    ok(&["runs", "log", both[0]]);
}

#[test]
fn a_log_that_cannot_be_written_takes_nothing_from_a_run() {
    let mine = OwnClips::new(&ALL, "");
    ok(&mine.run(&[]));
    let folder = mine.directory("default");
    let whole = result(&folder);
    std::fs::create_dir(folder.join("log.csv")).unwrap();
    let told =
        fails(1, &mine.run(&["--set", ARGUMENT]), &["log.csv", "is done and keeps its result", "maclip runs log"]);
    assert!(told.contains("it is a folder"), "{told}");
    assert!(ok(&["runs", "list", &mine.runs]).contains("done"));
    assert_eq!(result(&folder), whole);
    // In a training, it stops the run, which goes on to the same result.
    let runs = mine.root.join("others");
    let other = runs.join("mine").join(folder.file_name().unwrap());
    let blocked = other.join("log.csv");
    std::fs::create_dir_all(&blocked).unwrap();
    let again = ["run", &mine.recipe, "--runs", runs.to_str().unwrap(), "--set", ARGUMENT];
    fails(1, &again, &["log.csv", "it is a folder"]);
    std::fs::remove_dir(&blocked).unwrap();
    ok(&again);
    assert_eq!(result(&other), whole);
    agree(&other);
}

/// The Python scripts of a page of the book that import `module`.
fn scripts(page: &str, module: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("docs").join(page)).unwrap();
    let blocks = text.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks
        .filter(|block| block.contains(&format!("import {module}")) || block.contains(&format!(", {module}")))
        .collect()
}

/// Modules in the place of the trackers' own, which write down what they are given.
const WANDB: &str = "
import json
calls = open('wandb.jsonl', 'w')
def tell(*what):
    print(json.dumps(what), file=calls, flush=True)
class Summary:
    def update(self, values):
        tell('summary', values)
class Run:
    summary = Summary()
    def __enter__(self):
        return self
    def __exit__(self, *error):
        tell('finish')
    def define_metric(self, name, step_metric):
        tell('define', name, step_metric)
    def log(self, values):
        tell('log', values)
def init(project, name, config):
    tell('init', project, name, config)
    return Run()
";
const MLFLOW: &str = "
import contextlib, json
calls = open('mlflow.jsonl', 'w')
def tell(*what):
    print(json.dumps(what), file=calls, flush=True)
def set_experiment(name):
    tell('experiment', name)
@contextlib.contextmanager
def start_run(run_name):
    tell('init', run_name)
    yield
def log_params(values):
    tell('params', values)
def log_metrics(values, step=None):
    assert all(type(value) is float for value in values.values()), values
    tell('metrics', values, step)
";

#[test]
fn the_scripts_for_trackers_read_what_a_run_writes() {
    let mine = OwnClips::new(&ALL, "");
    let here = |arguments: &[&str]| {
        let output = command(arguments).current_dir(&mine.root).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    here(&["run", "mine.yaml"]);
    let folder = mine.directory("default");
    let train = recorded(&folder.join("train.jsonl"), "/loss");
    let status: Value = serde_json::from_slice(&std::fs::read(folder.join("status.json")).unwrap()).unwrap();
    for (module, stub) in [("wandb", WANDB), ("mlflow", MLFLOW)] {
        std::fs::write(mine.root.join(format!("{module}.py")), stub).unwrap();
        let found = scripts("trackers.md", module);
        assert_eq!(found.len(), 1, "{module}");
        assert!(found[0].lines().count() <= 16, "the script for {module} is short");
        let script = found[0].replace("runs/quickstart/", "runs/mine/");
        let output = Command::new("python3").args(["-c", &script]).current_dir(&mine.root).output();
        let output = output.expect("install Python, and polars for it: `pip install polars`");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let calls = records(&mine.root.join(format!("{module}.jsonl")));
        let all = |name: &str| -> Vec<&Value> { calls.iter().filter(|call| call[0] == name).collect() };
        let losses: Vec<(u64, f64)> = match module {
            "wandb" => all("log")
                .iter()
                .filter_map(|call| Some((call[1]["train/step"].as_u64()?, call[1]["train/loss"].as_f64()?)))
                .collect(),
            _ => all("metrics")
                .iter()
                .filter_map(|call| Some((call[2].as_u64()?, call[1]["train/loss"].as_f64()?)))
                .collect(),
        };
        assert_eq!(losses, train, "{module}");
        let tested = match module {
            "wandb" => &all("summary")[0][1]["test"],
            _ => &calls.last().unwrap()[1]["test"],
        };
        assert_eq!(*tested, status["test"]["value"], "{module}");
        assert_eq!(all("init").len(), 1, "{module}");
    }
}

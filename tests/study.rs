//! Studies from the outside: what they expand to, what is done of them, and several processes on one.

mod common;

use common::{SMALL, command, fails, finish, maclip, ok, run_directory};
use serde_json::Value;
use std::collections::HashSet;
use std::path::Path;

const BASE: &str = "name: grid\nseed: 1\ndataset: {type: shapes_in_motion, clips_per_class: 6}\n\
    backbone: {type: clip_vit, weights: \"builtin:shapes_clip\"}\nobjective: {type: metric}\n\
    task: {type: few_shot, queries: 1, train: {steps: 2, validate_every_steps: 2, checkpoint_every_steps: 1},\n  \
    validation: {episodes: 4, clips_per_class: 6}, test: {episodes: 6, clips_per_class: 6}}\n";

fn recipe(folder: &Path, study: &str) -> String {
    let path = folder.join("grid.yaml");
    std::fs::write(&path, format!("{BASE}{study}")).unwrap();
    path.to_str().unwrap().to_owned()
}

fn planned(path: &str, runs: &str, more: &[&str]) -> Value {
    let mut words = vec!["run", path, "--runs", runs, "--dry-run", "--json"];
    words.extend(more);
    serde_json::from_str(&ok(&words)).unwrap()
}

fn names(planned: &Value) -> Vec<String> {
    let list = planned["runs"].as_array().unwrap();
    list.iter().map(|run| format!("{}-s{}", run["variant"].as_str().unwrap(), run["seed"])).collect()
}

#[test]
fn a_study_spans_variants_axes_seeds_and_what_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let runs = runs.to_str().unwrap();
    let grid = recipe(
        folder.path(),
        "study:\n  seeds: [1, 2]\n  axes:\n    alignment: [{type: otam}, {type: trx, width: 8}]\n    task.shot: [1, 2]\n  \
         exclude: [{alignment: {type: otam}, task.shot: 2}, {seed: 2, task.shot: 2}]\n",
    );
    assert_eq!(
        names(&planned(&grid, runs, &[])),
        ["otam+shot=1-s1", "otam+shot=1-s2", "trx,width=8+shot=1-s1", "trx,width=8+shot=1-s2", "trx,width=8+shot=2-s1"]
    );
    // A list of values means any of them; a value of it that no run has is said.
    let several = "study:\n  seeds: [1, 2, 3]\n  axes: {alignment: [{type: otam}, {type: trx}], task.shot: [1, 2]}\n  \
        exclude: [{alignment: [{type: trx}], seed: [2, 3]}, {task.shot: 2, seed: SEEDS}]\n";
    let left = recipe(folder.path(), &several.replace("SEEDS", "[1, 2, 3]"));
    assert_eq!(
        names(&planned(&left, runs, &[])),
        ["otam+shot=1-s1", "otam+shot=1-s2", "otam+shot=1-s3", "trx+shot=1-s1"]
    );
    let missing = recipe(folder.path(), &several.replace("SEEDS", "[3, 4]"));
    fails(2, &["run", &missing, "--runs", runs], &["this `exclude` matches no run with seed 4", "grid.yaml:"]);
    let never = recipe(folder.path(), &several.replace("SEEDS", "[]"));
    fails(2, &["run", &never, "--runs", runs], &["this `exclude` matches no run of the study", "grid.yaml:"]);
    let without = recipe(folder.path(), "prototype: {type: hyrsm}\nstudy: {without: [prototype, alignment]}\n");
    assert_eq!(names(&planned(&without, runs, &[])), ["full-s1", "without_prototype-s1", "without_alignment-s1"]);
    let named = recipe(
        folder.path(),
        "alignment: {type: otam}\nstudy:\n  variants: {small: {task.shot: 1}, large: {task.shot: 3}}\n  axes: {alignment.lambda: {low: 0.1, high: 0.5}}\n",
    );
    assert_eq!(names(&planned(&named, runs, &[])), ["small+low-s1", "small+high-s1", "large+low-s1", "large+high-s1"]);
    assert_eq!(names(&planned(&named, runs, &["--only", "*high-s1"])), ["small+high-s1", "large+high-s1"]);
    fails(2, &["run", &named, "--runs", runs, "--only", "smal+low"], &["MC004", "names no run", "`small+low`"]);
    // Two axes that end alike are told apart.
    let alike = recipe(
        folder.path(),
        "study:\n  axes:\n    task.validation.queries: [1, 2]\n    task.test.queries: [1]\n    task.shot: [1]\n",
    );
    assert_eq!(
        names(&planned(&alike, runs, &[])),
        ["validation.queries=1+test.queries=1+shot=1-s1", "validation.queries=2+test.queries=1+shot=1-s1"]
    );
    assert!(!Path::new(runs).exists(), "a dry run writes nothing");
}

#[test]
fn labels_and_baseline_are_shown_also_of_runs_that_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let runs = runs.to_str().unwrap();
    let study = |label: &str, baseline: &str| {
        format!("study: {{variants: {{a: {{label: '{label}'}}, b: {{task.train.steps: 1}}}}, baseline: {baseline}}}\n")
    };
    let path = recipe(folder.path(), &study("Ours & <theirs>", "b"));
    let first = ok(&["run", &path, "--runs", runs]);
    let lines = |text: &str| text.lines().map(|line| line.trim_start().to_owned()).collect::<Vec<_>>();
    let of = |text: &str, start: &str| lines(text).into_iter().find(|line| line.starts_with(start)).unwrap_or_default();
    assert!(of(&first, "b ").contains("baseline") && of(&first, "Ours & <theirs>").contains(" ± "), "{first}");
    // Another label makes no other run.
    let path = recipe(folder.path(), &study("Ours", "a"));
    let again = ok(&["run", &path, "--runs", runs]);
    assert!(of(&again, "Ours ").contains("baseline"), "{again}");
    let made =
        std::fs::read_dir(Path::new(runs).join("grid")).unwrap().map(Result::unwrap).filter(|e| e.path().is_dir());
    assert_eq!(made.filter(|entry| entry.path().join("manifest.json").exists()).count(), 2);
    // A trial is called after what it changes.
    let trial = ok(&["run", &path, "--runs", runs, "--only", "a*", "--set", "task.test.episodes=7"]);
    assert!(trial.contains("Ours+episodes=7"), "{trial}");
    // A grid adds its values to the label of a variant; the label of a recipe is not that of all its variants.
    let labels = |text: String| {
        let planned = planned(&recipe(folder.path(), &text), runs, &[]);
        let runs = planned["runs"].as_array().unwrap().clone();
        runs.iter().map(|run| run["label"].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>()
    };
    let grid = "label: All\nstudy: {variants: {a: {label: A}, b: {}}, axes: {task.shot: [1, 2]}}\n";
    assert_eq!(labels(grid.to_owned()), ["A, shot=1", "A, shot=2", "-", "-"]);
    assert_eq!(labels("label: All\nstudy: {axes: {task.shot: [1, 2]}}\n".to_owned()), ["All, shot=1", "All, shot=2"]);
}

#[test]
fn a_study_does_what_is_missing_and_goes_on_after_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let runs = runs.to_str().unwrap();
    // The frames are not there, which shows only when the run begins.
    let path = recipe(
        folder.path(),
        "study: {variants: {a: {}, gone: {dataset: {type: frame_folder, root: nowhere}}, b: {task.shot: 2}}}\n",
    );
    let text = fails(1, &["run", &path, "--runs", runs], &["1 of 3 runs failed: gone-s1", "nowhere"]);
    assert!(text.contains("[3/3]"), "{text}");
    let overview = planned(&path, runs, &[]);
    let states: Vec<&str> = overview["runs"].as_array().unwrap().iter().map(|r| r["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["done", "failed", "done"]);
    assert!(overview["seconds_left"].is_null(), "nothing of it trained");
    assert!(Path::new(runs).join("grid/report/index.html").exists(), "what is done is reported");
    let table = ok(&["status", &path, "--runs", runs]);
    assert!(table.contains("2 of 3 done") && table.contains("gone-s1"), "{table}");
    // Failing fast leaves the third alone.
    let elsewhere = folder.path().join("fast");
    let fast = ["run", &path, "--runs", elsewhere.to_str().unwrap(), "--fail-fast"];
    assert!(!fails(1, &fast, &["nowhere"]).contains("[3/3]"));
    let out = folder.path().join("out");
    ok(&["report", fast[3], "--out", out.to_str().unwrap()]);
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    assert!(page.contains("1 failed, 1 waiting") && page.contains("it has not begun"), "what has not begun waits");
    assert_eq!(planned(&path, fast[3], &[])["runs"][2]["state"], "waiting");
    // Only one, again, by force; the old one is kept.
    let ran = maclip(&["run", &path, "--runs", runs, "--only", "a", "--force"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let kept: Vec<_> = std::fs::read_dir(Path::new(runs).join("grid/.replaced")).unwrap().collect();
    assert_eq!(kept.len(), 1);
    run_directory(Path::new(runs), "grid", "a");
}

#[test]
fn two_processes_share_a_study() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let runs = runs.to_str().unwrap();
    let path =
        recipe(folder.path(), "study: {axes: {alignment.type: [otam, bi_mhm, dtw, chamfer, hausdorff, diagonal]}}\n");
    // The same settings in both, and enough runs that neither gets all.
    let start = || command(&["run", &path, "--runs", runs]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let (first, second) = (start(), start());
    let [first, second] = [first, second].map(|child| finish(child.wait_with_output().unwrap()));
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{}\n{}", first.stderr, second.stderr);
    let overview = planned(&path, runs, &[]);
    assert_eq!(overview["done"], 6, "{overview}");
    for run in overview["runs"].as_array().unwrap() {
        let manifest = Path::new(run["dir"].as_str().unwrap()).join("manifest.json");
        let manifest: Value = serde_json::from_str(&std::fs::read_to_string(manifest).unwrap()).unwrap();
        assert_eq!(manifest["attempts"].as_array().unwrap().len(), 1, "done once: {}", run["dir"]);
    }
}

#[test]
fn a_pool_makes_the_runs_of_a_study_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let study = "study: {seeds: [1, 2], axes: {alignment.type: [otam, bi_mhm]}}\n";
    let path = recipe(folder.path(), study);
    let made = |name: &str, more: &[&str]| {
        let runs = folder.path().join(name).to_str().unwrap().to_owned();
        let ran = maclip(&[&["run", &path, "--runs", &runs], more].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let tested: Vec<(String, Value)> = planned(&path, &runs, &[])["runs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| (run["variant"].to_string() + &run["seed"].to_string(), run["test"].clone()))
            .collect();
        (runs, tested, ran)
    };
    let (_, alone, _) = made("alone", &[]);
    let (runs, pooled, ran) = made("pool", &["--devices", "flex,flex"]);
    assert!(alone.iter().all(|(_, test)| test["value"].is_number()), "{alone:?}");
    assert_eq!(alone, pooled);
    assert!(ran.stderr.contains("[4/4]") && ran.stderr.contains(" on flex"), "{}", ran.stderr);
    assert!(Path::new(&runs).join("grid/report/index.html").exists());
    // One process each, whose output is kept.
    let jobs = Path::new(&runs).join("grid/.jobs");
    let kept = |end: &str| {
        let files = jobs.read_dir().unwrap().map(|file| file.unwrap().path());
        files.filter(|file| file.to_str().unwrap().ends_with(end)).collect::<Vec<_>>()
    };
    assert_eq!((kept(".json").len(), kept(".log").len()), (4, 4));
    // A spec is one run, which is done; with another recipe it would be another one.
    let spec = kept(".json").remove(0);
    ok(&["execute", spec.to_str().unwrap()]);
    let text = std::fs::read_to_string(&spec).unwrap();
    std::fs::write(&spec, text.replace("queries: 1", "queries: 2")).unwrap();
    fails(1, &["execute", spec.to_str().unwrap()], &["its recipe is another run here", "write the spec again"]);

    let gone = "study: {variants: {a: {}, gone: {dataset: {type: frame_folder, root: nowhere}}, b: {task.shot: 2}}}\n";
    let path = recipe(folder.path(), gone);
    let runs = folder.path().join("gone");
    let words = ["run", &path, "--runs", runs.to_str().unwrap(), "--jobs", "2"];
    fails(1, &words, &["1 of 3 runs failed: gone-s1", "nowhere", ".jobs/gone-s1-"]);
    let states = planned(&path, runs.to_str().unwrap(), &[]);
    let states: Vec<&str> =
        states["runs"].as_array().unwrap().iter().map(|run| run["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["done", "failed", "done"]);

    fails(2, &["run", &path, "--devices", "flex,flex", "--jobs", "1"], &["--jobs", "1 of the 2 devices"]);
    fails(2, &["run", &path, "--devices", "flex,gpu"], &["--devices", "there is no device `gpu`"]);
}

#[test]
fn a_pool_goes_on_when_the_file_of_the_program_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = recipe(folder.path(), "study: {axes: {alignment.type: [otam, bi_mhm]}}\n");
    let (own, runs) = (folder.path().join("maclip"), folder.path().join("runs"));
    // Another process copies: a test beside this one that starts a program would keep the file open for writing.
    let copied = std::process::Command::new("cp").arg(env!("CARGO_BIN_EXE_maclip")).arg(&own).status().unwrap();
    assert!(copied.success());
    let words = ["run", &path, "--runs", runs.to_str().unwrap(), "--jobs", "2"];
    let child = std::process::Command::new(&own).args(words).stderr(std::process::Stdio::piped()).spawn().unwrap();
    std::fs::remove_file(&own).unwrap();
    let ran = finish(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn a_pool_that_is_stopped_leaves_runs_that_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = recipe(folder.path(), "study: {axes: {alignment.type: [otam, bi_mhm]}}\n");
    let runs = folder.path().join("runs");
    let long = ["adapter.type=multimodal", "task.train.steps=400", "task.train.validate_every_steps=400"];
    let long: Vec<&str> = long.into_iter().flat_map(|change| ["--set", change]).collect();
    let words = [&["run", &path, "--runs", runs.to_str().unwrap(), "--jobs", "2"], &long[..]].concat();
    let child = command(&words).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let begun = || {
        let found = planned(&path, runs.to_str().unwrap(), &long);
        let steps = |run: &Value| run["steps"]["done"].as_u64().unwrap();
        found["runs"].as_array().unwrap().iter().all(|run| steps(run) > 0)
    };
    for tries in 0.. {
        if begun() {
            break;
        }
        assert!(tries < 600, "no run has begun");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let stopped = finish(child.wait_with_output().unwrap());
    assert_eq!(stopped.code, Some(130), "{}", stopped.stderr);
    let left = planned(&path, runs.to_str().unwrap(), &long);
    for run in left["runs"].as_array().unwrap() {
        // Its process has ended, with a checkpoint: the state is not `running`.
        assert_eq!(run["state"], "interrupted", "{run}");
        let checkpoints = Path::new(run["dir"].as_str().unwrap()).join("checkpoints");
        assert!(checkpoints.read_dir().unwrap().count() > 0, "{run}");
    }
}

#[test]
fn changes_of_variants_and_axes_reach_them() {
    let folder = tempfile::tempdir().unwrap();
    let study = "alignment: {type: otam}\nstudy: {variants: {a: {alignment.lambda: 0.2}, b: {alignment.lambda: 0.3}}, axes: {task.shot: [1, 2]}}\n";
    let path = recipe(folder.path(), study);
    let valid = |more: &[&str]| maclip(&[&["validate", &path, "--json"], more].concat());
    let hashes = |more: &[&str]| {
        let data: Value = serde_json::from_str(&valid(more).stdout).unwrap();
        let runs = data["runs"].as_array().unwrap().clone();
        runs.iter().map(|run| run["hash"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let before = hashes(&[]);
    let after = hashes(&["--set", "study.variants.a.alignment.lambda=0.5"]);
    assert!(before[0] != after[0] && before[2] == after[2], "{before:?} {after:?}");
    assert_eq!(hashes(&["--set", "study.axes.task.shot=[1]"]).len(), 2);
    assert_eq!(hashes(&["--unset", "study.axes.task.shot"]).len(), 2);
    for lost in [
        &["--unset", "alignment.lambda"][..],
        &["--set", "alignment.lambda=0.6", "--set", "alignment={type: otam}"],
        &["--set", "alignment={type: otam, lambda: 0.5}"],
        &["--set", "task.shot=3"],
    ] {
        let ran = valid(lost);
        assert!(ran.code == Some(2) && ran.stderr.contains("MC012"), "{lost:?}\n{}{}", ran.stdout, ran.stderr);
    }
    let many: Vec<String> = (0..101).map(|value| value.to_string()).collect();
    let many = format!("[{}]", many.join(", "));
    let huge = format!("study: {{axes: {{seed_a: {many}, seed_b: {many}, seed_c: {many}}}}}\n");
    fails(2, &["validate", &recipe(folder.path(), &huge)], &["MC013", "more than 10000 designs"]);
}

#[test]
fn the_study_of_the_documentation_is_valid() {
    let text = std::fs::read_to_string(common::root().join("docs/recipes.md")).unwrap();
    let block = text.split("```yaml\n").find(|block| block.starts_with("study:")).unwrap();
    let block = block.split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let recipes = common::root().join("recipes");
    let block = block.replace("methods/ma_clip.yaml", recipes.join("methods/ma_clip.yaml").to_str().unwrap());
    let path = folder.path().join("doc.yaml");
    std::fs::write(&path, format!("extends: {}\n{block}", recipes.join("quickstart.yaml").display())).unwrap();
    let data: Value = serde_json::from_str(&ok(&["validate", path.to_str().unwrap(), "--json"])).unwrap();
    // Two variants and two that leave a slot out, on a grid of 2 × 2, with three seeds: 48 runs. The first exclusion
    // takes one place of the grid, which is 12 runs; the second takes what is left of `small` with seeds 2 and 3, which
    // is 6 runs.
    assert_eq!(data["runs"].as_array().unwrap().len(), 30, "{data}");
    let names: HashSet<String> = names(&data).into_iter().collect();
    assert_eq!(names.len(), 30);
    for (name, there) in [("small+otam+low-s1", true), ("small+otam+low-s3", false), ("method+bi_mhm+high-s1", false)] {
        assert_eq!(names.contains(name), there, "{name}");
    }
}

#[test]
fn a_change_reaches_every_cell_of_a_study_or_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let mut words = vec!["run", "recipes/quickstart.yaml", "--runs", runs.to_str().unwrap(), "--dry-run"];
    words.extend(SMALL);
    let ran = maclip(&words);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("0 of 2 done; how long"), "{}", ran.stdout);
}

//! A finished run is tested again: on other episodes, on the same ones, and against its own records.

mod common;

use common::{fails, maclip, ok, records, run_directory, small_quickstart};
use serde_json::Value;
use std::path::Path;

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&ok(arguments)).unwrap()
}

#[test]
fn a_run_is_tested_again_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let place = runs.to_str().unwrap();
    ok(&small_quickstart(place, &["--only", "ma_clip"]));
    let run = run_directory(&runs, "quickstart", "ma_clip");
    let path = run.to_str().unwrap();

    // The same episodes again give the same predictions.
    let verified = json(&["verify", path, "--json"]);
    let episodes = records(&run.join("episodes.jsonl"));
    assert_eq!(
        (&verified["different"], &verified["predictions"]),
        (&0.into(), &(5 * episodes.len()).into()),
        "{verified}"
    );
    assert_eq!(verified["largest_difference_of_a_probability"], 0.0);
    run_directory(&runs, "quickstart", "ma_clip");

    // Two shots: another run, with the same weights, and nothing trained.
    let tested = json(&["test", path, "--shot", "2", "--json"]);
    assert_eq!((&tested["test"]["shot"], &tested["test"]["episodes"]), (&2.into(), &episodes.len().into()), "{tested}");
    let beside = Path::new(tested["dir"].as_str().unwrap());
    assert!(beside.file_name().unwrap().to_str().unwrap().starts_with("ma_clip+shot=2-s1-"), "{tested}");
    assert!(!beside.join("train.jsonl").exists() && !beside.join("checkpoints").exists());
    let manifest = std::fs::read_to_string(beside.join("manifest.json")).unwrap();
    assert!(manifest.contains("nothing was trained here"), "{manifest}");
    assert_eq!(records(&beside.join("episodes.jsonl"))[0]["support"][0].as_array().unwrap().len(), 2);
    // More classes than validation has.
    assert_eq!(json(&["test", path, "--way", "20", "--json"])["test"]["way"], 20);

    // Its own episodes, from a file whose hash was taken out.
    let list = std::fs::read_dir(runs.join("quickstart")).unwrap().map(|entry| entry.unwrap().path());
    let list = list.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("episodes-"));
    let mut lists: Vec<Value> =
        list.map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).collect();
    let mut own = lists.drain(..).find(|list| list["shape"]["shot"] == 1 && list["shape"]["way"] == 5).unwrap();
    own.as_object_mut().unwrap().remove("hash");
    let file = folder.path().join("by_hand.json");
    std::fs::write(&file, own.to_string()).unwrap();
    let again = json(&["test", path, "--episodes", file.to_str().unwrap(), "--json"]);
    let status: Value = serde_json::from_slice(&std::fs::read(run.join("status.json")).unwrap()).unwrap();
    assert_eq!(again["test"]["value"], status["test"]["value"]);

    // A test changes nothing of the model.
    fails(2, &["test", path, "--set", "alignment.type=bi_mhm"], &["belongs to the model", "--set alignment.type"]);
    let wrong = json(&["failures", path, "--json"]);
    let count = wrong["failures"].as_array().unwrap().len();
    let missed = episodes.iter().map(|episode| 5 - episode["correct"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(count as u64, missed);
    let class = wrong["failures"][0]["class"].as_str().unwrap();
    let shown = ok(&["failures", path, "--class", class, "--most", "1"]);
    assert!(shown.contains(class) && shown.contains("answered wrongly"), "{shown}");
    fails(1, &["failures", path, "--class", "no such class"], &["no class `no such class`"]);

    // A result that is not that of the records is told everywhere.
    let forged = status.to_string().replacen(&status["test"]["value"].to_string(), "0.9", 1);
    std::fs::write(run.join("status.json"), forged).unwrap();
    let out = folder.path().join("report");
    for arguments in [
        &["status", place][..],
        &["runs", "list", place],
        &["runs", "show", path],
        &["verify", path],
        &["failures", path],
        &["report", place, "--out", out.to_str().unwrap()],
        &["compare", path, beside.to_str().unwrap()],
        &["check", place],
    ] {
        fails(1, arguments, &["status.json says 90.00"]);
    }
    let table = std::fs::read_to_string(out.join("runs.csv")).unwrap();
    assert!(!table.contains("0.9,") && !table.contains("90.0"), "{table}");
}

#[test]
fn a_result_is_not_taken_for_that_of_other_weights() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let place = runs.to_str().unwrap();
    let weights = folder.path().join("w.safetensors");
    let mut bytes = std::fs::read(common::root().join("components/weights/shapes_clip/model.safetensors")).unwrap();
    std::fs::write(&weights, &bytes).unwrap();
    let chosen = format!("backbone.weights={}", weights.display());
    let frozen = ["--only", "frozen_clip", "--set", &chosen];
    ok(&small_quickstart(place, &frozen));
    let again = common::maclip(&small_quickstart(place, &frozen));
    assert!(again.code == Some(0) && again.stderr.contains("done already"), "{}", again.stderr);

    // Another number in the last tensor: the lowest bit of a float.
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    std::fs::write(&weights, &bytes).unwrap();
    fails(1, &small_quickstart(place, &frozen), &["made of other inputs: weights `", "w.safetensors", "--force"]);
    // Another name does not take the records over.
    let named = [&frozen[..], &["--set", "name=fresh"]].concat();
    let fresh = common::maclip(&small_quickstart(place, &named));
    assert!(fresh.code == Some(0) && !fresh.stderr.contains("its records are copied"), "{}", fresh.stderr);
    let sum = |name: &str| {
        let manifest = std::fs::read(run_directory(&runs, name, "frozen_clip").join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        manifest["weights"][weights.to_str().unwrap()].clone()
    };
    assert!(sum("fresh").is_string() && sum("fresh") != sum("quickstart"));
    ok(&small_quickstart(place, &[&frozen[..], &["--force"]].concat()));
    assert_eq!(sum("fresh"), sum("quickstart"));
    // A result without its inputs stays a result.
    std::fs::remove_file(&weights).unwrap();
    let gone = common::maclip(&small_quickstart(place, &frozen));
    assert!(gone.stderr.contains("cannot be seen") || gone.code == Some(2), "{:?} {}", gone.code, gone.stderr);
}

/// Training and tests that take a second, on two variants of the embedded benchmark. The classifier is as large as the
/// number of training classes, which must be known also where a run is only compared.
const ACROSS: &str = r#"
name: across
dataset: {type: shapes_in_motion, variant: motion, clips_per_class: 4}
backbone: {type: clip_vit, weights: "builtin:shapes_clip"}
adapter: {type: multimodal, at: {last: 1}}
alignment: {type: otam}
objective: {type: with_class_loss, objective: {type: metric}, of: clips}
task:
  way: 5
  train_shot: 1
  queries: 1
  train: {steps: 4, validate_every_steps: 2, checkpoint_every_steps: 2}
  validation: {episodes: 10}
  test: {episodes: 20, examples: 0}
study:
  variants:
    own: {}
    across: {task.test_on: {type: shapes_in_motion, variant: appearance, clips_per_class: 4}}
  axes:
    task.shot: [1, 2]
"#;

#[test]
fn runs_that_differ_in_their_test_are_trained_once() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("across.yaml");
    std::fs::write(&recipe, ACROSS).unwrap();
    let (recipe, runs, alone) = (recipe.to_str().unwrap(), folder.path().join("runs"), folder.path().join("alone"));
    ok(&["run", recipe, "--runs", runs.to_str().unwrap(), "--jobs", "2"]);
    let read = |run: &Path, file: &str| std::fs::read_to_string(run.join(file)).unwrap();
    let names = ["own+shot=1", "own+shot=2", "across+shot=1", "across+shot=2"];
    let made: Vec<_> = names.iter().map(|name| run_directory(&runs, "across", name)).collect();
    let shared = made.iter().filter(|run| read(run, "manifest.json").contains("the training is that of ")).count();
    assert_eq!(shared, 3, "all four have one training");
    for run in &made {
        assert_eq!(read(run, "train.jsonl"), read(&made[0], "train.jsonl"));
        ok(&["verify", run.to_str().unwrap()]);
    }
    // What was trained elsewhere gives the same predictions as what is trained for this test.
    ok(&["run", recipe, "--runs", alone.to_str().unwrap(), "--only", "across+shot=2"]);
    let own = run_directory(&alone, "across", "across+shot=2");
    assert!(!read(&own, "manifest.json").contains("the training is that of "));
    assert_eq!(read(&own, "episodes.jsonl"), read(&made[3], "episodes.jsonl"));
    // The classes of the test are of the other variant, and its clips have their own names.
    let classes = |run: &Path| records(&run.join("episodes.jsonl"))[0]["classes"].to_string();
    assert_ne!(classes(&made[0]), classes(&made[2]));
    // A run that was trained here can be tested there as well.
    let there = ["--set", "task.test_on={type: shapes_in_motion, variant: appearance, clips_per_class: 4}"];
    let tested = json(&[&["test", made[1].to_str().unwrap(), "--json"][..], &there].concat());
    assert_eq!(
        read(Path::new(tested["dir"].as_str().unwrap()), "episodes.jsonl"),
        read(&made[3], "episodes.jsonl"),
        "the same weights on the same episodes"
    );
    // What was trained is settled: no class can be left out of it any more.
    let too_late = [&["test", made[1].to_str().unwrap()][..], &there, &["--set", "task.overlap=leave_out"]].concat();
    fails(2, &too_late, &["the training of", "is over", "task.overlap=report"]);
    // What is missing is told at its place.
    let missing = ["run", recipe, "--only", "own+shot=1", "--set", "task.test_on={type: frame_folder}"];
    fails(2, &missing, &["--set task.test_on.root=", "task.test_on"]);
    let nowhere = ["task.test_on={type: frame_folder, root: /no/where}", "--runs", alone.to_str().unwrap()];
    fails(1, &[&missing[..5], &nowhere].concat(), &["--set task.test_on={", "--set task.test_on.root="]);
    let looked = maclip(&["validate", recipe, "--deep", "--json", "--set", nowhere[0]]);
    let found: serde_json::Value = serde_json::from_str(&looked.stdout).unwrap();
    let paths = found["diagnostics"].as_array().unwrap().iter().map(|found| found["path"].as_str().unwrap_or_default());
    assert!(paths.into_iter().all(|path| path == "task.test_on"), "{}", looked.stdout);
}

#[test]
fn a_run_is_fine_tuned_on_the_supports_of_each_episode() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let small =
        ["task.validation.episodes=4", "task.test.episodes=8", "dataset.clips_per_class=4", "task.fine_tune.steps=2"];
    let mut words = vec!["run", "recipes/methods/fine_tuned.yaml", "--runs", runs.to_str().unwrap()];
    words.extend(small.iter().flat_map(|set| ["--set", set]));
    ok(&words);
    let run = std::fs::read_dir(runs.join("fine_tuned")).unwrap().map(|entry| entry.unwrap().path());
    let run = run.into_iter().find(|path| path.join("manifest.json").is_file()).unwrap();
    assert_eq!(records(&run.join("train.jsonl")).len(), 0, "nothing was trained before the test");
    assert_eq!(records(&run.join("validation.jsonl"))[0]["step"], 0);
    // The steps on the supports change the answers, and the same steps give the same answers.
    let episodes = records(&run.join("episodes.jsonl"));
    ok(&["verify", run.to_str().unwrap()]);
    words.extend(["--set", "task.fine_tune.learning_rate=1e-9"]);
    ok(&words);
    let others = std::fs::read_dir(runs.join("fine_tuned")).unwrap().map(|entry| entry.unwrap().path());
    let other = others.into_iter().find(|path| path.join("manifest.json").is_file() && *path != run).unwrap();
    let unchanged = records(&other.join("episodes.jsonl"));
    assert_eq!(episodes[0]["queries"], unchanged[0]["queries"]);
    assert_ne!(episodes[0]["distances"], unchanged[0]["distances"]);
    fails(
        1,
        &[&words[..], &["--set", "adapter.type=none"]].concat(),
        &["nothing can be fine-tuned", "fine_tuned.yaml:"],
    );
}

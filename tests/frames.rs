//! `recipes/benchmarks/frames_5w1s.yaml` on frame folders: made here, and the real ones where `MACLIP_DATA` names them.

mod common;

use common::{clip, fails, find, maclip, needs, ok, records, run_directory, tree};
use std::path::Path;

fn arguments<'a>(runs: &'a str, root: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["run", "recipes/benchmarks/frames_5w1s.yaml", "--runs", runs, "--set", root];
    for set in [
        "task.train.steps=2",
        "task.train.validate_every_steps=2",
        "task.validation.episodes=10",
        "task.test.episodes=40",
    ] {
        arguments.extend(["--set", set]);
    }
    arguments
}

#[test]
fn broken_clips_are_named_skipped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let frames = folder.path().join("frames");
    tree(&frames);
    // A truncated JPEG, a clip without any, a short one.
    let broken = frames.join("test/test_class_0/clip 1/00000003.jpg");
    let bytes = std::fs::read(&broken).unwrap();
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    std::fs::create_dir_all(frames.join("test/test_class_1/nothing")).unwrap();
    clip(&frames.join("train/train_class_2/short"), 2, 0, 3);

    let runs = folder.path().join("runs");
    let root = format!("dataset.root={}", frames.display());
    let ran = maclip(&arguments(runs.to_str().unwrap(), &root));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for words in ["1 clip of split train left out", "2 clips of split test left out", "clip 1"] {
        assert!(ran.stderr.contains(words), "`{words}` is not in\n{}", ran.stderr);
    }
    let run = run_directory(&runs, "frames_5w1s", "default");
    let skipped = std::fs::read_to_string(run.join("skipped_test.json")).unwrap();
    assert!(skipped.contains("test_class_0/clip 1") && skipped.contains("nothing"), "{skipped}");
    assert!(!std::fs::read_to_string(run.join("episodes.jsonl")).unwrap().contains("test_class_0/clip 1"));
    let manifest = std::fs::read_to_string(run.join("manifest.json")).unwrap();
    assert!(manifest.contains("2 clips of split test left out"), "{manifest}");

    // The other policy: stop.
    let mut strict = arguments(runs.to_str().unwrap(), &root);
    strict.extend(["--set", "dataset.broken=fail"]);
    fails(1, &strict, &["train_class_2/short", "recipes/benchmarks/frames_5w1s.yaml:"]);
}

#[test]
fn real_frames_run_where_they_are_given() {
    let Some(frames) = needs::data("MACLIP_DATA", "ssv2_frames") else { return };
    let folder = tempfile::tempdir().unwrap();
    let set = format!("dataset.root={}", frames.display());
    ok(&arguments(folder.path().to_str().unwrap(), &set));
    let run = run_directory(folder.path(), "frames_5w1s", "default");
    assert_eq!(records(&run.join("train.jsonl")).len(), 2);
    assert_eq!(records(&run.join("episodes.jsonl")).len(), 40);
    for split in ["train", "val", "test"] {
        assert!(!run.join(format!("skipped_{split}.json")).exists(), "clips of {split} are left out");
    }
}

#[test]
fn a_dataset_that_vanishes_is_named_and_the_run_goes_on_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (frames, away) = (folder.path().join("frames"), folder.path().join("away"));
    tree(&frames);
    let (straight, runs) = (folder.path().join("straight"), folder.path().join("runs"));
    let root = format!("dataset.root={}", frames.display());
    let run = |runs: &Path| {
        let mut all = arguments(runs.to_str().unwrap(), &root).into_iter().map(str::to_owned).collect::<Vec<_>>();
        for set in ["task.train.steps=8", "task.train.checkpoint_every_steps=1"] {
            all.extend(["--set".to_owned(), set.to_owned()]);
        }
        all
    };
    let words = run(&straight);
    ok(&words.iter().map(String::as_str).collect::<Vec<_>>());

    let words = run(&runs);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut child = common::command(&words).stderr(std::process::Stdio::null()).spawn().unwrap();
    let begun = std::time::Instant::now();
    let steps = || {
        std::fs::read_dir(&runs).ok().and_then(|_| find(&runs, "train.jsonl")).map_or(0, |text| text.lines().count())
    };
    while steps() < 3 {
        assert!(begun.elapsed().as_secs() < 60);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    std::fs::rename(&frames, &away).unwrap();
    let ended = child.wait().unwrap();
    // Whatever it was doing: either it needed no more clips, or it failed.
    if !ended.success() {
        fails(1, &words, &["frames"]);
        let kept = find(&runs, "train.jsonl").unwrap().lines().count();
        assert!(kept >= 3, "{kept} steps are left");
    }
    std::fs::rename(&away, &frames).unwrap();
    ok(&words);
    for file in ["train.jsonl", "validation.jsonl", "episodes.jsonl"] {
        assert_eq!(find(&runs, file), find(&straight, file), "{file}");
    }
}

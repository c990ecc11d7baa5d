//! `recipes/pretrain/shapes_clip.yaml`: the small CLIP is reproducible, and what it writes can be used.

mod common;

use common::{ok, records, run_directory, small_quickstart};
use std::path::Path;

fn pretrain(runs: &Path, more: &[&str]) -> Vec<u8> {
    let mut arguments = vec!["run", "recipes/pretrain/shapes_clip.yaml", "--runs", runs.to_str().unwrap()];
    for set in [
        "task.train.steps=4",
        "task.train.validate_every_steps=2",
        "task.batch_size=16",
        "task.held_out=40",
        "task.gallery=20",
        "task.spell=0.5",
    ] {
        arguments.extend(["--set", set]);
    }
    arguments.extend(more);
    ok(&arguments);
    std::fs::read(run_directory(runs, "shapes_clip", "default").join("model.safetensors")).unwrap()
}

#[test]
fn pre_training_is_bit_equal_and_its_weights_are_usable() {
    let folder = tempfile::tempdir().unwrap();
    let first = pretrain(&folder.path().join("a"), &[]);
    assert!(first == pretrain(&folder.path().join("b"), &[]), "two runs of one recipe differ");
    assert!(first != pretrain(&folder.path().join("c"), &["--set", "seed=2"]), "the seed does nothing");
    let run = run_directory(&folder.path().join("a"), "shapes_clip", "default");
    let answers: serde_json::Value =
        serde_json::from_slice(&std::fs::read(run.join("zero_shot.json")).unwrap()).unwrap();
    for about in ["colour", "direction", "place", "scene", "thing", "verb"] {
        let kind = &answers[about];
        assert!(kind["questions"].as_u64() > Some(0), "{about}: {answers}");
        let [accuracy, chance] = ["accuracy", "chance"].map(|key| kind[key].as_f64().unwrap());
        assert!((0.0..=1.0).contains(&accuracy) && chance > 0.0 && chance <= 0.5, "{about}: {answers}");
    }

    let weights = folder.path().join("model.safetensors");
    std::fs::write(&weights, first).unwrap();
    let set = format!("backbone.weights={}", weights.display());
    let runs = folder.path().join("runs");
    ok(&small_quickstart(
        runs.to_str().unwrap(),
        &["--set", &set, "--set", "study.variants={frozen_clip: {adapter: {type: none}}}"],
    ));
    let run = run_directory(&runs, "quickstart", "frozen_clip");
    assert_eq!(records(&run.join("episodes.jsonl")).len(), 60);
    assert!(std::fs::read_to_string(run.join("manifest.json")).unwrap().contains("model.safetensors"));
}

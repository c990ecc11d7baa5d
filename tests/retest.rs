//! A finished run is tested again: on other episodes, on the same ones, and against its own records.

mod common;

use common::{fails, ok, records, run_directory, small_quickstart};
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

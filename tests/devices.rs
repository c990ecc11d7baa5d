//! Graphics cards from the outside: their adapters, runs on one beside runs on `flex`, and what is said where there is
//! none.
//!
//! Only in builds with the feature `wgpu`. Mesa's driver for the processor is enough.

mod common;

use common::{command, fails, finish, maclip, needs, ok, records, run_directory, small_quickstart};
use serde_json::Value;
use std::path::Path;

/// What `doctor` says of devices whose name begins with `wgpu`.
fn rows(said: &str) -> Vec<String> {
    let said: Value = serde_json::from_str(said).unwrap();
    let findings = said["findings"].as_array().unwrap().iter().filter(|finding| finding["what"] == "device");
    let found = findings.map(|finding| finding["found"].as_str().unwrap().to_owned());
    found.filter(|found| found.contains("wgpu:")).collect()
}

/// Whether there is no adapter, which is said.
fn no_adapter() -> bool {
    let rows = rows(&maclip(&["doctor", "--json"]).stdout);
    let there = rows.iter().any(|row| row.starts_with("wgpu:0 computes"));
    if !there {
        needs::skip("no adapter for Vulkan", "install a driver (`apt install mesa-vulkan-drivers` needs no card)");
    }
    !there
}

#[test]
fn doctor_names_every_adapter_and_what_it_computes() {
    if no_adapter() {
        return;
    }
    let rows = rows(&ok(&["doctor", "--json"]));
    for (at, row) in rows.iter().enumerate() {
        assert!(row.contains(&format!("wgpu:{at}")) && row.contains("driver"), "{row}");
    }
    assert!(rows[0].contains("gradients are those of flex"), "{}", rows[0]);
    let missing = format!("device=wgpu:{}", rows.len());
    let said = fails(2, &["validate", "recipes/quickstart.yaml", "--set", &missing], &["no adapter of this number"]);
    assert!(said.contains("there are: wgpu:0 ("), "{said}");
}

#[test]
fn a_machine_without_an_adapter_is_told_so() {
    let without = |arguments: &[&str]| {
        let mut command = command(arguments);
        // The second name is that of older loaders.
        for name in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
            command.env(name, "/dev/null");
        }
        finish(command.output().unwrap())
    };
    let said = without(&["doctor", "--json"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let rows = rows(&said.stdout);
    assert!(rows.len() == 1 && rows[0].contains("no card with a driver for Vulkan"), "{rows:?}");
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().to_str().unwrap();
    let said = without(&small_quickstart(runs, &["--set", "device=wgpu:0"]));
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(said.stderr.contains("mesa-vulkan-drivers") && !said.stderr.contains("panicked"), "{}", said.stderr);
    // A plan is for another machine.
    let plan = without(&["plan", "recipes/quickstart.yaml", "--set", "device=wgpu:0"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
}

#[test]
fn a_short_training_is_that_of_flex() {
    if no_adapter() {
        return;
    }
    let run = |device: &str| {
        let folder = tempfile::tempdir().unwrap();
        let device = format!("device={device}");
        // A driver for the processor takes seconds for a step.
        let few = ["task.train.steps=3", "task.validation.episodes=4", "task.test.episodes=12", &device];
        let changes: Vec<&str> = few.into_iter().flat_map(|change| ["--set", change]).collect();
        ok(&small_quickstart(folder.path().to_str().unwrap(), &changes));
        let directory = run_directory(folder.path(), "quickstart", "ma_clip");
        let [manifest, status] = ["manifest.json", "status.json"]
            .map(|file| serde_json::from_str::<Value>(&common::find(&directory, file).unwrap()).unwrap());
        let episodes = status["test"]["episodes_hash"].as_str().unwrap().to_owned();
        (losses(&directory), right(&directory), episodes, manifest)
    };
    let (here, right_here, episodes, _) = run("flex");
    assert_eq!(here.len(), 3);
    // Of the two episodes of a step, each of two devices has one.
    let [alone, _] = ["wgpu:0", "[flex, wgpu:0]"].map(|device| {
        let (there, right_there, tested, manifest) = run(device);
        assert_eq!((there.len(), &tested), (3, &episodes), "{device}");
        // Each step begins where rounding has led the one before.
        for (there, here) in there.iter().zip(&here) {
            assert!((there - here).abs() < 1e-3 * here.abs(), "{device}: losses {there} and {here}");
        }
        assert!(right_there.abs_diff(right_here) <= 3, "{device}: {right_there} and {right_here} queries are right");
        manifest
    });
    let accelerator = alone["attempts"][0]["accelerator"].as_str().unwrap();
    assert!(accelerator.contains("driver"), "{accelerator}");
}

fn losses(directory: &Path) -> Vec<f64> {
    records(&directory.join("train.jsonl")).iter().map(|record| record["loss"].as_f64().unwrap()).collect()
}

/// How many queries of the test were named right.
fn right(directory: &Path) -> u64 {
    let episodes = records(&directory.join("episodes.jsonl"));
    episodes.iter().map(|episode| episode["correct"].as_u64().unwrap()).sum()
}

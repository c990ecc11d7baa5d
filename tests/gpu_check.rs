//! scripts/gpu_check.sh, with stand-ins for the programs that it calls.

use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// A program of the shell in `folder`.
fn stand_in(folder: &Path, name: &str, script: &str) {
    let file = folder.join(name);
    std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
}

/// What it prints about `device` with the programs in `folder`, the same as data, and whether all was well.
fn check(folder: &Path, device: &str, parts: Option<&str>) -> (String, Value, bool) {
    let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/gpu_check.sh"));
    script.arg(device).env("MACLIP_BINARIES", folder).env("GPU_CHECK_OUT", folder.join("out"));
    script.env("MACLIP_PEER", folder.join("no peer")).env_remove("GPU_CHECK_PARTS");
    script.envs(parts.map(|parts| ("GPU_CHECK_PARTS", parts)));
    let output = script.output().unwrap();
    let written = std::fs::read_to_string(folder.join("out").join(device.replace(':', "-")).join("result.json"));
    let written = serde_json::from_str(&written.unwrap()).unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(serde_json::from_str::<Value>(printed.lines().last().unwrap()).unwrap(), written);
    (printed, written, output.status.success())
}

#[test]
fn a_device_that_cannot_compute_ends_the_check_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_maclip"), folder.path().join("maclip")).unwrap();
    // No machine has as many cards, and few builds have the feature.
    let (printed, written, well) = check(folder.path(), "cuda:99", None);
    assert!(!well);
    let parts = written["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 1, "nothing else was tried: {written}");
    let result = parts[0]["result"].as_str().unwrap();
    assert!(result.starts_with("failed: ") && result.contains("cuda:99"), "{result}");
    assert!(printed.contains(&format!("| doctor | {result} |")), "{printed}");
}

#[test]
fn numbers_of_the_parts_are_in_the_table_and_in_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let maclip = r#"
if [ "$1" = doctor ]; then echo "ok  device  flex computes"; exit; fi
loss=1.5
while [ $# -gt 0 ]; do
  case $1 in --runs) runs=$2 ;; precision=bf16) loss=1.375 ;; esac
  shift
done
mkdir -p "$runs/quickstart/ma_clip-s1-0"
echo "{\"step\":1,\"loss\":$loss}" >"$runs/quickstart/ma_clip-s1-0/train.jsonl"
echo '{"episode":1,"correct":4}' >"$runs/quickstart/ma_clip-s1-0/episodes.jsonl""#;
    stand_in(folder.path(), "maclip", maclip);
    stand_in(folder.path(), "golden", "echo no such case; exit 3");
    stand_in(
        folder.path(),
        "parity",
        "echo 'trx on flex: 7 tensors, loss 1.5 and 1.5, norm 2e1 and 2e1, gradients apart 1e-7 of the largest, 2e-6 of \
         their tensor (`a.b`)'",
    );
    let (printed, written, well) = check(folder.path(), "flex", Some("doctor golden parity bf16"));
    assert!(!well, "golden failed");
    let part = |name: &str| {
        let parts = written["parts"].as_array().unwrap();
        parts.iter().find(|part| part["part"] == name).unwrap_or_else(|| panic!("no {name} in {written}"))
    };
    assert_eq!((&part("doctor")["result"], &part("golden")["result"]), (&"passed".into(), &"failed (3)".into()));
    assert_eq!(part("parity")["numbers"][0]["apart_of_largest"], 1e-7, "{written}");
    assert_eq!(part("parity")["numbers"][0]["tensors"], 7);
    let [loss, correct] = [0, 1].map(|at| &part("bf16")["numbers"][at]);
    assert_eq!((&loss["mean"], &loss["f32"], &loss["bf16"]), (&"loss".into(), &1.5.into(), &1.375.into()));
    assert_eq!((&correct["mean"], &correct["f32"]), (&"correct".into(), &4.0.into()));
    assert!(printed.contains("mean loss: 1.500000 in f32, 1.375000 in bf16"), "{printed}");
    assert!(printed.contains("PyTorch: not compared, because ") && printed.contains("MACLIP_PEER"), "{printed}");
}

/// A driver that computes on the processor gets fewer steps and episodes, and they too must be what a recipe may say.
#[test]
fn the_shortened_trainings_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let maclip = format!(
        r#"
if [ "$1" = doctor ]; then echo "ok  device  wgpu:0 computes: it computes on the processor. ok  flex computes"; exit; fi
sets=
while [ $# -gt 0 ]; do
  # The feature of the device may not be built.
  case $2 in device=*) ;; *=*) [ "$1" = --set ] && sets="$sets --set $2" ;; esac
  shift
done
echo "with$sets"
exec {} validate quickstart $sets"#,
        env!("CARGO_BIN_EXE_maclip")
    );
    stand_in(folder.path(), "maclip", &maclip);
    for device in ["flex", "wgpu:0"] {
        let (_, written, well) = check(folder.path(), device, Some("doctor quickstart"));
        let log = folder.path().join("out").join(device.replace(':', "-")).join("quickstart.log");
        let log = std::fs::read_to_string(log).unwrap();
        assert!(log.contains("task.validation.episodes="), "{log}");
        assert!(well, "{device}: {written}\n{log}");
    }
}

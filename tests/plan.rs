//! `maclip plan`, `describe` and `weights`.

mod common;

use common::{fails, ok};
use std::path::Path;

#[test]
fn the_plan_of_the_paper_s_model_has_its_counts_without_data_and_weights() {
    let plan = |architecture: &str| -> serde_json::Value {
        let set = format!("backbone.architecture={architecture}");
        serde_json::from_str(&ok(&["plan", "recipes/kinetics_5w5s.yaml", "--json", "--set", &set])).unwrap()
    };
    for (architecture, total) in [("ViT-B/32", 169_806_849), ("ViT-B/16", 168_150_273)] {
        let plan = &plan(architecture)["plans"][0]["plan"];
        assert_eq!(plan["params"]["trainable"], 18_529_536);
        assert_eq!(plan["params"]["total"], total);
        let part = |name: &str| -> u64 {
            let parts = plan["params"]["parts"].as_array().unwrap().iter();
            parts
                .filter(|part| part["part"] == name || part["slot"] == name)
                .map(|p| p["trainable"].as_u64().unwrap())
                .sum()
        };
        let parts = ["temporal", "multimodal", "joint", "text_fc", "prototype"].map(part);
        assert_eq!(parts, [3_550_464, 3_550_464, 3_550_464, 4_727_808, 3_150_336]);
    }
    let text = ok(&["plan", "recipes/kinetics_5w5s.yaml"]);
    assert!(text.contains("18,529,536") && text.contains("once per support clip"), "{text}");
    let chart = ok(&["plan", "recipes/methods/hyrsm.yaml", "--format", "mermaid"]);
    assert!(
        chart.starts_with("%%") && chart.contains("prototypes --> related") && chart.contains("related --> distances"),
        "{chart}"
    );
}

#[test]
fn a_component_is_described_with_its_defaults() {
    let text = ok(&["describe", "multimodal"]);
    assert!(text.contains("ratio: 0.25") && text.contains("table 4"), "{text}");
    // A name that several slots have is described in each.
    let text = ok(&["describe", "clip_fsar"]);
    assert!(text.contains("prototype clip_fsar") && text.contains("objective clip_fsar"), "{text}");
    assert!(!ok(&["describe", "objective.clip_fsar"]).contains("prototype clip_fsar"));
    fails(2, &["describe", "otamm"], &["`otamm`", "otam"]);
}

#[test]
fn checkpoints_are_inspected_and_converted() {
    let golden = Path::new("tests/golden/small/clip_tiny_openai.pt").display().to_string();
    let heads = ["--vision-heads", "4", "--text-heads", "4"];
    let with_heads = |arguments: &[&str]| -> Vec<String> {
        arguments.iter().chain(&heads).map(|argument| argument.to_string()).collect()
    };
    let run = |arguments: &[&str]| {
        let arguments = with_heads(arguments);
        ok(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let text = run(&["weights", "inspect", &golden]);
    assert!(text.contains("torch zip archive, OpenAI names") && text.contains("missing       none"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("clip.safetensors").display().to_string();
    run(&["weights", "convert", &golden, &out, "--precision", "f32"]);
    // Its own metadata carries the heads on.
    let text = ok(&["weights", "inspect", &out]);
    assert!(text.contains("safetensors, OpenAI names") && text.contains("unused        none"), "{text}");
    fails(1, &["weights", "convert", &golden, &out], &["is there already", "--force"]);
    fails(1, &["weights", "inspect", "Cargo.toml"], &["Cargo.toml"]);
    // What is no weight of an image transformer is listed.
    let vit = ["weights", "inspect", "components/testdata/vit_timm_tiny.safetensors", "--vision-heads", "3"];
    let ran = common::maclip(&vit);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stdout.contains("backbone      vit") && ran.stdout.contains("expected [2, 24]"), "{}", ran.stdout);
    assert!(ran.stdout.contains("missing       none"), "{}", ran.stdout);
}

//! What is registered and shipped.

mod common;

use common::{command, finish, ok, root};

#[test]
fn the_components_of_every_slot_are_these() {
    let json: serde_json::Value = serde_json::from_str(&ok(&["list", "--json"])).unwrap();
    let listed: Vec<(String, Vec<String>)> = json["slots"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(slot, about)| {
            let names = about["components"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap().to_owned());
            (slot.clone(), names.collect())
        })
        .collect();
    let expected: [(&str, &[&str]); 13] = [
        ("task", &["contrastive", "few_shot"]),
        (
            "dataset",
            &[
                "frame_folder",
                "hmdb51",
                "kinetics100",
                "shapes_in_motion",
                "ssv2_full",
                "ssv2_small",
                "ucf101",
                "video_folder",
            ],
        ),
        ("frames", &["clip_fsar_interval", "clip_fsar_segments", "dense", "linspace", "trx", "uniform_segments"]),
        ("resize", &["none", "short_side", "square"]),
        ("augment", &["color_jitter", "crop", "flip", "none", "random_crop", "random_erasing", "sequence"]),
        ("backbone", &["clip_resnet", "clip_vit", "vit"]),
        ("prompt", &["action_clip", "plain", "template", "templates"]),
        ("adapter", &["aim", "full", "last_blocks", "lora", "multimodal", "none", "st_adapter", "task_adapter"]),
        ("prototype", &["clip_fsar", "hyrsm", "multimodal_transformer", "none", "text_guided", "unimodal_transformer"]),
        (
            "alignment",
            &[
                "bi_mhm",
                "chamfer",
                "diagonal",
                "dtw",
                "hausdorff",
                "linear",
                "max_similarity",
                "mean_cosine",
                "mean_similarity",
                "mean_squared_l2",
                "modified_hausdorff",
                "optimal_transport",
                "otam",
                "soft_dtw",
                "trx",
            ],
        ),
        ("objective", &["clip_fsar", "ma_clip", "metric"]),
        ("optimizer", &["adamw", "sgd"]),
        ("schedule", &["constant", "cosine", "multi_step"]),
    ];
    let expected: Vec<(String, Vec<String>)> = expected
        .iter()
        .map(|(slot, names)| (slot.to_string(), names.iter().map(|n| n.to_string()).collect()))
        .collect();
    assert_eq!(listed, expected);
    let text = ok(&["list", "alignment"]);
    assert!(text.contains("otam") && !text.contains("clip_vit"), "{text}");
}

#[test]
fn every_shipped_recipe_validates() {
    let mut folders = vec![root().join("recipes")];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                // A part is no recipe of its own; what extends it is validated with it.
                if !std::fs::read_to_string(&path).unwrap().contains("\nname: ") {
                    assert!(path.parent().unwrap().ends_with("parts"), "{} has no name", path.display());
                    continue;
                }
                let mut command = command(&["validate", path.to_str().unwrap()]);
                for name in ["FRAMES", "KINETICS", "SSV2", "HMDB51", "UCF101", "JHMDB14"] {
                    command.env(format!("{name}_ROOT"), "clips");
                }
                for name in ["CLIP", "CLIP_B32", "CLIP_RN50", "VIT_B32"] {
                    command.env(format!("{name}_WEIGHTS"), "weights.safetensors");
                }
                let ran = finish(command.output().unwrap());
                assert_eq!(ran.code, Some(0), "{}\n{}", path.display(), ran.stderr);
                count += 1;
            }
        }
    }
    assert!(count >= 53, "{count} recipes");
}

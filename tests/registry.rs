//! What is registered and shipped.

mod common;

use common::{command, finish, generated, ok, root};
use std::collections::BTreeSet;

/// A component that is lost, renamed or forgotten shows here, and no list is kept by hand.
#[test]
fn the_components_are_those_of_names_txt() {
    let json: serde_json::Value = serde_json::from_str(&ok(&["list", "--json"])).unwrap();
    let mut names: Vec<String> = Vec::new();
    for (slot, about) in json["slots"].as_object().unwrap() {
        let components = about["components"].as_array().unwrap();
        names.extend(components.iter().map(|component| format!("{slot}/{}\n", component["name"].as_str().unwrap())));
    }
    names.sort();
    generated("tests/names.txt", &names.concat(), "cargo xtask regenerate");
    let text = ok(&["list", "alignment"]);
    assert!(text.contains("otam") && !text.contains("clip_vit"), "{text}");
}

#[test]
fn every_shipped_recipe_validates() {
    let recipes = root().join("recipes");
    let mut folders = vec![recipes.clone()];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                let name = path.strip_prefix(&recipes).unwrap().with_extension("");
                found.insert(name.to_str().unwrap().to_owned());
                // A part is no recipe of its own; what extends it is validated with it.
                if !std::fs::read_to_string(&path).unwrap().contains("\nname: ") {
                    assert!(name.starts_with("parts"), "{} has no name", path.display());
                    continue;
                }
                let mut command = command(&["validate", path.to_str().unwrap()]);
                for name in ["FRAMES", "KINETICS", "SSV2", "HMDB51", "UCF101", "JHMDB14"] {
                    command.env(format!("{name}_ROOT"), "clips");
                }
                for name in ["CLIP", "CLIP_B32", "CLIP_RN50", "RESNET50", "VIT_B32"] {
                    command.env(format!("{name}_WEIGHTS"), "weights.safetensors");
                }
                for name in ["HMDB51", "UCF101", "KINETICS", "SSV2_SMALL", "SSV2_FULL"] {
                    command.env(format!("{name}_SUB_ACTIONS"), "sub_actions.yaml");
                    command.env(format!("{name}_DESCRIPTIONS"), "descriptions.json");
                }
                let ran = finish(command.output().unwrap());
                assert_eq!(ran.code, Some(0), "{}\n{}", path.display(), ran.stderr);
            }
        }
    }
    // These are all that the program comes with.
    let json: serde_json::Value = serde_json::from_str(&ok(&["init", "--json"])).unwrap();
    let listed = json["recipes"].as_array().unwrap().iter().map(|recipe| recipe["name"].as_str().unwrap().to_owned());
    assert_eq!(found, listed.collect::<BTreeSet<_>>());
}

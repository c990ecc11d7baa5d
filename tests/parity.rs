//! A training step on other devices is the step on `flex`: the gradient of every trainable value, the loss, the
//! episodes and the test after it.
//!
//! `MACLIP_DEVICE` names what is compared with `flex`, as a recipe has it: `tch:cpu`, or a list such as `[flex,
//! tch:cpu]`. By default it is `[flex, flex]`, which must be equal to the last bit. `MACLIP_PARITY` names recipes, with
//! commas between, where a device is too slow for all of them.

mod common;

use common::{ok, records};
use maclip_framework::weights;
use std::collections::BTreeMap;
use std::path::Path;

/// Largest difference of a gradient, in parts of the largest value of its tensor or of a hundredth of the largest of
/// all tensors: a tensor whose gradient cancels has rounding alone.
const TOLERANCE: f64 = 1e-4;
/// Largest difference of any gradient, in parts of the largest of all.
const OVERALL: f64 = 1e-5;

/// Recipes whose trainable parts are of many kinds: adapters of text and video, prompts, whole towers, cross-attention.
const RECIPES: [&str; 6] = ["ma_clip", "clip_fsar", "hyrsm", "trx", "task_adapter", "aim_otam"];

/// What a step leaves.
struct Step {
    /// The weights after it, by path.
    weights: BTreeMap<String, Vec<f32>>,
    loss: f64,
    norm: f64,
    /// Support clips and queries of the test.
    episodes: Vec<[serde_json::Value; 2]>,
    /// Queries of an episode of the test that were right, of five; the mean.
    correct: f64,
}

/// One step of plain gradient descent with rate `rate` on `device`.
fn step(folder: &Path, recipe: &str, device: &str, rate: &str) -> Step {
    let runs = folder.join(format!("{recipe}-{rate}-{}", device.replace(|c: char| !c.is_alphanumeric(), "_")));
    let file = format!("recipes/methods/{recipe}.yaml");
    let settings = [
        format!("device={device}"),
        format!("optimizer={{type: sgd, learning_rate: {rate}}}"),
        "schedule={type: constant}".to_owned(),
        "task.train={steps: 1, clip_norm: null, validate_every_steps: 1, checkpoint_every_steps: 1}".to_owned(),
        "task.episodes_per_step=3".to_owned(),
        "task.validation={episodes: 2, clips_per_class: 2}".to_owned(),
        "task.test={episodes: 40, clips_per_class: 3, examples: 0}".to_owned(),
        "dataset.clips_per_class=6".to_owned(),
    ];
    let mut arguments = vec!["run", &file, "--runs", runs.to_str().unwrap()];
    arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    arguments.push("--json");
    let said: serde_json::Value = serde_json::from_str(&ok(&arguments)).unwrap();
    let run = Path::new(said["runs"][0]["dir"].as_str().unwrap());
    let read = weights::read(&run.join("checkpoints/step-00000001/weights.safetensors")).unwrap();
    let weights = read.tensors.into_iter().map(|(path, tensor)| (path, tensor.values)).collect();
    let trained = records(&run.join("train.jsonl")).remove(0);
    let tested = records(&run.join("episodes.jsonl"));
    let correct: f64 = tested.iter().map(|episode| episode["correct"].as_f64().unwrap()).sum();
    Step {
        weights,
        loss: trained["loss"].as_f64().unwrap(),
        norm: trained["gradient_norm"].as_f64().unwrap(),
        episodes: tested.iter().map(|episode| [episode["support"].clone(), episode["queries"].clone()]).collect(),
        correct: correct / tested.len() as f64,
    }
}

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max)
}

#[test]
fn every_gradient_is_that_of_flex() {
    let device = std::env::var("MACLIP_DEVICE").unwrap_or_else(|_| "[flex, flex]".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let chosen = std::env::var("MACLIP_PARITY").unwrap_or_else(|_| RECIPES.join(","));
    for recipe in chosen.split(',') {
        assert!(RECIPES.contains(&recipe), "MACLIP_PARITY: {recipe} is none of {RECIPES:?}");
        // A large step and none: the gradient is their difference, and rounding of the weights is small beside it.
        let [before, flex] = ["1e-12", "10"].map(|rate| step(folder.path(), recipe, "flex", rate));
        let other = step(folder.path(), recipe, &device, "10");
        assert_eq!(flex.weights.keys().collect::<Vec<_>>(), other.weights.keys().collect::<Vec<_>>());
        let mut found = Vec::new();
        for (path, after) in &flex.weights {
            let values = after.iter().zip(&before.weights[path]).zip(&other.weights[path]);
            let (mut gradient, mut apart) = (0.0f64, 0.0f64);
            for ((flex, before), other) in values {
                gradient = gradient.max(f64::from((flex - before).abs()));
                apart = apart.max(f64::from((flex - other).abs()));
            }
            found.push((path, gradient, apart));
        }
        let all = largest(found.iter().map(|(_, gradient, _)| *gradient));
        let overall = largest(found.iter().map(|(.., apart)| apart / all));
        assert!(all > 0.0 && found.len() > 3, "{recipe}: nothing was trained");
        let share = |gradient: f64, apart: f64| apart / gradient.max(all / 100.0);
        let worst = found.iter().max_by(|a, b| share(a.1, a.2).total_cmp(&share(b.1, b.2))).unwrap();
        let of_tensor = share(worst.1, worst.2);
        println!(
            "{recipe} on {device}: {} tensors, loss {:.6} and {:.6}, norm {:.5} and {:.5}, gradients apart {overall:.1e} \
             of the largest, {of_tensor:.1e} of their tensor ({}), {:.4} and {:.4} of 5 queries right",
            found.len(),
            flex.loss,
            other.loss,
            flex.norm,
            other.norm,
            worst.0,
            flex.correct,
            other.correct,
        );
        assert!(overall <= OVERALL && of_tensor <= TOLERANCE, "{recipe} on {device}: {overall:e}, {of_tensor:e}");
        assert!((flex.loss - other.loss).abs() <= 1e-5 * (1.0 + flex.loss.abs()), "{} {}", flex.loss, other.loss);
        assert!(flex.episodes == other.episodes, "{recipe}: other episodes");
        if device.matches("flex").count() == device.split(',').count() {
            assert!(flex.weights == other.weights && flex.correct == other.correct, "{recipe}: not the same bits");
        }
    }
}

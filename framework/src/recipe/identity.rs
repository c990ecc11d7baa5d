//! The identity of a run: the hash of its resolved recipe, without the keys that cannot change a result.

use maclip_language::{Node, identity, within};

/// Keys that cannot change a result, left out of a run's identity.
const NO_RESULT: [&str; 22] = [
    "name",
    "description",
    "label",
    "device",
    "compute",
    "clip_store.use",
    "clip_store.folder",
    "clip_store.limit_gb",
    "log",
    "launcher",
    "expect",
    "task.train.checkpoint_every_steps",
    "task.train.keep_checkpoints",
    "task.validation.examples",
    "task.validation.occlusion",
    "task.validation.map_clips",
    "task.validation.list.path",
    "task.test.examples",
    "task.test.occlusion",
    "task.test.map_clips",
    "task.test.list.path",
    "task.start.run",
];

/// Keys that older versions did not have, each with a field and the value that means the behaviour of those versions. A
/// key with this value is left out of the identity, so that older runs keep theirs. A value that is no text is written
/// as JSON has it: `null` stands for a missing one.
const LATER: [(&str, &str, &str); 21] = [
    ("resize", "type", "none"),
    ("clip_store", "format", "raw"),
    ("adapter.parts", "", "all"),
    ("dataset.decoder", "", "ffmpeg"),
    ("dataset.pattern", "", "null"),
    ("dataset.allow_shared", "", "false"),
    ("task.start", "", "null"),
    ("task.test_on", "", "null"),
    ("task.overlap", "", "report"),
    ("task.fine_tune", "", "null"),
    ("task.test.sampling", "", "with_replacement"),
    ("task.validation.sampling", "", "with_replacement"),
    ("objective.text_prediction", "", "averaged_embedding"),
    ("prototype.init", "", "random"),
    ("alignment.unused_norm", "", "false"),
    ("alignment.alignment.unused_norm", "", "false"),
    ("backbone.key", "", "null"),
    ("backbone.epsilon", "", "null"),
    ("backbone.pixels", "", "null"),
    ("backbone.preparation", "", "checkpoint"),
    ("backbone.text_activation", "", "null"),
];

/// Whether a change of the recipe at the dotted `path` can change a result.
pub fn changes_results(path: &str) -> bool {
    !NO_RESULT.iter().any(|ignored| within(path, ignored))
}

/// The identity of a run with this resolved recipe.
pub(super) fn hash_of(resolved: &Node) -> String {
    without(resolved, &[])
}

/// What the runs of one design have in common, whatever their seeds: [`Recipe::hash`](super::Recipe::hash) without the
/// seed, and without the weights that a run begins with, as a test of a trained run begins with those of its seed. A
/// training that begins with trained weights is another design than one that does not.
pub fn design_of(resolved: &Node) -> String {
    let trains_on = resolved.at("task.start.train").is_some_and(|train| train.to_json() == true);
    without(resolved, &["seed", if trains_on { "task.start.sha256" } else { "task.start" }])
}

/// What the runs of one training have in common, whatever they test: [`Recipe::hash`](super::Recipe::hash) without the
/// test. `None` where the recipe trains nothing.
pub fn training_of(resolved: &Node) -> Option<String> {
    let told = |path: &str| resolved.at(path).map(Node::to_json).filter(|value| !value.is_null());
    if told("task.train").is_none() || told("task.start.train").is_some_and(|train| train == false) {
        return None;
    }
    let mut tested = vec!["task.test"];
    // Without it, the training has the shots of the test.
    if told("task.train_shot").is_some() {
        tested.push("task.shot");
    }
    // Classes that are left out of the training depend on the test.
    if told("task.overlap").is_none_or(|overlap| overlap != "leave_out") {
        tested.extend(["task.test_on", "task.overlap"]);
    }
    Some(without(resolved, &tested))
}

/// Optimizer steps that a resolved recipe asks for before its test; `None` where it trains nothing.
pub fn training_steps(resolved: &Node) -> Option<u64> {
    let told = |path: &str, value: bool| resolved.at(path).is_some_and(|node| node.to_json() == value);
    let none = told("task.fine_tune.alone", true) || told("task.start.train", false);
    resolved.at("task.train.steps").filter(|_| !none)?.to_json().as_u64()
}

fn without(resolved: &Node, keys: &[&'static str]) -> String {
    let as_before = |(key, field, value): &(&'static str, &str, &str)| {
        let found = resolved.at(key).and_then(|node| node.at(field))?;
        let text = found.as_str().map_or_else(|| found.to_json().to_string(), str::to_owned);
        (text == *value).then_some(*key)
    };
    let before = LATER.iter().filter_map(as_before);
    let ignored: Vec<&str> = NO_RESULT.into_iter().chain(before).chain(keys.iter().copied()).collect();
    identity(resolved, &ignored)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn runs_that_differ_in_their_test_alone_have_one_training() {
        let of = |task: serde_json::Value| training_of(&Node::from_json(&json!({"seed": 1, "task": task})));
        let train = json!({"steps": 3});
        let one = of(json!({"train": train, "train_shot": 1, "shot": 1, "test": {"episodes": 5}, "overlap": "report"}));
        let other = json!({"train": train, "train_shot": 1, "shot": 5, "test": {"episodes": 9},
            "test_on": {"type": "x"}, "overlap": "refuse"});
        assert!(one.is_some());
        assert_eq!(one, of(other));
        assert_ne!(of(json!({"train": train, "shot": 1})), of(json!({"train": train, "shot": 5})));
        let left_out = json!({"train": train, "train_shot": 1, "test_on": {"type": "x"}, "overlap": "leave_out"});
        assert_ne!(one, of(left_out));
        assert_eq!(of(json!({"train": train, "start": {"train": false}})), None);
        assert_eq!(of(json!({"batch": 3})), None);
    }

    #[test]
    fn what_trains_nothing_has_no_steps() {
        let of = |task: serde_json::Value| training_steps(&Node::from_json(&json!({"task": task})));
        let train = json!({"steps": 300});
        assert_eq!(of(json!({"train": train, "fine_tune": {"alone": false}, "start": null})), Some(300));
        assert_eq!(of(json!({"train": train, "fine_tune": {"alone": true}})), None);
        assert_eq!(of(json!({"train": train, "start": {"train": false}})), None);
        assert_eq!(of(json!({"batch": 3})), None);
    }

    #[test]
    fn a_training_that_begins_with_trained_weights_is_a_design_of_its_own() {
        let of = |start: serde_json::Value, seed: u64| {
            design_of(&Node::from_json(&json!({"seed": seed, "task": {"start": start}})))
        };
        let start = |sum: &str, train: bool| json!({"run": sum, "sha256": sum, "train": train});
        assert_eq!(of(start("a", true), 1), of(start("b", true), 2));
        assert_eq!(of(start("a", false), 1), of(json!(null), 1));
        assert_ne!(of(start("a", true), 1), of(json!(null), 1));
    }
}

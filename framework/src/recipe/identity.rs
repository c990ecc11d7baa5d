//! The identity of a run: the hash of its resolved recipe, without the keys that cannot change a result.

use maclip_language::{Node, identity};

/// Keys that cannot change a result, left out of a run's identity.
const NO_RESULT: [&str; 15] = [
    "name",
    "description",
    "device",
    "compute",
    "clip_store.use",
    "clip_store.folder",
    "clip_store.limit_gb",
    "expect",
    "task.train.checkpoint_every_steps",
    "task.train.keep_checkpoints",
    "task.validation.examples",
    "task.validation.list.path",
    "task.test.examples",
    "task.test.list.path",
    "task.start.run",
];

/// Keys that older versions did not have, each with a field and the value that means the behaviour of those versions. A
/// key with this value is left out of the identity, so that older runs keep theirs. A value that is no text is written
/// as JSON has it: `null` stands for a missing one.
const LATER: [(&str, &str, &str); 13] = [
    ("resize", "type", "none"),
    ("clip_store", "format", "raw"),
    ("adapter.parts", "", "all"),
    ("dataset.decoder", "", "ffmpeg"),
    ("dataset.pattern", "", "null"),
    ("dataset.allow_shared", "", "false"),
    ("task.start", "", "null"),
    ("objective.text_prediction", "", "averaged_embedding"),
    ("backbone.key", "", "null"),
    ("backbone.epsilon", "", "null"),
    ("backbone.pixels", "", "null"),
    ("backbone.preparation", "", "checkpoint"),
    ("backbone.text_activation", "", "null"),
];

/// The identity of a run with this resolved recipe.
pub(super) fn hash_of(resolved: &Node) -> String {
    let as_before = |(key, field, value): &(&'static str, &str, &str)| {
        let found = resolved.at(key).and_then(|node| node.at(field))?;
        let text = found.as_str().map_or_else(|| found.to_json().to_string(), str::to_owned);
        (text == *value).then_some(*key)
    };
    let ignored: Vec<&str> = NO_RESULT.into_iter().chain(LATER.iter().filter_map(as_before)).collect();
    identity(resolved, &ignored)
}

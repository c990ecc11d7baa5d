//! The identity of a run: the hash of its resolved recipe, without the keys that cannot change a result.

use maclip_language::{Node, identity};

/// Keys that cannot change a result, left out of a run's identity.
const NO_RESULT: [&str; 14] = [
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
];

/// Keys that older versions did not have, each with a field and the value that means the behaviour of those versions. A
/// key with this value is left out of the identity, so that older runs keep theirs.
const LATER: [(&str, &str, &str); 4] = [
    ("resize", "type", "none"),
    ("clip_store", "format", "raw"),
    ("adapter.parts", "", "all"),
    ("dataset.decoder", "", "ffmpeg"),
];

/// The identity of a run with this resolved recipe.
pub(super) fn hash_of(resolved: &Node) -> String {
    let as_before = |(key, field, value): &(&'static str, &str, &str)| {
        let found = resolved.at(key).and_then(|node| node.at(field)).and_then(Node::as_str);
        (found == Some(*value)).then_some(*key)
    };
    let ignored: Vec<&str> = NO_RESULT.into_iter().chain(LATER.iter().filter_map(as_before)).collect();
    identity(resolved, &ignored)
}

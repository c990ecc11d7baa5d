//! Whether a change of the command line has an effect in a run.

use maclip_language::{Change, Node, Origin, Value, join, segments, within};

/// Whether `tree`, the recipe of one run, has the values of `change`: every value that it gives is still there, or the
/// key that it removes is absent. `all` are the changes of the same command line. A change of the study itself always
/// counts as effective, because a run's tree has no study.
pub(super) fn reaches(change: &Change, tree: &Node, all: &[Change]) -> bool {
    if segments(&change.path).next() == Some("study") {
        return true;
    }
    let Some(value) = &change.value else {
        // The same command line may give a new value to what it removes.
        let given = |other: &Change| other.value.is_some() && within(&other.path, &change.path);
        return tree.at(&change.path).is_none() || all.iter().any(given);
    };
    let written = |node: &Node| match (&node.origin, &change.origin) {
        (Origin::Argument { option, argument, .. }, Origin::Argument { option: wanted, argument: given, .. }) => {
            option == wanted && argument == given
        }
        _ => false,
    };
    if change.path.contains("[+]") {
        // An appended item has no index to look at.
        return tree.any_origin(&|origin| written(&Node::new(Value::Null, origin.clone())));
    }
    let mut leaves = Vec::new();
    collect_leaves(value, &change.path, &mut leaves);
    // A value that another argument of the same command line gives was not changed by the study.
    let again = |path: &str| {
        let gives = |other: &Change| {
            let below = path.strip_prefix(&other.path).map(|rest| rest.trim_start_matches(['.', '[']));
            below.is_some_and(|rest| other.value.as_ref().is_some_and(|value| value.at(rest).is_some()))
        };
        all.iter().any(|other| other.path != change.path && within(path, &other.path) && gives(other))
    };
    leaves.iter().all(|path| again(path) || tree.at(path).is_some_and(written))
}

/// Paths of the scalars, lists and empty maps in `node`, which is at `path`.
fn collect_leaves(node: &Node, path: &str, found: &mut Vec<String>) {
    match node.as_map().filter(|map| !map.is_empty()) {
        Some(map) => map.iter().for_each(|entry| collect_leaves(&entry.value, &join(path, &entry.key), found)),
        None => found.push(path.to_owned()),
    }
}

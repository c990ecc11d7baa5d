//! Whether what the command line changes holds in a run.

use maclip_language::{Change, Node, Origin, Value, join, segments, within};

/// Whether `change` holds in `tree`, the recipe of one run: every value that it gives is still there, or what it takes out is not.
/// Changes of the study itself are not in a run's tree.
pub(super) fn reaches(change: &Change, tree: &Node, all: &[Change]) -> bool {
    if segments(&change.path).next() == Some("study") {
        return true;
    }
    let Some(value) = &change.value else {
        // What the same command line gives anew was meant to be there.
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
    // What another argument of the same command line gives there is no study's doing.
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

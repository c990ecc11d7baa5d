//! Laying one tree over another.

use super::codes;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::node::{Map, Node, Value, join, segments};
use super::origin::Origin;

/// Lays `over` onto `base`: maps merge key by key, anything else replaces. A map whose `type` changes replaces too,
/// because the options of the old type mean nothing to the new one.
pub fn merge(base: &mut Node, over: Node) {
    let keeps_type = |base: &Map, over: &Map| match (base.get("type"), over.get("type")) {
        (Some(base), Some(over)) => base == over,
        _ => true,
    };
    match (&mut base.value, over.value) {
        (Value::Map(base_map), Value::Map(over_map)) if keeps_type(base_map, &over_map) => {
            // The user sees the file that says it last.
            base.origin = over.origin;
            for entry in over_map {
                match base_map.get_mut(&entry.key) {
                    Some(value) => merge(value, entry.value),
                    None => drop(base_map.insert(entry.key, entry.key_origin, entry.value)),
                }
            }
        }
        (_, value) => *base = Node::new(value, over.origin),
    }
}

/// Lays `value` onto what is at the dotted `path`, making the maps that lead there. Changing a `type` drops the other
/// keys beside it, as in [`merge`].
pub fn apply(root: &mut Node, path: &str, value: Node) -> Result<(), Diagnostic> {
    let problem = |message: String| Diagnostic::new(codes::STRUCTURE, message).at(&value.origin).path(path);
    let keys: Vec<&str> = segments(path).collect();
    if keys.iter().any(|key| key.is_empty()) {
        return Err(problem(format!("`{path}` has an empty key between its dots")));
    }
    if keys.len() + value.depth() > super::MAX_DEPTH {
        return Err(problem(format!("`{path}` would nest deeper than {} levels", super::MAX_DEPTH)));
    }
    let mut node = &mut *root;
    let mut at = String::new();
    for (index, key) in keys.iter().enumerate() {
        if node.is_null() {
            *node = Node::map(value.origin.clone());
        }
        let found = node.describe();
        let outside = join(&at, key);
        node = match &mut node.value {
            Value::Map(map) => {
                let last = index + 1 == keys.len();
                if last && *key == "type" && map.get("type").is_some_and(|old| *old != value) {
                    *map = Map::default();
                }
                if !map.contains_key(key) {
                    map.insert(*key, value.origin.clone(), Node::new(Value::Null, value.origin.clone()));
                }
                map.get_mut(key).expect("the key was inserted when it was absent")
            }
            Value::List(list) => {
                let length = list.len();
                key.parse::<usize>().ok().and_then(|index| list.get_mut(index)).ok_or_else(|| {
                    problem(format!("`{outside}` does not exist: `{at}` is a list of {length}"))
                        .help("an index counts from 0; to change the length, give the whole list")
                })?
            }
            _ => {
                return Err(problem(format!("cannot set `{outside}`: `{at}` is {found}, not a map"))
                    .help(format!("give `{at}` as a whole")));
            }
        };
        at = outside;
    }
    merge(node, value);
    Ok(())
}

/// Applies a variant: a map whose keys are dotted paths (`adapter.type: none`) or plain keys with maps below them. The
/// order of its keys does not matter.
pub fn apply_variant(root: &mut Node, variant: &Node) -> Result<(), Diagnostics> {
    if variant.is_null() {
        return Ok(());
    }
    let Some(map) = variant.as_map() else {
        let message = format!("expected a map of paths to values, found {}", variant.describe());
        return Err(Diagnostic::new(codes::WRONG_TYPE, message).at(&variant.origin).into());
    };
    let changes = map.iter().map(|entry| (entry.key.clone(), entry.key_origin.clone(), entry.value.clone()));
    apply_all(root, changes.collect())
}

/// Applies changes, those that could undo others first: the outer before the inner, a `type` before its siblings.
pub(super) fn apply_all(root: &mut Node, mut changes: Vec<(String, Origin, Node)>) -> Result<(), Diagnostics> {
    changes.sort_by_key(|(path, ..)| (segments(path).count(), path != "type" && !path.ends_with(".type")));
    let apply = |(path, origin, value): (String, Origin, Node)| {
        apply(root, &path, value).map_err(|diagnostic| diagnostic.at(&origin)).err()
    };
    Diagnostics::check(changes.into_iter().filter_map(apply).collect())
}

//! Merging trees, and changes of single places.

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::node::{Map, Node, Value, child_path, segments};
use crate::origin::Origin;
use crate::vocabulary::shared;

/// Merges `over` into `base`; both are at the dotted `path` of the recipe. Maps merge key by key. Everything else,
/// lists included, is replaced by the value of `over`. Where the `type` of a map changes, the options stay that both
/// components have ([`crate::Vocabulary`]); a note lists those that are dropped.
pub fn merge(base: &mut Node, over: Node, path: &str, notes: &mut Vec<Diagnostic>) {
    match (&mut base.value, over.value) {
        (Value::Map(base_map), Value::Map(over_map)) if keeps_type(base_map, &over_map) => {
            // Messages point at the file that gave the value last.
            base.origin = over.origin;
            for entry in over_map {
                match base_map.get_mut(&entry.key) {
                    Some(value) => merge(value, entry.value, &crate::node::join(path, &entry.key), notes),
                    None => drop(base_map.insert(entry.key, entry.key_origin, entry.value)),
                }
            }
        }
        (Value::Map(old), Value::Map(new)) => {
            if let Some(kind) = new.get("type") {
                notes.extend(become_another(old, kind, path));
            }
            // From here on both have one type.
            merge(base, Node::new(Value::Map(new), over.origin), path, notes);
        }
        (_, value) => *base = Node::new(value, over.origin),
    }
}

fn keeps_type(base: &Map, over: &Map) -> bool {
    match (base.get("type"), over.get("type")) {
        (Some(base), Some(over)) => base == over,
        _ => true,
    }
}

/// Makes the component `map` at `path` one of the type `kind`: options that it does not have are dropped, and the note
/// says which.
fn become_another(map: &mut Map, kind: &Node, path: &str) -> Option<Diagnostic> {
    let before = map.get("type").and_then(Node::as_str).map(str::to_owned);
    let key = segments(path).filter(|key| key.parse::<usize>().is_err()).last().unwrap_or_default();
    let shared = match (&before, kind.as_str()) {
        (Some(before), Some(after)) => shared(key, before, after),
        _ => Vec::new(),
    };
    let options: Vec<String> = map.keys().filter(|key| *key != "type").map(str::to_owned).collect();
    let (kept, dropped): (Vec<_>, Vec<_>) = options.into_iter().partition(|key| shared.contains(key));
    dropped.iter().for_each(|key| drop(map.remove(key)));
    map.insert("type", kind.origin.clone(), kind.clone());
    let before = before.filter(|_| !dropped.is_empty())?;
    let kept = if kept.is_empty() { String::new() } else { format!("; it keeps {}", kept.join(", ")) };
    let dropped = dropped.join(", ");
    let message = format!("`{before}` becomes {}, which has no option {dropped}: dropped{kept}", kind.brief());
    Some(Diagnostic::note(codes::DROPPED, message).at(&kind.origin).path(crate::node::join(path, "type")))
}

/// One change of a recipe.
#[derive(Clone, Debug)]
pub struct Change {
    /// Where, dotted: `alignment.lambda`, `optimizer.groups[0].rate`, `optimizer.groups[+]`.
    pub path: String,
    /// Where the path was written.
    pub origin: Origin,
    /// The new value; `None` removes the key, so that it has its default again.
    pub value: Option<Node>,
}

/// Applies `change`. Maps that lead to its place are made where they are missing. A changed `type` drops keys beside
/// it, as in [`merge`].
fn apply(root: &mut Node, change: &Change, notes: &mut Vec<Diagnostic>) -> Result<(), Diagnostic> {
    let Change { path, origin, value } = change;
    let problem = |code, message: String| Diagnostic::new(code, message).at(origin).path(path);
    let depth = value.as_ref().map_or(0, Node::depth);
    let keys: Vec<&str> = segments(path).collect();
    if keys.iter().any(|key| key.is_empty()) {
        return Err(problem(codes::ARGUMENT, format!("`{path}` has an empty key between its dots")));
    }
    if keys.len() + depth > crate::MAX_DEPTH {
        let message = format!("`{path}` would nest deeper than {} levels", crate::MAX_DEPTH);
        return Err(problem(codes::ARGUMENT, message));
    }
    let Some(value) = value else { return unset(root, change) };
    let mut node = &mut *root;
    let mut at = String::new();
    let mut steps = Steps::new(path);
    while let Some(step) = steps.next(node, &at) {
        let Step { key, bracket, last } = &step;
        if node.is_null() && *bracket && key == "+" {
            *node = Node::new(Value::List(Vec::new()), value.origin.clone());
        } else if node.is_null() && *bracket {
            return Err(problem(codes::ARGUMENT, format!("cannot set `{path}`: there is no list at `{at}`"))
                .help(format!("`{at}[+]` begins one; or give the whole list")));
        } else if node.is_null() {
            *node = Node::map(value.origin.clone());
        }
        let found = node.describe();
        let outside = child_path(node, &at, key);
        node = match &mut node.value {
            Value::Map(_) if *bracket => {
                return Err(problem(codes::ARGUMENT, format!("cannot set `{path}`: `{at}` is a map, not a list"))
                    .help(format!("a key of a map follows a dot: `{at}.key`")));
            }
            Value::Map(map) => {
                if *last && key == "type" && map.get("type").is_some_and(|old| old != value) {
                    notes.extend(become_another(map, value, &at));
                }
                map.key_mut(key, origin, *last)
            }
            Value::List(list) => {
                let length = list.len();
                if key == "+" {
                    list.push(Node::new(Value::Null, value.origin.clone()));
                }
                let index = if key == "+" { Some(length) } else { key.parse::<usize>().ok() };
                index.and_then(|index| list.get_mut(index)).ok_or_else(|| {
                    problem(codes::ARGUMENT, format!("`{outside}` does not exist: `{at}` is a list of {length}"))
                        .help(format!("an index counts from 0; `{at}[+]` adds an item; or give the whole list"))
                })?
            }
            _ => {
                return Err(problem(codes::ARGUMENT, format!("cannot set `{outside}`: `{at}` is {found}, not a map"))
                    .help(format!("give `{at}` as a whole")));
            }
        };
        at = outside;
    }
    merge(node, value.clone(), path, notes);
    Ok(())
}

/// One step of a path into a tree.
struct Step {
    key: String,
    /// Whether it was written in brackets. Then it is an index of a list and never a key.
    bracket: bool,
    last: bool,
}

/// The steps of a path. The keys of a map may hold dots themselves: those of variants (`task.shot: 5`), axes and
/// parameter groups do. So each step takes the longest key that the map has. A new axis takes all that follows
/// `study.axes` as one key.
struct Steps<'a> {
    keys: Vec<&'a str>,
    brackets: Vec<bool>,
    next: usize,
}

impl<'a> Steps<'a> {
    fn new(path: &'a str) -> Self {
        Self { keys: segments(path).collect(), brackets: crate::node::bracketed(path), next: 0 }
    }

    /// The next step from `node`, which is at the path `at`; `None` at the end.
    fn next(&mut self, node: &Node, at: &str) -> Option<Step> {
        let start = self.next;
        if start >= self.keys.len() {
            return None;
        }
        // A key ends before a bracket.
        let most = (start + 1..self.keys.len()).find(|&end| self.brackets[end]).unwrap_or(self.keys.len());
        let joined = |end: usize| self.keys[start..end].join(".");
        let there = |end: &usize| node.as_map().is_some_and(|map| map.contains_key(&joined(*end)));
        let whole = at == "study.axes" && !self.brackets[start];
        let end = (start + 1..=most).rev().find(there).unwrap_or(if whole { most } else { start + 1 });
        self.next = end;
        Some(Step { key: joined(end), bracket: self.brackets[start], last: end == self.keys.len() })
    }
}

/// Removes the value at the path of `change` from its map or list.
fn unset(root: &mut Node, change: &Change) -> Result<(), Diagnostic> {
    let path = &change.path;
    let problem =
        || Diagnostic::new(codes::NO_EFFECT, format!("there is no `{path}` to unset")).at(&change.origin).path(path);
    let mut node = root;
    let mut at = String::new();
    let mut steps = Steps::new(path);
    while let Some(step) = steps.next(node, &at) {
        let names = crate::suggest::name_help(&step.key, node.as_map().into_iter().flat_map(Map::keys));
        at = child_path(node, &at, &step.key);
        if step.last {
            let taken = match &mut node.value {
                Value::Map(map) => map.remove(&step.key),
                Value::List(list) => match step.key.parse::<usize>() {
                    Ok(index) if index < list.len() => Some(list.remove(index)),
                    _ => None,
                },
                _ => None,
            };
            return taken.map(drop).ok_or_else(|| problem().helps(names));
        }
        node = node.child_mut(&step.key).ok_or_else(|| problem().helps(names))?;
    }
    Err(problem())
}

/// Applies a variant: a map whose keys are dotted paths (`adapter.type: none`) or plain keys with maps below them. The
/// order of its keys does not matter. Notes about dropped options are added to `notes`.
///
/// # Errors
/// Where the variant is not a map or gives a value twice, and as [`apply_all`].
pub fn apply_variant(root: &mut Node, variant: &Node, notes: &mut Vec<Diagnostic>) -> Result<(), Diagnostics> {
    if variant.is_null() {
        return Ok(());
    }
    let Some(map) = variant.as_map() else {
        let message = format!("expected a map of paths to values, found {}", variant.describe());
        return Err(Diagnostic::new(codes::WRONG_TYPE, message).at(&variant.origin).into());
    };
    let twice = map.iter().filter(|entry| given_twice(map, &entry.key)).map(|entry| {
        let message = format!("`{}` is given twice, with dots and in a map", entry.key);
        Diagnostic::new(codes::ARGUMENT, message).at(&entry.key_origin).path(&entry.key)
    });
    Diagnostics::check(twice.collect())?;
    let change = |entry: &crate::node::Entry| Change {
        path: entry.key.clone(),
        origin: entry.key_origin.clone(),
        value: Some(entry.value.clone()),
    };
    apply_all(root, map.iter().map(change).collect(), notes)
}

/// Whether the dotted `key` of `map` leads to a value that another key gives too.
fn given_twice(map: &Map, key: &str) -> bool {
    let dots = key.match_indices('.').map(|(at, _)| at);
    dots.into_iter().any(|at| map.get(&key[..at]).is_some_and(|node| node.at(&key[at + 1..]).is_some()))
}

/// Applies `changes`, first those that could undo others: removals before new values, outer places before inner ones, a
/// `type` before the keys beside it. Notes about dropped options are added to `notes`.
///
/// # Errors
/// Every change that cannot be made: an empty key in its path, a path through a scalar or past the end of a list, a
/// place to unset that does not exist, or a tree that would become too deep. The other changes have been made then.
pub fn apply_all(root: &mut Node, mut changes: Vec<Change>, notes: &mut Vec<Diagnostic>) -> Result<(), Diagnostics> {
    changes.sort_by_key(|change| {
        let path = change.path.as_str();
        // The last item of a list is removed first, because the others would move.
        let index =
            segments(path).last().and_then(|last| last.parse::<usize>().ok()).filter(|_| change.value.is_none());
        let from_behind = std::cmp::Reverse(index.unwrap_or(0));
        (change.value.is_some(), segments(path).count(), path != "type" && !path.ends_with(".type"), from_behind)
    });
    let problems = changes.iter().filter_map(|change| apply(root, change, notes).err()).collect();
    Diagnostics::check(problems)
}

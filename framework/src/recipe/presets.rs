//! Presets: named sets of changes that a recipe brings along. `preset: NAME` lays one over every run, after its variant and axes
//! and below what the command line says. `embedded` scales a benchmark down to what is in the program.

use crate::recipe::changes::reaches;
use maclip_language::{
    Change, Diagnostic, Diagnostics, Map, Node, Value, apply_all, apply_variant, codes, join, name_help,
};
use std::collections::BTreeMap;

/// The value of `presets:`: names, and for each its changes as a variant has them. With `skip: REASON` the preset leaves the run out.
pub type Presets = BTreeMap<String, BTreeMap<String, serde_json::Value>>;

/// What a preset cannot change: what is the whole study's, and what is done with before it.
pub const FIXED: [&str; 6] = ["name", "seed", "study", "extends", "preset", "presets"];

/// Takes `preset` and `presets` out of `tree`, the recipe of one run, and lays the chosen one over it. What `changes`, the command
/// line's, say of what the preset gives holds afterwards, and so do those of which `hold` says that they held before; `hold` then
/// tells of all. Returns why the preset leaves the run out, where it does; the tree is then as without it.
pub fn lay(
    tree: &mut Node,
    changes: &[Change],
    hold: &mut [bool],
    notes: &mut Vec<Diagnostic>,
) -> Result<Option<String>, Diagnostics> {
    let Some(map) = tree.as_map_mut() else { return Ok(None) };
    let (chosen, presets) = (map.remove("preset"), map.remove("presets"));
    let Some(chosen) = chosen.filter(|chosen| !chosen.is_null()) else { return Ok(None) };
    let Some(preset) = find(&chosen, presets.as_ref())? else { return Ok(None) };
    if let Some(reason) = preset.at("skip") {
        if let Some(reason) = reason.as_str().filter(|reason| !reason.trim().is_empty()) {
            return Ok(Some(reason.to_owned()));
        }
        let message = format!("`skip` is the reason why the run is left out, not {}", reason.describe());
        let path = format!("presets.{}.skip", chosen.as_str().unwrap_or_default());
        return Err(Diagnostic::new(codes::WRONG_TYPE, message).at(&reason.origin).path(path).into());
    }
    let before = tree.clone();
    apply_variant(tree, preset, notes)?;
    let mut again = Vec::new();
    for (change, holds) in changes.iter().zip(hold).filter(|(change, _)| !of_presets(change)) {
        let [was, is] = [&before, &*tree].map(|tree| tree.at(&change.path).map(|node| &node.origin));
        let lost = *holds && !reaches(change, tree, changes);
        // What is not there cannot be taken out.
        if (was != is || lost) && (change.value.is_some() || is.is_some()) {
            *holds = true;
            again.push(change.clone());
        }
    }
    apply_all(tree, again, notes)?;
    Ok(None)
}

/// Whether `change` is of the presets themselves, which no run's recipe has.
fn of_presets(change: &Change) -> bool {
    matches!(maclip_language::segments(&change.path).next(), Some("preset" | "presets" | "study"))
}

/// The preset that `chosen` names, whose keys are its own to change.
fn find<'a>(chosen: &Node, presets: Option<&'a Node>) -> Result<Option<&'a Node>, Diagnostics> {
    let wrong = |node: &Node, path: &str, wanted: &str| -> Diagnostics {
        let message = format!("expected {wanted}, found {}", node.describe());
        Diagnostic::new(codes::WRONG_TYPE, message).at(&node.origin).path(path).into()
    };
    let Some(name) = chosen.as_str() else { return Err(wrong(chosen, "preset", "the name of a preset")) };
    let known = match presets.map(|presets| (presets, &presets.value)) {
        Some((_, Value::Map(map))) => map,
        None | Some((_, Value::Null)) => &Map::default(),
        Some((other, _)) => return Err(wrong(other, "presets", "a map from names to changes")),
    };
    let place = join("presets", name);
    let Some(entry) = presets.and_then(Node::as_map).and_then(|map| map.entry(name)) else {
        let problem = Diagnostic::new(codes::UNKNOWN_NAME, format!("there is no preset `{name}`"));
        let problem = problem.at(&chosen.origin).path("preset");
        return Err(match known.is_empty() {
            true => problem.help("the recipe has no `presets`; leave `preset` out").into(),
            false => problem.helps(name_help(name, known.keys())).into(),
        });
    };
    let changes = match &entry.value.value {
        Value::Null => return Ok(None),
        Value::Map(changes) => changes,
        _ => return Err(wrong(&entry.value, &place, "a map of paths to values")),
    };
    let fixed = changes.iter().filter(|change| FIXED.contains(&change.key.as_str())).map(|change| {
        Diagnostic::new(codes::STUDY, format!("a preset cannot change `{}`", change.key))
            .at(&change.key_origin)
            .path(join(&place, &change.key))
            .help("take it out, or make a recipe of its own that extends this one")
    });
    Diagnostics::check(fixed.collect())?;
    Ok(Some(&entry.value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use maclip_language::{Arguments, Document, load_text};

    const TEXT: &str = "dataset: {type: kinetics100, root: clips}\ntask: {shot: 5, train: {steps: 5000}}\npresets:\n  \
        small: {dataset: {type: shapes}, task: {train: {steps: 10}}}\n  \
        none: {skip: \"no weights\", task.shot: 1}\n  empty:\n";

    fn laid(sets: &[&str]) -> (Node, Result<Option<String>, Diagnostics>) {
        let arguments = Arguments { sets: sets.iter().map(|set| (*set).to_owned()).collect(), ..Arguments::default() };
        let Document { mut root, changes, .. } = load_text("recipe.yaml", TEXT, &arguments).unwrap();
        let mut hold: Vec<bool> = changes.iter().map(|change| reaches(change, &root, &changes)).collect();
        let outcome = lay(&mut root, &changes, &mut hold, &mut Vec::new());
        (root, outcome)
    }

    fn tree(sets: &[&str]) -> serde_json::Value {
        let (root, outcome) = laid(sets);
        assert_eq!(outcome.unwrap(), None, "{sets:?}");
        root.to_json()
    }

    #[test]
    fn a_preset_lies_over_the_recipe_and_below_the_command_line() {
        let plain = serde_json::json!({"dataset": {"type": "kinetics100", "root": "clips"},
                                       "task": {"shot": 5, "train": {"steps": 5000}}});
        assert_eq!(tree(&[]), plain);
        assert_eq!(tree(&["preset=empty"]), plain);
        let small = tree(&["preset=small"]);
        assert_eq!(small["dataset"], serde_json::json!({"type": "shapes"}), "options of the other component go");
        assert_eq!((&small["task"]["shot"], &small["task"]["train"]["steps"]), (&5.into(), &10.into()));
        let own = tree(&["preset=small", "task.train.steps=7", "dataset.clips=3"]);
        assert_eq!((&own["task"]["train"]["steps"], &own["dataset"]["clips"]), (&7.into(), &3.into()));
        assert_eq!(tree(&["preset=small", "presets.small.task.train.steps=8"])["task"]["train"]["steps"], 8);
    }

    #[test]
    fn a_preset_can_leave_a_run_out_which_is_then_as_without_it() {
        let (root, outcome) = laid(&["preset=none"]);
        assert_eq!(outcome.unwrap().as_deref(), Some("no weights"));
        assert_eq!(root.at("task.shot").unwrap().to_json(), 5);
    }

    #[test]
    fn what_is_wrong_with_a_preset_is_told_at_its_place() {
        let problem = |sets: &[&str]| laid(sets).1.unwrap_err().render(false);
        let unknown = problem(&["preset=smal"]);
        assert!(unknown.contains("did you mean `small`?") && unknown.contains("small, none, empty"), "{unknown}");
        for (sets, words) in [
            (["preset=3", "seed=1"], "the name of a preset"),
            (["preset=small", "presets.small=3"], "a map of paths to values"),
            (["preset=small", "presets=3"], "a map from names to changes"),
            (["preset=small", "presets.small.name=other"], "cannot change `name`"),
            (["preset=none", "presets.none.skip=true"], "the reason why"),
        ] {
            assert!(problem(&sets).contains(words), "{sets:?}: {}", problem(&sets));
        }
    }
}

//! Presets: named sets of changes in a recipe. `preset: NAME` applies one of them to every run, after its variant and
//! axes, and before the changes of the command line. In the shipped recipes the preset `embedded` replaces the data and
//! the backbone by the small ones that are in the program.

use crate::recipe::changes::reaches;
use maclip_language::{
    Change, Diagnostic, Diagnostics, Map, Node, Value, apply_all, apply_variant, codes, join, name_help,
};
use std::collections::BTreeMap;

/// The value of `presets:`: for each name its changes, written as those of a variant. With `skip: REASON` the preset
/// leaves the run out.
pub(super) type Presets = BTreeMap<String, BTreeMap<String, serde_json::Value>>;

/// Keys that a preset cannot change. They belong to the whole study, or have been used before the preset is applied.
pub(super) const FIXED: [&str; 6] = ["name", "seed", "study", "extends", "preset", "presets"];

/// Removes the keys `preset` and `presets` from `tree`, the recipe of one run, and applies the chosen preset to it.
///
/// The command line counts more than the preset. So those of its `changes` that the preset overrides are applied again.
/// `hold` has one entry for each of `changes`: before the call, whether `tree` has the value of the change (see
/// [`reaches`]); after the call, whether the result has it.
///
/// Returns the preset's reason if it leaves the run out. Then no change is made, except that the two keys are removed.
///
/// # Errors
/// Where there is no such preset, or it is malformed, changes a key of [`FIXED`], or cannot be applied.
pub(super) fn apply(
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
        // A key that does not exist cannot be removed.
        if (was != is || lost) && (change.value.is_some() || is.is_some()) {
            *holds = true;
            again.push(change.clone());
        }
    }
    apply_all(tree, again, notes)?;
    Ok(None)
}

/// Whether `change` is about the keys `preset`, `presets` or `study`, which the recipe of a run no longer has.
fn of_presets(change: &Change) -> bool {
    matches!(maclip_language::segments(&change.path).next(), Some("preset" | "presets" | "study"))
}

/// The changes of the preset that `chosen` names; `None` where it has none.
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

    fn applied(sets: &[&str]) -> (Node, Result<Option<String>, Diagnostics>) {
        let arguments = Arguments { sets: sets.iter().map(|set| (*set).to_owned()).collect(), ..Arguments::default() };
        let Document { mut root, changes, .. } = load_text("recipe.yaml", TEXT, &arguments).unwrap();
        let mut hold: Vec<bool> = changes.iter().map(|change| reaches(change, &root, &changes)).collect();
        let outcome = apply(&mut root, &changes, &mut hold, &mut Vec::new());
        (root, outcome)
    }

    fn tree(sets: &[&str]) -> serde_json::Value {
        let (root, outcome) = applied(sets);
        assert_eq!(outcome.unwrap(), None, "{sets:?}");
        root.to_json()
    }

    #[test]
    fn a_preset_counts_more_than_the_recipe_and_less_than_the_command_line() {
        let plain = serde_json::json!({"dataset": {"type": "kinetics100", "root": "clips"},
                                       "task": {"shot": 5, "train": {"steps": 5000}}});
        assert_eq!(tree(&[]), plain);
        assert_eq!(tree(&["preset=empty"]), plain);
        let small = tree(&["preset=small"]);
        assert_eq!(small["dataset"], serde_json::json!({"type": "shapes"}), "options of the old component are dropped");
        assert_eq!((&small["task"]["shot"], &small["task"]["train"]["steps"]), (&5.into(), &10.into()));
        let own = tree(&["preset=small", "task.train.steps=7", "dataset.clips=3"]);
        assert_eq!((&own["task"]["train"]["steps"], &own["dataset"]["clips"]), (&7.into(), &3.into()));
        assert_eq!(tree(&["preset=small", "presets.small.task.train.steps=8"])["task"]["train"]["steps"], 8);
    }

    #[test]
    fn a_preset_can_leave_a_run_out_and_then_changes_nothing() {
        let (root, outcome) = applied(&["preset=none"]);
        assert_eq!(outcome.unwrap().as_deref(), Some("no weights"));
        assert_eq!(root.at("task.shot").unwrap().to_json(), 5);
    }

    #[test]
    fn what_is_wrong_with_a_preset_is_reported_at_its_place() {
        let problem = |sets: &[&str]| applied(sets).1.unwrap_err().render(false);
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

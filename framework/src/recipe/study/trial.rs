//! Trials: runs that the command line makes others than the recipe's own. A trial has a name of its own, so that it
//! never stands for the real thing, and no result of the recipe is expected of it.

use super::design::{apart, as_name, label};
use super::{Expansion, StudyRun, runs_of};
use crate::recipe::LONGEST_NAME;
use crate::recipe::Purpose;
use crate::recipe::identity::changes_results;
use maclip_language::{Change, Diagnostics, Document, Node, Origin, apply_all, identity, segments, within};
use std::collections::{BTreeMap, HashMap};

/// Changes that choose among the runs of a recipe and make no other run of any of them: a preset is a part of the
/// recipe, and the seed is in the name of every run.
const CHOOSE: [&str; 3] = ["preset", "seed", "study.seeds"];

/// Names with more letters than this are cut. What is cut off is a checksum then.
const LONGEST: usize = 90;
/// So many letters there are always, after a name of any length.
const SHORTEST: usize = 12;

/// Names the runs of `expansion` that the changes of `document` make others than the recipe's own, and takes the
/// results that the recipe expects from them. A command line that names the recipe (`--set name=mine`) gives the runs a
/// folder of their own, so their names stay.
pub(super) fn name(document: &Document, expansion: &mut Expansion) {
    let Some(own) = Own::of(document) else { return };
    let given = |path: &str| document.changes.iter().any(|change| within(&change.path, path));
    let skipped = expansion.skipped.iter_mut().map(|skipped| &mut skipped.run);
    let mut changed = false;
    for run in expansion.runs.iter_mut().chain(skipped).filter(|run| own.differs(run)) {
        changed = true;
        if !given("name") {
            let ending = suffix(&run.design, &own.changes);
            run.variant = format!("{}{ending}", run.design);
            run.recipe.extend_label(&ending);
        }
        let of_variant = format!("study.variants.{}.expect", first(&run.design));
        if !given("expect") && !given(&of_variant) {
            run.recipe.expect.clear();
            let none = Node::from_json(&serde_json::json!([]));
            run.recipe.resolved.as_map_mut().map(|map| map.insert("expect", Origin::Default, none));
        }
    }
    if changed && !given("study.order") {
        expansion.order.clear();
    }
}

/// The recipe as it is without the command line.
struct Own<'a> {
    /// Identity of each run, by design and seed.
    hashes: HashMap<(String, u64), String>,
    /// The changes that could make another run.
    changes: Vec<&'a Change>,
}

impl<'a> Own<'a> {
    /// `None` where no run is the recipe's own: it cannot run without some of the changes, or they make no difference.
    fn of(document: &'a Document) -> Option<Self> {
        let chooses = |change: &Change| CHOOSE.iter().any(|path| within(&change.path, path));
        let (mut kept, mut changes): (Vec<&Change>, Vec<&Change>) =
            document.changes.iter().partition(|change| chooses(change));
        changes.retain(|change| changes_results(&change.path) && !same(&document.unchanged, change));
        if changes.is_empty() {
            return None;
        }
        let expansion = runs_without(document, &kept).or_else(|problems| {
            // What the recipe needs and does not have itself, such as the place of the data.
            let places: Vec<&str> =
                problems.iter().map(|problem| problem.path.as_str()).filter(|path| !path.is_empty()).collect();
            let needed =
                |change: &&Change| places.iter().any(|at| within(at, &change.path) || within(&change.path, at));
            let (needed, rest): (Vec<&Change>, Vec<&Change>) = changes.iter().copied().partition(needed);
            kept.extend(needed);
            changes = rest;
            runs_without(document, &kept)
        });
        let skipped = |expansion: Expansion| expansion.skipped.into_iter().map(|skipped| skipped.run);
        let runs = expansion.ok().map(|mut expansion| {
            let runs = std::mem::take(&mut expansion.runs);
            runs.into_iter().chain(skipped(expansion)).collect::<Vec<_>>()
        })?;
        let hashes = runs.into_iter().map(|run| ((run.design, run.recipe.seed), run.recipe.hash)).collect();
        Some(Self { hashes, changes })
    }

    /// Whether the recipe has a run of the design and seed of `run`, and that is another run.
    fn differs(&self, run: &StudyRun) -> bool {
        let own = self.hashes.get(&(run.design.clone(), run.recipe.seed));
        own.is_some_and(|hash| *hash != run.recipe.hash)
    }
}

/// The runs of `document` with the changes `kept` alone.
fn runs_without(document: &Document, kept: &[&Change]) -> Result<Expansion, Diagnostics> {
    let changes: Vec<Change> = kept.iter().map(|change| (*change).clone()).collect();
    let mut root = document.unchanged.clone();
    apply_all(&mut root, changes.clone(), &mut Vec::new())?;
    let own = Document { root, changes, notes: Vec::new(), ..document.clone() };
    runs_of(&own, Purpose::Plan)
}

/// Whether `change` gives a value that is in the recipe `root` already.
fn same(root: &Node, change: &Change) -> bool {
    root.at(&change.path).map(Node::to_json) == change.value.as_ref().map(Node::to_json)
}

/// `+adapter=lora+rank=4`: the changes as a part of the name of a run of `design`.
fn suffix(design: &str, changes: &[&Change]) -> String {
    // Of a change of one variant, only this one is called after it.
    let of_design = |change: &&&Change| match change.path.strip_prefix("study.") {
        Some(rest) => rest.strip_prefix("variants.").is_some_and(|path| within(path, first(design))),
        None => true,
    };
    let named: Vec<&Change> = changes.iter().filter(of_design).copied().collect();
    if named.is_empty() { "+changed".to_owned() } else { called_after(design, &named) }
}

/// The variant in the name of a design, which its axes follow.
fn first(design: &str) -> &str {
    design.split('+').next().unwrap_or(design)
}

/// `+shot=5+rank=4`: changes as the end of a name that begins with `name`.
pub(crate) fn called_after(name: &str, changes: &[&Change]) -> String {
    // The last change of a path is the one that counts.
    let mut values: BTreeMap<Vec<&str>, usize> = BTreeMap::new();
    for (at, change) in changes.iter().enumerate() {
        values.insert(segments(&change.path).collect(), at);
    }
    let mut counted: Vec<usize> = values.into_values().collect();
    counted.sort_unstable();
    let last = |change: &Change| segments(shown(change)).last().map(str::to_owned);
    let parts = counted.iter().map(|at| {
        let change = changes[*at];
        let alike = counted.iter().filter(|other| last(changes[**other]) == last(change)).count() > 1;
        format!("+{}", apart(shown(change), part(change), alike))
    });
    // Keys may be any text, such as the name of a class.
    let whole = as_name(&parts.collect::<String>());
    let most = LONGEST_NAME.saturating_sub(name.len()).clamp(SHORTEST, LONGEST);
    if whole.len() <= most {
        return whole;
    }
    let sum = identity(&Node::from_json(&serde_json::Value::from(whole.as_str())), &[]);
    format!("{}-{}", whole[..most - 9].trim_end_matches('+'), &sum[..8])
}

/// The path that a change is called after: of the type of a component, that of the component.
fn shown(change: &Change) -> &str {
    change.path.strip_suffix(".type").unwrap_or(&change.path)
}

/// One change: `lambda=0.5`, or `adapter=lora` for a component.
fn part(change: &Change) -> String {
    let path = shown(change);
    let last = segments(path).last().unwrap_or(path);
    let Some(value) = &change.value else { return format!("{last}=default") };
    let text = |key: &str| value.at(key).and_then(Node::as_str);
    match (text("hash").or(text("sha256")), text("type")) {
        // A file of episodes is called by its checksum, and so are trained weights.
        (Some(hash), _) => format!("{last}={}", hash.chars().take(8).collect::<String>()),
        (None, Some(_)) => format!("{last}={}", label(path, value)),
        (None, None) => label(path, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn change(path: &str, value: serde_json::Value) -> Change {
        Change { path: path.to_owned(), origin: Origin::Default, value: Some(Node::from_json(&value)) }
    }

    #[test]
    fn a_run_is_called_after_its_changes() {
        let shot = change("task.shot", json!(5));
        let list = change("task.test.list", json!({"path": "a b.json", "hash": "0123456789abcdef"}));
        let lora = change("adapter", json!({"type": "lora", "rank": 4}));
        let unset = Change { value: None, ..change("frames.count", json!(0)) };
        assert_eq!(called_after("a", &[&shot, &list]), "+shot=5+list=01234567");
        let other = change("alignment.type", json!("trx"));
        assert_eq!(called_after("a", &[&lora, &other, &unset]), "+adapter=lora,rank=4+alignment=trx+count=default");
        assert_eq!(called_after("a", &[&change("task.shot", json!(1)), &shot]), "+shot=5", "the later one counts");
        let [tested, validated] = ["test", "validation"].map(|of| change(&format!("task.{of}.episodes"), json!(50)));
        assert_eq!(called_after("a", &[&tested, &validated, &shot]), "+test.episodes=50+validation.episodes=50+shot=5");
    }

    #[test]
    fn long_names_stay_apart() {
        let after = |name: &str, end: &str| {
            let change = change("backbone.weights", json!("x/".repeat(80) + end));
            called_after(name, &[&change])
        };
        assert!(after("v", "a").len() <= LONGEST && after("v", "a") != after("v", "b"), "{}", after("v", "a"));
        let design = "v".repeat(LONGEST_NAME);
        assert!(after(&design, "a").len() <= SHORTEST && after(&design, "a") != after(&design, "b"));
    }

    #[test]
    fn a_name_has_no_letter_that_a_folder_cannot_have() {
        let list = change("task.test.list", json!({"path": "a", "hash": "../../../tmp"}));
        let class = change("dataset.class_names.brüsh/häir", json!("ä ".repeat(60)));
        let name = called_after("v", &[&list, &class]);
        assert!(name.is_ascii() && !name.contains('/') && name.starts_with("+list="), "{name}");
    }
}

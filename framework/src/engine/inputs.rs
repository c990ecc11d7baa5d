//! What a run is made of apart from its recipe: the weights files, the lists and the clips. A result holds for these
//! alone, so their checksums are compared before an older result is taken for the recipe's.

use super::reuse::training_lists;
use super::task::{self, Known};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::runs::directory::RunDirectory;
use crate::runs::records::Inputs;
use crate::runs::store::{Checkpoint, checkpoint_steps, tested_checkpoint};
use crate::weights::hub::{self, Address};
use maclip_language::{Node, item, join};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The weights of `recipe` that are addresses on the hub, each with its place in the recipe, such as
/// `backbone.weights`.
pub fn of_hub(recipe: &Recipe) -> Vec<(String, String)> {
    fn within(node: &Node, path: &str, found: &mut Vec<(String, String)>) {
        for entry in node.as_map().into_iter().flat_map(|map| map.iter()) {
            let path = join(path, &entry.key);
            match entry.value.as_str() {
                Some(source) if entry.key == "weights" && Address::is_one(source) => {
                    found.push((path, source.to_owned()));
                }
                _ => within(&entry.value, &path, found),
            }
        }
        for (number, node) in node.as_list().into_iter().flatten().enumerate() {
            within(node, &item(path, number), found);
        }
    }
    let mut found = Vec::new();
    within(&recipe.resolved, "", &mut found);
    found
}

/// Fetches the weights of `recipe` that are addresses on the hub and not in its cache. Those of a run that is there
/// already stay at its commit, and a branch that has moved since is told.
///
/// # Errors
/// Where they cannot be fetched, with the place in the recipe; and where they may not be: HF_HUB_OFFLINE.
pub fn provide(recipe: &Recipe, progress: &dyn Progress) -> Result<()> {
    of_hub(recipe).iter().try_for_each(|(path, source)| {
        let pin = recipe.pinned.get(source);
        if let Some(pin) = pin
            && hub::moved(source, pin)?
        {
            progress.note(&format!("{source} is another commit now; the run was made of {pin}, which is read"));
        }
        hub::provide(pin.unwrap_or(source), progress).map_err(|error| error.at(recipe.place(path)))
    })
}

/// The inputs of `recipe` as they are now. Runs of one process with the same data and the same weights share the work.
///
/// # Errors
/// Where a file cannot be read.
pub fn now(recipe: &Recipe, known: &Known) -> Result<Inputs> {
    static KNOWN: Mutex<Option<HashMap<String, Inputs>>> = Mutex::new(None);
    let parts = ["dataset", "task", "backbone", "prompt"].map(|key| recipe.resolved.at(key).map(|node| node.to_yaml()));
    let parts: String = parts.into_iter().flatten().collect();
    let key = format!("{parts}{:?}{:?}", known.left_out, recipe.pinned);
    let shared = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(inputs) = shared().as_ref().and_then(|known| known.get(&key)) {
        return Ok(inputs.clone());
    }
    let inputs = task::of(recipe)?.inputs(recipe, known)?;
    shared().get_or_insert_default().insert(key, inputs.clone());
    Ok(inputs)
}

/// Names of what is not as it was when `run` was made. What the run has no checksum of cannot be compared.
///
/// # Errors
/// As [`now`].
pub fn changed(run: &RunDirectory, recipe: &Recipe, runs: &Path) -> Result<Vec<String>> {
    let known = Known { runs, left_out: run.left_out()? };
    Ok(run.manifest.inputs(&run.path).changed(&now(recipe, &known)?))
}

/// Whether the weights, the lists and the clips that `run` was trained with are those of `recipe` now.
///
/// # Errors
/// As [`now`].
pub(super) fn trained_alike(run: &RunDirectory, recipe: &Recipe, runs: &Path) -> Result<bool> {
    let known = Known { runs, left_out: run.left_out()? };
    let then = Inputs { lists: training_lists(&run.manifest), ..run.manifest.inputs(&run.path) };
    Ok(then.changed(&now(recipe, &known)?).is_empty())
}

/// An error where `run` was made with other weights than those with the checksums `now`, by the names of their files.
///
/// # Errors
/// Then.
pub fn same_weights(run: &RunDirectory, now: &BTreeMap<String, String>) -> Result<()> {
    let [then, now] =
        [&run.manifest.weights, now].map(|weights| Inputs { weights: weights.clone(), ..Inputs::default() });
    match then.changed(&now) {
        changed if changed.is_empty() => Ok(()),
        changed => {
            Err(Error::failed(format!("{} was made of other weights: {}", run.path.display(), changed.join(", ")))
                .help("bring them back: with others, its trained weights give other numbers"))
        }
    }
}

/// The trained weights that `run` tested, with their checksum: its own, or those of the run that it was given.
///
/// # Errors
/// Where there are none, or they are not those that the run was given.
pub fn trained_weights(run: &Path, recipe: &Recipe) -> Result<(Checkpoint, String)> {
    let start = |key: &str| recipe.resolved.at("task.start")?.at(key);
    // An imported run trained nothing and has its weights itself.
    let own = || checkpoint_steps(run).is_ok_and(|steps| !steps.is_empty());
    let trains = start("train").is_none_or(|train| train.to_json() != json!(false)) || own();
    let Some(given) = start("run").and_then(Node::as_str).filter(|_| !trains) else { return tested_checkpoint(run) };
    let (checkpoint, sha256) = tested_checkpoint(Path::new(given))?;
    match start("sha256").and_then(Node::as_str) == Some(sha256.as_str()) {
        true => Ok((checkpoint, sha256)),
        false => Err(Error::failed(format!("{given} has other trained weights now than {} was given", run.display()))),
    }
}

/// The error for a finished run whose inputs are not what they were.
pub(super) fn refusal(run: &RunDirectory, changed: &[String]) -> Error {
    Error::failed(format!("{} is done, and was made of other inputs: {}", run.path.display(), changed.join(", ")))
        .help("bring them back, or make the run again with `--force`: the old one moves to .replaced beside it")
}

//! A finished run as a test of its trained weights: the same model, tested again, on the same or on other episodes.

use super::inputs;
use crate::error::{Error, Result};
use crate::files::as_value;
use crate::progress::Progress;
use crate::recipe::study::{StudyRun, called_after};
use crate::recipe::{Purpose, Recipe};
use crate::runs::directory::RunDirectory;
use crate::runs::store::tested_checkpoint;
use crate::slots::backbone::Backbone;
use burn::tensor::Device;
use maclip_language::{Arguments, Change, Diagnostic, Node, Origin, codes, load, within};
use serde_json::{Value, json};
use std::path::Path;

/// What a test may change. Anything else would be another model.
const ALLOWED: [&str; 8] =
    ["task.test", "task.test_on", "task.overlap", "task.shot", "task.way", "device", "compute", "clip_store"];

/// The run in `path` as a run of its own that trains nothing: it begins with the weights that were tested there, and
/// has the changes of `arguments`, such as `task.shot=5`. Its variant is called after them. Weights on the hub that its
/// cache lacks are fetched.
///
/// # Errors
/// Where weights cannot be fetched, the run or its checkpoint cannot be read, or a change would be one of the model.
pub fn of(path: &Path, arguments: &Arguments, progress: &dyn Progress) -> Result<StudyRun> {
    let directory = RunDirectory::open(path)?;
    let frozen = path.join("recipe.resolved.yaml");
    let before = load(&frozen, &Arguments::default())?.root;
    let value = |path: &str| before.at(path).map_or(Value::Null, Node::to_json);
    if before.at("task.train").is_none() {
        return Err(Error::failed(format!(
            "{}: a run of task `{}` cannot be tested again",
            path.display(),
            directory.manifest.task
        )));
    }
    let mut own = vec![("expect", json!([]))];
    if value("task.train_shot").is_null() {
        // The weights were trained so, whatever they are tested with.
        own.push(("task.train_shot", value("task.shot")));
    }
    // Where the backbone cannot be built at all, the test says why.
    let mut then = Recipe::check_for(&before, Purpose::Plan)?;
    directory.pin(&mut then);
    let build = then.context(&Device::flex());
    inputs::provide(&then, progress)?;
    if then.build::<dyn Backbone>(&build).is_ok() {
        inputs::same_weights(&directory, &build.weights())?;
    }
    if directory.params.as_ref().is_none_or(|params| params.trainable > 0) {
        let (_, sha256) = tested_checkpoint(path)?;
        let place = path.canonicalize().map_err(|error| Error::io("find", path, error))?;
        own.push(("task.start", json!({"run": as_value(&place)?, "sha256": sha256, "train": false, "only": null})));
    }
    let own = own.into_iter().map(|(path, value)| Change {
        path: path.to_owned(),
        origin: Origin::Default,
        value: Some(Node::from_json(&value)),
    });
    let others = arguments.others.iter().cloned().chain(own).collect();
    let document = load(&frozen, &Arguments { others, ..arguments.clone() })?;
    let given = |change: &&Change| matches!(change.origin.written(), Origin::Argument { .. });
    let asked: Vec<&Change> = document.changes.iter().filter(given).collect();
    if let Some(change) = asked.iter().find(|change| !ALLOWED.iter().any(|allowed| within(&change.path, allowed))) {
        let message = format!("`{}` belongs to the model or its training, and a test changes neither", change.path);
        let help = format!("a test may change {}", ALLOWED.map(|path| format!("`{path}`")).join(", "));
        return Err(Diagnostic::new(codes::ARGUMENT, message).at(&change.origin).path(&change.path).help(help).into());
    }
    // What the training has seen is settled, whatever the new test is.
    let leaves_out = document.root.at("task.overlap").and_then(Node::as_str) == Some("leave_out");
    let other_test = |change: &&&Change| ["task.test_on", "task.overlap"].iter().any(|key| within(&change.path, key));
    if let Some(change) = asked.iter().find(other_test).filter(|_| leaves_out) {
        let message = format!("the training of {} is over, and no class can be left out of it", path.display());
        let help = "say --set task.overlap=report, which names the classes that the training has seen, or refuse";
        return Err(Diagnostic::new(codes::ARGUMENT, message).at(&change.origin).path(&change.path).help(help).into());
    }
    let mut recipe = Recipe::check_for(&document.root, Purpose::Run)?;
    directory.pin(&mut recipe);
    Ok(StudyRun::new(&variant(&directory.manifest.variant, &asked), recipe))
}

/// `both+shot=5`: the name of the run with what the test changes; `both+test` where that is nothing.
fn variant(name: &str, changes: &[&Change]) -> String {
    format!("{name}{}", if changes.is_empty() { "+test".to_owned() } else { called_after(name, changes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_called_after_its_changes() {
        let value = Some(Node::from_json(&json!(5)));
        let shot = Change { path: "task.shot".to_owned(), origin: Origin::Default, value };
        assert_eq!(variant("both", &[&shot]), "both+shot=5");
        assert_eq!(variant("both", &[]), "both+test");
    }
}

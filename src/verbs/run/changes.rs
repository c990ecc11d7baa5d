//! Options of the command line that change the recipe.

use maclip_framework::engine::episodes::EpisodeList;
use maclip_framework::error::{Error, Result};
use maclip_framework::registry::SlotTrait;
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::model_folder::ModelFolder;
use maclip_framework::runs::store::tested_checkpoint;
use maclip_framework::slots::launcher::Launcher;
use maclip_language::{Change, Diagnostic, Node, Origin, codes};
use serde_json::json;
use std::path::Path;

/// The change of the recipe that `--episodes FILE` makes.
pub fn change_of_file(file: &Path) -> Result<Change> {
    let origin = Origin::argument("--episodes", &file.display().to_string());
    let Some(path) = file.to_str() else {
        let problem = Diagnostic::new(codes::ARGUMENT, format!("{} is not UTF-8", file.display()));
        let help = "the path becomes a part of the recipe, which is text: give the file another name";
        return Err(problem.at(&origin).help(help).into());
    };
    let list = json!({"path": path, "hash": EpisodeList::hash_of(file)?});
    let value = Node::from_json(&list).map_origins(&|_| origin.clone());
    Ok(Change { path: "task.test.list".to_owned(), origin, value: Some(value) })
}

/// The changes of the recipe that `--from SOURCE` makes.
pub fn change_of_start(source: &Path) -> Result<Change> {
    let origin = Origin::argument("--from", &source.display().to_string());
    // What is no run and no model folder is told as such.
    if !ModelFolder::is_at(source) {
        RunDirectory::open(source).map_err(|error| {
            error.help("give a run directory, or a folder that `maclip export RUN --to FOLDER` wrote")
        })?;
    }
    let (_, sha256) = tested_checkpoint(source)?;
    let place = source.canonicalize().map_err(|error| Error::io("find", source, error))?;
    let Some(place) = place.to_str() else {
        let problem = Diagnostic::new(codes::ARGUMENT, format!("{} is not UTF-8", place.display()));
        let help =
            "the path becomes a part of the recipe, which is text: move the folder to a path of plain characters";
        return Err(problem.at(&origin).help(help).into());
    };
    let value = Node::from_json(&json!({"run": place, "sha256": sha256})).map_origins(&|_| origin.clone());
    Ok(Change { path: "task.start".to_owned(), origin, value: Some(value) })
}

/// The change of the recipe that `--launcher NAME` makes.
pub fn change_of_launcher(name: &str) -> Change {
    let origin = Origin::argument("--launcher", name);
    let value = Node::from_json(&name.into()).map_origins(&|_| origin.clone());
    Change { path: format!("{}.type", <dyn Launcher>::NAME), origin, value: Some(value) }
}

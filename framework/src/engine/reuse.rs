//! What an earlier run has made already: a run that is done is copied under another name and not made again, as several
//! tables of a paper can have the same row; and a run that differs from it in its test alone goes on from its training.

use super::attempt::TRAINED;
use crate::error::{Error, Result};
use crate::files::copy_atomically;
use crate::recipe::study::StudyRun;
use crate::recipe::{Recipe, training_of};
use crate::runs::directory::RunDirectory;
use crate::runs::log::unasked;
use crate::runs::records::{FORMAT, Manifest, State};
use crate::runs::seal::FREE;
use crate::runs::store::{RunStore, checkpoint_steps};
use maclip_language::{Arguments, Origin, load};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The beginning of the note in the manifest of a copied run.
const COPIED: &str = "the same run as ";
/// Files of a run directory.
const FROZEN: &str = "recipe.resolved.yaml";
const CHECKPOINTS: &str = "checkpoints";

/// A finished run at or below `runs` that has the identity of `recipe`, is not the one at `path`, and that `counts`
/// accepts. A run that was made comes before one that was copied.
pub fn same(runs: &Path, recipe: &Recipe, path: &Path, counts: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let ending = format!("-{}", &recipe.hash[..8]);
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(&ending));
    // A folder that is missing yet has no runs.
    let paths = RunDirectory::paths(runs).unwrap_or_default();
    let others = paths.into_iter().filter(|other| named(other) && other != path && counts(other));
    let done = others.filter_map(|path| {
        let run = RunDirectory::open(&path).ok()?;
        // An imported run has weights and no result.
        let done = run.state() == Some(State::Done) && run.manifest.imported.is_none();
        (done && run.manifest.hash == recipe.hash).then_some(run)
    });
    done.min_by_key(|run| run.manifest.notes.iter().any(|note| note.starts_with(COPIED))).map(|run| run.path)
}

/// A finished run at or below `runs` that was trained as `recipe` says, whatever it tested, and that `counts` accepts.
/// Its checkpoints are there.
pub fn same_training(runs: &Path, recipe: &Recipe, counts: impl Fn(&RunDirectory) -> bool) -> Option<RunDirectory> {
    let training = training_of(&recipe.resolved)?;
    let components = recipe.components();
    let trained = |path: PathBuf| {
        let run = RunDirectory::open(&path).ok()?;
        let Manifest { seed, components: of, imported, .. } = &run.manifest;
        let like = run.state() == Some(State::Done) && imported.is_none() && *seed == recipe.seed && *of == components;
        (like && checkpoint_steps(&path).is_ok_and(|steps| !steps.is_empty())).then_some(run)
    };
    let same = |run: &RunDirectory| {
        let frozen = load(&run.path.join(FROZEN), &Arguments::default());
        frozen.is_ok_and(|frozen| training_of(&frozen.root).as_ref() == Some(&training))
    };
    let paths = RunDirectory::paths(runs).unwrap_or_default();
    paths.into_iter().filter_map(trained).find(|run| same(run) && counts(run))
}

/// Copies the run in `from` to `to`, where no run has begun, under the name of `run`: all its records, but not its
/// checkpoints. The directory appears as a whole or not at all. `false` where another process began the run meanwhile.
pub fn copy_run(from: &Path, to: &Path, run: &StudyRun) -> Result<bool> {
    let StudyRun { recipe, variant, .. } = run;
    let fill = |store: &RunStore| {
        // A log names the run that it is of. Where one is asked for, it is completed and gets the new name.
        let leave =
            |name: &str| ["lock", CHECKPOINTS, Manifest::FILE, FROZEN].contains(&name) || unasked(name, &recipe.log);
        copy_files(from, store.path(), &leave)?;
        let source = RunDirectory::open(from)?;
        let mut frozen = load(&from.join(FROZEN), &Arguments::default())?.root;
        for key in FREE {
            if let (Some(map), Some(own)) = (frozen.as_map_mut(), recipe.resolved.at(key)) {
                map.insert(key, Origin::Default, own.clone());
            }
        }
        store.write_text(FROZEN, &frozen.to_yaml())?;
        let mut manifest =
            Manifest { format: FORMAT, name: recipe.name.clone(), variant: variant.clone(), ..source.manifest };
        manifest.notes.retain(|note| !note.starts_with(COPIED));
        manifest.notes.push(format!("{COPIED}{}: its records were copied, its checkpoints were not", from.display()));
        store.write_json(Manifest::FILE, &manifest)?;
        episodes(from, to.parent().unwrap_or(to))
    };
    appear(to, fill)
}

/// Copies the training of the run `from` to `to`, where `run` has not begun: the records of its steps and validations,
/// and its checkpoints. What is there then is a run that was interrupted before its test. The directory appears as a
/// whole or not at all. `false` where another process began the run meanwhile.
pub fn copy_training(from: &RunDirectory, to: &Path, run: &StudyRun) -> Result<bool> {
    let recipe = &run.recipe;
    let fill = |store: &RunStore| {
        let wanted = ["train.jsonl", "validation.jsonl", CHECKPOINTS];
        copy_files(&from.path, store.path(), &|name| !wanted.contains(&name))?;
        store.write_text(FROZEN, &recipe.resolved.to_yaml())?;
        let mut manifest = Manifest {
            format: FORMAT,
            name: recipe.name.clone(),
            variant: run.variant.clone(),
            hash: recipe.hash.clone(),
            notes: vec![format!("{TRAINED}{}: its records and checkpoints were copied", from.path.display())],
            // Those of its test are not of this run.
            clips: None,
            lists: training_lists(&from.manifest),
            ..from.manifest.clone()
        };
        manifest.attempts.iter_mut().for_each(|attempt| attempt.seconds.test = 0.0);
        store.write_json(Manifest::FILE, &manifest)?;
        store.write_state(State::Interrupted, None)
    };
    appear(to, fill)
}

/// The checksums of the lists of a run that its training is made of.
pub fn training_lists(manifest: &Manifest) -> BTreeMap<String, String> {
    let lists = manifest.lists.iter().filter(|(name, _)| *name != "test" && !name.starts_with("test: "));
    lists.map(|(name, sum)| (name.clone(), sum.clone())).collect()
}

/// Makes the directory `to` with what `fill` writes; `false` where another process made it meanwhile.
fn appear(to: &Path, fill: impl FnOnce(&RunStore) -> Result<()>) -> Result<bool> {
    let (Some(folder), Some(name)) = (to.parent(), to.file_name()) else {
        return Err(Error::failed(format!("{} is no run directory", to.display())));
    };
    // A hidden folder, because hidden folders are not searched for runs.
    let aside = folder.join(format!(".{}.tmp", name.to_string_lossy()));
    let Some(store) = RunStore::open_free(&aside)? else { return Ok(false) };
    // A killed process may have left files there.
    clear(&aside)?;
    fill(&store)?;
    // The lock moves with the folder. Where a run has begun meanwhile, `to` is not empty and the rename fails.
    match fs::rename(&aside, to) {
        Ok(()) => Ok(true),
        Err(_) if to.exists() => {
            fs::remove_dir_all(&aside).map_err(|error| Error::io("remove", &aside, error))?;
            Ok(false)
        }
        Err(error) => Err(Error::io("rename to the run directory", to, error)),
    }
}

/// Copies the lists of test episodes that are beside the run in `from` to `folder`.
fn episodes(from: &Path, folder: &Path) -> Result<()> {
    let Some(beside) = from.parent().filter(|beside| *beside != folder) else { return Ok(()) };
    for (name, path) in entries(beside)? {
        let to = folder.join(&name);
        if ["episodes-", "clips-"].iter().any(|kind| name.starts_with(kind)) && path.is_file() && !to.exists() {
            copy_atomically(&path, &to)?;
        }
    }
    Ok(())
}

/// Copies what is in the folder `from` to the folder `to`, except for the names that `leave` tells.
fn copy_files(from: &Path, to: &Path, leave: &dyn Fn(&str) -> bool) -> Result<()> {
    for (name, path) in entries(from)? {
        let to = to.join(&name);
        if leave(&name) {
            continue;
        }
        if path.is_dir() {
            fs::create_dir_all(&to).map_err(|error| Error::io("make the folder", &to, error))?;
            copy_files(&path, &to, &|_| false)?;
        } else {
            fs::copy(&path, &to).map_err(|error| Error::io("copy to", &to, error))?;
        }
    }
    Ok(())
}

/// Removes what is in `folder`, except for its lock.
fn clear(folder: &Path) -> Result<()> {
    for (name, path) in entries(folder)?.into_iter().filter(|(name, _)| name != "lock") {
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|error| Error::io("remove", &folder.join(name), error))?;
    }
    Ok(())
}

/// Names and paths of the entries of `folder`.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let read = || -> std::io::Result<_> {
        fs::read_dir(folder)?
            .map(|entry| entry.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())))
            .collect()
    };
    read().map_err(|error| Error::io("read", folder, error))
}

//! Finding and reading runs. Unlike `RunDirectory::find`, one damaged run does not hide the others.

use maclip_framework::error::{Error, Result};
use maclip_framework::records::{RunDirectory, State, TestResult, TrainLoss, ValidationRecord};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A run with its records. Episodes are kept as one number each: the rest of 10,000 records is of no use here.
#[derive(Clone, Debug)]
pub struct Run {
    pub directory: RunDirectory,
    pub train: Vec<TrainLoss>,
    pub validation: Vec<ValidationRecord>,
    /// Accuracy of each test episode by its id, 0 to 1.
    pub episodes: BTreeMap<u64, f64>,
    /// The resolved recipe, where it could be read.
    pub recipe: Option<String>,
}

impl Run {
    /// The test result of a run that is done. A number left by a run that failed later is not a result.
    pub fn result(&self) -> Option<&TestResult> {
        let status = self.directory.status.as_ref()?;
        (status.state == State::Done).then_some(status.test.as_ref()).flatten()
    }

    /// `None` where nothing was written yet.
    pub fn state(&self) -> Option<State> {
        self.directory.state()
    }

    /// Path as it was given, with `/` on every platform.
    pub fn path(&self) -> String {
        display(&self.directory.path)
    }
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub path: String,
    pub reason: String,
}

/// All that was found.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Sorted by name, variant, seed, path.
    pub runs: Vec<Run>,
    pub problems: Vec<Problem>,
}

/// Reads all runs at or below `roots`.
///
/// # Errors
/// When a root does not exist or no run at all could be read.
pub fn load(roots: &[PathBuf]) -> Result<Loaded> {
    let mut loaded = Loaded { runs: Vec::new(), problems: Vec::new() };
    let mut folders = Vec::new();
    let mut seen = BTreeSet::new();
    for root in roots {
        // Only the roots must be readable; what is unreadable below them is a problem of its own.
        std::fs::read_dir(root).map_err(|error| Error::io("read", root, error))?;
        walk(root, &mut seen, &mut folders, &mut loaded.problems);
    }
    for (run, problems) in folders.par_iter().map(|folder| read(folder)).collect::<Vec<_>>() {
        loaded.runs.extend(run);
        loaded.problems.extend(problems);
    }
    loaded.problems.sort();
    loaded.runs.sort_by_cached_key(|run| {
        let manifest = &run.directory.manifest;
        (manifest.name.clone(), manifest.variant.clone(), manifest.seed, run.path())
    });
    if !loaded.runs.is_empty() {
        return Ok(loaded);
    }
    let places = roots.iter().map(|root| display(root)).collect::<Vec<_>>().join(", ");
    Err(match loaded.problems.first() {
        Some(problem) => Error::failed(format!("no run at or below {places} could be read"))
            .help(format!("the first problem: {}: {}", problem.path, problem.reason)),
        None => Error::failed(format!("no runs at or below {places}"))
            .help("a run directory holds a manifest.json; `maclip run RECIPE` makes one"),
    })
}

/// Adds the folders of runs at or below `folder`, hidden ones left out. `seen` holds real paths: overlapping roots and links give
/// each run once.
fn walk(folder: &Path, seen: &mut BTreeSet<PathBuf>, found: &mut Vec<PathBuf>, problems: &mut Vec<Problem>) {
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    if !seen.insert(real) {
        return;
    }
    if folder.join("manifest.json").is_file() {
        return found.push(folder.to_owned());
    }
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return problems.push(problem(folder, &Error::io("read", folder, error))),
    };
    let shown = |entry: &std::fs::DirEntry| !entry.file_name().to_string_lossy().starts_with('.');
    let mut children: Vec<PathBuf> =
        entries.filter_map(|entry| entry.ok()).filter(shown).map(|entry| entry.path()).collect();
    children.sort();
    children.iter().filter(|child| child.is_dir()).for_each(|child| walk(child, seen, found, problems));
}

/// Reads a run with its records; a damaged file costs what it holds and no more.
fn read(folder: &Path) -> (Option<Run>, Vec<Problem>) {
    let directory = match RunDirectory::open(folder) {
        Ok(directory) => directory,
        Err(error) => return (None, vec![problem(folder, &error)]),
    };
    let mut problems = Vec::new();
    let mut keep = |error: Error| problems.push(problem(&directory.path, &error));
    let train = directory.losses().map_err(&mut keep).unwrap_or_default();
    let validation = directory.validation().map_err(&mut keep).unwrap_or_default();
    let episodes = directory.scores().map_err(&mut keep).unwrap_or_default();
    let recipe = directory.recipe().map_err(&mut keep).ok();
    let episodes = episodes
        .into_iter()
        .filter(|episode| !episode.labels.is_empty())
        .map(|episode| (episode.id, episode.correct as f64 / episode.labels.len() as f64))
        .collect();
    (Some(Run { train, validation, episodes, recipe, directory }), problems)
}

fn problem(path: &Path, error: &Error) -> Problem {
    let reason = match error {
        Error::Failed { message, help, .. } => {
            help.iter().fold(message.clone(), |message, help| format!("{message} ({help})"))
        }
        other => other.to_string(),
    };
    Problem { path: display(path), reason }
}

/// A path for people, the same on every platform.
pub fn display(path: &Path) -> String {
    path.display().to_string().replace(std::path::MAIN_SEPARATOR, "/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::study;

    #[test]
    fn overlapping_roots_give_each_run_once() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let one = load(&[folder.path().to_owned()]).unwrap();
        let two = load(&[folder.path().to_owned(), folder.path().join("ablation")]).unwrap();
        assert_eq!(one.runs.len(), 12);
        assert_eq!(two.runs.len(), 12);
        assert!(one.problems.is_empty(), "{:?}", one.problems);
    }

    #[test]
    fn a_damaged_record_file_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let run = load(&[folder.path().to_owned()]).unwrap().runs[0].directory.path.clone();
        std::fs::write(run.join("train.jsonl"), "nonsense\n").unwrap();
        let loaded = load(&[folder.path().to_owned()]).unwrap();
        assert_eq!(loaded.runs.len(), 12);
        assert!(loaded.runs[0].train.is_empty() && !loaded.runs[0].validation.is_empty());
        assert!(loaded.problems[0].reason.contains("train.jsonl:1"), "{:?}", loaded.problems);
    }

    #[test]
    fn a_missing_root_is_named() {
        let error = load(&[PathBuf::from("not/here")]).unwrap_err();
        assert!(error.to_string().contains("not/here"), "{error}");
    }
}

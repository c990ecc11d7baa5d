//! Finds and reads runs. A damaged run is a problem of its own and does not hide the others.

use crate::episodes::{Episodes, List};
use crate::settings::Settings;
use maclip_framework::error::{Error, Result};
use maclip_framework::recipe::expectation::TestResult;
use maclip_framework::recipe::study::{Order, Shown};
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::records::{LeftOut, Planned, State, TrainLoss, ValidationRecord};
use rayon::prelude::*;
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Files in the folder of a recipe's runs that say something on all of them.
const NOTES: [&str; 4] = [LeftOut::FILE, Order::FILE, Shown::FILE, Planned::FILE];

/// A run with its records.
#[derive(Clone, Debug)]
pub struct Run {
    pub directory: RunDirectory,
    pub train: Vec<TrainLoss>,
    pub validation: Vec<ValidationRecord>,
    /// The test episodes, where the task has some.
    pub episodes: Option<Episodes>,
    /// The resolved recipe, where it could be read.
    pub recipe: Option<String>,
    /// The settings in it; empty where it could not be read.
    pub settings: Settings,
    /// What the study of the last `maclip run` says of how the runs beside it are shown.
    pub shown: Option<Arc<Shown>>,
    /// When the last training step was written, in seconds since 1970 (UTC), by the file's time.
    pub stepped: Option<u64>,
}

impl Run {
    /// What the recipe calls the run, in the place of its variant's name: as it is now, where it was asked to run
    /// since, else as it was when the run began.
    pub fn label(&self) -> Option<&str> {
        let now = self.shown.as_ref().and_then(|shown| shown.labels.get(&self.directory.manifest.variant));
        now.map_or(self.settings.label.as_deref(), Option::as_deref)
    }

    /// Whether the study names this variant as its baseline; `None` where it names none.
    pub fn is_baseline(&self) -> Option<bool> {
        self.shown.as_ref()?.is_baseline(&self.directory.manifest.variant)
    }

    /// The test result of a run that is done. `None` for a run that failed after its test, and where the result is not
    /// a finite number.
    pub fn result(&self) -> Option<&TestResult> {
        let status = self.directory.status.as_ref()?;
        let test = (status.state == State::Done).then_some(status.test.as_ref()).flatten();
        test.filter(|test| test.value.is_finite() && test.ci95.is_finite())
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
    /// Runs that a preset left out, by the name of their recipe.
    pub left_out: Vec<(String, LeftOut)>,
    /// Orders that studies are expected to show, by the name of their recipe.
    pub orders: Vec<(String, Order)>,
    /// Runs that studies ask for and that have not begun, by the name of their recipe.
    pub waiting: Vec<(String, Planned)>,
}

impl Loaded {
    /// Keeps the runs in these directories alone.
    pub fn only(&mut self, directories: &[PathBuf]) {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let kept: HashSet<PathBuf> = directories.iter().map(|path| real(path)).collect();
        self.runs.retain(|run| kept.contains(&real(&run.directory.path)));
    }
}

/// Reads all runs at or below `roots`.
///
/// # Errors
/// Where a root does not exist or no run at all could be read.
pub fn load(roots: &[PathBuf]) -> Result<Loaded> {
    let mut loaded = Loaded {
        runs: Vec::new(),
        problems: Vec::new(),
        left_out: Vec::new(),
        orders: Vec::new(),
        waiting: Vec::new(),
    };
    let mut found = Found::default();
    for root in roots {
        // Only the roots must be readable; what is unreadable below them is a problem of its own.
        std::fs::read_dir(root).map_err(|error| Error::io("read", root, error))?;
        found.walk(root);
    }
    let Found { runs: folders, recipes, problems, .. } = found;
    loaded.problems = problems;
    let lists = Lists::default();
    for (run, problems) in folders.par_iter().map(|folder| read(folder, &lists)).collect::<Vec<_>>() {
        loaded.runs.extend(run);
        loaded.problems.extend(problems);
    }
    let wholly = |folder: &Path| roots.iter().any(|root| folder.starts_with(root));
    for folder in recipes {
        // `.` has no file name of its own.
        let real = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        let name = real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match LeftOut::read(&folder) {
            Ok(left_out) => loaded.left_out.extend(left_out.into_iter().map(|run| (name.clone(), run))),
            Err(error) => loaded.problems.push(problem(&folder, &error)),
        }
        match Order::read(&folder) {
            Ok(orders) => loaded.orders.extend(orders.into_iter().map(|order| (name.clone(), order))),
            Err(error) => loaded.problems.push(problem(&folder, &error)),
        }
        // A report of some runs of a study is not about its others.
        match Planned::read(&folder) {
            Ok(planned) if wholly(&folder) => {
                let begun: HashSet<&str> = loaded.runs.iter().map(|run| run.directory.manifest.hash.as_str()).collect();
                let waiting = planned.into_iter().filter(|run| !begun.contains(run.hash.as_str()));
                loaded.waiting.extend(waiting.map(|run| (name.clone(), run)));
            }
            Ok(_) => {}
            Err(error) => loaded.problems.push(problem(&folder, &error)),
        }
        match Shown::read(&folder) {
            Ok(shown) => {
                let shown = shown.map(Arc::new);
                let beside = |run: &&mut Run| run.directory.path.parent() == Some(folder.as_path());
                loaded.runs.iter_mut().filter(beside).for_each(|run| run.shown.clone_from(&shown));
            }
            Err(error) => loaded.problems.push(problem(&folder, &error)),
        }
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

/// What lay in runs at one moment. Where two stamps are equal and the first had [settled](Stamp::settled), no run has
/// written anything in between.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// Path, size in bytes and time of every run's folder, of every file in it, and of the notes beside it.
    seen: Vec<(PathBuf, u64, Option<SystemTime>)>,
    taken: SystemTime,
}

impl Stamp {
    /// Of the runs at or below `roots`.
    pub fn of(roots: &[PathBuf]) -> Self {
        let taken = SystemTime::now();
        let mut found = Found::default();
        roots.iter().for_each(|root| found.walk(root));
        let files = found.runs.iter().filter_map(|folder| std::fs::read_dir(folder).ok());
        let files = files.flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let notes = found.recipes.iter().flat_map(|folder| NOTES.map(|file| folder.join(file)));
        // The folder itself tells of a file that came and went between two looks.
        let paths = found.runs.iter().cloned().chain(files).chain(notes);
        let seen = |path: PathBuf| std::fs::metadata(&path).ok().map(|data| (path, data.len(), data.modified().ok()));
        let mut seen: Vec<_> = paths.filter_map(seen).collect();
        seen.sort();
        Self { seen, taken }
    }

    /// Whether there was no run.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Whether the last thing was written `margin` or more before the stamp was taken. What is written at the same
    /// moment may be in a report and not in the stamp: the clock of a file system is coarse.
    pub fn settled(&self, margin: Duration) -> bool {
        // A time in the future, such as from another machine, says nothing of when a file was written.
        let ages = self.seen.iter().filter_map(|(_, _, time)| self.taken.duration_since((*time)?).ok());
        ages.min().is_none_or(|age| age >= margin)
    }

    /// Whether both saw the same.
    pub fn equals(&self, other: &Self) -> bool {
        self.seen == other.seen
    }
}

/// What lies below some roots.
#[derive(Default)]
struct Found {
    /// Real paths: overlapping roots and links give each run once.
    seen: BTreeSet<PathBuf>,
    runs: Vec<PathBuf>,
    /// Folders of a recipe's runs in which something is noted on all of them.
    recipes: BTreeSet<PathBuf>,
    problems: Vec<Problem>,
}

impl Found {
    /// Adds what is at or below `folder`, hidden folders left out.
    fn walk(&mut self, folder: &Path) {
        let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        if !self.seen.insert(real) {
            return;
        }
        if folder.join("manifest.json").is_file() {
            // A recipe's runs lie side by side, and what was left out of them is noted there.
            folder.parent().into_iter().for_each(|beside| self.note(beside));
            return self.runs.push(folder.to_owned());
        }
        self.note(folder);
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.problems.push(problem(folder, &Error::io("read", folder, error))),
        };
        let shown = |entry: &std::fs::DirEntry| !entry.file_name().to_string_lossy().starts_with('.');
        let mut children: Vec<PathBuf> =
            entries.filter_map(|entry| entry.ok()).filter(shown).map(|entry| entry.path()).collect();
        children.sort();
        children.iter().filter(|child| child.is_dir()).for_each(|child| self.walk(child));
    }

    fn note(&mut self, folder: &Path) {
        if NOTES.iter().any(|file| folder.join(file).is_file()) {
            self.recipes.insert(folder.to_owned());
        }
    }
}

/// Reads a run with its records. Of a damaged file only its own records are missing.
fn read(folder: &Path, lists: &Lists) -> (Option<Run>, Vec<Problem>) {
    let directory = match RunDirectory::open(folder) {
        Ok(directory) => directory,
        Err(error) => return (None, vec![problem(folder, &error)]),
    };
    let mut problems = Vec::new();
    let mut keep = |error: Error| problems.push(problem(&directory.path, &error));
    let train = directory.losses().map_err(&mut keep).unwrap_or_default();
    let validation = directory.validation().map_err(&mut keep).unwrap_or_default();
    let read = Episodes::read(&folder.join("episodes.jsonl")).map_err(&mut keep);
    let readable = read.is_ok();
    let mut episodes = read.unwrap_or_default();
    episodes.iter_mut().for_each(|episodes| lists.share(episodes));
    let recipe = directory.recipe().map_err(&mut keep).ok();
    let shares = episodes.as_ref().map_or_else(Vec::new, Episodes::shares);
    // Records that cannot be read were told above.
    let verified = directory.verify_shares(&shares).and_then(|()| directory.verify_seal());
    let believed = readable && verified.map_err(&mut keep).is_ok();
    let settings =
        recipe.as_deref().map(Settings::read).transpose().map_err(&mut keep).ok().flatten().unwrap_or_default();
    let directory = if believed { directory } else { directory.without_result() };
    let stepped = modified(&folder.join("train.jsonl"));
    (Some(Run { train, validation, episodes, recipe, settings, shown: None, stepped, directory }), problems)
}

/// When a file was written last, in seconds since 1970 (UTC).
fn modified(path: &Path) -> Option<u64> {
    let time = std::fs::metadata(path).and_then(|data| data.modified()).ok()?;
    Some(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
}

/// One copy of each episode list: the runs of a study share theirs, and lists take most of the memory.
#[derive(Default)]
struct Lists(Mutex<HashSet<Arc<List>>>);

impl Lists {
    fn share(&self, episodes: &mut Episodes) {
        // A reader that panicked cannot have left a set half changed.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&episodes.list) {
            Some(list) => episodes.list = list.clone(),
            None => drop(known.insert(episodes.list.clone())),
        }
    }
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
    use maclip_framework::files::write_json;

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
    fn a_file_that_came_and_went_between_two_stamps_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let roots = [folder.path().to_owned()];
        let run = load(&roots).unwrap().runs[0].directory.path.clone();
        let margin = Duration::from_millis(50);
        assert!(!Stamp::of(&roots).settled(Duration::from_secs(3600)), "all was written just now");
        std::thread::sleep(2 * margin);
        let before = Stamp::of(&roots);
        assert!(before.settled(margin) && before.equals(&Stamp::of(&roots)));
        std::fs::write(run.join("passing"), "").unwrap();
        std::fs::remove_file(run.join("passing")).unwrap();
        let after = Stamp::of(&roots);
        assert!(!after.equals(&before) && !after.settled(Duration::from_secs(3600)));
        assert!(Stamp::of(&[folder.path().join("nothing")]).is_empty());
    }

    #[test]
    fn runs_that_have_not_begun_wait() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let recipe = folder.path().join("ablation");
        let hash = load(std::slice::from_ref(&recipe)).unwrap().runs[0].directory.manifest.hash.clone();
        let planned = |hash: &str| Planned { variant: "a".into(), label: None, seed: 1, hash: hash.into() };
        write_json(&recipe.join(Planned::FILE), &[planned(&hash), planned("later")]).unwrap();
        let waiting = |root: &Path| load(&[root.to_owned()]).unwrap().waiting;
        assert_eq!(waiting(folder.path()), [("ablation".to_owned(), planned("later"))]);
        assert_eq!(waiting(&recipe).len(), 1);
        // A report of one run is not about the others of its study.
        let run = load(&[recipe]).unwrap().runs[0].directory.path.clone();
        assert!(waiting(&run).is_empty());
    }

    #[test]
    fn a_missing_root_is_named() {
        let error = load(&[PathBuf::from("not/here")]).unwrap_err();
        assert!(error.to_string().contains("not/here"), "{error}");
    }
}

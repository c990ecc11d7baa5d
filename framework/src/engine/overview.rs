//! The runs of a study as they are on the disk: which are done, which are missing, and how long these may take.

use super::reuse;
use crate::recipe::study::StudyRun;
use crate::recipe::{training_of, training_steps};
use crate::runs::directory::RunDirectory;
use crate::runs::records::{Manifest, State};
use crate::runs::store::in_use;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// One run of a study, and how far it is.
pub struct RunOverview {
    /// The run that the recipe asks for.
    pub run: StudyRun,
    /// Path of its run directory, which may be missing.
    pub path: PathBuf,
    /// The run directory; `None` where it is missing or cannot be read.
    pub directory: Option<RunDirectory>,
    /// The state of the run; `None` where it has not begun.
    pub state: Option<State>,
    /// Why the result must not be believed; the directory then comes without it.
    pub doubt: Option<String>,
    /// Number of optimizer steps done.
    pub steps: u64,
    /// Directory of a finished run with the same identity under another name. Only searched where this run has not
    /// begun.
    pub same: Option<PathBuf>,
}

impl RunOverview {
    /// Reads how far `run` is, in its directory below the folder `runs`.
    pub fn new(run: StudyRun, runs: &Path) -> Self {
        let path = run.directory(runs);
        let mut overview = Self { run, path, directory: None, state: None, doubt: None, steps: 0, same: None };
        overview.refresh();
        if overview.directory.is_none() {
            overview.same = reuse::same(runs, &overview.run.recipe, &overview.path, |_| true);
        }
        overview
    }

    /// Reads the run directory again.
    pub fn refresh(&mut self) {
        let opened = RunDirectory::open(&self.path).ok();
        self.doubt = opened.as_ref().and_then(|run| run.verify().err()).map(|error| error.to_string());
        self.directory = if self.doubt.is_some() { opened.map(RunDirectory::without_result) } else { opened };
        self.state = self.directory.as_ref().and_then(RunDirectory::state);
        // A damaged record file is reported when the run goes on, not here.
        self.steps = self.directory.as_ref().and_then(|directory| directory.last_step().ok()).unwrap_or(0);
    }

    /// Whether the run was trained and tested to its end.
    pub fn done(&self) -> bool {
        self.state == Some(State::Done) && self.doubt.is_none()
    }

    /// Number of optimizer steps that the recipe asks for; `None` where its task trains nothing.
    pub fn wanted_steps(&self) -> Option<u64> {
        training_steps(&self.run.recipe.resolved)
    }

    /// Why the run failed, or which finished run it is the same as; `None` otherwise.
    pub fn reason(&self) -> Option<String> {
        if self.doubt.is_some() {
            return self.doubt.clone();
        }
        match &self.same {
            Some(path) => Some(format!("the same as {}", path.display())),
            None => self.directory.as_ref()?.status.as_ref()?.reason.clone(),
        }
    }

    /// The state in one word: `waiting` (it has not begun), `starting`, `running`, `done`, `failed`, `interrupted`,
    /// `unknown` (it has no status) or `unreadable`.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            _ if self.doubt.is_some() => "unreadable",
            Some(state) => state.name(),
            None if in_use(&self.path) => "starting",
            // A directory that cannot be read has begun: `maclip run` reports what is wrong with it.
            None if self.directory.is_some() => "unknown",
            None if self.path.join(Manifest::FILE).exists() => "unreadable",
            None => "waiting",
        }
    }
}

/// Estimate of the seconds that the missing runs will take, from the times of the runs that are done; `None` where none
/// is done.
pub fn estimate(runs: &[RunOverview]) -> Option<f64> {
    let done: Vec<_> = runs
        .iter()
        .filter(|run| run.done())
        .filter_map(|run| Some((run, run.directory.as_ref()?.manifest.seconds())))
        .collect();
    let seconds_of = |run: &RunOverview, known: bool| {
        // Runs of the same variant give the best estimate; without them, all runs that trained.
        let same: Vec<_> = done.iter().filter(|(other, _)| other.run.variant == run.run.variant).collect();
        let trained: Vec<_> = done.iter().filter(|(other, _)| other.steps > 0).collect();
        let alike = if same.is_empty() { trained } else { same };
        let count = alike.len() as f64;
        let steps: f64 = alike.iter().map(|(run, _)| run.steps as f64).sum();
        let train: f64 = alike.iter().map(|(_, seconds)| seconds.train).sum();
        let test: f64 = alike.iter().map(|(_, seconds)| seconds.test).sum();
        let left = run.wanted_steps().unwrap_or(0).saturating_sub(run.steps) as f64;
        // A variant that trains nothing has no steps.
        let training = if steps > 0.0 && !known { train / steps * left } else { 0.0 };
        (count > 0.0).then(|| training + test / count)
    };
    // One training is made once, whatever is tested with it.
    let training = |run: &RunOverview| training_of(&run.run.recipe.resolved);
    let mut trained: HashSet<String> = done.iter().filter_map(|(run, _)| training(run)).collect();
    let mut left = 0.0;
    for run in to_make(runs) {
        let known = training(run).is_some_and(|training| !trained.insert(training));
        left += seconds_of(run, known)?;
    }
    Some(left)
}

/// The runs that are still to be made. Where several have the same identity, only the first; where one of them is done,
/// none.
pub fn to_make(runs: &[RunOverview]) -> Vec<&RunOverview> {
    let mut seen: HashSet<&String> = runs.iter().filter(|run| run.done()).map(|run| &run.run.recipe.hash).collect();
    let missing = runs.iter().filter(|run| !run.done() && run.same.is_none());
    missing.filter(|run| seen.insert(&run.run.recipe.hash)).collect()
}

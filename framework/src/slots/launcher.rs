//! Slot `launcher`: where the runs of a study are made: by `maclip run` itself, or as jobs of a cluster.

use crate::error::Result;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One run that a job makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The name of its run directory.
    pub run: String,
    /// The file that says the run: `maclip execute SPEC` makes it. It is `N.json` in the folder of the batch, where N
    /// is the number of the cell from 0 on.
    pub spec: PathBuf,
    /// The file that what the job says goes to. `N.log` in the folder of the batch leads to it too.
    pub log: PathBuf,
}

/// Runs that are submitted with one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// A name that no other batch has: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// A folder of its own, with the specs. It is there when the batch is submitted, and all jobs must see it.
    pub folder: PathBuf,
    /// The program that submits.
    pub program: PathBuf,
    /// The folder that relative paths of a recipe begin at.
    pub directory: PathBuf,
    /// The runs.
    pub cells: Vec<Cell>,
}

/// A job that was submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The name of its batch.
    pub batch: String,
    /// What the cluster calls it.
    pub id: String,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It waits for its turn, the first time or again.
    Waiting,
    /// It runs.
    Working,
    /// It has ended: well, by a request, or at a limit. The records of its run say whether there is a result.
    Ended,
    /// It has ended with an error. Its run has failed too, unless the records say how that ended.
    Failed,
    /// This cannot be known.
    Unknown,
}

/// How far a job is, and what the cluster says about that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobState {
    /// How far it is.
    pub phase: Phase,
    /// Why it waits, where it runs, or how it ended, in a few words; may be empty.
    pub detail: String,
}

impl Phase {
    /// Whether nothing more comes of the job.
    pub fn is_over(self) -> bool {
        matches!(self, Phase::Ended | Phase::Failed)
    }
}

/// Says where runs are made.
///
/// # Contract
/// It is about the work alone: a run has the same result wherever it is made.
pub trait Launcher: Send + Sync + std::fmt::Debug {
    /// What jobs are submitted to; `None` where `maclip run` makes the runs itself.
    fn queue(&self) -> Option<&dyn Queue>;
}

/// Something that jobs are submitted to.
///
/// # Contract
/// A script is a function of the batch and the options alone, and speaks of the batch by its name. Nothing is asked and
/// nothing is done for an empty list of jobs. A job may be started again, by the cluster or by itself: it goes on from
/// the newest checkpoint of its run.
pub trait Queue {
    /// The name of the system, for messages: `Slurm`.
    fn system(&self) -> &str;

    /// How many cells one batch may have at most.
    fn most(&self) -> usize;

    /// What is submitted, for a person to read.
    ///
    /// # Errors
    /// Where a path or a name of the batch cannot be written there.
    fn script(&self, batch: &Batch) -> Result<String>;

    /// Submits the batch. The result has the id of each cell's job.
    ///
    /// # Errors
    /// Where the cluster cannot be reached or refuses the batch. Nothing was submitted then.
    fn submit(&self, batch: &Batch) -> Result<Vec<String>>;

    /// The ids of a batch of `count` cells that may have been submitted, by a call that was stopped before it knew
    /// them; `None` where there is no such batch.
    ///
    /// # Errors
    /// Where the cluster cannot be reached.
    fn find(&self, name: &str, count: usize) -> Result<Option<Vec<String>>>;

    /// How far jobs are, by their id. Jobs that the cluster does not know any more are left out.
    ///
    /// # Errors
    /// Where the cluster cannot be reached, or says something else than expected.
    fn states(&self, jobs: &[Job]) -> Result<BTreeMap<String, JobState>>;

    /// How jobs have ended that [`Queue::states`] leaves out, by their id, where the cluster keeps accounts that
    /// answer.
    fn ends(&self, _: &[Job]) -> BTreeMap<String, JobState> {
        BTreeMap::new()
    }

    /// Ends jobs, or takes them out of the queue. A run that was being made keeps a checkpoint.
    ///
    /// # Errors
    /// Where the cluster cannot be reached or refuses this.
    fn cancel(&self, jobs: &[Job]) -> Result<()>;
}

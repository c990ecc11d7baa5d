//! Runs as jobs of a cluster: which of them are submitted, and what became of their jobs.
//!
//! The journal beside the runs is written before and after each submission. A call that was stopped in between left a
//! batch without ids there; the next one asks the cluster for it by its unique name.

use super::overview::{RunOverview, to_make};
use super::spec::Spec;
use crate::error::{Error, Result};
use crate::files::{sha256, unix_seconds};
use crate::recipe::Recipe;
use crate::registry::{BuildContext, SlotTrait, build_choice};
use crate::runs::directory::RunDirectory;
use crate::runs::journal::{self, End, Journal, Submission, Submitted};
use crate::runs::records::State;
use crate::runs::store::in_use;
use crate::slots::launcher::{Batch, Cell, Job, JobState, Launcher, Phase, Queue};
use burn::tensor::Device;
use maclip_language::Node;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The newest job of a run.
#[derive(Clone, Debug)]
pub struct RunJob {
    /// The job, as its cluster knows it.
    pub job: Job,
    /// The name of the system that it was submitted to.
    pub system: String,
    /// When it was submitted, in seconds since 1970.
    pub submitted_unix: u64,
    /// The file with what it says.
    pub log: PathBuf,
    /// How far it is; `None` where the cluster does not know it any more.
    pub state: Option<JobState>,
}

/// What a job means for its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The run waits for it.
    Waits,
    /// It makes the run.
    Works,
    /// Nothing more comes of it.
    Over,
}

impl RunJob {
    /// What the job means for its run, whose directory is `run` where there is one.
    pub fn stage(&self, run: Option<&RunDirectory>) -> Stage {
        let updated = run.and_then(|run| run.status.as_ref()).map_or(0, |status| status.updated_unix);
        match (self.state.as_ref().map(|state| state.phase), run.and_then(RunDirectory::state)) {
            (Some(Phase::Waiting), _) => Stage::Waits,
            (Some(Phase::Working), _) => Stage::Works,
            (Some(Phase::Ended | Phase::Failed) | None, _) => Stage::Over,
            // The records alone say it.
            (Some(Phase::Unknown), Some(State::Running)) => Stage::Works,
            (Some(Phase::Unknown), Some(State::Done)) => Stage::Over,
            (Some(Phase::Unknown), Some(_)) if updated >= self.submitted_unix => Stage::Over,
            (Some(Phase::Unknown), _) => Stage::Waits,
        }
    }

    /// Whether the run failed with the job, whose records in `run` say nothing of that: the job failed before it wrote
    /// any, or its process was killed.
    pub fn failed(&self, run: Option<&RunDirectory>) -> bool {
        let status = run.and_then(|run| run.status.as_ref());
        let said =
            status.is_some_and(|status| status.state != State::Running && status.updated_unix >= self.submitted_unix);
        self.state.as_ref().is_some_and(|state| state.phase == Phase::Failed) && !said
    }

    /// `job 12_3 of Slurm: priority`
    pub fn text(&self) -> String {
        let Job { id, .. } = &self.job;
        match &self.state {
            None => format!("{} does not know job {id} any more", self.system),
            Some(JobState { detail, .. }) if detail.is_empty() => format!("job {id} of {}", self.system),
            Some(JobState { detail, .. }) => format!("job {id} of {}: {detail}", self.system),
        }
    }
}

/// The newest jobs of runs, by the run directory.
#[derive(Debug, Default)]
pub struct Jobs {
    /// The job of each run that was submitted.
    pub of: BTreeMap<PathBuf, RunJob>,
    /// Why clusters could not be asked. What is known of their jobs is what the journal says.
    pub unasked: Vec<Error>,
}

impl Jobs {
    /// The jobs of those runs in the folder `runs` that are `wanted`. A cluster is asked only where it has some of
    /// them. The ends of jobs are kept in the journal, because a cluster forgets them.
    ///
    /// # Errors
    /// Where the journal cannot be read.
    pub fn read(runs: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Self> {
        let batches = journal::read(runs)?;
        let jobs = Self::ask(&batches, runs, &wanted);
        let mut ends = BTreeMap::new();
        for (batch, cell) in batches.iter().flat_map(|batch| batch.cells.iter().map(move |cell| (batch, cell))) {
            let job = jobs.of.get(&runs.join(&cell.run)).filter(|job| job.job.batch == batch.name);
            let end = job.and_then(|job| End::of(job.state.as_ref()?));
            if let Some(end) = end.filter(|end| cell.end.as_ref() != Some(end)) {
                ends.insert((batch.name.clone(), cell.run.clone()), end);
            }
        }
        if !ends.is_empty() {
            // Who may only read the folder sees the same states, as long as the cluster knows them.
            let _ = Journal::keep_ends(runs, &ends);
        }
        Ok(jobs)
    }

    fn ask(batches: &[Submission], runs: &Path, wanted: &dyn Fn(&Path) -> bool) -> Self {
        let mut jobs = Self::default();
        // Only the newest job of a run counts.
        let mut newest: BTreeMap<&str, (&Submission, &Submitted)> = BTreeMap::new();
        for batch in batches {
            newest.extend(batch.cells.iter().map(|cell| (cell.run.as_str(), (batch, cell))));
        }
        newest.retain(|run, _| wanted(&runs.join(run)));
        let mut launchers: Vec<&Value> = Vec::new();
        for (batch, _) in newest.values().filter(|(batch, _)| !batch.cells.is_empty()) {
            if !launchers.contains(&&batch.launcher) {
                launchers.push(&batch.launcher);
            }
        }
        for choice in launchers {
            let cells = || newest.values().filter(|(batch, _)| batch.launcher == *choice);
            if let Err(error) = jobs.ask_one(choice, runs, cells().copied()) {
                jobs.unasked.push(error);
                let system = choice["type"].as_str().unwrap_or_default();
                let unknown = JobState { phase: Phase::Unknown, detail: "its state is not known".to_owned() };
                jobs.add(runs, system, cells().copied(), |_, cell| cell.id.clone(), |_| None, &Some(unknown));
            }
        }
        jobs
    }

    /// Adds what one launcher says of `cells`.
    fn ask_one<'a>(
        &mut self,
        choice: &Value,
        runs: &Path,
        cells: impl Iterator<Item = (&'a Submission, &'a Submitted)> + Clone,
    ) -> Result<()> {
        let launcher = built(choice)?;
        let Some(queue) = launcher.queue() else { return Ok(()) };
        let mut found: BTreeMap<&str, Option<Vec<String>>> = BTreeMap::new();
        for (batch, _) in cells.clone().filter(|(_, cell)| cell.id.is_none()) {
            if !found.contains_key(batch.name.as_str()) {
                found.insert(&batch.name, queue.find(&batch.name, batch.count)?);
            }
        }
        let id_of = |batch: &Submission, cell: &Submitted| {
            let known = || found.get(batch.name.as_str())?.as_ref()?.get(cell.index).cloned();
            cell.id.clone().or_else(known)
        };
        let job =
            |(batch, cell): (&Submission, &Submitted)| Some(Job { batch: batch.name.clone(), id: id_of(batch, cell)? });
        let mut states = queue.states(&cells.clone().filter_map(job).collect::<Vec<_>>())?;
        let forgotten = cells.clone().filter(|(_, cell)| cell.end.is_none()).filter_map(job);
        let forgotten: Vec<Job> = forgotten.filter(|job| !states.contains_key(&job.id)).collect();
        if !forgotten.is_empty() {
            states.extend(queue.ends(&forgotten));
        }
        self.add(runs, queue.system(), cells, id_of, |id| states.get(id).cloned(), &None);
        Ok(())
    }

    fn add<'a>(
        &mut self,
        runs: &Path,
        system: &str,
        cells: impl Iterator<Item = (&'a Submission, &'a Submitted)>,
        id_of: impl Fn(&Submission, &Submitted) -> Option<String>,
        state: impl Fn(&str) -> Option<JobState>,
        otherwise: &Option<JobState>,
    ) {
        for (batch, cell) in cells {
            // A batch that never reached the cluster has none.
            let Some(id) = id_of(batch, cell) else { continue };
            let state = state(&id).or_else(|| cell.end.as_ref().map(End::state)).or_else(|| otherwise.clone());
            let job = Job { batch: batch.name.clone(), id };
            let log = journal::folder_of(runs).join(format!("{}.log", cell.run));
            let (system, submitted_unix) = (system.to_owned(), batch.submitted_unix);
            self.of.insert(runs.join(&cell.run), RunJob { job, system, submitted_unix, log, state });
        }
    }
}

/// The launcher that `choice`, with every default, names.
fn built(choice: &Value) -> Result<Box<dyn Launcher>> {
    build_choice::<dyn Launcher>(&Node::from_json(choice), &BuildContext::new(0, Device::flex()))
}

/// What a recipe says about its launcher.
fn choice_of(recipe: &Recipe) -> Value {
    recipe.resolved.at(<dyn Launcher>::NAME).map_or(Value::Null, Node::to_json)
}

/// Whether the runs are made as jobs, and not by the process that is asked for them.
///
/// # Errors
/// Where some are and others are not, and where a launcher cannot be built.
pub fn as_jobs<'a>(runs: impl IntoIterator<Item = &'a RunOverview>) -> Result<bool> {
    let mut seen: Vec<(Value, bool, String)> = Vec::new();
    for run in runs {
        let choice = choice_of(&run.run.recipe);
        if seen.iter().all(|(known, ..)| *known != choice) {
            let queued = built(&choice)?.queue().is_some();
            seen.push((choice, queued, run.run.name()));
        }
    }
    let one = |wanted: bool| seen.iter().find(|(_, queued, _)| *queued == wanted).map(|(.., name)| name);
    match (one(true), one(false)) {
        (Some(queued), Some(here)) => Err(Error::failed(format!("{queued} is made as a job, and {here} is not"))
            .help("choose some of them with `--only`, or one launcher for all with `--launcher NAME`")),
        (queued, _) => Ok(queued.is_some()),
    }
}

/// Runs of one recipe that will be submitted together.
pub struct Planned {
    /// The batch.
    pub batch: Batch,
    launcher: Box<dyn Launcher>,
    choice: Value,
    /// Their numbers among the runs.
    at: Vec<usize>,
}

impl Planned {
    fn queue(&self) -> Result<&dyn Queue> {
        self.launcher.queue().ok_or_else(|| Error::failed("this launcher submits nothing"))
    }

    /// What would be submitted.
    ///
    /// # Errors
    /// As [`Queue::script`].
    pub fn script(&self) -> Result<String> {
        self.queue()?.script(&self.batch)
    }
}

/// The runs of one recipe, before they are submitted.
pub struct Plan {
    /// What will be submitted.
    pub batches: Vec<Planned>,
    /// Runs that wait or are being made already, by their number.
    pub open: BTreeSet<usize>,
}

/// What is to be submitted of `runs`, which are of one recipe and lie in `folder`.
///
/// # Errors
/// Where a cluster cannot be asked which of them wait or run already, and where a launcher cannot be built.
pub fn plan(runs: &[RunOverview], folder: &Path) -> Result<Plan> {
    plan_with(runs, &journal::read(folder)?, folder)
}

fn plan_with(runs: &[RunOverview], known: &[Submission], folder: &Path) -> Result<Plan> {
    let missing: BTreeSet<&Path> = to_make(runs).into_iter().map(|run| run.path.as_path()).collect();
    let Jobs { of: jobs, unasked } = Jobs::ask(known, folder, &|path| missing.contains(path));
    if let Some(error) = unasked.into_iter().next() {
        return Err(error);
    }
    let mut open = BTreeSet::new();
    let mut groups: Vec<(Value, Vec<usize>)> = Vec::new();
    for (at, run) in runs.iter().enumerate().filter(|(_, run)| missing.contains(run.path.as_path())) {
        let over = jobs.get(&run.path).is_none_or(|job| job.stage(run.directory.as_ref()) == Stage::Over);
        if !over || in_use(&run.path) {
            open.insert(at);
            continue;
        }
        let choice = choice_of(&run.run.recipe);
        match groups.iter_mut().find(|(known, _)| *known == choice) {
            Some((_, members)) => members.push(at),
            None => groups.push((choice, vec![at])),
        }
    }
    let absolute = |path: &Path| std::path::absolute(path).map_err(|error| Error::io("find", path, error));
    let program = std::env::current_exe().map_err(|error| Error::failed(format!("cannot find maclip: {error}")))?;
    if !program.is_file() {
        let replaced =
            "the file of maclip was replaced or removed since this began, and other machines start it from there";
        return Err(Error::failed(replaced).help("run the command again: what was submitted is not submitted twice"));
    }
    let directory = absolute(Path::new("."))?;
    let jobs_folder = absolute(&journal::folder_of(folder))?;
    let mut batches = Vec::new();
    for (choice, members) in groups {
        let most = built(&choice)?.queue().map_or(1, Queue::most).max(1);
        for at in members.chunks(most) {
            let names: Vec<String> = at.iter().map(|at| name_of(&runs[*at])).collect();
            let name = unique(&runs[at[0]].run.recipe.name, &names);
            let own = jobs_folder.join(&name);
            let cell = |(index, run): (usize, &String)| Cell {
                run: run.clone(),
                spec: own.join(format!("{index}.json")),
                log: jobs_folder.join(format!("{run}.log")),
            };
            let cells = names.iter().enumerate().map(cell).collect();
            let (program, directory) = (program.clone(), directory.clone());
            let batch = Batch { name, folder: own.clone(), program, directory, cells };
            batches.push(Planned { batch, launcher: built(&choice)?, choice: choice.clone(), at: at.to_vec() });
        }
    }
    Ok(Plan { batches, open })
}

fn name_of(run: &RunOverview) -> String {
    run.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A name that no other batch has.
fn unique(recipe: &str, runs: &[String]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    let hash = sha256(format!("{now} {} {}", std::process::id(), runs.join(" ")).as_bytes());
    format!("{recipe}-{}", &hash[..8])
}

/// What [`submit`] has done.
#[derive(Debug, Default)]
pub struct Sent {
    /// Runs that were submitted, by their number, with the system and the id of the job.
    pub submitted: BTreeMap<usize, (String, String)>,
    /// Runs that wait or are being made already, by their number.
    pub open: BTreeSet<usize>,
}

/// Submits those of `runs`, which are of one recipe and go to `all`/name, that are missing and neither wait nor run.
/// `reuse` says whether the records of the same run under another name may be copied.
///
/// # Errors
/// As [`plan`]; where the journal or a spec cannot be written; where the cluster refuses a batch. Batches before that
/// one were submitted then, and the next call knows them.
pub fn submit(runs: &[RunOverview], all: &Path, reuse: bool) -> Result<Sent> {
    let Some(folder) = runs.first().and_then(|run| run.path.parent()) else { return Ok(Sent::default()) };
    let mut journal = Journal::open(folder)?;
    let Plan { batches, open } = plan_with(runs, &journal.batches, folder)?;
    let mut sent = Sent { open, ..Sent::default() };
    for planned in batches {
        let queue = planned.queue()?;
        let Batch { name, folder: own, cells, .. } = &planned.batch;
        std::fs::create_dir_all(own).map_err(|error| Error::io("make the folder", own, error))?;
        for (index, (at, cell)) in planned.at.iter().zip(cells).enumerate() {
            Spec { run: runs[*at].run.clone(), runs: all.to_owned(), reuse }.write(&cell.spec, None)?;
            let link = own.join(format!("{index}.log"));
            std::os::unix::fs::symlink(Path::new("..").join(format!("{}.log", cell.run)), &link)
                .map_err(|error| Error::io("make the link", &link, error))?;
        }
        let cell = |(index, cell): (usize, &Cell)| Submitted { run: cell.run.clone(), index, id: None, end: None };
        journal.batches.push(Submission {
            name: name.clone(),
            launcher: planned.choice.clone(),
            submitted_unix: unix_seconds(),
            count: cells.len(),
            cells: cells.iter().enumerate().map(cell).collect(),
        });
        // Before the submission: whatever happens to this process, the next one knows the name to ask for.
        journal.write()?;
        let ids = match queue.submit(&planned.batch) {
            Ok(ids) => ids,
            // An answer that was lost on the way is no refusal.
            Err(error) => match reached(queue, name, cells.len()) {
                Some(ids) => ids,
                None => {
                    journal
                        .batches
                        .iter_mut()
                        .filter(|batch| batch.name == *name)
                        .for_each(|batch| batch.cells.clear());
                    journal.write()?;
                    return Err(error);
                }
            },
        };
        if ids.len() != cells.len() {
            return Err(Error::failed(format!("{} gave {} ids for {} runs", queue.system(), ids.len(), cells.len())));
        }
        let submission = journal.batches.pop();
        journal.forget(&cells.iter().map(|cell| cell.run.as_str()).collect::<Vec<_>>());
        journal.batches.extend(submission);
        if let Some(batch) = journal.batches.last_mut() {
            batch.cells.iter_mut().zip(&ids).for_each(|(cell, id)| cell.id = Some(id.clone()));
        }
        journal.write()?;
        let sent_now = planned.at.iter().zip(ids).map(|(at, id)| (*at, (queue.system().to_owned(), id)));
        sent.submitted.extend(sent_now);
    }
    Ok(sent)
}

/// The ids of a batch that the cluster has taken, although the call that submitted it failed. Slurm keeps a job that it
/// has refused as one that has ended.
fn reached(queue: &dyn Queue, name: &str, count: usize) -> Option<Vec<String>> {
    let ids = queue.find(name, count).ok()??;
    let job = |id: &String| Job { batch: name.to_owned(), id: id.clone() };
    let states = queue.states(&ids.iter().map(job).collect::<Vec<_>>()).ok()?;
    states.values().any(|state| !state.phase.is_over()).then_some(ids)
}

/// Cancels the jobs of those runs in the folder `runs` that are `wanted` and wait or run. Returns the run directories
/// with their jobs.
///
/// # Errors
/// Where a cluster cannot be asked or does not cancel.
pub fn cancel(runs: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<(PathBuf, RunJob)>> {
    // Nothing is submitted meanwhile.
    let mut journal = Journal::open(runs)?;
    let Jobs { of: jobs, unasked } = Jobs::ask(&journal.batches, runs, &wanted);
    if let Some(error) = unasked.into_iter().next() {
        return Err(error);
    }
    let open = jobs.into_iter().filter(|(run, job)| job.stage(RunDirectory::open(run).ok().as_ref()) != Stage::Over);
    let open: Vec<(PathBuf, RunJob)> = open.collect();
    for batch in &journal.batches {
        let of_batch = open.iter().filter(|(_, job)| job.job.batch == batch.name);
        let ids: Vec<Job> = of_batch.map(|(_, job)| job.job.clone()).collect();
        if let (false, Some(queue)) = (ids.is_empty(), built(&batch.launcher)?.queue()) {
            queue.cancel(&ids)?;
        }
    }
    // Of a job whose state cannot be known, nobody would see that it has ended.
    let unknown = |job: &RunJob| job.state.as_ref().is_some_and(|state| state.phase == Phase::Unknown);
    let lost = open.iter().filter(|(_, job)| unknown(job)).filter_map(|(run, _)| run.file_name()?.to_str());
    let lost: Vec<&str> = lost.collect();
    if !lost.is_empty() {
        journal.forget(&lost);
        journal.write()?;
    }
    Ok(open)
}

//! Execute one run: a checked recipe becomes the files of its run directory, and leaves a status whatever happens.
//!
//! The command line, a launcher's job and a user's own program are callers of the same function.

use super::attempt::manifest;
use super::context::RunContext;
use super::reuse;
use super::task::Task;
use crate::error::{Error, Result};
use crate::profile::{self, Totals};
use crate::progress::Progress;
use crate::recipe::study::StudyRun;
use crate::recipe::{Recipe, device};
use crate::registry::BuildContext;
use crate::runs::directory::RunDirectory;
use crate::runs::records::{Manifest, State, Status};
use crate::runs::store::RunStore;
use burn::tensor::Device;
use maclip_language::Origin;
use std::path::{Path, PathBuf};

/// How a run is executed. Nothing here changes a result.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Wait for the device at the end of each phase, so that its time is exact; costs some.
    pub exact_phases: bool,
    /// Commit that the program was built from, for the manifest.
    pub commit: Option<&'a str>,
    /// Whether a finished run in this directory, which has the same identity under another name, may be copied in place of
    /// making the run again.
    pub reuse: &'a dyn Fn(&Path) -> bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { exact_phases: false, commit: None, reuse: &|_| true }
    }
}

/// What [`attempt`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Trained and tested to the end by this call.
    Made,
    /// It was done before; nothing was changed but what the recipe expects.
    AlreadyDone,
    /// The records of this run, which is the same under another name, were copied.
    Reused(PathBuf),
    /// Another process works on it.
    Busy,
}

/// Trains and tests `run` in its directory below `runs`, from its newest checkpoint where there is one, and opens what came
/// of it.
///
/// # Errors
/// Where another process works on the run; where the run fails, with the reason; [`Error::Interrupted`] after a request to stop.
pub fn execute(run: &StudyRun, runs: &Path, options: Options, progress: &dyn Progress) -> Result<RunDirectory> {
    let path = run.directory(runs);
    match attempt(run, runs, options, progress)? {
        Outcome::Busy => Err(RunStore::busy(&path)),
        Outcome::Made | Outcome::AlreadyDone | Outcome::Reused(_) => RunDirectory::open(&path),
    }
}

/// [`execute`], which says what it did and leaves a run alone that another process works on.
///
/// # Errors
/// As [`execute`], but for a run that another process works on.
pub fn attempt(run: &StudyRun, runs: &Path, options: Options, progress: &dyn Progress) -> Result<Outcome> {
    let path = run.directory(runs);
    if !path.join(Manifest::FILE).exists()
        && let Some(from) = reuse::same(runs, &run.recipe, &path, options.reuse)
        && reuse::copy_run(&from, &path, run)?
    {
        progress.note(&format!("the same run as {}: its records are copied", from.display()));
        return Ok(Outcome::Reused(from));
    }
    let Some(store) = RunStore::open_free(&path)? else { return Ok(Outcome::Busy) };
    if let Some(Status { state: State::Done, .. }) = store.status() {
        progress.note("done already, nothing to do");
        renew_expectations(&run.recipe, &store)?;
        return Ok(Outcome::AlreadyDone);
    }
    work(&store, run, options, progress)?;
    Ok(Outcome::Made)
}

/// Trains and tests in `store`, and notes there how it ended.
fn work(store: &RunStore, run: &StudyRun, options: Options, progress: &dyn Progress) -> Result<()> {
    let recipe = &run.recipe;
    let device = device_of(recipe)?;
    if options.exact_phases {
        profile::wait_for(device.clone());
    }
    let manifest = manifest(recipe, &run.variant, store, options.commit)?;
    store.write_text("recipe.resolved.yaml", &recipe.resolved.to_yaml())?;
    store.write_json(Manifest::FILE, &manifest)?;
    store.write_state(State::Running, None)?;
    profile::reset_peak_memory();
    let outcome = with_context(recipe, &device, store, progress, manifest, |task, context| task.run(context));
    outcome.inspect_err(|error| {
        let (state, reason) = match error {
            Error::Interrupted => (State::Interrupted, None),
            other => (State::Failed, Some(other.to_string())),
        };
        // The error itself is what the user must see; that the status could not be written either adds nothing.
        let _ = store.write_state(state, reason);
    })
}

/// What a recipe expects changes no result, so a run that is done takes it over.
fn renew_expectations(recipe: &Recipe, store: &RunStore) -> Result<()> {
    let mut frozen = Recipe::frozen(store.path())?;
    if frozen.expect == recipe.expect {
        return Ok(());
    }
    if let (Some(map), Some(expect)) = (frozen.resolved.as_map_mut(), recipe.resolved.at("expect")) {
        map.insert("expect", Origin::Default, expect.clone());
    }
    store.write_text("recipe.resolved.yaml", &frozen.resolved.to_yaml())
}

/// Makes training step `step` (from 1) of the run in `path` again and reports what happens in it; the run stays as it is.
///
/// # Errors
/// Where another process works on the run, or the step cannot be made.
pub fn replay(path: &Path, step: u64, progress: &dyn Progress) -> Result<serde_json::Value> {
    let recipe = Recipe::frozen(path)?;
    let store = RunStore::open(path)?;
    let manifest = manifest(&recipe, "", &store, None)?;
    let device = device_of(&recipe)?;
    with_context(&recipe, &device, &store, progress, manifest, |task, context| task.replay(context, step))
}

fn device_of(recipe: &Recipe) -> Result<Device> {
    device::parse(&recipe.device).map_err(|(message, help)| Error::failed(message).help(help))
}

fn with_context<T>(
    recipe: &Recipe,
    device: &Device,
    store: &RunStore,
    progress: &dyn Progress,
    manifest: Manifest,
    work: impl FnOnce(&dyn Task, &mut RunContext) -> Result<T>,
) -> Result<T> {
    let task = recipe.build::<dyn Task>(&BuildContext::new(recipe.seed, device.clone()))?;
    // `<runs>/<recipe name>/<run>`
    let shared = store.path().parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
    let runs = shared.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
    let started = Totals::now();
    let mut context = RunContext { recipe, store, progress, device, manifest, shared: &shared, runs: &runs, started };
    work(&*task, &mut context)
}

//! Execute one run: train and test what a checked recipe says, and write the files of the run directory. Whatever
//! happens, the directory has a status in the end.
//!
//! The command line, the jobs of a launcher and a user's own program all call the same function.

use super::attempt::manifest;
use super::context::{RunContext, log_of};
use super::inputs;
use super::reuse;
use super::task::{self, Task};
use crate::error::{Error, Result};
use crate::profile::{self, Totals};
use crate::progress::Progress;
use crate::recipe::study::StudyRun;
use crate::recipe::{Recipe, device};
use crate::runs::directory::RunDirectory;
use crate::runs::log::unlogged;
use crate::runs::records::{Manifest, State};
use crate::runs::store::RunStore;
use crate::slots::backbone::Precision;
use burn::tensor::Device;
use maclip_language::{Arguments, Origin, load};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

/// How a run is executed. Nothing here changes a result.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Wait for the device at the end of each phase, so that its measured time is exact. This makes the run slower.
    pub exact_phases: bool,
    /// Commit that the program was built from, for the manifest; see
    /// [`Attempt::commit`](crate::runs::records::Attempt::commit).
    pub commit: Option<&'a str>,
    /// Where a finished run has the same identity under another name, its records can be copied instead of training
    /// again; where it differs in its test alone, its training can be. This function says whether the run in a
    /// directory may be used for that.
    pub reuse: &'a dyn Fn(&Path) -> bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { exact_phases: false, commit: None, reuse: &|_| true }
    }
}

/// The result of [`attempt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This call trained and tested the run to the end.
    Made,
    /// The run was done before. Nothing was changed, except for the results that the recipe expects.
    AlreadyDone,
    /// The records were copied from the run in this directory, which is the same run under another name.
    Reused(PathBuf),
    /// Another process works on the run.
    Busy,
}

/// Trains and tests `run` in its directory below `runs`, from its newest checkpoint where there is one. Weights on the
/// hub that its cache lacks are fetched first. Returns the finished run directory, opened.
///
/// # Errors
/// Where another process works on the run; where weights cannot be fetched; where the run fails, with the reason;
/// [`Error::Interrupted`] after a request to stop.
pub fn execute(run: &StudyRun, runs: &Path, options: Options, progress: &dyn Progress) -> Result<RunDirectory> {
    let path = run.directory(runs);
    match attempt(run, runs, options, progress)? {
        Outcome::Busy => Err(RunStore::busy(&path)),
        Outcome::Made | Outcome::AlreadyDone | Outcome::Reused(_) => RunDirectory::open(&path),
    }
}

/// [`execute`], but the result says what was done, and it is no error that another process works on the run.
///
/// # Errors
/// As [`execute`], except for a run that another process works on.
pub fn attempt(run: &StudyRun, runs: &Path, options: Options, progress: &dyn Progress) -> Result<Outcome> {
    let path = run.directory(runs);
    let mut run = run.clone();
    if let Ok(there) = RunDirectory::open(&path) {
        there.pin(&mut run.recipe);
    }
    let run = &run;
    let counts = |other: &Path| {
        let unchanged = || -> Result<bool> {
            let other = RunDirectory::open(other)?;
            other.verify()?;
            Ok(inputs::changed(&other, &run.recipe, runs)?.is_empty())
        };
        (options.reuse)(other) && unchanged().unwrap_or(false)
    };
    let before = done(&path, progress);
    if before.is_none() {
        inputs::provide(&run.recipe, progress)?;
    }
    if !path.join(Manifest::FILE).exists()
        && let Some(from) = reuse::same(runs, &run.recipe, &path, counts)
        && reuse::copy_run(&from, &path, run)?
    {
        progress.note(&format!("the same run as {}: its records are copied", from.display()));
        complete_log(&run.recipe, &path, progress)?;
        return Ok(Outcome::Reused(from));
    }
    let trained_alike = |other: &RunDirectory| {
        let alike = || -> Result<bool> {
            other.verify()?;
            inputs::trained_alike(other, &run.recipe, runs)
        };
        (options.reuse)(&other.path) && alike().unwrap_or(false)
    };
    if !path.join(Manifest::FILE).exists()
        && let Some(from) = reuse::same_training(runs, &run.recipe, trained_alike)
        && reuse::copy_training(&from, &path, run)?
    {
        progress.note(&format!("trained as {}: its training is copied", from.path.display()));
    }
    // A run that is done is not locked: it may be where nothing can be written.
    if let Some(done) = before {
        done.verify()?;
        match inputs::changed(&done, &run.recipe, runs) {
            Ok(changed) if changed.is_empty() => progress.note("done already, nothing to do"),
            Ok(changed) => return Err(inputs::refusal(&done, &changed)),
            Err(error) => progress.note(&format!(
                "done already; whether its weights, lists and clips are still the same cannot be seen: {error}"
            )),
        }
        renew_expectations(&run.recipe, &path, progress)?;
        complete_log(&run.recipe, &path, progress)?;
        return Ok(Outcome::AlreadyDone);
    }
    let Some(store) = RunStore::open_free(&path)? else { return Ok(Outcome::Busy) };
    if done(&path, progress).is_some() {
        // Another process has done it before it could be locked here.
        return Ok(Outcome::AlreadyDone);
    }
    work(&store, run, options, progress)?;
    // After the status: a log that cannot be written takes nothing from a run that is done.
    if let Some(log) = log_of(&run.recipe) {
        log.complete(&store).map_err(|error| unlogged(error, &store))?;
    }
    Ok(Outcome::Made)
}

/// Trains and tests in the run directory `store`, and writes there how it ended.
fn work(store: &RunStore, run: &StudyRun, options: Options, progress: &dyn Progress) -> Result<()> {
    let recipe = &run.recipe;
    let devices = devices_of(recipe)?;
    if options.exact_phases {
        profile::wait_for(devices.clone());
    }
    let manifest = manifest(recipe, &run.variant, store, options.commit)?;
    store.write_text("recipe.resolved.yaml", &recipe.resolved.to_yaml())?;
    store.write_json(Manifest::FILE, &manifest)?;
    store.write_state(State::Running, None)?;
    profile::reset_peak_memory();
    let outcome =
        contained(|| with_context(recipe, &devices, store, progress, manifest, |task, context| task.run(context)));
    outcome.inspect_err(|error| {
        let (state, reason) = match error {
            Error::Interrupted => (State::Interrupted, None),
            other => (State::Failed, Some(other.to_string())),
        };
        // The user must see this error; a second one, that the status could not be written, would only hide it.
        let _ = store.write_state(state, reason);
    })
}

/// The run in `path`, where it is done.
fn done(path: &Path, progress: &dyn Progress) -> Option<RunDirectory> {
    let opened = RunDirectory::open(path);
    if let Err(error) = opened.as_ref()
        && path.join(Manifest::FILE).exists()
    {
        progress.note(&format!("{error}\nthe run goes on from what can be read"));
    }
    opened.ok().filter(|run| run.state() == Some(State::Done))
}

/// A panic in `work`, which is a mistake of the program, as an error: the other runs of a study go on.
fn contained<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message");
        Err(Error::failed(format!("the program failed in this run: {text}"))
            .help("this is a mistake of maclip: please report it with the recipe; the lines above say where it is"))
    })
}

/// The results that a recipe expects do not change the run, so a finished run gets those of the recipe as it is now.
/// Where nothing can be written there, it keeps what it has.
fn renew_expectations(recipe: &Recipe, path: &Path, progress: &dyn Progress) -> Result<()> {
    if Recipe::frozen(path)?.expect == recipe.expect {
        return Ok(());
    }
    let store = match RunStore::open_free(path) {
        Ok(Some(store)) => store,
        Ok(None) => return Ok(()),
        Err(error) => {
            progress.note(&format!("the results that the recipe expects are not renewed: {error}"));
            return Ok(());
        }
    };
    // The tree as it was written: this program may know options that it does not have, and the run's seal is over it.
    let mut frozen = load(&path.join("recipe.resolved.yaml"), &Arguments::default())?.root;
    if let (Some(map), Some(expect)) = (frozen.as_map_mut(), recipe.resolved.at("expect")) {
        map.insert("expect", Origin::Default, expect.clone());
    }
    store.write_text("recipe.resolved.yaml", &frozen.to_yaml())
}

/// Completes the log that the recipe asks for of a run that is done. Where nothing can be written there, it keeps what
/// it has.
fn complete_log(recipe: &Recipe, path: &Path, progress: &dyn Progress) -> Result<()> {
    let Some(log) = log_of(recipe) else { return Ok(()) };
    match RunStore::open_free(path) {
        Ok(Some(store)) => log.complete(&store).map_err(|error| unlogged(error, &store)),
        Ok(None) => Ok(()),
        Err(error) => {
            progress.note(&format!("its log is not completed: {error}"));
            Ok(())
        }
    }
}

/// Computes training step `step` (from 1) of the run in `path` again and reports what happens in it, as
/// [`Task::replay`] does. The run stays as it is.
///
/// # Errors
/// Where another process works on the run, its recipe cannot be read, or the step cannot be computed.
pub fn replay(path: &Path, step: u64, progress: &dyn Progress) -> Result<serde_json::Value> {
    let mut recipe = Recipe::frozen(path)?;
    RunDirectory::open(path)?.pin(&mut recipe);
    inputs::provide(&recipe, progress)?;
    let store = RunStore::open(path)?;
    let manifest = manifest(&recipe, "", &store, None)?;
    let devices = devices_of(&recipe)?;
    with_context(&recipe, &devices, &store, progress, manifest, |task, context| task.replay(context, step))
}

/// The recipe's devices, each of which has computed something already: a missing driver is an error here and no panic
/// later, and so are wrong gradients where the recipe trains.
fn devices_of(recipe: &Recipe) -> Result<Vec<Device>> {
    let names = recipe.devices.names();
    let training = names.iter().any(|name| device::is_compared(name)) && trains(recipe)?;
    let opened = |name: &String| match training && device::is_compared(name) {
        true => device::probe_training(name),
        false => device::probe(name, Precision::F32),
    };
    names.iter().map(opened).collect::<Result<_>>().map_err(|error| error.at(recipe.place("device")))
}

/// Whether a run of the recipe changes weights.
fn trains(recipe: &Recipe) -> Result<bool> {
    let told = recipe.resolved.at("task.start.train").map(|node| node.to_json() == false);
    Ok(told != Some(true) && task::of(recipe)?.plan(recipe)?.params.trainable > 0)
}

fn with_context<T>(
    recipe: &Recipe,
    devices: &[Device],
    store: &RunStore,
    progress: &dyn Progress,
    manifest: Manifest,
    work: impl FnOnce(&dyn Task, &mut RunContext) -> Result<T>,
) -> Result<T> {
    // A recipe names at least one.
    let task = recipe.build::<dyn Task>(&recipe.context(&devices[0]))?;
    // `<runs>/<recipe name>/<run>`
    let shared = store.path().parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
    let runs = shared.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
    let started = Totals::now();
    let mut context = RunContext { recipe, store, progress, devices, manifest, shared: &shared, runs: &runs, started };
    work(&*task, &mut context)
}

//! The environment that a task runs in.

use crate::error::{Error, Result};
use crate::files::write_json;
use crate::profile;
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::recipe::expectation::TestResult;
use crate::registry::BuildContext;
use crate::runs::log::LogTo;
use crate::runs::records::{Attempt, Contents, Inputs, Manifest, State, Status};
use crate::runs::seal::seal;
use crate::runs::store::{RunStore, checkpoint_steps};
use burn::tensor::Device;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// The environment that a task runs in: the recipe, the open run directory, the device, and where to report progress.
pub struct RunContext<'a> {
    /// The checked recipe.
    pub recipe: &'a Recipe,
    /// The run directory, open and locked.
    pub store: &'a RunStore,
    /// Where the task reports how far it is.
    pub progress: &'a dyn Progress,
    /// The devices that the recipe names, in its order; at least one.
    pub devices: &'a [Device],
    /// The manifest of the run; its last attempt is this process. [`RunContext::write_manifest`] writes it.
    pub manifest: Manifest,
    /// Folder of the recipe's runs, for files that these share, such as episode lists.
    pub shared: &'a Path,
    /// Folder of all runs.
    pub runs: &'a Path,
    /// The seconds of each phase when this run began: the process may have made other runs before.
    pub started: profile::Totals,
}

/// What the runs of `recipe` log for other programs; `None` where it asks for nothing.
pub(super) fn log_of(recipe: &Recipe) -> Option<LogTo<'_>> {
    recipe.log.on().then_some(LogTo { options: &recipe.log, recipe: &recipe.resolved })
}

impl<'a> RunContext<'a> {
    /// The first device, which holds the weights.
    pub fn device(&self) -> &'a Device {
        &self.devices[0]
    }

    /// What the run's training logs for other programs; `None` where the recipe asks for nothing.
    pub fn log(&self) -> Option<LogTo<'a>> {
        log_of(self.recipe)
    }
}

impl RunContext<'_> {
    /// The entry of this process in the manifest.
    ///
    /// # Errors
    /// Where the manifest has no attempt.
    pub fn attempt(&mut self) -> Result<&mut Attempt> {
        self.manifest.attempts.last_mut().ok_or_else(|| Error::failed("the manifest has no attempt"))
    }

    /// Adds a sentence to the manifest that a reader of the result must know, unless it is there already.
    pub fn note(&mut self, text: String) {
        if !self.manifest.notes.contains(&text) {
            self.manifest.notes.push(text);
        }
    }

    /// Puts the checksums of the run's inputs into the manifest. `what` is `weights` or `list`, `sums` the SHA-256
    /// (hex) of each by name.
    ///
    /// # Errors
    /// Where a run that has checkpoints would continue with another file or list than before.
    pub fn note_inputs(&mut self, what: &str, sums: BTreeMap<String, String>) -> Result<()> {
        let earlier = if what == "weights" { &self.manifest.weights } else { &self.manifest.lists };
        let changed = sums.iter().find(|(name, sum)| earlier.get(*name).is_some_and(|before| before != *sum));
        if let Some((name, _)) = changed {
            self.refuse_to_continue(format!("{what} `{name}` is not what this run was trained with so far"))?;
        }
        *if what == "weights" { &mut self.manifest.weights } else { &mut self.manifest.lists } = sums;
        Ok(())
    }

    /// Puts the contents of the run's clips into the manifest, and into a file that the recipe's runs share.
    ///
    /// # Errors
    /// Where a run that has checkpoints would continue with other contents than before, and where the file cannot be
    /// written.
    pub fn note_clips(&mut self, contents: Contents) -> Result<()> {
        let clips = contents.sum();
        let run = self.store.path();
        let before = self.manifest.inputs(run);
        let now = Inputs { clips: clips.clone(), lists: before.lists.clone(), contents, ..Inputs::default() };
        if let Some(changed) = before.changed(&now).first() {
            self.refuse_to_continue(format!("the content of {changed} is not what this run was trained with so far"))?;
        }
        if let Some(sum) = &clips {
            let file = self.shared.join(Contents::file(sum));
            if !file.is_file() {
                write_json(&file, &now.contents)?;
            }
        }
        self.manifest.clips = clips;
        Ok(())
    }

    /// An error with `message` where the run has checkpoints.
    fn refuse_to_continue(&self, message: String) -> Result<()> {
        let run = self.store.path();
        if checkpoint_steps(run).map_or(true, |steps| steps.is_empty()) {
            return Ok(());
        }
        let again = format!("bring it back, or begin again with `maclip runs rm {} --yes`", run.display());
        Err(Error::failed(message).help(again))
    }

    /// [`RunContext::note_inputs`] for the weights that `build` has read, with the values that their files decided and
    /// what the user must know about them.
    ///
    /// # Errors
    /// As [`RunContext::note_inputs`].
    pub fn note_weights(&mut self, build: &BuildContext) -> Result<()> {
        self.note_inputs("weights", build.weights())?;
        self.manifest.pinned = build.pinned();
        let settings = build.settings();
        let before = &self.manifest.settings;
        let changed = settings.iter().find(|(name, value)| before.get(*name).is_some_and(|before| before != *value));
        if let Some((name, value)) = changed {
            let then = &before[name];
            self.refuse_to_continue(format!("{name} is {value} now, and this run was trained with {then} so far"))?;
        }
        self.manifest.settings = settings;
        for text in build.notes() {
            self.progress.note(&text);
            self.note(text);
        }
        Ok(())
    }

    /// Writes the manifest as it is now.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write_manifest(&self) -> Result<()> {
        self.store.write_json(Manifest::FILE, &self.manifest)
    }

    /// Ends the run: writes phases and memory to the manifest, then the status `done` with the result `test` and the
    /// step of the checkpoint that was tested.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn finish(&mut self, test: TestResult, best_step: Option<u64>) -> Result<()> {
        self.note_costs()?;
        let seconds = self.manifest.seconds();
        let mut status = Status { test: Some(test), best_step, seconds, ..Status::new(State::Done) };
        status.seal = Some(seal(self.store.path(), &self.manifest, &json!(status))?);
        self.store.write_status(status)
    }

    /// Writes the phases and the memory of this attempt so far to the manifest. A task calls it also before it returns
    /// an error.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn note_costs(&mut self) -> Result<()> {
        let phases = profile::Totals::now().seconds_since(&self.started);
        let attempt = self.attempt()?;
        attempt.phases = phases;
        attempt.peak_memory_bytes = profile::peak_memory();
        self.write_manifest()
    }
}

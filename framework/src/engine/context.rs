//! What a task works with.

use crate::error::{Error, Result};
use crate::profile;
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::recipe::expectation::TestResult;
use crate::runs::records::{Attempt, Manifest, State, Status};
use crate::runs::store::{RunStore, checkpoint_steps};
use burn::tensor::Device;
use std::collections::BTreeMap;
use std::path::Path;

/// What a task works with.
pub struct RunContext<'a> {
    pub recipe: &'a Recipe,
    pub store: &'a RunStore,
    pub progress: &'a dyn Progress,
    pub device: &'a Device,
    pub manifest: Manifest,
    /// Folder of the recipe's runs, for what they share.
    pub shared: &'a Path,
    /// Folder of all runs.
    pub runs: &'a Path,
    /// Phase totals when this run began.
    pub started: profile::Totals,
}

impl RunContext<'_> {
    /// The last attempt, this process's own.
    pub fn attempt(&mut self) -> Result<&mut Attempt> {
        self.manifest.attempts.last_mut().ok_or_else(|| Error::failed("the manifest has no attempt"))
    }

    /// Notes something that a reader of the result has to know. An attempt that goes on says it again.
    pub fn note(&mut self, text: String) {
        if !self.manifest.notes.contains(&text) {
            self.manifest.notes.push(text);
        }
    }

    /// Notes checksums of `what` (`weights`, `list`) in the manifest; an error where a training that goes on would go on with others.
    pub fn note_inputs(&mut self, what: &str, sums: BTreeMap<String, String>) -> Result<()> {
        let earlier = if what == "weights" { &mut self.manifest.weights } else { &mut self.manifest.lists };
        let changed = sums.iter().find(|(name, sum)| earlier.get(*name).is_some_and(|before| before != *sum));
        if let Some((name, _)) = changed.filter(|_| checkpoint_steps(self.store.path()).is_ok_and(|s| !s.is_empty())) {
            return Err(Error::failed(format!("{what} `{name}` is not what this run was trained with so far")).help(
                format!("bring it back, or begin anew with `maclip runs rm {} --yes`", self.store.path().display()),
            ));
        }
        *earlier = sums;
        Ok(())
    }

    /// Writes the manifest as it is now.
    pub fn write_manifest(&self) -> Result<()> {
        self.store.write_json(Manifest::FILE, &self.manifest)
    }

    /// Closes the run: phases and memory into the manifest, then the status with `test`.
    pub fn finish(&mut self, test: TestResult, best_step: Option<u64>) -> Result<()> {
        self.note_costs()?;
        let seconds = self.manifest.seconds();
        self.store.write_status(Status { test: Some(test), best_step, seconds, ..Status::new(State::Done) })
    }

    /// Phases and memory of this attempt so far into the manifest.
    pub fn note_costs(&mut self) -> Result<()> {
        let phases = profile::Totals::now().seconds_since(&self.started);
        let attempt = self.attempt()?;
        attempt.phases = phases;
        attempt.peak_memory_bytes = profile::peak_memory();
        self.write_manifest()
    }
}

//! Slot `task`: what a run trains and tests. It is here and not with the other slots, because it is about runs and
//! plans.
//!
//! The component of a task sets [`Facts::task_slots`](crate::registry::Facts::task_slots) in its `Component::describe`.

use super::context::RunContext;
use crate::clips::sources::Needs;
use crate::error::{Error, Result};
use crate::model::plan::Plan;
use crate::model::workload::Workload;
use crate::recipe::Recipe;
use crate::registry::declare_slot;
use crate::runs::records::Inputs;
use burn::tensor::Device;
use maclip_language::Diagnostic;
use std::path::Path;

/// What is known when the inputs of a recipe are looked at.
pub struct Known<'a> {
    /// Folder of all runs, which has the caches.
    pub runs: &'a Path,
    /// Clips that the run left out because they could not be used: (clip id, reason).
    pub left_out: Vec<(String, String)>,
}

/// What a run trains and tests, such as few-shot episodes or contrastive pre-training.
pub trait Task: Send + Sync + std::fmt::Debug {
    /// The plan of `recipe`: its graph, parameters and costs. Reads neither data nor weights.
    ///
    /// # Errors
    /// Where a component cannot be built.
    fn plan(&self, recipe: &Recipe) -> Result<Plan>;

    /// What a whole run of `recipe` computes and writes. Reads no weights, and of the data only its lists; where they
    /// are not here, the usual sizes are assumed and a note says so.
    ///
    /// # Errors
    /// Where the task does not count this, as by default, or a component cannot be built.
    fn workload(&self, _recipe: &Recipe) -> Result<Workload> {
        Err(Error::failed("the task does not say how much a whole run computes")
            .help("few-shot recipes can be planned so; `maclip plan RECIPE` alone shows one step of this one"))
    }

    /// Checks everything that a run of `recipe` would read and build: data, lists, weights, model. Returns all problems
    /// that it finds. Trains nothing.
    fn examine(&self, recipe: &Recipe, device: &Device) -> Vec<Diagnostic>;

    /// Every clip that a run of `recipe` opens, for `maclip prepare`.
    ///
    /// # Errors
    /// Where the task keeps no clips, as by default, or the clips cannot be listed.
    fn needs(&self, _recipe: &Recipe) -> Result<Needs> {
        Err(Error::failed("the task decodes no clips that could be kept"))
    }

    /// Checksums of the weights, lists and clips that a run of `recipe` would read, as the run notes them in its
    /// manifest. By default there are none.
    ///
    /// # Errors
    /// Where they cannot be read.
    fn inputs(&self, _recipe: &Recipe, _known: &Known) -> Result<Inputs> {
        Ok(Inputs::default())
    }

    /// Trains and tests, from the newest checkpoint where there is one, and writes records, result and status to the
    /// run directory, which is open and locked.
    ///
    /// # Errors
    /// Where the run fails, with a message for the user; [`Error::Interrupted`] after a request to stop.
    fn run(&self, context: &mut RunContext) -> Result<()>;

    /// Computes training step `step` (from 1) again, from the newest checkpoint before it, and reports its losses,
    /// values and gradients as JSON. Changes nothing in the run directory.
    ///
    /// # Errors
    /// Where the run has no such step, or the task trains nothing.
    fn replay(&self, context: &mut RunContext, step: u64) -> Result<serde_json::Value>;
}

declare_slot!("task": Task, order: 0, default: Some("few_shot"), identity: None, "what is trained and tested");

/// Builds the task of `recipe`, for work that needs no device of its own.
///
/// # Errors
/// Where the task cannot be built from its options.
pub fn of(recipe: &Recipe) -> Result<Box<dyn Task>> {
    recipe.build(&recipe.context(&Device::flex()))
}

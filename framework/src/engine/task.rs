//! Slot `task`: what is trained and tested. It stands here and not with the other slots, as its contract speaks of runs and plans.
//!
//! The component of a task sets [`Facts::task_slots`](crate::registry::Facts::task_slots) in its `Component::describe`.

use super::context::RunContext;
use crate::clips::sources::Needs;
use crate::error::{Error, Result};
use crate::model::plan::Plan;
use crate::recipe::Recipe;
use crate::registry::{BuildContext, declare_slot};
use burn::tensor::Device;
use maclip_language::Diagnostic;

pub trait Task: Send + Sync + std::fmt::Debug {
    /// The graph and the parameters of `recipe`, without its data and weights.
    fn plan(&self, recipe: &Recipe) -> Result<Plan>;

    /// Everything that is wrong with what a run of `recipe` would read and build: data, lists, weights, model. Trains nothing.
    fn examine(&self, recipe: &Recipe, device: &Device) -> Vec<Diagnostic>;

    /// Every clip that a run of `recipe` opens, for `maclip prepare`.
    fn needs(&self, _recipe: &Recipe) -> Result<Needs> {
        Err(Error::failed("the task decodes no clips that could be kept"))
    }

    /// Trains and tests, from the last checkpoint where there is one. The run directory is open and locked.
    fn run(&self, context: &mut RunContext) -> Result<()>;

    /// Makes training step `step` (from 1) again, from the newest checkpoint before it, and tells what happens in it.
    fn replay(&self, context: &mut RunContext, step: u64) -> Result<serde_json::Value>;
}

declare_slot!("task": Task, order: 0, default: Some("few_shot"), identity: None, "what is trained and tested");

/// The task of `recipe`, for what needs no device.
///
/// # Errors
/// Where its options cannot be built.
pub fn of(recipe: &Recipe) -> Result<Box<dyn Task>> {
    recipe.build(&BuildContext::new(recipe.seed, Device::flex()))
}

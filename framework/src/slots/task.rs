//! Slot `task`: what is trained and tested.

use crate::clip_store::Needs;
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::recipe::Diagnostic;
use crate::run::{Recipe, RunContext};
use burn::tensor::Device;

pub trait Task: Send + Sync + std::fmt::Debug {
    /// Slots that the task reads; a recipe that fills any other is refused.
    fn slots(&self) -> &'static [&'static str];

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

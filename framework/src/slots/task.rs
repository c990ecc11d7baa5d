//! Slot `task`: what is trained and tested.

use crate::error::Result;
use crate::run::RunContext;

pub trait Task: Send + Sync + std::fmt::Debug {
    /// Slots that the task reads; a recipe that fills any other is refused.
    fn slots(&self) -> &'static [&'static str];

    /// Trains and tests, from the last checkpoint where there is one. The run directory is open and locked.
    fn run(&self, context: &mut RunContext) -> Result<()>;
}

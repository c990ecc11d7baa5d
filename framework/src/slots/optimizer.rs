//! Slot `optimizer`.

use crate::error::Result;
use burn::optim::ModuleOptimizer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a group of parameters has of its own; `null` takes the optimizer's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GroupOptions {
    /// Learning rate before the schedule.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 100.0))]
    pub learning_rate: Option<f64>,
    /// Weight decay of the group.
    #[schemars(range(min = 0.0))]
    pub weight_decay: Option<f64>,
}

pub trait Optimizer: Send + Sync + std::fmt::Debug {
    /// The learning rate that the schedule multiplies.
    fn learning_rate(&self) -> f64;

    /// Groups by the beginning of their parameters' dotted paths, such as `adapter` or `backbone.visual`.
    fn groups(&self) -> &BTreeMap<String, GroupOptions>;

    /// A fresh optimizer for a group; its state is restored from a checkpoint by parameter id.
    fn init(&self, group: &GroupOptions) -> Result<ModuleOptimizer>;

    /// Values that it keeps for each trained value, such as moments; `None` where nobody counted.
    fn state_values(&self) -> Option<usize> {
        None
    }
}

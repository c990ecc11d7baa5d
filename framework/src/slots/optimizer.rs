//! Slot `optimizer`.

use crate::error::Result;
use crate::registry::Problems;
use burn::optim::ModuleOptimizer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a group of parameters has of its own; `null` takes the optimizer's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GroupOptions {
    /// Learning rate before the schedule.
    pub learning_rate: Option<f64>,
    pub weight_decay: Option<f64>,
}

pub trait Optimizer: Send + Sync + std::fmt::Debug {
    /// The learning rate that the schedule multiplies.
    fn learning_rate(&self) -> f64;

    /// Groups by the beginning of their parameters' dotted paths, such as `adapter` or `backbone.visual`.
    fn groups(&self) -> &BTreeMap<String, GroupOptions>;

    /// A fresh optimizer for a group; its state is restored from a checkpoint by parameter id.
    fn init(&self, group: &GroupOptions) -> Result<ModuleOptimizer>;
}

/// Range checks of rates, decays and groups, for every optimizer.
pub fn check_groups(learning_rate: f64, groups: &BTreeMap<String, GroupOptions>, problems: &mut Problems) {
    let rate = |rate: f64| !(rate > 0.0 && rate < 100.0);
    problems.when(rate(learning_rate), "learning_rate", "must be above 0 and below 100");
    for (name, group) in groups {
        let wrong = group.learning_rate.is_some_and(rate);
        problems.when(wrong, &format!("groups.{name}.learning_rate"), "must be above 0 and below 100");
        let wrong = group.weight_decay.is_some_and(|decay| !(decay >= 0.0 && decay.is_finite()));
        problems.when(wrong, &format!("groups.{name}.weight_decay"), "must be 0 or above");
    }
}

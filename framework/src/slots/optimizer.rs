//! Slot `optimizer`: how gradients change the trainable weights.

use crate::error::Result;
use burn::optim::ModuleOptimizer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Options of one group of parameters; `null` takes the optimizer's own value.
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

/// Makes optimizers for groups of parameters.
///
/// # Contract
/// - Its component has the options `learning_rate` (a number above 0) and `groups` (a map from beginnings of parameter
///   paths to [`GroupOptions`], empty by default). Recipes, presets and the report rely on both.
///   [`Optimizer::learning_rate`] and [`Optimizer::groups`] return them.
/// - Steps with a small rate reduce a simple convex loss. They are deterministic.
/// - The weight decay of a group has an effect, or the test of the component says `decays: false`.
/// - The state of an optimizer can be written and read (burn's `into_bytes` and `from_bytes`), and the next step is
///   then exactly the step that would have followed.
pub trait Optimizer: Send + Sync + std::fmt::Debug {
    /// The learning rate of parameters in no group, before the schedule's factor.
    fn learning_rate(&self) -> f64;

    /// Groups by the beginning of their parameters' dotted paths, such as `adapter` or `backbone.visual`. The longest
    /// beginning that fits decides.
    fn groups(&self) -> &BTreeMap<String, GroupOptions>;

    /// A new optimizer for the parameters of `group`. Its learning rate is given in each step. Its state, if there is a
    /// checkpoint, is restored by parameter id.
    ///
    /// # Errors
    /// Where the options cannot be used.
    fn init(&self, group: &GroupOptions) -> Result<ModuleOptimizer>;

    /// How many values it keeps for each trained value, such as 2 for two moments; `None` where it was not counted. The
    /// property tests compare it with the size of a written state.
    fn state_values(&self) -> Option<usize> {
        None
    }
}

//! The recipe's `log:`: where the numbers of a run go besides its records, for programs that draw them while it works.

use serde::{Deserialize, Serialize};

/// The value of `log:`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogOptions {
    /// Write event files for TensorBoard into the run's folder: losses, rates, validations, the test, examples, the
    /// recipe.
    pub tensorboard: bool,
    /// Write `log.csv` into the run's folder: one row for each training step, in columns that Trackio reads.
    pub csv: bool,
    /// Steps between two histograms of the trained parameters in TensorBoard's files; `null` writes none.
    #[schemars(range(min = 1))]
    pub histograms: Option<u64>,
}

impl LogOptions {
    /// Whether anything is written.
    pub fn on(&self) -> bool {
        self.tensorboard || self.csv
    }

    /// What is wrong with these options together, with the way out.
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        let wrong = self.histograms.is_some() && !self.tensorboard;
        wrong.then_some((
            "histograms are a part of TensorBoard's files, and `log.tensorboard` is false",
            "add `tensorboard: true`, or take `histograms` out",
        ))
    }
}

//! What training looked like, over the seeds of a variant.

use crate::load::Run;
use crate::statistics::{self, Interval};
use std::collections::BTreeMap;

/// What training looked like, over the seeds.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    /// Step and training loss, averaged within [`BINS`] equal spans of steps.
    pub loss: Vec<(f64, f64)>,
    /// Step and validation result, pooled like test results.
    pub validation: Vec<(f64, Interval)>,
}

/// Points of a training curve: enough for a figure, few enough to smooth.
pub const BINS: u64 = 80;

impl Curve {
    /// The curves of the runs of one variant.
    pub fn new(runs: &[&Run]) -> Self {
        Self { loss: loss(runs), validation: validation(runs) }
    }
}

/// Training loss over all runs, averaged within spans of steps; each point sits at the mean of its steps.
fn loss(runs: &[&Run]) -> Vec<(f64, f64)> {
    let records = || runs.iter().flat_map(|run| &run.train);
    let last = records().map(|record| record.step).max().unwrap_or(0).max(1);
    let mut bins: BTreeMap<u64, (f64, f64, f64)> = BTreeMap::new();
    for record in records() {
        let bin = bins.entry(record.step.saturating_sub(1) * BINS / last).or_default();
        *bin = (bin.0 + record.step as f64, bin.1 + record.loss, bin.2 + 1.0);
    }
    bins.into_values().map(|(steps, losses, number)| (steps / number, losses / number)).collect()
}

/// Validation over all runs at the steps that all of them validated: a mean whose runs change is no curve.
fn validation(runs: &[&Run]) -> Vec<(f64, Interval)> {
    let mut steps: BTreeMap<u64, BTreeMap<usize, Interval>> = BTreeMap::new();
    let validated: Vec<_> = runs.iter().filter(|run| !run.validation.is_empty()).collect();
    for (number, run) in validated.iter().enumerate() {
        for record in &run.validation {
            let interval = Interval { mean: record.accuracy, half_width: record.ci95 };
            // A resumed run may have validated a step twice: the later record counts.
            steps.entry(record.step).or_default().insert(number, interval);
        }
    }
    let pooled = |(step, of): (u64, BTreeMap<usize, Interval>)| {
        let intervals: Vec<_> = of.into_values().collect();
        (intervals.len() == validated.len())
            .then(|| statistics::over_episodes(&intervals))
            .flatten()
            .map(|at| (step as f64, at))
    };
    steps.into_iter().filter_map(pooled).collect()
}

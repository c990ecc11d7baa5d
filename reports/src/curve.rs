//! Training loss and validation results over the steps, for all seeds of a variant.

use crate::load::Run;
use crate::statistics::{self, Interval};
use std::collections::BTreeMap;

/// The curves of a variant.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    /// Training loss, averaged within [`BINS`] equal spans of steps. The band spans the seeds.
    pub loss: Vec<At>,
    /// Validation result. The band spans the seeds; with one it is its interval over episodes.
    pub validation: Vec<At>,
    /// Step and validation result of each seed, in the order of the runs.
    pub seeds: Vec<Vec<(f64, f64)>>,
}

/// A point of a curve with its band.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct At {
    pub x: f64,
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

impl At {
    /// The mean of several values and their range.
    fn of(x: f64, values: &[f64]) -> Option<Self> {
        let mean = statistics::mean(values.iter().copied())?;
        let (low, high) = values.iter().fold((mean, mean), |(low, high), value| (low.min(*value), high.max(*value)));
        Some(Self { x, mean, low, high })
    }

    pub fn interval(x: f64, Interval { mean, half_width }: Interval) -> Self {
        Self { x, mean, low: mean - half_width, high: mean + half_width }
    }
}

/// Points of a training curve: enough for a figure, few enough to smooth.
pub const BINS: u64 = 80;

impl Curve {
    /// The curves of the runs of one variant.
    pub fn new(runs: &[&Run]) -> Self {
        Self { loss: loss(runs), validation: validation(runs), seeds: runs.iter().map(|run| of_seed(run)).collect() }
    }
}

/// Training loss of each seed averaged within spans of steps, then over the seeds; each point is at the mean of its
/// steps. A loss that is not finite is left out.
fn loss(runs: &[&Run]) -> Vec<At> {
    let last = runs.iter().flat_map(|run| &run.train).map(|record| record.step).max().unwrap_or(0).max(1);
    let mut bins: BTreeMap<u64, BTreeMap<usize, (f64, f64, f64)>> = BTreeMap::new();
    for (number, run) in runs.iter().enumerate() {
        for record in run.train.iter().filter(|record| record.loss.is_finite()) {
            let seeds = bins.entry(record.step.saturating_sub(1) * BINS / last).or_default();
            let bin = seeds.entry(number).or_default();
            *bin = (bin.0 + record.step as f64, bin.1 + record.loss, bin.2 + 1.0);
        }
    }
    let point = |seeds: BTreeMap<usize, (f64, f64, f64)>| {
        let losses: Vec<f64> = seeds.values().map(|(_, losses, number)| losses / number).collect();
        At::of(statistics::mean(seeds.values().map(|(steps, _, number)| steps / number))?, &losses)
    };
    bins.into_values().filter_map(point).collect()
}

/// Step and result of the validations of one run; of a step that was validated twice the later one.
fn of_seed(run: &Run) -> Vec<(f64, f64)> {
    let steps: BTreeMap<u64, f64> = run.validation.iter().map(|record| (record.step, record.accuracy)).collect();
    steps.into_iter().map(|(step, accuracy)| (step as f64, accuracy)).collect()
}

/// Validation over all runs, at the steps that all of them validated: points that are means of different runs would not
/// make a curve.
fn validation(runs: &[&Run]) -> Vec<At> {
    let mut steps: BTreeMap<u64, BTreeMap<usize, Interval>> = BTreeMap::new();
    let validated: Vec<_> = runs.iter().filter(|run| !run.validation.is_empty()).collect();
    for (number, run) in validated.iter().enumerate() {
        for record in &run.validation {
            let interval = Interval { mean: record.accuracy, half_width: record.ci95 };
            // A resumed run may have validated a step twice: the later record counts.
            steps.entry(record.step).or_default().insert(number, interval);
        }
    }
    let point = |(step, of): (u64, BTreeMap<usize, Interval>)| {
        let intervals: Vec<_> = of.into_values().collect();
        match intervals.as_slice() {
            [only] if validated.len() == 1 => Some(At::interval(step as f64, *only)),
            all if all.len() == validated.len() => {
                At::of(step as f64, &all.iter().map(|interval| interval.mean).collect::<Vec<_>>())
            }
            _ => None,
        }
    };
    steps.into_iter().filter_map(point).collect()
}

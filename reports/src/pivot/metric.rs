//! What a table shows of a run: what its test measures, or what it costs.

use super::axis::Placed;
use crate::format;
use crate::summary::Variant;
use maclip_framework::error::Result;
use maclip_language::{Diagnostic, Origin, codes, name_help};
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metric {
    /// What tests measure, by its name.
    Test(String),
    Cost(Cost),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    Trainable,
    Total,
    TrainTime,
    TestTime,
    Memory,
}

const COSTS: [(&str, Cost); 5] = [
    ("trainable", Cost::Trainable),
    ("total", Cost::Total),
    ("train_time", Cost::TrainTime),
    ("test_time", Cost::TestTime),
    ("memory", Cost::Memory),
];

impl Metric {
    pub fn heading(&self) -> String {
        match self {
            Metric::Test(name) => format::words(name),
            Metric::Cost(Cost::Trainable) => "trainable parameters".to_owned(),
            Metric::Cost(Cost::Total) => "all parameters".to_owned(),
            Metric::Cost(Cost::TrainTime) => "training".to_owned(),
            Metric::Cost(Cost::TestTime) => "test".to_owned(),
            Metric::Cost(Cost::Memory) => "memory".to_owned(),
        }
    }
}

impl Cost {
    /// The number and how it is written.
    pub fn of(self, variant: &Variant) -> Option<(f64, String)> {
        let count = |count: Option<usize>| count.map(|count| (count as f64, format::count(count)));
        let time = |seconds: Option<f64>| seconds.map(|seconds| (seconds, format::duration(seconds)));
        match self {
            Cost::Trainable => count(variant.trainable),
            Cost::Total => count(variant.total),
            Cost::TrainTime => time(variant.train_seconds),
            Cost::TestTime => time(variant.test_seconds),
            Cost::Memory => variant.peak_memory.map(|bytes| (bytes as f64, format::bytes(bytes))),
        }
    }
}

fn tested<'a>(runs: &[Placed<'a>]) -> BTreeSet<&'a str> {
    runs.iter().filter_map(|(run, _)| run.result()).map(|test| test.metric.as_str()).collect()
}

/// The metrics called `names`; none for what the tests of `runs` measure.
///
/// # Errors
/// A name that is neither a cost nor measured by a run.
pub fn read(names: &[String], runs: &[Placed]) -> Result<Vec<Metric>> {
    let tested = tested(runs);
    if names.is_empty() {
        return Ok(tested.into_iter().map(|name| Metric::Test(name.to_owned())).collect());
    }
    let read = |name: &String| {
        if let Some((_, cost)) = COSTS.iter().find(|(known, _)| known == name) {
            return Ok(Metric::Cost(*cost));
        }
        if tested.contains(name.as_str()) {
            return Ok(Metric::Test(name.clone()));
        }
        let known = tested.iter().copied().chain(COSTS.map(|(name, _)| name));
        let problem = Diagnostic::new(codes::ARGUMENT, format!("no run has a metric `{name}`"));
        Err(problem.at(&Origin::argument("--metric", name)).helps(name_help(name, known)).into())
    };
    names.iter().map(read).collect()
}

/// The one metric whose runs are shown.
///
/// # Errors
/// Where tests of `runs` measure several, and none or several of them are asked for: they share no table.
pub fn measured(metrics: &[Metric], runs: &[Placed]) -> Result<String> {
    let asked: Vec<&str> = metrics
        .iter()
        .filter_map(|metric| match metric {
            Metric::Test(name) => Some(name.as_str()),
            Metric::Cost(_) => None,
        })
        .collect();
    let tested = tested(runs);
    let only: Vec<&str> = if asked.is_empty() { tested.iter().copied().collect() } else { asked };
    if let [only] = only.as_slice() {
        return Ok((*only).to_owned());
    }
    let message = format!("the runs measure different things: {}", only.join(", "));
    let problem = Diagnostic::new(codes::ARGUMENT, message).at(&Origin::argument("--metric", &only.join(",")));
    Err(problem.help(format!("choose one, such as `--metric {}`", only[0])).into())
}

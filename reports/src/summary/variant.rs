//! One variant: the result of its runs over their seeds.

use super::{Classes, Difference, Paper};
use crate::curve::Curve;
use crate::episodes::{Episodes, Right};
use crate::format;
use crate::load::Run;
use crate::settings::Settings;
use crate::statistics::{self, Interval};
use maclip_framework::runs::records::Seconds;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// All runs of one variant of one recipe.
#[derive(Clone, Debug)]
pub struct Variant {
    pub label: String,
    pub name: String,
    pub variant: String,
    /// Whether its study names it as the baseline; `None` where the study names none.
    pub is_baseline: Option<bool>,
    /// Identity of the first run that counts.
    pub hash: String,
    /// Seeds that count towards the result, sorted; all seeds where there is none.
    pub seeds: Vec<u64>,
    pub result: Option<Outcome>,
    pub difference: Difference,
    /// See [`to_best`](super::compare::to_best).
    pub p_to_best: Option<f64>,
    /// Number in the report, and position of its colour in [`Colour::SERIES`](crate::palette::Colour::SERIES). A method
    /// has the same ones with other shots, ways and data.
    pub number: usize,
    pub swatch: usize,
    pub trainable: Option<usize>,
    pub total: Option<usize>,
    /// Wall clock, mean over the seeds.
    pub train_seconds: Option<f64>,
    pub test_seconds: Option<f64>,
    /// Largest resident memory of the process while it worked on one of the runs, in bytes.
    pub peak_memory: Option<u64>,
    /// FLOPs of the test, as the plan counts them.
    pub test_flops: Option<f64>,
    /// Thread-seconds of each phase, mean over the seeds.
    pub phases: BTreeMap<String, f64>,
    pub curve: Curve,
    pub classes: Option<Classes>,
    pub components: BTreeMap<String, String>,
    pub settings: Settings,
    pub paper: Vec<Paper>,
    /// The directory of the first run that counts.
    pub path: PathBuf,
    /// Directories of all runs that count.
    pub paths: Vec<PathBuf>,
    /// When the last of its runs was begun, in seconds since 1970 (UTC).
    pub started: u64,
    /// The same of the first one.
    pub begun: u64,
}

#[derive(Clone, Debug)]
pub struct Outcome {
    pub over_episodes: Interval,
    pub over_clusters: Option<Interval>,
    pub over_seeds: Option<Interval>,
    /// Value of each seed, in the order of the seeds.
    pub values: Vec<f64>,
    pub episodes: u64,
    /// Hashes of the episode lists; one where all seeds shared theirs.
    pub hashes: Vec<String>,
    /// Answers to each query, where all runs have records of the same episodes.
    pub right: Option<Right>,
    /// Share of an episode's queries that got its most frequent answer, mean over all episodes; `None` without records.
    pub same_answer: Option<f64>,
}

impl Variant {
    /// What it is, apart from what its task asks: its components and the options of its own parts. Empty where the
    /// recipe could not be read.
    pub fn kind(&self) -> String {
        let parts = ["backbone.", "adapter.", "prototype.", "alignment.", "objective.type"];
        let keys = self.settings.keys.iter().filter(|(key, _)| parts.iter().any(|part| key.starts_with(part)));
        // How several shots become one prototype is part of the setting, not of the method.
        let keys = keys.filter(|(key, _)| !key.ends_with("shots"));
        keys.map(|(key, value)| format!("{key}={value}\n")).collect()
    }

    /// Whether it is not distinguishable from the best variant of its group.
    pub fn like_best(&self) -> bool {
        self.p_to_best.is_some_and(|p| p > crate::table::LEVEL)
    }

    pub fn mean(&self) -> Option<f64> {
        self.result.as_ref().map(|result| result.over_episodes.mean)
    }

    /// The variant `label` of `runs`, with what is wrong about them added to `warnings`.
    pub fn of(label: String, runs: Vec<&Run>, warnings: &mut Vec<String>) -> Self {
        let runs = one_per_seed(&label, runs, warnings);
        let done: Vec<&Run> = runs.iter().copied().filter(|run| run.result().is_some()).collect();
        let counted = if done.is_empty() { &runs } else { &done };
        let params: BTreeSet<_> = counted
            .iter()
            .filter_map(|run| run.directory.params.as_ref())
            .map(|params| (params.trainable, params.total))
            .collect();
        let components: BTreeSet<_> = counted.iter().map(|run| &run.directory.manifest.components).collect();
        if params.len() > 1 || components.len() > 1 {
            warnings
                .push(format!("the runs of {label} differ in more than the seed: their mean is of different models"));
        }
        if !done.is_empty() && done.len() < runs.len() {
            let missing = runs.len() - done.len();
            warnings.push(format!("{label}: {} without a result not counted", format::plural(missing, "run")));
        }
        let seconds = |of: fn(&Seconds) -> f64| {
            statistics::mean(
                done.iter().filter_map(|run| run.directory.status.as_ref()).map(|status| of(&status.seconds)),
            )
        };
        let episodes: Vec<&Episodes> = done.iter().filter_map(|run| run.episodes.as_ref()).collect();
        let first = counted.first();
        let manifest = first.map(|run| &run.directory.manifest);
        let settings = first.map(|run| run.settings.clone()).unwrap_or_default();
        Self {
            name: manifest.map(|manifest| manifest.name.clone()).unwrap_or_default(),
            variant: manifest.map(|manifest| manifest.variant.clone()).unwrap_or_default(),
            is_baseline: first.and_then(|run| run.is_baseline()),
            hash: manifest.map(|manifest| manifest.hash.clone()).unwrap_or_default(),
            seeds: counted.iter().map(|run| run.directory.manifest.seed).collect(),
            result: outcome(&done),
            difference: Difference::Unknown("there is no baseline to compare with".into()),
            p_to_best: None,
            number: 0,
            swatch: 0,
            trainable: params.first().map(|(trainable, _)| *trainable),
            total: params.first().map(|(_, total)| *total),
            train_seconds: seconds(|seconds| seconds.train),
            test_seconds: seconds(|seconds| seconds.test),
            peak_memory: peak_memory(&done),
            test_flops: statistics::mean(done.iter().filter_map(|run| {
                Some(run.directory.manifest.last_attempt()?.flops?.test).filter(|flops| flops.is_finite())
            })),
            phases: phases(&done),
            curve: Curve::new(counted),
            classes: Classes::of(&episodes),
            components: manifest.map(|manifest| manifest.components.clone()).unwrap_or_default(),
            paper: Paper::of(&settings, done.first().and_then(|run| run.result()).map(|test| test.metric.as_str())),
            settings,
            path: first.map(|run| run.directory.path.clone()).unwrap_or_default(),
            paths: counted.iter().map(|run| run.directory.path.clone()).collect(),
            started: runs.iter().map(|run| started(run)).max().unwrap_or(0),
            begun: runs.iter().map(|run| begun(run)).min().unwrap_or(0),
            label,
        }
    }
}

/// When a run was begun or went on last.
pub fn started(run: &Run) -> u64 {
    run.directory.manifest.last_attempt().map_or(0, |attempt| attempt.started_unix)
}

/// When a run was begun first.
fn begun(run: &Run) -> u64 {
    run.directory.manifest.attempts.first().map_or(0, |attempt| attempt.started_unix)
}

/// Two runs of a design with one seed, such as copies, are the same: the later one counts, and the page says so.
fn one_per_seed<'a>(label: &str, runs: Vec<&'a Run>, warnings: &mut Vec<String>) -> Vec<&'a Run> {
    let mut seeds: BTreeMap<u64, &Run> = BTreeMap::new();
    for run in runs {
        let age = |run: &Run| (run.result().is_some(), started(run), run.path());
        let seed = run.directory.manifest.seed;
        let Some(other) = seeds.insert(seed, run) else { continue };
        let (kept, left) = if age(run) > age(other) { (run, other) } else { (other, run) };
        seeds.insert(seed, kept);
        warnings.push(format!(
            "{label} has more than one run with seed {seed}; {} counts, {} does not (a run with a result before one \
             without, then the later start)",
            kept.path(),
            left.path()
        ));
    }
    seeds.into_values().collect()
}

fn outcome(done: &[&Run]) -> Option<Outcome> {
    let results: Vec<_> = done.iter().filter_map(|run| run.result()).collect();
    let intervals: Vec<_> = results.iter().map(|test| Interval { mean: test.value, half_width: test.ci95 }).collect();
    let values: Vec<f64> = results.iter().map(|test| test.value).collect();
    let hashes: BTreeSet<String> = results.iter().map(|test| test.episodes_hash.clone()).collect();
    let episodes: Vec<Option<&Episodes>> = done.iter().map(|run| run.episodes.as_ref()).collect();
    let right = Right::of(&episodes);
    let shares: Option<Vec<f64>> = right.as_ref().map(|right| right.shares().collect());
    let over_clusters =
        right.as_ref().zip(shares).and_then(|(right, shares)| statistics::over_clusters(&right.list, &shares));
    Some(Outcome {
        over_episodes: statistics::over_episodes(&intervals)?,
        over_clusters,
        over_seeds: statistics::over_seeds(&values),
        episodes: results.iter().map(|test| test.episodes).min().unwrap_or(0),
        hashes: hashes.into_iter().collect(),
        same_answer: statistics::mean(episodes.iter().flatten().filter_map(|episodes| episodes.same_answer())),
        values,
        right,
    })
}

fn peak_memory(done: &[&Run]) -> Option<u64> {
    done.iter().flat_map(|run| &run.directory.manifest.attempts).filter_map(|attempt| attempt.peak_memory_bytes).max()
}

fn phases(done: &[&Run]) -> BTreeMap<String, f64> {
    let mut phases: BTreeMap<String, f64> = BTreeMap::new();
    for attempt in done.iter().flat_map(|run| &run.directory.manifest.attempts) {
        attempt.phases.iter().for_each(|(phase, seconds)| *phases.entry(phase.clone()).or_default() += seconds);
    }
    phases.values_mut().for_each(|seconds| *seconds /= done.len() as f64);
    phases
}

//! Runs gathered for comparison: groups that measure the same thing, variants within a group, seeds within a variant.

use crate::curve::Curve;
use crate::format;
use crate::load::{Loaded, Run};
use crate::statistics::{self, Interval};
use std::collections::{BTreeMap, BTreeSet};

/// Everything the page, the table and the figures say.
#[derive(Clone, Debug)]
pub struct Summary {
    pub groups: Vec<Group>,
}

/// Variants whose numbers can be put side by side: same task, metric, way and shot.
#[derive(Clone, Debug)]
pub struct Group {
    pub task: String,
    /// `None` where no run has a result yet.
    pub measure: Option<Measure>,
    /// The baseline first, then by rising mean, then those without a result by label.
    pub variants: Vec<Variant>,
    /// Things that make the comparison less than it seems.
    pub warnings: Vec<String>,
}

impl Group {
    /// What the interval of a single result is about.
    pub fn interval(&self) -> &'static str {
        if self.unit() == "queries" { statistics::OVER_QUERIES } else { statistics::OVER_EPISODES }
    }

    /// What a test consists of.
    pub fn unit(&self) -> &'static str {
        if self.measure.as_ref().is_some_and(|measure| measure.way == 0) { "queries" } else { "episodes" }
    }
}

/// What a test measures. Ordered as groups are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Measure {
    pub metric: String,
    /// 0 where there are no classes to choose from.
    pub way: usize,
    pub shot: usize,
}

/// All runs of one variant of one recipe.
#[derive(Clone, Debug)]
pub struct Variant {
    pub label: String,
    pub name: String,
    pub variant: String,
    /// Seeds that count towards the result, sorted; all seeds where there is none.
    pub seeds: Vec<u64>,
    pub result: Option<Outcome>,
    pub difference: Difference,
    pub trainable: Option<usize>,
    pub total: Option<usize>,
    /// Mean over the seeds.
    pub train_seconds: Option<f64>,
    pub test_seconds: Option<f64>,
    pub curve: Curve,
}

#[derive(Clone, Debug)]
pub struct Outcome {
    pub over_episodes: Interval,
    pub over_seeds: Option<Interval>,
    /// Value of each seed, in the order of the seeds.
    pub values: Vec<f64>,
    pub episodes: u64,
    /// Hashes of the episode lists; one where all seeds shared theirs.
    pub hashes: Vec<String>,
}

/// The difference to the group's baseline.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    IsBaseline,
    Paired(Interval),
    /// Why there is none.
    Unknown(String),
}

pub fn summarise(loaded: &Loaded) -> Summary {
    let mut groups: BTreeMap<(String, Option<Measure>), Vec<&Run>> = BTreeMap::new();
    for run in &loaded.runs {
        groups.entry((run.directory.manifest.task.clone(), home(run, &loaded.runs))).or_default().push(run);
    }
    // Groups without a result come last: `None` sorts before `Some`.
    let (open, measured): (Vec<_>, Vec<_>) = groups.into_iter().partition(|((_, measure), _)| measure.is_none());
    let groups = measured.into_iter().chain(open).map(|((task, measure), runs)| group(task, measure, &runs)).collect();
    Summary { groups }
}

fn measure(run: &Run) -> Option<Measure> {
    run.result().map(|test| Measure { metric: test.metric.clone(), way: test.way, shot: test.shot })
}

/// Where a run belongs. One without a result goes with its siblings: the same recipe name first, then the same task.
fn home(run: &Run, all: &[Run]) -> Option<Measure> {
    let manifest = |run: &Run| (run.directory.manifest.task.clone(), run.directory.manifest.name.clone());
    let own = manifest(run);
    measure(run)
        .or_else(|| all.iter().filter(|other| manifest(other) == own).find_map(measure))
        .or_else(|| all.iter().filter(|other| manifest(other).0 == own.0).find_map(measure))
}

fn group(task: String, measure: Option<Measure>, runs: &[&Run]) -> Group {
    let mut variants: BTreeMap<(&str, &str), Vec<&Run>> = BTreeMap::new();
    for run in runs {
        let manifest = &run.directory.manifest;
        variants.entry((&manifest.name, &manifest.variant)).or_default().push(run);
    }
    let several = variants.keys().map(|(name, _)| name).collect::<BTreeSet<_>>().len() > 1;
    let mut warnings = Vec::new();
    let mut built: Vec<(Variant, Vec<&Run>)> = variants
        .into_iter()
        .map(|((name, variant), runs)| {
            let label = match (several, variant) {
                (true, "default") => name.to_owned(),
                (true, _) => format!("{name} / {variant}"),
                (false, "default") => name.to_owned(),
                (false, _) => variant.to_owned(),
            };
            let runs = one_per_seed(&label, runs, &mut warnings);
            (self::variant(label, &runs, &mut warnings), runs)
        })
        .collect();

    if let Some(baseline) = baseline(&built) {
        let (_, runs) = built[baseline].clone();
        for (position, (variant, own)) in built.iter_mut().enumerate() {
            variant.difference =
                if position == baseline { Difference::IsBaseline } else { difference(variant, own, &runs) };
        }
    }
    let mut variants: Vec<Variant> = built.into_iter().map(|(variant, _)| variant).collect();
    let mean = |variant: &Variant| variant.result.as_ref().map(|result| result.over_episodes.mean);
    variants.sort_by(|a, b| {
        let rank = |variant: &Variant| (variant.difference != Difference::IsBaseline, variant.result.is_none());
        rank(a)
            .cmp(&rank(b))
            .then(mean(a).unwrap_or(0.0).total_cmp(&mean(b).unwrap_or(0.0)))
            .then(a.label.cmp(&b.label))
    });
    Group { task, measure, variants, warnings }
}

/// Two runs with one seed are two versions of a recipe: the later one counts, and the page says so.
fn one_per_seed<'a>(label: &str, runs: Vec<&'a Run>, warnings: &mut Vec<String>) -> Vec<&'a Run> {
    let mut seeds: BTreeMap<u64, &Run> = BTreeMap::new();
    for run in runs {
        let age = |run: &Run| {
            (
                run.result().is_some(),
                run.directory.manifest.last_sitting().map(|sitting| sitting.started_unix),
                run.path(),
            )
        };
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

fn variant(label: String, runs: &[&Run], warnings: &mut Vec<String>) -> Variant {
    let done: Vec<&Run> = runs.iter().copied().filter(|run| run.result().is_some()).collect();
    let counted = if done.is_empty() { runs } else { &done };
    let results: Vec<_> = done.iter().filter_map(|run| run.result()).collect();
    let intervals: Vec<_> = results.iter().map(|test| Interval { mean: test.value, half_width: test.ci95 }).collect();
    let values: Vec<f64> = results.iter().map(|test| test.value).collect();
    let hashes: BTreeSet<String> = results.iter().map(|test| test.episodes_hash.clone()).collect();
    let result = statistics::over_episodes(&intervals).map(|over_episodes| Outcome {
        over_episodes,
        over_seeds: statistics::over_seeds(&values),
        episodes: results.iter().map(|test| test.episodes).min().unwrap_or(0),
        hashes: hashes.into_iter().collect(),
        values,
    });
    let params: BTreeSet<_> = counted
        .iter()
        .filter_map(|run| run.directory.params.as_ref())
        .map(|params| (params.trainable, params.total))
        .collect();
    let components: BTreeSet<_> = counted.iter().map(|run| &run.directory.manifest.components).collect();
    if params.len() > 1 || components.len() > 1 {
        warnings.push(format!("the runs of {label} differ in more than the seed: their mean is of different models"));
    }
    if !done.is_empty() && done.len() < runs.len() {
        let missing = runs.len() - done.len();
        warnings.push(format!("{label}: {} without a result not counted", format::plural(missing, "run")));
    }
    let seconds = |of: fn(&maclip_framework::records::Seconds) -> f64| {
        statistics::mean(done.iter().filter_map(|run| run.directory.status.as_ref()).map(|status| of(&status.seconds)))
    };
    let manifest = runs.first().map(|run| &run.directory.manifest);
    Variant {
        label,
        name: manifest.map(|manifest| manifest.name.clone()).unwrap_or_default(),
        variant: manifest.map(|manifest| manifest.variant.clone()).unwrap_or_default(),
        seeds: counted.iter().map(|run| run.directory.manifest.seed).collect(),
        result,
        difference: Difference::Unknown("there is no baseline to compare with".into()),
        trainable: params.first().map(|(trainable, _)| *trainable),
        total: params.first().map(|(_, total)| *total),
        train_seconds: seconds(|seconds| seconds.train),
        test_seconds: seconds(|seconds| seconds.test),
        curve: Curve::new(counted),
    }
}

/// The variant the others are compared with: the one called `baseline`, else `none`, else the one with the fewest
/// trainable parameters. A lone variant has nothing to be compared with.
fn baseline(variants: &[(Variant, Vec<&Run>)]) -> Option<usize> {
    let with_result = || variants.iter().enumerate().filter(|(_, (variant, _))| variant.result.is_some());
    let named = |name: &str| with_result().find(|(_, (variant, _))| variant.variant == name);
    let smallest = || with_result().min_by_key(|(_, (variant, _))| variant.trainable.unwrap_or(usize::MAX));
    (with_result().count() > 1)
        .then(|| named("baseline").or_else(|| named("none")).or_else(smallest).map(|(position, _)| position))
        .flatten()
}

fn difference(variant: &Variant, runs: &[&Run], baseline: &[&Run]) -> Difference {
    if variant.result.is_none() {
        return Difference::Unknown("no result yet".into());
    }
    let tested = |runs: &[&Run]| -> (BTreeSet<String>, Vec<BTreeMap<u64, f64>>) {
        let done = runs.iter().filter_map(|run| run.result().map(|test| (run, test)));
        done.map(|(run, test)| (test.episodes_hash.clone(), run.episodes.clone())).unzip()
    };
    let ((mut hashes, own), (other_hashes, other)) = (tested(runs), tested(baseline));
    hashes.extend(other_hashes);
    if hashes.len() > 1 {
        let hashes: Vec<_> = hashes.iter().map(|hash| format::short_hash(hash)).collect();
        return Difference::Unknown(format!("tested on other episodes than the baseline ({})", hashes.join(", ")));
    }
    if own.iter().chain(&other).any(BTreeMap::is_empty) {
        return Difference::Unknown("a run has no record of its episodes".into());
    }
    let (own, other): (Vec<_>, Vec<_>) = (own.iter().collect(), other.iter().collect());
    statistics::paired(&own, &other).map_or_else(
        || Difference::Unknown("the records of the episodes are not of the same episodes".into()),
        Difference::Paired,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::BINS;
    use crate::load::load;
    use crate::testing::{Study, study};
    use maclip_framework::records::State;
    use std::path::Path;

    fn read(folder: &Path) -> Summary {
        summarise(&load(&[folder.to_owned()]).unwrap())
    }

    #[test]
    fn a_study_is_one_group_with_its_baseline_first() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let summary = read(folder.path());
        assert_eq!(summary.groups.len(), 1);
        let group = &summary.groups[0];
        let labels: Vec<_> = group.variants.iter().map(|variant| variant.label.as_str()).collect();
        assert_eq!(labels, ["none", "tpcm", "adapters", "both"]);
        assert!(group.warnings.is_empty(), "{:?}", group.warnings);
        let both = &group.variants[3];
        assert_eq!(both.seeds, [0, 1, 2]);
        let Difference::Paired(difference) = &both.difference else { panic!("{:?}", both.difference) };
        let gap = both.result.as_ref().unwrap().over_episodes.mean
            - group.variants[0].result.as_ref().unwrap().over_episodes.mean;
        assert!((difference.mean - gap).abs() < 1e-9);
        assert!(both.curve.loss.len() <= BINS as usize + 1 && both.curve.validation.len() == 10);
    }

    #[test]
    fn other_episodes_have_a_reason_instead_of_a_difference() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let other =
            Study { episodes_hash: "feedbeef".into(), variants: vec![("other".into(), 0.5, 7)], ..Study::default() };
        other.write(folder.path(), 1);
        let group = read(folder.path()).groups.remove(0);
        let other = group.variants.iter().find(|variant| variant.label == "other").unwrap();
        assert!(matches!(&other.difference, Difference::Unknown(why) if why.contains("feedbeef")));
    }

    #[test]
    fn unfinished_runs_stay_with_their_recipe_and_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let failed = Study { state: State::Failed, first_seed: 7, ..Study::default() };
        failed.write(folder.path(), 1);
        let summary = read(folder.path());
        assert_eq!(summary.groups.len(), 1);
        assert_eq!(summary.groups[0].variants[0].seeds, [0, 1, 2]);
        assert_eq!(summary.groups[0].warnings.len(), 4);
    }

    #[test]
    fn a_second_run_of_a_seed_is_reported_and_the_later_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut runs = Study { variants: vec![("a".into(), 0.4, 1)], ..Study::default() };
        runs.write(folder.path(), 1);
        runs = Study { folder: "later".into(), started: 99, variants: vec![("a".into(), 0.8, 1)], ..runs };
        runs.write(folder.path(), 1);
        let group = read(folder.path()).groups.remove(0);
        assert!(group.variants[0].result.as_ref().unwrap().over_episodes.mean > 0.7);
        assert!(group.warnings[0].contains("seed 0"), "{:?}", group.warnings);
    }
}

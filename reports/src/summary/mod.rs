//! Runs put together for comparison: groups that measure the same thing, variants within a group, seeds within a
//! variant.
//!
//! Not here: intervals and tests (`statistics`), and how numbers are shown (`table`, `figures`, `page`).

mod classes;
mod colours;
mod compare;
mod grouping;
mod order;
mod paper;
mod provenance;
mod variant;
mod verdict;
mod versions;

pub use classes::Classes;
pub use compare::{Difference, compare, to_baseline};
pub use grouping::{ARROW, GroupKey, keys_across, keys_of};
pub use order::{Finding, Verdict};
pub use paper::Paper;
pub use provenance::Provenance;
pub use variant::{Outcome, Variant, started};
pub use verdict::{Chance, chance};
pub use versions::shown;

use crate::load::{Loaded, Run};
use crate::settings::varying;
use crate::statistics;
use maclip_framework::recipe::study::Order;
use std::collections::{BTreeMap, BTreeSet};

/// All numbers of the page, the tables and the figures.
#[derive(Clone, Debug)]
pub struct Summary {
    pub groups: Vec<Group>,
}

/// Variants whose numbers can be put side by side: same task, data, metric, way and shot.
#[derive(Clone, Debug)]
pub struct Group {
    /// The study, where the report holds several: each has groups of its own.
    pub study: Option<String>,
    pub task: String,
    pub data: Data,
    /// `None` where no run has a result yet.
    pub measure: Option<Measure>,
    /// What a grid or a trial added to the names of all variants: `steps=40`. Their labels leave it out.
    pub shared: Vec<String>,
    /// The baseline first, then by rising mean, then those without a result by label.
    pub variants: Vec<Variant>,
    /// Keys of the recipe whose values differ among the variants.
    pub varying: Vec<String>,
    /// What is found of the orders that the study is expected to show.
    pub findings: Vec<Finding>,
    /// What limits the comparison.
    pub warnings: Vec<String>,
    /// Where its numbers come from.
    pub provenance: Provenance,
}

impl Group {
    /// What the interval of a single result is about.
    pub fn interval(&self) -> &'static str {
        if self.unit() == "queries" { statistics::OVER_QUERIES } else { over_episodes(&self.variants) }
    }

    /// What a test consists of.
    pub fn unit(&self) -> &'static str {
        if self.measure.as_ref().is_some_and(|measure| measure.way == 0) { "queries" } else { "episodes" }
    }

    pub fn metric(&self) -> &str {
        self.measure.as_ref().map_or("result", |measure| &measure.metric)
    }

    pub fn baseline(&self) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.difference == Difference::IsBaseline)
    }

    /// The variant with the highest mean.
    pub fn best(&self) -> Option<&Variant> {
        let tested = self.variants.iter().filter(|variant| variant.mean().is_some());
        tested.max_by(|a, b| a.mean().unwrap_or(0.0).total_cmp(&b.mean().unwrap_or(0.0)))
    }
}

/// What was tested on. Ordered as groups are.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Data {
    /// The dataset, with the options in which it differs from others of the report: `shapes_in_motion (motion)`. Behind
    /// the one that was trained on, where several are: `kinetics → hmdb51`.
    pub label: String,
    /// The part of `label` that is tested on.
    pub tested: String,
    /// Checksum of the test split's classes and clips; empty where the run noted none.
    pub test: String,
}

/// What a test measures. Ordered as groups are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Measure {
    pub metric: String,
    /// 0 where there are no classes to choose from.
    pub way: usize,
    pub shot: usize,
}

/// The groups of all runs: by study, data and measure; those without a result last.
pub fn summarise(loaded: &Loaded) -> Summary {
    let keys = grouping::keys_of(&loaded.runs);
    let mut groups: BTreeMap<&grouping::GroupKey, Vec<&Run>> = BTreeMap::new();
    for (key, run) in keys.iter().zip(&loaded.runs) {
        groups.entry(key).or_default().push(run);
    }
    let (open, measured): (Vec<_>, Vec<_>) = groups.into_iter().partition(|(key, _)| key.measure.is_none());
    let mut groups: Vec<Group> =
        measured.into_iter().chain(open).map(|(key, runs)| group(key, &runs, &loaded.orders)).collect();
    colours::assign(&mut groups, &loaded.runs);
    Summary { groups }
}

fn group(key: &grouping::GroupKey, runs: &[&Run], orders: &[(String, Order)]) -> Group {
    let mut warnings = Vec::new();
    let versions::Labelled { variants, shared } = versions::of(runs, key);
    let mut built: Vec<Variant> =
        variants.into_iter().map(|(label, runs)| Variant::of(label, runs, &mut warnings)).collect();
    compare::to_baseline(&mut built, &mut warnings);
    compare::to_best(&mut built);
    warnings.extend(alike(&built));
    warnings.extend((over_episodes(&built) == statistics::OVER_EITHER).then(|| statistics::MIXED.to_owned()));
    warnings.extend(verdict::warnings(&built, key.measure.as_ref()));
    let rank = |variant: &Variant| (variant.difference != Difference::IsBaseline, variant.result.is_none());
    built.sort_by(|a, b| {
        let means = a.mean().unwrap_or(0.0).total_cmp(&b.mean().unwrap_or(0.0));
        rank(a).cmp(&rank(b)).then(means).then(a.label.cmp(&b.label))
    });
    Group {
        study: key.study.clone(),
        task: key.task.clone(),
        data: key.data.clone(),
        measure: key.measure.clone(),
        shared,
        varying: varying(built.iter().map(|variant| &variant.settings)),
        findings: order::findings(orders, &built),
        variants: built,
        warnings,
        provenance: Provenance::of(runs),
    }
}

/// What the intervals of those with a result are about.
fn over_episodes(variants: &[Variant]) -> &'static str {
    let tested = variants.iter().filter(|variant| variant.result.is_some());
    statistics::over_episodes_of(tested.map(|variant| &variant.settings))
}

/// Variants that are one run under several names, a line for each run.
fn alike(variants: &[Variant]) -> impl Iterator<Item = String> {
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for variant in variants {
        names.entry(&variant.hash).or_default().push(&variant.label);
    }
    let lines: BTreeSet<String> = names
        .into_values()
        .filter(|names| names.len() > 1)
        .map(|names| format!("{} are the same run under several names", names.join(", ")))
        .collect();
    lines.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::BINS;
    use crate::load::load;
    use crate::testing::{Study, study};
    use maclip_framework::files::write_json;
    use maclip_framework::recipe::study::Shown;
    use maclip_framework::runs::records::State;
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
        assert!((difference.paired.over_episodes.mean - gap).abs() < 1e-9);
        assert!(difference.p_holm >= difference.paired.p && difference.p_holm < 0.001);
        let result = both.result.as_ref().unwrap();
        assert!(result.over_clusters.unwrap().half_width > result.over_episodes.half_width);
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
    fn the_study_says_what_its_variants_are_called_and_which_is_the_baseline() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let label = |name: &str, label: Option<&str>| (name.to_owned(), label.map(str::to_owned));
        let mut shown = Shown {
            labels: [label("both", Some("MA-CLIP & <all>")), label("tpcm", None)].into(),
            baseline: Some("tpcm".to_owned()),
        };
        let write = |shown: &Shown| write_json(&folder.path().join("ablation").join(Shown::FILE), shown).unwrap();
        write(&shown);
        let group = read(folder.path()).groups.remove(0);
        let labels: Vec<_> = group.variants.iter().map(|variant| variant.label.as_str()).collect();
        assert_eq!(labels, ["tpcm", "none", "adapters", "MA-CLIP & <all>"]);
        assert_eq!(group.baseline().unwrap().variant, "tpcm");
        // Two with one label, which an older note or two studies can have, stay apart.
        shown.labels.insert("none".to_owned(), Some("MA-CLIP & <all>".to_owned()));
        shown.baseline = Some("gone".to_owned());
        write(&shown);
        let group = read(folder.path()).groups.remove(0);
        assert_eq!(group.variants.last().unwrap().label, "MA-CLIP & <all> (ablation / both)");
        assert!(group.baseline().is_none() && group.warnings[0].contains("`study.baseline`"), "{:?}", group.warnings);
    }

    #[test]
    fn what_a_trial_added_to_all_variants_is_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let variants = [("none+steps=40", 0.4), ("both+steps=40", 0.6), ("both+steps=40+rate=0.1", 0.5)];
        let variants = variants.map(|(name, accuracy)| (name.into(), accuracy, 7)).into();
        Study { variants, ..Study::default() }.write(folder.path(), 1);
        let group = read(folder.path()).groups.remove(0);
        let labels: Vec<_> = group.variants.iter().map(|variant| variant.label.as_str()).collect();
        assert_eq!(labels, ["none", "both+rate=0.1", "both"]);
        assert_eq!(group.shared, ["steps=40"]);
        let title = crate::table::title(&group);
        assert!(title.ends_with("on hmdb51, 5-way 1-shot, steps=40: accuracy in %"), "{title}");
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
    fn a_table_of_open_and_closed_intervals_says_so() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let without = |variant: &str| {
            for entry in std::fs::read_dir(folder.path().join("ablation")).unwrap() {
                let path = entry.unwrap().path().join("recipe.resolved.yaml");
                let text = std::fs::read_to_string(&path).unwrap();
                if text.contains(&format!("name: {variant}")) && !text.contains("sampling") {
                    let test = "  test: {sampling: without_replacement}\n  train:";
                    std::fs::write(&path, text.replace("  train:", test)).unwrap();
                }
            }
            read(folder.path()).groups.remove(0)
        };
        let mixed = without("both");
        assert!(mixed.warnings.iter().any(|warning| warning == statistics::MIXED), "{:?}", mixed.warnings);
        assert_eq!(mixed.interval(), statistics::OVER_EITHER);
        let open = without("");
        assert!(open.warnings.is_empty() && open.interval() == statistics::OVER_OTHER_VIDEOS, "{:?}", open.warnings);
        assert!(crate::table::Table::of(&open).notes[0].ends_with("(open)"));
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

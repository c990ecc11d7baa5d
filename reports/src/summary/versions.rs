//! The variants among runs, each with its label. A recipe that was changed between two runs has two versions of a
//! variant: they are two results, and their labels say what differs.

use super::grouping::{GroupKey, is_setting};
use super::variant::started;
use crate::format;
use crate::load::Run;
use crate::settings::{Settings, varying};
use std::collections::{BTreeMap, BTreeSet};

/// Values that are longer than this, such as paths, are not part of a label.
const LONGEST_VALUE: usize = 24;
/// Most values of a label.
const MOST_VALUES: usize = 2;

/// The variants of a group.
pub struct Labelled<'a> {
    /// Label and runs of each, a run for each seed.
    pub variants: Vec<(String, Vec<&'a Run>)>,
    /// What a grid or a trial added to the names of all of them. Labels leave it out, and the heading of their table
    /// says it.
    pub shared: Vec<String>,
}

/// The variants among the runs of the group `key`.
pub fn of<'a>(runs: &[&'a Run], key: &GroupKey) -> Labelled<'a> {
    let mut variants: BTreeMap<(&str, &str), Vec<&Run>> = BTreeMap::new();
    for run in runs {
        let manifest = &run.directory.manifest;
        variants.entry((&manifest.name, &manifest.variant)).or_default().push(run);
    }
    let several = variants.keys().map(|(name, _)| name).collect::<BTreeSet<_>>().len() > 1;
    let mut shared = shared_points(variants.values().map(|runs| runs[0]));
    let shown = |runs: &[&Run]| without(&shown(runs), &shared);
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    variants.values().for_each(|runs| *names.entry(shown(runs)).or_default() += 1);
    let labelled = variants.into_iter().flat_map(|((name, variant), runs)| {
        let own = shown(&runs);
        let label = match (several, variant) {
            // What the study says of other runs of it, and labels of several studies, may be the same.
            _ if names[&own] > 1 && own != variant => format!("{own} ({name} / {variant})"),
            // The shown name of a recipe without a study, or of a trial of it, is that of the recipe.
            (true, _) if label_of(&runs).is_none() && variant.split('+').next() != Some("default") => {
                format!("{name} / {own}")
            }
            _ => own,
        };
        labels(&label, versions(runs))
    });
    let labelled = labelled.collect();
    shared.retain(|point| !is_said(point, runs[0], key));
    Labelled { variants: labelled, shared }
}

/// What a grid or a trial added to the names of all variants, of each of which there is a run here: `shot=1`. Nothing
/// where a variant is alone.
fn shared_points<'a>(mut variants: impl ExactSizeIterator<Item = &'a Run>) -> Vec<String> {
    let Some(first) = variants.next().filter(|_| variants.len() > 0) else { return Vec::new() };
    let points = |run: &'a Run| run.directory.manifest.variant.split('+').skip(1);
    let mut shared: Vec<&str> = points(first).collect();
    variants.for_each(|run| shared.retain(|point| points(run).any(|other| other == *point)));
    shared.into_iter().map(str::to_owned).collect()
}

/// Whether the heading of the table says a point of `run` anyway: `shot=1` with one shot, `dataset.variant=motion` on
/// `shapes_in_motion (motion)`.
fn is_said(point: &str, run: &Run, key: &GroupKey) -> bool {
    let value = point.rsplit('=').next().unwrap_or(point);
    let data = key.data.label.split(['(', ')', ',', ' ']).any(|word| word == value);
    let of_measure = |name: &str, own: usize| point.ends_with(&format!("{name}={own}"));
    let measure = key.measure.as_ref().is_some_and(|of| of_measure("shot", of.shot) || of_measure("way", of.way));
    is_setting(point, &run.settings) && (data || measure)
}

/// `label` without `points`: a grid adds `, shot=5` to the label of a variant and `+shot=5` to its name.
fn without(label: &str, points: &[String]) -> String {
    let cut = |label: String, between: &str| {
        let mut parts: Vec<&str> = label.split(between).collect();
        let begin = parts.remove(0);
        parts.retain(|part| !points.iter().any(|point| point == part));
        std::iter::once(begin).chain(parts).collect::<Vec<_>>().join(between)
    };
    cut(cut(label.to_owned(), "+"), ", ")
}

/// What the recipe calls the variant that `runs` are of; as the run says that was begun last.
fn label_of<'a>(runs: &[&'a Run]) -> Option<&'a str> {
    runs.iter().max_by_key(|run| started(run))?.label()
}

/// A variant for people, by its runs: its label where it has one; else its name, or that of the recipe where it is the
/// only one. A trial of a recipe without a study is called after the recipe, `ma_clip+adapter=lora`.
pub fn shown(runs: &[&Run]) -> String {
    let Some(manifest) = runs.first().map(|run| &run.directory.manifest) else { return String::new() };
    match (label_of(runs), manifest.variant.strip_prefix("default+")) {
        (Some(label), _) => label.to_owned(),
        (None, Some(trial)) => format!("{}+{trial}", manifest.name),
        (None, None) if manifest.variant == "default" => manifest.name.clone(),
        (None, None) => manifest.variant.clone(),
    }
}

/// The runs of each version, the newest version last. Runs whose recipe cannot be read count to the newest.
fn versions(runs: Vec<&Run>) -> Vec<Vec<&Run>> {
    let mut by_design: BTreeMap<&str, Vec<&Run>> = BTreeMap::new();
    runs.into_iter().for_each(|run| by_design.entry(&run.settings.design).or_default().push(run));
    let unknown = by_design.remove("").unwrap_or_default();
    let mut versions: Vec<Vec<&Run>> = by_design.into_values().collect();
    versions.sort_by_key(|runs| runs.iter().map(|run| started(run)).max());
    match versions.last_mut() {
        Some(newest) => newest.extend(unknown),
        None => versions.push(unknown),
    }
    versions
}

/// A label for each version: `label` itself where there is one, else with the values in which they differ.
fn labels<'a>(label: &str, versions: Vec<Vec<&'a Run>>) -> Vec<(String, Vec<&'a Run>)> {
    if versions.len() == 1 {
        return versions.into_iter().map(|runs| (label.to_owned(), runs)).collect();
    }
    let firsts: Vec<&Settings> = versions.iter().map(|runs| &runs[0].settings).collect();
    let keys: Vec<String> =
        varying(firsts.iter().copied()).into_iter().filter(|key| !key.starts_with("task.start")).collect();
    let values = |settings: &Settings| -> Option<String> {
        let of_key = |key: &String| {
            let value = settings.get(key).unwrap_or("default");
            let short = value.len() <= LONGEST_VALUE;
            short.then(|| format!("{}={value}", maclip_language::segments(key).last().unwrap_or(key)))
        };
        let told: Option<Vec<String>> = keys.iter().map(of_key).collect();
        told.filter(|told| !told.is_empty() && told.len() <= MOST_VALUES).map(|told| told.join(", "))
    };
    let told: Vec<Option<String>> = firsts.iter().map(|settings| values(settings)).collect();
    let clear = told.iter().all(|one| one.is_some() && told.iter().filter(|other| *other == one).count() == 1);
    let endings = firsts.iter().zip(told).map(|(settings, told)| match told {
        Some(told) if clear => told,
        _ => format::short_hash(&settings.design),
    });
    let endings: Vec<String> = endings.collect();
    endings.into_iter().zip(versions).map(|(ending, runs)| (format!("{label} ({ending})"), runs)).collect()
}

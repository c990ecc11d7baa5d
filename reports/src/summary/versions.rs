//! The variants among runs, each with its label. A recipe that was changed between two runs has two versions of a
//! variant: they are two results, and their labels say what differs.

use super::variant::started;
use crate::format;
use crate::load::Run;
use crate::settings::{Settings, varying};
use std::collections::{BTreeMap, BTreeSet};

/// Values that are longer than this, such as paths, are not part of a label.
const LONGEST_VALUE: usize = 24;
/// Most values of a label.
const MOST_VALUES: usize = 2;

/// Label and runs of each variant, a run for each seed.
pub fn of<'a>(runs: &[&'a Run]) -> Vec<(String, Vec<&'a Run>)> {
    let mut variants: BTreeMap<(&str, &str), Vec<&Run>> = BTreeMap::new();
    for run in runs {
        let manifest = &run.directory.manifest;
        variants.entry((&manifest.name, &manifest.variant)).or_default().push(run);
    }
    let several = variants.keys().map(|(name, _)| name).collect::<BTreeSet<_>>().len() > 1;
    let labelled = variants.into_iter().flat_map(|((name, variant), runs)| {
        let label = match (several, variant) {
            (_, "default") => name.to_owned(),
            (true, _) => format!("{name} / {}", shown(name, variant)),
            (false, _) => shown(name, variant),
        };
        labels(&label, versions(runs))
    });
    labelled.collect()
}

/// A variant for people: a trial of a recipe without a study is called after the recipe, `ma_clip+adapter=lora`.
fn shown(name: &str, variant: &str) -> String {
    match variant.strip_prefix("default+") {
        Some(trial) => format!("{name}+{trial}"),
        None => variant.to_owned(),
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

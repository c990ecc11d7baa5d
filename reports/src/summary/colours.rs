//! The number and the colour of each variant, the same in every figure and table, and on every page that shows it.
//!
//! Both count all runs in the folders of those that a page is of, also those that it does not show: a page of two
//! variants and one of the whole study agree. They follow the order in which variants were begun, so that a study that
//! goes on keeps the colours that it has: new variants get the next ones.

use super::compare::called_baseline;
use super::grouping::{GroupKey, keys_of, without_settings};
use super::{Group, Measure, Variant, versions};
use crate::format::without_setting;
use crate::load::Run;
use crate::palette::Colour;
use crate::settings::Settings;
use maclip_framework::runs::directory::RunDirectory;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What makes two variants of different groups one: the same method, with other shots, ways or data.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Kind(String),
    /// Recipe, variant and version, where a group has several variants of a kind, such as with other rates.
    Named(String, String, usize),
}

/// Numbers the variants of all groups and gives them their colours. `loaded` are their runs.
pub fn assign(groups: &mut [Group], loaded: &[Run]) {
    let numbers = numbers(&with_those_beside(loaded));
    let colours = Colour::SERIES.len() - 1;
    for variant in groups.iter_mut().flat_map(|group| &mut group.variants) {
        variant.number = numbers.get(&real(&variant.path)).copied().unwrap_or_default();
        variant.swatch = if called_baseline(variant) { 0 } else { 1 + variant.number % colours };
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The loaded runs and all others in their folders, by their real paths and without their records.
fn with_those_beside(loaded: &[Run]) -> Vec<Run> {
    let bare = |directory: RunDirectory, settings: Settings| Run {
        directory,
        settings,
        train: Vec::new(),
        validation: Vec::new(),
        episodes: None,
        recipe: None,
        shown: None,
        stepped: None,
    };
    let own = |run: &Run| {
        let path = real(&run.directory.path);
        bare(RunDirectory { path, ..run.directory.clone() }, run.settings.clone())
    };
    let mut runs: Vec<Run> = loaded.par_iter().map(own).collect();
    let known: BTreeSet<&Path> = runs.iter().map(|run| run.directory.path.as_path()).collect();
    let folders: BTreeSet<&Path> = known.iter().filter_map(|path| path.parent()).collect();
    let entries = folders.into_iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let others: BTreeSet<PathBuf> =
        entries.map(|entry| real(&entry.path())).filter(|path| !known.contains(path.as_path())).collect();
    // What cannot be read there is told by a page that is of it.
    let read = |path: &PathBuf| {
        let directory = RunDirectory::open(path).ok()?;
        let settings = directory.recipe().ok().and_then(|text| Settings::read(&text).ok()).unwrap_or_default();
        Some(bare(directory, settings))
    };
    let others: Vec<Run> = others.par_iter().filter_map(read).collect();
    runs.extend(others);
    runs
}

/// Variants whose numbers can be put side by side, before they are a [`Group`].
struct Table {
    measure: Option<Measure>,
    variants: Vec<Variant>,
}

/// The number of each run's variant, by the run's path.
fn numbers(runs: &[Run]) -> BTreeMap<PathBuf, usize> {
    let keys = keys_of(runs);
    let mut groups: BTreeMap<&GroupKey, Vec<&Run>> = BTreeMap::new();
    keys.iter().zip(runs).for_each(|(key, run)| groups.entry(key).or_default().push(run));
    let (mut tables, mut paths) = (Vec::new(), Vec::new());
    for (group, runs) in groups {
        let mut variants = Vec::new();
        for (label, runs) in versions::of(&runs, group).variants {
            paths.push(runs.iter().map(|run| run.directory.path.clone()).collect::<Vec<_>>());
            variants.push(Variant::of(label, runs, &mut Vec::new()));
        }
        tables.push(Table { measure: group.measure.clone(), variants });
    }
    let keys = self::keys(&tables);
    let mut begun: BTreeMap<&Key, u64> = BTreeMap::new();
    for (key, variant) in keys.iter().zip(tables.iter().flat_map(|table| &table.variants)) {
        let first = begun.entry(key).or_insert(variant.begun);
        *first = variant.begun.min(*first);
    }
    let mut order: Vec<(u64, &Key)> = begun.into_iter().map(|(key, begun)| (begun, key)).collect();
    order.sort();
    let numbers: BTreeMap<&Key, usize> =
        order.into_iter().enumerate().map(|(number, (_, key))| (key, number)).collect();
    let each = keys.iter().zip(paths).flat_map(|(key, paths)| paths.into_iter().map(|path| (path, numbers[key])));
    each.collect()
}

/// The key of each variant, in order.
fn keys(tables: &[Table]) -> Vec<Key> {
    let mut several: BTreeMap<String, bool> = BTreeMap::new();
    for table in tables {
        let mut here: BTreeMap<String, usize> = BTreeMap::new();
        table.variants.iter().for_each(|variant| *here.entry(variant.kind()).or_default() += 1);
        here.into_iter().for_each(|(kind, count)| *several.entry(kind).or_default() |= count > 1);
    }
    let key = |table: &Table, variant: &Variant| {
        let kind = variant.kind();
        if !several[&kind] && !kind.is_empty() {
            return Key::Kind(kind);
        }
        let same = |other: &&Variant| (&other.name, &other.variant) == (&variant.name, &variant.variant);
        let earlier = |other: &&Variant| (other.begun, &other.label) < (variant.begun, &variant.label);
        let version = table.variants.iter().filter(same).filter(earlier).count();
        let named = without_settings(&variant.variant, &variant.settings);
        let named = match &table.measure {
            Some(measure) => without_setting(&named, measure.way, measure.shot).to_owned(),
            None => named,
        };
        Key::Named(variant.name.clone(), named, version)
    };
    tables.iter().flat_map(|table| table.variants.iter().map(|variant| key(table, variant))).collect()
}

#[cfg(test)]
mod tests {
    use crate::load::load;
    use crate::palette::{Colour, Shape};
    use crate::summary::Variant;
    use crate::summary::summarise;
    use crate::testing::{Study, study};
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::{Path, PathBuf};

    fn variants(roots: &[PathBuf]) -> Vec<Variant> {
        summarise(&load(roots).unwrap()).groups.into_iter().flat_map(|group| group.variants).collect()
    }

    fn swatches(folder: &Path) -> BTreeMap<String, usize> {
        variants(&[folder.to_owned()]).into_iter().map(|variant| (variant.label, variant.swatch)).collect()
    }

    #[test]
    fn a_page_of_some_runs_has_the_colours_of_the_whole_study() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let all = variants(&[folder.path().to_owned()]);
        let look = |variant: &Variant| (variant.number, variant.swatch);
        assert_eq!(all.iter().map(look).collect::<BTreeSet<_>>().len(), 4);
        for variant in &all {
            let alone = variants(&variant.paths);
            assert_eq!(alone.iter().map(look).collect::<Vec<_>>(), [look(variant)], "{}", variant.label);
            // One seed of it beside one of the last variant.
            let pair = variants(&[variant.paths[0].clone(), all[3].paths[1].clone()]);
            assert!(pair.iter().any(|one| one.paths[0] == variant.paths[0] && look(one) == look(variant)));
        }
    }

    #[test]
    fn sixty_variants_are_all_distinct() {
        let folder = tempfile::tempdir().unwrap();
        let many = (0..60).map(|at| (format!("v{at}"), 0.4, at)).collect();
        Study { variants: many, ..Study::default() }.write(folder.path(), 1);
        let looks = variants(&[folder.path().to_owned()]).into_iter().map(|v| {
            let light = Colour::of(v.swatch).light;
            (light, format!("{:?}", Shape::of(v.number)))
        });
        assert_eq!(looks.collect::<BTreeSet<_>>().len(), 60);
    }

    #[test]
    fn a_variant_keeps_its_colour_when_others_come() {
        let folder = tempfile::tempdir().unwrap();
        let early = vec![("none".into(), 0.4, 0), ("worst".into(), 0.3, 5), ("best".into(), 0.8, 6)];
        Study { variants: early, started: 10, ..Study::default() }.write(folder.path(), 1);
        let before = swatches(folder.path());
        assert_eq!(before["none"], 0);
        let late = vec![("a middling one".into(), 0.5, 4)];
        Study { variants: late, started: 20, folder: "later".into(), ..Study::default() }.write(folder.path(), 1);
        let after = swatches(folder.path());
        assert!(before.iter().all(|(label, swatch)| after[label] == *swatch), "{before:?} {after:?}");
        assert!(!before.values().any(|swatch| *swatch == after["a middling one"]));
    }

    #[test]
    fn a_method_has_one_colour_with_any_number_of_shots() {
        let folder = tempfile::tempdir().unwrap();
        for shot in [1, 5] {
            let variants = vec![(format!("one-{shot}shot"), 0.4, 7), (format!("two-{shot}shot"), 0.5, 9)];
            Study { variants, shot, folder: format!("{shot}"), started: shot as u64, ..Study::default() }
                .write(folder.path(), 1);
        }
        let found = swatches(folder.path());
        assert_eq!((found["one-1shot"], found["two-1shot"]), (found["one-5shot"], found["two-5shot"]));
        assert_ne!(found["one-1shot"], found["two-1shot"]);
    }
}

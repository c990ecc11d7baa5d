//! The number and the colour of each variant, the same in every figure and table of a report.
//!
//! Both follow the order in which variants were begun, so that a page of a study that goes on keeps the colours that it has: new
//! variants get the next ones.

use super::compare::called_baseline;
use super::grouping::without_settings;
use super::{Group, Variant};
use crate::format::without_setting;
use crate::palette::Colour;
use std::collections::BTreeMap;

/// What makes two variants of different groups one: the same method, with other shots, ways or data.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Kind(String),
    /// Recipe, variant and version, where a group has several variants of a kind, such as with other rates.
    Named(String, String, usize),
}

/// Numbers the variants of all groups and gives them their colours.
pub fn assign(groups: &mut [Group]) {
    let keys = keys(groups);
    let mut begun: BTreeMap<&Key, u64> = BTreeMap::new();
    for (key, variant) in keys.iter().zip(groups.iter().flat_map(|group| &group.variants)) {
        let first = begun.entry(key).or_insert(variant.begun);
        *first = variant.begun.min(*first);
    }
    let mut order: Vec<(u64, &Key)> = begun.into_iter().map(|(key, begun)| (begun, key)).collect();
    order.sort();
    let numbers: BTreeMap<&Key, usize> =
        order.into_iter().enumerate().map(|(number, (_, key))| (key, number)).collect();
    let colours = Colour::SERIES.len() - 1;
    for (key, variant) in keys.iter().zip(groups.iter_mut().flat_map(|group| &mut group.variants)) {
        variant.number = numbers[key];
        variant.swatch = if called_baseline(variant) { 0 } else { 1 + variant.number % colours };
    }
}

/// The key of each variant, in order.
fn keys(groups: &[Group]) -> Vec<Key> {
    let mut several: BTreeMap<String, bool> = BTreeMap::new();
    for group in groups {
        let mut here: BTreeMap<String, usize> = BTreeMap::new();
        group.variants.iter().for_each(|variant| *here.entry(variant.kind()).or_default() += 1);
        here.into_iter().for_each(|(kind, count)| *several.entry(kind).or_default() |= count > 1);
    }
    let key = |group: &Group, variant: &Variant| {
        let kind = variant.kind();
        if !several[&kind] && !kind.is_empty() {
            return Key::Kind(kind);
        }
        let same = |other: &&Variant| (&other.name, &other.variant) == (&variant.name, &variant.variant);
        let earlier = |other: &&Variant| (other.begun, &other.label) < (variant.begun, &variant.label);
        let version = group.variants.iter().filter(same).filter(earlier).count();
        let named = without_settings(&variant.variant, &variant.settings);
        let named = match &group.measure {
            Some(measure) => without_setting(&named, measure.way, measure.shot).to_owned(),
            None => named,
        };
        Key::Named(variant.name.clone(), named, version)
    };
    groups.iter().flat_map(|group| group.variants.iter().map(|variant| key(group, variant))).collect()
}

#[cfg(test)]
mod tests {
    use crate::load::load;
    use crate::summary::summarise;
    use crate::testing::Study;
    use std::collections::BTreeMap;
    use std::path::Path;

    fn swatches(folder: &Path) -> BTreeMap<String, usize> {
        let groups = summarise(&load(&[folder.to_owned()]).unwrap()).groups;
        groups.into_iter().flat_map(|group| group.variants).map(|v| (v.label, v.swatch)).collect()
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

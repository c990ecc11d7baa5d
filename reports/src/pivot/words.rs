//! The words around a table: its caption, and the notes below it.

use super::axis::Axis;
use super::cells::Found;
use super::metric::Metric;
use super::{Asked, Interval, Marks};
use crate::table::LEVEL;
use crate::{format, statistics};
use std::collections::BTreeSet;

/// What is to be known of cells.
#[derive(Default)]
pub struct Notes {
    /// Whether a cell has no run.
    pub missing: bool,
    /// Whether a result has no interval of the kind asked for.
    pub without_interval: bool,
    /// Sources of published numbers, each with why some of them are no comparison.
    sources: Vec<(String, Vec<String>)>,
}

impl Notes {
    /// The number of a source, from 1.
    pub fn source(&mut self, source: &str) -> usize {
        match self.sources.iter().position(|(known, _)| known == source) {
            Some(at) => at + 1,
            None => {
                self.sources.push((source.to_owned(), Vec::new()));
                self.sources.len()
            }
        }
    }

    /// Notes why a number of the source with this number is no comparison.
    pub fn elsewhere(&mut self, source: usize, why: &str) {
        let reasons = &mut self.sources[source - 1].1;
        if !reasons.iter().any(|known| known == why) {
            reasons.push(why.to_owned());
        }
    }

    /// One sentence each. `open` runs have no result.
    pub fn into_list(self, open: usize, found: &Found, intervals: Interval) -> Vec<String> {
        let note = |(at, (source, why)): (usize, &(String, Vec<String>))| {
            let why = if why.is_empty() { String::new() } else { format!(" (†: {})", why.join("; or ")) };
            format!("[{}]: {source}{why}", at + 1)
        };
        let mut notes: Vec<String> = self.sources.iter().enumerate().map(note).collect();
        if self.missing {
            notes.push(format!("{}: no run with a result", format::NONE));
        }
        if self.without_interval {
            notes.push("without ±: the runs do not allow this interval".to_owned());
        }
        if open > 0 {
            let verb = if open == 1 { "has" } else { "have" };
            notes.push(format!("{} {verb} no result and {} not counted", format::plural(open, "run"), be(open)));
        }
        if intervals == Interval::Episodes && over_episodes(found) == statistics::OVER_EITHER {
            notes.push(statistics::MIXED.to_owned());
        }
        notes.extend(found.warnings.iter().cloned());
        notes
    }
}

fn be(number: usize) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

/// The caption, in sentences.
pub fn caption(
    asked: &Asked,
    found: &Found,
    rows: &[Axis],
    columns: &[Axis],
    metrics: &[Metric],
    renamed: &impl Fn(String, String) -> String,
) -> String {
    let axes: Vec<&Axis> = rows.iter().chain(columns).collect();
    let fixed = |axis: Axis| {
        let values: BTreeSet<String> = found.runs.iter().map(|run| axis.value(*run)).collect();
        let only = values.first().filter(|_| values.len() == 1 && !axes.contains(&&axis))?;
        (*only != format::NONE && only != "0").then(|| renamed(only.clone(), axis.heading(only)))
    };
    let task = fixed(Axis::Task)
        .map_or_else(|| "Results".to_owned(), |_| format::capitalized(&format::task(&Axis::Task.value(found.runs[0]))));
    let data = fixed(Axis::Dataset).map(|data| format!(" on {data}")).unwrap_or_default();
    let setting: Vec<String> = [Axis::Way, Axis::Shot].into_iter().filter_map(fixed).collect();
    let setting = if setting.is_empty() { String::new() } else { format!(", {}", setting.join(" ")) };
    let measured = metrics.iter().find_map(|metric| match metric {
        Metric::Test(name) => Some(format::words(name)),
        Metric::Cost(_) => None,
    });
    let shown = measured.as_ref().map(|name| format!(": {name} in %")).unwrap_or_default();
    let mut sentences = vec![asked.caption.clone().unwrap_or_else(|| format!("{task}{data}{setting}{shown}"))];
    sentences.extend(only(asked, &axes));
    let seeds = found.seeds();
    if let (Some(least), Some(most)) = (seeds.first(), seeds.last().filter(|most| **most > 1)) {
        sentences.push(match least == most {
            true => format!("Mean of {most} seeds"),
            false => format!("Mean of {least} to {most} seeds"),
        });
    }
    if measured.is_some() {
        sentences.extend(interval(asked.interval, found).map(|of| format!("±: {of}")));
        sentences.extend(marks(asked.marks, found, rows));
    }
    sentences.join(". ") + "."
}

/// Which runs are shown, where the first sentence does not say it.
fn only(asked: &Asked, axes: &[&Axis]) -> Option<String> {
    let is_axis = |name: &str| axes.iter().any(|axis| axis.name() == format::words(name));
    let said =
        |name: &str| asked.caption.is_none() && !is_axis(name) && ["task", "dataset", "way", "shot"].contains(&name);
    let kept = asked.only.iter().filter(|(name, _)| !said(name));
    let kept: Vec<String> = kept.map(|(name, value)| format!("{} = {value}", format::words(name))).collect();
    (!kept.is_empty()).then(|| format!("Only runs with {}", kept.join(" and ")))
}

/// Says what the grey rows are.
pub fn with_published(caption: String, any: bool) -> String {
    if any { format!("{caption} Grey rows with a number in brackets: published results.") } else { caption }
}

fn interval(interval: Interval, found: &Found) -> Option<&'static str> {
    let queries = found.runs.iter().any(|(run, _)| run.result().is_some_and(|test| test.way == 0));
    match interval {
        Interval::Episodes if queries => Some(statistics::OVER_QUERIES),
        Interval::Episodes => Some(over_episodes(found)),
        Interval::Classes => Some(statistics::OVER_CLUSTERS),
        Interval::Seeds => Some(statistics::OVER_SEEDS),
        Interval::None => None,
    }
}

/// What the intervals over episodes are about.
fn over_episodes(found: &Found) -> &'static str {
    statistics::over_episodes_of(found.runs.iter().map(|(run, _)| &run.settings))
}

fn marks(marks: Marks, found: &Found, rows: &[Axis]) -> Option<String> {
    let test = "exact sign-flip permutation of the paired episodes, Holm’s correction within the column";
    match marks {
        Marks::Best if found.keys().map(|(row, _)| row).collect::<BTreeSet<_>>().len() > 1 => {
            Some(format!("Bold: the best of a column, and what cannot be told from it ({test}, p > {LEVEL})"))
        }
        Marks::Baseline if !found.baselines().is_empty() => {
            let names = found
                .baselines()
                .into_iter()
                .map(|row| row.iter().zip(rows).map(|(value, axis)| axis.plain(value)).collect::<Vec<_>>().join(" "));
            let names = names.collect::<Vec<_>>().join(", or ");
            Some(format!("*: differs from {names} ({test}, p ≤ {LEVEL})"))
        }
        _ => None,
    }
}

//! The cells of a table: which runs share one, what they give together, and what tests say of a column.

use super::axis::{Axis, Placed, method};
use super::metric::Metric;
use super::words::Notes;
use super::{Asked, Interval, Marks, PivotCell, PivotRow};
use crate::load::Run;
use crate::settings::varying;
use crate::summary::{Difference, Paper, Variant, compare, started, to_baseline};
use crate::table::LEVEL;
use crate::{format, statistics};
use maclip_framework::error::{Error, Result};
use maclip_framework::recipe::changes_results;
use maclip_language::{Diagnostic, codes};
use std::collections::{BTreeMap, BTreeSet};

/// The values of a row or column, one for each of its axes.
pub type Key = Vec<String>;

/// One cell: its runs together.
pub struct Cell {
    variant: Variant,
    best: bool,
    /// Clearly different from the baseline.
    differs: bool,
}

pub struct Found<'a> {
    cells: BTreeMap<(Key, Key), Cell>,
    /// All runs that are shown.
    pub runs: Vec<Placed<'a>>,
    /// What limits the table.
    pub warnings: Vec<String>,
}

/// Most values of a key that an error names.
const NAMED: usize = 4;

impl<'a> Found<'a> {
    /// The cells of `runs`.
    ///
    /// # Errors
    /// Where runs share a cell that are no seeds of one another; it names the key in which they differ.
    pub fn of(runs: &[Placed<'a>], rows: &[Axis], columns: &[Axis]) -> Result<Self> {
        let mut shared: BTreeMap<(Key, Key), Vec<&Run>> = BTreeMap::new();
        for placed in runs {
            let key = |axes: &[Axis]| axes.iter().map(|axis| axis.value(*placed)).collect();
            shared.entry((key(rows), key(columns))).or_default().push(placed.0);
        }
        let mut warnings = Vec::new();
        let mut cells = BTreeMap::new();
        for (key, runs) in shared {
            let runs = once_each(runs);
            let designs: BTreeSet<&str> = runs.iter().map(|run| run.settings.design.as_str()).collect();
            if designs.len() > 1 {
                return Err(no_seeds(&key, &runs, rows, columns));
            }
            let label = [key.0.as_slice(), key.1.as_slice()].concat().join(", ");
            let variant = Variant::of(label, runs, &mut warnings);
            cells.insert(key, Cell { variant, best: false, differs: false });
        }
        Ok(Self { cells, runs: runs.to_vec(), warnings })
    }

    pub fn keys(&self) -> impl Iterator<Item = &(Key, Key)> {
        self.cells.keys()
    }

    /// Numbers of seeds that cells have, sorted.
    pub fn seeds(&self) -> BTreeSet<usize> {
        self.cells.values().map(|cell| cell.variant.seeds.len()).collect()
    }

    /// Mean of the results of the cells that `belongs` picks; lower than any where one is the baseline of its study.
    pub fn rank(&self, belongs: impl Fn(&(Key, Key)) -> bool) -> f64 {
        let cells: Vec<&Cell> = self.cells.iter().filter(|(key, _)| belongs(key)).map(|(_, cell)| cell).collect();
        if cells.iter().any(|cell| cell.variant.is_baseline == Some(true)) {
            return f64::NEG_INFINITY;
        }
        statistics::mean(cells.iter().filter_map(|cell| cell.variant.mean())).unwrap_or(f64::INFINITY)
    }

    /// Tests the cells of each column, as `marks` says.
    pub fn compare(&mut self, marks: Marks) {
        let columns: BTreeSet<Key> = self.cells.keys().map(|(_, column)| column.clone()).collect();
        for column in columns {
            let mut cells: Vec<&mut Cell> =
                self.cells.iter_mut().filter(|((_, of), _)| *of == column).map(|(_, cell)| cell).collect();
            match marks {
                Marks::None => {}
                Marks::Best => self.warnings.extend(mark_best(&mut cells)),
                Marks::Baseline => {
                    let mut variants: Vec<Variant> = cells.iter().map(|cell| cell.variant.clone()).collect();
                    to_baseline(&mut variants, &mut self.warnings);
                    for (cell, variant) in cells.iter_mut().zip(variants) {
                        cell.differs =
                            matches!(&variant.difference, Difference::Paired(found) if found.p_holm <= LEVEL);
                        cell.variant.difference = variant.difference;
                    }
                }
            }
        }
    }

    /// The names of the baselines that columns are compared with.
    pub fn baselines(&self) -> BTreeSet<&Key> {
        let is = |cell: &Cell| cell.variant.difference == Difference::IsBaseline;
        self.cells.iter().filter(|(_, cell)| is(cell)).map(|((row, _), _)| row).collect()
    }

    /// What stands in a cell.
    pub fn cell(&self, row: &Key, column: &Key, metric: &Metric, asked: &Asked, notes: &mut Notes) -> PivotCell {
        let missing = PivotCell { text: format::NONE.to_owned(), ..PivotCell::default() };
        let Some(cell) = self.cells.get(&(row.clone(), column.clone())) else {
            notes.missing = true;
            return missing;
        };
        let number = match metric {
            Metric::Cost(cost) => {
                cost.of(&cell.variant).map(|(value, text)| PivotCell { text, value: Some(value), ..missing.clone() })
            }
            Metric::Test(_) => cell.variant.result.as_ref().map(|result| {
                let half = match asked.interval {
                    Interval::Episodes => Some(result.over_episodes.half_width),
                    Interval::Classes => result.over_clusters.map(|interval| interval.half_width),
                    Interval::Seeds => result.over_seeds.map(|interval| interval.half_width),
                    Interval::None => None,
                };
                notes.without_interval |= half.is_none() && asked.interval != Interval::None;
                let mean = result.over_episodes.mean;
                PivotCell {
                    text: half.map_or_else(|| format::percent(mean), |half| format::percent_interval(mean, half)),
                    value: Some(mean * 100.0),
                    half_width: half.map(|half| half * 100.0),
                    best: cell.best,
                    sign: if cell.differs { "*".to_owned() } else { String::new() },
                }
            }),
        };
        number.unwrap_or_else(|| {
            notes.missing = true;
            missing
        })
    }

    /// The published numbers of a cell.
    fn papers<'s>(&'s self, row: &Key, column: &Key, metric: &'s Metric) -> impl Iterator<Item = &'s Paper> {
        let cell = self.cells.get(&(row.clone(), column.clone()));
        let papers = cell.map(|cell| cell.variant.paper.as_slice()).unwrap_or_default();
        papers.iter().filter(move |paper| {
            let measured = matches!(metric, Metric::Test(name) if *name == paper.expectation.metric);
            measured && paper.expectation.is_published()
        })
    }

    /// The rows of published numbers that belong to `row`, one for each source.
    pub fn published(
        &self,
        row: &Key,
        names: &[String],
        columns: &[(&Key, &Metric)],
        notes: &mut Notes,
    ) -> Vec<PivotRow> {
        let mut sources: Vec<&str> = Vec::new();
        for source in columns.iter().flat_map(|(column, metric)| self.papers(row, column, metric)) {
            let source = source.expectation.source.as_str();
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        let mut rows = Vec::new();
        for source in sources {
            let mark = notes.source(source);
            let cells = columns.iter().map(|(column, metric)| {
                let paper = self.papers(row, column, metric).find(|paper| paper.expectation.source == source);
                paper.map_or_else(
                    || PivotCell { text: format::NONE.to_owned(), ..PivotCell::default() },
                    |paper| {
                        let sign = if paper.elsewhere.is_some() { "†" } else { "" };
                        paper.elsewhere.iter().for_each(|why| notes.elsewhere(mark, why));
                        let value = paper.expectation.value;
                        PivotCell {
                            text: format::percent(value / 100.0),
                            value: Some(value),
                            sign: sign.to_owned(),
                            ..PivotCell::default()
                        }
                    },
                )
            });
            let cells = cells.collect();
            let mut names = names.to_vec();
            names.last_mut().into_iter().for_each(|name| name.push_str(&format!(" [{mark}]")));
            rows.push(PivotRow { names, published: true, cells });
        }
        rows
    }
}

/// Runs without the copies of one that has several names.
fn once_each(runs: Vec<&Run>) -> Vec<&Run> {
    let mut kept: BTreeMap<&str, &Run> = BTreeMap::new();
    for run in runs {
        let later = |other: &&Run| (started(other), other.path()) > (started(run), run.path());
        let hash = run.directory.manifest.hash.as_str();
        if !kept.get(hash).is_some_and(later) {
            kept.insert(hash, run);
        }
    }
    kept.into_values().collect()
}

/// Why `runs` cannot be averaged, and how they come apart.
fn no_seeds(key: &(Key, Key), runs: &[&Run], rows: &[Axis], columns: &[Axis]) -> Error {
    let of =
        |axes: &[Axis], key: &Key| axes.iter().zip(key).map(|(axis, value)| axis.heading(value)).collect::<Vec<_>>();
    let place = [of(rows, &key.0), of(columns, &key.1)].concat().join(" × ");
    let mut keys = varying(runs.iter().map(|run| &run.settings));
    keys.retain(|key| changes_results(key));
    // Of another component, its options say nothing more.
    let kinds: Vec<String> = keys.iter().filter_map(|key| Some(format!("{}.", key.strip_suffix(".type")?))).collect();
    keys.retain(|key| key.ends_with(".type") || !kinds.iter().any(|slot| key.starts_with(slot.as_str())));
    keys.sort_by_key(|key| !key.ends_with(".type"));
    let values = |key: &String| {
        let values: BTreeSet<&str> = runs.iter().map(|run| run.settings.get(key).unwrap_or(format::NONE)).collect();
        let more = if values.len() > NAMED { ", …" } else { "" };
        format!("{key} ({}{more})", values.into_iter().take(NAMED).collect::<Vec<_>>().join(", "))
    };
    let told: Vec<String> = keys.iter().take(NAMED).map(values).collect();
    let message = format!(
        "{} in the cell {} are no seeds of one another: they differ in {}",
        format::plural(runs.len(), "run"),
        if place.is_empty() { "of the table" } else { &place },
        if told.is_empty() { "their recipes".to_owned() } else { told.join("; ") }
    );
    let methods: BTreeSet<String> = runs.iter().map(|run| method(run)).collect();
    let named = [Axis::Method, Axis::Variant].iter().any(|axis| rows.contains(axis) || columns.contains(axis));
    let help = match keys.first() {
        _ if !named && methods.len() > 1 => "they are of several methods: add `method` to `--rows`".to_owned(),
        Some(key) => {
            let axis = Axis::of_key(key);
            let value = runs[0].settings.get(key).unwrap_or_default();
            format!(
                "add it as an axis, such as `--columns {axis}` or `--rows method,{axis}`; or choose runs: `--where {key}={value}`"
            )
        }
        None => "name the folder of one of them".to_owned(),
    };
    Diagnostic::new(codes::ARGUMENT, message).help(help).into()
}

/// Marks the best of a column and what cannot be told from it; returns why something could not be compared.
fn mark_best(cells: &mut [&mut Cell]) -> Vec<String> {
    let mean = |cell: &Cell| cell.variant.mean().unwrap_or(f64::NEG_INFINITY);
    let best = cells.iter().enumerate().max_by(|a, b| mean(a.1).total_cmp(&mean(b.1))).map(|(at, _)| at);
    let Some(best) = best.filter(|_| cells.len() > 1) else { return Vec::new() };
    let winner = cells[best].variant.clone();
    cells[best].best = true;
    let mut warnings = Vec::new();
    let mut p = Vec::new();
    for (at, cell) in cells.iter().enumerate().filter(|(at, _)| *at != best) {
        match compare(&winner, &cell.variant) {
            Ok(paired) => p.push((at, paired.p)),
            Err(why) => warnings.push(format!("{} is not tested against {}: {why}", cell.variant.label, winner.label)),
        }
    }
    let corrected = statistics::holm(&p.iter().map(|(_, p)| *p).collect::<Vec<_>>());
    for ((at, _), p) in p.into_iter().zip(corrected) {
        cells[at].best = p > LEVEL;
    }
    warnings
}

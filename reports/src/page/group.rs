//! A group of variants as the page shows it.

use super::FigureView;
use crate::figures::{self, Figure};
use crate::format;
use crate::gallery::Gallery;
use crate::summary::{Difference, Group};
use crate::table::{Cell, Column, LEVEL, Mark, Table};
use serde::Serialize;

#[derive(Serialize)]
pub struct GroupView {
    title: String,
    headline: Option<Headline>,
    columns: Vec<Column>,
    rows: Vec<RowView>,
    marked: bool,
    notes: Vec<String>,
    papers: Vec<PaperView>,
    /// What the runs say of the expected orders.
    order: Option<Table>,
    /// Headings of the keys that differ among the variants, and a row for each variant.
    keys: Vec<String>,
    differing: Vec<DifferingView>,
    figures: Vec<FigureView>,
    gallery: Option<Gallery>,
}

/// The finding in one sentence, in pieces so that the template can set the numbers apart.
#[derive(Serialize)]
struct Headline {
    best: String,
    value: String,
    metric: String,
    difference: String,
    /// Whether the difference is clear after correction; `None` without a difference.
    clear: Option<bool>,
    baseline: String,
    detail: String,
}

#[derive(Serialize)]
struct RowView {
    swatch: usize,
    best: bool,
    cells: Vec<Cell>,
}

/// A number that the recipe expects beside the measured one.
#[derive(Serialize)]
struct PaperView {
    variant: String,
    measured: Cell,
    expected: Cell,
    difference: Cell,
    source: String,
    /// Why the two are no comparison.
    elsewhere: Option<String>,
}

/// The values of one variant.
#[derive(Serialize)]
struct DifferingView {
    variant: String,
    values: Vec<KeyView>,
}

#[derive(Serialize)]
struct KeyView {
    text: String,
    /// The same as a number, where it is one.
    value: Option<f64>,
    /// From the baseline's.
    differs: bool,
}

pub fn view(
    group: &Group,
    (table, order): (&Table, &Option<Table>),
    figures: &[Figure],
    gallery: Option<&Gallery>,
) -> GroupView {
    let rows = table.rows.iter().enumerate().map(|(position, cells)| RowView {
        swatch: figures::swatch(group, position),
        best: cells.iter().any(|cell| cell.mark == Some(Mark::Best)),
        cells: cells.clone(),
    });
    GroupView {
        title: table.title.clone(),
        headline: headline(group),
        columns: table.columns.clone(),
        rows: rows.collect(),
        marked: table.marked(),
        notes: table.notes.clone(),
        papers: papers(group),
        order: order.clone(),
        keys: group.varying.clone(),
        differing: differing(group),
        figures: figures.iter().map(FigureView::of).collect(),
        gallery: gallery.cloned(),
    }
}

fn headline(group: &Group) -> Option<Headline> {
    let best = group.best()?;
    let result = best.result.as_ref()?;
    let interval = result.over_episodes;
    let mut headline = Headline {
        best: best.label.clone(),
        value: format::percent_interval(interval.mean, interval.half_width),
        metric: format::words(group.metric()),
        difference: String::new(),
        clear: None,
        baseline: group.baseline().map(|baseline| baseline.label.clone()).unwrap_or_default(),
        detail: String::new(),
    };
    if let Difference::Paired(compared) = best.difference {
        let interval = compared.paired.over_episodes;
        headline.clear = Some(compared.p_holm <= LEVEL);
        headline.difference = format::points_interval(interval.mean, interval.half_width);
    }
    let seeds = format::plural(result.values.len(), "seed");
    let each = if result.values.len() > 1 { " each" } else { "" };
    let tests = format::whole(result.episodes);
    headline.detail = format!("{seeds}, {tests} test {}{each}; ± is the {}", group.unit(), group.interval());
    Some(headline)
}

fn papers(group: &Group) -> Vec<PaperView> {
    let view = |variant: &crate::summary::Variant| {
        let mean = variant.mean();
        let view = |paper: &crate::summary::Paper| {
            let expected = paper.expectation.value / 100.0;
            PaperView {
                variant: variant.label.clone(),
                measured: Cell::of(mean, format::percent, |mean| mean),
                expected: Cell::of(Some(expected), format::percent, |expected| expected),
                difference: Cell::of(mean.map(|mean| mean - expected), format::points, |difference| difference),
                source: paper.expectation.source.clone(),
                elsewhere: paper.elsewhere.clone(),
            }
        };
        variant.paper.iter().map(view).collect::<Vec<_>>()
    };
    group.variants.iter().flat_map(view).collect()
}

fn differing(group: &Group) -> Vec<DifferingView> {
    let base = group.baseline().or(group.variants.first());
    let row = |variant: &crate::summary::Variant| DifferingView {
        variant: variant.label.clone(),
        values: group
            .varying
            .iter()
            .map(|key| {
                let value = variant.settings.get(key);
                let differs = base.is_some_and(|base| base.settings.get(key) != value);
                let text = value.unwrap_or(format::NONE).to_owned();
                KeyView { value: text.parse().ok().filter(|value: &f64| value.is_finite()), text, differs }
            })
            .collect(),
    };
    if group.varying.is_empty() { Vec::new() } else { group.variants.iter().map(row).collect() }
}

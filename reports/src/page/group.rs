//! A group of variants as the page shows it.

use super::FigureView;
use super::headline::{self, Headline};
use crate::answers::Answers;
use crate::figures::{Figure, Ways};
use crate::format;
use crate::gallery::Gallery;
use crate::summary::{Group, Variant};
use crate::table::{Cell, Column, Level, Mark, Table};
use minijinja::Value;
use serde::Serialize;

#[derive(Serialize)]
pub struct GroupView {
    /// Unique on the page; its parts have it before their own.
    pub anchor: String,
    pub title: String,
    /// Whether it is seen at once.
    pub open: bool,
    /// Whether it has columns that a narrow window shows only when asked.
    more_columns: bool,
    /// Which examples are on the page.
    examples: Inlined,
    headline: Option<Headline>,
    /// Name and values of each fact.
    provenance: Vec<(&'static str, String)>,
    columns: Vec<Column>,
    rows: Vec<RowView>,
    marked: bool,
    second: bool,
    /// What the numbers are.
    notes: Vec<String>,
    /// What limits them.
    warnings: Vec<String>,
    papers: Vec<PaperView>,
    /// What the runs say of the expected orders.
    order: Option<Table>,
    /// Headings of the keys that differ among the variants, and a row for each variant.
    keys: Vec<String>,
    differing: Vec<DifferingView>,
    /// At most two columns of about the same height.
    figures: Vec<FigureColumn>,
    gallery: Option<Gallery>,
}

/// Which examples of a gallery a page holds.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Inlined {
    All,
    /// The first of each kind.
    First,
    None,
}

/// Figures below each other.
#[derive(Serialize)]
struct FigureColumn {
    /// Its place on a screen that is wide enough for two: 0 is the left one.
    side: usize,
    blocks: Vec<Block>,
}

/// Figures that stand in one place: one, or several with a switch between them.
#[derive(Serialize)]
struct Block {
    id: String,
    /// Its place on a screen, in its column or where there is one column.
    place: usize,
    /// About how high it is, in widths of a column.
    #[serde(skip)]
    height: f64,
    /// What stands before the switch, and the same for those who do not see it.
    word: &'static str,
    about: &'static str,
    /// The names of the figures in the switch; empty where there is one figure alone.
    ways: Vec<&'static str>,
    figures: Vec<FigureView>,
    answers: Option<AnswersView>,
}

/// The clips behind a confusion.
#[derive(Serialize)]
struct AnswersView {
    answers: Answers,
    json: Value,
}

#[derive(Serialize)]
struct RowView {
    swatch: usize,
    number: usize,
    best: bool,
    cells: Vec<Cell>,
}

/// A number that the recipe expects beside the measured one.
#[derive(Serialize)]
struct PaperView {
    variant: String,
    number: usize,
    swatch: usize,
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
    number: usize,
    swatch: usize,
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

/// What is shown of one group, beside its numbers.
pub struct Parts<'a> {
    pub table: &'a Table,
    pub order: &'a Option<Table>,
    pub figures: &'a [Figure],
    pub gallery: Option<&'a Gallery>,
    pub answers: Option<Answers>,
    pub open: bool,
    pub examples: Inlined,
}

/// `anchor` is unique on the page.
pub fn view(anchor: String, group: &Group, parts: Parts) -> GroupView {
    let table = parts.table;
    let rows = table.rows.iter().zip(&group.variants).map(|(cells, variant)| RowView {
        swatch: variant.swatch,
        number: variant.number,
        best: cells.iter().any(|cell| cell.mark == Some(Mark::Best)),
        cells: cells.clone(),
    });
    let (warnings, notes) = table.notes.iter().cloned().partition(|note| group.warnings.contains(note));
    let facts = group.provenance.facts.iter();
    GroupView {
        title: table.title.clone(),
        open: parts.open,
        more_columns: table.columns.iter().any(|column| column.level == Level::Full),
        examples: parts.examples,
        headline: headline::of(group),
        provenance: facts.map(|(name, values)| (*name, format::listed(values))).collect(),
        columns: table.columns.clone(),
        rows: rows.collect(),
        marked: table.marked(Mark::Best),
        second: table.marked(Mark::Second),
        notes,
        warnings,
        papers: papers(group),
        order: parts.order.clone(),
        keys: group.varying.clone(),
        differing: differing(group),
        figures: balanced(blocks(&anchor, parts.figures, parts.answers)),
        gallery: parts.gallery.cloned(),
        anchor,
    }
}

impl GroupView {
    /// Ending of the anchor and title of each part that is there, in order.
    pub fn parts(&self) -> Vec<(&'static str, &'static str)> {
        let parts = [
            (true, "table", "Table"),
            (!self.papers.is_empty(), "expected", "Expected and measured"),
            (self.order.is_some(), "orders", "Expected orders"),
            (!self.figures.is_empty(), "figures", "Figures"),
            (self.gallery.is_some(), "inside", "A look inside"),
            (!self.differing.is_empty(), "differing", "What differs"),
        ];
        parts.into_iter().filter(|(there, ..)| *there).map(|(_, anchor, title)| (anchor, title)).collect()
    }
}

/// Figures that follow each other and show the same in several ways share a place; `answers` go to the confusion.
fn blocks(anchor: &str, figures: &[Figure], answers: Option<Answers>) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut answers = answers;
    let mut before: Option<&Ways> = None;
    for figure in figures {
        let view = FigureView::of(figure);
        let among = figure.way.map(|way| way.among);
        match (figure.way, blocks.last_mut()) {
            (Some(way), Some(last)) if before == among => {
                last.ways.push(way.name);
                last.figures.push(view);
            }
            (way, _) => blocks.push(Block {
                id: format!("{anchor}-ways-{}", blocks.len() + 1),
                place: blocks.len(),
                height: height(figure),
                word: among.map_or("", |among| among.word),
                about: among.map_or("", |among| among.about),
                ways: way.into_iter().map(|way| way.name).collect(),
                figures: vec![view],
                answers: match figure.id.ends_with("confusion") {
                    true => answers
                        .take()
                        .map(|answers| AnswersView { json: Value::from_safe_string(answers.json()), answers }),
                    false => None,
                },
            }),
        }
        before = among;
    }
    blocks
}

/// Blocks in two columns: each goes to the one that is shorter so far. Screens show columns and blocks by their places.
/// The lowest comes first nevertheless, and paper follows that: a sheet that a table leaves half empty has room for it.
fn balanced(blocks: Vec<Block>) -> Vec<FigureColumn> {
    let mut columns = [0, 1].map(|side| FigureColumn { side, blocks: Vec::new() });
    let mut heights = [0.0; 2];
    for block in blocks {
        let shorter = usize::from(heights[1] < heights[0]);
        heights[shorter] += block.height;
        columns[shorter].blocks.push(block);
    }
    columns.iter_mut().for_each(|column| column.blocks.sort_by(|a, b| a.height.total_cmp(&b.height)));
    let mut columns: Vec<FigureColumn> = columns.into_iter().filter(|column| !column.blocks.is_empty()).collect();
    columns.sort_by(|a, b| a.blocks[0].height.total_cmp(&b.blocks[0].height));
    columns
}

/// About how high a figure with its caption is, in widths of its column.
fn height(figure: &Figure) -> f64 {
    /// Letters of a line of a caption, and the height of one, and of the space around a figure.
    const LETTERS: f64 = 60.0;
    const LINE: f64 = 0.04;
    const AROUND: f64 = 0.15;
    let sides = figure.svg.split_once("viewBox=\"").and_then(|(_, rest)| rest.split_once('"'));
    let sides: Vec<f64> =
        sides.into_iter().flat_map(|(sides, _)| sides.split(' ')).filter_map(|side| side.parse().ok()).collect();
    let drawn = if let [_, _, width, height] = sides[..] { height / width } else { 1.0 };
    drawn + AROUND + LINE * (figure.caption.chars().count() as f64 / LETTERS).ceil()
}

fn papers(group: &Group) -> Vec<PaperView> {
    let view = |variant: &Variant| {
        let (mean, number) = (variant.mean(), variant.number);
        let view = |paper: &crate::summary::Paper| {
            let expected = paper.expectation.value / 100.0;
            PaperView {
                variant: variant.label.clone(),
                number,
                swatch: variant.swatch,
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
    let row = |variant: &Variant| DifferingView {
        variant: variant.label.clone(),
        number: variant.number,
        swatch: variant.swatch,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_of_about_the_same_height() {
        let block = |place, height| Block {
            id: String::new(),
            place,
            height,
            word: "",
            about: "",
            ways: Vec::new(),
            figures: Vec::new(),
            answers: None,
        };
        let heights = [0.8, 1.2, 1.0, 1.1, 1.4, 1.6, 1.5, 0.6];
        let columns = balanced(heights.into_iter().enumerate().map(|(place, height)| block(place, height)).collect());
        let sums: Vec<f64> =
            columns.iter().map(|column| column.blocks.iter().map(|block| block.height).sum()).collect();
        assert!((sums[0] - sums[1]).abs() < 0.7, "{sums:?}");
        let places = |column: &FigureColumn| column.blocks.iter().map(|block| block.place).collect::<Vec<_>>();
        // The lowest is in the column on the right.
        assert_eq!((columns[0].side, places(&columns[0])), (1, vec![7, 3, 1, 5]));
        assert_eq!((columns[1].side, places(&columns[1])), (0, vec![0, 2, 4, 6]));
        assert_eq!(balanced(vec![block(0, 1.0)]).len(), 1);
        assert!(balanced(Vec::new()).is_empty());
    }
}

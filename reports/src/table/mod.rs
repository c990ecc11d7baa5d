//! One table for each group, and its renderings as LaTeX, Markdown, CSV and text. A number has the same characters in
//! all of them: the text of a cell is made here once. Not here: where the numbers come from (`summary`).

mod csv;
mod latex;
mod markdown;
mod terminal;

pub use self::csv::{csv, csv_lines, harmless};
pub use latex::{escape as escape_latex, latex, set, unspelt};
pub use markdown::{escape as escape_markdown, markdown};
pub use terminal::terminal;

use crate::statistics::Interval;
use crate::summary::{Difference, Group, Variant, Verdict};
use crate::{format, statistics};
use serde::Serialize;

/// The variants of a group, cell by cell.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    pub title: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Cell>>,
    /// What the numbers are, and what is to be known about them; a sentence each, without its full stop.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    pub heading: String,
    /// Unit, or what varies; may be empty.
    pub about: String,
    /// How much room there must be to show it.
    pub level: Level,
    /// Names stand to the left, numbers to the right.
    pub name: bool,
}

/// Where a column is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Everywhere, in a paper too.
    Core,
    /// On a terminal and wherever there is more room.
    Wide,
    /// On the page, in Markdown and CSV.
    Full,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cell {
    pub text: String,
    /// What to sort by.
    pub value: Option<f64>,
    pub mark: Option<Mark>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    Best,
    Second,
    /// Not clearly different from the baseline after correction.
    Unclear,
}

impl Cell {
    fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    fn number(text: String, value: f64) -> Self {
        Self { text, value: Some(value), mark: None }
    }

    /// A dash where there is no value.
    pub fn of<T: Copy>(value: Option<T>, text: impl Fn(T) -> String, number: impl Fn(T) -> f64) -> Self {
        value.map_or_else(|| Self::text(format::NONE), |value| Self::number(text(value), number(value)))
    }
}

/// A column and what it shows of a variant.
type Made<'a> = (Column, Box<dyn Fn(&Variant) -> Cell + 'a>);

fn core(heading: &str, about: &str) -> Column {
    Column { heading: heading.to_owned(), about: about.to_owned(), level: Level::Core, name: false }
}

fn wide(heading: &str, about: &str) -> Column {
    Column { level: Level::Wide, ..core(heading, about) }
}

fn full(heading: &str, about: &str) -> Column {
    Column { level: Level::Full, ..core(heading, about) }
}

/// A difference with a p-value up to this is called clear.
pub const LEVEL: f64 = 0.05;

/// Headings of columns that others ask for.
const DIFFERENCE: &str = "Δ baseline";
const P: &str = "p";
const EXPECTED: &str = "expected";

impl Table {
    pub fn of(group: &Group) -> Self {
        let metric = format::words(group.metric());
        let (unit, half) = (group.unit(), |width: f64| format!("± {}", format::percent(width)));
        let cost = |variant: &Variant, of: fn(&Variant) -> Option<f64>| {
            Cell::of(of(variant), format::duration, |seconds| seconds)
        };
        let result = |variant: &Variant| {
            let interval = variant.result.as_ref().map(|result| result.over_episodes);
            Cell::of(interval, |i| format::percent_interval(i.mean, i.half_width), |i| i.mean)
        };
        let clusters = move |variant: &Variant| {
            let interval = variant.result.as_ref().and_then(|result| result.over_clusters);
            Cell::of(interval, |i| half(i.half_width), |i| i.half_width)
        };
        let seeds = move |variant: &Variant| {
            let interval = variant.result.as_ref().and_then(|result| result.over_seeds);
            Cell::of(interval, |i| half(i.half_width), |i| i.half_width)
        };
        let hashes = |variant: &Variant| {
            let hashes = variant.result.iter().flat_map(|result| &result.hashes);
            Cell::text(hashes.map(|hash| format::short_hash(hash)).collect::<Vec<_>>().join(", "))
        };
        let made: Vec<Made> = vec![
            (
                Column { name: true, ..core("variant", "") },
                Box::new(|variant: &Variant| Cell::text(variant.label.clone())),
            ),
            (
                wide("seeds", ""),
                Box::new(|variant: &Variant| Cell::number(variant.seeds.len().to_string(), variant.seeds.len() as f64)),
            ),
            (core(&metric, &format!("%, ± over {unit}")), Box::new(result)),
            (core("classes & videos", "± bootstrap"), Box::new(clusters)),
            (core("over seeds", "± 95 %"), Box::new(seeds)),
            (core(DIFFERENCE, "points, paired"), Box::new(difference)),
            (core(P, "Holm"), Box::new(p_value)),
            (core(EXPECTED, "%, by the recipe"), Box::new(expected)),
            (
                core("trainable", "parameters"),
                Box::new(|variant: &Variant| Cell::of(variant.trainable, format::count, |count| count as f64)),
            ),
            (
                full("total", "parameters"),
                Box::new(|variant: &Variant| Cell::of(variant.total, format::count, |count| count as f64)),
            ),
            (wide("train", "a seed"), Box::new(move |variant: &Variant| cost(variant, |v| v.train_seconds))),
            (wide("test", "a seed"), Box::new(move |variant: &Variant| cost(variant, |v| v.test_seconds))),
            (
                full("memory", "peak"),
                Box::new(|variant: &Variant| Cell::of(variant.peak_memory, format::bytes, |bytes| bytes as f64)),
            ),
            (Column { name: true, ..full(unit, "hash") }, Box::new(hashes)),
        ];
        let mut columns = Vec::new();
        let mut rows: Vec<Vec<Cell>> = vec![Vec::new(); group.variants.len()];
        for (column, cell) in made {
            let cells: Vec<Cell> = group.variants.iter().map(&cell).collect();
            // A column without a single entry says nothing.
            if cells.iter().all(|cell| cell.text == format::NONE || cell.text.is_empty()) {
                continue;
            }
            columns.push(column);
            rows.iter_mut().zip(cells).for_each(|(row, cell)| row.push(cell));
        }
        if let Some(result) = columns.iter().position(|column| column.heading == metric) {
            mark(&mut rows, result);
            mark_like_best(&mut rows, result, group);
        }
        Self { title: title(group), notes: notes(group, &columns, &rows), columns, rows }
    }

    /// What the group's runs say of the orders that its study is expected to show; `None` where it expects none.
    pub fn of_orders(group: &Group) -> Option<Self> {
        if group.findings.is_empty() {
            return None;
        }
        let name = |heading: &str| Column { name: true, ..core(heading, "") };
        let columns = vec![
            name("expected better"),
            name("than"),
            core("Δ", "points, paired"),
            core(P, "Holm"),
            core("seeds", "with Δ above 0"),
            name("finding"),
            Column { name: true, ..wide("source", "") },
        ];
        let mut notes = vec![
            "Δ: averaged over seeds within an episode, then paired by episode; ± is given these trained models"
                .to_owned(),
            format!("p: {}, {}", statistics::SIGN_FLIP, statistics::HOLM),
            format!("holds, or reversed: p up to {LEVEL}"),
        ];
        let mut rows = Vec::new();
        for finding in &group.findings {
            let names = [finding.better.clone(), finding.worse.clone()].map(Cell::text);
            let numbers = match &finding.outcome {
                Ok(found) => {
                    let Interval { mean, half_width } = found.difference;
                    let (with, all) = found.seeds;
                    let verdict = match found.verdict {
                        Verdict::Holds => "holds",
                        Verdict::Reversed => "reversed",
                        Verdict::Open => "not clear",
                    };
                    [
                        Cell::number(format::points_interval(mean, half_width), mean),
                        Cell::number(format::p_value(found.p_holm), found.p_holm),
                        Cell::number(format!("{with} of {all}"), with as f64),
                        Cell::text(verdict),
                    ]
                }
                Err(reason) => {
                    notes.push(format!("{} and {}: {reason}", finding.better, finding.worse));
                    [format::NONE; 4].map(Cell::text)
                }
            };
            rows.push(names.into_iter().chain(numbers).chain([Cell::text(finding.source.clone())]).collect());
        }
        Some(Self { title: format!("{}: expected orders", title(group)), columns, rows, notes })
    }

    /// Whether a best result is marked.
    pub fn marked(&self, mark: Mark) -> bool {
        self.rows.iter().flatten().any(|cell| cell.mark == Some(mark))
    }

    /// Positions of the columns that are shown at `level`.
    fn shown_at(&self, level: Level) -> impl Iterator<Item = usize> {
        self.columns.iter().enumerate().filter(move |(_, column)| column.level <= level).map(|(position, _)| position)
    }
}

fn difference(variant: &Variant) -> Cell {
    match &variant.difference {
        Difference::IsBaseline => Cell::number("baseline".to_owned(), 0.0),
        Difference::Paired(compared) => {
            let interval = compared.paired.over_episodes;
            let text = format::points_interval(interval.mean, interval.half_width);
            let mark = (compared.p_holm > LEVEL).then_some(Mark::Unclear);
            Cell { text, value: Some(interval.mean), mark }
        }
        Difference::Unknown(_) => Cell::text(format::NONE),
    }
}

fn p_value(variant: &Variant) -> Cell {
    match &variant.difference {
        Difference::Paired(compared) => Cell::number(format::p_value(compared.p_holm), compared.p_holm),
        _ => Cell::text(format::NONE),
    }
}

/// The first number that the recipe expects of the metric; marked where it is of other data or weights.
fn expected(variant: &Variant) -> Cell {
    let Some(paper) = variant.paper.first() else { return Cell::text(format::NONE) };
    let dagger = if paper.elsewhere.is_some() { "†" } else { "" };
    let value = paper.expectation.value;
    Cell::number(format!("{}{dagger}", format::percent(value / 100.0)), value / 100.0)
}

/// Marks the best and the second of a column; what reads the same has the same mark.
fn mark(rows: &mut [Vec<Cell>], column: usize) {
    let mut values: Vec<(f64, String)> =
        rows.iter().filter_map(|row| Some((row[column].value?, format::percent(row[column].value?)))).collect();
    values.sort_by(|a, b| b.0.total_cmp(&a.0));
    values.dedup_by(|a, b| a.1 == b.1);
    if values.len() < 2 {
        return;
    }
    for cell in rows.iter_mut().map(|row| &mut row[column]) {
        let place = cell.value.and_then(|value| values.iter().position(|(_, text)| *text == format::percent(value)));
        cell.mark = match place {
            Some(0) => Some(Mark::Best),
            Some(1) => Some(Mark::Second),
            _ => None,
        };
    }
}

/// Marks as best whatever is not distinguishable from it.
fn mark_like_best(rows: &mut [Vec<Cell>], column: usize, group: &Group) {
    for (row, variant) in rows.iter_mut().zip(&group.variants) {
        if variant.like_best() {
            row[column].mark = Some(Mark::Best);
        }
    }
}

/// What a group is about: `Few-shot recognition on hmdb51, 5-way 1-shot: accuracy in %`. Behind the shots stands what a
/// grid or a trial gave to all variants.
pub fn title(group: &Group) -> String {
    let task = format::capitalized(&format::task(&group.task));
    let label = format::words(&group.data.label);
    let data = if label.is_empty() { String::new() } else { format!(" on {label}") };
    let setting = match &group.measure {
        Some(measure) if measure.way > 0 => format!(", {}-way {}-shot", measure.way, measure.shot),
        _ => String::new(),
    };
    let shared: String = group.shared.iter().map(|point| format!(", {point}")).collect();
    let metric = match &group.measure {
        None => ", no result yet".to_owned(),
        Some(measure) => format!(": {} in %", format::words(&measure.metric)),
    };
    let study = group.study.as_ref().map(|study| format!("{study}: ")).unwrap_or_default();
    format!("{study}{task}{data}{setting}{shared}{metric}")
}

/// Why a variant has no difference to the baseline, one line each.
fn reasons(group: &Group) -> impl Iterator<Item = String> {
    let compared = group.baseline().is_some();
    group.variants.iter().filter_map(move |variant| match &variant.difference {
        Difference::Unknown(why) if compared => Some(format!("no Δ for {}: {why}", variant.label)),
        _ => None,
    })
}

fn notes(group: &Group, columns: &[Column], rows: &[Vec<Cell>]) -> Vec<String> {
    let has = |heading: &str| columns.iter().any(|column| column.heading == heading);
    let marked = |mark: Mark| rows.iter().flatten().any(|cell| cell.mark == Some(mark));
    let mut notes = Vec::new();
    if group.measure.is_some() {
        notes.push(format!("±: {}", group.interval()));
        if group.variants.iter().any(|variant| variant.seeds.len() > 1) {
            notes.push(statistics::POOLING.to_owned());
        }
    }
    if has("classes & videos") {
        notes.push(format!("classes & videos: {}", statistics::OVER_CLUSTERS));
    }
    if has("over seeds") {
        notes.push(format!("over seeds: {}", statistics::OVER_SEEDS));
    }
    if has(P) {
        notes.push(format!("p: {}, {}", statistics::SIGN_FLIP, statistics::HOLM));
    }
    if marked(Mark::Unclear) {
        notes.push(format!("{UNCLEAR}: p above {LEVEL}"));
    }
    let mut elsewhere: Vec<&str> = Vec::new();
    for paper in group.variants.iter().filter_map(|variant| variant.paper.first()) {
        if let Some(why) = paper.elsewhere.as_deref().filter(|why| !elsewhere.contains(why)) {
            elsewhere.push(why);
        }
    }
    notes.extend(elsewhere.into_iter().map(|why| format!("†: {why}")));
    notes.extend(group.warnings.iter().cloned().chain(reasons(group)));
    notes
}

/// Set behind a difference that is not clear.
pub const UNCLEAR: &str = "°";

/// A cell's characters with the sign of what is not clear.
fn shown(cell: &Cell) -> String {
    if cell.mark == Some(Mark::Unclear) { format!("{}{UNCLEAR}", cell.text) } else { cell.text.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::Look;
    use crate::load::load;
    use crate::summary::summarise;
    use crate::testing::study;

    fn made() -> Table {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        Table::of(&summarise(&load(&[folder.path().to_owned()]).unwrap()).groups[0])
    }

    #[test]
    fn the_best_and_the_second_are_marked() {
        let table = made();
        let result = table.columns.iter().position(|column| column.heading == "accuracy").unwrap();
        let marks: Vec<_> = table.rows.iter().map(|row| row[result].mark).collect();
        assert_eq!(marks, [None, None, Some(Mark::Second), Some(Mark::Best)]);
    }

    #[test]
    fn what_reads_the_same_has_the_same_mark() {
        let cell = |value: f64| vec![Cell::number(format::percent(value), value)];
        let mut rows = vec![cell(0.5001), cell(0.5002), cell(0.4), cell(0.3)];
        mark(&mut rows, 0);
        let marks: Vec<_> = rows.iter().map(|row| row[0].mark).collect();
        assert_eq!(marks, [Some(Mark::Best), Some(Mark::Best), Some(Mark::Second), None]);
    }

    #[test]
    fn every_rendering_has_the_same_characters() {
        let table = made();
        let all = [
            terminal(&table, &Look::default()),
            markdown(&table).replace("&lt;", "<"),
            latex(&table, "t"),
            String::from_utf8(csv(&table)).unwrap(),
        ];
        for position in table.shown_at(Level::Core) {
            for row in &table.rows {
                let latex_text = latex::set(&row[position].text);
                for text in &all {
                    assert!(
                        text.contains(&row[position].text) || text.contains(&latex_text),
                        "{}\n{text}",
                        row[position].text
                    );
                }
            }
        }
    }
}

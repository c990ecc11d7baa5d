//! `maclip table`: the results of runs along any axes, as a paper prints them. Seeds are averaged, and nothing else is:
//! runs that share a cell and are no seeds of one another are an error. Not here: the tables of the report, which have
//! a row for each variant (`table`).

mod axis;
mod cells;
mod csv;
mod latex;
mod markup;
mod metric;
mod text;
mod words;

#[cfg(test)]
mod tests;

pub use csv::csv;
pub use latex::latex;
pub use markup::{html, markdown};
pub use text::text;

use crate::load::{self, Run};
use crate::summary::{GroupKey, keys_across};
use axis::{Axis, Placed};
use cells::{Found, Key};
use maclip_framework::error::{Error, Result};
use maclip_language::{Diagnostic, Origin, codes};
use metric::Metric;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What a table shows.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Axes of the rows, the outermost first.
    pub rows: Vec<String>,
    /// Axes of the columns, the outermost first.
    pub columns: Vec<String>,
    /// What is shown of a run; empty for what its test measures.
    pub metrics: Vec<String>,
    /// Axis and value of the runs that are shown; empty for all.
    pub only: Vec<(String, String)>,
    /// Which interval stands beside a result.
    pub interval: Interval,
    /// What is marked.
    pub marks: Marks,
    /// Adds a row with the numbers of papers that the recipes expect.
    pub published: bool,
    /// The beginning of the caption, in the place of what is made of the axes.
    pub caption: Option<String>,
    /// Names for values and headings, in the place of their own.
    pub names: Vec<(String, String)>,
    /// Values that come before the others, in this order.
    pub order: Vec<String>,
}

/// What varies in the interval beside a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interval {
    /// The test episodes, given these videos and these trained models.
    #[default]
    Episodes,
    /// The classes and videos of the test.
    Classes,
    /// The seed of the training.
    Seeds,
    /// There is none.
    None,
}

/// Which results are marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Marks {
    /// The best of a column, and what a test cannot tell from it.
    #[default]
    Best,
    /// What differs from the baseline of its column.
    Baseline,
    /// Nothing.
    None,
}

/// A table of results along axes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pivot {
    /// Sentences.
    pub caption: String,
    /// What the columns with the names of the rows are called.
    pub row_headings: Vec<String>,
    /// The headings of each column of results, from the outermost to the innermost.
    pub columns: Vec<Vec<String>>,
    /// The rows.
    pub rows: Vec<PivotRow>,
    /// What else is to be known; a sentence each, without its full stop.
    pub notes: Vec<String>,
}

/// One row of a [`Pivot`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PivotRow {
    /// Its values of the axes of the rows.
    pub names: Vec<String>,
    /// Whether its numbers are published ones and not measured.
    pub published: bool,
    /// One for each column.
    pub cells: Vec<PivotCell>,
}

/// One number of a [`Pivot`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PivotCell {
    /// As people read it; an en dash where there is none.
    pub text: String,
    /// In percent, seconds, bytes or parameters.
    pub value: Option<f64>,
    /// Half width of the interval, in the same unit.
    pub half_width: Option<f64>,
    /// Whether it is the best of its column, or cannot be told from it.
    pub best: bool,
    /// `*` or `†` behind it; empty mostly.
    pub sign: String,
}

impl Pivot {
    /// The headings at `level` with the number of columns that each stands over.
    fn spans(&self, level: usize) -> Vec<(&str, usize)> {
        let mut spans: Vec<(&[String], usize)> = Vec::new();
        for column in &self.columns {
            match spans.last_mut() {
                Some((path, count)) if *path == &column[..=level] && level + 1 < column.len() => *count += 1,
                _ => spans.push((&column[..=level], 1)),
            }
        }
        spans.into_iter().map(|(path, count)| (path[level].as_str(), count)).collect()
    }

    /// The longest interval of a column, as it stands behind a number: ` ± 13.3`. A number without one stands above the
    /// others' numbers where it is followed by as much room.
    fn interval_of(&self, column: usize) -> &str {
        let cells = self.rows.iter().map(|row| row.cells[column].text.as_str());
        let ends = cells.filter_map(|text| text.find(" ± ").map(|at| &text[at..]));
        ends.max_by_key(|end| end.chars().count()).unwrap_or_default()
    }

    /// Whether a row has published numbers.
    pub fn has_published(&self) -> bool {
        self.rows.iter().any(|row| row.published)
    }

    /// Number of lines of headings.
    fn levels(&self) -> usize {
        self.columns.first().map_or(1, Vec::len)
    }

    /// The names of a row, those left out that the row above has too.
    fn names_of(&self, row: usize) -> Vec<&str> {
        let own = &self.rows[row].names;
        let same = |at: usize| at + 1 < own.len() && row > 0 && self.rows[row - 1].names[..=at] == own[..=at];
        own.iter().enumerate().map(|(at, name)| if same(at) { "" } else { name.as_str() }).collect()
    }
}

/// The table of the runs at or below `roots` that `asked` describes, and one line for each thing that could not be
/// read.
///
/// # Errors
/// Where no run can be read or has a result, an axis is unknown, and where runs share a cell that are no seeds of one
/// another.
pub fn pivot(roots: &[PathBuf], asked: &Asked) -> Result<(Pivot, Vec<String>)> {
    let loaded = load::load(roots)?;
    let unreadable = loaded.problems.iter().map(|problem| format!("{}: {}", problem.path, problem.reason)).collect();
    let groups = keys_across(&loaded.runs);
    Ok((of(&loaded.runs.iter().zip(&groups).collect::<Vec<_>>(), asked)?, unreadable))
}

/// The table of runs, each with the group that says what its data are called.
pub(crate) fn of(all: &[(&Run, &GroupKey)], asked: &Asked) -> Result<Pivot> {
    let read = |names: &[String], option| {
        names.iter().map(|name| Axis::read(name, option, all)).collect::<Result<Vec<Axis>>>()
    };
    let (rows, columns) = (read(&asked.rows, "--rows")?, read(&asked.columns, "--columns")?);
    if let Some(twice) = rows.iter().enumerate().find(|(at, axis)| rows[..*at].contains(axis) || columns.contains(axis))
    {
        let origin = Origin::argument("--rows", &asked.rows[twice.0]);
        let problem = Diagnostic::new(codes::ARGUMENT, "an axis is given twice").at(&origin);
        return Err(problem.help("take it out of `--rows` or of `--columns`").into());
    }
    let kept = only(all, &asked.only)?;
    let done: Vec<Placed> = kept.iter().copied().filter(|(run, _)| run.result().is_some()).collect();
    if done.is_empty() {
        return Err(Error::failed("no run has a result yet").help("`maclip status` shows how far they are"));
    }
    let metrics = metric::read(&asked.metrics, &done)?;
    let measured = metric::measured(&metrics, &done)?;
    let done: Vec<Placed> =
        done.into_iter().filter(|(run, _)| run.result().is_some_and(|test| test.metric == measured)).collect();
    let mut found = Found::of(&done, &rows, &columns)?;
    found.compare(asked.marks);
    let order = Order { asked: &asked.order, rows: &rows, columns: &columns, found: &found };
    let row_keys = order.sorted(true);
    let column_keys = order.sorted(false);
    let renamed = |value: String, shown: String| {
        let name = asked.names.iter().find(|(from, _)| *from == value || *from == shown);
        name.map_or(shown, |(_, to)| to.clone())
    };
    let mut headings: Vec<Vec<String>> = Vec::new();
    for key in &column_keys {
        let of_axes: Vec<String> =
            columns.iter().zip(key).map(|(axis, value)| renamed(value.clone(), axis.heading(value))).collect();
        for metric in &metrics {
            let last = metric.heading();
            let named = metrics.len() > 1 || columns.is_empty();
            headings.push(of_axes.iter().cloned().chain(named.then(|| renamed(last.clone(), last))).collect());
        }
    }
    let columns_of: Vec<(&Key, &Metric)> =
        column_keys.iter().flat_map(|column| metrics.iter().map(move |metric| (column, metric))).collect();
    let mut words = words::Notes::default();
    let mut table = Vec::new();
    for row in &row_keys {
        let names: Vec<String> =
            rows.iter().zip(row).map(|(axis, value)| renamed(value.clone(), axis.plain(value))).collect();
        let cells =
            columns_of.iter().map(|(column, metric)| found.cell(row, column, metric, asked, &mut words)).collect();
        table.push(PivotRow { names: names.clone(), published: false, cells });
        if asked.published {
            table.extend(found.published(row, &names, &columns_of, &mut words));
        }
    }
    let open = kept.len() - kept.iter().filter(|(run, _)| run.result().is_some()).count();
    let caption = words::caption(asked, &found, &rows, &columns, &metrics, &renamed);
    let has_published = table.iter().any(|row| row.published);
    Ok(Pivot {
        caption: words::with_published(caption, has_published),
        row_headings: rows.iter().map(|axis| renamed(axis.name(), axis.name())).collect(),
        columns: headings,
        rows: table,
        notes: words.into_list(open, &found, asked.interval),
    })
}

/// The runs that have all of the values asked for.
fn only<'a>(all: &[Placed<'a>], asked: &[(String, String)]) -> Result<Vec<Placed<'a>>> {
    let mut kept = all.to_vec();
    for (name, value) in asked {
        let axis = Axis::read(name, "--where", all)?;
        let values: BTreeSet<String> = kept.iter().map(|run| axis.value(*run)).collect();
        kept.retain(|run| axis.value(*run) == *value);
        if kept.is_empty() {
            let origin = Origin::argument("--where", &format!("{name}={value}"));
            let problem = Diagnostic::new(codes::ARGUMENT, format!("no run has {name} = {value}")).at(&origin);
            return Err(problem.helps(maclip_language::name_help(value, values.iter().map(String::as_str))).into());
        }
    }
    Ok(kept)
}

/// The order of rows and columns: as asked; else the baseline first and methods by rising mean, and other values as
/// they are counted or spelt.
struct Order<'a> {
    asked: &'a [String],
    rows: &'a [Axis],
    columns: &'a [Axis],
    found: &'a Found<'a>,
}

impl Order<'_> {
    fn sorted(&self, of_rows: bool) -> Vec<Key> {
        let axes = if of_rows { self.rows } else { self.columns };
        let side = |key: &(Key, Key)| if of_rows { key.0.clone() } else { key.1.clone() };
        let keys: Vec<Key> = self.found.keys().map(side).collect::<BTreeSet<_>>().into_iter().collect();
        let ranks: Vec<BTreeMap<&String, f64>> = axes
            .iter()
            .enumerate()
            .map(|(at, axis)| match axis {
                Axis::Method | Axis::Variant => {
                    let of = |value: &String| self.found.rank(|cell| side(cell)[at] == *value);
                    keys.iter().map(|key| (&key[at], of(&key[at]))).collect()
                }
                _ => BTreeMap::new(),
            })
            .collect();
        let place = |value: &String| self.asked.iter().position(|first| first == value).unwrap_or(usize::MAX);
        let number = |value: &String| value.parse::<f64>().unwrap_or(f64::INFINITY);
        let compare = |a: &Key, b: &Key| {
            let each = a.iter().zip(b).enumerate().map(|(at, (a, b))| {
                let rank = |value: &String| ranks[at].get(value).copied().unwrap_or(0.0);
                let by = place(a).cmp(&place(b)).then(rank(a).total_cmp(&rank(b)));
                by.then(number(a).total_cmp(&number(b))).then(a.cmp(b))
            });
            each.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
        };
        let mut sorted = keys.clone();
        sorted.sort_by(compare);
        sorted
    }
}

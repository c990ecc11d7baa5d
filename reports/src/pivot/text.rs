//! The table on a terminal. Where it is wider, its columns come in several parts, each behind the names of the rows.

use super::{Pivot, PivotCell};
use crate::lines::Look;
use maclip_language::printable;

/// Columns stand this far apart, and the first as far from the edge.
const GAP: usize = 2;

/// The table with its caption and notes.
pub fn text(table: &Pivot, look: &Look) -> String {
    let names = names(table);
    let bold = format!(". {BEST}: ");
    let caption = if look.colored { table.caption.clone() } else { table.caption.replace(". Bold: ", &bold) };
    let mut text = format!("{}\n", look.note(&caption, 0));
    let room = look.width.map(|width| width.saturating_sub(names.first().map_or(0, |name| length(name))));
    let widths = widths(table, look);
    let mut from = 0;
    while from < widths.len() {
        let mut to = from + 1;
        let mut taken = GAP + widths[from];
        while to < widths.len() && room.is_none_or(|room| taken + GAP + widths[to] <= room) {
            taken += GAP + widths[to];
            to += 1;
        }
        text += &part(table, look, &names, from..to, &widths);
        from = to;
    }
    text.push('\n');
    table.notes.iter().for_each(|note| text += &format!("{}\n", look.note(note, GAP)));
    text.trim_end().to_owned()
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Widths of the columns. Those below a heading are together as wide as it.
fn widths(table: &Pivot, look: &Look) -> Vec<usize> {
    let mut widths: Vec<usize> = (0..table.columns.len()).map(|at| width(table, at, look)).collect();
    for level in 0..table.levels() - 1 {
        let mut at = 0;
        for (heading, count) in table.spans(level) {
            let below = &mut widths[at..at + count];
            let known = below.iter().sum::<usize>() + GAP * (count - 1);
            let lacking = length(&printable(heading)).saturating_sub(known);
            for (number, width) in below.iter_mut().enumerate() {
                *width += lacking / count + usize::from(number < lacking % count);
            }
            at += count;
        }
    }
    widths
}

fn width(table: &Pivot, column: usize, look: &Look) -> usize {
    let cells = table.rows.iter().map(|row| length(&shown(table, &row.cells[column], column, look)));
    cells.chain([length(&table.columns[column][table.levels() - 1])]).max().unwrap_or(0)
}

/// A cell, in a column with intervals or signs so that all numbers stand below each other.
fn shown(table: &Pivot, cell: &PivotCell, column: usize, look: &Look) -> String {
    let signed = table.rows.iter().any(|row| !sign(&row.cells[column], look).is_empty());
    let alone = cell.value.is_some() && cell.half_width.is_none();
    let room = if alone { length(table.interval_of(column)) } else { 0 };
    let (sign, none) = (sign(cell, look), usize::from(signed));
    match room {
        0 => format!("{}{sign:none$}", cell.text),
        // The sign stands at the number.
        room => format!("{}{sign}{}", cell.text, " ".repeat((room + none).saturating_sub(length(sign)))),
    }
}

/// Behind the best where letters cannot be bold.
const BEST: &str = "•";

fn sign<'a>(cell: &'a PivotCell, look: &Look) -> &'a str {
    if cell.best && !look.colored { BEST } else { &cell.sign }
}

/// The names of the rows, all of one length; the headings above them first.
fn names(table: &Pivot) -> Vec<String> {
    let rows = (0..table.rows.len()).map(|row| table.names_of(row).into_iter().map(printable).collect::<Vec<_>>());
    let all: Vec<Vec<String>> =
        std::iter::once(table.row_headings.iter().map(|name| printable(name)).collect()).chain(rows).collect();
    let widths: Vec<usize> =
        (0..table.row_headings.len()).map(|at| all.iter().map(|names| length(&names[at])).max().unwrap_or(0)).collect();
    let line = |names: &Vec<String>| {
        let cells = names.iter().zip(&widths);
        cells.map(|(name, width)| format!("{}{name}{}", " ".repeat(GAP), " ".repeat(width - length(name)))).collect()
    };
    all.iter().map(line).collect()
}

/// The columns of `range` behind the names of the rows.
fn part(table: &Pivot, look: &Look, names: &[String], range: std::ops::Range<usize>, widths: &[usize]) -> String {
    let columns = &table.columns[range.clone()];
    let piece = Pivot { columns: columns.to_vec(), rows: Vec::new(), row_headings: Vec::new(), ..table.clone() };
    let blank = " ".repeat(length(&names[0]));
    let last = table.levels() - 1;
    let mut text = String::from("\n");
    for level in 0..last {
        let (mut headings, mut rules) = (blank.clone(), blank.clone());
        let mut at = range.start;
        for (heading, count) in piece.spans(level) {
            let wide = widths[at..at + count].iter().sum::<usize>() + GAP * (count - 1);
            let heading: String = printable(heading).chars().take(wide).collect();
            let before = (wide - length(&heading)) / 2;
            let after = wide - length(&heading) - before;
            headings += &format!("{}{}{heading}{}", " ".repeat(GAP), " ".repeat(before), " ".repeat(after));
            rules += &format!("{}{}", " ".repeat(GAP), "─".repeat(wide));
            at += count;
        }
        text += &format!("{}\n{}\n", headings.trim_end(), rules.trim_end());
    }
    let gap = " ".repeat(GAP);
    let right = |text: &str, width: usize| format!("{gap}{}{text}", " ".repeat(width.saturating_sub(length(text))));
    let innermost =
        columns.iter().zip(&widths[range.clone()]).map(|(column, width)| right(&printable(&column[last]), *width));
    text += &format!("{}{}\n", names[0], innermost.collect::<String>());
    let all = length(&names[0]) + widths[range.clone()].iter().map(|width| width + GAP).sum::<usize>();
    text += &format!("{gap}{}\n", "─".repeat(all - GAP));
    for (row, name) in table.rows.iter().zip(&names[1..]) {
        let cells = range.clone().map(|at| {
            let text = right(&shown(table, &row.cells[at], at, look), widths[at]);
            if row.cells[at].best { look.bold(&text) } else { text }
        });
        let line = format!("{name}{}", cells.collect::<String>());
        let line = line.trim_end();
        text += &format!("{}\n", if row.published { look.faint(line) } else { line.to_owned() });
    }
    text
}

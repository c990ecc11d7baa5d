//! The table on a terminal. Where it is wider, its columns come in several parts, each behind the names of the rows.

use super::{Pivot, PivotCell};
use crate::lines::Look;
use maclip_language::printable;

/// Columns stand this far apart, and the first as far from the edge.
const GAP: usize = 2;

/// The table with its caption and notes.
pub fn text(table: &Pivot, look: &Look) -> String {
    let names = names(table);
    let mut text = format!("{}\n", look.note(&table.caption, 0));
    let room = look.width.map(|width| width.saturating_sub(names.first().map_or(0, |name| length(name))));
    let widths: Vec<usize> = (0..table.columns.len()).map(|at| width(table, at)).collect();
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

fn width(table: &Pivot, column: usize) -> usize {
    let cells = table.rows.iter().map(|row| length(&shown(&row.cells[column])));
    cells.chain([length(&table.columns[column][table.levels() - 1])]).max().unwrap_or(0)
}

fn shown(cell: &PivotCell) -> String {
    format!("{}{}", cell.text, cell.sign)
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
        let cells = row.cells[range.clone()].iter().zip(&widths[range.clone()]).map(|(cell, width)| {
            let text = right(&shown(cell), *width);
            if cell.best { look.bold(&text) } else { text }
        });
        let line = format!("{name}{}", cells.collect::<String>());
        text += &format!("{}\n", if row.published { look.faint(line.trim_end()) } else { line });
    }
    text
}

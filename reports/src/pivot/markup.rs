//! The table for a README and for a page.

use super::{Pivot, PivotCell};
use crate::table::escape_markdown;
use maclip_language::printable;

/// Caption, table and notes. Markdown has one line of headings, so nested ones are joined.
pub fn markdown(table: &Pivot) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = format!("{}\n\n", escape_markdown(&table.caption));
    let columns = table.columns.iter().map(|column| column.join(", "));
    text += &line(table.row_headings.iter().cloned().chain(columns).map(|heading| escape_markdown(&heading)).collect());
    let sides = table.row_headings.iter().map(|_| ":--").chain(table.columns.iter().map(|_| "--:"));
    text += &line(sides.map(str::to_owned).collect());
    for (at, row) in table.rows.iter().enumerate() {
        let cell = |cell: &PivotCell| {
            let number = escape_markdown(&cell.text);
            let number = if cell.best { format!("**{number}**") } else { number };
            let number = format!("{number}{}", escape_markdown(&cell.sign));
            // Markdown has no grey.
            if row.published { format!("*{number}*") } else { number }
        };
        let names = table.names_of(at).into_iter().map(escape_markdown);
        text += &line(names.chain(row.cells.iter().map(cell)).collect());
    }
    text.push('\n');
    table.notes.iter().for_each(|note| text += &format!("- {}\n", escape_markdown(note)));
    text
}

/// A `table` element with its caption, and a paragraph of notes.
pub fn html(table: &Pivot) -> String {
    let mut text =
        format!("<table>\n<caption style=\"text-align: left\">{}</caption>\n<thead>\n", escape(&table.caption));
    let levels = table.levels();
    for level in 0..levels {
        text += "<tr>";
        if level == 0 {
            let all = if levels > 1 { format!(" rowspan=\"{levels}\"") } else { String::new() };
            for heading in &table.row_headings {
                text += &format!("<th scope=\"col\"{all}>{}</th>", escape(heading));
            }
        }
        for (heading, count) in table.spans(level) {
            let scope = match count {
                1 => "<th scope=\"col\">".to_owned(),
                count => format!("<th scope=\"colgroup\" colspan=\"{count}\">"),
            };
            text += &format!("{scope}{}</th>", escape(heading));
        }
        text += "</tr>\n";
    }
    text += "</thead>\n<tbody>\n";
    for (at, row) in table.rows.iter().enumerate() {
        text += if row.published { "<tr style=\"color: #6b6b6b\">" } else { "<tr>" };
        for name in table.names_of(at) {
            text += &format!("<th scope=\"row\" style=\"text-align: left; font-weight: normal\">{}</th>", escape(name));
        }
        for cell in &row.cells {
            let number = escape(&cell.text);
            let number = if cell.best { format!("<b>{number}</b>") } else { number };
            text += &format!("<td style=\"text-align: right\">{number}{}</td>", escape(&cell.sign));
        }
        text += "</tr>\n";
    }
    text += "</tbody>\n</table>\n";
    if !table.notes.is_empty() {
        let notes: Vec<String> = table.notes.iter().map(|note| escape(note)).collect();
        text += &format!("<p>{}</p>\n", notes.join("<br>\n"));
    }
    text
}

/// Text in which nothing is a tag.
fn escape(text: &str) -> String {
    minijinja::HtmlEscape(&printable(text)).to_string()
}

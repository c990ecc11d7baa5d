//! The table in Markdown, for a README.

use super::{Mark, Table, shown};
use maclip_language::printable;

/// A heading, the table with the best result bold and the second underlined, and the notes.
pub fn markdown(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = format!("### {}\n\n", escape(&table.title));
    text += &line(table.columns.iter().map(|column| escape(&column.heading)).collect());
    text += &line(table.columns.iter().map(|column| if column.name { ":--" } else { "--:" }.to_owned()).collect());
    for row in &table.rows {
        let cell = |cell: &super::Cell| match cell.mark {
            Some(Mark::Best) => format!("**{}**", escape(&shown(cell))),
            Some(Mark::Second) => format!("<u>{}</u>", escape(&shown(cell))),
            _ => escape(&shown(cell)),
        };
        text += &line(row.iter().map(cell).collect());
    }
    text.push('\n');
    if table.marked(Mark::Best) {
        let second = if table.marked(Mark::Second) { "; <u>underlined</u>: second" } else { "" };
        text += &format!("- **Bold**: best{second}\n");
    }
    for note in &table.notes {
        text += &format!("- {}\n", escape(note));
    }
    text + "\n"
}

/// Safe inside a Markdown table cell.
pub fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in printable(text).chars() {
        match c {
            '<' => escaped += "&lt;",
            '&' => escaped += "&amp;",
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_cannot_break_out() {
        assert_eq!(escape("a|b<i>\n"), "a\\|b&lt;i>\u{fffd}");
    }
}

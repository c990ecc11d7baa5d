//! The table as it is shown, in CSV: the same characters as everywhere. `variants.csv` has the numbers at full precision.

use super::{Table, printable};

/// A header line and a line for each variant.
pub fn csv(table: &Table) -> Vec<u8> {
    let header = table.columns.iter().map(|column| column.heading.clone()).collect();
    let rows = table.rows.iter().map(|row| row.iter().map(|cell| cell.text.clone()).collect());
    csv_lines(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

/// Lines of cells as CSV (RFC 4180).
pub fn csv_lines(lines: &[Vec<String>]) -> Vec<u8> {
    let line = |cells: &Vec<String>| cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\n";
    lines.iter().map(line).collect::<String>().into_bytes()
}

fn quoted(text: &str) -> String {
    let text = printable(text);
    // A spreadsheet takes what begins so for a formula; a name of a class or recipe must not become one.
    let signed = text.strip_prefix(['+', '-']).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
    let text = if signed || text.starts_with(['=', '@']) { format!("'{text}") } else { text };
    if text.contains(['"', ',']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_when_needed() {
        assert_eq!(
            ["a", "a,b", "a \"b\"", "=1+1", "+cmd", "+4.2"].map(quoted),
            ["a", "\"a,b\"", "\"a \"\"b\"\"\"", "'=1+1", "'+cmd", "+4.2"]
        );
    }
}

//! The table as it is shown, in CSV: the same characters as everywhere. `variants.csv` has the numbers at full
//! precision.

use super::Table;
use maclip_language::printable;

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

/// `text` as a cell that a spreadsheet takes for text or for a number. It would compute what begins with one of `= + -
/// @`, and a name of a class or recipe must not be computed.
pub fn harmless(text: &str) -> String {
    let text = printable(text);
    // `+4.2` and `-0.5 ± 0.4`
    let number = |rest: &str| {
        let value = rest.split(" ± ").all(|part| part.parse::<f64>().is_ok());
        value && rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains('.')
    };
    let signed = text.strip_prefix(['+', '-']).is_some_and(|rest| !number(rest));
    if signed || text.starts_with(['=', '@']) { format!("'{text}") } else { text }
}

fn quoted(text: &str) -> String {
    let text = harmless(text);
    if text.contains(['"', ',']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_when_needed() {
        assert_eq!(
            ["a", "a,b", "a \"b\"", "=1+1", "+cmd", "+4.2", "+1", "-1+1", "-0.5 ± 0.4", "@a", "\t=1"].map(quoted),
            [
                "a",
                "\"a,b\"",
                "\"a \"\"b\"\"\"",
                "'=1+1",
                "'+cmd",
                "+4.2",
                "'+1",
                "'-1+1",
                "-0.5 ± 0.4",
                "'@a",
                "\u{fffd}=1"
            ]
        );
    }
}

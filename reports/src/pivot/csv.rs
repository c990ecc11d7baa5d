//! The table for programs: numbers alone, in percent, seconds, bytes or parameters.

use super::Pivot;
use crate::table::csv_lines;

/// A header line and a line for each row. A column with intervals is followed by one with their half widths.
pub fn csv(table: &Pivot) -> String {
    let wide = |column: usize| table.rows.iter().any(|row| row.cells[column].half_width.is_some());
    let number = |value: Option<f64>| {
        value.map_or_else(String::new, |value| {
            let text = format!("{value:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        })
    };
    let mut lines = Vec::new();
    let mut header = table.row_headings.clone();
    for (at, headings) in table.columns.iter().enumerate() {
        let name = headings.join(", ");
        header.push(name.clone());
        header.extend(wide(at).then(|| format!("{name} ±")));
    }
    lines.push(header);
    for row in &table.rows {
        let mut line = row.names.clone();
        for (at, cell) in row.cells.iter().enumerate() {
            line.push(number(cell.value));
            line.extend(wide(at).then(|| number(cell.half_width)));
        }
        lines.push(line);
    }
    String::from_utf8_lossy(&csv_lines(&lines)).into_owned()
}

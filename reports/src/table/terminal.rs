//! Aligned columns for a terminal.

use super::{Level, Table, shown};
use maclip_language::printable;

/// The table with its title and notes, ending with an empty line.
pub fn terminal(table: &Table) -> String {
    let positions: Vec<usize> = table.shown_at(Level::Wide).collect();
    let mut lines: Vec<Vec<String>> =
        vec![positions.iter().map(|position| printable(&table.columns[*position].heading)).collect()];
    lines.extend(
        table.rows.iter().map(|row| positions.iter().map(|position| printable(&shown(&row[*position]))).collect()),
    );
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..positions.len()).map(width).collect();
    let mut text = format!("{}\n\n", printable(&table.title));
    for (number, line) in lines.iter().enumerate() {
        // Names to the left, numbers to the right, so that units stand under each other.
        let cell = |(column, cell): (usize, &String)| {
            let pad = " ".repeat(widths[column] - cell.chars().count());
            if table.columns[positions[column]].name { format!("{cell}{pad}") } else { format!("{pad}{cell}") }
        };
        let cells: Vec<String> = line.iter().enumerate().map(cell).collect();
        text += &format!("  {}\n", cells.join("  ").trim_end());
        if number == 0 {
            let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            text += &format!("  {}\n", rule.join("  "));
        }
    }
    text.push('\n');
    for note in &table.notes {
        text += &format!("  {}\n", printable(note));
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;
    use crate::summary::summarise;
    use crate::testing::study;

    #[test]
    fn columns_are_aligned() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let summary = summarise(&load(&[folder.path().to_owned()]).unwrap());
        let text = terminal(&Table::of(&summary.groups[0]));
        let lines: Vec<&str> = text.lines().skip(2).take(6).collect();
        let length = |line: &str| line.chars().count();
        assert!(lines[2..].iter().all(|line| length(line) == length(lines[2])), "{text}");
        assert!(lines[5].contains("18.53 M"), "{text}");
        assert!(text.starts_with("Few shot on hmdb51, 5-way 1-shot, accuracy in %\n"), "{text}");
    }
}

//! Aligned columns for a terminal.

use super::{Column, DIFFERENCE, EXPECTED, Level, Mark, P, Table, UNCLEAR, shown};
use crate::lines::{Grid, GridCell, GridColumn, Kind, Look};

/// The table with its title and notes, ending with an empty line.
pub fn terminal(table: &Table, look: &Look) -> String {
    let positions: Vec<usize> = table.shown_at(Level::Wide).collect();
    let columns = positions.iter().enumerate().map(|(place, at)| {
        let column = &table.columns[*at];
        GridColumn::new(&column.heading, if column.name { Kind::Name } else { Kind::Number }, rank(column, place))
    });
    let mut grid = Grid::new(columns.collect()).ruled();
    for row in &table.rows {
        let cell = |at: &usize| match row[*at].mark {
            Some(Mark::Best) => GridCell::bold(&shown(&row[*at])),
            _ => GridCell::new(&shown(&row[*at])),
        };
        grid.push(positions.iter().map(cell).collect());
    }
    let mut text = format!("{}\n\n{}\n\n", look.bold(&look.note(&table.title, 0)), grid.lines(look).join("\n"));
    // What is said of a column goes with it.
    let left_out = grid.left_out(look);
    let of_column = |note: &str| {
        let of_difference = left_out.contains(&DIFFERENCE) && (note.starts_with(UNCLEAR) || note.starts_with("no Δ"));
        let of_expected = left_out.contains(&EXPECTED) && note.starts_with('†');
        of_difference || of_expected || left_out.iter().any(|heading| note.starts_with(&format!("{heading}: ")))
    };
    for note in table.notes.iter().filter(|note| !of_column(note)) {
        text += &format!("{}\n", look.note(note, 2));
    }
    text + "\n"
}

/// Where there is little room, the columns that a paper does not show go first, then those to the right, and last the
/// difference to the baseline with its p; names and the result stay.
fn rank(column: &Column, place: usize) -> u8 {
    const STAY: usize = 3;
    let place = u8::try_from(place).unwrap_or(u8::MAX / 2).min(u8::MAX / 2 - 2);
    match column.level {
        _ if column.name => 0,
        Level::Core if usize::from(place) < STAY => 0,
        Level::Core if column.heading == DIFFERENCE => 1,
        Level::Core if column.heading == P => 2,
        Level::Core => 2 + place,
        _ => u8::MAX / 2 + place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;
    use crate::summary::summarise;
    use crate::testing::study;

    #[test]
    fn columns_are_aligned_and_fit() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let summary = summarise(&load(&[folder.path().to_owned()]).unwrap());
        let table = Table::of(&summary.groups[0]);
        let text = terminal(&table, &Look::default());
        let lines: Vec<&str> = text.lines().skip(2).take(6).collect();
        let length = |line: &str| line.chars().count();
        assert!(lines[2..].iter().all(|line| length(line) == length(lines[2])), "{text}");
        assert!(lines[5].contains("18.53 M"), "{text}");
        assert!(text.starts_with("Few-shot recognition on hmdb51, 5-way 1-shot: accuracy in %\n"), "{text}");
        for width in [60, 80, 100, 160] {
            let text = terminal(&table, &Look { width: Some(width), colored: false });
            assert!(text.lines().all(|line| length(line) <= width), "{width}:\n{text}");
            assert!(
                text.contains("both") && text.contains("accuracy") && text.contains("77.4 ± 1.6"),
                "{width}:\n{text}"
            );
            // A note stands where its column does, and the difference stays longest.
            let first = text.lines().nth(2).unwrap_or_default();
            for heading in [DIFFERENCE, P, "classes & videos", "over seeds"] {
                let noted = text.contains(&format!("\n  {heading}: "));
                assert!(
                    heading == DIFFERENCE || first.contains(&format!(" {heading}")) == noted,
                    "{heading}, {width}:\n{text}"
                );
            }
            assert!(first.contains(DIFFERENCE), "{width}:\n{text}");
        }
    }
}

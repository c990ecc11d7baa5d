//! Tables on a terminal.

/// Lines of a table; columns from number `right` on are aligned to the right.
pub fn columns<const N: usize>(rows: &[[String; N]], right: usize) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().enumerate().map(|(i, cell)| {
                let space = " ".repeat(widths[i] - cell.chars().count());
                if i >= right { format!("{space}{cell}") } else { format!("{cell}{space}") }
            });
            format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
        })
        .collect()
}

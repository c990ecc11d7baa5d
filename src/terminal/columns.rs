//! Tables on a terminal.

/// Lines of a table; columns from `right` on are set flush right.
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

/// 18529536 → 18,529,536
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut groups: Vec<&str> = Vec::new();
    if first > 0 {
        groups.push(&digits[..first]);
    }
    groups.extend((first..digits.len()).step_by(3).map(|start| &digits[start..start + 3]));
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        assert_eq!([0, 12, 999, 1000, 18_529_536].map(grouped), ["0", "12", "999", "1,000", "18,529,536"]);
    }
}

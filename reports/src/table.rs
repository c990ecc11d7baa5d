//! The summary as text: for a terminal and for a README.

use crate::format;
use crate::statistics;
use crate::summary::{Difference, Group, Summary, Variant};

/// The cells of a variant as every rendering shows them.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Row {
    pub label: String,
    pub seeds: String,
    pub result: String,
    pub over_seeds: String,
    pub difference: String,
    pub trainable: String,
    pub total: String,
    pub train: String,
    pub test: String,
    pub episodes: String,
}

impl Row {
    pub fn new(variant: &Variant) -> Self {
        let none = || format::NONE.to_owned();
        let result = variant.result.as_ref();
        Self {
            label: variant.label.clone(),
            seeds: variant.seeds.len().to_string(),
            result: result.map_or_else(none, |result| {
                format::percent_interval(result.over_episodes.mean, result.over_episodes.half_width)
            }),
            over_seeds: result
                .and_then(|result| result.over_seeds)
                .map_or_else(none, |spread| format!("± {}", format::percent(spread.half_width))),
            difference: match &variant.difference {
                Difference::IsBaseline => "baseline".into(),
                Difference::Paired(interval) => format::points_interval(interval.mean, interval.half_width),
                Difference::Unknown(_) => none(),
            },
            trainable: variant.trainable.map_or_else(none, format::count),
            total: variant.total.map_or_else(none, format::count),
            train: variant.train_seconds.map_or_else(none, format::duration),
            test: variant.test_seconds.map_or_else(none, format::duration),
            episodes: result.map_or_else(none, |result| {
                result.hashes.iter().map(|hash| format::short_hash(hash)).collect::<Vec<_>>().join(", ")
            }),
        }
    }

    fn cells(&self) -> [&str; 10] {
        let Self { label, seeds, result, over_seeds, difference, trainable, total, train, test, episodes } = self;
        [label, seeds, result, over_seeds, difference, trainable, total, train, test, episodes]
    }
}

/// What a group is about: `few shot, 5-way 1-shot, accuracy in %`.
pub fn title(group: &Group) -> String {
    let task = format::words(&group.task);
    match &group.measure {
        None => format!("{task}, no result yet"),
        Some(measure) if measure.way > 0 => {
            format!("{task}, {}-way {}-shot, {} in %", measure.way, measure.shot, format::words(&measure.metric))
        }
        Some(measure) => format!("{task}, {} in %", format::words(&measure.metric)),
    }
}

fn headings(group: &Group) -> [String; 10] {
    let metric = group.measure.as_ref().map_or_else(|| "result".into(), |measure| format::words(&measure.metric));
    let fixed = ["over seeds", "Δ baseline", "trainable", "total", "train", "test", "episodes"].map(String::from);
    let [seeds, difference, trainable, total, train, test, episodes] = fixed;
    ["variant".into(), "seeds".into(), metric, seeds, difference, trainable, total, train, test, episodes]
}

/// Why a variant has no difference to the baseline, one line each.
pub fn reasons(group: &Group) -> Vec<String> {
    let compared = group.variants.iter().any(|variant| variant.difference == Difference::IsBaseline);
    let reason = |variant: &Variant| match &variant.difference {
        Difference::Unknown(why) if compared => Some(format!("no Δ for {}: {why}", variant.label)),
        _ => None,
    };
    group.variants.iter().filter_map(reason).collect()
}

/// Aligned columns for a terminal.
pub fn terminal(summary: &Summary) -> String {
    let mut text = String::new();
    for group in &summary.groups {
        let rows: Vec<Row> = group.variants.iter().map(Row::new).collect();
        let headings = headings(group);
        let mut lines = vec![headings.each_ref().map(|heading| printable(heading))];
        lines.extend(rows.iter().map(|row| row.cells().map(printable)));
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 10] = std::array::from_fn(width);
        text += &format!("{}\n\n", printable(&title(group)));
        for (number, line) in lines.iter().enumerate() {
            // Names to the left, numbers to the right, so that units stand under each other.
            let cell = |(column, cell): (usize, &String)| {
                let pad = " ".repeat(widths[column] - cell.chars().count());
                if column == 0 || column == 9 { format!("{cell}{pad}") } else { format!("{pad}{cell}") }
            };
            let cells: Vec<String> = line.iter().enumerate().map(cell).collect();
            text += &format!("  {}\n", cells.join("  ").trim_end());
            if number == 0 {
                text += &format!("  {}\n", widths.map(|width| "─".repeat(width)).join("  "));
            }
        }
        text.push('\n');
        if group.measure.is_some() {
            text += &format!("  ±: {}\n", group.interval());
        }
        for line in group.warnings.iter().chain(&reasons(group)) {
            text += &format!("  note: {}\n", printable(line));
        }
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

/// The same as Markdown tables.
pub fn markdown(summary: &Summary) -> String {
    let mut text = String::new();
    for group in &summary.groups {
        text += &format!("### {}\n\n", escape(&title(group)));
        text += &format!("| {} |\n", headings(group).map(|heading| escape(&heading)).join(" | "));
        text += "|:--|--:|--:|--:|--:|--:|--:|--:|--:|:--|\n";
        for row in group.variants.iter().map(Row::new) {
            text += &format!("| {} |\n", row.cells().map(escape).join(" | "));
        }
        text += &format!("\n±: {}; {}.\n", group.interval(), statistics::POOLING);
        for line in group.warnings.iter().chain(&reasons(group)) {
            text += &format!("\nNote: {}.\n", escape(line));
        }
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

/// Without control characters: a name must not move the cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Safe inside a Markdown table cell.
fn escape(text: &str) -> String {
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
    use crate::load::load;
    use crate::summary::summarise;
    use crate::testing::study;

    #[test]
    fn columns_are_aligned_and_markdown_has_the_same_cells() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let summary = summarise(&load(&[folder.path().to_owned()]).unwrap());
        let text = terminal(&summary);
        let lines: Vec<&str> = text.lines().skip(2).take(6).collect();
        let start = |line: &str| line.chars().count() - "5f0c2a91".len();
        assert!(lines[2..].iter().all(|line| start(line) == start(lines[2])), "{text}");
        assert!(lines[5].contains("18.53 M") && lines[5].contains("168.15 M"), "{text}");
        let row = Row::new(&summary.groups[0].variants[3]);
        assert!(markdown(&summary).contains(&row.result) && text.contains(&row.result));
        assert!(text.starts_with("few shot, 5-way 1-shot, accuracy in %\n"));
    }

    #[test]
    fn markdown_cells_cannot_break_out() {
        assert_eq!(escape("a|b<i>\n"), "a\\|b&lt;i>\u{fffd}");
    }
}

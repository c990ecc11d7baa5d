//! The table for a paper: booktabs rules, numbers set by siunitx, nested headings over `\cmidrule`.

use super::{Pivot, PivotCell};
use crate::table::{escape_latex, set, unspelt};

/// A `table` environment for `\input`; the document needs `booktabs` and `siunitx` (version 3), and `xcolor` where
/// there are published rows. `label` becomes `\label{tab:…}`.
pub fn latex(table: &Pivot, label: &str) -> String {
    let grey = table.has_published();
    let mut needs = vec!["booktabs", "siunitx"];
    needs.extend(grey.then_some("xcolor"));
    let needs: Vec<String> = needs.iter().map(|package| format!("\\usepackage{{{package}}}")).collect();
    let mut text = format!("% Needs {} (siunitx from version 3).\n", needs.join(", "));
    let texts = table.rows.iter().flat_map(|row| row.names.iter().chain(row.cells.iter().map(|cell| &cell.text)));
    let all = texts.chain(table.columns.iter().flatten()).chain(&table.row_headings).chain(&table.notes);
    if all.chain([&table.caption]).any(|text| unspelt(text)) {
        text += "% Characters that LaTeX's standard fonts lack are written as ?; set the names by hand.\n";
    }
    text += &format!(
        "\\begin{{table}}[tb]\n\\centering\n\\caption{{{}}}\n\\label{{tab:{label}}}\n\\smallskip\n",
        escape_latex(&table.caption)
    );
    text +=
        "\\sisetup{separate-uncertainty, detect-weight, mode=text}\n\\footnotesize\n\\setlength{\\tabcolsep}{4pt}\n";
    let names = table.row_headings.len();
    let kinds = "l".repeat(names) + &"r".repeat(table.columns.len());
    text += &format!("\\begin{{tabular}}{{@{{}}{kinds}@{{}}}}\n\\toprule\n");
    let last = table.levels() - 1;
    for level in 0..last {
        let mut cells = vec![String::new(); names];
        let mut rules = String::new();
        let mut at = names + 1;
        for (heading, count) in table.spans(level) {
            cells.push(format!("\\multicolumn{{{count}}}{{c}}{{{}}}", escape_latex(heading)));
            rules += &format!(" \\cmidrule(lr){{{at}-{}}}", at + count - 1);
            at += count;
        }
        text += &format!("{} \\\\\n{}\n", cells.join(" & "), rules.trim_start());
    }
    let of_rows = table.row_headings.iter().map(|heading| escape_latex(heading));
    let of_columns =
        table.columns.iter().map(|column| format!("\\multicolumn{{1}}{{c}}{{{}}}", escape_latex(&column[last])));
    text += &format!("{} \\\\\n\\midrule\n", of_rows.chain(of_columns).collect::<Vec<_>>().join(" & "));
    for (at, row) in table.rows.iter().enumerate() {
        let names = table.names_of(at).into_iter().map(escape_latex);
        let numbers = row.cells.iter().enumerate().map(|(column, number)| {
            let behind = table.interval_of(column);
            let alone = number.value.is_some() && number.half_width.is_none() && !behind.is_empty();
            // In the place of the same number with an interval.
            let room = || format!("\\phantom{{{}}}", set(&format!("{}{behind}", number.text)));
            if alone { format!("\\rlap{{{}}}{}", cell(number), room()) } else { cell(number) }
        });
        let cells = names.chain(numbers);
        let grey = |text: String| match row.published && !text.is_empty() {
            true => format!("\\textcolor[gray]{{0.45}}{{{text}}}"),
            false => text,
        };
        text += &format!("{} \\\\\n", cells.map(grey).collect::<Vec<_>>().join(" & "));
    }
    text += "\\bottomrule\n\\end{tabular}\n";
    if !table.notes.is_empty() {
        text += "\n\\smallskip\n\\begin{minipage}{\\linewidth}\\footnotesize\n";
        table.notes.iter().for_each(|note| text += &format!("{}.\n", escape_latex(note)));
        text += "\\end{minipage}\n";
    }
    text + "\\end{table}\n"
}

fn cell(cell: &PivotCell) -> String {
    let sign = if cell.sign.is_empty() { String::new() } else { format!("\\rlap{{{}}}", escape_latex(&cell.sign)) };
    let text = set(&cell.text);
    if cell.best { format!("\\bfseries {text}{sign}") } else { format!("{text}{sign}") }
}

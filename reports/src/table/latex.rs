//! The table for a paper: booktabs rules, numbers set by siunitx.

use super::{Cell, Level, Mark, Table, UNCLEAR};
use maclip_language::printable;

/// A `table` environment for `\input`; the document needs the packages `booktabs` and `siunitx` (version 3). The best
/// result is bold, the second underlined. `label` becomes `\label{tab:…}`.
pub fn latex(table: &Table, label: &str) -> String {
    let positions: Vec<usize> = table.shown_at(Level::Core).collect();
    let column = |position: &usize| &table.columns[*position];
    let mut text = String::from(
        "% Needs \\usepackage{booktabs} and \\usepackage{siunitx} (version 3).\n\\begin{table}[tb]\n\\centering\n",
    );
    let cells = table.rows.iter().flatten().map(|cell| &cell.text);
    if cells.chain([&table.title]).chain(&table.notes).any(|text| unspelt(text)) {
        text.insert_str(0, "% Characters that LaTeX's standard fonts lack are written as ?; set the names by hand.\n");
    }
    text += &format!("\\caption{{{}}}\n\\label{{tab:{label}}}\n\\smallskip\n", escape(&table.title));
    let size = if width(table, &positions) > COLUMN { "\\scriptsize" } else { "\\footnotesize" };
    text += &format!(
        "\\sisetup{{retain-explicit-plus, separate-uncertainty, detect-weight, mode=text}}\n{size}\n\\setlength{{\\tabcolsep}}{{3pt}}\n"
    );
    let kinds: String = positions.iter().map(|position| if column(position).name { 'l' } else { 'r' }).collect();
    text += &format!("\\begin{{tabular}}{{@{{}}{kinds}@{{}}}}\n\\toprule\n");
    let line = |cells: Vec<String>| cells.join(" & ") + " \\\\\n";
    // A word a line: numbers are narrower than what they are called.
    let heading = |position: &usize| {
        let words: Vec<String> = words(&column(position).heading).map(|word| escape(&word)).collect();
        let side = if column(position).name { 'l' } else { 'r' };
        format!("\\shortstack[{side}]{{{}}}", words.join("\\\\"))
    };
    text += &line(positions.iter().map(heading).collect());
    text += "\\midrule\n";
    for row in &table.rows {
        text += &line(positions.iter().map(|position| cell(&row[*position])).collect());
    }
    text += "\\bottomrule\n\\end{tabular}\n\n\\smallskip\n\\begin{minipage}{\\linewidth}\\footnotesize\n";
    if table.marked(Mark::Best) {
        let second = if table.marked(Mark::Second) { "; \\underline{underlined}: second" } else { "" };
        text += &format!("\\textbf{{Bold}}: best{second}.\n");
    }
    for note in &table.notes {
        text += &format!("{}.\n", escape(note));
    }
    text + "\\end{minipage}\n\\end{table}\n"
}

/// Width in points of a column of text in the standard classes.
const COLUMN: f64 = 345.0;

/// About how wide the columns are in points at the size of footnotes.
fn width(table: &Table, positions: &[usize]) -> f64 {
    let letters = |text: &str| text.chars().count();
    let column = |position: &usize| {
        let heading = words(&table.columns[*position].heading).map(|word| letters(&word)).max();
        let cells = table.rows.iter().map(|row| letters(&row[*position].text)).max();
        heading.max(cells).unwrap_or(0) as f64
    };
    positions.iter().map(column).sum::<f64>() * 4.3 + 6.0 * positions.len() as f64
}

/// The words of a heading; one that is a sign goes with the next.
fn words(heading: &str) -> impl Iterator<Item = String> {
    heading.replace("& ", "&\u{a0}").split(' ').map(|word| word.replace('\u{a0}', " ")).collect::<Vec<_>>().into_iter()
}

fn cell(cell: &Cell) -> String {
    let text = set(&cell.text);
    match cell.mark {
        Some(Mark::Best) => format!("\\bfseries {text}"),
        Some(Mark::Second) => format!("\\underline{{{text}}}"),
        Some(Mark::Unclear) => format!("{text}{}", escape(UNCLEAR)),
        None => text,
    }
}

/// A number with its interval by siunitx, anything else as text.
pub fn set(text: &str) -> String {
    let plain = text.replace('−', "-").replace(" ± ", " +- ");
    let number = |text: &str| {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
    };
    match plain.split_once(" +- ") {
        Some((mean, half)) if number(mean) && number(half) => format!("\\num{{{mean} +- {half}}}"),
        None if number(&plain) => format!("\\num{{{plain}}}"),
        _ => escape(text),
    }
}

/// Whether LaTeX's standard fonts lack a character of `text`.
pub fn unspelt(text: &str) -> bool {
    printable(text).chars().any(|c| spelt(c).is_none())
}

/// Text in which nothing is a command. What has no spelling becomes a question mark.
pub fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in printable(text).chars() {
        // Two hyphens would join to a longer one.
        if c == '-' && escaped.ends_with('-') {
            escaped += "{}";
        }
        escaped += &spelt(c).unwrap_or_else(|| "?".to_owned());
    }
    escaped
}

/// A character as LaTeX writes it with its standard fonts; `None` where those lack it.
fn spelt(c: char) -> Option<String> {
    let command = match c {
        '&' | '%' | '$' | '#' | '_' | '{' | '}' => return Some(format!("\\{c}")),
        '\\' => "\\textbackslash{}",
        '~' => "\\textasciitilde{}",
        '^' => "\\textasciicircum{}",
        '<' => "\\textless{}",
        '>' => "\\textgreater{}",
        '|' => "\\textbar{}",
        '"' => "''",
        '\'' => "\\textquotesingle{}",
        '`' => "\\textasciigrave{}",
        // After the end of a row these would be taken for its options.
        '[' => "{[}",
        '*' => "{*}",
        '±' => "$\\pm$",
        '−' => "$-$",
        '–' => "{--}",
        '·' => "$\\cdot$",
        '×' => "$\\times$",
        '√' => "$\\surd$",
        'Δ' => "$\\Delta$",
        'α' => "$\\alpha$",
        'λ' => "$\\lambda$",
        '†' => "\\textdagger{}",
        '°' => "$^\\circ$",
        '’' => "'",
        '…' => "\\dots{}",
        '≥' => "$\\geq$",
        '≤' => "$\\leq$",
        '→' => "$\\rightarrow$",
        c if c.is_ascii() || ('\u{c0}'..='\u{17f}').contains(&c) => return Some(c.to_string()),
        _ => return None,
    };
    Some(command.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_to_siunitx_and_the_rest_is_text() {
        let cases = [
            ("63.4 ± 0.3", "\\num{63.4 +- 0.3}"),
            ("−1.0 ± 0.2", "\\num{-1.0 +- 0.2}"),
            ("+4.2 ± 0.5", "\\num{+4.2 +- 0.5}"),
            ("± 0.8", "$\\pm$ 0.8"),
            ("0.031", "\\num{0.031}"),
            ("< 0.001", "\\textless{} 0.001"),
            ("18.53 M", "18.53 M"),
            ("–", "{--}"),
        ];
        for (text, wanted) in cases {
            assert_eq!(set(text), wanted);
        }
    }

    #[test]
    fn names_are_no_commands() {
        assert_eq!(escape(r"a_b & \input{x} 100%"), r"a\_b \& \textbackslash{}input\{x\} 100\%");
        assert_eq!(escape("动作"), "??");
        assert_eq!((escape("few-shot"), escape("a--b---c")), ("few-shot".into(), "a-{}-b-{}-{}-c".into()));
        // A row's end takes a bracket or star after it for its own.
        assert_eq!((escape("[a]"), escape("*")), ("{[}a]".into(), "{*}".into()));
    }
}

//! Lists with a clip in each line.
//!
//! Source: mmaction2, `VideoDataset` (`path label`, with its option `delimiter`) and `RawframeDataset` (`folder frames
//! label`); the lists of TRX and CMN (`class/clip`).

use super::{Between, Format, Parsed, Problem, Row, lines, shown};

/// What stands before the last column of a line, and that column.
fn last_column(line: &str, between: Between) -> Option<(&str, &str)> {
    let (before, last) = match between {
        Between::Blanks => line.rsplit_once(char::is_whitespace)?,
        Between::Sign(sign) => line.rsplit_once(sign)?,
    };
    let (before, last) = (before.trim_end(), last.trim());
    (!before.is_empty() && !last.is_empty()).then_some((before, last))
}

fn number(text: &str) -> Option<usize> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// Whether the first line and at least half of all end with a number: a list with some damaged lines is still
/// recognized.
pub(super) fn is_mmaction2(text: &str, between: Between) -> bool {
    let fits = |line: &str| last_column(line, between).is_some_and(|(_, last)| number(last).is_some());
    let (mut all, mut fitting) = (0, 0);
    for (_, line) in lines(text) {
        let sound = fits(line);
        if all == 0 && !sound {
            return false;
        }
        (all, fitting) = (all + 1, fitting + usize::from(sound));
    }
    2 * fitting >= all
}

/// A path without quotes around it.
fn bare(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// `path label` or `folder frames label`. Where every line has a number before the label, this is the number of frames.
pub(super) fn mmaction2(text: &str, between: Between) -> Parsed {
    let mut problems = Vec::new();
    let mut found: Vec<(usize, &str, &str)> = Vec::new();
    for (line, content) in lines(text) {
        match last_column(content, between) {
            Some((before, label)) => found.push((line, before, label)),
            None => problems.push(Problem::new(
                line,
                format!(
                    "it has one column: looked for a path and a label with {} between them, and found {}",
                    between.words(),
                    shown(content)
                ),
            )),
        }
    }
    // The labels of a list are numbers, or names.
    let numbers = found.iter().filter(|(.., label)| number(label).is_some()).count();
    let by_number = numbers * 2 >= found.len();
    let counted =
        |before: &str| last_column(before, between).and_then(|(path, count)| Some((path.to_owned(), number(count)?)));
    let frames = !found.is_empty() && found.iter().all(|(_, before, _)| counted(before).is_some());
    let mut rows = Vec::with_capacity(found.len());
    for (line, before, label) in found {
        if number(label).is_some() != by_number {
            let (is, others) = if by_number { ("is no number", "numbers") } else { ("is a number", "names") };
            problems
                .push(Problem::new(line, format!("the label `{label}` {is}, and those of other lines are {others}")));
            continue;
        }
        let row = match counted(before).filter(|_| frames) {
            Some((path, count)) => Row { frames: Some(count), ..Row::new(line, bare(&path), label) },
            None => Row::new(line, bare(before), label),
        };
        rows.push(row);
    }
    problems.sort_by_key(|problem| problem.line);
    let mut notes = Vec::new();
    if frames {
        notes.push("the number before each label is taken as the number of frames".to_owned());
    }
    Parsed { format: Format::Mmaction2, rows, problems, notes }
}

/// `class/clip`.
pub(super) fn class_clip(text: &str) -> Parsed {
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    for (line, content) in lines(text) {
        // Two slashes, as CLIP-FSAR has them.
        match content.split_once('/').map(|(class, clip)| (class.trim(), clip.trim_start_matches('/'))) {
            Some((class, clip)) if !class.is_empty() && !clip.is_empty() => {
                rows.push(Row::new(line, &format!("{class}/{clip}"), class));
            }
            _ => problems.push(Problem::new(line, format!("looked for class/clip, and found {}", shown(content)))),
        }
    }
    Parsed { format: Format::ClassClip, rows, problems, notes: Vec::new() }
}

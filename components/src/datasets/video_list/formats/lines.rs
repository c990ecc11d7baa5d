//! Lists with a clip in each line.
//!
//! Source: mmaction2, `VideoDataset` (`path label`, with its option `delimiter`) and `RawframeDataset` (`folder frames
//! label`, and `folder first frames label` with its option `with_offset`); the lists of TRX and CMN (`class/clip`) and
//! of CLIP-FSAR (`class//path`).

use super::{Between, Format, Parsed, Problem, Row, Span, lines, shown};
use crate::datasets::readers::is_video;

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

/// What stands before the last number of a line and that number, where it ends with one.
fn counted(text: &str, between: Between) -> Option<(&str, usize)> {
    last_column(text, between).and_then(|(before, last)| Some((before, number(last)?)))
}

/// A line without its label, as a clip.
///
/// # Errors
/// What is wrong with it.
fn clip(line: usize, text: &str, label: &str, between: Between, numbers: Numbers) -> std::result::Result<Row, String> {
    let mut path = text;
    while let Some((before, _)) = counted(path, between) {
        path = before;
    }
    if path.len() < text.len() && is_video(bare(path)) {
        let beside = text[path.len()..].trim_matches(|c: char| c.is_whitespace() || between == Between::Sign(c));
        return Err(format!(
            "more than a label stands behind the video {}: `{beside}`; several labels of a clip are not read, and a \
             number of frames belongs to a folder of frames",
            shown(bare(path))
        ));
    }
    let Some((path, count)) = counted(text, between).filter(|_| numbers != Numbers::None) else {
        return Ok(Row::new(line, bare(text), label));
    };
    if count == 0 {
        return Err(format!(
            "the number before the label is 0, and a clip has a frame at least: {}; several labels of a clip are not \
             read",
            shown(text)
        ));
    }
    let offset = counted(path, between).filter(|_| numbers == Numbers::Offset);
    let offset = offset.map(|(path, first)| (bare(path).to_owned(), Span::Frames(first, first.saturating_add(count))));
    Ok(Row { frames: Some(count), offset, ..Row::new(line, bare(path), label) })
}

/// The numbers that all lines of a list have before the label.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    None,
    /// The number of frames.
    Frames,
    /// That, and before it a number that may be the first frame.
    Offset,
}

/// `path label`, `folder frames label` or `folder first frames label`. Where every line has a number before the label,
/// this is the number of frames.
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
    let labels = found.iter().filter(|(.., label)| number(label).is_some()).count();
    let by_number = labels * 2 >= found.len();
    let all = |fits: fn(&str, Between) -> bool| found.iter().all(|(_, before, _)| fits(before, between));
    let numbers = match found.is_empty() {
        false
            if all(|text, between| {
                counted(text, between).is_some_and(|(path, _)| counted(path, between).is_some())
            }) =>
        {
            Numbers::Offset
        }
        false if all(|text, between| counted(text, between).is_some()) => Numbers::Frames,
        _ => Numbers::None,
    };
    let mut rows = Vec::with_capacity(found.len());
    for (line, before, label) in found {
        if number(label).is_some() != by_number {
            let (is, others) = if by_number { ("is no number", "numbers") } else { ("is a number", "names") };
            problems
                .push(Problem::new(line, format!("the label `{label}` {is}, and those of other lines are {others}")));
            continue;
        }
        match clip(line, before, label, between, numbers) {
            Ok(row) => rows.push(row),
            Err(reason) => problems.push(Problem::new(line, reason)),
        }
    }
    problems.sort_by_key(|problem| problem.line);
    let mut notes = Vec::new();
    if numbers != Numbers::None {
        notes.push("the number before each label is taken as the number of frames".to_owned());
    }
    Parsed { format: Format::Mmaction2, rows, problems, notes }
}

/// `class/clip`, or `class//path` as CLIP-FSAR has it.
pub(super) fn class_clip(text: &str) -> Parsed {
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    for (line, content) in lines(text) {
        match content.split_once('/').map(|(class, clip)| (class.trim(), clip.trim_start_matches('/'))) {
            Some((class, clip)) if !class.is_empty() && !clip.is_empty() => {
                let whole = format!("{class}/{clip}");
                let path = if content[class.len()..].trim_start().starts_with("//") { clip } else { &whole };
                rows.push(Row::new(line, path, class));
            }
            _ => problems.push(Problem::new(line, format!("looked for class/clip, and found {}", shown(content)))),
        }
    }
    Parsed { format: Format::ClassClip, rows, problems, notes: Vec::new() }
}

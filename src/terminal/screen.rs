//! How text is shown on a terminal: lines that fit its width, and states in colour. A file or a pipe gets the text as
//! it is.

use super::{Color, chosen};
use maclip_reports::Look;
use std::io::IsTerminal;

/// The narrowest terminal that text is fitted to; in a narrower one every word would have a line.
const NARROWEST: usize = 30;
/// Whole cells of a table that are coloured, by what they say.
const COLOURED: [(&str, u8); 17] = [
    ("done", GREEN),
    ("ok", GREEN),
    ("valid", GREEN),
    ("fits", GREEN),
    ("met", GREEN),
    ("running", YELLOW),
    ("starting", YELLOW),
    ("waiting", YELLOW),
    ("interrupted", YELLOW),
    ("unknown", YELLOW),
    ("failed", RED),
    ("stopped", RED),
    ("BAD", RED),
    ("too small", RED),
    ("below", RED),
    ("broken", RED),
    ("none of these", RED),
];
const RED: u8 = 31;
const GREEN: u8 = 32;
const YELLOW: u8 = 33;

/// `text` as standard output shows it.
pub fn page(text: &str) -> String {
    let Look { width, colored } = look();
    if width.is_none() && !colored {
        return text.to_owned();
    }
    let fit = |line: &str| width.map_or_else(|| vec![line.to_owned()], |width| fitted(line, width));
    let paint = |line: String| if colored { painted(&line) } else { line };
    text.split('\n').flat_map(fit).map(paint).collect::<Vec<_>>().join("\n")
}

/// `text`, which fits already, with its states in colour.
pub fn coloured(text: &str) -> String {
    match look().colored {
        true => text.split('\n').map(painted).collect::<Vec<_>>().join("\n"),
        false => text.to_owned(),
    }
}

/// How standard output shows text.
pub fn look() -> Look {
    let terminal = std::io::stdout().is_terminal();
    let colored = match chosen() {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    Look { width: if terminal { width() } else { None }, colored }
}

/// Columns of the terminal: what COLUMNS says, else what the terminal says; `None` where neither does.
fn width() -> Option<usize> {
    let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.trim().parse().ok());
    let own = || Some(usize::from(rustix::termios::tcgetwinsize(std::io::stdout()).ok()?.ws_col));
    asked.or_else(own).filter(|columns| *columns >= NARROWEST)
}

/// `line` in lines of at most `width` characters, broken at blanks. What follows the break stands below the last cell
/// of a table, or a little further in than the line. A word that is longer than a line stays whole, so that it can be
/// copied.
fn fitted(line: &str, width: usize) -> Vec<String> {
    if line.chars().count() <= width {
        return vec![line.to_owned()];
    }
    let indent = line.chars().take_while(|each| *each == ' ').count();
    // The cell that crosses the edge, or the last one before it.
    let starts = cells(line).into_iter().map(|(start, _)| line[..start].chars().count());
    let hang = starts.filter(|start| *start <= width / 2).max().unwrap_or(indent);
    let hang = if hang > indent { hang } else { indent + 2 };
    let mut lines: Vec<String> = Vec::new();
    let mut now = String::new();
    // Words with the blanks before them, so that columns stay where they are.
    for word in split_before_words(line) {
        let word = if now.is_empty() && !lines.is_empty() { word.trim_start() } else { word };
        let full = now.chars().count() + word.chars().count() > width && !now.trim().is_empty();
        if full {
            lines.push(std::mem::take(&mut now).trim_end().to_owned());
            now = " ".repeat(hang);
            now.push_str(word.trim_start());
        } else {
            now.push_str(word);
        }
    }
    lines.push(now.trim_end().to_owned());
    lines
}

/// `a  bc d` as `a`, `  bc`, ` d`.
fn split_before_words(line: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut in_word = false;
    for (at, each) in line.char_indices() {
        if each == ' ' && in_word {
            parts.push(&line[start..at]);
            start = at;
        }
        in_word = each != ' ';
    }
    parts.push(&line[start..]);
    parts
}

/// The cells of a line, which two blanks or more part, each with where it begins.
fn cells(line: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut start = 0;
    for part in line.split("  ") {
        let lead = part.len() - part.trim_start().len();
        let cell = part.trim();
        if !cell.is_empty() {
            found.push((start + lead, cell));
        }
        start += part.len() + 2;
    }
    found
}

/// `line` with its states in colour.
fn painted(line: &str) -> String {
    let mut out = String::new();
    let mut done = 0;
    for (start, cell) in cells(line) {
        if let Some((_, colour)) = COLOURED.iter().find(|(word, _)| *word == cell) {
            out.push_str(&format!("{}\u{1b}[{colour}m{cell}\u{1b}[0m", &line[done..start]));
            done = start + cell.len();
        }
    }
    out + &line[done..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_below_their_last_cell() {
        assert_eq!(fitted("short", 30), ["short"]);
        assert_eq!(
            fitted("  name    what it does in more words than fit here", 30),
            ["  name    what it does in more", "          words than fit here"]
        );
        assert_eq!(
            fitted("a sentence that is longer than one line of it", 30),
            ["a sentence that is longer than", "  one line of it"]
        );
        let path = "x".repeat(50);
        assert_eq!(fitted(&format!("report: {path} end"), 30), ["report:", &format!("  {path}"), "  end"]);
        for width in 30..60 {
            let line = "  run  variant with words  61.2 ± 1.0  a remark that goes on and on, and on again";
            assert!(fitted(line, width).iter().all(|line| line.chars().count() <= width), "{width}");
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(&fitted(line, width).join("\n")), words(line));
        }
    }

    #[test]
    fn only_whole_cells_are_coloured() {
        assert_eq!(painted("  ma_clip  done  61 %"), "  ma_clip  \u{1b}[32mdone\u{1b}[0m  61 %");
        assert_eq!(painted("BAD device"), "BAD device");
        assert_eq!(painted("BAD  device is failed"), "\u{1b}[31mBAD\u{1b}[0m  device is failed");
        assert_eq!(painted("what was done"), "what was done");
    }
}

//! Names of files, classes and tensors come from anywhere. Before they reach a terminal or a page, characters that
//! would not be shown but obeyed are replaced.

/// `text` in one line: every control character, and every character that turns the direction of writing, is U+FFFD.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if obeyed(c) { '\u{fffd}' } else { c }).collect()
}

/// [`printable`] for text of several lines: ends of lines and tabs stay.
pub fn printable_lines(text: &str) -> String {
    text.chars().map(|c| if obeyed(c) && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c }).collect()
}

/// The first of some texts, at most `most`, with `between` between them, and how many there are beyond those: `a, b,
/// and 3 more`.
pub fn first_of<T: AsRef<str>>(texts: impl ExactSizeIterator<Item = T>, most: usize, between: &str) -> String {
    let more = texts.len().saturating_sub(most);
    let mut named: Vec<String> = texts.take(most).map(|text| text.as_ref().to_owned()).collect();
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    named.join(between)
}

/// Whether a terminal or a page obeys the character: controls (C0, C1, delete) and marks of direction (Unicode, UAX 9).
fn obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_named_and_the_rest_counted() {
        let texts = ["a", "b", "c"];
        assert_eq!(first_of(texts.iter(), 3, ", "), "a, b, c");
        assert_eq!(first_of(texts.iter(), 2, "; "), "a; b; and 1 more");
        assert_eq!(first_of([""; 0].iter(), 2, ", "), "");
    }

    #[test]
    fn what_is_obeyed_is_replaced() {
        assert_eq!(
            printable("a\u{1b}[31m\u{7}\nb\u{9b}c\u{202e}d"),
            "a\u{fffd}[31m\u{fffd}\u{fffd}b\u{fffd}c\u{fffd}d"
        );
        assert_eq!(printable_lines("a\tb\nc\rd\u{1b}"), "a\tb\nc\u{fffd}d\u{fffd}");
        assert_eq!(printable("± 0.4 – Größe 火"), "± 0.4 – Größe 火");
    }
}

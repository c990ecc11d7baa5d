//! How wide a text is, and how a long one is made to fit.
//!
//! Widths are the advance widths of DejaVu Sans, in which the PNG files are set. The system fonts of browsers are
//! narrower or as wide, so that what fits here fits there.

use skrifa::instance::{LocationRef, Size};
use skrifa::metrics::GlyphMetrics;
use skrifa::{FontRef, MetadataProvider};
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// Pixels of the usual text of a figure.
pub const TEXT: f64 = 14.0;
/// Second lines and crowded labels.
pub const SMALL: f64 = 12.0;
/// The title of a figure.
pub const TITLE: f64 = 17.0;

/// Width of a character that the font lacks, in shares of the font size: that of a wide one.
const UNKNOWN: f64 = 1.0;

/// A size and a weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Font {
    pub size: f64,
    pub bold: bool,
}

impl Font {
    pub const TEXT: Self = Self { size: TEXT, bold: false };
    pub const SMALL: Self = Self { size: SMALL, bold: false };
    pub const BOLD: Self = Self { size: TEXT, bold: true };
    pub const TITLE: Self = Self { size: TITLE, bold: true };

    /// Pixels that `text` is wide.
    pub fn width(self, text: &str) -> f64 {
        text.chars().map(|c| advance(c, self.bold)).sum::<f64>() * self.size
    }
}

/// Advance width of a character in shares of the font size.
fn advance(c: char, bold: bool) -> f64 {
    /// Widths of the characters up to U+017F, regular and bold.
    static LATIN: OnceLock<[Vec<f64>; 2]> = OnceLock::new();
    let latin = LATIN.get_or_init(|| {
        [false, true].map(|bold| (0..0x180).map(|c| char::from_u32(c).map_or(UNKNOWN, |c| measured(c, bold))).collect())
    });
    latin[usize::from(bold)].get(c as usize).copied().unwrap_or_else(|| measured(c, bold))
}

fn measured(c: char, bold: bool) -> f64 {
    let bytes = if bold { dejavu::sans::bold() } else { dejavu::sans::regular() };
    let font = FontRef::new(bytes).expect("the font that is compiled in can be read");
    let metrics = GlyphMetrics::new(&font, Size::new(1.0), LocationRef::default());
    let width = font.charmap().map(c).and_then(|glyph| metrics.advance_width(glyph));
    width.map_or(UNKNOWN, f64::from)
}

/// `text` without what would make an SVG ill-formed.
pub fn clean(text: &str) -> String {
    let forbidden = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().map(|c| if forbidden(c) { '\u{fffd}' } else { c }).collect()
}

/// At most `width` pixels of a label. A longer one loses its middle, because names of variants and classes differ at
/// their ends.
pub fn shorten(label: &str, width: f64, font: Font) -> String {
    cut(&clean(label), width, font, 0.5)
}

/// `head` is the share of the kept letters that stand before the `…`.
fn cut(label: &str, width: f64, font: Font, head: f64) -> String {
    if font.width(label) <= width {
        return label.to_owned();
    }
    let letters: Vec<char> = label.chars().collect();
    let kept = |number: usize| {
        let first = (number as f64 * head).round() as usize;
        let (begin, end) = (&letters[..first], &letters[letters.len() - (number - first)..]);
        let (begin, end): (String, String) = (begin.iter().collect(), end.iter().collect());
        format!("{}…{}", begin.trim_end(), end.trim_start())
    };
    (0..letters.len()).rev().map(kept).find(|text| font.width(text) <= width).unwrap_or_else(|| "…".to_owned())
}

/// The labels at most `width` pixels wide. Labels that differ stay different: another part of them is left out, and as
/// the last resort they are numbered.
pub fn shorten_all(labels: &[String], width: f64, font: Font) -> Vec<String> {
    let labels: Vec<String> = labels.iter().map(|label| clean(label)).collect();
    let wanted = labels.iter().collect::<BTreeSet<_>>().len();
    let distinct = |shown: &Vec<String>| shown.iter().collect::<BTreeSet<_>>().len() == wanted;
    let with = |head: f64| labels.iter().map(|label| cut(label, width, font, head)).collect::<Vec<_>>();
    [0.5, 0.3, 0.7, 0.1, 0.9].into_iter().map(with).find(distinct).unwrap_or_else(|| {
        let numbered = |(number, label): (usize, &String)| cut(&format!("{} {label}", number + 1), width, font, 0.5);
        labels.iter().enumerate().map(numbered).collect()
    })
}

/// `label` in at most two lines of `width` pixels, broken at a space or behind a sign where it can be; a rest that does
/// not fit loses its middle.
pub fn wrap(label: &str, width: f64, font: Font) -> Vec<String> {
    let label = clean(label);
    if font.width(&label) <= width {
        return vec![label];
    }
    let breaks = label.char_indices().filter(|(_, c)| " /+-_,".contains(*c)).map(|(at, c)| at + c.len_utf8());
    let mut fitting = breaks.filter(|at| font.width(label[..*at].trim_end()) <= width);
    match fitting.next_back().filter(|at| *at < label.len()) {
        Some(at) => vec![label[..at].trim_end().to_owned(), shorten(label[at..].trim_start(), width, font)],
        None => vec![shorten(&label, width, font)],
    }
}

/// All of `text` in lines of `width` pixels, broken at spaces, and within a word that is wider than a line.
pub fn paragraph(text: &str, width: f64, font: Font) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut now = String::new();
    for word in clean(text).split(' ') {
        let longer = format!("{now} {word}");
        if !now.is_empty() && font.width(&longer) <= width {
            now = longer;
            continue;
        }
        if !now.is_empty() {
            lines.push(std::mem::take(&mut now));
        }
        for letter in word.chars() {
            if !now.is_empty() && font.width(&now) + font.width(letter.encode_utf8(&mut [0; 4])) > width {
                lines.push(std::mem::take(&mut now));
            }
            now.push(letter);
        }
    }
    lines.push(now);
    lines
}

/// [`wrap`] of several labels; where two would read the same, all are shortened to one line, see [`shorten_all`].
pub fn wrap_all(labels: &[String], width: f64, font: Font) -> Vec<Vec<String>> {
    let wrapped: Vec<Vec<String>> = labels.iter().map(|label| wrap(label, width, font)).collect();
    let different = |lines: usize| lines == labels.iter().collect::<BTreeSet<_>>().len();
    if different(wrapped.iter().collect::<BTreeSet<_>>().len()) {
        return wrapped;
    }
    shorten_all(labels, width, font).into_iter().map(|label| vec![label]).collect()
}

/// What the names of one thing in several tables have in common at their ends: `otam-clip` of `kinetics-otam-clip` and
/// `ssv2-otam-clip`. The first of them where that is nothing.
pub fn common(names: &[String]) -> String {
    let Some(first) = names.first() else { return String::new() };
    let parts = |name: &str| name.split_inclusive(['-', '+', ' ', '/']).map(str::to_owned).collect::<Vec<String>>();
    let of: Vec<Vec<String>> = names.iter().map(|name| parts(name)).collect();
    let least = of.iter().map(Vec::len).min().unwrap_or(0);
    let same = |part: &dyn Fn(&[String]) -> Option<String>| of.iter().all(|parts_of| part(parts_of) == part(&of[0]));
    let head = (0..least).take_while(|at| same(&|parts| parts.get(*at).cloned())).count();
    let tail = (1..=least - head).take_while(|end| same(&|parts| parts.get(parts.len() - end).cloned())).count();
    let own = &of[0];
    let kept = [&own[..head], &own[own.len() - tail..]].concat().concat();
    let kept = kept.trim_matches(['-', '+', ' ', '/']);
    if kept.is_empty() { first.clone() } else { kept.to_owned() }
}

/// [`common`] of each of several things; their first names where two of them would be called the same.
pub fn common_all(names: &[Vec<String>]) -> Vec<String> {
    let shared: Vec<String> = names.iter().map(|names| common(names)).collect();
    if shared.iter().collect::<BTreeSet<_>>().len() == names.len() {
        return shared;
    }
    names.iter().map(|names| names.first().cloned().unwrap_or_default()).collect()
}

/// The widest of some texts, in pixels.
pub fn widest<'a>(texts: impl IntoIterator<Item = &'a String>, font: Font) -> f64 {
    texts.into_iter().map(|text| font.width(text)).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Advance widths of DejaVu Sans 2.37 in units of 2048, as `ttx` shows them: space 651, `0` 1303, `W` 2025, bold
    /// `W` 2259.
    #[test]
    fn widths_are_those_of_the_font() {
        let units = |text: &str, bold: bool| (Font { size: 2048.0, bold }.width(text)).round();
        assert_eq!(
            [units(" ", false), units("0", false), units("W", false), units("W", true)],
            [651., 1303., 2025., 2259.]
        );
        assert_eq!(units("0W ", false), 651. + 1303. + 2025.);
        assert!(units("…", false) > 1000.0 && units("±", false) > 1000.0);
    }

    #[test]
    fn a_long_label_loses_its_middle() {
        assert_eq!(shorten("short", 100.0, Font::TEXT), "short");
        let long = shorten("a rather long name of a variant", 130.0, Font::TEXT);
        assert!(long.starts_with("a rat") && long.ends_with("variant") && long.contains('…'), "{long}");
        assert!(Font::TEXT.width(&long) <= 130.0);
        assert_eq!(shorten("anything", 1.0, Font::TEXT), "…");
    }

    #[test]
    fn labels_that_differ_stay_different() {
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let early = names(&["ma_clip+rate=0.001+steps=20+episodes=500", "ma_clip+rate=0.002+steps=20+episodes=500"]);
        let middle = names(&[
            "aaaaaaaaaaaaaaaaaaaaaaaaXbbbbbbbbbbbbbbbbbbbbbbbb",
            "aaaaaaaaaaaaaaaaaaaaaaaaYbbbbbbbbbbbbbbbbbbbbbbbb",
        ]);
        for labels in [early, middle] {
            let shown = shorten_all(&labels, 150.0, Font::TEXT);
            assert_ne!(shown[0], shown[1]);
            assert!(shown.iter().all(|label| Font::TEXT.width(label) <= 150.0), "{shown:?}");
        }
        let same = names(&["the same name of the same thing"; 2]);
        let shown = shorten_all(&same, 100.0, Font::TEXT);
        assert_eq!(shown[0], shown[1]);
    }

    #[test]
    fn what_names_of_one_thing_have_in_common_is_kept() {
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let cases: [(&[&str], &str); 5] = [
            (&["kinetics-otam-clip", "ssv2-otam-clip"], "otam-clip"),
            (&["otam-kinetics", "otam-ssv2"], "otam"),
            (&["otam", "otam"], "otam"),
            (&["one", "two"], "one"),
            (&["a-x-b", "a-b"], "a-b"),
        ];
        cases.into_iter().for_each(|(of, wanted)| assert_eq!(common(&names(of)), wanted));
        let all = [names(&["k-otam", "s-otam"]), names(&["k2-otam", "s2-otam"])];
        assert_eq!(common_all(&all), ["k-otam", "k2-otam"], "not two of one name");
    }

    #[test]
    fn a_paragraph_keeps_all_its_letters() {
        let text = "one cell covered at a time; the probability of a_class_whose_name_is_longer_than_a_line_can_be";
        let lines = paragraph(text, 180.0, Font::SMALL);
        assert!(lines.iter().all(|line| Font::SMALL.width(line) <= 180.0), "{lines:?}");
        assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        assert_eq!(paragraph("", 100.0, Font::TEXT), [""]);
    }

    #[test]
    fn a_label_breaks_where_it_can() {
        assert_eq!(wrap("ma_clip+steps=20+episodes=500", 150.0, Font::TEXT), ["ma_clip+steps=20+", "episodes=500"]);
        assert_eq!(wrap("one two", 500.0, Font::TEXT), ["one two"]);
        assert_eq!(wrap(&"x".repeat(90), 60.0, Font::TEXT).len(), 1);
    }
}

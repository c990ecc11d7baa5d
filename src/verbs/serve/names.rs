//! What requests call classes and files, as it is shown.

use super::problem::{Problem, Reply};
use axum::http::{HeaderValue, StatusCode};
use maclip_language::printable;
use unicode_normalization::UnicodeNormalization;

/// The longest name of a class, and of a file, in characters.
const CLASS: usize = 100;
const FILE: usize = 120;

/// The name of a class: two that look alike are one.
///
/// # Errors
/// Where it cannot be shown, or no address can have it.
pub fn class_name(given: &str) -> Reply<String> {
    let bad = |what: String| Err(Problem::new(StatusCode::BAD_REQUEST, what).help("give the class another name"));
    if let Some(control) = given.trim().chars().find(|c| c.is_control()) {
        return bad(format!("the name of a class has the control character U+{:04X}", u32::from(control)));
    }
    let joins = |c: char| matches!(c, '\u{200c}' | '\u{200d}');
    let seen: String = given.nfc().filter(|c| joins(*c) || !is_invisible(*c)).collect();
    let name = seen.split_whitespace().collect::<Vec<_>>().join(" ");
    let name = name.trim_matches(joins);
    match name.chars().count() {
        0 => bad("the name of a class has no character that is seen".to_owned()),
        1..=CLASS if [".", ".."].contains(&name) => {
            bad(format!("a class cannot be called `{name}`: in an address that is another folder"))
        }
        1..=CLASS => Ok(name.to_owned()),
        count => bad(format!("a class has a name of 1 to {CLASS} characters, and this one has {count}")),
    }
}

/// Characters that leave no trace, or only turn the direction of writing (Unicode, `Default_Ignorable_Code_Point`, and
/// the blank of Braille). Emoji are told apart by U+FE00 to U+FE0F.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// What a form calls a file: `plain` where it could be read, else from the head of the file, whose bytes may be no
/// UTF-8. `None` where this part of the form is no file.
pub fn file_name(plain: Option<&str>, head: Option<&HeaderValue>) -> Option<String> {
    let plain = plain.map(str::to_owned);
    let given = plain.or_else(|| {
        let head = String::from_utf8_lossy(head?.as_bytes()).into_owned();
        let all = parameters(&head);
        let value = |name: &str| all.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
        match value("filename*") {
            // Characters set, language, and the name, in which bytes are written as `%e4` (RFC 8187).
            Some(encoded) => Some(decoded(encoded.rsplit('\'').next()?)),
            None => value("filename").map(str::to_owned),
        }
    });
    given.map(|given| shown(&given))
}

/// The parameters of a header's value, `form-data; name="clip"; filename="a;b.mp4"`, without their quotes.
fn parameters(head: &str) -> Vec<(&str, &str)> {
    let mut quoted = false;
    let ends = |c: char| {
        quoted ^= c == '"';
        c == ';' && !quoted
    };
    let parts = head.split(ends).filter_map(|part| part.split_once('='));
    parts.map(|(key, value)| (key.trim(), value.trim().trim_matches('"'))).collect()
}

/// `text` with the bytes that `%` and two digits stand for.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(&part.as_bytes()[2..]);
            }
            None => bytes.extend(format!("%{part}").as_bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last part of a file's name, without what a terminal or page could take for a command.
fn shown(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean = printable(last);
    match clean.chars().count() {
        0 => "clip".to_owned(),
        1..=FILE => clean,
        // The end is kept: it says what kind of file this is.
        count => clean.chars().skip(count - FILE).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_are_one_and_the_others_are_refused() {
        let name = |given: &str| class_name(given).map_err(|problem| problem.reason().to_owned());
        for given in ["caf\u{e9}", "cafe\u{301}", " caf\u{e9} ", "caf\u{200b}\u{e9}", "\u{feff}caf\u{e9}\u{200d}"] {
            assert_eq!(name(given).as_deref(), Ok("caf\u{e9}"), "{given:?}");
        }
        assert_eq!(name("throw \u{a0} a ball").as_deref(), Ok("throw a ball"));
        // Two emoji that are joined, and a heart.
        let emoji = ["\u{1f469}\u{200d}\u{1f373}", "\u{2764}\u{fe0f}"];
        emoji.iter().for_each(|emoji| assert_eq!(name(emoji).as_deref(), Ok(*emoji)));
        for (given, reason) in [
            ("", "no character that is seen"),
            (" \u{200b}\u{2060} ", "no character that is seen"),
            ("a\tb", "control character U+0009"),
            (".", "cannot be called `.`"),
            (" ..", "cannot be called `..`"),
            (&"x".repeat(101), "1 to 100 characters, and this one has 101"),
        ] {
            assert!(name(given).is_err_and(|told| told.contains(reason)), "{given:?}: {:?}", name(given));
        }
    }

    #[test]
    fn a_name_is_no_path_and_no_command() {
        assert_eq!(shown("../../etc/pass.mp4"), "pass.mp4");
        assert_eq!(shown("C:\\clips\\a.mp4"), "a.mp4");
        assert_eq!(shown(""), "clip");
        assert!(!shown("a\u{1b}[31m.mp4").contains('\u{1b}'));
        let long = shown(&format!("{}.mp4", "a".repeat(500)));
        assert!(long.len() == FILE && long.ends_with(".mp4"));
    }

    #[test]
    fn a_file_has_a_name_in_whatever_way_it_is_written() {
        let of = |head: &[u8]| file_name(None, Some(&HeaderValue::from_bytes(head).unwrap()));
        assert_eq!(of(b"form-data; name=\"clip\"; filename=\"caf\xe9.mp4\"").as_deref(), Some("caf\u{fffd}.mp4"));
        assert_eq!(of(b"form-data; name=clip; FileName = caf\xe9.mp4; x=y").as_deref(), Some("caf\u{fffd}.mp4"));
        assert_eq!(of(b"form-data; filename*=utf-8''caf%C3%A9%20%zz.mp4").as_deref(), Some("caf\u{e9} %zz.mp4"));
        assert_eq!(of(b"form-data; filename=\"a;b.mp4\"; name=\"clip\"").as_deref(), Some("a;b.mp4"));
        assert_eq!(of(b"form-data; filename=\"\"").as_deref(), Some("clip"));
        for no_file in
            [&b"form-data; filename"[..], b"form-data; name=\"filename\"", b"form-data; name=\"x;filename=y\""]
        {
            assert_eq!(of(no_file), None);
        }
        assert_eq!(of(b"form-data; name=\"text\""), None);
        assert_eq!(file_name(Some("a/b.mp4"), None).as_deref(), Some("b.mp4"));
    }
}

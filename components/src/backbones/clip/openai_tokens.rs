//! OpenAI's byte-pair tokenizer of CLIP, with the clean-up of the text that goes before it.
//!
//! Source: Radford et al. 2021 (arXiv 2103.00020); ids as open_clip 3.3's `SimpleTokenizer` gives them: ftfy's `fix_text`,
//! Python's `html.unescape` twice, white space collapsed, lower case, byte pairs. Of ftfy's repair of wrongly decoded text
//! there is the common case: UTF-8 that was read as Latin-1 or Windows-1252.

use instant_clip_tokenizer::Tokenizer;
use regex::{Captures, Regex};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;
use unicode_normalization::UnicodeNormalization;

/// Number of token ids.
pub const VOCABULARY: usize = 49408;
const START: i32 = 49406;
const END: i32 = 49407;

/// What bytes 0x80 to 0x9F stand for in Windows-1252. The five unassigned ones stand for themselves.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(Tokenizer::new);

/// HTML5 entities by name, without `&`; with `;`, where the name has one.
static ENTITIES: LazyLock<HashMap<&str, &str>> =
    LazyLock::new(|| entities::ENTITIES.iter().map(|known| (&known.entity[1..], known.characters)).collect());

/// Start, tokens, end. Neither padded nor cut.
pub fn encode(text: &str) -> Vec<i32> {
    let mut ids = vec![START];
    push_tokens(&clean(text), &mut ids);
    ids.push(END);
    ids
}

/// The byte pairs of a clean text. open_clip finds words regardless of case, and so takes `ſ` for `s` in a contraction and
/// U+0345, whose capital is a letter, neither for a letter nor for a sign.
fn push_tokens(text: &str, ids: &mut Vec<i32>) {
    for word in WORD.find_iter(text) {
        match word.as_str() {
            "'ſ" => ids.extend([6, 129, 379]),
            "<ſtart_of_text>" => ids.extend([27, 129, 123, 16707, 62, 684, 62, 18169, 285]),
            word => {
                let mut tokens = Vec::new();
                TOKENIZER.encode(word, &mut tokens);
                ids.extend(tokens.into_iter().map(|token| i32::from(token.to_u16())));
            }
        }
    }
}

fn clean(text: &str) -> String {
    let text = unescape(&unescape(&fix_text(text)));
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// A regular expression that is part of the program.
macro_rules! pattern {
    ($name:ident, $pattern:expr) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($pattern).expect("a valid pattern"));
    };
}

pattern!(WORD, r"<[sſ]tart_of_text>|<end_of_text>|'[sſ]|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}\u{345}]+");
pattern!(REFERENCE, r"&(?:#([0-9]+);?|#[xX]([0-9a-fA-F]+);?|([^\t\n\x0C <&#;]{1,32};?))");
pattern!(CLOSED_REFERENCE, r"&(#?)([0-9A-Za-z]{1,24};)");
pattern!(TERMINAL_ESCAPE, r"\x1B\[[\d;]*[a-zA-Z]");

/// Python's `html.unescape`.
fn unescape(text: &str) -> String {
    let read = REFERENCE.replace_all(text, |found: &Captures| {
        if let Some(digits) = found.get(1) {
            return character(digits.as_str(), 10);
        }
        if let Some(digits) = found.get(2) {
            return character(digits.as_str(), 16);
        }
        let name = found.get(3).map_or("", |name| name.as_str());
        // The whole name or the longest known start of it.
        let known = |end: usize| ENTITIES.get(&name[..end]).map(|characters| format!("{characters}{}", &name[end..]));
        let ends = name.char_indices().map(|(i, _)| i).skip(2).collect::<Vec<_>>();
        let found_name = known(name.len()).or_else(|| ends.into_iter().rev().find_map(known));
        found_name.unwrap_or_else(|| format!("&{name}"))
    });
    read.into_owned()
}

/// The text of a numeric reference. Those to control and unassigned characters are dropped.
fn character(digits: &str, radix: u32) -> String {
    // Only digits: what cannot be read is too large.
    let code = u32::from_str_radix(digits, radix).unwrap_or(u32::MAX);
    match char::from_u32(code) {
        None | Some('\0') => "\u{fffd}".into(),
        Some(c @ '\u{80}'..='\u{9f}') => from_windows_1252(c).into(),
        Some('\u{1}'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{fdd0}'..='\u{fdef}') => String::new(),
        Some(_) if code & 0xfffe == 0xfffe => String::new(),
        Some(c) => c.into(),
    }
}

fn from_windows_1252(c: char) -> char {
    match c {
        '\u{80}'..='\u{9f}' => WINDOWS_1252[c as usize - 0x80],
        _ => c,
    }
}

/// ftfy's `fix_text`. Lines are independent, but no entity is read from the first `<` on.
fn fix_text(text: &str) -> String {
    let mut plain = true;
    let fix = |line: &str| {
        plain &= !line.contains('<');
        fix_line(line, plain)
    };
    text.split_inclusive('\n').map(fix).collect()
}

fn fix_line(line: &str, plain: bool) -> String {
    let mut text = line.to_owned();
    loop {
        let entities_read = if plain { unescape_closed(&text) } else { Cow::Borrowed(text.as_str()) };
        let repaired: String = repair(&entities_read).chars().map(from_windows_1252).collect();
        let standard = standard_characters(&repaired);
        let shown = TERMINAL_ESCAPE.replace_all(&standard, "");
        let fixed: String = shown.chars().filter(|&c| !is_control(c)).nfc().collect();
        if fixed == text {
            return text;
        }
        text = fixed;
    }
}

/// Entities that end in `;`. Names in capitals stand for the upper case of the entity, if it has no other meaning.
fn unescape_closed(text: &str) -> Cow<'_, str> {
    CLOSED_REFERENCE.replace_all(text, |found: &Captures| {
        let (whole, name) = (&found[0], &found[2]);
        if &found[1] == "#" {
            return Some(unescape(whole)).filter(|read| !read.contains(';')).unwrap_or_else(|| whole.into());
        }
        if let Some(characters) = ENTITIES.get(name) {
            return characters.to_string();
        }
        let capitals = !name.contains(|c: char| c.is_ascii_lowercase()) && unescape(whole) == whole;
        let lower = ENTITIES.get(name.to_ascii_lowercase().as_str()).filter(|_| capitals);
        lower.map_or(whole.into(), |characters| characters.to_uppercase())
    })
}

/// Straight quotes, Latin ligatures in letters, standard width, line ends.
fn standard_characters(text: &str) -> String {
    let mut standard = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{2bc}' | '‘'..='\u{201b}' => standard.push('\''),
            '“'..='\u{201f}' => standard.push('"'),
            'ŉ' => standard.push_str("'n"),
            'ﬅ' => standard.push_str("ſt"),
            'Ĳ' | 'ĳ' | 'Ǆ'..='ǌ' | 'Ǳ'..='ǳ' | 'ﬀ'..='ﬆ' | '\u{3000}' | '\u{ff01}'..='\u{ffef}' => {
                standard.extend(std::iter::once(c).nfkc());
            }
            '\r' | '\u{2028}' | '\u{2029}' => standard.push('\n'),
            _ => standard.push(c),
        }
    }
    standard
}

/// Characters that ftfy drops.
fn is_control(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{fff9}'..='\u{fffc}')
}

// Characters that follow each other only in UTF-8 that was read as Windows-1252: ftfy, too, sees an error in every match.
pattern!(
    GARBLED,
    "[\u{80}-\u{9f}]\
     |[ÂÃÎÐ][€‚ƒ„†‡ˆ‰Š‹‘“”•–—˜™š›œžŸ\u{a0}-¤¦-¿]\
     |[ÂÃÎÐÄ-ÍÏÑØÜÝß-ñ‚„‹‘“•¡§©«¶¿€¢£¥±²³µ¹¼½¾”™›®»][ƒ†‡ˆ‰˜¤¦¨ª¬¯¸º]\
     |[ÄÅÆÇÈÉÊËÌÍÏÑØÜÝ][±²³µ¹¼½¾§¶°]\
     |[a-z\\s][ÂÃÎÐÄ-ÍÏÑØÜÝ][€¢£¥]\
     |[ß-ñ][€¢£¥ŠŽŸ]\
     |[Œœ][€-™\u{a0}-¿]"
);
// What looks like UTF-8 sequences among other text.
pattern!(
    SEQUENCES,
    "(^|[^\u{80}-\u{bf}\u{100}-\u{17f}€ƒ†‡ˆ‰‹˜™›])\
     ((?:[Â-ß][K]|[à-ï][K]{2}|[ðó][K]{3})+)"
        .replace('K', "\u{80}-\u{bf}€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ")
        .as_str()
);

/// Undoes a wrong decoding, as often as there is one: of the whole text, of parts of it, of single characters.
fn repair(text: &str) -> String {
    let mut text = text.to_owned();
    while GARBLED.is_match(&text) {
        let read = decoded(&text).unwrap_or_else(|| {
            let parts = SEQUENCES.replace_all(&text, |found: &Captures| {
                let part = Some(&found[2]).filter(|part| GARBLED.is_match(part)).and_then(decoded);
                format!("{}{}", &found[1], part.as_deref().unwrap_or(&found[2]))
            });
            if parts == text { text.chars().map(from_windows_1252).collect() } else { parts.into_owned() }
        });
        if read == text {
            break;
        }
        text = read;
    }
    text
}

/// The text that has these characters as its UTF-8 bytes in Latin-1 or Windows-1252.
fn decoded(text: &str) -> Option<String> {
    let read = |byte: fn(char) -> Option<u8>| String::from_utf8(text.chars().map(byte).collect::<Option<_>>()?).ok();
    read(latin_1_byte).or_else(|| read(windows_1252_byte))
}

fn latin_1_byte(c: char) -> Option<u8> {
    u8::try_from(u32::from(c)).ok()
}

fn windows_1252_byte(c: char) -> Option<u8> {
    match c {
        '\0'..='\x7f' | '\u{a0}'..='ÿ' => latin_1_byte(c),
        _ => WINDOWS_1252.iter().zip(0x80..).find_map(|(&known, byte)| (known == c).then_some(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts with their ids in open_clip 3.3, without start and end.
    const CASES: [(&str, &[i32]); 24] = [
        ("", &[]),
        ("a photo of a cat", &[320, 1125, 539, 320, 2368]),
        ("Pouring [something] into [something]", &[16098, 314, 2006, 316, 1095, 314, 2006, 316]),
        ("they don't; I'LL, rock'n'roll", &[889, 847, 713, 282, 328, 1342, 267, 2172, 262, 333, 262, 3341]),
        ("snake_case_and-kebab-case 1234", &[8798, 318, 2068, 318, 537, 268, 36497, 268, 2068, 272, 273, 274, 275]),
        ("supercalifragilisticexpialidocious", &[1642, 2857, 13093, 2076, 5868, 26850, 835, 639, 38466]),
        ("tabs\tand\r\nnew  lines\u{3000}here", &[29163, 537, 686, 3418, 763]),
        ("“ﬁne” Ｗｉｄｅ it’s", &[257, 3797, 257, 3184, 585, 568]),
        ("ŉ ǆ ﬅ \u{212a}", &[262, 333, 67, 129, 378, 129, 123, 339, 330]),
        (
            "İstanbul ΟΔΥΣΣΕΥΣ e\u{301}",
            &[328, 16384, 11231, 138, 123, 138, 112, 139, 227, 139, 225, 139, 225, 138, 113, 139, 227, 139, 480, 4166],
        ),
        (
            "日本語 한국어 हिन्दी",
            &[39121, 44353, 34002, 508, 15197, 250, 31871, 255, 31625, 368, 29446, 26721, 26090, 19389, 29552, 25751],
        ),
        ("🙂👩\u{200d}🚀 🇪🇺 ☃\u{fe0f}", &[32006, 26304, 13542, 34655, 38972, 1001]),
        ("\u{1b}[31mred\u{1b}[0m \0\u{feff}bom", &[736, 19469]),
        (
            "&amp;lt;b&amp;gt; &AMP;amp; it&#39;s &#x1F600; &notit; &copy2024",
            &[283, 321, 285, 261, 585, 568, 7334, 126, 361, 585, 282, 5811, 273, 271, 273, 275],
        ),
        ("&#0;&#1;&#128;&#xd800;&#99999999999;", &[47356, 34919, 47356, 39802]),
        ("&fjlig; &hellip; <&hellip;", &[46447, 959, 27, 959]),
        (
            "P&EACUTE;REZ <b>&EACUTE;</b>",
            &[335, 261, 68, 19734, 282, 15192, 283, 321, 29, 261, 68, 19734, 26, 34308, 321, 285],
        ),
        ("P&EACUTE;REZ", &[43167, 15192]),
        ("schÃ¶n", &[844, 7255, 333]),
        ("schÃ¶n 日本", &[844, 7255, 333, 39121, 19277, 361]),
        ("prix : â‚¬5", &[10875, 281, 6309, 276]),
        ("â\u{80}\u{99} caf\u{92}", &[262, 20867, 262]),
        ("'ſ co\u{345}x", &[6, 129, 379, 1320, 343]),
        ("a<START_OF_TEXT>b!<end_of_text>", &[320, 49406, 321, 0, 283, 806, 318, 539, 318, 4160, 285]),
    ];

    #[test]
    fn ids_are_those_of_open_clip() {
        for (text, ids) in CASES {
            assert_eq!(encode(text), [&[START], ids, &[END]].concat(), "{text:?}");
        }
    }

    #[test]
    fn correct_text_is_not_repaired() {
        for text in ["São João", "Ärger, Übung, Öl", "garçon à l'œuvre", "£5 – €6 «Ŝ»", "ΑΣ", "игра", "Ÿ × ²"]
        {
            assert_eq!(repair(text), text);
        }
    }

    #[test]
    fn any_text_has_ids_in_the_vocabulary() {
        const PARTS: [&str; 16] =
            ["&", "#", "x", ";", "amp", "&#", "<", "'", "Ã", "â€", "\u{92}", "\n", "é", "\u{345}", "\u{1b}[", "1"];
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize
        };
        for _ in 0..3000 {
            let text: String = (0..next() % 20)
                .map(|_| match next() % 3 {
                    0 => PARTS[next() % PARTS.len()].to_owned(),
                    1 => char::from_u32(next() as u32 % 0x300).unwrap_or('-').to_string(),
                    _ => char::from_u32(next() as u32 % 0x110000).unwrap_or('-').to_string(),
                })
                .collect();
            let ids = encode(&text);
            assert!(ids.iter().all(|&id| (0..VOCABULARY as i32).contains(&id)), "{text:?}");
        }
    }
}

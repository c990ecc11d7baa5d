//! OpenAI's byte-pair tokenizer of CLIP, with the clean-up of the text that goes before it.
//!
//! Source: Radford et al. 2021 (arXiv 2103.00020); ids as open_clip 3.3's `SimpleTokenizer` gives them: ftfy's
//! `fix_text`, Python's `html.unescape` twice, white space collapsed, lower case, byte pairs. Of `fix_text` there is
//! what class names and captions need: it repairs UTF-8 that was read as Latin-1 or Windows-1252, curly quotes,
//! ligatures and wide letters, and drops control characters. Not done: terminal colors are not removed, and entities in
//! capitals (`&EACUTE;`) and entities that were escaped three times are not read.

use instant_clip_tokenizer::Tokenizer;
use regex::{Captures, Regex};
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

/// HTML5 entities by name without `&`; some names end with `;`.
static ENTITIES: LazyLock<HashMap<&str, &str>> =
    LazyLock::new(|| entities::ENTITIES.iter().map(|known| (&known.entity[1..], known.characters)).collect());

/// Start, tokens, end. Neither padded nor cut.
pub fn encode(text: &str) -> Vec<i32> {
    let mut ids = vec![START];
    push_tokens(&clean(text), &mut ids);
    ids.push(END);
    ids
}

/// The byte pairs of a clean text. open_clip finds words regardless of case, and so takes `ſ` for `s` in a contraction
/// and U+0345, whose capital is a letter, neither for a letter nor for a sign.
fn push_tokens(text: &str, ids: &mut Vec<i32>) {
    for word in WORD.find_iter(text) {
        match word.as_str() {
            // Written out, they are the special tokens in OpenAI's own tokenizer.
            "<|startoftext|>" => ids.push(START),
            "<|endoftext|>" => ids.push(END),
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
    let text = fix_text(&unescape(&unescape(text)));
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// A regular expression that is part of the program.
macro_rules! pattern {
    ($name:ident, $pattern:expr) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($pattern).expect("a valid pattern"));
    };
}

pattern!(
    WORD,
    r"<\|startoftext\|>|<\|endoftext\|>|<[sſ]tart_of_text>|<end_of_text>|'[sſ]|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}\u{345}]+"
);
pattern!(REFERENCE, r"&(?:#([0-9]+);?|#[xX]([0-9a-fA-F]+);?|([^\t\n\x0C <&#;]{1,32};?))");
pattern!(NOT_ASCII, r"[^\x00-\x7F]+");

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

/// The part of ftfy's `fix_text` that class names and captions need: wrong decodings undone, characters in their
/// standard form, letters composed.
fn fix_text(text: &str) -> String {
    let repaired: String = repair(text).chars().map(from_windows_1252).collect();
    standard_characters(&repaired).chars().filter(|&c| !is_control(c)).nfc().collect()
}

/// Straight quotes, Latin ligatures in letters, standard width.
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

// Characters that follow each other only in UTF-8 that was read as Windows-1252. ftfy, too, sees an error in each.
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

/// Undoes a wrong decoding, as often as there is one: of the whole text, or of each part of it that has no ASCII.
fn repair(text: &str) -> String {
    let mut text = text.to_owned();
    while GARBLED.is_match(&text) {
        let read = decoded(&text).unwrap_or_else(|| {
            let part = |found: &Captures| {
                let part = Some(&found[0]).filter(|part| GARBLED.is_match(part)).and_then(decoded);
                part.unwrap_or_else(|| found[0].to_owned())
            };
            NOT_ASCII.replace_all(&text, part).into_owned()
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
    const CASES: [(&str, &[i32]); 25] = [
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
        ("\0\u{feff}bom", &[19469]),
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
        ("it&rsquo;s", &[585, 568]),
        ("schÃ¶n", &[844, 7255, 333]),
        ("schÃ¶n 日本", &[844, 7255, 333, 39121, 19277, 361]),
        ("l’humanitÃ©", &[331, 262, 3175, 529, 4166]),
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

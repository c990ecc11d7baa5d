//! What a class is called in prompts, made of the name of its folder or its name in a list.

use serde::{Deserialize, Serialize};

/// How the text of a class is made of its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClassText {
    /// As a person would say it, without square brackets and underscores and split at capitals.
    #[default]
    Words,
    /// The name as it stands, with its brackets and underscores, as the configurations of CLIP-FSAR's public code have
    /// it.
    ClipFsar,
}

impl ClassText {
    pub fn of(self, name: &str) -> String {
        match self {
            ClassText::Words => class_text(name),
            ClassText::ClipFsar => name.to_owned(),
        }
    }
}

/// A class name as a person would say it:
///
/// * square, curly and angle brackets go and what they hold stays: `Closing [something]` is "Closing something";
/// * round brackets stay: they belong to names such as `hurling (sport)`, and published class lists keep them;
/// * underscores are blanks, and several blanks are one: `shoot_ball` is "shoot ball";
/// * a name without blanks, underscores and hyphens is split at its capitals: `YoYo` is "Yo Yo".
pub(super) fn class_text(name: &str) -> String {
    let letters: Vec<char> = name.chars().filter(|c| !"[]{}<>".contains(*c)).collect();
    let camel = !letters.iter().any(|&c| c.is_whitespace() || c == '_' || c == '-');
    let mut text = String::new();
    for (i, &c) in letters.iter().enumerate() {
        let after_lower = i > 0 && letters[i - 1].is_lowercase();
        let before_lower =
            i > 0 && letters[i - 1].is_uppercase() && letters.get(i + 1).is_some_and(|next| next.is_lowercase());
        if camel && c.is_uppercase() && (after_lower || before_lower) {
            text.push(' ');
        }
        text.push(if c == '_' { ' ' } else { c });
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.is_empty() { name.to_string() } else { words.join(" ") }
}

/// Letters and digits of a name in lower case: what two spellings of one class have in common. A name without letters
/// and digits stays as it is.
pub(crate) fn folded(name: &str) -> String {
    let folded: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    if folded.is_empty() { name.to_owned() } else { folded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_as_a_person_would_say_them() {
        for (name, text) in [
            ("shoot_ball", "shoot ball"),
            ("Pour_Water", "Pour Water"),
            ("ApplyEyeMakeup", "Apply Eye Makeup"),
            ("HandstandPushups", "Handstand Pushups"),
            ("YoYo", "Yo Yo"),
            ("TaiChi", "Tai Chi"),
            ("HTMLPage", "HTML Page"),
            ("iPhone on  table", "iPhone on table"),
            ("Push-Up", "Push-Up"),
            ("Bending [something] until it breaks", "Bending something until it breaks"),
            ("[Something] falling like a feather or paper", "Something falling like a feather or paper"),
            ("Twisting (wringing) [something] wet", "Twisting (wringing) something wet"),
            ("hurling_(sport)", "hurling (sport)"),
            ("val0", "val0"),
            ("__", "__"),
        ] {
            assert_eq!(class_text(name), text);
        }
    }
}

//! Small texts that several verbs need.

/// A round duration for a person who waits: `60 s`, `2 min`, `2 h 05 min`.
pub fn rough_duration(seconds: f64) -> String {
    match seconds.round() as u64 {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Whether `name` is as `pattern` says, in which `*` stands for anything.
pub fn matches(name: &str, pattern: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return name == pattern };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
    }
    name.ends_with(last)
}

/// `text` with its first letter in upper case.
pub fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        let yes = [("ma_clip", "ma_clip"), ("ma_clip-s1", "ma*"), ("ma_clip-s1", "*-s1"), ("a", "*"), ("abc", "a*b*c")];
        assert!(yes.iter().all(|(name, pattern)| matches(name, pattern)));
        let no = [("ma_clip", "ma"), ("ma_clip-s1", "*-s2"), ("ab", "a*b*c")];
        assert!(no.iter().all(|(name, pattern)| !matches(name, pattern)));
    }

    #[test]
    fn durations_are_round_and_texts_begin_with_a_capital() {
        assert_eq!([59.6, 130.0, 7500.0].map(rough_duration), ["60 s", "2 min", "2 h 05 min"]);
        assert_eq!(["épée", "", "two words"].map(capitalized), ["Épée", "", "Two words"]);
    }
}

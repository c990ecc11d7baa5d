//! Names with `*`, as `--only` and `--filter` read them.

/// Whether the whole of `name` matches `pattern`, in which each `*` stands for any text.
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
}

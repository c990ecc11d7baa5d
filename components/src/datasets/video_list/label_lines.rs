//! Lines of a file with the names of the classes: a name in each, or a number and a name.
//!
//! A file is read in one way as a whole. Lines that do not fit it are errors, because a class that is called by the
//! wrong name is worse than none.

use super::labels::Pairs;
use maclip_language::first_of;

/// What stands between a number and a name.
const BETWEEN: [char; 5] = [',', '\t', ';', ':', ' '];
/// Problems that a message names; the others are counted.
const NAMED: usize = 5;
/// What the first column of a table of numbers and names may be called, in letters.
const NUMBER: [&str; 8] = ["id", "index", "idx", "number", "label", "class", "classid", "labelid"];

/// A number and a name in one line.
struct Pair<'a> {
    number: usize,
    name: &'a str,
    between: char,
}

fn bare(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).trim()
}

fn pair<'a>(number: &str, name: &'a str, between: char) -> Option<Pair<'a>> {
    let digits = bare(number);
    let name = bare(name);
    let sound = !name.is_empty() && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    Some(Pair { number: digits.parse().ok().filter(|_| sound)?, name, between })
}

/// `0,NAME`.
fn in_front(line: &str) -> Option<Pair<'_>> {
    let (number, rest) = line.split_at(line.find(BETWEEN)?);
    let rest = rest.trim_start_matches(' ');
    let between = rest.chars().next().filter(|sign| BETWEEN.contains(sign)).unwrap_or(' ');
    pair(number, rest.strip_prefix(between).unwrap_or(rest), between)
}

/// `NAME,0`.
fn behind(line: &str) -> Option<Pair<'_>> {
    let (rest, number) = line.split_at(line.rfind(BETWEEN)? + 1);
    let rest = rest.trim_end_matches(' ');
    let between = rest.chars().next_back().filter(|sign| BETWEEN.contains(sign)).unwrap_or(' ');
    pair(number, rest.strip_suffix(between).unwrap_or(rest), between)
}

type Way = fn(&str) -> Option<Pair<'_>>;

/// Numbers and names of the classes, and how the lines were read.
///
/// # Errors
/// Where lines fit no way of reading, or it is not clear which way is meant.
pub(super) fn read(text: &str) -> Pairs {
    let lines: Vec<(usize, &str)> = text
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .collect();
    for (way, form) in [(in_front as Way, "NUMBER,NAME"), (behind as Way, "NAME,NUMBER")] {
        let header = usize::from(is_header(&lines, way));
        let rest = &lines[header..];
        let fitting: Vec<Pair> = rest.iter().filter_map(|(_, line)| way(line)).collect();
        let signed = fitting.iter().any(|pair| pair.between != ' ');
        if 2 * fitting.len() <= rest.len() {
            match rest.iter().find(|(_, line)| way(line).is_some_and(|pair| pair.between != ' ')) {
                Some((at, line)) => return Err(format!("line {at}: `{line}` reads as {form}, and most lines do not")),
                None => continue,
            }
        }
        // Names may end with a number: `swipe 1`, `swipe 2`, `tap 1`.
        if form == "NAME,NUMBER" && !signed {
            if !distinct(fitting.iter().map(|pair| pair.name)) || !distinct(fitting.iter().map(|pair| pair.number)) {
                continue;
            }
            if fitting.len() < rest.len() || !is_count(&fitting) {
                let (at, line) = rest.iter().find(|(_, line)| way(line).is_none()).unwrap_or(&rest[0]);
                return Err(format!(
                    "line {at}: `{line}`: it is not clear whether lines are names or a name and its number; write \
                     NUMBER,NAME in each"
                ));
            }
        }
        let wrong: Vec<String> = rest
            .iter()
            .filter(|(_, line)| way(line).is_none())
            .map(|(at, line)| format!("line {at}: `{line}` is no {form}, as most lines are"))
            .collect();
        if !wrong.is_empty() {
            return Err(first_of(wrong.iter(), NAMED, "; "));
        }
        let between = fitting[0].between;
        let wide = |line: &&(usize, &str)| between != ' ' && line.1.split(between).count() > 2;
        if let Some((at, line)) = lines[..header].iter().find(wide) {
            return Err(format!("line {at}: the header `{line}` has more than two columns, a number and a name"));
        }
        let above = if header > 0 { format!(", below the header `{}`", lines[0].1) } else { String::new() };
        let pairs = fitting.iter().map(|pair| (pair.number.to_string(), pair.name.to_owned()));
        return Ok((pairs.collect(), format!("lines are read as {form}{above}")));
    }
    let names = lines.iter().enumerate().map(|(number, (_, name))| (number.to_string(), bare(name).to_owned()));
    Ok((names.collect(), "lines are read as the names of the classes from 0 on".to_owned()))
}

/// Whether the first line names columns: it is no pair and all others are, and where blanks are between these, its
/// first word is a usual one.
fn is_header(lines: &[(usize, &str)], way: Way) -> bool {
    let Some(((_, first), rest)) = lines.split_first() else { return false };
    let Some(between) = rest.first().and_then(|(_, line)| way(line)).map(|pair| pair.between) else { return false };
    let usual = || {
        let mut words = first.split([between, ' ']).map(|word| word.to_lowercase().replace(['_', '"'], ""));
        words.any(|word| NUMBER.contains(&word.as_str()))
    };
    way(first).is_none() && first.contains(between) && (between != ' ' || usual()) && most(rest, way)
}

fn most(lines: &[(usize, &str)], way: Way) -> bool {
    2 * lines.iter().filter(|(_, line)| way(line).is_some()).count() > lines.len()
}

fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> bool {
    let mut all: Vec<T> = values.collect();
    let many = all.len();
    all.sort();
    all.dedup();
    all.len() == many
}

/// Whether the numbers are 0, 1, 2 and so on or 1, 2, 3 and so on, in any order.
fn is_count(pairs: &[Pair]) -> bool {
    let mut numbers: Vec<usize> = pairs.iter().map(|pair| pair.number).collect();
    numbers.sort_unstable();
    let first = numbers.first().copied().unwrap_or_default();
    first <= 1 && numbers.iter().enumerate().all(|(at, number)| *number == first + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        read(text).unwrap_or_else(|why| panic!("{text}: {why}")).0
    }

    #[test]
    fn video_list_label_lines_are_pairs_or_names() {
        let expected = [("0".to_owned(), "wave".to_owned()), ("1".to_owned(), "push up".to_owned())];
        for text in [
            "0,wave\n1,push up\n",
            "0\twave\n1\tpush up",
            "0;wave\n1; push up\n",
            "0: wave\n1: push up\n",
            "0 wave\n1 push up\n",
            "class_id,class_name\n0,wave\n1,push up\n",
            "id name\n0 wave\n1 push up\n",
            "# numbers\n\n00,\"wave\"\n01,\"push up\"\n",
            "wave\npush up\n",
        ] {
            assert_eq!(pairs(text), expected, "{text}");
        }
        let mut swapped = expected;
        swapped.reverse();
        for text in
            ["push up,1\nwave,0\n", "push up 1\nwave 0\n", "name,id\npush up,1\nwave,0\n", "push up;1\nwave;0\n"]
        {
            assert_eq!(pairs(text), swapped, "{text}");
        }
        assert!(read("id,name\n0,a\n1,b\n").unwrap().1.contains("NUMBER,NAME, below the header `id,name`"));
        // Names that begin or end with a number.
        let swipes = "swipe 1\nswipe 2\ntap 1\n";
        assert_eq!(pairs(swipes)[2], ("2".to_owned(), "tap 1".to_owned()));
        assert_eq!(pairs("3 jumps\nwave\nrun, then stop\n")[0].1, "3 jumps");
        assert!(read(swipes).unwrap().1.contains("names of the classes from 0 on"));
    }

    #[test]
    fn video_list_label_lines_that_do_not_fit_are_named() {
        for (text, words) in [
            ("0 wave\n1\n1 push\n", "line 2: `1` is no NUMBER,NAME"),
            ("0 wave\n1 push\nrun\n", "line 3: `run` is no"),
            ("wave,0\n\nrun\npush,1\n", "line 3: `run` is no NAME,NUMBER"),
            ("wave\nrun\n1,push\n", "line 3: `1,push` reads as NUMBER,NAME, and most lines do not"),
            ("wave 0\npush 1\nrun\n", "line 3: `run`: it is not clear"),
            ("route 66\nstudio 54\n", "it is not clear whether"),
            ("id,name,more\n0,a,x\n1,b,y\n", "line 1: the header `id,name,more` has more than two columns"),
        ] {
            let why = read(text).unwrap_err();
            assert!(why.contains(words), "{words}: {why}");
        }
    }
}

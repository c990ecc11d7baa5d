//! Brace patterns of file names, as WebDataset writes them: `shards/{000..003}.tar` and `{train,val}.tar`.

use maclip_framework::error::{Error, Result};
use std::path::{Path, PathBuf};

/// The most files that a pattern may name.
const MOST: usize = 100_000;

/// The files that `pattern` names, in its order: each `{000..003}` is a range of numbers of equal width, and each
/// `{a,b}` one of several words. A pattern without braces is one file.
///
/// # Errors
/// Where a brace is not closed, a range is none, or there are too many files.
pub fn expand(pattern: &Path) -> Result<Vec<PathBuf>> {
    let wrong = |what: &str| {
        Error::failed(format!("{} is no pattern of files: {what}", pattern.display()))
            .help("write a range as shards/{000..003}.tar, and words as shards/{a,b}.tar")
    };
    let Some(text) = pattern.to_str() else { return Ok(vec![pattern.to_path_buf()]) };
    // A file that is really called so.
    if !text.contains('{') || pattern.exists() {
        return Ok(vec![pattern.to_path_buf()]);
    }
    let mut all = vec![String::new()];
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, after) = after.split_once('}').ok_or_else(|| wrong("a brace is not closed"))?;
        let words = match inside.split_once("..") {
            Some((first, last)) => range(first, last).ok_or_else(|| wrong(&format!("`{inside}` is no range")))?,
            None if inside.contains(',') => inside.split(',').map(str::to_owned).collect(),
            None => return Err(wrong(&format!("`{{{inside}}}` is neither a range nor several words"))),
        };
        if all.len().saturating_mul(words.len()) > MOST {
            return Err(wrong(&format!("it names more than {MOST} files")));
        }
        all = all.iter().flat_map(|start| words.iter().map(move |word| format!("{start}{before}{word}"))).collect();
        rest = after;
    }
    Ok(all.into_iter().map(|start| PathBuf::from(start + rest)).collect())
}

/// The numbers from `first` to `last` in the width of `first`.
fn range(first: &str, last: &str) -> Option<Vec<String>> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (from, to): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    let sound = digits(first) && digits(last) && from <= to && to - from < MOST;
    let width = first.len();
    sound.then(|| (from..=to).map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_braces_are_ranges_and_words() {
        let names = |pattern: &str| -> Vec<String> {
            expand(Path::new(pattern)).unwrap().iter().map(|path| path.to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names("a.tar"), ["a.tar"]);
        assert_eq!(names("s/{008..010}.tar"), ["s/008.tar", "s/009.tar", "s/010.tar"]);
        assert_eq!(names("{a,b}-{1..2}.tar"), ["a-1.tar", "a-2.tar", "b-1.tar", "b-2.tar"]);
        for (pattern, words) in [
            ("{0..", "not closed"),
            ("{3..1}.tar", "`3..1` is no range"),
            ("{x..y}.tar", "no range"),
            ("{one}.tar", "neither a range nor several words"),
            ("{0..99999}{0..9}.tar", "more than 100000 files"),
            ("{0..9999999999}.tar", "no range"),
        ] {
            let error = expand(Path::new(pattern)).unwrap_err().to_string();
            assert!(error.contains(words), "{pattern}: {error}");
        }
    }
}

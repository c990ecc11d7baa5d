//! Where a key or value was written.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// A text that was read, kept so that a message can quote it.
#[derive(PartialEq, Eq)]
pub struct Source {
    /// How messages call it: the path as the user gave it, or a made-up name.
    pub name: String,
    /// The file, where there is one.
    pub path: Option<PathBuf>,
    /// The whole text.
    pub text: String,
}

/// A place in a [`Source`]; lines and columns count from 1, columns and lengths in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The text it is in.
    pub source: Arc<Source>,
    /// The line.
    pub line: usize,
    /// The column of its first character.
    pub column: usize,
    /// How many characters on that line belong to it, if known.
    pub length: Option<usize>,
    /// Line and column of the alias or merge key that brought it here, if it was written elsewhere.
    pub used_at: Option<(usize, usize)>,
}

/// Where a key or value came from.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Origin {
    /// Written in a file.
    File(Place),
    /// Given on the command line.
    Argument {
        /// Such as `--set`.
        option: &'static str,
        /// What follows it.
        argument: Arc<str>,
        /// Which of its characters.
        span: Range<usize>,
    },
    /// Brought here by a `${…}`.
    Via {
        /// What it brought: "`WAY` is `5` in the environment".
        what: Arc<str>,
        /// Where the `${…}` stands.
        at: Box<Origin>,
    },
    /// Filled in by the program.
    #[default]
    Default,
}

impl fmt::Debug for Source {
    /// Without the text, which every origin would repeat.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.name).finish()
    }
}

impl Source {
    /// The text of a line, counted from 1, without its line break.
    pub fn line(&self, number: usize) -> Option<&str> {
        self.text.lines().nth(number.checked_sub(1)?)
    }
}

impl Place {
    /// What was written there, on its first line.
    pub fn text(&self) -> Option<&str> {
        let line = self.source.line(self.line)?;
        let range = byte_range(line, self.column - 1..self.column - 1 + self.length?);
        Some(&line[range]).filter(|text| !text.is_empty())
    }
}

impl Origin {
    /// The origin of a whole argument of `option`.
    pub fn argument(option: &'static str, argument: &str) -> Self {
        Origin::Argument { option, argument: argument.into(), span: 0..argument.chars().count() }
    }

    /// The place in a file, for what was written in one.
    pub fn place(&self) -> Option<&Place> {
        match self.written() {
            Origin::File(place) => Some(place),
            _ => None,
        }
    }

    /// Where somebody wrote it, without what a `${…}` brought.
    pub fn written(&self) -> &Origin {
        match self {
            Origin::Via { at, .. } => at.written(),
            other => other,
        }
    }

    /// The beginning of the same file.
    pub fn beginning(&self) -> Origin {
        match self {
            Origin::File(place) => {
                Origin::File(Place { line: 1, column: 1, length: None, used_at: None, ..place.clone() })
            }
            other => other.clone(),
        }
    }

    /// What `${…}` brought it, the nearest first.
    pub fn brought_by(&self) -> Vec<&str> {
        match self {
            Origin::Via { what, at } => std::iter::once(&**what).chain(at.brought_by()).collect(),
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for Origin {
    /// `file:line:column` or the argument; nothing where nobody wrote it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.written() {
            Origin::File(place) => write!(f, "{}:{}:{}", place.source.name, place.line, place.column),
            Origin::Argument { option, argument, .. } => write!(f, "{option} {argument}"),
            Origin::Default | Origin::Via { .. } => Ok(()),
        }
    }
}

/// Turns a range of characters of `line` into a range of bytes, clamped to the line.
pub(super) fn byte_range(line: &str, characters: Range<usize>) -> Range<usize> {
    let at = |index| line.char_indices().nth(index).map_or(line.len(), |(byte, _)| byte);
    let start = at(characters.start);
    start..at(characters.end).max(start)
}

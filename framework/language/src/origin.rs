//! Where a key or value was written.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// A text that was read, kept so that a message can quote it.
#[derive(PartialEq, Eq)]
pub struct Source {
    /// The name in messages: the path as the user gave it, or another name for a text in memory.
    pub name: String,
    /// The file, where there is one.
    pub path: Option<PathBuf>,
    /// The whole text.
    pub text: String,
}

/// A place in a [`Source`]; lines and columns count from 1, columns and lengths in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The text that the place is in.
    pub source: Arc<Source>,
    /// Counted from 1.
    pub line: usize,
    /// Of the first character, counted from 1.
    pub column: usize,
    /// How many characters of that line belong to it, if known.
    pub length: Option<usize>,
    /// Line and column of the alias or merge key that uses it, if it was written elsewhere.
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
        /// The text after the option.
        argument: Arc<str>,
        /// Which characters of the argument, counted from 0.
        span: Range<usize>,
    },
    /// The value of a `${…}`.
    Via {
        /// What the `${…}` is, in words: "`WAY` is `5` in the environment".
        what: Arc<str>,
        /// Where the `${…}` was written.
        at: Box<Origin>,
    },
    /// Filled in by the program.
    #[default]
    Default,
}

impl fmt::Debug for Source {
    /// Without the text: every origin would repeat it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.name).finish()
    }
}

impl Source {
    /// The text of a line, counted from 1, without its line break.
    pub(crate) fn line(&self, number: usize) -> Option<&str> {
        self.text.lines().nth(number.checked_sub(1)?)
    }
}

impl Place {
    /// What was written there, on its first line; `None` where the length is not known.
    pub(crate) fn text(&self) -> Option<&str> {
        let line = self.source.line(self.line)?;
        let range = byte_range(line, self.column - 1..self.column - 1 + self.length?);
        Some(&line[range]).filter(|text| !text.is_empty())
    }
}

impl Origin {
    /// The origin of a value that is the whole `argument` of `option`.
    pub fn argument(option: &'static str, argument: &str) -> Self {
        Origin::Argument { option, argument: argument.into(), span: 0..argument.chars().count() }
    }

    /// The place in a text, for what was written in one. For the value of a `${…}`, the place of the `${…}`.
    pub fn place(&self) -> Option<&Place> {
        match self.written() {
            Origin::File(place) => Some(place),
            _ => None,
        }
    }

    /// The origin without [`Origin::Via`]: for the value of a `${…}`, where the `${…}` was written.
    pub fn written(&self) -> &Origin {
        match self {
            Origin::Via { at, .. } => at.written(),
            other => other,
        }
    }

    /// The beginning of the same file.
    pub(crate) fn beginning(&self) -> Origin {
        match self {
            Origin::File(place) => {
                Origin::File(Place { line: 1, column: 1, length: None, used_at: None, ..place.clone() })
            }
            other => other.clone(),
        }
    }

    /// The descriptions of the `${…}` that the value came through, the nearest first.
    pub(crate) fn brought_by(&self) -> Vec<&str> {
        match self {
            Origin::Via { what, at } => std::iter::once(&**what).chain(at.brought_by()).collect(),
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for Origin {
    /// `file:line:column`, or the option with its argument; empty for a default.
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

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
    Set {
        /// The argument of `--set`.
        argument: Arc<str>,
        /// Which of its characters.
        span: Range<usize>,
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
    /// The origin of a whole `--set` argument.
    pub fn set(argument: &str) -> Self {
        Origin::Set { argument: argument.into(), span: 0..argument.chars().count() }
    }

    /// The place in a file, for what was written in one.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Origin::File(place) => Some(place),
            _ => None,
        }
    }
}

/// Turns a range of characters of `line` into a range of bytes, clamped to the line.
pub(super) fn byte_range(line: &str, characters: Range<usize>) -> Range<usize> {
    let at = |index| line.char_indices().nth(index).map_or(line.len(), |(byte, _)| byte);
    let start = at(characters.start);
    start..at(characters.end).max(start)
}

//! What can go wrong, and which exit code it earns.

use maclip_language::Diagnostics;
use std::fmt;
use std::path::Path;

pub type Result<T> = std::result::Result<T, Error>;

/// An error for the user who must act on it: what is wrong, where, and the way out.
#[derive(Debug)]
pub enum Error {
    /// The recipe or the command line is wrong (exit 2).
    Recipe(Diagnostics),
    /// The work could not be done or fell short (exit 1).
    Failed {
        message: String,
        /// Where in the recipe the cause was written.
        place: Option<String>,
        help: Option<String>,
    },
    /// Asked to stop; everything valid is on disk (exit 130).
    Interrupted,
}

impl Error {
    pub fn failed(message: impl Into<String>) -> Self {
        Error::Failed { message: message.into(), place: None, help: None }
    }

    /// Adds the way out to a failure; other errors already carry theirs.
    pub fn help(self, help: impl Into<String>) -> Self {
        match self {
            Error::Failed { message, place, help: None } => Error::Failed { message, place, help: Some(help.into()) },
            other => other,
        }
    }

    /// Adds the place in the recipe to a failure that has none yet.
    pub fn at(self, place: Option<String>) -> Self {
        match self {
            Error::Failed { message, place: None, help } => Error::Failed { message, place, help },
            other => other,
        }
    }

    /// An operating-system error while doing `what` to `path`.
    pub fn io(what: &str, path: &Path, error: std::io::Error) -> Self {
        Error::failed(format!("cannot {what} {}: {error}", path.display()))
    }

    /// What is wrong, alone, for a list of such.
    pub fn reason(&self) -> String {
        match self {
            Error::Failed { message, .. } => message.clone(),
            other => other.to_string(),
        }
    }

    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Recipe(_) => 2,
            Error::Failed { .. } => 1,
            Error::Interrupted => 130,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Recipe(diagnostics) => write!(f, "{diagnostics}"),
            Error::Failed { message, place, help } => {
                write!(f, "error: {message}")?;
                place.iter().try_for_each(|place| write!(f, "\n  --> {place}"))?;
                help.iter().try_for_each(|help| write!(f, "\n  help: {help}"))
            }
            Error::Interrupted => write!(f, "interrupted; the same command goes on from the last checkpoint"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Diagnostics> for Error {
    fn from(diagnostics: Diagnostics) -> Self {
        Error::Recipe(diagnostics)
    }
}

impl From<maclip_language::Diagnostic> for Error {
    fn from(diagnostic: maclip_language::Diagnostic) -> Self {
        Error::Recipe(diagnostic.into())
    }
}

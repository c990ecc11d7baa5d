//! What can go wrong, and the exit code of each kind of error.

use maclip_language::Diagnostics;
use std::fmt;
use std::path::Path;

/// What most functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;

/// An error for the user who must act on it: what is wrong, where, and how to fix it.
#[derive(Debug)]
pub enum Error {
    /// The recipe or the command line is wrong (exit code 2).
    Recipe(Diagnostics),
    /// The work could not be done, or a result is below its expected number (exit code 1).
    Failed {
        /// What is wrong, in one line, without "error:" and without a full stop.
        message: String,
        /// Where in the recipe the cause was written: `file:line:column (path)`, or the argument of the command line.
        place: Option<String>,
        /// A hint how to fix it.
        help: Option<String>,
    },
    /// The user asked the program to stop (exit code 130). A checkpoint is on disk.
    Interrupted,
}

impl Error {
    /// An [`Error::Failed`] without a place and a hint.
    pub fn failed(message: impl Into<String>) -> Self {
        Error::Failed { message: message.into(), place: None, help: None }
    }

    /// Adds a hint to a failure that has none yet. Other errors stay as they are.
    pub fn help(self, help: impl Into<String>) -> Self {
        match self {
            Error::Failed { message, place, help: None } => Error::Failed { message, place, help: Some(help.into()) },
            other => other,
        }
    }

    /// Adds the place in the recipe to a failure that has none yet. Other errors stay as they are.
    pub fn at(self, place: Option<String>) -> Self {
        match self {
            Error::Failed { message, place: None, help } => Error::Failed { message, place, help },
            other => other,
        }
    }

    /// An error of the operating system: `what` is the verb that failed, such as "read", and `path` its file.
    pub fn io(what: &str, path: &Path, error: std::io::Error) -> Self {
        Error::failed(format!("cannot {what} {}: {error}", path.display()))
    }

    /// What is wrong, without place and hint, for a list of problems.
    pub fn reason(&self) -> String {
        match self {
            Error::Failed { message, .. } => message.clone(),
            other => other.to_string(),
        }
    }

    /// The exit code of a program that ends with this error: 2, 1 or 130.
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

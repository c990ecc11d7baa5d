//! The error type of the deserialiser: a [`Diagnostic`] that gets its place on the way up.

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::node::{Node, join};
use crate::origin::Origin;
use crate::suggest::name_help;
use serde::de::{Expected, Unexpected};
use std::fmt;

/// A diagnostic that may have no place yet.
#[derive(Debug)]
pub(super) struct DeError {
    pub diagnostic: Box<Diagnostic>,
    placed: bool,
}

impl DeError {
    fn unplaced(diagnostic: Diagnostic) -> Self {
        DeError { diagnostic: Box::new(diagnostic), placed: false }
    }

    /// Gives it a place, unless it has one from a deeper node. A missing key has the place of the map that lacks it.
    pub fn placed(mut self, origin: &Origin, path: &str) -> Self {
        if !self.placed {
            self.placed = true;
            self.diagnostic.origin = Some(Box::new(origin.clone()));
            self.diagnostic.path = match self.diagnostic.code {
                codes::MISSING_KEY => join(path, &self.diagnostic.path),
                _ => path.to_owned(),
            };
        }
        self
    }

    /// For a value of another type than the expected one.
    pub fn wrong_type(node: &Node, path: &str, expected: &str) -> Self {
        let message = format!("expected {expected}, found {}", node.describe());
        let diagnostic = Diagnostic::new(codes::WRONG_TYPE, message).label(format!("expected {expected}"));
        DeError::unplaced(diagnostic).placed(&node.origin, path)
    }

    /// For a value of the right type that is not allowed.
    pub fn out_of_range(node: &Node, path: &str, expected: &str) -> Self {
        let message = format!("{} is out of range: expected {expected}", node.describe());
        let diagnostic = Diagnostic::new(codes::OUT_OF_RANGE, message).label(format!("expected {expected}"));
        DeError::unplaced(diagnostic).placed(&node.origin, path)
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.diagnostic.help.push(help.into());
        self
    }

    pub fn helps(mut self, help: impl IntoIterator<Item = String>) -> Self {
        self.diagnostic.help.extend(help);
        self
    }
}

impl fmt::Display for DeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for DeError {}

impl serde::de::Error for DeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        DeError::unplaced(Diagnostic::new(codes::OUT_OF_RANGE, message.to_string()))
    }

    fn invalid_type(found: Unexpected, expected: &dyn Expected) -> Self {
        let diagnostic = Diagnostic::new(codes::WRONG_TYPE, format!("expected {expected}, found {found}"));
        DeError::unplaced(diagnostic.label(format!("expected {expected}")))
    }

    fn invalid_value(found: Unexpected, expected: &dyn Expected) -> Self {
        let diagnostic = Diagnostic::new(codes::OUT_OF_RANGE, format!("{found} is not allowed: expected {expected}"));
        DeError::unplaced(diagnostic.label(format!("expected {expected}")))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let message = format!("expected {expected}, found {length} elements");
        DeError::unplaced(Diagnostic::new(codes::WRONG_TYPE, message).label(format!("expected {expected}")))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let diagnostic = Diagnostic::new(codes::UNKNOWN_KEY, format!("unknown key `{field}`"));
        DeError::unplaced(diagnostic.label("unknown key").helps(name_help(field, expected.iter().copied())))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let diagnostic = Diagnostic::new(codes::UNKNOWN_NAME, format!("unknown name `{variant}`"));
        DeError::unplaced(diagnostic.label("unknown name").helps(name_help(variant, expected.iter().copied())))
    }

    fn missing_field(field: &'static str) -> Self {
        let diagnostic = Diagnostic::new(codes::MISSING_KEY, format!("missing key `{field}`"));
        DeError::unplaced(diagnostic.label(format!("`{field}` must be given here")).path(field))
    }

    fn duplicate_field(field: &'static str) -> Self {
        DeError::unplaced(Diagnostic::new(codes::SYNTAX, format!("the key `{field}` is given twice")))
    }
}

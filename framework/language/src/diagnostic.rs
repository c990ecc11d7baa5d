//! What is wrong with a recipe, where it was written, and how to fix it.

use crate::origin::Origin;
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The recipe cannot be used.
    Error,
    /// It can be used, but probably not as it was meant.
    Warning,
    /// Something to know; nothing is wrong.
    Note,
}

/// One problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Whether it stops the recipe from being used.
    pub severity: Severity,
    /// One of [`crate::codes`].
    pub code: &'static str,
    /// What is wrong, in one line.
    pub message: String,
    /// Where it was written; `None` where there is no such place.
    pub origin: Option<Box<Origin>>,
    /// The dotted path in the recipe; empty for the whole recipe.
    pub path: String,
    /// The text beside the mark under the source line, such as what was expected.
    pub label: Box<str>,
    /// Hints how to fix it, the most likely first.
    pub help: Vec<String>,
}

/// One or more problems; displayed with the source lines they are about.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostic {
    /// An error with one of the [`crate::codes`], without a place yet.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Error,
            code,
            message: message.into(),
            origin: None,
            path: String::new(),
            label: Box::default(),
            help: Vec::new(),
        }
    }

    /// As [`Diagnostic::new`], with [`Severity::Warning`].
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Self::new(code, message) }
    }

    /// As [`Diagnostic::new`], with [`Severity::Note`].
    pub fn note(code: &'static str, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Note, ..Self::new(code, message) }
    }

    /// Whether it is a [`Severity::Error`].
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Sets where it was written.
    pub fn at(mut self, origin: &Origin) -> Self {
        self.origin = Some(Box::new(origin.clone()));
        self
    }

    /// Sets the dotted path in the recipe.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Sets the text beside the mark under the source line.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into().into_boxed_str();
        self
    }

    /// Adds a hint how to fix it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds several hints.
    pub fn helps(mut self, help: impl IntoIterator<Item = String>) -> Self {
        self.help.extend(help);
        self
    }

    /// The message with its source line and hints. `color` adds terminal colours.
    pub fn render(&self, color: bool) -> String {
        crate::render::render(self, color)
    }

    /// An object for `--json`: `severity`, `code`, `message`, `path`, `label` and `help`, and then `file`, `line`,
    /// `column` and `length`, or `argument`; these are absent where there is no place. `brought_by` is there for the
    /// value of a `${…}` only.
    pub fn to_json(&self) -> serde_json::Value {
        let mut json = serde_json::json!({
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "path": self.path,
            "label": self.label,
            "help": self.help,
        });
        let origin = self.origin.as_deref();
        if let Some(by) = origin.map(Origin::brought_by).filter(|by| !by.is_empty()) {
            json["brought_by"] = by.into();
        }
        match origin.map(Origin::written) {
            Some(Origin::File(place)) => {
                json["file"] = place.source.name.clone().into();
                json["line"] = place.line.into();
                json["column"] = place.column.into();
                json["length"] = place.length.into();
            }
            Some(Origin::Argument { option, argument, .. }) => {
                json["argument"] = format!("{option} {argument}").into();
            }
            Some(Origin::Default | Origin::Via { .. }) | None => {}
        }
        json
    }
}

impl Diagnostics {
    /// The problems in the order of files, lines and columns, without repetitions; `None` for an empty list.
    pub fn from_list(mut list: Vec<Diagnostic>) -> Option<Self> {
        let key = |diagnostic: &Diagnostic| match diagnostic.origin.as_deref().map(Origin::written) {
            Some(Origin::File(place)) => (0, place.source.name.clone(), place.line, place.column),
            Some(Origin::Argument { argument, span, .. }) => (1, argument.to_string(), 0, span.start),
            Some(Origin::Default | Origin::Via { .. }) | None => (2, String::new(), 0, 0),
        };
        list.sort_by_cached_key(key);
        list.dedup();
        (!list.is_empty()).then_some(Diagnostics(list))
    }

    /// For the end of a check that collects problems in a list.
    ///
    /// # Errors
    /// The problems of the list, if there are any.
    pub fn check(list: Vec<Diagnostic>) -> Result<(), Self> {
        Self::from_list(list).map_or(Ok(()), Err)
    }

    /// The problems, in the order of their places.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// The problems, in the order of their places.
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.0
    }

    /// All messages with their source lines and hints. `color` adds terminal colours.
    pub fn render(&self, color: bool) -> String {
        self.0.iter().map(|diagnostic| diagnostic.render(color)).collect::<Vec<_>>().join("\n\n")
    }

    /// A list for `--json`, of the objects of [`Diagnostic::to_json`].
    pub fn to_json(&self) -> serde_json::Value {
        self.0.iter().map(Diagnostic::to_json).collect()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Diagnostics(vec![diagnostic])
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostic {}
impl std::error::Error for Diagnostics {}

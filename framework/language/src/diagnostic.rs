//! What is wrong with a recipe, where, and the way out.

use crate::origin::Origin;
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing can be run.
    Error,
    /// It runs, and probably not as it was meant.
    Warning,
    /// Worth knowing.
    Note,
}

/// One problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// One of [`crate::codes`].
    pub code: &'static str,
    /// What is wrong, in one line.
    pub message: String,
    /// Where it was written, if it was.
    pub origin: Option<Box<Origin>>,
    /// The dotted path in the recipe; empty for the whole.
    pub path: String,
    /// What stands beside the caret, such as what was expected.
    pub label: Box<str>,
    /// Ways out, the likeliest first.
    pub help: Vec<String>,
}

/// One or more problems; displayed with the source lines they are about.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostic {
    /// A problem of a kind, with nothing said yet about where.
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

    /// As [`Diagnostic::new`], for what stops nothing.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Self::new(code, message) }
    }

    /// As [`Diagnostic::new`], for what is only worth knowing.
    pub fn note(code: &'static str, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Note, ..Self::new(code, message) }
    }

    /// Whether it stops a run.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Says where it was written.
    pub fn at(mut self, origin: &Origin) -> Self {
        self.origin = Some(Box::new(origin.clone()));
        self
    }

    /// Says where in the recipe it is.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Sets the text beside the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into().into_boxed_str();
        self
    }

    /// Adds a way out.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds several ways out.
    pub fn helps(mut self, help: impl IntoIterator<Item = String>) -> Self {
        self.help.extend(help);
        self
    }

    /// The message with its source lines; `color` for a terminal.
    pub fn render(&self, color: bool) -> String {
        crate::render::render(self, color)
    }

    /// For `--json`; the place is absent where nothing was written.
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
    /// The problems in reading order, each once; `None` if there are none.
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

    /// `Ok` when the list is empty, for the end of a check that collects.
    pub fn check(list: Vec<Diagnostic>) -> Result<(), Self> {
        Self::from_list(list).map_or(Ok(()), Err)
    }

    /// The problems, in reading order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// The problems, to add to others.
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.0
    }

    /// All messages with their source lines; `color` for a terminal.
    pub fn render(&self, color: bool) -> String {
        self.0.iter().map(|diagnostic| diagnostic.render(color)).collect::<Vec<_>>().join("\n\n")
    }

    /// For `--json`: a list.
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

//! The options of a component: what their type must implement and may implement.

use super::{BuildContext, Facts};
use crate::error::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Whether a component may still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stability {
    /// Options and results stay as they are.
    Stable,
    /// Options and results may change in a later version.
    Experimental,
}

/// The entries of a registration.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// The `type` in a recipe, unique in the slot.
    pub name: &'static str,
    /// One line, without a full stop.
    pub summary: &'static str,
    /// Paper or public code that the component follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paper: Option<&'static str>,
    /// Whether it may still change.
    pub stability: Stability,
    /// Options that work, as a YAML map in braces, without `type`.
    pub usage: &'static str,
    /// The JSON schema of the options.
    #[serde(skip)]
    pub schema: fn() -> schemars::Schema,
}

/// The options of a component: read from its part of the recipe, checked, then built.
///
/// Each field has a doc comment, which is its description in `maclip describe`, the schema and the documentation, and a
/// range as a schemars attribute where one is needed. Unknown keys must be refused: `#[serde(deny_unknown_fields)]`.
pub trait Component: DeserializeOwned + Serialize + schemars::JsonSchema + 'static {
    /// The slot's trait object, such as `dyn Alignment`.
    type Slot: ?Sized;

    /// Checks the values, without I/O: push a message for each field whose value does not fit the other fields, or is
    /// in range and still makes no sense. Plain ranges are schemars attributes on the fields;
    /// [`maclip_language::ranges::check`] checks them.
    fn validate(&self, _problems: &mut Problems) {}

    /// Checks that the options that only a run needs are given, such as a folder or a file: push a message for each
    /// that is missing. A plan does not need them.
    fn required_inputs(&self, _problems: &mut Problems) {}

    /// Adds to `facts` what the options alone say about the run, before anything is read or built. The docs of each
    /// slot's trait say which facts are required.
    fn describe(&self, _facts: &mut Facts) {}

    /// Checks the options against those of the other components, without I/O: push a message for each field that does
    /// not fit. What is not known yet is `None` in `facts`. It is called again when the component is built and the
    /// backbone's sizes are known.
    fn compatible(&self, _facts: &Facts, _problems: &mut Problems) {}

    /// Makes the component. It may read files and make tensors.
    ///
    /// # Errors
    /// Where a file is missing or damaged, or does not fit the options.
    fn build(self, context: &BuildContext) -> Result<Box<Self::Slot>>;
}

/// Problems with single options, by field name.
#[derive(Debug, Default)]
pub struct Problems(Vec<(String, String)>);

impl Problems {
    /// A problem with `field`, or with a part of it such as `inner.steps`. `message` continues a sentence that begins
    /// with the field's name: "must be above 0".
    pub fn push(&mut self, field: &str, message: impl Into<String>) {
        self.0.push((field.to_owned(), message.into()));
    }

    /// All fields with their messages.
    pub fn into_vec(self) -> Vec<(String, String)> {
        self.0
    }

    /// Keeps the problems of the fields for which `keep` holds.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|(field, _)| keep(field));
    }

    /// As [`Problems::push`], if `wrong`.
    pub fn when(&mut self, wrong: bool, field: &str, message: impl Into<String>) {
        if wrong {
            self.push(field, message);
        }
    }
}

//! The options of a component: what a configuration type must say and may say.

use super::{BuildContext, Facts};
use crate::error::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How settled a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stability {
    Stable,
    Experimental,
}

/// What a registration says about a component.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Paper or public code that the component follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paper: Option<&'static str>,
    pub stability: Stability,
    /// A working choice in YAML, without `type`.
    pub usage: &'static str,
    #[serde(skip)]
    pub schema: fn() -> schemars::Schema,
}

/// Options of a component: deserialised from its own subtree, checked, then built.
pub trait Component: DeserializeOwned + Serialize + schemars::JsonSchema + 'static {
    /// The slot's trait object, such as `dyn Alignment`.
    type Slot: ?Sized;

    /// Looks at the values alone, without I/O: push a message for each field whose value does not go with the others or has a
    /// meaning that is refused. Plain ranges are schemars attributes on the fields, and [`maclip_language::ranges::check`] holds values to them.
    fn validate(&self, _problems: &mut Problems) {}

    /// What only a run needs, such as a folder or a file: push a message for each that is not given.
    fn required_inputs(&self, _problems: &mut Problems) {}

    /// What the options alone say about the whole run, before anything is read or built.
    fn describe(&self, _facts: &mut Facts) {}

    /// Looks at the options beside those of the other components, without I/O: push a message for each that does not fit. What is
    /// not known yet is `None` in `facts`; the same is asked again when the component is built and the backbone's sizes are known.
    fn compatible(&self, _facts: &Facts, _problems: &mut Problems) {}

    /// May read files and make tensors.
    fn build(self, context: &BuildContext) -> Result<Box<Self::Slot>>;
}

/// Problems with single options, by field name.
#[derive(Debug, Default)]
pub struct Problems(Vec<(String, String)>);

impl Problems {
    /// `message` reads on from the field's name: "must be above 0".
    pub fn push(&mut self, field: &str, message: impl Into<String>) {
        self.0.push((field.to_owned(), message.into()));
    }

    /// Fields and messages.
    pub fn into_vec(self) -> Vec<(String, String)> {
        self.0
    }

    /// Keeps the problems of the fields and messages for which `keep` holds.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|(field, _)| keep(field));
    }

    /// Pushes the message where `wrong` holds.
    pub fn when(&mut self, wrong: bool, field: &str, message: impl Into<String>) {
        if wrong {
            self.push(field, message);
        }
    }
}

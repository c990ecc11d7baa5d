//! `__name__`: __summary__.
//!
//! Source: say which paper or public code the sentences are from.

use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Problems};
use maclip_framework::slots::prompt::Prompt;
use serde::{Deserialize, Serialize};

/// Options of the prompt.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct __Name__ {
    /// Text before the class name.
    prefix: String,
}

impl Default for __Name__ {
    fn default() -> Self {
        Self { prefix: "a video of".to_owned() }
    }
}

register!(dyn Prompt, __Name__, name: "__name__", summary: "__summary__",
    paper: None, stability: Experimental, usage: "{prefix: a video of}");

impl Component for __Name__ {
    type Slot = dyn Prompt;

    fn validate(&self, problems: &mut Problems) {
        problems.when(self.prefix.trim().is_empty(), "prefix", "must not be empty; `type: plain` takes the bare name");
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Prompt>> {
        Ok(Box::new(self))
    }
}

impl Prompt for __Name__ {
    fn sentences(&self, class: &str) -> Result<Vec<String>> {
        // The features of several sentences are averaged.
        Ok(vec![format!("{} {class}", self.prefix.trim())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, prompt::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::prompt::holds::<__Name__>(Traits::default());
    }

    #[test]
    fn the_sentence_is_written_out() {
        let prompt = __Name__ { prefix: "a clip of ".to_owned() };
        assert_eq!(prompt.sentences("a dog jumping").unwrap(), ["a clip of a dog jumping"]);
    }
}

//! `templates`: several sentences around the class name, averaged as unit vectors in embedding space.

use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Problems};
use maclip_framework::slots::prompt::{Average, Prompt};
use serde::{Deserialize, Serialize};

/// Options of the template ensemble.
#[derive(Clone, Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Templates {
    /// The sentences, each with `{}` where the class name goes.
    #[schemars(length(min = 1))]
    templates: Vec<String>,
    /// How the features of the sentences become one.
    #[serde(default)]
    average: Average,
}

register!(dyn Prompt, Templates, name: "templates", summary: "an own list of sentences, averaged in embedding space",
    paper: Some("CLIP, arXiv 2103.00020, section 3.1.4"), stability: Stable,
    usage: "{templates: [\"a photo of {}\", \"a video of {}\"]}");

impl Component for Templates {
    type Slot = dyn Prompt;

    fn validate(&self, problems: &mut Problems) {
        if let Some(wrong) = self.templates.iter().find(|template| template.matches("{}").count() != 1) {
            problems.push("templates", format!("must have `{{}}` once in each sentence; `{wrong}` does not"));
        }
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Prompt>> {
        Ok(Box::new(self))
    }
}

impl Prompt for Templates {
    fn sentences(&self, class: &str) -> Result<Vec<String>> {
        Ok(self.templates.iter().map(|template| template.replace("{}", class)).collect())
    }

    fn average(&self) -> Average {
        self.average
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, prompt::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::prompt::holds::<Templates>(Traits::default());
    }
}

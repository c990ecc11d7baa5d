//! `template`: one sentence around the class name.

use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Problems};
use maclip_framework::slots::prompt::Prompt;
use serde::{Deserialize, Serialize};

/// Options of the template prompt.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Template {
    /// The sentence, with `{}` where the class name goes. The default is CLIP-FSAR's.
    template: String,
}

impl Default for Template {
    fn default() -> Self {
        Self { template: "a photo of {}".to_owned() }
    }
}

register!(dyn Prompt, Template, name: "template", summary: "one sentence around the class name",
    paper: Some("CLIP, arXiv 2103.00020, section 3.1.4"), stability: Stable, usage: "{template: \"a photo of {}\"}");

impl Component for Template {
    type Slot = dyn Prompt;

    fn validate(&self, problems: &mut Problems) {
        problems.when(
            self.template.matches("{}").count() != 1,
            "template",
            "must have `{}` once, where the class name goes",
        );
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Prompt>> {
        Ok(Box::new(self))
    }
}

impl Prompt for Template {
    fn sentences(&self, class: &str) -> Result<Vec<String>> {
        Ok(vec![self.template.replace("{}", class)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, prompt::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::prompt::holds::<Template>(Traits::default());
    }
}

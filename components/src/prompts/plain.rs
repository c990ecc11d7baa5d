//! `plain`: the class name itself.

use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::prompt::Prompt;
use serde::{Deserialize, Serialize};

/// No options.
#[derive(Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Plain {}

register!(dyn Prompt, Plain, name: "plain", summary: "the class name itself",
    paper: None, stability: Stable, usage: "{}");

impl Component for Plain {
    type Slot = dyn Prompt;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Prompt>> {
        Ok(Box::new(self))
    }
}

impl Prompt for Plain {
    fn sentences(&self, class: &str) -> Result<Vec<String>> {
        Ok(vec![class.to_owned()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, prompt::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::prompt::holds::<Plain>(Traits::default());
    }
}

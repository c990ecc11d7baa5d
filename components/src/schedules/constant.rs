//! `constant`: the learning rate stays as it is.

use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::schedule::Schedule;
use serde::{Deserialize, Serialize};

/// No options.
#[derive(Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Constant {}

register!(dyn Schedule, Constant, name: "constant", summary: "the learning rate stays as it is",
    paper: None, stability: Stable, usage: "{}");

impl Component for Constant {
    type Slot = dyn Schedule;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Schedule>> {
        Ok(Box::new(self))
    }
}

impl Schedule for Constant {
    fn factor(&self, _: u64, _: u64) -> f64 {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, schedule::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::schedule::holds::<Constant>(Traits { constant: true, ..Traits::default() });
    }
}

//! `none`: prototypes are the frame features themselves.

use burn::module::Module;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::Scope;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::prototype::Prototype;
use serde::{Deserialize, Serialize};

/// No options.
#[derive(Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoneConfig {}

register!(dyn Prototype, NoneConfig, name: "none", summary: "prototypes are the frame features themselves",
    paper: None, stability: Stable, usage: "{}");

#[derive(Module, Debug)]
struct NoPrototype {}

impl Component for NoneConfig {
    type Slot = dyn Prototype;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Prototype>> {
        Ok(Box::new(NoPrototype {}))
    }
}

impl Prototype for NoPrototype {
    fn scope(&self) -> Scope {
        Scope::Frozen
    }

    fn needs_text(&self) -> bool {
        false
    }

    fn support(&self, frames: Tensor<3>, _: Tensor<2>) -> Tensor<3> {
        frames
    }

    fn query(&self, frames: Tensor<3>) -> Tensor<3> {
        frames
    }

    fn support_cost(&self, _: [usize; 3]) -> Option<Cost> {
        Some(Cost::NONE)
    }

    fn query_cost(&self, _: [usize; 3]) -> Option<Cost> {
        Some(Cost::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::super::checks;
    use super::*;
    use crate::conformance::{self, prototype::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::prototype::holds::<NoneConfig>(Traits::default());
    }

    #[test]
    fn it_costs_nothing() {
        assert_eq!(checks::flops::<NoneConfig>(""), (0.0, 0.0));
    }
}

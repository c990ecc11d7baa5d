//! `none`: the backbone as it was trained.

use burn::module::Module;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::Adapter;
use serde::{Deserialize, Serialize};

/// No options.
#[derive(Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoneConfig {}

register!(dyn Adapter, NoneConfig, name: "none", summary: "the backbone as it was trained, frozen",
    paper: None, stability: Stable, usage: "{}");

#[derive(Module, Debug)]
struct NoAdapter {}

impl Component for NoneConfig {
    type Slot = dyn Adapter;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Adapter>> {
        Ok(no_adapter())
    }
}

/// The identity adapter, for tasks without the slot.
pub fn no_adapter() -> Box<dyn Adapter> {
    Box::new(NoAdapter {})
}

impl Adapter for NoAdapter {
    fn adapts(&self, _: usize) -> bool {
        false
    }

    fn scope(&self) -> Scope {
        Scope::Frozen
    }

    fn needs_text(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::{B32, count, flops};
    use super::*;
    use crate::conformance::{self, adapter::Traits};
    use maclip_framework::slots::adapter::Branch;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::adapter::holds::<NoneConfig>(Traits { trains: false, ..Traits::default() });
    }

    #[test]
    fn nothing_is_trained_and_the_tower_costs_what_it_costs() {
        assert_eq!(count("none", "none", "ViT-B/16").trainable, 0);
        assert_eq!(flops("none", &Branch::Query), B32.tower());
    }
}

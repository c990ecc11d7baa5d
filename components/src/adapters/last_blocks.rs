//! `last_blocks`: the last blocks of the image tower are fine-tuned with all that follows them.

use burn::module::Module;
use maclip_framework::error::{Error, Result};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::{Adapter, TowerPart};
use serde::{Deserialize, Serialize};

/// Options of partial fine-tuning.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct LastBlocksConfig {
    /// How many blocks at the output side; for a ResNet, stages. For a frozen tower use `type: none`.
    #[schemars(range(min = 1))]
    count: usize,
}

impl Default for LastBlocksConfig {
    fn default() -> Self {
        Self { count: 1 }
    }
}

register!(dyn Adapter, LastBlocksConfig, name: "last_blocks",
    summary: "fine-tunes the last blocks, the final norm and the projection", paper: None, stability: Stable,
    usage: "{count: 1}");

impl Component for LastBlocksConfig {
    type Slot = dyn Adapter;

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        if let Some(blocks) = facts.geometry.as_ref().map(|geometry| geometry.blocks) {
            problems.when(
                self.count > blocks,
                "count",
                format!("is {}, and the backbone has {blocks} blocks", self.count),
            );
        }
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Adapter>> {
        let blocks = context.geometry()?.blocks;
        match blocks.checked_sub(self.count) {
            Some(first) => Ok(Box::new(LastBlocks { first })),
            None => {
                Err(Error::failed(format!("adapter.count is {}, but the backbone has {blocks} blocks", self.count)))
            }
        }
    }
}

#[derive(Module, Debug)]
struct LastBlocks {
    first: usize,
}

impl Adapter for LastBlocks {
    fn adapts(&self, _: usize) -> bool {
        false
    }

    fn tunes(&self, part: TowerPart) -> bool {
        match part {
            TowerPart::Embedding | TowerPart::ClassToken => false,
            TowerPart::Block(index) => index >= self.first,
            TowerPart::FinalNorm | TowerPart::Projection => true,
        }
    }

    fn scope(&self) -> Scope {
        Scope::Clip
    }

    fn needs_text(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::{B32, flops};
    use super::*;
    use crate::conformance::{self, adapter::Traits};
    use maclip_framework::slots::adapter::Branch;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::adapter::holds::<LastBlocksConfig>(Traits { also: &["count: 3"], ..Traits::default() });
    }

    #[test]
    fn flops_are_those_of_the_tower() {
        assert_eq!(flops("last_blocks", &Branch::Query), B32.tower());
    }
}

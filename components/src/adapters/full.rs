//! `full`: the whole image tower is fine-tuned; the text tower stays frozen.
//!
//! Source: the "Full" rows of MA-CLIP's tables 1, 2 and 4. On CLIP ViT-B/32 that is 87,849,216 parameters, with TPCM
//! the 90.99 M of table 4.

use burn::module::Module;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::{Adapter, TowerPart};
use serde::{Deserialize, Serialize};

/// No options.
#[derive(Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct FullConfig {}

register!(dyn Adapter, FullConfig, name: "full", summary: "fine-tunes the whole image tower, adds nothing",
    paper: Some("MA-CLIP, arXiv 2308.01532, table 4"), stability: Stable, usage: "{}");

impl Component for FullConfig {
    type Slot = dyn Adapter;

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        problems.when(
            facts.passes_features,
            "type",
            "must be `none`: it fine-tunes a network, and the backbone has none",
        );
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Adapter>> {
        Ok(Box::new(Full {}))
    }
}

#[derive(Module, Debug)]
struct Full {}

impl Adapter for Full {
    fn adapts(&self, _: usize) -> bool {
        false
    }

    fn tunes(&self, _: TowerPart) -> bool {
        true
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
    use super::super::counts::{FRAME, count};
    use super::*;
    use crate::conformance::{self, adapter::Traits};
    use maclip_framework::slots::adapter::Branch;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::adapter::holds::<FullConfig>(Traits::default());
    }

    #[test]
    fn parameters_are_those_of_the_paper() {
        // MA-CLIP, table 4: fine-tuned visual-only 90.99 M, of which 3,150,336 are TPCM's.
        assert_eq!(count("full", "text_guided", "ViT-B/32").trainable, 87_849_216 + 3_150_336);
    }

    #[test]
    fn the_whole_tower_is_encoded_anew() {
        for (architecture, flops) in FRAME {
            let full = conformance::model::sized(&[("adapter", "{type: full}")], architecture);
            assert_eq!(full.backbone.prefix_cost([1, 1], &*full.adapter).unwrap().flops, 0.0);
            assert_eq!(full.backbone.encode_cost([1, 1], &*full.adapter, &Branch::Query).unwrap().flops, flops);
        }
    }
}

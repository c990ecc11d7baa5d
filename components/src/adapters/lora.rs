//! `lora`: low-rank changes of the frozen query, key and value projections.
//!
//! Source: LoRA (Hu et al., ICLR 2022). x W + s (x A) B with s = α / r, A normal and B zero at the start. The weight is
//! never merged while training, so a token costs r (D + D) more and not D².

use super::blocks::{self, Blocks, frames};
use crate::layers::Init;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::{Adapter, Branch};
use maclip_framework::slots::block::FrozenBlock;
use maclip_framework::slots::cost::Cost;
use serde::{Deserialize, Serialize};

/// Options of LoRA.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct LoraConfig {
    /// r, the inner width. The paper finds ranks of 1 to 8 enough.
    #[schemars(range(min = 1, max = 4096))]
    rank: usize,
    /// α; the change is scaled by α / r. Equal to r by default, a factor of 1.
    alpha: f64,
    /// Which projections are changed. Query and value in the paper.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    on: Vec<Projection>,
    /// Which blocks are adapted.
    at: Blocks,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Projection {
    Query,
    Key,
    Value,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self { rank: 8, alpha: 8.0, on: vec![Projection::Query, Projection::Value], at: Blocks::All }
    }
}

register!(dyn Adapter, LoraConfig, name: "lora", summary: "low-rank changes of the attention's projections; no text",
    paper: Some("LoRA, ICLR 2022"), stability: Stable, usage: "{rank: 8}");

impl Component for LoraConfig {
    type Slot = dyn Adapter;

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        self.at.compatible(facts, problems);
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Adapter>> {
        let geometry = context.geometry()?;
        let mut init = Init::new(context.init("adapter"), context.trainable_device());
        let d = geometry.width;
        let mut change = |part: Projection| {
            self.on.contains(&part).then(|| LowRank {
                a: init.normal([d, self.rank], (d as f64).powf(-0.5)),
                b: init.constant([self.rank, d], 0.0),
            })
        };
        let blocks = self.at.of(geometry.blocks).into_iter().map(|adapted| {
            adapted.then(|| BlockChanges {
                query: change(Projection::Query),
                key: change(Projection::Key),
                value: change(Projection::Value),
            })
        });
        Ok(Box::new(Lora { blocks: blocks.collect(), scale: self.alpha / self.rank as f64 }))
    }
}

#[derive(Module, Debug)]
struct LowRank {
    /// `[D, r]`
    a: Param<Tensor<2>>,
    /// `[r, D]`
    b: Param<Tensor<2>>,
}

#[derive(Module, Debug)]
struct BlockChanges {
    query: Option<LowRank>,
    key: Option<LowRank>,
    value: Option<LowRank>,
}

#[derive(Module, Debug)]
struct Lora {
    blocks: Vec<Option<BlockChanges>>,
    scale: f64,
}

impl Adapter for Lora {
    fn adapts(&self, index: usize) -> bool {
        self.blocks[index].is_some()
    }

    fn scope(&self) -> Scope {
        Scope::Clip
    }

    fn needs_text(&self) -> bool {
        false
    }

    fn forward(&self, index: usize, block: &dyn FrozenBlock, x: Tensor<4>, _: &Branch, first: usize) -> Tensor<4> {
        let changes = blocks::adapted(&self.blocks, index);
        let [b, t, _, d] = x.dims();
        let x = frames(x);
        let u = block.ln_1(x.clone());
        let shift = [&changes.query, &changes.key, &changes.value].map(|change| match change {
            Some(LowRank { a, b }) => u.clone().matmul(a.val().unsqueeze()).matmul(b.val().unsqueeze()) * self.scale,
            None => u.zeros_like(),
        });
        let mixed = block.attention_shifted(u, Tensor::cat(shift.to_vec(), 2));
        let y = x.narrow(1, 0, first) + mixed.narrow(1, 0, first);
        block.mlp_onto(block.ln_2(y.clone()), y).reshape([b, t, first, d])
    }

    fn cost(&self, index: usize, block: &dyn FrozenBlock, [b, t, n, d]: [usize; 4], _: &Branch) -> Option<Cost> {
        let BlockChanges { query, key, value } = self.blocks[index].as_ref()?;
        let own = [query, key, value].into_iter().flatten().map(|change| {
            let [d, rank] = change.a.lazy_shape().dims();
            Cost::product(b * t * n, d, rank) + Cost::product(b * t * n, rank, d)
        });
        Some(block.cost([b * t, n, d])? + own.sum() + Cost::elementwise(3 * b * t * n * d, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::{B32, Sizes, count, flops};
    use super::*;
    use crate::conformance::{self, adapter::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::adapter::holds::<LoraConfig>(Traits { also: &["on: [key]"], ..Traits::default() });
    }

    #[test]
    fn parameters_are_those_of_two_projections_in_every_block() {
        // 2 · 768 · r for each of query and value in each of 12 blocks.
        assert_eq!(count("lora, rank: 4", "none", "ViT-B/16").trainable, 12 * 2 * 2 * 768 * 4);
    }

    #[test]
    fn flops_are_the_hand_computed_ones() {
        let Sizes { t, n, d, blocks } = B32;
        let own = 2.0 * (2.0 * 2.0 * t * n * d * 4.0);
        assert_eq!(flops("lora, rank: 4", &Branch::Query), B32.tower() + blocks * own);
    }
}

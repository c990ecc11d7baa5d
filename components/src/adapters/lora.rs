//! `lora`: low-rank changes of the frozen query, key and value projections.
//!
//! Source: LoRA (Hu et al., ICLR 2022). x W + s (x A) B with s = α / r, A normal and B zero at the start. The weight is never
//! merged while training, so a token costs r (D + D) more and not D².

use super::blocks::{Blocks, frames};
use crate::layers::Init;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{Component, Problems};
use maclip_framework::run::BuildContext;
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::{Adapter, Branch};
use maclip_framework::slots::backbone::FrozenBlock;
use serde::{Deserialize, Serialize};

/// Options of LoRA.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct LoraConfig {
    /// r, the inner width. The paper finds ranks of 1 to 8 enough.
    rank: usize,
    /// α; the change is scaled by α / r. Equal to r by default, a factor of 1.
    alpha: f64,
    /// Which projections are changed. Query and value in the paper.
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

const ORDER: [Projection; 3] = [Projection::Query, Projection::Key, Projection::Value];

impl Default for LoraConfig {
    fn default() -> Self {
        Self { rank: 8, alpha: 8.0, on: vec![Projection::Query, Projection::Value], at: Blocks::All }
    }
}

register!(dyn Adapter, LoraConfig, name: "lora", summary: "low-rank changes of the attention's projections; no text",
    paper: Some("LoRA, ICLR 2022"), stability: Stable, example: "{rank: 8}");

impl Component for LoraConfig {
    type Slot = dyn Adapter;

    fn check(&self, problems: &mut Problems) {
        problems.when(!(1..=4096).contains(&self.rank), "rank", "must be within 1 and 4096");
        problems.when(!self.alpha.is_finite(), "alpha", "must be a finite number");
        let twice = ORDER.iter().any(|part| self.on.iter().filter(|named| *named == part).count() > 1);
        problems.when(
            self.on.is_empty() || twice,
            "on",
            "names each of query, key and value at most once, and one at least",
        );
        self.at.check(problems);
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Adapter>> {
        let geometry = context.transformer()?;
        let mut init = Init::new(context.init("adapter"), context.trainable_device());
        let d = geometry.width;
        let mut change = |part: Projection| {
            self.on.contains(&part).then(|| LowRank {
                a: init.normal([d, self.rank], (d as f64).powf(-0.5)),
                b: init.constant([self.rank, d], 0.0),
            })
        };
        let blocks = self.at.of(geometry.blocks)?.into_iter().map(|adapted| {
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

    fn forward(&self, index: usize, block: &dyn FrozenBlock, x: Tensor<4>, _: &Branch) -> Tensor<4> {
        let Some(changes) = &self.blocks[index] else {
            unreachable!("forward is called for adapted blocks only");
        };
        let shape = x.dims();
        let x = frames(x);
        let u = block.ln_1(x.clone());
        let shift = [&changes.query, &changes.key, &changes.value].map(|change| match change {
            Some(LowRank { a, b }) => u.clone().matmul(a.val().unsqueeze()).matmul(b.val().unsqueeze()) * self.scale,
            None => u.zeros_like(),
        });
        let y = x + block.attention_shifted(u, Tensor::cat(shift.to_vec(), 2));
        (y.clone() + block.mlp(block.ln_2(y))).reshape(shape)
    }
}

//! `st_adapter`: a bottleneck with a depth-wise space-time convolution in every block, before the MLP or the attention.
//!
//! Source: ST-Adapter (Pan et al., NeurIPS 2022) and its public code. On the patch tokens of a clip, laid out T × H ×
//! W: x = x + up(conv(down(x))). No activation; convolution and biases start at zero, so the start is the frozen model.
//! The paper draws it before the attention. The released script for Kinetics-400 puts it before the MLP (12 × 384
//! channels), which is the default here, and the one for Something-Something V2 before both (24 × 384). Before the MLP
//! of the last block it changes no class token, so there it is not trained by anything. On ViT-B with 384 channels and
//! a 3 × 3 × 3 kernel one place is 7.2 M parameters, as in the paper; with the default kernel of 3 × 1 × 1 it is 7.1 M.

use super::blocks::{self, Blocks, frames};
use super::depthwise;
use crate::layers::{Init, linear, linear_cost, linear_onto};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::{Adapter, Branch};
use maclip_framework::slots::block::FrozenBlock;
use maclip_framework::slots::cost::Cost;
use serde::{Deserialize, Serialize};

/// Options of ST-Adapter.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct StAdapterConfig {
    /// Channels as a part of D: 0.5 are the paper's 384 on ViT-B.
    #[schemars(range(max = 4.0), extend("exclusiveMinimum" = 0.0))]
    ratio: f64,
    /// Which blocks are adapted.
    at: Blocks,
    /// Where in a block the adapter stands.
    place: Place,
    /// Kernel over time, height and width; odd numbers.
    #[schemars(inner(range(min = 1, max = 9)))]
    kernel: [usize; 3],
}

/// Where in a block an adapter stands.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Place {
    /// Before the norm of the MLP, as released for Kinetics-400.
    Mlp,
    /// Before the norm of the attention, as in the paper's figure.
    Attention,
    /// One before each, as released for Something-Something V2.
    Both,
}

impl Default for StAdapterConfig {
    fn default() -> Self {
        Self { ratio: 0.5, at: Blocks::All, place: Place::Mlp, kernel: [3, 1, 1] }
    }
}

register!(dyn Adapter, StAdapterConfig, name: "st_adapter", summary: "depth-wise space-time convolution in each block; no text",
    paper: Some("ST-Adapter, NeurIPS 2022"), stability: Stable, usage: "{kernel: [3, 1, 1]}");

impl Component for StAdapterConfig {
    type Slot = dyn Adapter;

    fn validate(&self, problems: &mut Problems) {
        problems.when(self.kernel.iter().any(|side| side % 2 == 0), "kernel", "has odd sides");
    }

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        self.at.compatible(facts, problems);
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Adapter>> {
        let geometry = context.geometry()?;
        let mut init = Init::new(context.init("adapter"), context.trainable_device());
        let d = geometry.width;
        let channels = ((d as f64 * self.ratio) as usize).max(1);
        let taps = self.kernel.iter().product();
        let mut adapters = |wanted: bool| {
            let blocks = self.at.of(geometry.blocks).into_iter().map(|adapted| {
                (adapted && wanted).then(|| BlockAdapter {
                    down: init.linear_without_start_bias(d, channels),
                    kernel: init.constant([taps, channels], 0.0),
                    kernel_bias: init.constant([channels], 0.0),
                    up: init.linear_without_start_bias(channels, d),
                })
            });
            blocks.collect()
        };
        let both = self.place == Place::Both;
        let (blocks, before_mlp) = (adapters(true), adapters(both));
        let grid = (geometry.tokens - 1).isqrt();
        Ok(Box::new(StAdapter { blocks, before_mlp, place: self.place, sides: self.kernel, grid }))
    }
}

#[derive(Module, Debug)]
struct BlockAdapter {
    down: Linear,
    /// Depth-wise weights `[kt kh kw, C]`.
    kernel: Param<Tensor<2>>,
    kernel_bias: Param<Tensor<1>>,
    up: Linear,
}

#[derive(Module, Debug)]
struct StAdapter {
    blocks: Vec<Option<BlockAdapter>>,
    /// The second adapter of a block, where there are two.
    before_mlp: Vec<Option<BlockAdapter>>,
    #[module(skip)]
    place: Place,
    #[module(skip)]
    sides: [usize; 3],
    /// Patches along one side of a frame.
    grid: usize,
}

impl StAdapter {
    /// Tokens `[B, T, N + 1, D]` with the adapter's change of the patches; the class tokens stay.
    fn convolved(&self, adapter: &BlockAdapter, x: Tensor<4>) -> Tensor<4> {
        let [b, t, n, _] = x.dims();
        let patches = x.clone().narrow(2, 1, n - 1);
        let down = linear(&adapter.down, patches.clone());
        let c = down.dims()[3];
        let clips = down.reshape([b, t, self.grid, self.grid, c]);
        let mixed = depthwise::same(clips, adapter.kernel.val(), adapter.kernel_bias.val(), self.sides);
        let patches = linear_onto(&adapter.up, mixed.reshape([b, t, n - 1, c]), Some(patches));
        Tensor::cat(vec![x.narrow(2, 0, 1), patches], 2)
    }
}

impl Adapter for StAdapter {
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
        let adapter = blocks::adapted(&self.blocks, index);
        let (x, before_mlp) = match self.place {
            Place::Attention => return block.forward_frames(self.convolved(adapter, x), first),
            Place::Mlp => (x, adapter),
            Place::Both => (self.convolved(adapter, x), blocks::adapted(&self.before_mlp, index)),
        };
        let [b, t, n, d] = x.dims();
        let x = frames(x);
        if first == 1 {
            // The class token does not see the patches any more.
            let y = block.attention_first(block.ln_1(x.clone()), 1) + x.narrow(1, 0, 1);
            return block.mlp_onto(block.ln_2(y.clone()), y).reshape([b, t, 1, d]);
        }
        let y = block.attention_onto(block.ln_1(x.clone()), x).reshape([b, t, n, d]);
        let y = frames(self.convolved(before_mlp, y).narrow(2, 0, first));
        block.mlp_onto(block.ln_2(y.clone()), y).reshape([b, t, first, d])
    }

    fn cost(&self, index: usize, block: &dyn FrozenBlock, [b, t, n, d]: [usize; 4], _: &Branch) -> Option<Cost> {
        let adapter = self.blocks[index].as_ref()?;
        let patches = b * t * (n - 1);
        let [taps, channels] = adapter.kernel.lazy_shape().dims();
        let convolution = depthwise::cost(patches * channels, taps);
        let own = linear_cost(&adapter.down, patches) + convolution + linear_cost(&adapter.up, patches);
        let places = if self.place == Place::Both { 2.0 } else { 1.0 };
        Some(block.cost([b * t, n, d])? + own * places)
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::{B32, Sizes, count, flops};
    use super::*;
    use crate::conformance::{self, adapter::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::adapter::holds::<StAdapterConfig>(Traits {
            also: &["kernel: [3, 3, 3]", "place: attention", "place: both"],
            // The adapter before the last MLP: weights and biases of two layers and of the convolution.
            idle: |options| if options.contains("attention") { 0 } else { 6 },
            ..Traits::default()
        });
    }

    #[test]
    fn parameters_are_those_of_the_paper() {
        // 7.2 M on ViT-B/16 with a 3 × 3 × 3 kernel.
        assert_eq!(count("st_adapter, kernel: [3, 3, 3]", "none", "ViT-B/16").trainable, 7_220_736);
    }

    #[test]
    fn flops_are_the_hand_computed_ones() {
        let Sizes { t, n, d, blocks } = B32;
        // Down and up of the patches, and three taps between them.
        let own = 2.0 * t * (n - 1.0) * (2.0 * d * 384.0 + 3.0 * 384.0);
        assert_eq!(flops("st_adapter", &Branch::Query), B32.tower() + blocks * own);
    }
}

//! `aim`: temporal, spatial and joint adaptation with the frozen attention used twice in every block.
//!
//! Source: AIM (Yang et al., ICLR 2023) and its public code. For tokens x `[T, N + 1, D]` of one clip:
//!
//! ```text
//! x = x + A_T(MSA(LN1 x))        over time, every token with itself in the other frames
//! x = x + A_S(MSA(LN1 x))        over the tokens of a frame; A_S with inner skip
//! x = x + MLP(LN2 x) + s · A_J(LN2 x)
//! ```
//! Also trained: temporal position codes, zero at the start, and the norm after the last block. On ViT-B with T = 8
//! that is 10,659,072 parameters; the paper says 11 M.
//!
//! In training, the temporal and the joint adapter are left out at random. Public code has the tokens on the first
//! axis, so its drop path draws for each token of a frame, and the draw is the same for all frames and clips. So it is
//! here.

use super::blocks::{self, Blocks, frames, over_time};
use crate::layers::{Bottleneck, Init};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::{Adapter, Branch, TowerPart};
use maclip_framework::slots::block::FrozenBlock;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::draws::DropPath;
use serde::{Deserialize, Serialize};

/// Options of AIM.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct AimConfig {
    /// Bottleneck width as a part of D. 0.25 in public code.
    #[schemars(range(max = 4.0), extend("exclusiveMinimum" = 0.0))]
    ratio: f64,
    /// Which blocks are adapted: `all`, `{last: 4}` or `{list: [0, 5]}`. The trained position codes enter before block
    /// 0, so a shorter list does not make the backward pass shorter.
    at: Blocks,
    /// s, the factor on the joint adapter. In public code 0.5 on Kinetics and Diving48, 1 on SSv2.
    scale: f64,
    /// 1, or 2 to put another adapter (with skip) between LN1 and the temporal attention, as public code does for SSv2.
    #[schemars(range(min = 1, max = 2))]
    temporal_adapters: usize,
    /// How often the temporal and the joint adapter of the last block are left out for a token in training. It grows in
    /// equal steps from 0 in the first block. 0.2 in public code.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    drop_path: f64,
}

impl Default for AimConfig {
    fn default() -> Self {
        Self { ratio: 0.25, at: Blocks::All, scale: 0.5, temporal_adapters: 1, drop_path: 0.2 }
    }
}

register!(dyn Adapter, AimConfig, name: "aim", summary: "temporal, spatial and joint adapters in every block; no text",
    paper: Some("AIM, ICLR 2023"), stability: Stable, usage: "{ratio: 0.25}");

impl Component for AimConfig {
    type Slot = dyn Adapter;

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        self.at.compatible(facts, problems);
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Adapter>> {
        let geometry = context.geometry()?;
        let mut init = Init::new(context.init("adapter"), context.trainable_device());
        let d = geometry.width;
        let hidden = ((d as f64 * self.ratio) as usize).max(1);
        // As public code starts them: normal with 0.02 on the way down, zero on the way up.
        let mut bottleneck =
            |skip| Bottleneck::of([init.linear_normal(d, hidden, 0.02), init.linear_zero(hidden, d)], skip);
        let paths = DropPath::growing(self.drop_path, geometry.blocks, ["adapter.temporal", "adapter.joint"]);
        let blocks =
            self.at.of(geometry.blocks).into_iter().zip(paths).map(|(adapted, [temporal_path, joint_path])| {
                adapted.then(|| BlockAdapters {
                    temporal_in: (self.temporal_adapters == 2).then(|| bottleneck(true)),
                    temporal: bottleneck(false),
                    spatial: bottleneck(true),
                    joint: bottleneck(false),
                    temporal_path,
                    joint_path,
                })
            });
        let blocks = blocks.collect();
        Ok(Box::new(Aim { blocks, temporal_embedding: init.constant([context.frames()?, d], 0.0), scale: self.scale }))
    }
}

#[derive(Module, Debug)]
struct BlockAdapters {
    temporal_in: Option<Bottleneck>,
    temporal: Bottleneck,
    spatial: Bottleneck,
    joint: Bottleneck,
    temporal_path: DropPath,
    joint_path: DropPath,
}

#[derive(Module, Debug)]
struct Aim {
    blocks: Vec<Option<BlockAdapters>>,
    /// `[T, D]`
    temporal_embedding: Param<Tensor<2>>,
    scale: f64,
}

impl Adapter for Aim {
    fn adapts(&self, index: usize) -> bool {
        self.blocks[index].is_some()
    }

    fn tunes(&self, part: TowerPart) -> bool {
        part == TowerPart::FinalNorm
    }

    fn embeds(&self) -> bool {
        true
    }

    fn embed(&self, tokens: Tensor<4>) -> Tensor<4> {
        let [t, d] = self.temporal_embedding.val().dims();
        tokens + self.temporal_embedding.val().reshape([1, t, 1, d])
    }

    fn scope(&self) -> Scope {
        Scope::Clip
    }

    fn needs_text(&self) -> bool {
        false
    }

    fn forward(&self, index: usize, block: &dyn FrozenBlock, x: Tensor<4>, _: &Branch, first: usize) -> Tensor<4> {
        let adapters = blocks::adapted(&self.blocks, index);
        let [b, t, n, d] = x.dims();
        let temporal = over_time(x.clone(), |tokens| {
            let u = block.ln_1(tokens);
            let u = adapters.temporal_in.as_ref().map_or(u.clone(), |adapter| adapter.forward(u));
            adapters.temporal.forward(block.attention(u))
        });
        let x = frames(x + adapters.temporal_path.along(temporal, 2, n));
        let mixed = block.attention_first(block.ln_1(x.clone()), first);
        let x = adapters.spatial.forward_onto(mixed, x.narrow(1, 0, first));
        let v = block.ln_2(x.clone());
        let out = block.mlp_onto(v.clone(), x);
        adapters.joint.path_onto(v, self.scale, out, &adapters.joint_path, n).reshape([b, t, first, d])
    }

    fn cost(&self, index: usize, block: &dyn FrozenBlock, [b, t, n, d]: [usize; 4], _: &Branch) -> Option<Cost> {
        let adapters = self.blocks[index].as_ref()?;
        let (tokens, x) = (b * t * n, [b * t, n, d]);
        let own =
            [Some(&adapters.temporal), adapters.temporal_in.as_ref(), Some(&adapters.spatial), Some(&adapters.joint)];
        let own: Cost = own.into_iter().flatten().map(|adapter| adapter.cost(tokens)).sum();
        let over_time = block.attention_cost([b * n, t, d])? + Cost::norm(tokens * d);
        Some(over_time + block.cost(x)? + own)
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::{B32, Sizes, count, flops};
    use super::*;
    use crate::conformance::{self, adapter::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::adapter::holds::<AimConfig>(Traits {
            also: &["at: {last: 2}", "temporal_adapters: 2"],
            ..Traits::default()
        });
    }

    #[test]
    fn parameters_are_those_of_the_paper() {
        // 11 M on ViT-B/16: adapters 10,651,392, position codes 8 × 768, last norm 2 × 768.
        assert_eq!(count("aim", "none", "ViT-B/16").trainable, 10_659_072);
    }

    #[test]
    fn flops_are_the_hand_computed_ones() {
        let Sizes { t, n, blocks, .. } = B32;
        let own = B32.attention(n, t) + 3.0 * B32.bottleneck(t * n);
        assert_eq!(flops("aim", &Branch::Query), B32.tower() + blocks * own);
    }
}

//! `task_adapter`: AIM's adapters in the last blocks, and an attention across all clips of the episode.
//!
//! Source: Task-Adapter (Cao et al., ACM MM 2024) and its public code (`module_adapter.py`). In an adapted block every
//! token also attends, with the block's frozen attention, to the same token of the same frame in the other clips of its
//! branch:
//!
//! ```text
//! x = x + A_T(MSA(LN1 x))   over time
//! x = x + A_S(MSA(LN1 x))   over the tokens of a frame; A_S with inner skip
//! x = x + A_E(MSA(LN1 x))   over the support clips, or over the queries, of the episode
//! x = x + MLP(LN2 x) + s · A_J(LN2 x)
//! ```
//! Also trained: temporal position codes, zero at the start. A_T, A_S and A_J start at zero, A_E does not. Results
//! depend on what else is in the episode (transductive), so every episode encodes its own clips. The text score of the
//! public code belongs to the objective and is not part of this adapter.
//!
//! Task-Adapter++ (arXiv 2505.06002; Jaulin-Bage/Task-Adapter-pp@3a29783, `module_sem_adapter.py`) has the same image
//! tower, and order adapters in the last blocks of the text tower: every token also attends, with the block's frozen
//! attention and without its mask, to the token at the same position of the other sentences of its class, its
//! sub-actions:
//!
//! ```text
//! x = x + MSA(LN1 x)          masked, as frozen
//! x = x + A_O(MSA(LN1 x))     over the sentences of a class; A_O starts at zero
//! x = x + MLP(LN2 x)
//! ```
//! Padding behind a shorter sentence takes part as there. An order adapter of width 512 has 131,712 parameters.

use super::blocks::{self, Blocks, frames, over_clips, over_time};
use crate::layers::{Bottleneck, Init};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use maclip_framework::error::{Error, Result};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::{Adapter, Branch};
use maclip_framework::slots::block::FrozenBlock;
use maclip_framework::slots::cost::Cost;
use serde::{Deserialize, Serialize};

/// Options of Task-Adapter.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct TaskAdapterConfig {
    /// Bottleneck width as a part of D. 0.25 in public code.
    #[schemars(range(max = 4.0), extend("exclusiveMinimum" = 0.0))]
    ratio: f64,
    /// Which blocks are adapted. Public code: the last 6 of 12. Task-Adapter++ has the last 2 on data sets of scenes.
    at: Blocks,
    /// s, the factor on the joint adapter. 1 in public code.
    scale: f64,
    /// Which blocks of the text tower have an order adapter; `null` leaves the text tower as it is. Task-Adapter++: the
    /// last 8 of 12, and the last 2 on SSv2.
    text_at: Option<Blocks>,
    /// Which clips see each other: `branch`, as in public code, which encodes support and queries apart, or the whole
    /// `episode`.
    across: Across,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Across {
    /// Support clips among themselves, and queries among themselves.
    Branch,
    /// All clips of the episode.
    Episode,
}

impl Default for TaskAdapterConfig {
    fn default() -> Self {
        Self { ratio: 0.25, at: Blocks::Last(6), scale: 1.0, text_at: None, across: Across::Branch }
    }
}

register!(dyn Adapter, TaskAdapterConfig, name: "task_adapter",
    summary: "AIM's adapters and attention across the episode in the last blocks; transductive",
    paper: Some("Task-Adapter, ACM MM 2024"), stability: Stable, usage: "{at: {last: 2}}");

impl Component for TaskAdapterConfig {
    type Slot = dyn Adapter;

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        self.at.compatible(facts, problems);
        if let Some(text_at) = &self.text_at {
            if facts.text_tower == Some(false) {
                problems.push("text_at", "names blocks of a text tower, and the backbone has none");
            } else if let Some(text) = facts.geometry.as_ref().and_then(|geometry| geometry.text) {
                text_at.within("text_at", "the text tower", text.blocks, problems);
            }
        }
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Adapter>> {
        let geometry = context.geometry()?;
        let mut init = Init::new(context.init("adapter"), context.trainable_device());
        let d = geometry.width;
        let hidden = ((d as f64 * self.ratio) as usize).max(1);
        let blocks = self.at.of(geometry.blocks).into_iter().map(|adapted| {
            adapted.then(|| BlockAdapters {
                temporal: Bottleneck::new(d, hidden, false, &mut init),
                spatial: Bottleneck::new(d, hidden, true, &mut init),
                // Not zero on the way up in public code, so the start is not the frozen CLIP.
                task: Bottleneck::of([init.linear(d, hidden), init.linear(hidden, d)], false),
                joint: Bottleneck::new(d, hidden, false, &mut init),
            })
        });
        let blocks = blocks.collect();
        let order = match (&self.text_at, geometry.text) {
            (Some(at), Some(text)) => {
                let hidden = ((text.width as f64 * self.ratio) as usize).max(1);
                let order = at.of(text.blocks).into_iter();
                order.map(|adapted| adapted.then(|| Bottleneck::new(text.width, hidden, false, &mut init))).collect()
            }
            (Some(_), None) => {
                return Err(Error::failed("adapter.text_at names blocks of a text tower, and there is none"));
            }
            (None, _) => Vec::new(),
        };
        Ok(Box::new(TaskAdapter {
            blocks,
            order,
            temporal_embedding: init.constant([context.frames()?, d], 0.0),
            scale: self.scale,
            across: self.across,
        }))
    }
}

#[derive(Module, Debug)]
struct BlockAdapters {
    temporal: Bottleneck,
    spatial: Bottleneck,
    task: Bottleneck,
    joint: Bottleneck,
}

#[derive(Module, Debug)]
struct TaskAdapter {
    blocks: Vec<Option<BlockAdapters>>,
    /// Of the text tower.
    order: Vec<Option<Bottleneck>>,
    /// `[T, D]`
    temporal_embedding: Param<Tensor<2>>,
    scale: f64,
    #[module(skip)]
    across: Across,
}

impl Adapter for TaskAdapter {
    fn adapts(&self, index: usize) -> bool {
        self.blocks[index].is_some()
    }

    fn scope(&self) -> Scope {
        Scope::Episode
    }

    fn needs_text(&self) -> bool {
        false
    }

    fn adapts_text(&self, index: usize) -> bool {
        self.order.get(index).is_some_and(Option::is_some)
    }

    fn forward_text(&self, index: usize, block: &dyn FrozenBlock, x: Tensor<4>, mask: &Tensor<2>) -> Tensor<4> {
        let order = blocks::adapted(&self.order, index);
        let [c, p, l, d] = x.dims();
        let sentences = frames(x);
        let own = block.attention_masked(block.ln_1(sentences.clone()), mask.clone());
        let x = (sentences + own).reshape([c, p, l, d]);
        let across = over_time(x.clone(), |tokens| order.forward(block.attention(block.ln_1(tokens))));
        let x = frames(x + across);
        block.mlp_onto(block.ln_2(x.clone()), x).reshape([c, p, l, d])
    }

    fn embeds(&self) -> bool {
        true
    }

    fn embed(&self, tokens: Tensor<4>) -> Tensor<4> {
        let [t, d] = self.temporal_embedding.val().dims();
        tokens + self.temporal_embedding.val().reshape([1, t, 1, d])
    }

    fn forward(&self, index: usize, block: &dyn FrozenBlock, x: Tensor<4>, branch: &Branch, first: usize) -> Tensor<4> {
        let adapters = blocks::adapted(&self.blocks, index);
        let [clips, t, _, d] = x.dims();
        let attend = |tokens: Tensor<3>| block.attention(block.ln_1(tokens));
        let temporal = over_time(x.clone(), |tokens| adapters.temporal.forward(attend(tokens)));
        let x = frames(x + temporal);
        let mixed = block.attention_first(block.ln_1(x.clone()), first);
        let x = adapters.spatial.forward_onto(mixed, x.narrow(1, 0, first)).reshape([clips, t, first, d]);
        let task = |x: Tensor<4>| over_clips(x, |tokens| adapters.task.forward(attend(tokens)));
        let task = match branch {
            Branch::Episode { text } if self.across == Across::Branch => {
                let supports = text.dims()[0];
                let parts = [(0, supports), (supports, clips - supports)];
                Tensor::cat(parts.map(|(from, count)| task(x.clone().narrow(0, from, count))).to_vec(), 0)
            }
            _ => task(x.clone()),
        };
        let x = frames(x + task);
        let v = block.ln_2(x.clone());
        adapters.joint.scaled_onto(v.clone(), self.scale, block.mlp_onto(v, x)).reshape([clips, t, first, d])
    }

    fn cost(&self, index: usize, block: &dyn FrozenBlock, [b, t, n, d]: [usize; 4], branch: &Branch) -> Option<Cost> {
        let BlockAdapters { temporal, spatial, task, joint } = self.blocks[index].as_ref()?;
        let tokens = b * t * n;
        let own: Cost = [temporal, spatial, task, joint].into_iter().map(|adapter| adapter.cost(tokens)).sum();
        let groups = match branch {
            Branch::Episode { text } if self.across == Across::Branch => {
                let supports = text.dims()[0];
                vec![supports, b - supports]
            }
            _ => vec![b],
        };
        let over_clips: Option<Cost> = groups.into_iter().map(|clips| block.attention_cost([t * n, clips, d])).sum();
        let over_time = block.attention_cost([b * n, t, d])?;
        Some(over_time + over_clips? + block.cost([b * t, n, d])? + Cost::norm(tokens * d) * 2.0 + own)
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::{B32, Sizes, count, flops, text};
    use super::*;
    use crate::conformance::{self, adapter::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::adapter::holds::<TaskAdapterConfig>(Traits {
            also: &["across: episode"],
            starts_frozen: false,
            ..Traits::default()
        });
    }

    #[test]
    fn parameters_are_those_of_four_bottlenecks_in_six_blocks() {
        // Four adapters of 295,872 in each of the last six blocks, and position codes.
        assert_eq!(count("task_adapter", "none", "ViT-B/16").trainable, 6 * 4 * 295_872 + 8 * 768);
    }

    #[test]
    fn parameters_with_order_adapters_are_those_of_the_public_code() {
        // Task-Adapter++: visual adapters, temporal embedding, order adapters.
        for (at, text_at, trained) in [(2, 8, 2_366_976 + 6_144 + 1_053_696), (6, 2, 7_100_928 + 6_144 + 263_424)] {
            let adapter = format!("task_adapter, at: {{last: {at}}}, text_at: {{last: {text_at}}}");
            assert_eq!(count(&adapter, "none", "ViT-B/16").trainable, trained);
        }
    }

    #[test]
    fn order_adapters_need_a_text_tower_with_these_blocks() {
        let problems = |text_at: Blocks, features: &str| {
            let mut facts = Facts::default();
            facts.backbone(maclip_framework::slots::backbone::Geometry::clip_vit_b16());
            facts.text_tower = Some(features == "joint");
            let mut problems = Problems::default();
            TaskAdapterConfig { text_at: Some(text_at), ..Default::default() }.compatible(&facts, &mut problems);
            problems.into_vec()
        };
        assert!(problems(Blocks::Last(12), "joint").is_empty());
        let found = problems(Blocks::Last(13), "joint");
        assert!(found[0].0 == "text_at.last" && found[0].1.contains("the text tower has blocks 0 to 11"), "{found:?}");
        assert!(problems(Blocks::Last(1), "class_token")[0].1.contains("has none"));
    }

    #[test]
    fn flops_are_the_hand_computed_ones() {
        let Sizes { t, n, .. } = B32;
        // Two of five clips are supports; six blocks.
        let over_clips = B32.attention(t * n, 2.0) + B32.attention(t * n, 3.0);
        let own = 5.0 * B32.attention(n, t) + over_clips + 4.0 * B32.bottleneck(5.0 * t * n);
        let episode = flops("task_adapter", &Branch::Episode { text: &text(2) });
        assert_eq!(episode, 5.0 * B32.tower() + 6.0 * own);
    }
}

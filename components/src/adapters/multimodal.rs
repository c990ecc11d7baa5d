//! `multimodal`: MA-CLIP's adapters in every block, mixing video and text in the support branch.
//!
//! Source: MA-CLIP (arXiv 2308.01532), figures 2 and 3, and AIM's public code for what they leave open. For one block
//! with its frozen LN1, MSA, LN2, MLP, tokens x `[T, N + 1, D]`, class tokens z `[1, T, D]` and text feature f:
//!
//! ```text
//! z'    = z + A_T(MSA(LN1 z))                        temporal: class tokens of the T frames
//! h     = [x, z', Repeat_T(TextFC f)]                multimodal (support); without text in the query branch
//! h'    = h + A_M(MSA(LN1 h))
//! y     = first N + 1 tokens of h'
//! x_out = y + MLP(LN2 y) + s · A_J(LN2 y)            joint
//! ```
//!
//! Parts can be left out (table 4): without A_T there is no z', without A_M the attention's output is added as it is,
//! without A_J nothing is.

use super::blocks::{self, Blocks, frames};
use crate::layers::{Bottleneck, Init, linear, linear_cost};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::{Adapter, Branch};
use maclip_framework::slots::block::FrozenBlock;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::draws::DropPath;
use maclip_framework::slots::explanation::normalize;
use serde::{Deserialize, Serialize};

/// Options of MA-CLIP's adapters. Where the paper is silent the default is AIM's.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct MultimodalConfig {
    /// Bottleneck width as a part of D, truncated: 0.25 is what the paper's parameter counts (table 4) say.
    #[schemars(range(max = 4.0), extend("exclusiveMinimum" = 0.0))]
    ratio: f64,
    /// Which blocks are adapted: `all`, `{last: 4}` or `{list: [0, 5]}`.
    at: Blocks,
    /// Which adapters a block has: `all`, or `{only: [temporal, multimodal]}` (table 4). TextFC comes with `use_text`.
    parts: Parts,
    /// Whether the support branch sees the class text (table 5). Without it the support branch is the same as the query
    /// branch.
    use_text: bool,
    /// What takes the place of the class text in the query branch, where the class is not known: `none`, as in the
    /// paper, or `mean`, the average over the episode's classes (every episode then encodes its own clips).
    query_text: QueryText,
    /// One TextFC for all blocks instead of one per block. Per block is what the counts of table 4 say.
    shared_text_fc: bool,
    /// L2-normalise the text feature before TextFC.
    normalize_text: bool,
    /// Inner skip of the temporal adapter. Off, so that it adds nothing at the start.
    temporal_skip: bool,
    /// Inner skip of the multimodal adapter. On: it carries the frozen attention's output.
    multimodal_skip: bool,
    /// Inner skip of the joint adapter. The figure draws one, AIM has none.
    joint_skip: bool,
    /// s, the factor on the joint adapter. The figure shows none; AIM has 0.5.
    joint_scale: f64,
    /// z' = z + A_T(…) as in figure 3; off gives z' = A_T(…), as a public fork of AIM has it.
    temporal_residual: bool,
    /// 1, or 2 to put AIM's second temporal adapter (with skip) between LN1 and the temporal attention.
    #[schemars(range(min = 1, max = 2))]
    temporal_adapters: usize,
    /// How often A_T and A_J of the last block are left out for a token in training, as AIM does it; it grows in equal
    /// steps from 0 in the first block. The paper names no drop path.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    drop_path: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Parts {
    /// All three.
    All,
    /// Only these. An empty list leaves TextFC alone.
    Only(Vec<Part>),
}

impl Parts {
    fn has(&self, part: Part) -> bool {
        match self {
            Parts::All => true,
            Parts::Only(parts) => parts.contains(&part),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Part {
    /// A_T, and with it the token z'.
    Temporal,
    /// A_M.
    Multimodal,
    /// A_J.
    Joint,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum QueryText {
    /// No text token.
    None,
    /// The average text of the episode's classes.
    Mean,
}

impl Default for MultimodalConfig {
    fn default() -> Self {
        Self {
            ratio: 0.25,
            at: Blocks::All,
            parts: Parts::All,
            use_text: true,
            query_text: QueryText::None,
            shared_text_fc: false,
            normalize_text: false,
            temporal_skip: false,
            multimodal_skip: true,
            joint_skip: false,
            joint_scale: 0.5,
            temporal_residual: true,
            temporal_adapters: 1,
            drop_path: 0.0,
        }
    }
}

register!(dyn Adapter, MultimodalConfig, name: "multimodal",
    summary: "temporal, multimodal and joint adapters in every block; text in the support branch",
    paper: Some("MA-CLIP, arXiv 2308.01532, figure 3"), stability: Stable, usage: "{ratio: 0.25}");

impl Component for MultimodalConfig {
    type Slot = dyn Adapter;

    fn validate(&self, problems: &mut Problems) {
        problems.when(self.query_text == QueryText::Mean && !self.use_text, "query_text", "needs `use_text: true`");
        let nothing = self.parts == Parts::Only(Vec::new()) && !self.use_text;
        problems.when(nothing, "parts", "leaves nothing, as `use_text` is off too; for that use `type: none`");
        let temporal = self.temporal_adapters == 1 || self.parts.has(Part::Temporal);
        problems.when(!temporal, "temporal_adapters", "must be 1 where `parts` has no `temporal`");
    }

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        self.at.compatible(facts, problems);
    }

    fn describe(&self, facts: &mut Facts) {
        facts.readers.extend(self.use_text.then_some("adapter"));
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Adapter>> {
        let geometry = context.geometry()?;
        let mut init = Init::new(context.init("adapter"), context.trainable_device());
        let (d, e) = (geometry.width, geometry.embed_dim);
        let hidden = ((d as f64 * self.ratio) as usize).max(1);
        let own_text = self.use_text && !self.shared_text_fc;
        let adapter = |part: Part, skip: bool, init: &mut Init| {
            self.parts.has(part).then(|| Bottleneck::new(d, hidden, skip, init))
        };
        let blocks = self
            .at
            .of(geometry.blocks)
            .into_iter()
            .zip(DropPath::growing(self.drop_path, geometry.blocks, ["adapter.temporal", "adapter.joint"]))
            .map(|(adapted, [temporal_path, joint_path])| {
                adapted.then(|| BlockAdapters {
                    temporal_in: (self.temporal_adapters == 2).then(|| Bottleneck::new(d, hidden, true, &mut init)),
                    temporal: adapter(Part::Temporal, self.temporal_skip, &mut init),
                    multimodal: adapter(Part::Multimodal, self.multimodal_skip, &mut init),
                    joint: adapter(Part::Joint, self.joint_skip, &mut init),
                    text_fc: own_text.then(|| init.linear(e, d)),
                    temporal_path,
                    joint_path,
                })
            })
            .collect();
        let text_fc = (self.use_text && self.shared_text_fc).then(|| init.linear(e, d));
        Ok(Box::new(Multimodal {
            blocks,
            text_fc,
            use_text: self.use_text,
            query_text: self.query_text,
            normalize_text: self.normalize_text,
            temporal_residual: self.temporal_residual,
            joint_scale: self.joint_scale,
        }))
    }
}

#[derive(Module, Debug)]
struct BlockAdapters {
    temporal_in: Option<Bottleneck>,
    temporal: Option<Bottleneck>,
    multimodal: Option<Bottleneck>,
    joint: Option<Bottleneck>,
    text_fc: Option<Linear>,
    temporal_path: DropPath,
    joint_path: DropPath,
}

#[derive(Module, Debug)]
struct Multimodal {
    blocks: Vec<Option<BlockAdapters>>,
    /// The one TextFC of `shared_text_fc`.
    text_fc: Option<Linear>,
    use_text: bool,
    #[module(skip)]
    query_text: QueryText,
    normalize_text: bool,
    temporal_residual: bool,
    joint_scale: f64,
}

impl Adapter for Multimodal {
    fn adapts(&self, index: usize) -> bool {
        self.blocks[index].is_some()
    }

    fn scope(&self) -> Scope {
        match (self.use_text, self.query_text) {
            (_, QueryText::Mean) => Scope::Episode,
            (true, QueryText::None) => Scope::LabelledClip,
            (false, QueryText::None) => Scope::Clip,
        }
    }

    fn needs_text(&self) -> bool {
        self.use_text
    }

    fn forward(&self, index: usize, block: &dyn FrozenBlock, x: Tensor<4>, branch: &Branch, first: usize) -> Tensor<4> {
        let adapters = blocks::adapted(&self.blocks, index);
        let [b, t, n, d] = x.dims();
        let mut tokens = vec![x.clone()];
        if let Some(temporal) = &adapters.temporal {
            // Class tokens attend over time with the block's own attention.
            let z = x.clone().narrow(2, 0, 1).reshape([b, t, d]);
            let mut u = block.ln_1(z.clone());
            if let Some(adapter) = &adapters.temporal_in {
                u = adapter.forward(u);
            }
            let u = block.attention(u);
            let path = &adapters.temporal_path;
            let z = match self.temporal_residual && !path.is_active() {
                true => temporal.forward_onto(u, z).reshape([b, t, 1, d]),
                false => {
                    let moved = path.along(temporal.forward(u).reshape([b, t, 1, d]), 2, 1);
                    if self.temporal_residual { z.reshape([b, t, 1, d]) + moved } else { moved }
                }
            };
            tokens.push(z);
        }
        let text = match branch {
            Branch::Support { text } => Some(Tensor::clone(text)),
            Branch::Query => None,
            Branch::Episode { text } => {
                // Every class has the same number of shots, so the mean over supports is the mean over classes.
                let [supports, e] = text.dims();
                let queries = Tensor::clone(text).mean_dim(0).expand([b - supports, e]);
                Some(Tensor::cat(vec![Tensor::clone(text), queries], 0))
            }
        };
        if let (Some(text), Some(text_fc)) = (text, adapters.text_fc.as_ref().or(self.text_fc.as_ref())) {
            let text = if self.normalize_text { normalize(text) } else { text };
            tokens.push(linear(text_fc, text).reshape([b, 1, 1, d]).expand([b, t, 1, d]));
        }
        let h = Tensor::cat(tokens, 2);
        let length = h.dims()[2];
        let h = h.reshape([b * t, length, d]);
        let mixed = block.attention_first(block.ln_1(h), first);
        let x = frames(x.narrow(2, 0, first));
        let y = match &adapters.multimodal {
            Some(adapter) => adapter.forward_onto(mixed, x),
            None => x + mixed,
        };

        let v = block.ln_2(y.clone());
        let mut out = block.mlp_onto(v.clone(), y);
        if let Some(joint) = &adapters.joint {
            out = joint.path_onto(v, self.joint_scale, out, &adapters.joint_path, n);
        }
        out.reshape([b, t, first, d])
    }

    fn cost(&self, index: usize, block: &dyn FrozenBlock, [b, t, n, d]: [usize; 4], branch: &Branch) -> Option<Cost> {
        let adapters = self.blocks[index].as_ref()?;
        let frames = b * t;
        let cost = |adapter: &Option<Bottleneck>, rows: usize| -> Cost {
            adapter.iter().map(|adapter| adapter.cost(rows)).sum()
        };
        let temporal = match &adapters.temporal {
            Some(_) => block.attention_cost([b, t, d])? + Cost::norm(frames * d),
            None => Cost::default(),
        };
        let temporal = temporal + cost(&adapters.temporal, frames) + cost(&adapters.temporal_in, frames);
        let text_fc = adapters.text_fc.as_ref().or(self.text_fc.as_ref());
        let text = text_fc.filter(|_| !matches!(branch, Branch::Query)).map(|text_fc| linear_cost(text_fc, b));
        let length = n + usize::from(adapters.temporal.is_some()) + usize::from(text.is_some());
        let mixed = block.attention_cost([frames, length, d])? + cost(&adapters.multimodal, frames * n);
        let last = block.mlp_cost([frames, n, d])? + cost(&adapters.joint, frames * n);
        let norms = Cost::norm(frames * (length + n) * d) + Cost::elementwise(frames * length * d, 1.0);
        Some(temporal + text.unwrap_or_default() + mixed + last + norms)
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::{B32, Sizes, count, flops, text};
    use super::*;
    use crate::conformance::tensors::difference;
    use crate::conformance::{self, adapter::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::adapter::holds::<MultimodalConfig>(Traits {
            // Its frames attend to one more token from the start.
            starts_frozen: false,
            also: &[
                "parts: {only: []}",
                "parts: {only: [temporal]}",
                "parts: {only: [multimodal]}",
                "parts: {only: [joint]}",
                "use_text: false",
                "query_text: mean",
            ],
            ..Traits::default()
        });
    }

    #[test]
    fn parameters_are_those_of_the_paper() {
        // MA-CLIP, table 4: 18.54 M of 169.81 M.
        let ours = count("multimodal", "text_guided", "ViT-B/32");
        assert_eq!((ours.trainable, ours.total), (18_529_536, 169_806_849));
        assert_eq!(count("multimodal", "text_guided", "ViT-B/16").trainable, 18_529_536);
        // Its rows add 4.79 M, 7.10 M and 3.50 M: the twelve TextFC, two adapters a block, and one.
        let rows = ["[]", "[temporal, multimodal]", "[joint, temporal, multimodal]"]
            .map(|parts| count(&format!("multimodal, parts: {{only: {parts}}}"), "text_guided", "ViT-B/32").trainable);
        assert_eq!(rows, [3_150_336 + 12 * 393_984, 7_878_144 + 24 * 295_872, ours.trainable]);
    }

    #[test]
    fn flops_are_the_hand_computed_ones() {
        let Sizes { t, n, d, blocks } = B32;
        // The class tokens over time; then one token more in each frame, and with a text two and TextFC.
        let more = |tokens: f64| B32.attention(t, n + tokens) - B32.attention(t, n);
        let shared = B32.attention(1.0, t) + B32.bottleneck(t) + 2.0 * B32.bottleneck(t * n);
        assert_eq!(flops("multimodal", &Branch::Query), B32.tower() + blocks * (shared + more(1.0)));
        let support = flops("multimodal", &Branch::Support { text: &text(1) });
        assert_eq!(support, B32.tower() + blocks * (shared + more(2.0) + 2.0 * 512.0 * d));
    }

    #[test]
    fn what_is_left_out_of_a_block_is_the_frozen_block() {
        // Without text and adapters that see other frames, the query branch is the plain tower.
        let features = |adapter: &str| {
            let model = conformance::model::built(&[("adapter", &format!("{{type: {adapter}}}"))]);
            let pixels = conformance::model::pixels(2, &model, 2);
            model.backbone.encode_clips(pixels, &*model.adapter, &Branch::Query)
        };
        let plain = features("none");
        let joint = features("multimodal, use_text: false, parts: {only: [joint]}");
        assert!(difference(&joint, &plain) < 1e-4);
        let temporal = features("multimodal, use_text: false, parts: {only: [temporal]}");
        assert!(difference(&temporal, &plain) > 1e-4, "its token is attended to");
    }
}

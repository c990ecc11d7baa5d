//! `d2st`: behind every block an adapter that attends to a few points of the clip, dense in space and dense in time.
//!
//! Source: D²ST-Adapter (Pei et al., ICCV 2025) and its public code (qizhongtan/D2ST-Adapter@44387fa,
//! `models/base/adapter.py`). With x the tokens behind the frozen block, P their patches on the T × H × W grid of the
//! clip:
//!
//! ```text
//! u = GELU(W_d x)          D → C
//! u_P += conv(u_P)         depth-wise, 3 × 3 × 3
//! v = GELU((u + A_s(LN u) + u + A_t(LN u)) / 2)
//! x += GELU(W_u v)         C → D, zero at the start
//! ```
//! An attention A moves the centres of a coarse grid of points by what the queries of the patches say, reads the
//! patches of its input there by trilinear interpolation, and lets every token of the clip attend to these points:
//!
//! ```text
//! offset = tanh(W_o GELU(LN(conv(q_P)))) · min(1, 2 / points along the axis)      for each group of channels
//! A(z) = W MSA(q = W_q z, k = W_k s, v = W_v s)                                   s: z_P at centre + offset
//! ```
//! The convolutions of the offsets have a stride and no padding; they make the grid of points. The spatial path has few
//! points in time and many in space, the temporal path the other way. Points outside of the clip read zeros.
//!
//! Also trained: temporal position codes, zero at the start, and CLIP's class token and last norm. On ViT-B/16 with 8
//! frames an adapter has 606,192 parameters, and all that is trained 7,282,752. Features are class tokens after the
//! last norm: `backbone: {features: class_token}`.
//!
//! Behind the four stages of a ResNet (`ResNet_D2ST_Adapter` of the same file) it works on the maps, without a class
//! token, without temporal codes, and without the GELU behind W_d and W_u; each stage has its own points. On a
//! ResNet-50 that is 5,683,776 parameters.

use super::blocks::{self, Blocks};
use super::{depthwise, trilinear};
use crate::layers::{Init, LayerNorm, linear, linear_cost, plain_device};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Tensor, TensorData};
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::{Adapter, Branch, TowerPart};
use maclip_framework::slots::backbone::Geometry;
use maclip_framework::slots::block::FrozenBlock;
use maclip_framework::slots::cost::Cost;
use maclip_kernels::operations;
use serde::{Deserialize, Serialize};

/// Options of D²ST-Adapter.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct D2stConfig {
    /// Channels C as a part of D. 0.25 in public code; must make a multiple of `heads` and of `groups`.
    #[schemars(range(max = 4.0), extend("exclusiveMinimum" = 0.0))]
    ratio: f64,
    /// Which blocks are adapted.
    at: Blocks,
    /// Attention heads.
    #[schemars(range(min = 1))]
    heads: usize,
    /// Groups of channels with points of their own. All groups have the same weights for their offsets.
    #[schemars(range(min = 1))]
    groups: usize,
    /// How the points of the spatial path are spaced. As published, 8 frames of 14 × 14 patches have 2 × 4 × 4 points.
    spatial: Window,
    /// The same of the temporal path, with 8 × 2 × 2 points as published.
    temporal: Window,
    /// Behind the stages of a ResNet, one entry for each of the four, in place of the four options before. As published
    /// for maps of 56, 28, 14 and 7 positions a side.
    stages: [Attention; 4],
    /// Whether CLIP's class token and last norm are trained too, as in public code.
    class_token_and_norm: bool,
}

/// Kernel and stride of the convolution that makes the offsets of points.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Patches over time, height and width that one point is made of.
    #[schemars(inner(range(min = 1)))]
    pub kernel: [usize; 3],
    /// Steps from point to point over time, height and width.
    #[schemars(inner(range(min = 1)))]
    pub stride: [usize; 3],
}

/// The two attentions behind a stage of a ResNet.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Attention {
    /// Attention heads.
    #[schemars(range(min = 1))]
    heads: usize,
    /// Groups of channels with points of their own.
    #[schemars(range(min = 1))]
    groups: usize,
    /// How the points of the spatial path are spaced.
    spatial: Window,
    /// How the points of the temporal path are spaced.
    temporal: Window,
}

impl Attention {
    /// As published: so many heads and as many groups, and windows of positions over time and over a side.
    const fn published(heads: usize, [kernel, stride]: [usize; 2], temporal: usize) -> Self {
        let spatial = Window { kernel: [4, kernel, kernel], stride: [4, stride, stride] };
        let temporal = [1, temporal, temporal];
        Self { heads, groups: heads, spatial, temporal: Window { kernel: temporal, stride: temporal } }
    }

    /// Reports what does not fit `channels` channels on a grid of frames, height and width. `field` is its place among
    /// the options, with a dot behind it.
    fn check(&self, field: &str, channels: usize, grid: Option<[usize; 3]>, problems: &mut Problems) {
        for (name, parts) in [("heads", self.heads), ("groups", self.groups)] {
            problems.when(
                !channels.is_multiple_of(parts.max(1)),
                &format!("{field}{name}"),
                format!("must divide the {channels} channels, which are ratio × the width"),
            );
        }
        let Some(grid) = grid else { return };
        let [frames, height, width] = grid;
        for (name, window) in [("spatial.kernel", self.spatial), ("temporal.kernel", self.temporal)] {
            problems.when(
                depthwise::positions(grid, window.kernel, window.stride).is_none(),
                &format!("{field}{name}"),
                format!("does not fit into {frames} frames of {height} × {width} patches"),
            );
        }
    }
}

impl Default for D2stConfig {
    fn default() -> Self {
        Self {
            ratio: 0.25,
            at: Blocks::All,
            heads: 4,
            groups: 4,
            spatial: Window { kernel: [4, 5, 5], stride: [4, 3, 3] },
            temporal: Window { kernel: [1, 7, 7], stride: [1, 7, 7] },
            stages: [
                Attention::published(1, [7, 7], 14),
                Attention::published(2, [7, 7], 14),
                Attention::published(4, [5, 3], 7),
                Attention::published(8, [4, 3], 7),
            ],
            class_token_and_norm: true,
        }
    }
}

register!(dyn Adapter, D2stConfig, name: "d2st",
    summary: "attention to a few points of the clip behind each block, dense in space and dense in time; no text",
    paper: Some("D²ST-Adapter, ICCV 2025"), stability: Experimental,
    usage: "{spatial: {kernel: [4, 2, 2], stride: [4, 1, 1]}, temporal: {kernel: [1, 2, 2], stride: [1, 2, 2]}}");

impl D2stConfig {
    /// The attentions behind a transformer block.
    fn attention(&self) -> Attention {
        Attention { heads: self.heads, groups: self.groups, spatial: self.spatial, temporal: self.temporal }
    }

    /// The adapted stages of a ResNet, with their attentions.
    fn adapted_stages(&self) -> impl Iterator<Item = (usize, Attention)> {
        let stages = self.stages.into_iter().enumerate().zip(self.at.of(self.stages.len()));
        stages.filter_map(|(stage, adapted)| adapted.then_some(stage))
    }

    /// C for tokens of width `d`.
    fn channels(&self, d: usize) -> usize {
        ((d as f64 * self.ratio) as usize).max(1)
    }
}

impl Component for D2stConfig {
    type Slot = dyn Adapter;

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        let Some(geometry) = facts.geometry.as_ref() else { return self.at.compatible(facts, problems) };
        self.at.within("at", "the backbone", geometry.blocks, problems);
        let grid = |side: usize| facts.frames.map(|frames| [frames, side, side]);
        if geometry.transformer {
            let side = (geometry.tokens - 1).isqrt();
            return self.attention().check("", self.channels(geometry.width), grid(side), problems);
        }
        for (stage, attention) in self.adapted_stages() {
            let (width, side) = (stage_width(geometry, stage), geometry.image_size / (4 << stage));
            attention.check(&format!("stages[{stage}]."), self.channels(width), grid(side), problems);
        }
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Adapter>> {
        let (geometry, frames) = (context.geometry()?, context.frames()?);
        let mut init = Init::new(context.init("adapter"), context.trainable_device());
        let form = if geometry.transformer { Form::Tokens } else { Form::Map };
        let mut adapter = |width: usize, Attention { heads, groups, spatial, temporal }: Attention| {
            let sizes = Sizes { width, channels: self.channels(width), heads, groups };
            BlockAdapter::new(sizes, [spatial, temporal], form, &mut init)
        };
        let mut blocks: Vec<Option<BlockAdapter>> = (0..geometry.blocks).map(|_| None).collect();
        if form == Form::Tokens {
            for (block, adapted) in blocks.iter_mut().zip(self.at.of(geometry.blocks)) {
                *block = adapted.then(|| adapter(geometry.width, self.attention()));
            }
        } else {
            for (stage, attention) in self.adapted_stages() {
                blocks[stage] = Some(adapter(stage_width(geometry, stage), attention));
            }
        }
        let temporal_embedding = (form == Form::Tokens).then(|| init.constant([frames, geometry.width], 0.0));
        let class_token_and_norm = self.class_token_and_norm && form == Form::Tokens;
        Ok(Box::new(D2st { blocks, temporal_embedding, class_token_and_norm }))
    }
}

/// Channels behind a stage of a ResNet: those behind the last one, half as many for each stage before it.
fn stage_width(geometry: &Geometry, stage: usize) -> usize {
    geometry.width >> (geometry.blocks - 1 - stage)
}

/// What an adapter stands behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A transformer block: a class token and the patches. GELU behind both linear maps.
    Tokens,
    /// A stage of a ResNet: the positions of a map. No GELU there.
    Map,
}

impl Form {
    /// Tokens of a frame before its patches.
    fn before(self) -> usize {
        usize::from(self == Form::Tokens)
    }

    /// What comes behind the linear maps.
    fn activate(self, x: Tensor<4>) -> Tensor<4> {
        if self == Form::Tokens { operations::gelu(x) } else { x }
    }

    /// Height and width of the patches of a frame with `n` tokens.
    fn side(self, n: usize) -> usize {
        (n - self.before()).isqrt()
    }
}

/// Sizes of the adapter of one block.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// D of the tokens.
    pub width: usize,
    /// C inside the adapter.
    pub channels: usize,
    /// Attention heads; must divide C.
    pub heads: usize,
    /// Groups of channels; must divide C.
    pub groups: usize,
}

/// One of the two attentions, with the norm before it.
#[derive(Module, Debug)]
pub struct Path {
    norm: LayerNorm,
    query: Linear,
    /// Keys, then values: `[C, 2 C]`.
    key_value: Linear,
    output: Linear,
    /// Depth-wise weights for the channels of a group, `[kt kh kw, C / groups]`.
    offset_kernel: Param<Tensor<2>>,
    offset_bias: Param<Tensor<1>>,
    offset_norm: LayerNorm,
    /// `[C / groups, 3]`: time, height, width.
    offset: Linear,
    #[module(skip)]
    window: Window,
    #[module(skip)]
    form: Form,
    heads: usize,
    groups: usize,
}

impl Path {
    /// With PyTorch's start of every layer.
    pub fn new(sizes: Sizes, window: Window, form: Form, init: &mut Init) -> Self {
        let Sizes { channels, heads, groups, .. } = sizes;
        let (taps, own) = (window.kernel.iter().product::<usize>(), channels / groups);
        let bound = (taps as f64).powf(-0.5);
        Self {
            norm: init.layer_norm(channels),
            query: init.linear(channels, channels),
            key_value: init.linear(channels, 2 * channels),
            output: init.linear(channels, channels),
            offset_kernel: init.uniform([taps, own], bound),
            offset_bias: init.uniform([own], bound),
            offset_norm: init.layer_norm(own),
            offset: init.linear_without_bias(own, 3),
            window,
            form,
            heads,
            groups,
        }
    }

    /// The first `first` tokens of u + A(LN u): u `[B, T, N + 1, C]` → `[B, T, first, C]`.
    fn forward(&self, u: Tensor<4>, first: usize) -> Tensor<4> {
        u.clone().narrow(2, 0, first) + self.attention(self.norm.forward(u), first)
    }

    /// The first `first` tokens of A(z): z `[B, T, N + 1, C]` → `[B, T, first, C]`.
    pub fn attention(&self, z: Tensor<4>, first: usize) -> Tensor<4> {
        let [b, t, _, c] = z.dims();
        let q = self.queries(z.clone());
        let points = self.points(q.clone());
        let sampled = self.sampled(z, points);
        let p = sampled.dims()[1];
        let sampled = sampled.reshape([b, self.groups, p, c / self.groups]).swap_dims(1, 2).reshape([b, p, c]);
        let kv = linear(&self.key_value, sampled);
        let mixed = operations::cross_attention(q.narrow(2, 0, first).reshape([b, t * first, c]), kv, None, self.heads);
        linear(&self.output, mixed).reshape([b, t, first, c])
    }

    /// W_q z: `[B, T, N + 1, C]` → the same shape.
    pub fn queries(&self, z: Tensor<4>) -> Tensor<4> {
        linear(&self.query, z)
    }

    /// Where the patches are read: queries `[B, T, N + 1, C]` → `[B · groups, P, 3]` in the order time, height, width,
    /// from −1 to 1 inside the clip. Points are in row-major order.
    pub fn points(&self, q: Tensor<4>) -> Tensor<3> {
        let Window { kernel, stride } = self.window;
        let grid = self.patches(q);
        let made = depthwise::strided(grid, self.offset_kernel.val(), self.offset_bias.val(), kernel, stride);
        let [b, tn, hn, wn, c] = made.dims();
        let (size, p) = ([tn, hn, wn], tn * hn * wn);
        let made = operations::gelu(self.offset_norm.forward(made.reshape([b, p, c])));
        let offset = linear(&self.offset, made).tanh();
        let device = plain_device(&offset);
        let range: Vec<f32> = size.iter().map(|&n| (2.0 / n as f32).min(1.0)).collect();
        let range = Tensor::<1>::from_data(TensorData::new(range, [3]), &device).reshape([1, 1, 3]);
        let centres: Vec<f32> = (0..p)
            .flat_map(|index| {
                let at = depthwise::place(index, size);
                (0..3).map(move |axis| (2 * at[axis] + 1) as f32 / size[axis] as f32 - 1.0)
            })
            .collect();
        offset * range + Tensor::<3>::from_data(TensorData::new(centres, [1, p, 3]), &device)
    }

    /// The patches of z `[B, T, N + 1, C]` at points `[B · groups, P, 3]` → `[B · groups, P, C / groups]`.
    pub fn sampled(&self, z: Tensor<4>, points: Tensor<3>) -> Tensor<3> {
        trilinear::sample(self.patches(z), points)
    }

    /// Tokens `[B, T, N + 1, C]` → the grid of patches, each group of channels by itself: `[B · groups, T, H, W, C /
    /// groups]`.
    fn patches(&self, tokens: Tensor<4>) -> Tensor<5> {
        let ([b, t, n, c], g, before) = (tokens.dims(), self.groups, self.form.before());
        let side = self.form.side(n);
        let patches = tokens.narrow(2, before, n - before).reshape([b, t, n - before, g, c / g]);
        patches.permute([0, 3, 1, 2, 4]).reshape([b * g, t, side, side, c / g])
    }

    /// What [`Path::forward`] costs for tokens `[B, T, N + 1, C]`.
    fn cost(&self, [b, t, n, c]: [usize; 4]) -> Option<Cost> {
        let (side, rows) = (self.form.side(n), b * t * n);
        let size = depthwise::positions([t, side, side], self.window.kernel, self.window.stride)?;
        let points = b * size.iter().product::<usize>();
        let [taps, _] = self.offset_kernel.lazy_shape().dims();
        // What a point is made of, its offset, and the eight cells around it.
        let offsets = depthwise::cost(points * c, taps)
            + Cost::norm(points * c) * 2.0
            + linear_cost(&self.offset, points * self.groups)
            + Cost::elementwise(points * c, 8.0);
        let attention = linear_cost(&self.query, rows)
            + linear_cost(&self.key_value, points)
            + Cost::attention(b, [t * n, points / b], c)
            + linear_cost(&self.output, rows);
        Some(Cost::norm(rows * c) + offsets + attention)
    }
}

/// The adapter behind one block, or behind one stage of a ResNet.
#[derive(Module, Debug)]
pub struct BlockAdapter {
    #[module(skip)]
    form: Form,
    down: Linear,
    /// Depth-wise weights `[27, C]`.
    position_kernel: Param<Tensor<2>>,
    position_bias: Param<Tensor<1>>,
    spatial: Path,
    temporal: Path,
    up: Linear,
}

/// Sides of the convolution that tells patches where they are.
const POSITION: [usize; 3] = [3; 3];

impl BlockAdapter {
    /// With PyTorch's start of every layer but the last one, which is zero. `windows` are those of the spatial and the
    /// temporal path.
    pub fn new(sizes: Sizes, [spatial, temporal]: [Window; 2], form: Form, init: &mut Init) -> Self {
        let Sizes { width, channels, .. } = sizes;
        let taps: usize = POSITION.iter().product();
        let bound = (taps as f64).powf(-0.5);
        Self {
            form,
            down: init.linear(width, channels),
            position_kernel: init.uniform([taps, channels], bound),
            position_bias: init.uniform([channels], bound),
            spatial: Path::new(sizes, spatial, form, init),
            temporal: Path::new(sizes, temporal, form, init),
            up: init.linear_zero(channels, width),
        }
    }

    /// The first `first` tokens behind the adapter: x `[B, T, N + 1, D]` → `[B, T, first, D]`.
    pub fn forward(&self, x: Tensor<4>, first: usize) -> Tensor<4> {
        let u = self.placed(x.clone());
        let paths = self.spatial.forward(u.clone(), first) + self.temporal.forward(u, first);
        let up = linear(&self.up, operations::gelu(paths * 0.5));
        x.narrow(2, 0, first) + self.form.activate(up)
    }

    /// Where both paths read the patches, as [`Path::points`] says: x `[B, T, N + 1, D]` → of the spatial and the
    /// temporal path.
    pub fn points(&self, x: Tensor<4>) -> [Tensor<3>; 2] {
        let u = self.placed(x);
        [&self.spatial, &self.temporal].map(|path| path.points(path.queries(path.norm.forward(u.clone()))))
    }

    /// u: x `[B, T, N + 1, D]` → `[B, T, N + 1, C]`.
    fn placed(&self, x: Tensor<4>) -> Tensor<4> {
        let u = self.form.activate(linear(&self.down, x));
        let ([b, t, n, c], before) = (u.dims(), self.form.before());
        let side = self.form.side(n);
        let patches = u.clone().narrow(2, before, n - before);
        let grid = patches.clone().reshape([b, t, side, side, c]);
        let code = depthwise::same(grid, self.position_kernel.val(), self.position_bias.val(), POSITION);
        let patches = patches + code.reshape([b, t, n - before, c]);
        match before {
            0 => patches,
            _ => Tensor::cat(vec![u.narrow(2, 0, before), patches], 2),
        }
    }

    /// What [`BlockAdapter::forward`] costs for x `[B, T, N + 1, D]`.
    fn cost(&self, [b, t, n, d]: [usize; 4]) -> Option<Cost> {
        let (rows, [taps, c]) = (b * t * n, self.position_kernel.lazy_shape().dims());
        let placed = linear_cost(&self.down, rows) + Cost::elementwise(rows * c, 1.0);
        let code = depthwise::cost(b * t * (n - self.form.before()) * c, taps);
        let paths = self.spatial.cost([b, t, n, c])? + self.temporal.cost([b, t, n, c])?;
        let up = Cost::elementwise(rows * c, 1.0) + linear_cost(&self.up, rows) + Cost::elementwise(rows * d, 1.0);
        Some(placed + code + paths + up)
    }
}

#[derive(Module, Debug)]
struct D2st {
    blocks: Vec<Option<BlockAdapter>>,
    /// `[T, D]`; a ResNet has none.
    temporal_embedding: Option<Param<Tensor<2>>>,
    class_token_and_norm: bool,
}

impl Adapter for D2st {
    fn adapts(&self, index: usize) -> bool {
        self.blocks[index].is_some()
    }

    fn tunes(&self, part: TowerPart) -> bool {
        self.class_token_and_norm && matches!(part, TowerPart::ClassToken | TowerPart::FinalNorm)
    }

    fn embeds(&self) -> bool {
        self.temporal_embedding.is_some()
    }

    fn embed(&self, tokens: Tensor<4>) -> Tensor<4> {
        let Some(embedding) = &self.temporal_embedding else { return tokens };
        let [t, d] = embedding.val().dims();
        tokens + embedding.val().reshape([1, t, 1, d])
    }

    fn scope(&self) -> Scope {
        Scope::Clip
    }

    fn needs_text(&self) -> bool {
        false
    }

    fn forward(&self, index: usize, block: &dyn FrozenBlock, x: Tensor<4>, _: &Branch, first: usize) -> Tensor<4> {
        // The class token reads the patches of the block's output, so all of them are needed.
        let tokens = x.dims()[2];
        blocks::adapted(&self.blocks, index).forward(block.forward_frames(x, tokens), first)
    }

    fn behind_stage(&self, index: usize, map: Tensor<4>) -> Tensor<4> {
        let positions = map.dims()[2];
        blocks::adapted(&self.blocks, index).forward(map, positions)
    }

    fn stage_cost(&self, index: usize, map: [usize; 4]) -> Option<Cost> {
        self.blocks[index].as_ref()?.cost(map)
    }

    fn cost(&self, index: usize, block: &dyn FrozenBlock, [b, t, n, d]: [usize; 4], _: &Branch) -> Option<Cost> {
        Some(block.cost([b * t, n, d])? + self.blocks[index].as_ref()?.cost([b, t, n, d])?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::{self, B32, count, flops};
    use super::*;
    use crate::conformance::{self, adapter::Traits, model};
    use maclip_framework::model::parameters;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::adapter::holds::<D2stConfig>(Traits {
            also: &["class_token_and_norm: false, at: {last: 2}, spatial: {kernel: [2, 3, 3], stride: [2, 1, 1]}, \
                 temporal: {kernel: [1, 4, 4], stride: [1, 1, 1]}, heads: 2, groups: 6"],
            ..Traits::default()
        });
    }

    #[test]
    fn parameters_are_those_of_the_public_code() {
        let adapters = 12 * 606_192;
        assert_eq!(adapters, 7_274_304);
        let trained = count("d2st", "none", "ViT-B/16").trainable;
        // Temporal codes, class token, last norm.
        assert_eq!((trained, trained - adapters), (7_282_752, 8 * 768 + 768 + 2 * 768));
        let head = |classes: usize| {
            let objective =
                format!("{{type: with_class_loss, objective: {{type: metric}}, of: clips, classes: {classes}}}");
            let adapter = ("adapter", "{type: d2st}");
            let model = model::sized_with(
                &[adapter, ("objective", &objective)],
                "{type: clip_vit, weights: absent, architecture: ViT-B/16, features: class_token}",
            );
            parameters::count(&model).trainable - trained
        };
        assert_eq!((head(64), head(31)), (49_216, 23_839));
    }

    #[test]
    fn behind_the_stages_of_a_resnet_parameters_are_those_of_the_public_code() {
        let backbone = "{type: resnet, architecture: resnet50, weights: absent}";
        let trained = |adapter: &str| {
            let changes = [("adapter", adapter), ("prototype", "{type: none}"), ("objective", "{type: metric}")];
            parameters::count(&model::sized_with(&changes, backbone)).trainable
        };
        assert_eq!(trained("{type: d2st}"), 94_272 + 293_760 + 1_070_400 + 4_225_344);
        assert_eq!(trained("{type: d2st, at: {last: 1}}"), 4_225_344);
    }

    #[test]
    fn flops_are_the_hand_computed_ones() {
        let counts::Sizes { t, n, d, blocks } = B32;
        let (c, rows) = (192.0, t * n);
        // 2 × 1 × 1 and 8 × 1 × 1 points of 7 × 7 patches.
        let own: f64 = [(2.0, 100.0), (8.0, 49.0)]
            .map(|(points, taps)| {
                let offsets = points * c * taps + points * 4.0 * (c / 4.0) * 3.0;
                offsets + 2.0 * rows * c * c + points * c * 2.0 * c + 2.0 * rows * points * c
            })
            .iter()
            .sum();
        let placed = 2.0 * rows * d * c + t * (n - 1.0) * c * 27.0;
        assert_eq!(flops("d2st", &Branch::Query), B32.tower() + blocks * 2.0 * (own + placed));
    }

    #[test]
    fn a_kernel_that_does_not_fit_is_refused() {
        let mut facts = Facts { frames: Some(8), ..Facts::default() };
        facts.backbone(maclip_framework::slots::backbone::Geometry::clip_vit_b16());
        let problems = |config: D2stConfig| {
            let mut problems = Problems::default();
            config.compatible(&facts, &mut problems);
            problems.into_vec()
        };
        assert!(problems(D2stConfig::default()).is_empty());
        let window = Window { kernel: [1, 15, 7], stride: [1, 7, 7] };
        let found = problems(D2stConfig { temporal: window, heads: 5, ..D2stConfig::default() });
        let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["heads", "temporal.kernel"]);
        assert!(found[1].1.contains("8 frames of 14 × 14 patches"), "{}", found[1].1);
    }
}

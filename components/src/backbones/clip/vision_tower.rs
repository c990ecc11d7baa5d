//! The vision transformer. B images, N patches, D width, E joint embedding.

use super::ImageTower;
use super::block::{Block, BlockSizes};
use crate::backbones::handed_out::{Carried, HandedOut};
use crate::layers::{Init, LayerNorm, in_bf16};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::model::parameters::trainable;
use maclip_framework::slots::adapter::{Adapter, Branch, Depth, TowerPart};
use maclip_framework::slots::backbone::Precision;
use maclip_framework::slots::block::FrozenBlock;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::layout::Part;
use maclip_kernels::operations;
use std::ops::Range;

/// Sizes of a vision transformer.
#[derive(Clone, Copy, Debug)]
pub struct VisionSizes {
    /// Side of the square input in pixels.
    pub image_size: usize,
    /// Side P of a patch in pixels; divides `image_size`.
    pub patch_size: usize,
    /// The transformer blocks.
    pub blocks: BlockSizes,
    /// E, where there is a projection; otherwise E = D.
    pub projection: Option<usize>,
    /// CLIP has a norm before the blocks and no bias in the patch embedding; ImageNet transformers have the bias and
    /// not the norm.
    pub clip_stem: bool,
}

/// The vision transformer.
#[derive(Module, Debug)]
pub struct VisionTower {
    /// Patch embedding as a matrix `[3 P P, D]`: the transpose of the convolution's flattened weight.
    patch: Param<Tensor<2>>,
    patch_bias: Option<Param<Tensor<1>>>,
    class_embedding: Param<Tensor<1>>,
    /// `[N + 1, D]`
    positional_embedding: Param<Tensor<2>>,
    ln_pre: Option<LayerNorm>,
    resblocks: Vec<Block>,
    ln_post: LayerNorm,
    /// `[D, E]`
    proj: Option<Param<Tensor<2>>>,
    /// Whether features are mapped by `proj`, where there is one.
    projects: bool,
    patch_size: usize,
    #[module(skip)]
    handed_out: HandedOut,
}

impl VisionTower {
    /// A tower with initial weights from `init`.
    pub fn new(sizes: VisionSizes, init: &mut Init) -> Self {
        let (d, p, epsilon) = (sizes.blocks.width, sizes.patch_size, sizes.blocks.epsilon);
        let grid = sizes.image_size / p;
        let std = (d as f64).powf(-0.5);
        Self {
            patch: init.normal([3 * p * p, d], ((3 * p * p) as f64).powf(-0.5)),
            patch_bias: (!sizes.clip_stem).then(|| init.constant([d], 0.0)),
            class_embedding: init.normal([d], std),
            positional_embedding: init.normal([grid * grid + 1, d], std),
            ln_pre: sizes.clip_stem.then(|| init.layer_norm_with(d, epsilon)),
            resblocks: Block::stack(sizes.blocks, init),
            ln_post: init.layer_norm_with(d, epsilon),
            proj: sizes.projection.map(|e| init.normal([d, e], std)),
            projects: true,
            patch_size: p,
            handed_out: HandedOut::default(),
        }
    }

    /// The same with class tokens after the last norm as features, E = D. The projection stays among the weights.
    pub fn without_projection(mut self) -> Self {
        self.projects = false;
        self
    }

    /// The map of class tokens to features, where there is one.
    fn projection(&self) -> Option<&Param<Tensor<2>>> {
        self.proj.as_ref().filter(|_| self.projects)
    }

    /// Images `[B, 3, H, W]` → tokens with position codes `[B, 1 + N, D]`, patches in row-major order.
    fn embed(&self, images: Tensor<4>) -> Tensor<3> {
        let [b, c, h, w] = images.dims();
        let p = self.patch_size;
        let (rows, columns) = (h / p, w / p);
        // A convolution whose stride is its size is a matrix product over cut-out patches.
        let patches = images.reshape([b, c, rows, p, columns, p]).permute([0, 2, 4, 1, 3, 5]).reshape([
            b,
            rows * columns,
            c * p * p,
        ]);
        let d = self.class_embedding.val().dims()[0];
        let bias = self.patch_bias.as_ref().map(|bias| bias.val());
        let x = operations::linear(patches, self.patch.val(), bias, None);
        let class = self.class_embedding.val().reshape([1, 1, d]).expand([b, 1, d]);
        Tensor::cat(vec![class, x], 1) + self.positional_embedding.val().unsqueeze()
    }

    /// Class tokens `[B, D]` → ln_post → projection `[B, E]`.
    fn head(&self, class: Tensor<2>) -> Tensor<2> {
        let features = self.ln_post.forward(class);
        match self.projection() {
            Some(proj) => operations::linear(features, proj.val(), None, None),
            None => features,
        }
    }
}

impl VisionTower {
    /// Tokens with position codes `[B, T, 1 + N, D]` → the same, as the first block takes them.
    fn normalized(&self, tokens: Tensor<4>) -> Tensor<4> {
        match &self.ln_pre {
            Some(norm) => norm.forward(tokens),
            None => tokens,
        }
    }

    /// Tokens `[B, T, 1 + N, D]` through the blocks of `range`, by `adapter` where it adapts one. `carried` keeps the
    /// tokens after the blocks that are handed out.
    fn through(
        &self,
        range: Range<usize>,
        x: Tensor<4>,
        adapter: &dyn Adapter,
        branch: &Branch,
        carried: &mut Carried,
    ) -> Tensor<4> {
        let tokens = x.dims()[2];
        range.fold(x, |x, index| {
            let x = self.through_one(index, x, adapter, branch, tokens);
            self.keep(index + 1, &x, carried);
            x
        })
    }

    /// The first `first` tokens of block `index`, by `adapter` where it adapts it: `[B, T, 1 + N, D]` → `[B, T, first,
    /// D]`.
    fn through_one(
        &self,
        index: usize,
        x: Tensor<4>,
        adapter: &dyn Adapter,
        branch: &Branch,
        first: usize,
    ) -> Tensor<4> {
        let block = &self.resblocks[index];
        match adapter.adapts(index) {
            true => adapter.forward(index, block, x, branch, first),
            false => block.forward_frames(x, first),
        }
    }

    /// Tokens `[B, T, 1 + N, D]` before block `first` → class tokens `[B, T, D]` behind the last block, of which
    /// nothing else is computed where nothing else is handed out.
    fn class_tokens(
        &self,
        first: usize,
        x: Tensor<4>,
        adapter: &dyn Adapter,
        branch: &Branch,
        carried: &mut Carried,
    ) -> Tensor<3> {
        let last = self.resblocks.len() - 1;
        let x = self.through(first..last, x, adapter, branch, carried);
        let wanted = [Part::Block(last + 1), Part::Joint(last + 1), Part::Map];
        let tokens = if wanted.iter().any(|part| self.handed_out.has(*part)) { x.dims()[2] } else { 1 };
        let x = self.through_one(last, x, adapter, branch, tokens);
        self.keep(last + 1, &x, carried);
        carried.keep(Part::Map, || x.clone().narrow(2, 1, tokens - 1).flatten(2, 3));
        x.narrow(2, 0, 1).squeeze_dim(2)
    }

    /// Keeps the tokens x `[B, T, 1 + N, D]` after `count` blocks where they are handed out.
    fn keep(&self, count: usize, x: &Tensor<4>, carried: &mut Carried) {
        carried.keep(Part::Block(count), || x.clone().flatten(2, 3));
        carried.keep(Part::Joint(count), || {
            let [b, t, n, d] = x.dims();
            self.features(x.clone().reshape([b * t, n, d])).reshape([b as i32, t as i32, -1])
        });
    }

    /// Class tokens `[B, T, D]` → `[B, T, E]`.
    fn features(&self, class: Tensor<3>) -> Tensor<3> {
        let [b, t, d] = class.dims();
        let features = self.head(class.reshape([b * t, d]));
        let e = features.dims()[1];
        features.reshape([b, t, e])
    }

    /// `[1 + N, D]`
    fn sizes(&self) -> [usize; 2] {
        self.positional_embedding.lazy_shape().dims()
    }

    /// What the tokens of `frames` frames cost.
    fn tokens_cost(&self, frames: usize) -> Cost {
        let ([n, d], [inputs, _]) = (self.sizes(), self.patch.lazy_shape().dims());
        Cost::product(frames * (n - 1), inputs, d) + Cost::norm(frames * n * d)
    }

    /// What [`VisionTower::through`] costs for `[B, T]` frames. Of the last block it counts all tokens, as published
    /// figures do.
    fn through_cost(
        &self,
        range: Range<usize>,
        [b, t]: [usize; 2],
        adapter: &dyn Adapter,
        branch: &Branch,
    ) -> Option<Cost> {
        let [n, d] = self.sizes();
        let blocks = range.map(|index| {
            let block = &self.resblocks[index];
            if adapter.adapts(index) {
                adapter.cost(index, block, [b, t, n, d], branch)
            } else {
                FrozenBlock::cost(block, [b * t, n, d])
            }
        });
        blocks.sum()
    }

    /// What norm and projection cost for the class tokens of `frames` frames.
    fn head_cost(&self, frames: usize) -> Cost {
        let [_, d] = self.sizes();
        let projection = self.projection().map_or(Cost::NONE, |proj| {
            let [d, e] = proj.lazy_shape().dims();
            Cost::product(frames, d, e)
        });
        Cost::norm(frames * d) + projection
    }

    /// Normalised pixels `[B, T, 3, H, W]` → tokens with position codes `[B, T, 1 + N, D]`.
    fn tokens(&self, pixels: Tensor<5>) -> Tensor<4> {
        let [b, t, c, h, w] = pixels.dims();
        let tokens = self.embed(pixels.reshape([b * t, c, h, w]));
        let [_, n, d] = tokens.dims();
        tokens.reshape([b, t, n, d])
    }
}

impl ImageTower for VisionTower {
    fn prefix(&self, pixels: Tensor<5>, adapter: &dyn Adapter) -> Tensor<3> {
        let (depth, branch) = (Depth::of(adapter, self.resblocks.len()), &Branch::Query);
        if depth == Depth::Pixels {
            return pixels.flatten(2, 4);
        }
        let mut carried = self.handed_out.begin();
        carried.keep(Part::Pixels, || pixels.clone().flatten(2, 4));
        let tokens = self.normalized(self.tokens(pixels));
        self.keep(0, &tokens, &mut carried);
        if let Depth::Block(index) = depth {
            let tokens = self.through(0..index, tokens, adapter, branch, &mut carried);
            return carried.before(tokens.flatten(2, 3));
        }
        let class = self.class_tokens(0, tokens, adapter, branch, &mut carried);
        if depth == Depth::Head { carried.before(class) } else { carried.behind(self.features(class)) }
    }

    fn encode_steps(&self, adapter: &dyn Adapter) -> Vec<usize> {
        let (blocks, [n, d]) = (self.resblocks.len(), self.sizes());
        let before = |index: usize| self.handed_out.known(index) + n * d;
        match Depth::of(adapter, blocks) {
            Depth::Features => Vec::new(),
            Depth::Head => vec![self.handed_out.all() + d],
            Depth::Block(index) => (index..blocks).map(before).collect(),
            Depth::Pixels => {
                let mut steps: Vec<usize> = (0..blocks).map(before).collect();
                steps[0] = (n - 1) * self.patch.lazy_shape().dims::<2>()[0];
                steps
            }
        }
    }

    fn encode_step(&self, step: usize, x: Tensor<3>, adapter: &dyn Adapter, branch: &Branch) -> Tensor<3> {
        let ([b, t, values], blocks, [n, d]) = (x.dims(), self.resblocks.len(), self.sizes());
        let depth = Depth::of(adapter, blocks);
        let (index, mut carried, tokens) = match depth {
            Depth::Head | Depth::Features => {
                let (carried, class) = self.handed_out.split(self.handed_out.all(), x);
                return carried.behind(self.features(class));
            }
            Depth::Pixels if step == 0 => {
                let side = (values / 3).isqrt();
                let mut carried = self.handed_out.begin();
                carried.keep(Part::Pixels, || x.clone());
                let tokens = self.tokens(adapter.pixels(x.reshape([b, t, 3, side, side])));
                let tokens = self.normalized(if adapter.embeds() { adapter.embed(tokens) } else { tokens });
                self.keep(0, &tokens, &mut carried);
                (0, carried, tokens)
            }
            depth => {
                let first = if let Depth::Block(first) = depth { first } else { 0 };
                let (carried, tokens) = self.handed_out.split(self.handed_out.known(first + step), x);
                (first + step, carried, tokens.reshape([b, t, n, d]))
            }
        };
        if index + 1 < blocks {
            let tokens = self.through(index..index + 1, tokens, adapter, branch, &mut carried);
            return carried.before(tokens.flatten(2, 3));
        }
        let class = self.class_tokens(index, tokens, adapter, branch, &mut carried);
        carried.behind(self.features(class))
    }

    fn prefix_cost(&self, clips: [usize; 2], adapter: &dyn Adapter) -> Option<Cost> {
        let (blocks, frames) = (self.resblocks.len(), clips[0] * clips[1]);
        let until =
            |end: usize| Some(self.tokens_cost(frames) + self.through_cost(0..end, clips, adapter, &Branch::Query)?);
        match Depth::of(adapter, blocks) {
            Depth::Pixels => Some(Cost::NONE),
            Depth::Block(index) => until(index),
            Depth::Head => until(blocks),
            Depth::Features => Some(until(blocks)? + self.head_cost(frames)),
        }
    }

    fn encode_step_cost(&self, step: usize, clips: [usize; 2], adapter: &dyn Adapter, branch: &Branch) -> Option<Cost> {
        let (blocks, frames) = (self.resblocks.len(), clips[0] * clips[1]);
        let (index, tokens) = match Depth::of(adapter, blocks) {
            Depth::Features => return Some(Cost::NONE),
            Depth::Head => return Some(self.head_cost(frames)),
            Depth::Block(first) => (first + step, Cost::NONE),
            Depth::Pixels => (step, if step == 0 { self.tokens_cost(frames) } else { Cost::NONE }),
        };
        let head = if index + 1 < blocks { Cost::NONE } else { self.head_cost(frames) };
        Some(tokens + self.through_cost(index..index + 1, clips, adapter, branch)? + head)
    }

    fn hand_out(&mut self, parts: HandedOut) {
        self.handed_out = parts;
    }

    fn lower(&mut self, precision: Precision) -> Result<()> {
        operations::allow_tf32(precision == Precision::Bf16);
        if precision == Precision::Bf16 {
            self.resblocks = in_bf16(std::mem::take(&mut self.resblocks));
        }
        Ok(())
    }

    fn tune(&mut self, tunes: &dyn Fn(TowerPart) -> bool) {
        if tunes(TowerPart::Embedding) {
            self.patch = trainable(self.patch.clone());
            self.patch_bias = trainable(self.patch_bias.clone());
            self.positional_embedding = trainable(self.positional_embedding.clone());
            self.ln_pre = trainable(self.ln_pre.clone());
        }
        if tunes(TowerPart::Embedding) || tunes(TowerPart::ClassToken) {
            self.class_embedding = trainable(self.class_embedding.clone());
        }
        for (index, block) in self.resblocks.iter_mut().enumerate() {
            if tunes(TowerPart::Block(index)) {
                *block = trainable(block.clone());
            }
        }
        if tunes(TowerPart::FinalNorm) {
            self.ln_post = trainable(self.ln_post.clone());
        }
        if self.projects && tunes(TowerPart::Projection) {
            self.proj = trainable(self.proj.clone());
        }
    }
}

//! Slot `adapter`: what happens inside each block around the frozen attention and MLP.

use super::Scope;
use super::backbone::FrozenBlock;
use crate::clone_boxed;
use crate::slots::cost::Cost;
use crate::slots::module::DynModule;
use burn::tensor::Tensor;

/// Which clips of an episode are encoded.
#[derive(Clone, Copy, Debug)]
pub enum Branch<'a> {
    /// Support clips with the text feature of each clip's class, `[B, E]`, not normalised.
    Support {
        text: &'a Tensor<2>,
    },
    Query,
    /// All clips of one episode, support clips first, so that they can see each other: adapters of [`Scope::Episode`]. The text
    /// features of the support clips' classes, `[S, E]`; the clips from S on are queries.
    Episode {
        text: &'a Tensor<2>,
    },
}

/// A part of the image tower that an adapter may fine-tune.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TowerPart {
    /// Everything before the first block.
    Embedding,
    /// A transformer block, or a stage of a ResNet, counted from 0 at the input.
    Block(usize),
    /// The norm after the last block.
    FinalNorm,
    /// What maps to the joint embedding.
    Projection,
}

/// Where the frozen prefix of an image tower ends: what lies below needs no graph, and its values can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Nothing is frozen; the prefix is the pixels themselves.
    Pixels,
    /// Tokens before this block.
    Block(usize),
    /// The class tokens before the norm and the projection.
    Head,
    /// The whole tower is frozen; the prefix is the frame features.
    Features,
}

impl Depth {
    /// Of a tower with `blocks` blocks under `adapter`.
    pub fn of(adapter: &dyn Adapter, blocks: usize) -> Self {
        if adapter.embeds() || adapter.tunes(TowerPart::Embedding) {
            return Depth::Pixels;
        }
        match (0..blocks).find(|&index| adapter.adapts(index) || adapter.tunes(TowerPart::Block(index))) {
            Some(index) => Depth::Block(index),
            None if adapter.tunes(TowerPart::FinalNorm) || adapter.tunes(TowerPart::Projection) => Depth::Head,
            None => Depth::Features,
        }
    }

    /// Whether the prefix saves at least one block, so that keeping it pays.
    pub fn pays(self) -> bool {
        !matches!(self, Depth::Pixels | Depth::Block(0))
    }
}

/// Trainable parts around frozen transformer blocks. B clips, T frames, N + 1 tokens, width D.
pub trait Adapter: DynModule + CloneAdapter {
    /// Whether block `index` is touched; blocks below the first such are frozen, see [`Depth`].
    fn adapts(&self, index: usize) -> bool;

    /// Whether a part of the image tower itself is trained; the rest stays frozen.
    fn tunes(&self, _part: TowerPart) -> bool {
        false
    }

    /// Whether the tokens before the first block are changed by [`Adapter::embed`].
    fn embeds(&self) -> bool {
        false
    }

    /// Tokens with their position codes, before the norm that precedes the blocks: `[B, T, N + 1, D]` → the same shape. Only
    /// called where [`Adapter::embeds`].
    fn embed(&self, tokens: Tensor<4>) -> Tensor<4> {
        tokens
    }

    /// What the features of a clip depend on, see [`Scope`]. `Clip` or less says that both branches are the same function.
    fn scope(&self) -> Scope;

    /// Whether the support branch reads the class text, so that the backbone must have a text tower.
    fn needs_text(&self) -> bool;

    /// Block `index` with its adapters: x `[B, T, N + 1, D]` → the same shape. Only called where [`Adapter::adapts`].
    fn forward(&self, index: usize, block: &dyn FrozenBlock, x: Tensor<4>, branch: &Branch) -> Tensor<4>;

    /// What [`Adapter::forward`] costs for x of this shape, the block's own work included; `None` where nobody counted.
    fn cost(&self, _index: usize, _block: &dyn FrozenBlock, _x: [usize; 4], _branch: &Branch) -> Option<Cost> {
        None
    }
}

clone_boxed!(Adapter, CloneAdapter);

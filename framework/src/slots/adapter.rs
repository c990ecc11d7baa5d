//! Slot `adapter`: what happens inside each block around the frozen attention and MLP.

use super::Scope;
use super::backbone::FrozenBlock;
use crate::clone_boxed;
use crate::module::DynModule;
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

/// Trainable parts around frozen transformer blocks. B clips, T frames, N + 1 tokens, width D.
pub trait Adapter: DynModule + CloneAdapter {
    /// Whether block `index` is touched; blocks below the first such run without autodiff, unless [`Adapter::embed`] or
    /// [`Adapter::tunes`] puts trainable values before them.
    fn adapts(&self, index: usize) -> bool;

    /// Whether a part of the image tower itself is trained; the rest stays frozen.
    fn tunes(&self, _part: TowerPart) -> bool {
        false
    }

    /// Tokens with their position codes, before the norm that precedes the blocks: `[B, T, N + 1, D]` → the same shape.
    fn embed(&self, tokens: Tensor<4>) -> Tensor<4> {
        tokens
    }

    /// What the features of a clip depend on, see [`Scope`]. `Clip` or less says that both branches are the same function.
    fn scope(&self) -> Scope;

    /// Whether the support branch reads the class text, so that the backbone must have a text tower.
    fn needs_text(&self) -> bool;

    /// Block `index` with its adapters: x `[B, T, N + 1, D]` → the same shape. Only called where [`Adapter::adapts`].
    fn forward(&self, index: usize, block: &dyn FrozenBlock, x: Tensor<4>, branch: &Branch) -> Tensor<4>;
}

clone_boxed!(Adapter, CloneAdapter);

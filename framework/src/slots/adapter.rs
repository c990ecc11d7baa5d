//! Slot `adapter`: trainable parts inside each block, around the frozen attention and MLP.

use super::Scope;
use super::block::FrozenBlock;
use crate::clone_boxed;
use crate::slots::cost::Cost;
use crate::slots::module::DynModule;
use burn::tensor::Tensor;

/// Which clips of an episode are encoded: adapters may treat support clips and queries differently.
#[derive(Clone, Copy, Debug)]
pub enum Branch<'a> {
    /// Support clips.
    Support {
        /// The text feature of each clip's class, `[B, E]`, not normalised; zeros where nothing in the model reads
        /// class texts.
        text: &'a Tensor<2>,
    },
    /// Queries.
    Query,
    /// All clips of one episode together, the S support clips first and the queries after them. Only for adapters of
    /// [`Scope::Episode`].
    Episode {
        /// The text features of the support clips' classes, `[S, E]`, not normalised. It has no rows for the queries.
        text: &'a Tensor<2>,
    },
}

/// A part of the image tower that an adapter may fine-tune.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TowerPart {
    /// Everything before the first block.
    Embedding,
    /// The class token before the first block, which is a part of [`TowerPart::Embedding`] too. A ResNet has none.
    ClassToken,
    /// A transformer block, or a stage of a ResNet, counted from 0 at the input.
    Block(usize),
    /// The norm after the last block.
    FinalNorm,
    /// The linear map to the joint embedding.
    Projection,
}

/// Where the frozen prefix of an image tower ends. The prefix is computed without a graph, and its values can be kept
/// on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Nothing is frozen; the prefix is the pixels themselves.
    Pixels,
    /// The prefix is the tokens before this block.
    Block(usize),
    /// All blocks are frozen; the prefix is the class tokens before the last norm and the projection.
    Head,
    /// The whole tower is frozen; the prefix is the frame features.
    Features,
}

impl Depth {
    /// The depth for a tower of `blocks` blocks with `adapter`.
    pub fn of(adapter: &dyn Adapter, blocks: usize) -> Self {
        let first = adapter.changes_pixels() || adapter.embeds();
        if first || adapter.tunes(TowerPart::Embedding) || adapter.tunes(TowerPart::ClassToken) {
            return Depth::Pixels;
        }
        match (0..blocks).find(|&index| adapter.adapts(index) || adapter.tunes(TowerPart::Block(index))) {
            Some(index) => Depth::Block(index),
            None if adapter.tunes(TowerPart::FinalNorm) || adapter.tunes(TowerPart::Projection) => Depth::Head,
            None => Depth::Features,
        }
    }

    /// Whether the prefix contains at least one block, so that it is worth keeping.
    pub fn pays(self) -> bool {
        !matches!(self, Depth::Pixels | Depth::Block(0))
    }
}

/// Trainable parts around frozen transformer blocks. B clips, T frames, N + 1 tokens, width D; for texts L tokens, and
/// their width D.
///
/// # Contract
/// - **Start.** Before the first training step the features are those of the frozen backbone, up to rounding. An
///   adapter that does not start there says so in its test (`starts_frozen: false`).
/// - **Training.** Every trainable tensor takes part in the features of a support clip or a query, or in a class text,
///   so it has a gradient. An adapter has the scope [`Scope::Frozen`] if, and only if, it trains nothing: no weights of
///   its own, and no part of the tower.
/// - **Scope.** A feature depends only on what [`Adapter::scope`] says, and a batch of clips gives the same features as
///   the clips one by one. Below [`Scope::LabelledClip`], [`Branch::Support`] and [`Branch::Query`] give the same
///   features, and no class text is read. The other clips of an episode count if, and only if, the scope is
///   [`Scope::Episode`].
/// - **Parts.** With a scope below [`Scope::Episode`] the clips of an episode may be encoded in parts; the loss and its
///   gradients change by rounding only. With [`Scope::Episode`] they cannot, and the option `compute.micro_batch` is
///   refused.
/// - **Class texts** change the features if, and only if, [`Adapter::needs_text`]. The component's
///   `Component::describe` adds `adapter` to `Facts::readers` in the same cases.
/// - **Text tower.** A class text depends on the sentences of its own class alone. An adapter that adapts the text
///   tower does not read class texts in the image tower.
/// - **Depth.** [`Adapter::adapts`], [`Adapter::tunes`], [`Adapter::embeds`] and [`Adapter::changes_pixels`] are
///   constant, and everything that they do not name stays frozen: the values below the first named part are kept on
///   disk and used again.
/// - **Sizes.** With `BuildContext::sizes_only` no tensor gets values: a plan is made on machines that could not hold
///   them.
/// - **First tokens.** [`Adapter::forward`] gives the same values for a token however many tokens are asked for, up to
///   rounding.
/// - **Cost.** [`Adapter::cost`] is given for every adapted block, or the test says `costed: false`.
pub trait Adapter: DynModule + CloneAdapter {
    /// Whether [`Adapter::forward`] replaces block `index`, counted from 0 at the input.
    fn adapts(&self, index: usize) -> bool;

    /// Whether this part of the image tower itself is trained. Parts that are not named stay frozen.
    fn tunes(&self, _part: TowerPart) -> bool {
        false
    }

    /// Whether the pixels are changed by [`Adapter::pixels`] before the tower reads them.
    fn changes_pixels(&self) -> bool {
        false
    }

    /// Changes the normalised pixels of clips, `[B, T, 3, H, W]` → the same shape. Only called if
    /// [`Adapter::changes_pixels`]. What a backbone hands out as pixels are those before the change.
    fn pixels(&self, pixels: Tensor<5>) -> Tensor<5> {
        pixels
    }

    /// Whether the tokens before the first block are changed by [`Adapter::embed`].
    fn embeds(&self) -> bool {
        false
    }

    /// Changes the tokens with their position codes, before the norm that comes before the blocks: `[B, T, N + 1, D]` →
    /// the same shape. Only called if [`Adapter::embeds`].
    fn embed(&self, tokens: Tensor<4>) -> Tensor<4> {
        tokens
    }

    /// What the features of a clip depend on, see [`Scope`] and the contract above.
    fn scope(&self) -> Scope;

    /// Whether features depend on class texts. The backbone must have a text tower then.
    fn needs_text(&self) -> bool;

    /// The first `first` tokens of block `index` together with its adapters: x `[B, T, N + 1, D]` → `[B, T, first, D]`.
    /// `first` is N + 1 but for the last block, of which only the class token is read, so there an adapter saves time
    /// where it leaves the others out. Only called if [`Adapter::adapts`]; the provided one is the block alone.
    fn forward(
        &self,
        _index: usize,
        block: &dyn FrozenBlock,
        x: Tensor<4>,
        _branch: &Branch,
        first: usize,
    ) -> Tensor<4> {
        block.forward_frames(x, first)
    }

    /// What comes behind stage `index` of a ResNet: its map, the positions of a frame one after the other, `[B, T, h w,
    /// C]` → the same shape. Only called if [`Adapter::adapts`].
    fn behind_stage(&self, _index: usize, map: Tensor<4>) -> Tensor<4> {
        map
    }

    /// Cost of [`Adapter::behind_stage`] for a map of this shape, without the stage; `None` where it was not counted.
    fn stage_cost(&self, _index: usize, _map: [usize; 4]) -> Option<Cost> {
        None
    }

    /// Whether [`Adapter::forward_text`] replaces block `index` of the text tower, counted from 0 at the input.
    fn adapts_text(&self, _index: usize) -> bool {
        false
    }

    /// Block `index` of the text tower together with its adapters, for C classes of P sentences each: x `[C, P, L, D]`
    /// → the same shape. `mask` `[L, L]` is that of the tower's attention. Only called if [`Adapter::adapts_text`].
    fn forward_text(&self, _index: usize, block: &dyn FrozenBlock, x: Tensor<4>, mask: &Tensor<2>) -> Tensor<4> {
        let [c, p, l, d] = x.dims();
        block.forward_masked(x.reshape([c * p, l, d]), mask.clone()).reshape([c, p, l, d])
    }

    /// Cost of [`Adapter::forward`] for all tokens of x, which has this shape, the frozen block included; `None` where
    /// it was not counted.
    fn cost(&self, _index: usize, _block: &dyn FrozenBlock, _x: [usize; 4], _branch: &Branch) -> Option<Cost> {
        None
    }
}

clone_boxed!(Adapter, CloneAdapter);

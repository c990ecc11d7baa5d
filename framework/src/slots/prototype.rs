//! Slot `prototype`: rewrites support features (with their class text) and query features before alignment.

use super::Scope;
use crate::clone_boxed;
use crate::slots::cost::Cost;
use crate::slots::module::DynModule;
use burn::tensor::Tensor;

/// Features of N episodes of equal shape, after the part of the module that sees one clip.
pub struct EpisodeFeatures {
    /// `[N, Q, T, E]`
    pub query: Tensor<4>,
    /// `[N, W, K, T, E]`
    pub support: Tensor<5>,
    /// Class texts `[N, W, E]`, zeros where [`Prototype::needs_text`] is false and no other part reads them.
    pub text: Tensor<3>,
}

/// The same after the clips of an episode have seen each other.
pub struct Related {
    /// `[N, Q, T, E]`
    pub query: Tensor<4>,
    /// `[N, V, W, K, T, E]`: V = 1 where all queries see the same prototypes, or V = Q for one view each. K may have shrunk.
    pub support: Tensor<6>,
}

/// S support clips, Q queries, T frames, E features.
pub trait Prototype: DynModule + ClonePrototype {
    /// What the rewritten features of a clip depend on.
    fn scope(&self) -> Scope;

    fn needs_text(&self) -> bool;

    /// frames `[S, T, E]`, text `[S, E]` of each clip's class → `[S, T, E]`.
    fn support(&self, frames: Tensor<3>, text: Tensor<2>) -> Tensor<3>;

    /// `[Q, T, E]` → `[Q, T, E]`.
    fn query(&self, frames: Tensor<3>) -> Tensor<3>;

    /// What the clips of an episode do to each other, on the results of [`Prototype::support`] and [`Prototype::query`]. Only
    /// called where the scope is [`Scope::Episode`].
    fn relate(&self, features: EpisodeFeatures) -> Related {
        Related { query: features.query, support: features.support.unsqueeze_dim(1) }
    }

    /// What [`Prototype::support`] costs for frames `[S, T, E]`; `None` where nobody counted.
    fn support_cost(&self, _frames: [usize; 3]) -> Option<Cost> {
        None
    }

    /// What [`Prototype::query`] costs for frames `[Q, T, E]`.
    fn query_cost(&self, _frames: [usize; 3]) -> Option<Cost> {
        None
    }

    /// What [`Prototype::relate`] costs for a query and a support of these shapes, and the shape of [`Related::support`].
    fn relate_cost(&self, _query: [usize; 4], _support: [usize; 5]) -> Option<(Cost, [usize; 6])> {
        None
    }
}

clone_boxed!(Prototype, ClonePrototype);

//! Slot `prototype`: rewrites support features (with their class text) and query features before alignment.

use super::Scope;
use crate::clone_boxed;
use crate::module::DynModule;
use burn::tensor::Tensor;

/// S support clips, Q queries, T frames, E features.
pub trait Prototype: DynModule + ClonePrototype {
    /// What the rewritten features of a clip depend on.
    fn scope(&self) -> Scope;

    fn needs_text(&self) -> bool;

    /// frames `[S, T, E]`, text `[S, E]` of each clip's class → `[S, T, E]`.
    fn support(&self, frames: Tensor<3>, text: Tensor<2>) -> Tensor<3>;

    /// `[Q, T, E]` → `[Q, T, E]`.
    fn query(&self, frames: Tensor<3>) -> Tensor<3>;
}

clone_boxed!(Prototype, ClonePrototype);

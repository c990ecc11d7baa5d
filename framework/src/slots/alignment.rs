//! Slot `alignment`: how far a query is from each class, frame sequence against frame sequence.

use crate::clone_boxed;
use crate::error::Result;
use crate::slots::cost::Cost;
use crate::slots::explanation::{Explanation, by_occlusion};
use crate::slots::module::DynModule;
use burn::tensor::Tensor;

/// A temporal alignment metric. Smaller is nearer.
///
/// N episodes of equal shape go through at once: Q queries, W classes (way), K shots, T frames, E features.
pub trait Alignment: DynModule + CloneAlignment {
    /// query `[N, Q, Tq, E]`, support `[N, W, K, Ts, E]` → distances `[N, Q, W]`.
    ///
    /// Must not mix episodes, and a distance to one class must not depend on the order of the others.
    fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3>;

    /// Which pairs of frames the distances of P pairs of a query clip and one class's support rest on: query `[P, Tq, E]`, support
    /// `[P, K, Ts, E]`, on a device without autodiff. The report draws it; [`by_occlusion`] finds it for any metric, and a metric
    /// that knows better tells it.
    fn explain(&self, query: Tensor<3>, support: Tensor<4>) -> Result<Explanation> {
        by_occlusion(|query, support| self.distances(query, support), query, support)
    }

    /// What [`Alignment::distances`] costs for these shapes; `None` where nobody counted.
    fn cost(&self, _query: [usize; 4], _support: [usize; 5]) -> Option<Cost> {
        None
    }
}

clone_boxed!(Alignment, CloneAlignment);

//! Slot `alignment`: the distance of a query to each class, frame sequence against frame sequence.

use crate::clone_boxed;
use crate::error::Result;
use crate::slots::cost::Cost;
use crate::slots::explanation::{Explanation, by_occlusion};
use crate::slots::layout::Part;
use crate::slots::module::DynModule;
use burn::tensor::Tensor;

/// The distances of an alignment that computes several.
#[derive(Clone, Debug)]
pub struct Aligned {
    /// Those that a prediction is made from, `[N, Q, W]`.
    pub distances: Tensor<3>,
    /// Others that an objective may ask for, each with its name and of the same shape.
    pub further: Vec<(&'static str, Tensor<3>)>,
}

impl Aligned {
    /// The distances to groups of classes, one group after the other. `None` where there is no group.
    pub fn joined(groups: Vec<Self>) -> Option<Self> {
        let names: Vec<&'static str> = groups.first()?.further.iter().map(|(name, _)| *name).collect();
        let distances = Tensor::cat(groups.iter().map(|group| group.distances.clone()).collect(), 2);
        let of = |at: usize| Tensor::cat(groups.iter().map(|group| group.further[at].1.clone()).collect(), 2);
        Some(Self { distances, further: names.into_iter().enumerate().map(|(at, name)| (name, of(at))).collect() })
    }
}

/// A metric between a query and the support clips of a class. Smaller is nearer.
///
/// N episodes of equal shape are computed at once: Q queries, W classes (way), K shots, Tq and Ts frames, E features.
///
/// # Contract
/// - **Classes.** Another order of the classes only permutes the distances.
/// - **Shots.** An alignment that can treat several shots in different ways has an option `shots` with some of these
///   values, and a component without the option refuses it. `mean_features`: the features of the shots are averaged
///   frame by frame, and one distance is taken. `mean_distances`: the mean of the distances to each shot. `joint`: all
///   frames of all shots are one long sequence. The order of the shots does not count, except for `joint`.
/// - **Batches.** Episodes and queries do not mix: a batch gives the same distances as each query of each episode
///   alone, up to rounding.
/// - **Length.** Query and support clips may have different numbers of frames. An alignment that was built for a fixed
///   number panics on others, and its test says `fixed_length: true`.
/// - **Numbers.** Distances are finite, also for clips of 32 frames and the sharpest options. The gradient with respect
///   to the query is finite, is not 0 everywhere, and agrees with differences of distances.
/// - **Claims.** Its test says whether the order of frames does not count (`order_blind`), whether only the directions
///   of features count and not their lengths (`norm_blind`), and whether a clip is nearer to itself than to any other
///   clip (`nearest_to_itself`). Each claim is checked both ways.
pub trait Alignment: DynModule + CloneAlignment {
    /// The parts of a frame that it reads. Where there are some, it gets all values that the prototype module returns,
    /// and behind them those parts of the backbone that the module leaves out; otherwise it gets features alone.
    /// `BuildContext::compared` says where they are, and `Component::describe` calls `Facts::reads` for the same parts.
    fn reads(&self) -> Vec<Part> {
        Vec::new()
    }

    /// [`Alignment::distances`], and the further ones that `Component::describe` adds to `Facts::further`.
    fn aligned(&self, query: Tensor<4>, support: Tensor<5>) -> Aligned {
        Aligned { distances: self.distances(query, support), further: Vec::new() }
    }

    /// Whether the distance to a class depends on the other classes of the episode, so that they must be given
    /// together.
    fn compares_classes(&self) -> bool {
        false
    }

    /// query `[N, Q, Tq, E]`, support `[N, W, K, Ts, E]` → distances `[N, Q, W]`.
    ///
    /// Must not mix episodes or queries, and the order of the classes must not count.
    fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3>;

    /// Which pairs of frames the distances depend on, for P pairs of a query clip and the support clips of one class:
    /// query `[P, Tq, E]`, support `[P, K, Ts, E]`, on a device without autodiff. The report draws it.
    ///
    /// The default is [`by_occlusion`], which works for every metric. A metric with a matching of its own, such as a
    /// path or a transport plan, should return this one. The largest weight of each pair is 1, and a pair's weights
    /// must not depend on the other pairs.
    ///
    /// # Errors
    /// Where a weight is not finite.
    fn explain(&self, query: Tensor<3>, support: Tensor<4>) -> Result<Explanation> {
        by_occlusion(|query, support| self.distances(query, support), query, support)
    }

    /// Cost of [`Alignment::distances`] for these shapes; `None` where it was not counted.
    fn cost(&self, _query: [usize; 4], _support: [usize; 5]) -> Option<Cost> {
        None
    }
}

clone_boxed!(Alignment, CloneAlignment);

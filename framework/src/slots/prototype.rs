//! Slot `prototype`: changes the features of support clips (with their class text) and of queries before the alignment.

use super::Scope;
use super::backbone::Backbone;
use crate::clone_boxed;
use crate::error::Result;
use crate::slots::cost::Cost;
use crate::slots::layout::{Layout, Part};
use crate::slots::module::DynModule;
use burn::tensor::Tensor;

/// Features of N episodes of equal shape, after [`Prototype::support`] and [`Prototype::query`]: Q queries, W classes,
/// K shots, T frames, E features.
pub struct EpisodeFeatures {
    /// Queries, `[N, Q, T, E]`.
    pub query: Tensor<4>,
    /// Support clips, `[N, W, K, T, E]`.
    pub support: Tensor<5>,
    /// Class texts, `[N, W, E]`, not normalised; zeros where nothing in the model reads class texts.
    pub text: Tensor<3>,
}

/// Features of N episodes after [`Prototype::relate`].
#[derive(Clone, Debug)]
pub struct Related {
    /// Queries, `[N, Q, T, E]`.
    pub query: Tensor<4>,
    /// Prototypes, `[N, V, W, K, T, E]`: V = 1 where all queries are compared with the same prototypes, or V = Q where
    /// each query has prototypes of its own. K is 1 up to the number of shots; it is smaller where shots were merged.
    pub support: Tensor<6>,
}

/// Changes features before they are compared. S support clips, Q queries, T frames, E features.
///
/// # Contract
/// - **Clips.** [`Prototype::support`] and [`Prototype::query`] are functions of each clip alone (with its class text):
///   a batch gives the same features as the clips one by one. Only [`Prototype::relate`] may mix the clips of an
///   episode; episodes never mix.
/// - **Scope.** The result of the whole module depends only on what [`Prototype::scope`] says. Below
///   [`Scope::LabelledClip`] no class text is read. The other clips of an episode count if, and only if, the scope is
///   [`Scope::Episode`]. With [`Scope::Frozen`] nothing is trained.
/// - **Class texts** change the result if, and only if, [`Prototype::needs_text`]. `Component::describe` adds
///   `prototype` to `Facts::readers` in the same cases.
/// - **Shapes** stay, except for V and K of [`Related::support`], and as [`Prototype::layout`] says. A module that
///   [reads parts](Prototype::reads) gets all values of a frame, `[S, T, F]`; any other gets the feature alone.
///   `Component:: describe` calls `Facts::reads` and `Facts::adds` for the same parts.
/// - **Sizes.** With `BuildContext::sizes_only` no tensor gets values: a plan is made on machines that could not hold
///   them.
/// - **Cost.** All costs are given, with the right shape from [`Prototype::relate_cost`]; or none, and the test says
///   `costed: false`.
pub trait Prototype: DynModule + ClonePrototype {
    /// What the changed features of a clip depend on, see [`Scope`] and the contract above.
    fn scope(&self) -> Scope;

    /// Whether features depend on class texts. The backbone must have a text tower then.
    fn needs_text(&self) -> bool;

    /// The parts of a frame that it reads; it gets the feature alone where there are none.
    fn reads(&self) -> Vec<Part> {
        Vec::new()
    }

    /// Called once, before the first step of a training: the values with which it begins may come from the backbone. A
    /// checkpoint replaces them.
    ///
    /// # Errors
    /// Where the backbone has no such values.
    fn start(&mut self, _backbone: &dyn Backbone) -> Result<()> {
        Ok(())
    }

    /// The values of the frames that it returns, where it gets frames of the values `given`.
    fn layout(&self, given: &Layout) -> Layout {
        Layout::of_feature(given.feature_width())
    }

    /// Support clips: frames `[S, T, E]` with the text of each clip's class `[S, E]` → `[S, T, E]`.
    fn support(&self, frames: Tensor<3>, text: Tensor<2>) -> Tensor<3>;

    /// Queries: `[Q, T, E]` → `[Q, T, E]`.
    fn query(&self, frames: Tensor<3>) -> Tensor<3>;

    /// The part of the module that looks at all clips of an episode, after [`Prototype::support`] and
    /// [`Prototype::query`]. Only called if the scope is [`Scope::Episode`].
    fn relate(&self, features: EpisodeFeatures) -> Related {
        Related { query: features.query, support: features.support.unsqueeze_dim(1) }
    }

    /// Cost of [`Prototype::support`] for frames `[S, T, E]`; `None` where it was not counted.
    fn support_cost(&self, _frames: [usize; 3]) -> Option<Cost> {
        None
    }

    /// Cost of [`Prototype::query`] for frames `[Q, T, E]`; `None` where it was not counted.
    fn query_cost(&self, _frames: [usize; 3]) -> Option<Cost> {
        None
    }

    /// Cost of [`Prototype::relate`] for [`EpisodeFeatures::query`] and [`EpisodeFeatures::support`] of these shapes,
    /// and the shape of [`Related::support`]; `None` where it was not counted.
    fn relate_cost(&self, _query: [usize; 4], _support: [usize; 5]) -> Option<(Cost, [usize; 6])> {
        None
    }
}

clone_boxed!(Prototype, ClonePrototype);

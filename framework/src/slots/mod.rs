//! The slots: places in the model or in the training that a component fills. Each has one trait, in one file.
//!
//! Here belongs the contract of each slot, and the types that the contracts use: modules behind trait objects, costs,
//! explanations. Not here: which components there are (`registry`), and what is built from them (`model`).
//!
//! The section "Contract" of a trait says what every component of the slot must hold. The property tests in
//! `maclip_components::conformance` check it: there is a function `holds` for each slot, which the tests of a component
//! call. Where a contract leaves a choice, the component's test says which one it makes, in the `Traits` of that
//! function.

pub mod adapter;
pub mod alignment;
pub mod augment;
pub mod backbone;
pub mod block;
pub mod cost;
pub mod dataset;
pub mod draws;
pub mod explanation;
pub mod frames;
pub mod launcher;
pub mod layout;
pub mod module;
pub mod objective;
pub mod optimizer;
pub mod prompt;
pub mod prototype;
pub mod resize;
pub mod schedule;

/// What a component's output for one clip depends on. An evaluation computes the output once for each distinct set of
/// these inputs and reuses it, so it decides what is computed once and what in every episode.
///
/// It is a promise: nothing else may have an influence on the output. In particular not the other clips of a batch,
/// their number and their order, except for [`Scope::Episode`]. A scope that is too small makes results wrong without
/// any error, so the property tests compare an evaluation by scopes with one episode by episode, bit for bit. A scope
/// that is too large only costs time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The pixels of the clip and frozen weights. Nothing is trained.
    Frozen,
    /// The clip and trainable weights.
    Clip,
    /// The clip, trainable weights, and, for a support clip, the text of its class.
    LabelledClip,
    /// Also the other clips of the episode.
    Episode,
}

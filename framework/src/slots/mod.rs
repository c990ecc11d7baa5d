//! The slots: places in the graph that a component fills, one trait and one file each.
//!
//! Here belongs the contract of each slot, and the words that the contracts use: modules behind trait objects, costs, explanations.
//! Not here: which components there are (`registry`), and what is built of them (`model`).

pub mod adapter;
pub mod alignment;
pub mod augment;
pub mod backbone;
pub mod cost;
pub mod dataset;
pub mod explanation;
pub mod frames;
pub mod module;
pub mod objective;
pub mod optimizer;
pub mod prompt;
pub mod prototype;
pub mod resize;
pub mod schedule;

/// What a component's output for one clip depends on; decides what is computed once and what every episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Clip pixels and frozen weights.
    Frozen,
    /// One clip and trainable weights.
    Clip,
    /// One clip, its class text (support branch) and trainable weights.
    LabelledClip,
    /// The other clips of the episode.
    Episode,
}

//! The slots: places in the graph that a component fills, one trait and one file each.

pub mod adapter;
pub mod alignment;
pub mod augment;
pub mod backbone;
pub mod dataset;
pub mod frames;
pub mod objective;
pub mod optimizer;
pub mod prompt;
pub mod prototype;
pub mod resize;
pub mod schedule;
pub mod task;

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

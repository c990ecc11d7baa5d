//! The recipe's `compute:`: how the work is done. It changes no result beyond rounding, so it is no part of a run's
//! identity.

use super::device::is_processor;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The value of `compute:`: threads, memory and caches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Compute {
    /// Threads that open clips for the next training steps; 0 opens clips only when they are needed.
    #[schemars(range(max = 256))]
    pub workers: usize,
    /// For how many training steps in advance clips are opened and kept in memory.
    #[schemars(range(max = 1024))]
    pub prefetch: usize,
    /// Episodes of a training step that each device computes at the same time; `null` computes all. Fewer need less
    /// memory.
    #[schemars(range(min = 1))]
    pub episodes_at_once: Option<usize>,
    /// Number of parts of a training episode that are encoded at the same time, each in a thread of its own; `null` is
    /// 4 on a processor, and 1 (the whole episode) on an accelerator.
    #[schemars(range(min = 1, max = 256))]
    pub shards: Option<usize>,
    /// What a training step keeps of the tower for its gradients, and what it computes again.
    pub recompute: Recompute,
    /// Clips of a training episode that are encoded at the same time; `null` is all. Fewer need less memory, and have
    /// to be computed again: with `recompute: none` this counts as `tower`.
    #[schemars(range(min = 1))]
    pub micro_batch: Option<usize>,
    /// Keep only those activations that are expensive to compute, and compute the others again (burn's balanced
    /// checkpointing).
    pub activation_checkpointing: bool,
    /// Keep the output of the backbone's frozen part on disk, for each clip.
    pub feature_cache: bool,
    /// The cache folder: for kept features, and for the clip store unless `clip_store.folder` is given. `null` is
    /// `.cache` in the folder of the runs.
    #[schemars(length(min = 1))]
    pub cache_folder: Option<String>,
    /// Largest size of the kept features in gigabytes. Above it, the oldest are removed.
    #[schemars(range(min = 0.0))]
    pub cache_limit_gb: f64,
    /// A folder on a disk of this machine alone, such as `${env:TMPDIR}`. Clips of the clip store and kept features
    /// that a run needs are copied there once and then read from there. Processes of one machine may share it. `null`
    /// copies nothing.
    #[schemars(length(min = 1))]
    pub local_cache: Option<String>,
    /// Largest size of these copies in gigabytes. Above it, those that were not used for the longest time are removed,
    /// and never those in use.
    #[schemars(range(min = 0.0))]
    pub local_cache_limit_gb: f64,
}

/// What a training step keeps of the tower. It changes no result beyond rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Recompute {
    /// The first of the others that fits the free memory of the device. The manifest says which.
    #[default]
    Auto,
    /// Everything that the gradients need; nothing is computed again.
    None,
    /// The input of each block. Each block is computed again for its gradient.
    Block,
    /// The input of the tower. The tower is computed again for its gradient, part by part: `shards` and `micro_batch`
    /// say how many clips are one.
    Tower,
}

impl Default for Compute {
    fn default() -> Self {
        Self {
            workers: 1,
            prefetch: 2,
            episodes_at_once: None,
            shards: None,
            recompute: Recompute::default(),
            micro_batch: None,
            activation_checkpointing: false,
            feature_cache: true,
            cache_folder: None,
            cache_limit_gb: 10.0,
            local_cache: None,
            local_cache_limit_gb: 50.0,
        }
    }
}

/// Parts of an episode on a processor: enough for the usual number of cores, and few enough that each is worth a
/// thread.
const SHARDS: usize = 4;

impl Compute {
    /// The cache folder, for everything that is kept between runs. `runs` is the folder of all runs.
    pub fn caches(&self, runs: &Path) -> PathBuf {
        self.cache_folder.as_ref().map_or_else(|| runs.join(".cache"), PathBuf::from)
    }

    /// [`Compute::shards`], or its default on the device that the recipe calls `device`.
    pub fn shards_on(&self, device: &str) -> usize {
        self.shards.unwrap_or(if is_processor(device) { SHARDS } else { 1 })
    }
}

//! The recipe's `compute:`, how the work is done. Nothing here changes a result beyond rounding, so it is no part of a run's
//! identity.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Knobs of the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Compute {
    /// Threads that open clips ahead of the training; 0 opens them when they are needed.
    #[schemars(range(max = 256))]
    pub workers: usize,
    /// Training steps whose clips wait ready in memory.
    #[schemars(range(max = 1024))]
    pub prefetch: usize,
    /// Episodes of a step that are computed side by side; `null` computes all of them so. Fewer need less memory.
    #[schemars(range(min = 1))]
    pub episodes_at_once: Option<usize>,
    /// Parts of a training episode whose clips are encoded side by side, each on a thread of its own; `null` is 4 on a processor
    /// and 1, the whole episode, on an accelerator.
    #[schemars(range(min = 1, max = 256))]
    pub shards: Option<usize>,
    /// Clips of a training episode whose activations are held at once; `null` holds all. Fewer need less memory and encode each
    /// clip twice: once for the loss, once for its gradient.
    #[schemars(range(min = 1))]
    pub micro_batch: Option<usize>,
    /// Keep only what is expensive to compute of the activations, and compute the rest again (burn's balanced checkpointing).
    pub activation_checkpointing: bool,
    /// Keep what the frozen part of the backbone makes of a clip on disk.
    pub feature_cache: bool,
    /// Folder of the kept features, and of the kept clips where `clip_store` names no other; `null` is `.cache` in the folder of the
    /// runs.
    #[schemars(length(min = 1))]
    pub cache_folder: Option<String>,
    /// Size of that folder above which the oldest features are removed.
    #[schemars(range(min = 0.0))]
    pub cache_limit_gb: f64,
}

impl Default for Compute {
    fn default() -> Self {
        Self {
            workers: 1,
            prefetch: 2,
            episodes_at_once: None,
            shards: None,
            micro_batch: None,
            activation_checkpointing: false,
            feature_cache: true,
            cache_folder: None,
            cache_limit_gb: 10.0,
        }
    }
}

/// Parts of an episode on a processor: more than a step's usual share of cores, and few enough that each is worth a thread.
const SHARDS: usize = 4;

impl Compute {
    /// Folder of all that is kept between runs; `runs` is the folder of all runs.
    pub fn caches(&self, runs: &Path) -> PathBuf {
        self.cache_folder.as_ref().map_or_else(|| runs.join(".cache"), PathBuf::from)
    }

    /// [`Compute::shards`] on the device that the recipe names.
    pub fn shards_on(&self, device: &str) -> usize {
        let processor = ["flex", "tch:cpu"].contains(&device);
        self.shards.unwrap_or(if processor { SHARDS } else { 1 })
    }
}

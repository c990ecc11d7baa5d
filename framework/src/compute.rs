//! The recipe's `compute:`, how the work is done. Nothing here changes a result beyond rounding, so it is no part of a run's
//! identity. And `precision:`, which is.

use crate::recipe::{Diagnostic, Node, codes};
use serde::{Deserialize, Serialize};

/// Knobs of the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Compute {
    /// Threads that open clips ahead of the training; 0 opens them when they are needed.
    pub workers: usize,
    /// Training steps whose clips wait ready in memory.
    pub prefetch: usize,
    /// Episodes of a step that are computed side by side; `null` computes all of them so. Fewer need less memory.
    pub episodes_at_once: Option<usize>,
    /// Parts of a training episode whose clips are encoded side by side, each on a thread of its own; `null` is 4 on a processor
    /// and 1, the whole episode, on an accelerator.
    pub shards: Option<usize>,
    /// Clips of a training episode whose activations are held at once; `null` holds all. Fewer need less memory and encode each
    /// clip twice: once for the loss, once for its gradient.
    pub micro_batch: Option<usize>,
    /// Keep only what is expensive to compute of the activations, and compute the rest again (burn's balanced checkpointing).
    pub activation_checkpointing: bool,
    /// Keep what the frozen part of the backbone makes of a clip on disk.
    pub feature_cache: bool,
    /// Folder of the kept features; `null` is `.cache` in the folder of the runs.
    pub cache_folder: Option<String>,
    /// Size of that folder above which the oldest features are removed.
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

impl Compute {
    /// Range checks; `node` is `compute` as it was written.
    pub fn check(&self, node: Option<&Node>, problems: &mut Vec<Diagnostic>) {
        let mut wrong = |wrong: bool, field: &str, message: &str| {
            if let Some(node) = node.filter(|_| wrong) {
                let origin = node.at(field).map_or(&node.origin, |value| &value.origin);
                problems.push(
                    Diagnostic::new(codes::OUT_OF_RANGE, format!("`{field}` {message}"))
                        .at(origin)
                        .path(format!("compute.{field}")),
                );
            }
        };
        wrong(self.workers > 256, "workers", "must be at most 256");
        wrong(self.prefetch > 1024, "prefetch", "must be at most 1024");
        wrong(self.episodes_at_once == Some(0), "episodes_at_once", "must be at least 1, or null for all");
        wrong(!(1..=256).contains(&self.shards.unwrap_or(1)), "shards", "must be within 1 and 256");
        wrong(self.micro_batch == Some(0), "micro_batch", "must be at least 1, or null for all");
        let named = self.cache_folder.as_deref();
        wrong(
            named.is_some_and(|name| name.is_empty() || name.starts_with('~')),
            "cache_folder",
            "must be a path, written out; `${env:HOME}/…` stands for a home folder",
        );
        let limit = self.cache_limit_gb;
        wrong(!(limit >= 0.0 && limit.is_finite()), "cache_limit_gb", "must be 0 or above");
    }
}

/// Parts of an episode on a processor: more than a step's usual share of cores, and few enough that each is worth a thread.
const SHARDS: usize = 4;

impl Compute {
    /// [`Compute::shards`] on the device that the recipe names.
    pub fn shards_on(&self, device: &str) -> usize {
        let processor = ["flex", "tch:cpu"].contains(&device);
        self.shards.unwrap_or(if processor { SHARDS } else { 1 })
    }
}

/// Number format of the frozen tower's matrix products. Trainable parts, norms and everything after the tower are f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    #[default]
    F32,
    /// Half the memory of the frozen weights, and faster where the device has units for it.
    Bf16,
}

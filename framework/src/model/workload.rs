//! What a whole run computes and writes, before it is made: the sums that a plan of a study adds up.

use serde::Serialize;

/// FLOPs of an evaluation, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Passes {
    /// Encoding of the clips.
    pub encode: f64,
    /// The episodes beyond their clips: prototypes of several clips, distances, probabilities.
    pub align: f64,
}

/// What one run computes and writes. Counts of FLOPs are those of [`Plan`](super::plan::Plan).
#[derive(Clone, Debug, Default, Serialize)]
pub struct Workload {
    /// Optimizer steps; 0 where nothing is trained.
    pub steps: u64,
    /// FLOPs of all optimizer steps.
    pub training: f64,
    /// FLOPs of all validations.
    pub validation: Passes,
    /// FLOPs of the test.
    pub test: Passes,
    /// FLOPs of the class texts, before the training.
    pub texts: f64,
    /// FLOPs of the features that are kept on disk for every later run with the same clips and the same frozen part.
    /// The first run makes them while it trains and tests.
    pub features: f64,
    /// FLOPs of one frame through the whole tower: small towers use a device less well than large ones.
    pub frame: f64,
    /// Bytes of the decoded clips in the clip store, which runs share.
    pub clip_store_bytes: f64,
    /// Bytes of the kept features, which runs share.
    pub feature_bytes: f64,
    /// Bytes of the checkpoints that stay.
    pub checkpoint_bytes: f64,
    /// Bytes of the records.
    pub record_bytes: f64,
    /// What was assumed, and what is in no sum, as sentences.
    pub notes: Vec<String>,
}

impl Workload {
    /// FLOPs of all passes without gradients over clips.
    pub fn encoding(&self) -> f64 {
        self.validation.encode + self.test.encode
    }

    /// FLOPs of the episodes of all evaluations.
    pub fn aligning(&self) -> f64 {
        self.validation.align + self.test.align
    }
}

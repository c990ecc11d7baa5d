//! What a trained model was made of: its data, the weights that its training began with, and its backbone. An exported
//! model has it in its config, and an imported run in its manifest.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Names of datasets, and checksums of their lists. A number holds for these data alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DataConfig {
    /// The dataset of the training; `None` where nothing was trained or it is not known.
    pub trained: Option<String>,
    /// The dataset of the test; `None` without a test.
    pub tested: Option<String>,
    /// SHA-256 (hex) of the classes and clips of each split that the run used, by the name of the split.
    pub lists: BTreeMap<String, String>,
}

/// Trained weights that a training began with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StartConfig {
    /// The last part of the path of their run, or of their model folder.
    pub name: String,
    /// SHA-256 (hex) of the weights.
    pub sha256: String,
}

/// A backbone, and how to know it again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BackboneConfig {
    /// What the recipe names: the address on a hub, `builtin:NAME`, or the name of the file; `None` where it names
    /// none.
    #[serde(default)]
    pub source: Option<String>,
    /// Sizes, as the backbone writes them into its own files; `null` where it writes none.
    pub architecture: Value,
    /// SHA-256 (hex) of its files, by name, as the run's manifest has them.
    pub weights: BTreeMap<String, String>,
    /// SHA-256 (hex) of its tensors, whatever file they lie in: see
    /// [`tensors_sha256`](super::model_folder::tensors_sha256).
    pub tensors_sha256: String,
    /// Its file in this folder, where it came along.
    pub file: Option<String>,
    /// Words of a small vocabulary, by which texts become tokens; `None` for OpenAI's byte pairs.
    pub vocabulary: Option<Vec<String>>,
}

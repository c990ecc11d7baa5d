//! The recipe's `clip_store:`: where and how decoded frames are kept.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The value of `clip_store:`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClipStoreOptions {
    /// Keep decoded frames on disk, and check every clip before the training begins. With `false` each clip is decoded
    /// whenever it is needed, and a broken clip stops the run when it is reached.
    #[serde(rename = "use")]
    pub on: bool,
    /// The folder; `null` is `clips` in the cache folder, which is `compute.cache_folder` or `.cache` in the folder of
    /// the runs. Several recipes and processes may use the same one.
    #[schemars(length(min = 1))]
    pub folder: Option<String>,
    /// Largest size in gigabytes. Above it, the packs that were not used for the longest time are removed. Clips that
    /// do not fit are decoded whenever they are needed.
    #[schemars(range(min = 0.0))]
    pub limit_gb: f64,
    /// How frames are stored.
    pub format: Format,
}

impl ClipStoreOptions {
    /// The folder of the clips. `caches` is [`Compute::caches`](super::compute::Compute::caches).
    pub fn folder(&self, caches: &Path) -> PathBuf {
        self.folder.as_ref().map_or_else(|| caches.join("clips"), PathBuf::from)
    }
}

impl Default for ClipStoreOptions {
    fn default() -> Self {
        Self { on: true, folder: None, limit_gb: 50.0, format: Format::Raw }
    }
}

/// The form of stored frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Every pixel as it was decoded: three bytes for each pixel.
    #[default]
    Raw,
    /// JPEG of quality 95 without colour subsampling: about a tenth of the space. Pixels change a little, and so
    /// results differ from those of `raw`; the format is part of a run's identity.
    Jpeg,
}

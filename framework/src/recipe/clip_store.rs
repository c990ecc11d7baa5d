//! The recipe's `clip_store:`, where and how decoded frames are kept.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// `clip_store:` of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClipStoreOptions {
    /// Keep decoded frames, and look at every clip before the training begins. Off decodes each clip whenever it is needed, and a
    /// broken one stops the run when it is met.
    #[serde(rename = "use")]
    pub on: bool,
    /// Where; `null` is `clips` beside the kept features, in `.cache` of the folder of the runs. Several recipes and processes may
    /// share one.
    #[schemars(length(min = 1))]
    pub folder: Option<String>,
    /// Size above which packs that nobody used for longest are removed. Clips that do not fit are decoded whenever they are needed.
    #[schemars(range(min = 0.0))]
    pub limit_gb: f64,
    /// How frames are written down.
    pub format: Format,
}

impl ClipStoreOptions {
    /// Where clips are kept; `caches` is the folder of all that is kept between runs.
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
    /// Every pixel as it was decoded: three bytes each.
    #[default]
    Raw,
    /// JPEG of quality 95 without colour subsampling: about a tenth of the room. It changes pixels a little, so results differ from
    /// those of `raw`, and it is part of a run's identity.
    Jpeg,
}

//! The file `embedding.json` of a run, as types.

use crate::error::Result;
use crate::runs::read::read_json;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Clips of the test as points of a plane: before the training, and as its result compares them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Embedding {
    /// [`Embedding::FORMAT`] of the program that wrote the file.
    pub format: u32,
    /// The clips, ordered by class.
    pub clips: Vec<EmbeddedClip>,
    /// One for each stage, in their order.
    pub maps: Vec<Map>,
}

impl Embedding {
    /// Name of the file in a run directory.
    pub const FILE: &'static str = "embedding.json";
    /// Version of this file's format.
    pub const FORMAT: u32 = 1;

    /// The embedding of the run directory `run`; `None` where none was written.
    ///
    /// # Errors
    /// Where the file is damaged or cannot be read.
    pub fn read(run: &Path) -> Result<Option<Self>> {
        read_json(&run.join(Self::FILE))
    }
}

/// A clip of an [`Embedding`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmbeddedClip {
    /// The clip id.
    pub id: String,
    /// Its class.
    pub class: String,
}

/// Which features a map is of: means over the frames of a clip, as unit vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// What the backbone gave before the first training step.
    Before,
    /// What the alignment compares with the weights that were tested: the query branch, behind the prototype module.
    After,
}

/// The clips at one stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Map {
    /// Whose features they are.
    pub stage: Stage,
    /// The share of the clips whose nearest other clip, by the cosine of all values of the features, has the same
    /// class. Unlike the points of a plane it loses nothing.
    pub nearest_is_same_class: f64,
    /// The first two principal components.
    pub pca: Vec<[f32; 2]>,
    /// The shares of the variance that they have.
    pub variance: [f64; 2],
    /// The same clips by t-SNE, begun at `pca`; empty where they are too few for it.
    pub tsne: Vec<[f32; 2]>,
}

//! The file `examples/examples.json` of a run, as types.

use crate::error::Result;
use crate::runs::read::read_json;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A few queries of the test, for a person to look at: the frames that the model saw, and what it found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Examples {
    /// [`Examples::FORMAT`] of the program that wrote the file.
    pub format: u32,
    /// Frames T of a clip.
    pub frames: usize,
    /// What [`ExampleAlignment::weights`] are, in a few words for a caption.
    pub explanation: String,
    /// The picture of each clip: the name of a JPEG file beside this one. It has the T frames side by side, each 64 ×
    /// 64 pixels, as the model saw them before normalisation. The key is the clip id; where the test picks frames at
    /// random for every episode, it is `<clip id> in episode <number>`, here and in the examples.
    pub clips: BTreeMap<String, String>,
    /// Ordered by rule, then by how clear a case is, the clearest first.
    pub examples: Vec<Example>,
}

impl Examples {
    /// The folder in a run directory that has the file and the pictures.
    pub const FOLDER: &'static str = "examples";
    /// Name of the file in that folder.
    pub const FILE: &'static str = "examples.json";
    /// Version of this file's format.
    pub const FORMAT: u32 = 2;

    /// The examples of the run directory `run`; `None` where none were written.
    ///
    /// # Errors
    /// Where the file is damaged or cannot be read.
    pub fn read(run: &Path) -> Result<Option<Self>> {
        read_json(&run.join(Self::FOLDER).join(Self::FILE))
    }
}

/// Why a query was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A wrong prediction with a high probability.
    ConfidentMistake,
    /// The two highest probabilities lie close together.
    CloseCall,
    /// Drawn at random. The seed is the hash of the episode list.
    Random,
}

/// One query of one episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// Why it was chosen.
    pub rule: Rule,
    /// The `id` of its episode in `episodes.jsonl`.
    pub episode: u64,
    /// Key of the query in [`Examples::clips`].
    pub query: String,
    /// The true class, as a position in `classes`.
    pub label: usize,
    /// The predicted class, as a position in `classes`.
    pub prediction: usize,
    /// The classes of the episode, in its order.
    pub classes: Vec<ExampleClass>,
    /// What the prediction depends on; only for the first example of a rule, where the test was asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occlusion: Option<Occlusion>,
}

/// Where the model looks in the frames of a query: how much the prediction depends on each place.
///
/// Each frame is cut into `side`² cells. One cell of one frame at a time is covered with the mean colour that pixels
/// are normalised by, and the query is judged again (Zeiler and Fergus, arXiv 1311.2901, section 4.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Occlusion {
    /// Cells along a side of a frame.
    pub side: usize,
    /// By how much the probability of the predicted class falls where a cell is covered, −1 to 1, rounded to four
    /// decimals: T rows of `side`² cells, in row-major order.
    pub falls: Vec<Vec<f32>>,
}

/// One class of the episode of an [`Example`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExampleClass {
    /// The class text.
    pub name: String,
    /// Keys of its K support clips in [`Examples::clips`].
    pub support: Vec<String>,
    /// Distance of the query to this class, as in `episodes.jsonl`.
    pub distance: f32,
    /// Probability of this class, as in `episodes.jsonl`.
    pub probability: f32,
    /// How the frames were aligned. Only for the true class and the predicted one.
    pub alignment: Option<ExampleAlignment>,
}

/// The frames of the query against the frames of one class: T rows, S columns.
///
/// S is K · T, the frames of one shot after the other; or T, where the metric or the prototype module averages the
/// shots. The features are those that the metric gets. All values are rounded to four decimals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExampleAlignment {
    /// 1 − cosine of the two frames, 0 to 2.
    pub costs: Vec<Vec<f32>>,
    /// How much the distance depends on the two frames, 0 to 1; see
    /// [`crate::slots::explanation::Explanation::weights`].
    pub weights: Vec<Vec<f32>>,
}

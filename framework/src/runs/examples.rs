//! `examples/examples.json`, as types.

use crate::error::Result;
use crate::runs::read::read_json;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Queries of the test to look at, with what the model saw and found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Examples {
    /// [`Examples::FORMAT`] of the program that wrote it.
    pub format: u32,
    /// Frames T of a clip.
    pub frames: usize,
    /// What the weights of an [`ExampleAlignment`] are, in a few words.
    pub explanation: String,
    /// The strip of each clip, a file beside this one: a JPEG of its T frames side by side, each 64 pixels high and wide, as the
    /// model saw them before normalisation. Where the test draws frames for every episode, a clip is called `<clip id> in episode
    /// <number>`, here and below.
    pub clips: BTreeMap<String, String>,
    /// By rule, and within a rule the plainest case first.
    pub examples: Vec<Example>,
}

impl Examples {
    /// Where they are in a run directory, with the strips beside them.
    pub const FOLDER: &'static str = "examples";
    pub const FILE: &'static str = "examples.json";
    /// Version of this file's format.
    pub const FORMAT: u32 = 2;

    /// Those of the run in `run`; `None` where none were written.
    pub fn read(run: &Path) -> Result<Option<Self>> {
        read_json(&run.join(Self::FOLDER).join(Self::FILE))
    }
}

/// Why a query was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A wrong prediction of high probability.
    ConfidentMistake,
    /// The two highest probabilities lie close together.
    CloseCall,
    /// Drawn, by the hash of the episode list.
    Random,
}

/// One query of one episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    pub rule: Rule,
    /// Its `id` in `episodes.jsonl`.
    pub episode: u64,
    /// Clip id.
    pub query: String,
    /// Positions in `classes`.
    pub label: usize,
    pub prediction: usize,
    /// The episode's, in its order.
    pub classes: Vec<ExampleClass>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExampleClass {
    pub name: String,
    /// Clip ids of its K shots.
    pub support: Vec<String>,
    /// Of the query to this class, as in `episodes.jsonl`.
    pub distance: f32,
    pub probability: f32,
    /// Given for the true class and for the predicted one.
    pub alignment: Option<ExampleAlignment>,
}

/// The query's frames against the class's: T rows, S columns. S is K · T, the frames of one shot after the other; or T where the
/// metric or the prototype module averages the shots. Features are those that the metric sees. Rounded to four decimals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExampleAlignment {
    /// 1 − cosine of two frames.
    pub costs: Vec<Vec<f32>>,
    /// How much the distance rests on two frames, see [`crate::slots::explanation::Explanation::weights`].
    pub weights: Vec<Vec<f32>>,
}

//! The files of a run directory, as types. Writers are in [`crate::runs::store`]; `reports` reads these and nothing else.
//!
//! ```text
//! <runs>/<recipe name>/<variant>-s<seed>-<hash8>/
//!   recipe.resolved.yaml  manifest.json  params.json
//!   train.jsonl  validation.jsonl  episodes.jsonl      append-only, one record a line
//!   examples/{examples.json, *.jpg}                   test queries to look at
//!   checkpoints/step-<number>/                        the newest, and the best on val
//!   status.json                                        written last
//! ```

use crate::error::{Error, Result};
use crate::files::number_or_null;
use crate::progress::Validated;
use crate::recipe::expectation::{Expectation, TestResult};
use crate::recipe::study::{Skipped, StudyRun};
use crate::runs::read::read_json;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Version of the record format. Older ones are read, a newer one is refused.
///
/// 1: times stood in the lines of `train.jsonl` and `validation.jsonl`, and the command of one attempt in the manifest.
/// 2: attempts with their own times, under the key `sittings`; test episodes with distances and probabilities.
/// 3: the key `attempts`.
pub const FORMAT: u32 = 3;

/// `manifest.json`: what was run, where and with what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// Name of the recipe.
    pub name: String,
    /// Name of the study's variant; `default` without a study.
    pub variant: String,
    pub seed: u64,
    /// Identity of the run: SHA-256 (hex) of the resolved recipe without the knobs that cannot change a result.
    pub hash: String,
    /// `few_shot`, `contrastive`, …
    pub task: String,
    /// The chosen component of each slot.
    pub components: BTreeMap<String, String>,
    /// SHA-256 of each weights file that was read, by its name in the recipe.
    #[serde(default)]
    pub weights: BTreeMap<String, String>,
    /// SHA-256 of each split's classes and clips.
    #[serde(default)]
    pub lists: BTreeMap<String, String>,
    /// Things a reader of the result has to know (skipped clips, stand-in data, …).
    #[serde(default)]
    pub notes: Vec<String>,
    /// One for each process that worked on the run, in order.
    #[serde(default, alias = "attempts")]
    pub attempts: Vec<Attempt>,
}

/// One process that worked on a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub maclip_version: String,
    /// Commit that the binary was built from, where it was built in a repository; `+` where files differed from it.
    #[serde(default)]
    pub commit: Option<String>,
    /// Cargo features of the binary.
    pub features: Vec<String>,
    pub device: String,
    /// Name of the processor, or of the accelerator where the device is one and tells.
    pub cpu: String,
    #[serde(default)]
    pub accelerator: Option<String>,
    pub threads: usize,
    pub argv: Vec<String>,
    pub started_unix: u64,
    /// Optimizer steps that earlier attempts had done.
    #[serde(default)]
    pub first_step: u64,
    /// Seconds of wall clock in training (validation included) and testing.
    #[serde(default)]
    pub seconds: Seconds,
    /// Thread-seconds of each phase (`data`, `encode`, `backward`, …).
    #[serde(default)]
    pub phases: BTreeMap<String, f64>,
    /// Largest resident memory of the process while it worked on this run.
    #[serde(default)]
    pub peak_memory_bytes: Option<u64>,
}

impl Manifest {
    /// Name of the file in a run directory.
    pub const FILE: &'static str = "manifest.json";

    /// The manifest in `directory`, of this format or an older one; `None` where there is none.
    pub fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(Self::FILE);
        let Some(value) = read_json::<serde_json::Value>(&path)? else { return Ok(None) };
        let format = value["format"].as_u64().unwrap_or_default();
        if format > FORMAT as u64 {
            return Err(Error::failed(format!(
                "{} has record format {format}; this maclip reads up to {FORMAT}",
                directory.display()
            ))
            .help("use the maclip version that wrote it, or a newer one"));
        }
        let unreadable = |error| Error::failed(format!("{} cannot be read: {error}", path.display()));
        let mut manifest: Self = serde_json::from_value(value.clone()).map_err(unreadable)?;
        if format == 1 {
            // The fields of the only attempt stood beside the others.
            manifest.attempts = vec![serde_json::from_value(value).map_err(unreadable)?];
        }
        Ok(Some(manifest))
    }

    /// The process that worked on the run last.
    pub fn last_attempt(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// Wall-clock seconds over all attempts.
    pub fn seconds(&self) -> Seconds {
        self.attempts.iter().fold(Seconds::default(), |sum, attempt| Seconds {
            train: sum.train + attempt.seconds.train,
            test: sum.test + attempt.seconds.test,
        })
    }
}

/// One line of `train.jsonl`: one optimizer step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainRecord {
    /// Steps done, from 1.
    pub step: u64,
    pub loss: f64,
    /// Terms of the loss by name (`q2s`, `s2t`, `q2t`).
    pub parts: BTreeMap<String, f64>,
    /// Accuracy of the step's episodes (of its batch in the contrastive task), 0 to 1.
    pub accuracy: f64,
    pub learning_rate: f64,
    /// Global L2 norm of the gradient before clipping.
    pub gradient_norm: f64,
}

/// What a learning curve needs of a [`TrainRecord`]; the rest of the line is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct TrainLoss {
    pub step: u64,
    /// Not a number where the record has `null`, which is how JSON writes that.
    #[serde(deserialize_with = "number_or_null")]
    pub loss: f64,
}

/// One line of `validation.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationRecord {
    pub step: u64,
    /// 0 to 1.
    pub accuracy: f64,
    /// Half width of the 95 % interval over episodes, 0 to 1.
    pub ci95: f64,
    pub episodes: u64,
    /// Whether this is the best so far, so that the checkpoint was kept.
    pub best: bool,
}

impl From<&ValidationRecord> for Validated {
    fn from(record: &ValidationRecord) -> Self {
        let ValidationRecord { step, accuracy, ci95, best, .. } = *record;
        Self { step, accuracy, ci95, best }
    }
}

/// One line of `episodes.jsonl`: one test episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpisodeRecord {
    pub id: u64,
    /// Names of the episode's classes; labels and predictions are positions in this list.
    pub classes: Vec<String>,
    /// Support clips of each class.
    pub support: Vec<Vec<String>>,
    pub queries: Vec<String>,
    pub labels: Vec<usize>,
    pub predictions: Vec<usize>,
    /// Number of right predictions.
    pub correct: usize,
    /// Alignment distance of each query to each class, `[query][class]`. Empty in format 1.
    #[serde(default)]
    pub distances: Vec<Vec<f32>>,
    /// Probability of each class that the prediction was made by, `[query][class]`. Empty in format 1.
    #[serde(default)]
    pub probabilities: Vec<Vec<f32>>,
}

/// One item of `<runs>/<recipe name>/left_out.json`: a run that the preset of the last `maclip run` left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    pub variant: String,
    pub seed: u64,
    pub reason: String,
    /// What the run would be held against.
    #[serde(default)]
    pub expect: Vec<Expectation>,
}

impl LeftOut {
    pub const FILE: &'static str = "left_out.json";

    /// For the report.
    pub fn new(skipped: &Skipped) -> Self {
        let StudyRun { variant, recipe } = &skipped.run;
        Self {
            variant: variant.clone(),
            seed: recipe.seed,
            reason: skipped.reason.clone(),
            expect: recipe.expect.clone(),
        }
    }

    /// Those in `folder`, that of a recipe's runs.
    pub fn read(folder: &Path) -> Result<Vec<Self>> {
        Ok(read_json(&folder.join(Self::FILE))?.unwrap_or_default())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Running,
    Done,
    Failed,
    Interrupted,
}

impl State {
    /// `running`, `done`, `failed` or `interrupted`.
    pub fn name(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Done => "done",
            State::Failed => "failed",
            State::Interrupted => "interrupted",
        }
    }
}

/// `status.json`: how far the run is; written last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub format: u32,
    pub state: State,
    /// Why a run failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub test: Option<TestResult>,
    /// Step of the checkpoint that was tested.
    pub best_step: Option<u64>,
    /// Over all attempts.
    pub seconds: Seconds,
    pub updated_unix: u64,
}

impl Status {
    /// Without a result.
    pub fn new(state: State) -> Self {
        Self {
            format: FORMAT,
            state,
            reason: None,
            test: None,
            best_step: None,
            seconds: Seconds::default(),
            updated_unix: 0,
        }
    }
}

/// Time spent, summed over all attempts of a resumed run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    pub train: f64,
    pub test: f64,
}

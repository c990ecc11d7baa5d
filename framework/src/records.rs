//! The files of a run directory, as types. Writers are in [`crate::store`]; `reports` reads these and nothing else.
//!
//! ```text
//! <runs>/<recipe name>/<variant>-s<seed>-<hash8>/
//!   recipe.resolved.yaml  manifest.json  params.json
//!   train.jsonl  validation.jsonl  episodes.jsonl      append-only, one record a line
//!   examples/{examples.json, *.jpg}                   test queries to look at
//!   checkpoints/step-<number>/                        the newest, and the best on val
//!   status.json                                        written last
//! ```

pub use crate::examples::record::{Example, ExampleAlignment, ExampleClass, Examples, Rule};

use crate::error::{Error, Result};
use crate::expectation::Expectation;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Version of the record format. Older ones are read, a newer one is refused.
///
/// 1: times stood in the lines of `train.jsonl` and `validation.jsonl`, and one sitting's command in the manifest.
/// 2: sittings with their own times; test episodes with distances and probabilities.
pub const FORMAT: u32 = 2;

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
    #[serde(default)]
    pub sittings: Vec<Sitting>,
}

/// One process that worked on a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sitting {
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
    /// Optimizer steps that earlier sittings had done.
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
    /// The manifest in `directory`, of this format or an older one; `None` where there is none.
    pub fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join("manifest.json");
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
            // The fields of the only sitting stood beside the others.
            manifest.sittings = vec![serde_json::from_value(value).map_err(unreadable)?];
        }
        Ok(Some(manifest))
    }

    /// The process that worked on the run last.
    pub fn last_sitting(&self) -> Option<&Sitting> {
        self.sittings.last()
    }

    /// Wall-clock seconds over all sittings.
    pub fn seconds(&self) -> Seconds {
        self.sittings.iter().fold(Seconds::default(), |sum, sitting| Seconds {
            train: sum.train + sitting.seconds.train,
            test: sum.test + sitting.seconds.test,
        })
    }
}

/// `params.json`: counted from the built model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Params {
    pub trainable: usize,
    pub total: usize,
    /// One entry for each part of a component, in the order of the model.
    pub parts: Vec<ParamsPart>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ParamsPart {
    pub slot: String,
    /// Part inside the component, such as `temporal`; equals the slot where the component has one part.
    pub part: String,
    pub trainable: usize,
    pub total: usize,
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
    /// Over all sittings.
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestResult {
    /// What is measured: `accuracy` of episodes, or `recall_at_1` of the contrastive task's held-out retrieval. 0 to 1.
    pub metric: String,
    #[serde(deserialize_with = "number_or_null")]
    pub value: f64,
    /// Half width of the 95 % interval over episodes given these videos: 1.96 · s / √n. 0 to 1.
    #[serde(deserialize_with = "number_or_null")]
    pub ci95: f64,
    /// Episodes (or retrieval queries).
    pub episodes: u64,
    /// SHA-256 of the episode list: equal hashes mean paired results.
    pub episodes_hash: String,
    pub way: usize,
    pub shot: usize,
}

/// Time spent, summed over all sittings of a resumed run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    pub train: f64,
    pub test: f64,
}

/// A run directory, opened for reading. Records are read on demand.
#[derive(Clone, Debug)]
pub struct RunDirectory {
    pub path: PathBuf,
    pub manifest: Manifest,
    pub params: Option<Params>,
    pub status: Option<Status>,
}

impl RunDirectory {
    /// Opens `path`, which must hold a `manifest.json`; parts that are not written yet are `None`.
    pub fn open(path: &Path) -> Result<Self> {
        let manifest = Manifest::read(path)?
            .ok_or_else(|| Error::failed(format!("{} is not a run directory: no manifest.json", path.display())))?;
        Ok(Self {
            path: path.to_owned(),
            params: read_json(&path.join("params.json"))?,
            status: read_json(&path.join("status.json"))?,
            manifest,
        })
    }

    /// Paths of all run directories at or below `root`, sorted. Hidden folders are passed over.
    pub fn paths(root: &Path) -> Result<Vec<PathBuf>> {
        if root.join("manifest.json").is_file() {
            return Ok(vec![root.to_owned()]);
        }
        let entries = std::fs::read_dir(root).map_err(|error| {
            Error::io("read", root, error)
                .help("`maclip run RECIPE` makes runs in `runs`; or name the folder that holds them")
        })?;
        let hidden = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with('.');
        let mut children: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok())
            .filter(|entry| !hidden(entry) && entry.file_type().is_ok_and(|kind| !kind.is_file()))
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect();
        children.sort();
        let mut found = Vec::new();
        for child in children {
            found.extend(Self::paths(&child)?);
        }
        Ok(found)
    }

    /// All run directories at or below `root`, sorted by path: each, or why it cannot be read.
    pub fn find(root: &Path) -> Result<Vec<Result<Self>>> {
        Ok(Self::paths(root)?.iter().map(|path| Self::open(path)).collect())
    }

    /// How far the run is. One whose process is gone without a word was interrupted.
    pub fn state(&self) -> Option<State> {
        match self.status.as_ref()?.state {
            State::Running if !crate::store::in_use(&self.path) => Some(State::Interrupted),
            state => Some(state),
        }
    }

    /// Result of the test, where the run is done.
    pub fn test(&self) -> Option<&TestResult> {
        self.status.as_ref()?.test.as_ref()
    }

    /// Optimizer steps that `train.jsonl` tells of.
    pub fn last_step(&self) -> Result<u64> {
        use std::io::{Read, Seek, SeekFrom};
        let path = self.path.join("train.jsonl");
        let mut file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(Error::io("read", &path, error)),
        };
        // The last whole line lies in the last few kilobytes.
        let mut tail = Vec::new();
        let length = file.metadata().map_or(0, |data| data.len());
        file.seek(SeekFrom::Start(length.saturating_sub(64 * 1024)))
            .and_then(|_| file.read_to_end(&mut tail))
            .map_err(|error| Error::io("read", &path, error))?;
        let end = tail.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        let line = tail[..end].rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        Ok(serde_json::from_slice::<TrainRecord>(line).map_or(0, |record| record.step))
    }

    pub fn train(&self) -> Result<Vec<TrainRecord>> {
        read_lines(&self.path.join("train.jsonl"))
    }

    pub fn validation(&self) -> Result<Vec<ValidationRecord>> {
        read_lines(&self.path.join("validation.jsonl"))
    }

    pub fn episodes(&self) -> Result<Vec<EpisodeRecord>> {
        read_lines(&self.path.join("episodes.jsonl"))
    }

    /// [`RunDirectory::train`], the losses alone.
    pub fn losses(&self) -> Result<Vec<TrainLoss>> {
        read_lines(&self.path.join("train.jsonl"))
    }

    /// The examples of the test; `None` where none were written.
    pub fn examples(&self) -> Result<Option<Examples>> {
        Examples::read(&self.path)
    }

    /// The resolved recipe as it was frozen.
    pub fn recipe(&self) -> Result<String> {
        let path = self.path.join("recipe.resolved.yaml");
        std::fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))
    }
}

/// JSON has no word for what is not a number and writes `null`.
fn number_or_null<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// A JSON file, or `None` where it does not exist.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Error::failed(format!("{} cannot be read: {error}", path.display())).help(
                "mend the file or move it away; `maclip run` writes it anew and goes on from the newest checkpoint",
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

/// The records of an append-only file; empty where it does not exist. A last line without its line end was cut by a
/// crash and is left out; any other damage is an error that names the line.
pub fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let mut records = Vec::new();
    each_line(path, |line| {
        records.push(serde_json::from_str(line).map_err(|error| error.to_string())?);
        Ok(())
    })?;
    Ok(records)
}

/// Gives `take` every line of an append-only file, as [`read_lines`] reads them; what it refuses becomes an error that names the line.
pub fn each_line(path: &Path, mut take: impl FnMut(&str) -> std::result::Result<(), String>) -> Result<()> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", path, error)),
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().enumerate().try_for_each(|(number, line)| {
        take(line).map_err(|reason| {
            Error::failed(format!("{}:{}: {reason}", path.display(), number + 1))
                .help("mend the line, or remove it and all after it: the run then goes on from the checkpoint before")
        })
    })
}

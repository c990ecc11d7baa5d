//! The files of a run directory, as types. Writers are in [`crate::store`]; `reports` reads these and nothing else.
//!
//! ```text
//! <runs>/<recipe name>/<variant>-s<seed>-<hash8>/
//!   recipe.resolved.yaml  manifest.json  params.json  episodes.json
//!   train.jsonl  validation.jsonl  episodes.jsonl      append-only, one record a line
//!   checkpoints/{last,best}/
//!   status.json                                        written last
//! ```

use crate::error::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Version of the record format; a reader refuses a newer one.
pub const FORMAT: u32 = 1;

/// `manifest.json`: what was run, where and with what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    pub maclip_version: String,
    /// Cargo features of the binary.
    pub features: Vec<String>,
    pub device: String,
    pub cpu: String,
    pub threads: usize,
    pub argv: Vec<String>,
    pub started_unix: u64,
    /// SHA-256 of each weights file that was read, by its name in the recipe.
    #[serde(default)]
    pub weights: BTreeMap<String, String>,
    /// Things a reader of the result has to know (skipped clips, stand-in data, …).
    #[serde(default)]
    pub notes: Vec<String>,
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
    pub seconds: f64,
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
    pub seconds: f64,
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
    pub seconds: Seconds,
    pub updated_unix: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestResult {
    /// What is measured: `accuracy` of episodes, or `recall_at_1` of the contrastive task's held-out retrieval. 0 to 1.
    pub metric: String,
    pub value: f64,
    /// Half width of the 95 % interval over episodes given these videos: 1.96 · s / √n. 0 to 1.
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
        let manifest: Manifest = read_json(&path.join("manifest.json"))?
            .ok_or_else(|| Error::failed(format!("{} is not a run directory: no manifest.json", path.display())))?;
        if manifest.format > FORMAT {
            return Err(Error::failed(format!(
                "{} has record format {}; this maclip reads up to {FORMAT}",
                path.display(),
                manifest.format
            ))
            .help("use the maclip version that wrote it, or a newer one"));
        }
        Ok(Self {
            path: path.to_owned(),
            params: read_json(&path.join("params.json"))?,
            status: read_json(&path.join("status.json"))?,
            manifest,
        })
    }

    /// All run directories at or below `root`, sorted by path.
    pub fn find(root: &Path) -> Result<Vec<Self>> {
        if root.join("manifest.json").is_file() {
            return Ok(vec![Self::open(root)?]);
        }
        let entries = std::fs::read_dir(root).map_err(|error| Error::io("read", root, error))?;
        let mut children: Vec<PathBuf> =
            entries.filter_map(|entry| entry.ok()).map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        children.sort();
        let mut found = Vec::new();
        for child in children {
            found.extend(Self::find(&child)?);
        }
        Ok(found)
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

    /// The resolved recipe as it was frozen.
    pub fn recipe(&self) -> Result<String> {
        let path = self.path.join("recipe.resolved.yaml");
        std::fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))
    }
}

/// A JSON file, or `None` where it does not exist.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| Error::failed(format!("{} cannot be read: {error}", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

/// The records of an append-only file; empty where it does not exist. A last line without its line end was cut by a
/// crash and is left out; any other damage is an error that names the line.
pub fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", path, error)),
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .enumerate()
        .map(|(number, line)| {
            serde_json::from_str(line)
                .map_err(|error| Error::failed(format!("{}:{}: {error}", path.display(), number + 1)))
        })
        .collect()
}

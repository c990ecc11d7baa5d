//! The files of a run directory, as types. [`crate::runs::store`] writes them. Reports are made from them alone.
//!
//! ```text
//! <runs>/<recipe name>/<variant>-s<seed>-<hash8>/
//!   recipe.resolved.yaml  manifest.json  params.json
//!   train.jsonl  validation.jsonl  episodes.jsonl      append-only, one record a line
//!   examples/{examples.json, *.jpg}                    a few test queries to look at
//!   checkpoints/step-<number>/                         the newest, and the best on val
//!   status.json                                        written last
//! ```

use crate::error::{Error, Result};
use crate::files::{number_or_null, sha256};
use crate::progress::Validated;
use crate::recipe::expectation::{Expectation, TestResult};
use crate::recipe::study::{Order, Shown, Skipped, StudyRun};
use crate::runs::provenance::{BackboneConfig, DataConfig, StartConfig};
use crate::runs::read::read_json;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Version of the record format. Older versions are read, a newer one is refused.
///
/// 1: times are in the lines of `train.jsonl` and `validation.jsonl`; the manifest has the command of one attempt.
/// 2: the manifest has attempts with their own times, under the key `sittings`; test episodes have distances and
///    probabilities.
/// 3: the key is `attempts`.
pub const FORMAT: u32 = 3;

/// `manifest.json`: what was run, where and with what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// Name of the recipe.
    pub name: String,
    /// Name of the study's variant; `default` without a study.
    pub variant: String,
    /// The seed of the run.
    pub seed: u64,
    /// Identity of the run: SHA-256 (hex) of the resolved recipe without the options that cannot change a result.
    pub hash: String,
    /// The chosen task: `few_shot`, `contrastive`, …
    pub task: String,
    /// The chosen component of each slot, by the name of the slot.
    pub components: BTreeMap<String, String>,
    /// SHA-256 (hex) of each weights file that was read, by its name in the recipe, and of each config, by its path.
    #[serde(default)]
    pub weights: BTreeMap<String, String>,
    /// Of weights of the hub, the address of the very content that was read, `hf:OWNER/NAME@COMMIT/FILE`, by the name
    /// that [`Manifest::weights`] has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pinned: BTreeMap<String, String>,
    /// Values that the weights' files decided and not the recipe, with the place that says each, by the path of the
    /// option that could set it: `backbone.vision_heads` is `12 (config.json)`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// SHA-256 (hex) of the classes and clips of each split, by the name of the split.
    #[serde(default)]
    pub lists: BTreeMap<String, String>,
    /// SHA-256 (hex) of the contents of all clips that the run may open; `None` where they are made by code. The clips
    /// are in [`Contents::file`] beside the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clips: Option<String>,
    /// Where the trained tensors come from, of a run that `maclip import` made. It trained nothing here and has no
    /// result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
    /// Sentences that a reader of the result must know: clips that were left out, data that stands in for other data, …
    #[serde(default)]
    pub notes: Vec<String>,
    /// One for each process that worked on the run, in order.
    #[serde(default, alias = "sittings")]
    pub attempts: Vec<Attempt>,
}

/// Where the tensors of an imported run come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Imported {
    /// The model folder.
    pub folder: String,
    /// Identity of the run that was exported.
    pub hash: String,
    /// Whether its tensors were changed after the export.
    pub changed: bool,
    /// The result of that run, where it had one. It was not measured here.
    pub test: Option<TestResult>,
    /// What that run was trained on, and what its result was measured on.
    #[serde(default)]
    pub data: DataConfig,
    /// The trained weights that the training began with.
    #[serde(default)]
    pub start: Option<StartConfig>,
    /// The backbone that the tensors were trained on, as that run names it.
    #[serde(default)]
    pub backbone: Option<BackboneConfig>,
    /// SHA-256 (hex) of the recipe that came with the tensors, which is in [`Imported::RECIPE`].
    #[serde(default)]
    pub recipe_sha256: Option<String>,
}

impl Imported {
    /// Name of the file in the run directory with the recipe of the run that was exported, as it came.
    pub const RECIPE: &str = "recipe.imported.yaml";
}

/// SHA-256 (hex) of the content of each clip, by its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Contents(pub BTreeMap<String, String>);

impl Contents {
    /// SHA-256 (hex) of all; `None` where no clip has a content.
    pub fn sum(&self) -> Option<String> {
        let lines: String = self.0.iter().map(|(clip, sum)| format!("{sum} {clip}\n")).collect();
        (!self.0.is_empty()).then(|| sha256(lines.as_bytes()))
    }

    /// Name of the file with the contents of this [`Contents::sum`], in the folder of a recipe's runs, which share it.
    pub fn file(sum: &str) -> String {
        let digits: String = sum.chars().filter(char::is_ascii_hexdigit).take(12).collect();
        format!("clips-{digits}.json")
    }

    /// Ids of the clips that have another content in `now`. What one of the two lacks cannot be compared.
    fn changed<'a>(&'a self, now: &Self) -> Vec<&'a str> {
        let other = |(clip, sum): &(&String, &String)| now.0.get(*clip).is_some_and(|now| now != *sum);
        self.0.iter().filter(other).map(|(clip, _)| clip.as_str()).collect()
    }
}

/// SHA-256 (hex) of each weights file and of each list, by the names that the manifest has, and the contents of the
/// clips.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// As [`Manifest::weights`].
    pub weights: BTreeMap<String, String>,
    /// As [`Manifest::lists`].
    pub lists: BTreeMap<String, String>,
    /// As [`Manifest::clips`].
    pub clips: Option<String>,
    /// The clips of this checksum, where they are known.
    pub contents: Contents,
}

impl Inputs {
    /// Names of what has another checksum in `now`. What one of the two lacks cannot be compared, but for weights: a
    /// config that came or went beside them changes how they are read.
    pub fn changed(&self, now: &Self) -> Vec<String> {
        let only = |these: &BTreeMap<String, String>, others: &BTreeMap<String, String>, how: &str| {
            // Weights that a run begins with are named in its recipe.
            let own = these.keys().filter(|name| !name.starts_with("start: "));
            let missing = own.filter(|name| !others.contains_key(*name) && !others.is_empty());
            missing.map(|name| format!("weights: `{name}` {how}")).collect::<Vec<_>>()
        };
        let came =
            [only(&self.weights, &now.weights, "is not there now"), only(&now.weights, &self.weights, "was not there")];
        let differ = |what: &str, then: &BTreeMap<String, String>, now: &BTreeMap<String, String>| {
            let other = |(name, sum): &(&String, &String)| now.get(*name).is_some_and(|now| now != *sum);
            then.iter().filter(other).map(|(name, _)| format!("{what} `{name}`")).collect::<Vec<_>>()
        };
        let named = [differ("weights", &self.weights, &now.weights), differ("list", &self.lists, &now.lists)].concat();
        named.into_iter().chain(came.concat()).chain(self.clips_changed(now)).collect()
    }

    /// The clips with another content in `now`, by name where they are known; `None` where there are none.
    fn clips_changed(&self, now: &Self) -> Option<String> {
        const NAMED: usize = 5;
        self.clips.as_ref().zip(now.clips.as_ref()).filter(|(then, now)| then != now)?;
        if self.contents.0.is_empty() || now.contents.0.is_empty() {
            // Of the same clips, the checksum of all says that one has changed.
            return (self.lists == now.lists).then(|| "clips".to_owned());
        }
        let clips = self.contents.changed(&now.contents);
        let named: Vec<String> = clips.iter().take(NAMED).map(|clip| format!("`{clip}`")).collect();
        match clips.len() {
            0 => None,
            1 => Some(format!("clip {}", named[0])),
            count if count <= NAMED => Some(format!("clips {}", named.join(", "))),
            count => Some(format!("{count} clips, such as {}", named.join(", "))),
        }
    }
}

/// One process that worked on a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Version of the program.
    pub maclip_version: String,
    /// Commit that the program was built from, with a `+` where files differed from it; `None` outside a repository.
    #[serde(default)]
    pub commit: Option<String>,
    /// Cargo features of the program.
    pub features: Vec<String>,
    /// Name of the device, such as `flex` or `tch:cuda:0`.
    pub device: String,
    /// Name of the machine, where the system tells it (Linux).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Name of the processor.
    pub cpu: String,
    /// Name of the accelerator, where the device is one and its driver reports a name.
    #[serde(default)]
    pub accelerator: Option<String>,
    /// Number of threads that compute.
    pub threads: usize,
    /// The command line.
    pub argv: Vec<String>,
    /// When the attempt began, in seconds since 1970 (UTC).
    pub started_unix: u64,
    /// Number of optimizer steps that earlier attempts had done.
    #[serde(default)]
    pub first_step: u64,
    /// Seconds of wall clock in training (validation included) and testing.
    #[serde(default)]
    pub seconds: Seconds,
    /// Seconds of each phase (`data`, `encode`, `backward`, …), summed over threads.
    #[serde(default)]
    pub phases: BTreeMap<String, f64>,
    /// What a training step kept of the tower (`recompute: none`, `block` or `tower`, and the micro-batch), where
    /// something was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recompute: Option<String>,
    /// Largest resident memory of the process while it worked on this run; `None` where the system does not report it.
    #[serde(default)]
    pub peak_memory_bytes: Option<u64>,
    /// FLOPs of all optimizer steps and of the test, as `maclip plan` counts them; `None` where the task counts none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flops: Option<RunFlops>,
}

/// FLOPs of a run, as `maclip plan` counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunFlops {
    /// All optimizer steps.
    pub train: f64,
    /// The test: its clips, encoded once, and its episodes.
    pub test: f64,
}

impl Manifest {
    /// Name of the file in a run directory.
    pub const FILE: &'static str = "manifest.json";

    /// The manifest in `directory`, of this format or an older one; `None` where there is none.
    ///
    /// # Errors
    /// Where the file cannot be read, is damaged, or has a newer format.
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
            // In format 1 the fields of the only attempt are beside those of the manifest.
            manifest.attempts = vec![serde_json::from_value(value).map_err(unreadable)?];
        }
        Ok(Some(manifest))
    }

    /// The checksums of what the run was made of, whose manifest lies in the run directory `run`.
    pub fn inputs(&self, run: &Path) -> Inputs {
        let (weights, lists, clips) = (self.weights.clone(), self.lists.clone(), self.clips.clone());
        let file = clips.as_deref().map(|sum| run.join("..").join(Contents::file(sum)));
        // The file only names what changed, so a missing one is no error.
        let contents: Option<Contents> = file.and_then(|file| read_json(&file).ok().flatten());
        let contents = contents.filter(|contents| contents.sum() == clips).unwrap_or_default();
        Inputs { weights, lists, clips, contents }
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
    /// Number of this step, from 1.
    pub step: u64,
    /// The loss of the step.
    pub loss: f64,
    /// Terms of the loss by name (`q2s`, `s2t`, `q2t`).
    pub parts: BTreeMap<String, f64>,
    /// Accuracy of the step's episodes (of its batch in the contrastive task), 0 to 1.
    pub accuracy: f64,
    /// The optimizer's learning rate in this step, after the schedule.
    pub learning_rate: f64,
    /// L2 norm of all gradients together, before clipping.
    pub gradient_norm: f64,
}

/// The part of a [`TrainRecord`] that a loss curve needs. The rest of the line is not parsed.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct TrainLoss {
    /// Number of the step, from 1.
    pub step: u64,
    /// The loss of the step. NaN where the record has `null`: JSON has no NaN.
    #[serde(deserialize_with = "number_or_null")]
    pub loss: f64,
}

/// One line of `validation.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationRecord {
    /// Optimizer steps done before it.
    pub step: u64,
    /// Mean accuracy over episodes, 0 to 1.
    pub accuracy: f64,
    /// Half width of the 95 % interval of the mean, 0 to 1.
    pub ci95: f64,
    /// Number of episodes.
    pub episodes: u64,
    /// Whether this is the best validation so far. The checkpoint of the best one is kept.
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
    /// Position of the episode in the list, from 0.
    pub id: u64,
    /// Names of the episode's classes; labels and predictions are positions in this list.
    pub classes: Vec<String>,
    /// Ids of the support clips, `[class][shot]`.
    pub support: Vec<Vec<String>>,
    /// Ids of the query clips.
    pub queries: Vec<String>,
    /// True class of each query.
    pub labels: Vec<usize>,
    /// Predicted class of each query.
    pub predictions: Vec<usize>,
    /// Number of right predictions.
    pub correct: usize,
    /// Alignment distance of each query to each class, `[query][class]`. Empty in format 1.
    #[serde(default)]
    pub distances: Vec<Vec<f32>>,
    /// Probability of each class for each query, `[query][class]`; the prediction is the largest. Empty in format 1.
    #[serde(default)]
    pub probabilities: Vec<Vec<f32>>,
}

/// One item of `<runs>/<recipe name>/left_out.json`: a run that the preset of the last `maclip run` left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Name of the run's variant.
    pub variant: String,
    /// Seed of the run.
    pub seed: u64,
    /// Why it was left out, as the preset says.
    pub reason: String,
    /// The results that the recipe expects of the run.
    #[serde(default)]
    pub expect: Vec<Expectation>,
}

impl LeftOut {
    /// Name of the file in the folder of a recipe's runs.
    pub const FILE: &'static str = "left_out.json";

    /// The item for a run that was left out.
    pub fn new(skipped: &Skipped) -> Self {
        let StudyRun { variant, recipe, .. } = &skipped.run;
        Self {
            variant: variant.clone(),
            seed: recipe.seed,
            reason: skipped.reason.clone(),
            expect: recipe.expect.clone(),
        }
    }

    /// The items in `folder`, the folder of a recipe's runs; empty where nothing was left out.
    ///
    /// # Errors
    /// Where the file is damaged or cannot be read.
    pub fn read(folder: &Path) -> Result<Vec<Self>> {
        Ok(read_json(&folder.join(Self::FILE))?.unwrap_or_default())
    }
}

/// One item of `<runs>/<recipe name>/planned.json`: a run that the study of the last `maclip run` asks for, begun or
/// not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Name of the run's variant.
    pub variant: String,
    /// What the recipe calls the run, in the place of its variant's name.
    #[serde(default)]
    pub label: Option<String>,
    /// Seed of the run.
    pub seed: u64,
    /// Its identity, as in its manifest.
    pub hash: String,
}

impl Planned {
    /// Name of the file in the folder of a recipe's runs.
    pub const FILE: &'static str = "planned.json";

    /// The item for a run.
    pub fn new(run: &StudyRun) -> Self {
        let StudyRun { variant, recipe, .. } = run;
        let (label, hash) = (recipe.label.clone(), recipe.hash.clone());
        Self { variant: variant.clone(), label, seed: recipe.seed, hash }
    }

    /// The items in `folder`, the folder of a recipe's runs; empty where no study was run there.
    ///
    /// # Errors
    /// Where the file is damaged or cannot be read.
    pub fn read(folder: &Path) -> Result<Vec<Self>> {
        Ok(read_json(&folder.join(Self::FILE))?.unwrap_or_default())
    }
}

impl Order {
    /// Name of the file in the folder of a recipe's runs: the orders that the study of the last `maclip run` expects.
    pub const FILE: &'static str = "order.json";

    /// The orders in `folder`, the folder of a recipe's runs; empty where none is expected.
    ///
    /// # Errors
    /// Where the file is damaged or cannot be read.
    pub fn read(folder: &Path) -> Result<Vec<Self>> {
        Ok(read_json(&folder.join(Self::FILE))?.unwrap_or_default())
    }
}

impl Shown {
    /// Name of the file in the folder of a recipe's runs: how the recipe of the last `maclip run` shows them.
    pub const FILE: &'static str = "shown.json";

    /// What the file in `folder` says, the folder of a recipe's runs; `None` where there is none.
    ///
    /// # Errors
    /// Where the file is damaged or cannot be read.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        read_json(&folder.join(Self::FILE))
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A process works on it.
    Running,
    /// Trained and tested to the end.
    Done,
    /// It stopped with an error; see [`Status::reason`].
    Failed,
    /// It was stopped before its end, and can go on.
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

/// `status.json`: how far the run is, and its result. Written after all other files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// How far the run is.
    pub state: State,
    /// Why the run failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The result of the test; `None` before the run is done.
    pub test: Option<TestResult>,
    /// Step of the checkpoint that was tested; `None` where nothing was trained.
    pub best_step: Option<u64>,
    /// Time spent, over all attempts.
    pub seconds: Seconds,
    /// When the file was written, in seconds since 1970 (UTC).
    pub updated_unix: u64,
    /// SHA-256 over the result and the records that it comes from; `None` before the run is done, and in runs of
    /// programs that did not write it. A result that was changed afterwards, by whatever, no longer fits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

impl Status {
    /// A status without a result, reason or times.
    pub fn new(state: State) -> Self {
        Self {
            format: FORMAT,
            state,
            reason: None,
            test: None,
            best_step: None,
            seconds: Seconds::default(),
            updated_unix: 0,
            seal: None,
        }
    }
}

/// Wall-clock seconds of one attempt, or of all attempts of a run together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    /// Training, validations included.
    pub train: f64,
    /// The test.
    pub test: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_that_came_or_went_beside_the_weights_is_a_change() {
        let inputs = |names: &[&str]| Inputs {
            weights: names.iter().map(|name| ((*name).to_owned(), "11".to_owned())).collect(),
            ..Inputs::default()
        };
        let (alone, both) = (inputs(&["w.pt"]), inputs(&["config.json", "w.pt"]));
        assert_eq!(alone.changed(&both), ["weights: `config.json` was not there"]);
        assert_eq!(both.changed(&alone), ["weights: `config.json` is not there now"]);
        assert!(both.changed(&both).is_empty());
    }

    #[test]
    fn changed_clips_are_named_and_others_are_not_compared() {
        let inputs = |lists: &[&str], clips: &[(&str, &str)]| {
            let text = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            let contents = Contents(clips.iter().map(text).collect());
            let lists = lists.iter().map(|name| ((*name).to_owned(), "11".to_owned())).collect();
            Inputs { lists, clips: contents.sum(), contents, ..Inputs::default() }
        };
        let all = ["test", "train"];
        let then = inputs(&all, &[("a/1", "x"), ("a/2", "y"), ("b/1", "z")]);
        assert_eq!(then.changed(&then), Vec::<String>::new());
        assert_eq!(then.changed(&inputs(&all, &[("a/1", "x"), ("a/2", "other"), ("b/1", "z")])), ["clip `a/2`"]);
        // A test alone has fewer clips, and one of them has changed or none.
        assert_eq!(then.changed(&inputs(&["test"], &[("a/1", "x")])), Vec::<String>::new());
        assert_eq!(then.changed(&inputs(&["test"], &[("a/1", "other")])), ["clip `a/1`"]);
        // Without the file that names them, only that one has changed is known.
        let unnamed = Inputs { contents: Contents::default(), ..then.clone() };
        assert_eq!(unnamed.changed(&inputs(&all, &[("a/1", "other")])), ["clips"]);
        assert_eq!(unnamed.changed(&then), Vec::<String>::new());
    }

    #[test]
    fn attempts_of_format_2_are_read_under_their_old_key_and_written_under_the_new() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"format": 2, "name": "quickstart", "variant": "ma_clip", "seed": 1, "hash": "78cc", "task": "few_shot",
            "components": {}, "sittings": [{"maclip_version": "0.1.0", "features": [], "device": "flex", "cpu": "a processor",
            "threads": 2, "argv": ["maclip"], "started_unix": 7, "first_step": 3, "seconds": {"train": 80.5, "test": 2.0}}]}"#;
        std::fs::write(folder.path().join(Manifest::FILE), text).unwrap();
        let manifest = Manifest::read(folder.path()).unwrap().unwrap();
        assert_eq!(manifest.seconds(), Seconds { train: 80.5, test: 2.0 });
        assert_eq!(manifest.last_attempt().map(|attempt| (attempt.first_step, attempt.threads)), Some((3, 2)));
        let written = serde_json::to_value(&manifest).unwrap();
        assert!(written["attempts"].is_array() && written.get("sittings").is_none());
        let newer = text.replace("\"format\": 2", "\"format\": 4");
        std::fs::write(folder.path().join(Manifest::FILE), newer).unwrap();
        assert!(Manifest::read(folder.path()).unwrap_err().to_string().contains("reads up to 3"));
    }
}

//! Run directories, opened for reading.

use crate::error::{Error, Result};
use crate::files::{TEXT, open_regular, read_regular};
use crate::model::parameters::Params;
use crate::recipe::Recipe;
use crate::recipe::expectation::{Expectation, Setting, TestResult, mean_ci95};
use crate::runs::examples::Examples;
use crate::runs::model_folder::ModelFolder;
use crate::runs::read::{each_line, read_json, read_lines};
use crate::runs::records::{EpisodeRecord, Manifest, State, Status, TrainLoss, TrainRecord, ValidationRecord};
use crate::runs::seal::seal;
use crate::runs::store::in_use;
use crate::slots::dataset::Split;
use maclip_language::{Arguments, from_node, load};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// A run directory, opened for reading. The record files are only read when one of the methods asks for them.
#[derive(Clone, Debug)]
pub struct RunDirectory {
    /// The directory.
    pub path: PathBuf,
    /// `manifest.json`: what was run, where and with what.
    pub manifest: Manifest,
    /// `params.json`; `None` before the model was built.
    pub params: Option<Params>,
    /// `status.json`; `None` before the run began.
    pub status: Option<Status>,
}

/// Name of the file in a run directory with the clips of `split` that were left out.
pub fn left_out_file(split: Split) -> String {
    format!("skipped_{}.json", split.name())
}

impl RunDirectory {
    /// Lets `recipe`, which is that of this run, read the weights of the hub at the commits that the run has read.
    pub fn pin(&self, recipe: &mut Recipe) {
        recipe.pinned.extend(self.manifest.pinned.clone());
    }

    /// Opens the run directory `path`. Files that are not written yet are `None`.
    ///
    /// # Errors
    /// Where `path` has no `manifest.json`, its format is newer than this program, or a file cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let manifest = Manifest::read(path)?.ok_or_else(|| {
            let error = Error::failed(format!("{} is not a run directory: no manifest.json", path.display()));
            match ModelFolder::is_at(path) {
                true => {
                    error.help(format!("it is a model folder: `maclip import {}` makes a run of it", path.display()))
                }
                false => error,
            }
        })?;
        Ok(Self {
            path: path.to_owned(),
            params: read_json(&path.join("params.json"))?,
            status: read_json(&path.join("status.json"))?,
            manifest,
        })
    }

    /// Paths of all run directories at or below `root`, sorted. Hidden folders are not searched.
    ///
    /// # Errors
    /// Where a folder cannot be listed.
    pub(crate) fn paths(root: &Path) -> Result<Vec<PathBuf>> {
        // Also where it is a pipe or a folder: that is told when it is opened.
        if root.join(Manifest::FILE).exists() {
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

    /// All run directories at or below `root`, sorted by path: each opened, or the reason why it cannot be. Hidden
    /// folders are not searched.
    ///
    /// # Errors
    /// Where a folder cannot be listed.
    pub fn find(root: &Path) -> Result<Vec<Result<Self>>> {
        Ok(Self::paths(root)?.iter().map(|path| Self::open(path)).collect())
    }

    /// The state of the run; `None` before it began. A run that says `running` but has no process any more was
    /// interrupted.
    pub fn state(&self) -> Option<State> {
        match self.status.as_ref()?.state {
            State::Running if !in_use(&self.path) => Some(State::Interrupted),
            state => Some(state),
        }
    }

    /// Whether the run failed before its first training step and its test: it holds nothing but what every run begins
    /// with, and the reason.
    pub fn failed_at_once(&self) -> bool {
        const BEGINNING: [&str; 5] = ["lock", Manifest::FILE, "params.json", "recipe.resolved.yaml", "status.json"];
        let beginning = |entry: std::fs::DirEntry| {
            let name = entry.file_name();
            let left_out = Split::ALL.into_iter().any(|split| name == left_out_file(split).as_str());
            let empty = entry.metadata().is_ok_and(|about| about.is_file() && about.len() == 0);
            left_out || empty || BEGINNING.into_iter().any(|known| name == known)
        };
        let all = |entries: std::fs::ReadDir| entries.into_iter().all(|entry| entry.is_ok_and(beginning));
        self.state() == Some(State::Failed) && std::fs::read_dir(&self.path).is_ok_and(all)
    }

    /// Clips that the run left out because they could not be used: (clip id, reason).
    ///
    /// # Errors
    /// Where a list of them is damaged or cannot be read.
    pub fn left_out(&self) -> Result<Vec<(String, String)>> {
        let mut clips = Vec::new();
        for split in Split::ALL {
            let list: Option<Vec<(String, String)>> = read_json(&self.path.join(left_out_file(split)))?;
            clips.extend(list.unwrap_or_default());
        }
        Ok(clips)
    }

    /// The result of the test; `None` before the run is done.
    pub fn test(&self) -> Option<&TestResult> {
        self.status.as_ref()?.test.as_ref()
    }

    /// Holds the result in `status.json` against the records of its episodes. A result without such records, as that of
    /// the contrastive task, is not checked.
    ///
    /// # Errors
    /// Where the records say another accuracy, are cut, or cannot be read.
    pub fn verify(&self) -> Result<()> {
        #[derive(Deserialize)]
        struct Line {
            id: u64,
            labels: Vec<u32>,
            predictions: Vec<u32>,
        }
        if self.test().is_none() {
            return self.verify_seal();
        }
        let mut shares = Vec::new();
        each_line(&self.path.join("episodes.jsonl"), |line| {
            let Line { id, labels, predictions } = serde_json::from_str(line).map_err(|error| error.to_string())?;
            if id != shares.len() as u64 || labels.len() != predictions.len() || labels.is_empty() {
                return Err("it is not the record of the next episode".to_owned());
            }
            let right = labels.iter().zip(&predictions).filter(|(label, prediction)| label == prediction).count();
            shares.push(right as f64 / labels.len() as f64);
            Ok(())
        })?;
        self.verify_shares(&shares)?;
        self.verify_seal()
    }

    /// Holds the result and the records against the seal of the run. A run without one is not checked.
    ///
    /// # Errors
    /// Where something was changed after the run was done, or cannot be read.
    pub fn verify_seal(&self) -> Result<()> {
        let Some(sealed) = self.status.as_ref().and_then(|status| status.seal.as_ref()) else { return Ok(()) };
        let status = read_json(&self.path.join("status.json"))?.unwrap_or_default();
        if seal(&self.path, &self.manifest, &status)? == *sealed {
            return Ok(());
        }
        Err(Error::failed(format!("{}: its files were changed after the run was done", self.path.display())).help(
            "status.json, params.json, the recipe, the manifest or the records are not what the run wrote: bring them \
             back, or make the run again with `maclip run RECIPE --force`",
        ))
    }

    /// [`RunDirectory::verify`] with the share of right predictions of each recorded episode.
    ///
    /// # Errors
    /// Where they say another accuracy, or are more or fewer.
    pub fn verify_shares(&self, shares: &[f64]) -> Result<()> {
        // A result that is no number is told as such, wherever it is shown.
        let known = |test: &&TestResult| test.metric == "accuracy" && test.value.is_finite() && test.ci95.is_finite();
        let Some(test) = self.test().filter(known) else { return Ok(()) };
        let differs = |text: String| {
            Err(Error::failed(format!("{}: {text}", self.path.display())).help(
                "the result is not that of the records: bring the files back, or make the run again with \
                 `maclip run RECIPE --force`",
            ))
        };
        if shares.len() as u64 != test.episodes {
            let (found, all) = (shares.len(), test.episodes);
            return differs(format!(
                "status.json has a result of {all} episodes, and episodes.jsonl records of {found}"
            ));
        }
        let (value, ci95) = mean_ci95(shares);
        let same = |one: f64, other: f64| (one - other).abs() <= 1e-9;
        if same(value, test.value) && same(ci95, test.ci95) {
            return Ok(());
        }
        let percent = |value: f64, ci95: f64| format!("{:.2} ± {:.2} %", 100.0 * value, 100.0 * ci95);
        differs(format!(
            "status.json says {}, and its episodes say {}",
            percent(test.value, test.ci95),
            percent(value, ci95)
        ))
    }

    /// The run without its result, where that must not be believed.
    #[must_use]
    pub fn without_result(mut self) -> Self {
        self.status.iter_mut().for_each(|status| status.test = None);
        self
    }

    /// Number of optimizer steps in `train.jsonl`, from its last record alone; 0 where there is none.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn last_step(&self) -> Result<u64> {
        use std::io::{Read, Seek, SeekFrom};
        let path = self.path.join("train.jsonl");
        let mut file = match open_regular(&path) {
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

    /// The records of the training, one for each optimizer step; empty before the first.
    ///
    /// # Errors
    /// Where the file cannot be read, or a line of it is damaged.
    pub fn train(&self) -> Result<Vec<TrainRecord>> {
        read_lines(&self.path.join("train.jsonl"))
    }

    /// The records of the validations; empty before the first.
    ///
    /// # Errors
    /// As [`RunDirectory::train`].
    pub fn validation(&self) -> Result<Vec<ValidationRecord>> {
        read_lines(&self.path.join("validation.jsonl"))
    }

    /// The records of the test, one for each episode; empty before the test.
    ///
    /// # Errors
    /// As [`RunDirectory::train`].
    pub fn episodes(&self) -> Result<Vec<EpisodeRecord>> {
        read_lines(&self.path.join("episodes.jsonl"))
    }

    /// [`RunDirectory::train`], but only steps and losses: for curves, which read many long files.
    ///
    /// # Errors
    /// As [`RunDirectory::train`].
    pub fn losses(&self) -> Result<Vec<TrainLoss>> {
        read_lines(&self.path.join("train.jsonl"))
    }

    /// The examples of the test; `None` where none were written.
    ///
    /// # Errors
    /// Where the file is damaged or cannot be read.
    pub fn examples(&self) -> Result<Option<Examples>> {
        Examples::read(&self.path)
    }

    /// The results that the run's recipe expects, and the data and weights that the run used.
    ///
    /// # Errors
    /// Where `recipe.resolved.yaml` cannot be read, or its `expect:` is not valid.
    pub fn expectations(&self) -> Result<(Vec<Expectation>, Setting)> {
        let document = load(&self.path.join("recipe.resolved.yaml"), &Arguments::default())?;
        let expected = document.root.at("expect").map(|node| from_node(node, "expect")).transpose()?;
        Ok((expected.unwrap_or_default(), Setting::of(&document.root)))
    }

    /// The text of `recipe.resolved.yaml`: the recipe that the run was made with, all defaults filled in.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn recipe(&self) -> Result<String> {
        let path = self.path.join("recipe.resolved.yaml");
        let bytes = read_regular(&path, TEXT).map_err(|error| Error::io("read", &path, error))?;
        String::from_utf8(bytes).map_err(|_| Error::failed(format!("{} is not UTF-8 text", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::records::Contents;

    /// A run directory with one record of each kind, and `bytes` in the place of `file`.
    fn run(folder: &Path, file: &str, bytes: &[u8]) {
        for (name, text) in RECORDS {
            let bytes = if name == file { bytes } else { text.as_bytes() };
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }

    const RECORDS: [(&str, &str); 7] = [
        (
            "manifest.json",
            r#"{"format": 3, "name": "a", "variant": "b", "seed": 1, "hash": "0123456789abcdef", "task": "few_shot", "components": {"adapter": "lora"}, "weights": {"w.pt": "00"}, "lists": {"test": "11"}, "clips": "2222222222222222", "notes": ["n"], "attempts": [{"maclip_version": "0.1.0", "features": [], "device": "flex", "cpu": "c", "threads": 2, "argv": ["maclip"], "started_unix": 7, "seconds": {"train": 1.5, "test": 2.0}}]}"#,
        ),
        (
            "status.json",
            r#"{"format": 3, "state": "done", "test": {"metric": "accuracy", "value": 0.5, "ci95": 0.1, "episodes": 1, "episodes_hash": "33", "way": 2, "shot": 1}, "best_step": 1, "seconds": {"train": 1.5, "test": 2.0}, "updated_unix": 9}"#,
        ),
        (
            "params.json",
            r#"{"trainable": 3, "total": 9, "parts": [{"slot": "adapter", "part": "lora", "trainable": 3, "total": 3}]}"#,
        ),
        (
            "train.jsonl",
            "{\"step\":1,\"loss\":0.5,\"parts\":{\"q2s\":0.5},\"accuracy\":0.5,\"learning_rate\":1e-3,\"gradient_norm\":1.0}\n",
        ),
        ("validation.jsonl", "{\"step\":1,\"accuracy\":0.5,\"ci95\":0.1,\"episodes\":4,\"best\":true}\n"),
        (
            "episodes.jsonl",
            "{\"id\":0,\"classes\":[\"x\",\"y\"],\"support\":[[\"x/1\"],[\"y/1\"]],\"queries\":[\"x/2\",\"y/2\"],\"labels\":[0,1],\"predictions\":[0,0],\"correct\":1,\"distances\":[[0.1,0.2],[0.1,0.2]],\"probabilities\":[[0.6,0.4],[0.6,0.4]]}\n",
        ),
        ("skipped_test.json", r#"[["x/9", "too short"]]"#),
    ];

    #[test]
    fn a_run_that_holds_anything_did_not_fail_at_once() {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), "status.json", RECORDS[1].1.replace("done", "failed").as_bytes());
        let at_once = || RunDirectory::open(folder.path()).unwrap().failed_at_once();
        assert!(!at_once(), "it has records");
        for file in ["train.jsonl", "validation.jsonl", "episodes.jsonl"] {
            std::fs::remove_file(folder.path().join(file)).unwrap();
        }
        std::fs::write(folder.path().join("train.jsonl"), "").unwrap();
        assert!(at_once());
        // Checkpoints whose records were lost, and whatever a task writes.
        for (made, name) in [("checkpoints/step-00000001", "checkpoints"), ("notes", "notes")] {
            std::fs::create_dir_all(folder.path().join(made)).unwrap();
            assert!(!at_once(), "{made}");
            std::fs::remove_dir_all(folder.path().join(name)).unwrap();
        }
        assert!(at_once());
    }

    #[test]
    fn fuzz_records() {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in RECORDS {
            maclip_fuzzing::each(file, &[text.as_bytes()], |bytes| {
                run(folder.path(), file, bytes);
                let Ok(directory) = RunDirectory::open(folder.path()) else { return };
                let _ = (directory.state(), directory.verify(), directory.last_step(), directory.left_out());
                let _ = (directory.train(), directory.losses(), directory.validation(), directory.episodes());
                if let Some(sum) = &directory.manifest.clips {
                    assert!(!Contents::file(sum).contains('/'));
                }
                directory.manifest.inputs(folder.path());
            });
        }
    }
}

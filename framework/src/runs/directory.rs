//! Run directories, opened for reading.

use crate::error::{Error, Result};
use crate::model::parameters::Params;
use crate::recipe::expectation::{Expectation, Setting, TestResult};
use crate::runs::examples::Examples;
use crate::runs::read::{read_json, read_lines};
use crate::runs::records::{EpisodeRecord, Manifest, State, Status, TrainLoss, TrainRecord, ValidationRecord};
use crate::runs::store::in_use;
use maclip_language::{Arguments, from_node, load};
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

impl RunDirectory {
    /// Opens the run directory `path`. Files that are not written yet are `None`.
    ///
    /// # Errors
    /// Where `path` has no `manifest.json`, its format is newer than this program, or a file cannot be read.
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

    /// Paths of all run directories at or below `root`, sorted. Hidden folders are not searched.
    ///
    /// # Errors
    /// Where a folder cannot be listed.
    pub(crate) fn paths(root: &Path) -> Result<Vec<PathBuf>> {
        if root.join(Manifest::FILE).is_file() {
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

    /// The result of the test; `None` before the run is done.
    pub fn test(&self) -> Option<&TestResult> {
        self.status.as_ref()?.test.as_ref()
    }

    /// Number of optimizer steps in `train.jsonl`, from its last record alone; 0 where there is none.
    ///
    /// # Errors
    /// Where the file cannot be read.
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
        std::fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))
    }
}

//! A run directory, opened for reading.

use crate::error::{Error, Result};
use crate::model::parameters::Params;
use crate::recipe::expectation::{Expectation, Setting, TestResult};
use crate::runs::examples::Examples;
use crate::runs::read::{read_json, read_lines};
use crate::runs::records::{EpisodeRecord, Manifest, State, Status, TrainLoss, TrainRecord, ValidationRecord};
use crate::runs::store::in_use;
use maclip_language::{Arguments, from_node, load};
use std::path::{Path, PathBuf};

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

    /// All run directories at or below `root`, sorted by path: each, or why it cannot be read.
    pub fn find(root: &Path) -> Result<Vec<Result<Self>>> {
        Ok(Self::paths(root)?.iter().map(|path| Self::open(path)).collect())
    }

    /// How far the run is. One whose process is gone without a word was interrupted.
    pub fn state(&self) -> Option<State> {
        match self.status.as_ref()?.state {
            State::Running if !in_use(&self.path) => Some(State::Interrupted),
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

    /// What the frozen recipe expects, and the data and the weights that the run has.
    ///
    /// # Errors
    /// Where the recipe cannot be read, or holds no such expectations.
    pub fn expectations(&self) -> Result<(Vec<Expectation>, Setting)> {
        let document = load(&self.path.join("recipe.resolved.yaml"), &Arguments::default())?;
        let expected = document.root.at("expect").map(|node| from_node(node, "expect")).transpose()?;
        Ok((expected.unwrap_or_default(), Setting::of(&document.root)))
    }

    /// The resolved recipe as it was frozen.
    pub fn recipe(&self) -> Result<String> {
        let path = self.path.join("recipe.resolved.yaml");
        std::fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))
    }
}

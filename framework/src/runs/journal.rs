//! The file `.jobs/submitted.json` beside the runs of a recipe: which of them were submitted to a cluster, and as which
//! jobs.

use crate::error::{Error, Result};
use crate::files::{regular, write_json};
use crate::runs::read::read_json;
use crate::slots::launcher::{JobState, Phase};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// Version of the file. A newer one is refused.
const FORMAT: u32 = 1;
const FILE: &str = "submitted.json";
const LOCK: &str = "lock";

/// The file.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Content {
    format: u32,
    batches: Vec<Submission>,
}

/// A batch of runs that was submitted with one call.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Submission {
    /// The unique name of the batch, which the cluster knows too.
    pub name: String,
    /// The launcher of the recipe, with every default.
    pub launcher: serde_json::Value,
    /// When it was submitted, in seconds since 1970.
    pub submitted_unix: u64,
    /// How many cells the batch had: some of them may have been submitted again later, in another batch.
    pub count: usize,
    /// The cells whose last submission this is.
    pub cells: Vec<Submitted>,
}

/// One run of a batch.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Submitted {
    /// The name of its run directory.
    pub run: String,
    /// Its number in the batch.
    pub index: usize,
    /// What the cluster calls its job; `None` where the call that submitted it was stopped before it knew.
    pub id: Option<String>,
    /// How the job was seen to have ended; clusters forget their jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

/// How a job has ended.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct End {
    /// Whether with an error.
    pub failed: bool,
    /// What the cluster said about it.
    pub detail: String,
}

impl End {
    /// The end that `state` says; `None` where the job goes on.
    pub fn of(state: &JobState) -> Option<Self> {
        let end = || Self { failed: state.phase == Phase::Failed, detail: state.detail.clone() };
        state.phase.is_over().then(end)
    }

    /// The state of the job.
    pub fn state(&self) -> JobState {
        JobState { phase: if self.failed { Phase::Failed } else { Phase::Ended }, detail: self.detail.clone() }
    }
}

/// A job by the name of its batch and that of its run.
pub type Place = (String, String);

/// The folder of jobs beside the runs of a recipe: the journal, the specs and the output of each run that a process of
/// its own makes.
pub fn folder_of(runs: &Path) -> PathBuf {
    runs.join(".jobs")
}

/// The journal beside the runs in `runs`; empty where nothing was ever submitted.
///
/// # Errors
/// Where the file cannot be read, or a newer version has written it.
pub fn read(runs: &Path) -> Result<Vec<Submission>> {
    let path = folder_of(runs).join(FILE);
    let Some(Content { format, batches }) = read_json::<Content>(&path)? else { return Ok(Vec::new()) };
    if format != FORMAT {
        return Err(Error::failed(format!("{} has format {format}, and this program reads {FORMAT}", path.display()))
            .help("use the version of maclip that submitted these runs"));
    }
    Ok(batches)
}

fn lock_file(path: &Path) -> std::io::Result<File> {
    regular(OpenOptions::new().create(true).truncate(false).write(true), path)
}

/// The journal beside the runs of a recipe, opened to change it. No other process changes it until this value is
/// dropped.
#[derive(Debug)]
pub struct Journal {
    runs: PathBuf,
    /// What was submitted, the newest last.
    pub batches: Vec<Submission>,
    _lock: File,
}

impl Journal {
    /// Opens the journal beside the runs in `runs`, and waits for other processes that change it.
    ///
    /// # Errors
    /// Where the folder cannot be made or locked, and as [`read`].
    pub fn open(runs: &Path) -> Result<Self> {
        let folder = folder_of(runs);
        std::fs::create_dir_all(&folder).map_err(|error| Error::io("make the folder", &folder, error))?;
        let path = folder.join(LOCK);
        let lock = lock_file(&path)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|error| Error::io("lock", &path, error))?;
        Ok(Self { runs: runs.to_owned(), batches: read(runs)?, _lock: lock })
    }

    /// Keeps how jobs have ended. Where another process changes the journal now, nothing is done: who asks the cluster
    /// next keeps them.
    ///
    /// # Errors
    /// Where the journal cannot be locked, read or written.
    pub fn keep_ends(runs: &Path, ends: &BTreeMap<Place, End>) -> Result<()> {
        let path = folder_of(runs).join(LOCK);
        let lock = lock_file(&path).map_err(|error| Error::io("open", &path, error))?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path, error)),
            Ok(()) => {}
        }
        let mut journal = Self { runs: runs.to_owned(), batches: read(runs)?, _lock: lock };
        for batch in &mut journal.batches {
            for cell in &mut batch.cells {
                let end = ends.get(&(batch.name.clone(), cell.run.clone()));
                cell.end = end.cloned().or(cell.end.take());
            }
        }
        journal.write()
    }

    /// The folder of the batch `name`, which holds what its jobs read.
    pub fn folder(&self, name: &str) -> PathBuf {
        folder_of(&self.runs).join(name)
    }

    /// Forgets the earlier jobs of `runs`: they have ended, and other ones follow.
    pub fn forget(&mut self, runs: &[&str]) {
        self.batches.iter_mut().for_each(|batch| batch.cells.retain(|cell| !runs.contains(&cell.run.as_str())));
    }

    /// Writes the journal, and removes the folders of batches that have no cell any more.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&mut self) -> Result<()> {
        let (batches, empty): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.batches).into_iter().partition(|batch| !batch.cells.is_empty());
        let content = Content { format: FORMAT, batches };
        let written = write_json(&folder_of(&self.runs).join(FILE), &content);
        self.batches = content.batches;
        written?;
        for folder in empty.iter().map(|batch| self.folder(&batch.name)).filter(|folder| folder.is_dir()) {
            std::fs::remove_dir_all(&folder).map_err(|error| Error::io("remove", &folder, error))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_submitted_again_has_its_newest_job_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), []);
        let batch = |name: &str, runs: &[&str]| {
            let cell = |(index, run): (usize, &&str)| Submitted { run: (*run).to_owned(), index, id: None, end: None };
            let cells: Vec<_> = runs.iter().enumerate().map(cell).collect();
            let launcher = serde_json::json!({"type": "local"});
            Submission { name: name.to_owned(), launcher, submitted_unix: 1, count: cells.len(), cells }
        };
        let mut journal = Journal::open(folder.path()).unwrap();
        journal.batches = vec![batch("one", &["a"]), batch("two", &["b", "c"])];
        std::fs::create_dir_all(journal.folder("one")).unwrap();
        journal.write().unwrap();
        journal.forget(&["a", "b"]);
        journal.batches.push(batch("three", &["a", "b"]));
        journal.write().unwrap();
        assert!(!journal.folder("one").exists(), "nobody reads it any more");
        let names = |batches: Vec<Submission>| -> Vec<(String, usize, usize)> {
            batches.into_iter().map(|batch| (batch.name, batch.count, batch.cells.len())).collect()
        };
        let want = [("two".to_owned(), 2, 1), ("three".to_owned(), 2, 2)];
        assert_eq!(names(read(folder.path()).unwrap()), want);
        // While another process changes the journal, an end is not kept, and nobody waits.
        let end = End { failed: true, detail: "failed".to_owned() };
        let ends = [(("three".to_owned(), "b".to_owned()), end.clone())].into();
        let kept =
            || read(folder.path()).unwrap().into_iter().flat_map(|batch| batch.cells).filter_map(|cell| cell.end);
        Journal::keep_ends(folder.path(), &ends).unwrap();
        assert_eq!(kept().count(), 0);
        drop(journal);
        Journal::keep_ends(folder.path(), &ends).unwrap();
        assert_eq!(kept().collect::<Vec<_>>(), std::slice::from_ref(&end));
        assert_eq!(End::of(&end.state()), Some(end));
        std::fs::write(folder_of(folder.path()).join(FILE), r#"{"format": 9, "batches": []}"#).unwrap();
        assert!(read(folder.path()).unwrap_err().to_string().contains("format 9"));
    }
}

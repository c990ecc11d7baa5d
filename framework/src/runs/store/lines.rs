//! Append-only record files: one JSON object a line.

use super::{Position, RunStore};
use crate::error::{Error, Result};
use crate::files::write_atomically;
use crate::runs::read::read_lines;
use crate::runs::records::{TrainRecord, ValidationRecord};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

const ROOM: &str = "make room or give access there; the same command then goes on from the newest checkpoint";

impl RunStore {
    /// Opens the record file `name` for appending. First removes the records that `keep` refuses, such as those after
    /// the checkpoint that a resumed run starts from, and a last line that a crash cut.
    pub(crate) fn records<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        keep: impl Fn(&T) -> bool,
    ) -> Result<Records> {
        let path = self.path().join(name);
        if path.exists() {
            let kept: Vec<T> = read_lines(&path)?.into_iter().filter(keep).collect();
            let mut bytes = Vec::new();
            for record in &kept {
                bytes.extend(line(record, &path)?);
            }
            write_atomically(&path, &bytes)?;
        }
        Records::append_to(path)
    }

    /// Opens the record file `name` for appending, without the records that it had before.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn fresh_records(&self, name: &str) -> Result<Records> {
        Records::create(self.path().join(name))
    }

    /// The files `train.jsonl` and `validation.jsonl`, without the records after `position`. Where the validation of
    /// that step is still due, its record is removed too: the process was killed between record and checkpoint.
    pub(crate) fn training_records(&self, position: &Position) -> Result<(Records, Records)> {
        let Position { step, validation_due, .. } = *position;
        let validated = |record: &ValidationRecord| record.step < step || record.step == step && !validation_due;
        Ok((
            self.records("train.jsonl", |record: &TrainRecord| record.step <= step)?,
            self.records("validation.jsonl", validated)?,
        ))
    }
}

fn line<T: Serialize>(record: &T, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(record)
        .map_err(|error| Error::failed(format!("{} cannot be written: {error}", path.display())))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A record file, opened for appending.
#[derive(Debug)]
pub struct Records {
    file: File,
    path: PathBuf,
}

impl Records {
    /// An empty file at `path`, in place of what is there.
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        let file = File::create(&path).map_err(|error| Error::io("write", &path, error).help(ROOM))?;
        Ok(Self { file, path })
    }

    /// The file at `path`, to append to.
    pub(crate) fn append_to(path: PathBuf) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        Ok(Self { file: file.map_err(|error| Error::io("write", &path, error).help(ROOM))?, path })
    }

    /// Appends bytes, in one write.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| Error::io("write", &self.path, error).help(ROOM))
    }

    /// Appends one record as one line, in one write.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn append<T: Serialize>(&mut self, record: &T) -> Result<()> {
        self.append_all(std::slice::from_ref(record))
    }

    /// Appends records, one a line, in writes of whole lines: however many there are, a few megabytes are held.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn append_all<T: Serialize>(&mut self, records: &[T]) -> Result<()> {
        const AT_ONCE: usize = 4 << 20;
        let mut bytes = Vec::new();
        for (at, record) in records.iter().enumerate() {
            bytes.extend(line(record, &self.path)?);
            if bytes.len() >= AT_ONCE || at + 1 == records.len() {
                self.write(&bytes)?;
                bytes.clear();
            }
        }
        Ok(())
    }

    /// Waits until all records are on the disk: no checkpoint may be there without the records of the steps before it.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| Error::io("write", &self.path, error).help(ROOM))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_lines_and_later_records_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let store = RunStore::open(folder.path()).unwrap();
        let record = |step| ValidationRecord { step, accuracy: 0.5, ci95: 0.1, episodes: 3, best: true };
        let mut records = store.records("validation.jsonl", |_: &ValidationRecord| true).unwrap();
        records.append_all(&[record(1), record(2), record(3)]).unwrap();
        OpenOptions::new()
            .append(true)
            .open(folder.path().join("validation.jsonl"))
            .and_then(|mut file| file.write_all(b"{\"step\":4,"))
            .unwrap();
        let mut at = Position { step: 2, ..Position::default() };
        let kept = |at: &Position| -> Vec<ValidationRecord> {
            store.training_records(at).unwrap();
            read_lines(&folder.path().join("validation.jsonl")).unwrap()
        };
        assert_eq!(kept(&at), [record(1), record(2)]);
        // Killed between a late validation's record and its checkpoint.
        at.validation_due = true;
        assert_eq!(kept(&at), [record(1)]);
    }
}

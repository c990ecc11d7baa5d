//! Writing a run directory: lock, append-only records, checkpoints, and the status last.
//!
//! Here belongs how files of a run are written so that a kill or a power cut loses nothing.
//! Not here: the types of the files (`records`), and when they are written (`engine`).

mod checkpoint;
mod folder;
mod holder;
mod lines;

pub use checkpoint::{Begun, Checkpoint, checkpoint_steps, tested_checkpoint};
pub(crate) use checkpoint::{Position, checkpoint_sha256};
pub use lines::Records;

use crate::error::{Error, Result};
use crate::files::{is_locked, regular, try_lock, unix_seconds, write_atomically, write_json};
use crate::runs::read::read_json;
use crate::runs::records::{Manifest, State, Status};
use holder::Held;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The directory of one run, opened for writing. Its lock is held until this value is dropped.
#[derive(Debug)]
pub struct RunStore {
    path: PathBuf,
    // Dropped in this order: the record goes before the lock.
    _held: Held,
    _lock: File,
}

/// The lock file of the run directory `path`.
fn lock_file(path: &Path, options: &mut OpenOptions) -> Result<(File, PathBuf)> {
    let path = path.join("lock");
    let file = regular(options, &path)
        .map_err(|error| Error::io("write", &path, error).help("choose another folder with `--runs DIR`"))?;
    Ok((file, path))
}

/// Whether the open `file` is the one at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |data: std::fs::Metadata| (data.dev(), data.ino());
    file.metadata().ok().map(identity) == std::fs::metadata(path).ok().map(identity)
}

/// On other systems an open file cannot be moved.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// Whether a process works on the run directory `path` right now. Where the file system refuses locks, nobody can know:
/// then it says no, and whoever wants to change the run gets the error of [`RunStore::open`].
pub fn in_use(path: &Path) -> bool {
    let held = || lock_file(path, OpenOptions::new().read(true)).and_then(|(file, path)| is_locked(&file, &path));
    held().unwrap_or(false)
}

impl RunStore {
    /// Opens the directory `path`, makes it where it is missing, and takes its lock.
    ///
    /// # Errors
    /// Where another process works on the run, or the directory cannot be written.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_free(path)?.ok_or_else(|| Self::busy(path))
    }

    /// The error that another process works on the run in `path`.
    pub fn busy(path: &Path) -> Error {
        Error::failed(format!("another process works on {}", path.display()))
            .help("wait for it, or stop it; the run can be resumed")
    }

    /// [`RunStore::open`], but `None` where another process works on the run.
    ///
    /// # Errors
    /// Where the directory cannot be written, or locks do not keep the processes of two machines apart there.
    pub fn open_free(path: &Path) -> Result<Option<Self>> {
        // `in_use` of another process holds the lock for an instant, so one failed try says nothing.
        for _ in 0..10 {
            std::fs::create_dir_all(path).map_err(|error| {
                Error::io("make the run directory", path, error)
                    .help("choose a folder that you may write to with `--runs DIR`")
            })?;
            let (lock, file) = lock_file(path, OpenOptions::new().create(true).truncate(false).read(true).write(true))?;
            // If the run was moved away between opening and locking, its lock file moved too and is not this folder's
            // lock.
            if try_lock(&lock, &file)? && is_at(&lock, &file) {
                let held = Held::new(&lock, &file)?;
                let store = Self { path: path.to_owned(), _held: held, _lock: lock };
                store.remove_leftovers()?;
                return Ok(Some(store));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(None)
    }

    /// Removes files that a killed process did not finish: they still have their temporary names.
    fn remove_leftovers(&self) -> Result<()> {
        for folder in [self.path.clone(), self.path.join("checkpoints")] {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
                if path.extension().is_some_and(|extension| extension == "tmp") {
                    let removed =
                        if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
                    removed.map_err(|error| Error::io("remove", &path, error))?;
                }
            }
        }
        Ok(())
    }

    /// The run directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `value` as the JSON file `name` of the run directory, in place of an older one.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<()> {
        write_json(&self.path.join(name), value)
    }

    /// Writes the file `name` of the run directory, in place of an older one.
    pub(crate) fn write_text(&self, name: &str, text: &str) -> Result<()> {
        write_atomically(&self.path.join(name), text.as_bytes())
    }

    /// The manifest that earlier attempts wrote; `None` for a new run.
    pub(crate) fn manifest(&self) -> Result<Option<Manifest>> {
        Manifest::read(&self.path)
    }

    /// The status; `None` where there is none. A damaged one counts as none: the records have all that it says.
    pub fn status(&self) -> Option<Status> {
        read_json(&self.path.join("status.json")).ok().flatten()
    }

    /// Writes the status, with the time now.
    pub(crate) fn write_status(&self, status: Status) -> Result<()> {
        self.write_json("status.json", &Status { updated_unix: unix_seconds(), ..status })
    }

    /// Writes a status without a result.
    pub(crate) fn write_state(&self, state: State, reason: Option<String>) -> Result<()> {
        self.write_status(Status { reason, ..Status::new(state) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_refused_and_seen() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!in_use(folder.path()));
        let store = RunStore::open(folder.path()).unwrap();
        assert!(in_use(folder.path()));
        assert!(RunStore::open(folder.path()).unwrap_err().to_string().contains("another process"));
        drop(store);
        assert!(!in_use(folder.path()));
        // The lock of a folder that was moved guards the folder that was moved.
        let file = File::open(folder.path().join("lock")).unwrap();
        assert!(is_at(&file, &folder.path().join("lock")));
        std::fs::rename(folder.path().join("lock"), folder.path().join("moved")).unwrap();
        assert!(!is_at(&file, &folder.path().join("lock")) && is_at(&file, &folder.path().join("moved")));
        std::fs::create_dir_all(folder.path().join("checkpoints/step-00000001.tmp")).unwrap();
        std::fs::write(folder.path().join("status.json.77.tmp"), "{").unwrap();
        RunStore::open(folder.path()).unwrap();
        assert!(!folder.path().join("status.json.77.tmp").exists());
        assert!(!folder.path().join("checkpoints/step-00000001.tmp").exists());
    }
}

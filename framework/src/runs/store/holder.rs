//! Who holds the lock of a run directory, written into the lock file and renewed while the lock is held.
//!
//! The lock alone decides. The record finds file systems that keep the locks of each machine for themselves, such as
//! Lustre with `localflock`: where the lock could be taken although a process of another machine goes on renewing its
//! record, the locks are not shared. No clock is asked for that, so that clocks may differ.

use crate::error::{Error, Result};
use crate::files::open_own;
use crate::progress::stop_requested;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the record is renewed.
const RENEW: Duration = Duration::from_secs(5);
/// How long the record of another machine is watched: three renewals.
const WATCH: Duration = Duration::from_secs(16);
/// A record that nobody has renewed for so long is not watched, even where clocks differ by much.
const OLD: Duration = Duration::from_secs(3600);
/// Bytes of the longest record.
const LONGEST: u64 = 4096;

/// A process that holds the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    host: String,
    /// Identity of the running system, as two machines may have one name.
    boot: String,
    process: u32,
    /// Number of renewals.
    renewed: u64,
}

impl Holder {
    /// This process.
    fn here() -> Self {
        let of = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let (host, boot) = (of("/proc/sys/kernel/hostname"), of("/proc/sys/kernel/random/boot_id"));
        Self { host, boot, process: std::process::id(), renewed: 0 }
    }

    /// The record in the file at `path`, opened anew: a network file system then asks its server. `None` where the lock
    /// was given back, or the file has no record.
    fn read(path: &Path) -> Option<Self> {
        let mut bytes = Vec::new();
        open_own(path, false).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn write(&self, file: &File) -> std::io::Result<()> {
        let bytes = serde_json::to_vec(self)?;
        file.write_all_at(&bytes, 0)?;
        file.set_len(bytes.len() as u64)?;
        // Other machines see only what is with the server.
        file.sync_data()
    }
}

/// The record of this process, renewed until the value is dropped.
#[derive(Debug)]
pub struct Held {
    file: File,
    end: Option<Sender<()>>,
    renewing: Option<JoinHandle<()>>,
}

impl Held {
    /// Writes the record of this process into `file`, the lock file at `path`, whose lock it holds.
    ///
    /// # Errors
    /// Where a process of another machine holds the lock too, or too many files are open; [`Error::Interrupted`] after
    /// a request to stop.
    pub fn new(file: &File, path: &Path) -> Result<Self> {
        let mut here = Holder::here();
        if let Some(other) = Holder::read(path).filter(|other| (&other.host, &other.boot) != (&here.host, &here.boot)) {
            watch(&other, path)?;
        }
        // The lock protects the run; a record that is not written only shows less. On a full disk runs must be
        // removable.
        let _ = here.write(file);
        let failed = |error| Error::io("open", path, error);
        let (file, own) = (file.try_clone().map_err(failed)?, file.try_clone().map_err(failed)?);
        let (end, ended) = channel();
        let renewing = std::thread::spawn(move || {
            while ended.recv_timeout(RENEW) == Err(RecvTimeoutError::Timeout) {
                here.renewed += 1;
                let _ = here.write(&own);
            }
        });
        Ok(Self { file, end: Some(end), renewing: Some(renewing) })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(renewing) = self.renewing.take() {
            let _ = renewing.join();
        }
        // An empty file says that the lock was given back. One that stays makes the next machine look twice.
        let _ = self.file.set_len(0);
    }
}

/// Watches whether `other` renews its record at `path` although this process holds the lock.
fn watch(other: &Holder, path: &Path) -> Result<()> {
    let age = std::fs::metadata(path).ok().and_then(|about| about.modified().ok()?.elapsed().ok());
    if age.is_some_and(|age| age > OLD) {
        return Ok(());
    }
    let began = Instant::now();
    while began.elapsed() < WATCH {
        if stop_requested() {
            return Err(Error::Interrupted);
        }
        match Holder::read(path) {
            Some(now) if now == *other => std::thread::sleep(RENEW / 10),
            // It ended meanwhile.
            None => return Ok(()),
            Some(now) => {
                return Err(Error::failed(format!(
                    "process {} of {} works on {}, and yet its lock could be taken here: the file system keeps the \
                     locks of each machine for itself",
                    now.process,
                    now.host,
                    path.parent().unwrap_or(path).display()
                ))
                .help(
                    "mount it with locks that all machines share (Lustre: `flock`, not `localflock`; NFS: \
                     `local_lock=none`, not `nolock`), or give each machine a folder of its own with `--runs`; `maclip \
                     docs shared_storage` says more",
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    fn lock_file(folder: &Path) -> (File, std::path::PathBuf) {
        let path = folder.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).unwrap();
        (file, path)
    }

    #[test]
    fn a_record_is_there_while_the_lock_is_held_and_gone_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let (file, path) = lock_file(folder.path());
        let held = Held::new(&file, &path).unwrap();
        assert_eq!(Holder::read(&path), Some(Holder::here()));
        drop(held);
        assert_eq!((Holder::read(&path), file.metadata().unwrap().len()), (None, 0));
    }

    #[test]
    fn a_holder_elsewhere_that_goes_on_is_an_error_and_one_that_ends_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (file, path) = lock_file(folder.path());
        let other = Holder { host: "node-b".to_owned(), ..Holder::here() };
        other.write(&file).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(700));
                Holder { renewed: 1, ..other.clone() }.write(&file).unwrap();
            });
            let error = Held::new(&file, &path).unwrap_err().to_string();
            assert!(error.contains("node-b") && error.contains("localflock"), "{error}");
        });
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(700));
                file.set_len(0).unwrap();
            });
            Held::new(&file, &path).unwrap();
        });
        // Long ago: nobody waits.
        other.write(&file).unwrap();
        file.set_modified(std::time::SystemTime::now() - 2 * OLD).unwrap();
        let began = Instant::now();
        Held::new(&file, &path).unwrap();
        assert!(began.elapsed() < WATCH / 2);
    }
}

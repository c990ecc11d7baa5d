//! Copies of clips and kept features on a disk of this machine: a shared store on a slow or busy network is read once.
//!
//! The copies are a clip store of their own, with the same keys. So a copy can never be out of date, each has its
//! checksums, and what was not used for the longest time is removed first. Several processes of one machine share it:
//! one of them copies at a time, and the others find what it has copied.
//!
//! Nothing depends on the copies. What is missing or damaged here is read from the shared store.

use super::pack::{self, Key, Kind};
use super::record::Table;
use super::{ClipStore, Record};
use crate::error::{Error, Result};
use crate::files::{regular, try_lock};
use crate::progress::{Progress, stop_requested};
use crate::recipe::compute::Compute;
use rayon::prelude::*;
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Folder for the copies below the one that the recipe names, which may hold other things.
const FOLDER: &str = "maclip";
/// The file whose lock the process holds that copies.
const LOCK: &str = "copy-in.lock";
/// Bytes that are read from the shared store before they are written.
const AT_ONCE: u64 = 64 << 20;
/// How often a process that waits for another one looks again.
const PAUSE: Duration = Duration::from_millis(50);

/// A clip in the shared store that has no copy yet.
type Missing = (Key, Record, Arc<File>);

/// What [`LocalCache::copy_in`] did, in numbers of clips.
#[derive(Default)]
struct Copied {
    /// Clips that are in the shared store or here.
    all: usize,
    new: usize,
    bytes: u64,
    /// Clips whose record in the shared store is damaged.
    damaged: usize,
    /// Clips that found no room.
    left: usize,
}

/// A folder of copies on a disk of this machine.
#[derive(Debug)]
pub struct LocalCache {
    store: ClipStore,
    /// Whether it was told that features find no room.
    told: AtomicBool,
}

impl LocalCache {
    /// The copies in the folder that `compute` names. `None` where it names none, and where the folder cannot be used:
    /// then a note says so, and the shared store is read.
    pub fn open(compute: &Compute, progress: &dyn Progress) -> Option<Self> {
        let folder = Path::new(compute.local_cache.as_ref()?).join(FOLDER);
        let limit = (compute.local_cache_limit_gb * 1e9) as u64;
        let open = || {
            std::fs::create_dir_all(&folder).map_err(|error| Error::io("make the folder", &folder, error))?;
            // Whether the folder can be written, and whether locks work on its disk.
            try_lock(&lock_file(&folder)?, &folder.join(LOCK))?;
            ClipStore::open(&folder, limit)
        };
        match open() {
            Ok(store) => Some(Self { store, told: AtomicBool::new(false) }),
            Err(error) => {
                progress.note(&format!("nothing is copied to this machine, the shared store is read: {error}"));
                None
            }
        }
    }

    /// The store that the copies are in.
    pub(super) fn store(&self) -> &ClipStore {
        &self.store
    }

    /// Copies the clips under `keys` that `shared` has and this one has not, and says what was copied and what found no
    /// room. Waits for another process that copies.
    pub(super) fn copy_in(
        &self,
        shared: &ClipStore,
        keys: impl Iterator<Item = Key>,
        progress: &dyn Progress,
    ) -> Result<()> {
        let Some(_alone) = self.alone(progress)? else { return Ok(()) };
        self.store.look()?;
        let keys: HashSet<Key> = keys.collect();
        let (mut copied, mut missing) = (Copied::default(), Vec::new());
        for key in keys {
            if self.store.table(&key).is_some() {
                copied.all += 1;
            } else if let Some((_, record, file)) = shared.table(&key) {
                copied.all += 1;
                missing.push((key, record, file));
            }
        }
        // In the order of the disk.
        missing.sort_by_key(|(_, record, _)| (record.pack, record.span.offset));
        progress.begin("copy in", 0, missing.len() as u64);
        let mut done = 0;
        while done < missing.len() && !self.store.is_full() {
            if stop_requested() {
                return Err(Error::Interrupted);
            }
            let mut bytes = 0;
            let batch = missing[done..].iter().take_while(|(_, record, _)| {
                let first = bytes == 0;
                bytes += record.span.length;
                first || bytes <= AT_ONCE
            });
            let batch = &missing[done..done + batch.count()];
            self.copy_all(shared, batch, &mut copied);
            done += batch.len();
            progress.at(done as u64, "");
        }
        copied.left += missing.len() - done;
        progress.end();
        self.sentences(shared, &copied).iter().for_each(|line| progress.note(line));
        Ok(())
    }

    fn copy_all(&self, shared: &ClipStore, batch: &[Missing], copied: &mut Copied) {
        let read =
            |(_, record, file): &Missing| pack::read(file, record.span).ok().filter(|read| Table::is_intact(read));
        let payloads: Vec<Option<Vec<u8>>> = batch.par_iter().map(read).collect();
        for ((key, record, _), payload) in batch.iter().zip(payloads) {
            match payload {
                // It is decoded when it is needed.
                None => {
                    shared.forget(key, *record);
                    copied.damaged += 1;
                }
                Some(payload) if self.store.append(Kind::Clip, key, &[&payload]) => {
                    copied.new += 1;
                    copied.bytes += payload.len() as u64;
                }
                Some(_) => copied.left += 1,
            }
        }
    }

    /// Copies the clip under `key`, which has no copy or a damaged one.
    pub(super) fn copy(&self, shared: &ClipStore, key: &Key) {
        if !self.store.is_full()
            && let Some((_, record, file)) = shared.table(key)
        {
            self.copy_all(shared, &[(*key, record, file)], &mut Copied::default());
        }
    }

    /// The kept features under `key`: those of `check`, which says whether bytes are such features. `read` reads them
    /// from the shared folder. They are copied where they were not here.
    pub fn features(
        &self,
        key: &Key,
        check: impl Fn(&[u8]) -> bool,
        read: impl FnOnce() -> Option<Vec<u8>>,
        progress: &dyn Progress,
    ) -> Option<Vec<u8>> {
        if let Some(copy) = self.store.content(key).filter(|copy| check(copy)) {
            return Some(copy);
        }
        let bytes = read()?;
        if check(&bytes) {
            if !self.store.is_full() {
                self.store.keep_small(Kind::Features, key, &bytes);
            }
            if self.store.is_full() && !self.told.swap(true, Ordering::Relaxed) {
                progress.note(&format!("some features are read from the shared folder: {}", self.why()));
            }
        }
        Some(bytes)
    }

    /// The lock of the process that copies; `None` where it cannot be taken, which a note says.
    fn alone(&self, progress: &dyn Progress) -> Result<Option<File>> {
        let path = self.store.folder().join(LOCK);
        let mut told = false;
        loop {
            let locked = lock_file(self.store.folder()).and_then(|file| Ok(try_lock(&file, &path)?.then_some(file)));
            match locked {
                Ok(Some(file)) => return Ok(Some(file)),
                Ok(None) if stop_requested() => return Err(Error::Interrupted),
                Ok(None) => {
                    if !std::mem::replace(&mut told, true) {
                        progress.note(&format!("another process copies to {}", self.store.folder().display()));
                    }
                    std::thread::sleep(PAUSE);
                }
                Err(error) => {
                    progress.note(&format!("nothing is copied to this machine, the shared store is read: {error}"));
                    return Ok(None);
                }
            }
        }
    }

    /// Why there is no more room.
    fn why(&self) -> String {
        let folder = self.store.folder().display();
        let why = self.store.closed().unwrap_or_else(|| format!("{folder} has no room for more copies"));
        format!("{why}; more `compute.local_cache_limit_gb` or a larger disk helps")
    }

    fn sentences(&self, shared: &ClipStore, copied: &Copied) -> Vec<String> {
        let Copied { all, new, bytes, damaged, left } = copied;
        let (here, there) = (self.store.folder().display(), shared.folder().display());
        let mut lines = Vec::new();
        if *new > 0 {
            let megabytes = *bytes as f64 / 1e6;
            lines.push(format!("{new} of {all} clips were copied from {there} to {here} ({megabytes:.0} MB)"));
        }
        if *left > 0 {
            lines.push(format!("{left} of {all} clips are read from {there}: {}", self.why()));
        }
        if *damaged > 0 {
            lines.push(format!("{damaged} clips are damaged in {there} and decoded again"));
        }
        lines
    }
}

fn lock_file(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    regular(OpenOptions::new().create(true).truncate(false).write(true), &path)
        .map_err(|error| Error::io("write", &path, error))
}

//! Maintenance of a store: check every byte, and remove what no recipe needs.

use super::pack::{self, HEAD, Key, Kind, Span};
use super::record::Table;
use super::{locked, packs};
use crate::error::{Error, Result};
use crate::files::{open_own, rename};
use crate::progress::{Progress, stop_requested};
use rayon::prelude::*;
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

/// The result of [`verify`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Packs that were read.
    pub packs: usize,
    /// Records whose bytes are as they were written.
    pub sound: usize,
    /// Records whose bytes have changed. They were removed, so that the clips are decoded again.
    pub damaged: usize,
    /// Bytes that belong to no record, left behind by killed processes and by damage. They were removed, too.
    pub lost: u64,
    /// Packs that were only read, because another process writes to them or this one may not.
    pub busy: usize,
}

/// What [`prune`] removed, or would remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Records that stay.
    pub kept: usize,
    /// Records that go.
    pub removed: usize,
    /// Bytes of all packs before.
    pub before: u64,
    /// Bytes of all packs after.
    pub after: u64,
    /// Packs that stay as they are, because another process writes to them or this one may not.
    pub busy: usize,
}

/// A pack with its records.
struct Contents {
    path: PathBuf,
    file: File,
    /// Whether this process holds its lock.
    owned: bool,
    size: u64,
    records: Vec<(Kind, Key, Span)>,
}

impl Contents {
    /// `None` where `path` is no pack.
    fn read(path: &Path) -> Result<Option<Self>> {
        let failed = |error| Error::io("read", path, error);
        // A pack without write access can still be verified.
        let writable = open_own(path, true);
        let own = writable.is_ok();
        let file = writable.or_else(|_| open_own(path, false)).map_err(failed)?;
        if !pack::is_pack(&file).map_err(failed)? {
            return Ok(None);
        }
        let owned = own && locked(&file, path).map_err(failed)?;
        let mut records = Vec::new();
        let size = file.metadata().map_err(failed)?.len();
        pack::scan(&file, 0, |kind, key, span| records.push((kind, key, span))).map_err(failed)?;
        Ok(Some(Self { path: path.to_owned(), file, owned, size, records }))
    }

    /// Bytes that a pack of exactly these records has.
    fn needed(records: &[(Kind, Key, Span)]) -> u64 {
        records.iter().fold(0, |end, (_, _, span)| pack::aligned(end) + HEAD + span.length)
    }

    fn is_sound(&self, (kind, _, span): &(Kind, Key, Span)) -> bool {
        match kind {
            Kind::Clip => Table::read(&self.file, *span).is_some_and(|table| table.is_sound(&self.file, *span)),
            Kind::Source | Kind::Sound | Kind::Features => pack::small(&self.file, *span).is_some(),
        }
    }

    /// The file that a new pack is written to before it replaces this one.
    fn part(&self) -> PathBuf {
        self.path.with_extension("pack.part")
    }

    /// Replaces the pack by one that has only `records`, or removes it where there are none.
    fn rewrite(&self, records: &[(Kind, Key, Span)]) -> Result<()> {
        let failed = |error| Error::io("write", &self.path, error);
        if records.is_empty() {
            return std::fs::remove_file(&self.path).map_err(failed);
        }
        let part = self.part();
        let file = OpenOptions::new().write(true).create_new(true).open(&part).map_err(failed)?;
        let copy = || {
            let mut end = 0;
            for (kind, key, span) in records {
                let bytes = pack::read(&self.file, *span)?;
                let written = pack::write(&file, pack::aligned(end), *kind, key, &[&bytes])?;
                end = written.offset + written.length;
            }
            file.sync_all()?;
            rename(&part, &self.path)
        };
        copy().map_err(|error| {
            // The pack is as it was; a rest of the new one would only take room.
            let _ = std::fs::remove_file(&part);
            failed(error)
        })
    }
}

/// Reads every record of the store in `folder`, and removes what is damaged. An empty or missing folder is no error.
///
/// # Errors
/// Where the folder or a pack cannot be read, a damaged pack cannot be replaced, and [`Error::Interrupted`] after a
/// request to stop.
pub fn verify(folder: &Path, progress: &dyn Progress) -> Result<Verified> {
    let mut found = Verified::default();
    each_pack(folder, "verify", progress, |contents| {
        let sound: Vec<_> = contents.records.par_iter().filter(|record| contents.is_sound(record)).copied().collect();
        let lost = contents.size.saturating_sub(Contents::needed(&contents.records));
        found.packs += 1;
        found.sound += sound.len();
        found.damaged += contents.records.len() - sound.len();
        if !contents.owned {
            found.busy += 1;
            return Ok(());
        }
        found.lost += lost;
        if sound.len() < contents.records.len() || lost > 0 { contents.rewrite(&sound) } else { Ok(()) }
    })?;
    Ok(found)
}

/// Removes every record of the store in `folder` whose key is not in `keep`; with `dry` it only counts them.
///
/// # Errors
/// Where the folder or a pack cannot be read, a pack cannot be replaced, and [`Error::Interrupted`] after a request to
/// stop.
pub fn prune(folder: &Path, keep: &HashSet<Key>, dry: bool, progress: &dyn Progress) -> Result<Pruned> {
    let mut pruned = Pruned::default();
    each_pack(folder, "prune", progress, |contents| {
        let kept: Vec<_> = contents.records.iter().filter(|(_, key, _)| keep.contains(key)).copied().collect();
        pruned.before += contents.size;
        if !contents.owned {
            pruned.busy += 1;
            pruned.kept += contents.records.len();
            pruned.after += contents.size;
            return Ok(());
        }
        pruned.kept += kept.len();
        pruned.removed += contents.records.len() - kept.len();
        pruned.after += Contents::needed(&kept);
        if !dry && kept.len() < contents.records.len() { contents.rewrite(&kept) } else { Ok(()) }
    })?;
    Ok(pruned)
}

fn each_pack(
    folder: &Path,
    phase: &str,
    progress: &dyn Progress,
    mut work: impl FnMut(&Contents) -> Result<()>,
) -> Result<()> {
    let packs = packs(folder)?;
    progress.begin(phase, 0, packs.len() as u64);
    for (at, path) in packs.iter().enumerate() {
        if stop_requested() {
            return Err(Error::Interrupted);
        }
        let Some(contents) = Contents::read(path)? else { continue };
        if contents.owned && contents.part().symlink_metadata().is_ok() {
            // Left by a process that was killed while it replaced the pack. We hold the lock, so no other process needs
            // it.
            std::fs::remove_file(contents.part()).map_err(|error| Error::io("remove", &contents.part(), error))?;
        }
        work(&contents)?;
        progress.at(at as u64 + 1, "");
    }
    progress.end();
    Ok(())
}

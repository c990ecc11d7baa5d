//! Looking after a store: every byte checked, and what no recipe needs removed.

use super::pack::{self, HEAD, Key, Kind, Span};
use super::record::Table;
use super::{locked, packs};
use crate::error::{Error, Result};
use crate::progress::{Progress, stop_requested};
use rayon::prelude::*;
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub packs: usize,
    /// Records whose bytes are as they were written.
    pub sound: usize,
    /// Records that are not; removed, so that they are made again.
    pub damaged: usize,
    /// Bytes that belong to no record: what killed processes and damage leave behind. Removed too.
    pub lost: u64,
    /// Packs that could not be mended because another process writes to them.
    pub busy: usize,
}

/// What [`prune`] removes, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub kept: usize,
    pub removed: usize,
    /// Bytes of packs before and after.
    pub before: u64,
    pub after: u64,
    /// Packs that stay as they are because another process writes to them.
    pub busy: usize,
}

/// A pack with its records.
struct Contents {
    path: PathBuf,
    file: File,
    /// Whether this process has its lock.
    owned: bool,
    size: u64,
    records: Vec<(Kind, Key, Span)>,
}

impl Contents {
    fn read(path: &Path) -> Result<Self> {
        let failed = |error| Error::io("read", path, error);
        // A folder that may only be read can be verified all the same.
        let writable = OpenOptions::new().read(true).write(true).open(path);
        let (file, owned) = match writable {
            Ok(file) => {
                let owned = locked(&file, path).map_err(failed)?;
                (file, owned)
            }
            Err(_) => (File::open(path).map_err(failed)?, false),
        };
        let mut records = Vec::new();
        let size = file.metadata().map_err(failed)?.len();
        pack::scan(&file, 0, |kind, key, span| records.push((kind, key, span))).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, owned, size, records })
    }

    /// Bytes that records of these spans take.
    fn needed(records: &[(Kind, Key, Span)]) -> u64 {
        records.iter().fold(0, |end, (_, _, span)| pack::aligned(end) + HEAD + span.length)
    }

    fn is_sound(&self, (kind, _, span): &(Kind, Key, Span)) -> bool {
        match kind {
            Kind::Clip => Table::read(&self.file, *span).is_some_and(|table| table.is_sound(&self.file, *span)),
            Kind::Source | Kind::Sound => pack::small(&self.file, *span).is_some(),
        }
    }

    /// What the pack is rewritten to before it takes its place.
    fn part(&self) -> PathBuf {
        self.path.with_extension("pack.part")
    }

    /// Leaves `records` alone in the pack, which is replaced as a whole or removed.
    fn rewrite(&self, records: &[(Kind, Key, Span)]) -> Result<()> {
        let failed = |error| Error::io("write", &self.path, error);
        if records.is_empty() {
            return std::fs::remove_file(&self.path).map_err(failed);
        }
        let part = self.part();
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&part).map_err(failed)?;
        let copy = || {
            let mut end = 0;
            for (kind, key, span) in records {
                let bytes = pack::read(&self.file, *span)?;
                let written = pack::write(&file, pack::aligned(end), *kind, key, &[&bytes])?;
                end = written.offset + written.length;
            }
            file.sync_all()?;
            std::fs::rename(&part, &self.path)
        };
        copy().map_err(|error| {
            // What stays behind only takes room; the pack is as it was.
            let _ = std::fs::remove_file(&part);
            failed(error)
        })
    }
}

/// Reads every record of the store in `folder`, and takes out what is damaged.
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

/// Removes every record of the store in `folder` whose key is not in `keep`; with `dry` only tells.
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
        let contents = Contents::read(path)?;
        if contents.owned && contents.part().exists() {
            // Of a process that was killed while it rewrote the pack: its lock is ours now.
            std::fs::remove_file(contents.part()).map_err(|error| Error::io("remove", &contents.part(), error))?;
        }
        work(&contents)?;
        progress.at(at as u64 + 1, "");
    }
    progress.end();
    Ok(())
}

//! The content of a clip's files as a SHA-256. It is remembered by the state of the files on the disk, so that they are
//! read only once.

use super::ClipStore;
use super::pack::{Key, Kind};
use crate::error::{Error, Result};
use crate::files::{file_hash, range_hash};
use crate::slots::dataset::FilePart;
use sha2::{Digest, Sha256};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// A file can change twice within one tick of the file system's clock. So a hash is remembered only where the last
/// change of the file is at least this long ago.
const SETTLED: Duration = Duration::from_secs(2);

/// Hash of the paths, sizes, times and inodes of the files: it changes when their bytes do. The time of the last change
/// of the inode (ctime) cannot be set back, not even by a copy that keeps the times of the file. And whether the last
/// change of all files is at least [`SETTLED`] ago.
fn state(files: &[FilePart]) -> Result<(Key, bool)> {
    let mut hash = Sha256::new();
    hash.update("state/1");
    let mut settled = true;
    for FilePart { path, range, section } in files {
        let about = std::fs::metadata(path).map_err(|error| Error::io("read", path, error))?;
        if !about.is_file() {
            return Err(Error::failed(format!("{} is not a regular file", path.display())));
        }
        if range.is_some() || !section.is_empty() {
            hash.update(format!("part {range:?} {section:?}"));
        }
        hash.update((path.as_os_str().len() as u64).to_le_bytes());
        hash.update(path.as_os_str().as_bytes());
        for number in [about.ino(), about.size(), about.dev()] {
            hash.update(number.to_le_bytes());
        }
        for time in [about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec()] {
            hash.update(time.to_le_bytes());
        }
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(about.ctime().max(0) as u64);
        settled &= changed.elapsed().is_ok_and(|age| age > SETTLED);
    }
    Ok((hash.finalize().into(), settled))
}

/// SHA-256 over the hashes of `files`, in their order. A part of a file counts as a file of these bytes.
pub fn hash(files: &[FilePart]) -> Result<Key> {
    let mut hash = Sha256::new();
    for FilePart { path, range, section } in files {
        hash.update(match range {
            Some(range) => range_hash(path, range)?,
            None => file_hash(path)?,
        });
        hash.update(section);
    }
    Ok(hash.finalize().into())
}

/// The files of a clip and their hashes.
#[derive(Debug)]
pub struct Source {
    files: Vec<FilePart>,
    /// [`state`] of the files when they were read.
    pub state: Key,
    /// SHA-256 over the bytes of the files, in their order.
    pub content: Key,
}

impl Source {
    /// Whether the files are as they were when they were read.
    pub fn unchanged(&self) -> Result<bool> {
        Ok(state(&self.files)?.0 == self.state)
    }
}

/// Hashes `files`, or takes the hash from the store where they did not change since.
pub fn content(store: &ClipStore, files: Vec<FilePart>) -> Result<Source> {
    let (before, settled) = state(&files)?;
    if let Some(content) = store.small(&before).and_then(|bytes| Key::try_from(bytes.as_slice()).ok()) {
        return Ok(Source { files, state: before, content });
    }
    let source = Source { state: before, content: hash(&files)?, files };
    if !source.unchanged()? {
        let name = source.files.first().map(|part| part.path.display().to_string()).unwrap_or_default();
        return Err(Error::failed(format!("{name} changes while it is read")).help("wait until it is written"));
    }
    if settled {
        store.keep_small(Kind::Source, &before, &source.content);
    }
    Ok(source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    #[test]
    fn a_file_is_read_once_and_again_when_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let store = ClipStore::open(&dir.path().join("clips"), 1 << 30).unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "one").unwrap();
        let first = content(&store, vec![path.clone().into()]).unwrap();
        // Written just now: not remembered, because the clock of the disk may be too coarse to tell the next change.
        assert!(store.small(&first.state).is_none());
        assert_eq!(content(&store, vec![path.clone().into()]).unwrap().content, first.content);
        // A copy has the same content and another state.
        let copy = dir.path().join("b");
        std::fs::copy(&path, &copy).unwrap();
        let copied = content(&store, vec![copy.into()]).unwrap();
        assert_eq!(copied.content, first.content);
        assert_ne!(copied.state, first.state);
        // Same size, same modification time, other bytes.
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&path, "two").unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_modified(time).unwrap();
        assert!(!first.unchanged().unwrap());
        assert_ne!(content(&store, vec![path.into()]).unwrap().content, first.content);
        assert!(content(&store, vec![dir.path().join("gone").into()]).is_err());
        assert!(content(&store, vec![dir.path().to_owned().into()]).is_err());
    }

    #[test]
    fn a_part_of_a_file_counts_as_a_file_of_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let (whole, alone) = (dir.path().join("whole"), dir.path().join("alone"));
        std::fs::write(&whole, "one two").unwrap();
        std::fs::write(&alone, "two").unwrap();
        let part = |range, section: &str| FilePart { path: whole.clone(), range: Some(range), section: section.into() };
        assert_eq!(hash(&[part(4..7, "")]).unwrap(), hash(&[alone.into()]).unwrap());
        assert_ne!(hash(&[part(4..7, "2 s to 3 s")]).unwrap(), hash(&[part(4..7, "")]).unwrap());
        assert!(hash(&[part(4..8, "")]).unwrap_err().to_string().contains("it ends before byte 8"));
        let states = [part(4..7, ""), part(0..3, ""), part(4..7, "x")].map(|part| state(&[part]).unwrap().0);
        assert!(states[0] != states[1] && states[0] != states[2] && states[1] != states[2]);
    }

    #[test]
    fn what_was_read_is_remembered_by_its_state() {
        let dir = tempfile::tempdir().unwrap();
        let store = ClipStore::open(&dir.path().join("clips"), 1 << 30).unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "one").unwrap();
        let (state, _) = state(&[path.clone().into()]).unwrap();
        store.keep_small(Kind::Source, &state, &[7; 32]);
        assert_eq!(content(&store, vec![path.into()]).unwrap().content, [7; 32]);
    }
}

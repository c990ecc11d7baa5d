//! Clips that stand in two splits: the same file under two names, or two files with the same bytes.
//!
//! A file is the same where device and inode are, and a part of one also where it has the same bytes of it: that finds
//! hard links and whatever lies behind a link. Two clips have the same bytes where their files have, one by one. Only
//! clips of the same sizes are read for that: first their ends, and those that agree as a whole. So nothing is read of
//! a data set whose clips all differ in their sizes.

use crate::error::{Error, Result};
use crate::files::open_regular;
use crate::slots::dataset::{FilePart, Split};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;

/// Bytes at both ends of a file that are compared before the whole file is.
const END: u64 = 4 << 10;

/// A clip that stands in two splits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Its splits and its identifiers there, the first in the order of the list.
    pub places: [(Split, String); 2],
    /// Whether both names lead to the same file; otherwise the files have the same bytes.
    pub same_file: bool,
}

/// What is compared before anything is read.
struct About {
    /// Each file, or part of one.
    identities: Vec<Identity>,
    /// Number and bytes of the files.
    size: (usize, u64),
}

/// The files that decide the pixels of a clip, in their order; none where it is made by code. They are asked for again
/// and again, because the paths of millions of frames would fill the memory.
type Files<'a> = dyn Fn(&str) -> Result<Vec<FilePart>> + Sync + 'a;

/// Device and inode of a file, the bytes of it, and what is taken of what they hold.
type Identity = (u64, u64, u64, u64, String);

/// The clips that stand in two splits, each with the first one that it is a copy of. `clips` are all clips of all
/// splits.
///
/// # Errors
/// Where `files` fails, or a file cannot be read.
pub fn shared(clips: &[(Split, &str)], files: &Files) -> Result<Vec<Shared>> {
    let about = in_order(clips, |(_, clip)| About::of(&files(clip)?))?;
    let mut found: HashMap<(usize, usize), bool> = HashMap::new();

    let sizes: Vec<(usize, u64)> = about.iter().map(|about| about.size).collect();
    let mut identities: Vec<(Identity, usize)> = Vec::new();
    for (at, about) in about.into_iter().enumerate() {
        identities.extend(about.identities.into_iter().map(|identity| (identity, at)));
    }
    identities.par_sort_unstable();
    for same in identities.chunk_by(|one, other| one.0 == other.0) {
        let same: Vec<usize> = same.iter().map(|&(_, at)| at).collect();
        found.extend(across(clips, &same).map(|pair| (pair, true)));
    }

    let all: Vec<usize> = (0..clips.len()).filter(|&at| sizes[at].1 > 0).collect();
    for group in groups(clips, all, |at| Ok(sizes[at]))? {
        for group in groups(clips, group, |at| hash(&files(clips[at].1)?, ends))? {
            for same in groups(clips, group, |at| hash(&files(clips[at].1)?, whole))? {
                across(clips, &same).for_each(|pair| _ = found.entry(pair).or_insert(false));
            }
        }
    }

    let mut pairs: Vec<((usize, usize), bool)> = found.into_iter().collect();
    pairs.sort_unstable();
    let place = |at: usize| (clips[at].0, clips[at].1.to_owned());
    let shared = |((first, second), same_file)| Shared { places: [place(first), place(second)], same_file };
    Ok(pairs.into_iter().map(shared).collect())
}

impl About {
    fn of(files: &[FilePart]) -> Result<Self> {
        let mut about = About { identities: Vec::with_capacity(files.len()), size: (files.len(), 0) };
        for FilePart { path, range, section } in files {
            let file = std::fs::metadata(path).map_err(|error| Error::io("read", path, error))?;
            let range = range.clone().unwrap_or(0..file.len());
            about.size.1 = about.size.1.saturating_add(range.end.saturating_sub(range.start));
            about.identities.push((file.dev(), file.ino(), range.start, range.end, section.clone()));
        }
        Ok(about)
    }
}

/// What `of` makes of each of `all`; of several errors always the first in their order, whichever thread is faster.
fn in_order<T: Sync, K: Send>(all: &[T], of: impl Fn(&T) -> Result<K> + Sync) -> Result<Vec<K>> {
    all.par_iter().map(&of).collect::<Vec<Result<K>>>().into_iter().collect()
}

/// Each clip that is in another split than the first one, with that.
fn across(clips: &[(Split, &str)], same: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    let first = same.iter().copied().min().unwrap_or_default();
    same.iter().copied().filter(move |&at| clips[at].0 != clips[first].0).map(move |at| (first, at))
}

/// The clips that have one key, where they are of several splits.
fn groups<K: Eq + std::hash::Hash + Send>(
    clips: &[(Split, &str)],
    among: Vec<usize>,
    key: impl Fn(usize) -> Result<K> + Sync,
) -> Result<Vec<Vec<usize>>> {
    let keys = in_order(&among, |&at| key(at))?;
    let mut groups: HashMap<K, Vec<usize>> = HashMap::new();
    keys.into_iter().zip(among).for_each(|(key, at)| groups.entry(key).or_default().push(at));
    Ok(groups.into_values().filter(|group| across(clips, group).next().is_some()).collect())
}

/// Hash of the files of a clip, each of which `feed` puts into a hash of its own.
fn hash(files: &[FilePart], feed: Feed) -> Result<[u8; 32]> {
    let mut all = Sha256::new();
    for FilePart { path, range, section } in files {
        let mut file = Sha256::new();
        let mut read = || {
            let opened = open_regular(path)?;
            let range = range.clone().unwrap_or(0..opened.metadata()?.len());
            feed(opened, range, &mut file)
        };
        read().map_err(|error| Error::io("read", path, error))?;
        all.update(file.finalize());
        all.update(section);
    }
    Ok(all.finalize().into())
}

/// Puts bytes of a file into a hash: those of this range, or some of them.
type Feed = fn(File, Range<u64>, &mut Sha256) -> std::io::Result<()>;

fn ends(mut file: File, range: Range<u64>, hash: &mut Sha256) -> std::io::Result<()> {
    let length = range.end.saturating_sub(range.start);
    hash.update(length.to_le_bytes());
    for start in [range.start, range.start + length.saturating_sub(END)] {
        file.seek(SeekFrom::Start(start))?;
        std::io::copy(&mut file.by_ref().take(END.min(length)), hash)?;
    }
    Ok(())
}

fn whole(mut file: File, range: Range<u64>, hash: &mut Sha256) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(range.start))?;
    std::io::copy(&mut file.take(range.end.saturating_sub(range.start)), hash).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn clips_of_two_splits_with_one_file_or_the_same_bytes_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        // Longer than both ends together, and equal there.
        let bytes = |middle: u8| [vec![1; END as usize], vec![middle; 9], vec![2; END as usize]].concat();
        for (name, middle) in [("a", 1), ("copy", 1), ("other", 2), ("b", 3)] {
            std::fs::write(at(name), bytes(middle)).unwrap();
        }
        std::fs::write(at("empty"), b"").unwrap();
        std::fs::write(at("nothing"), b"").unwrap();
        std::fs::hard_link(at("b"), at("hard")).unwrap();
        symlink(at("b"), at("soft")).unwrap();
        symlink(dir.path(), at("folder")).unwrap();
        let find = |clips: &[(Split, &str, &[&str])]| {
            let named: Vec<(Split, &str)> = clips.iter().map(|&(split, clip, _)| (split, clip)).collect();
            shared(&named, &|wanted| {
                let (.., files) = clips.iter().find(|(_, clip, _)| *clip == wanted).unwrap();
                Ok(files.iter().map(|name| at(name).into()).collect())
            })
        };
        let (train, val, test) = (Split::Train, Split::Val, Split::Test);
        let pair = |first: (Split, &str), second: (Split, &str), same_file| Shared {
            places: [(first.0, first.1.to_owned()), (second.0, second.1.to_owned())],
            same_file,
        };
        let found = find(&[
            (train, "a", &["a"]),
            (train, "b", &["b"]),
            (train, "a again", &["copy"]),
            (val, "hard", &["hard"]),
            (val, "soft", &["soft"]),
            (test, "copy", &["copy"]),
            (test, "other", &["other"]),
            (test, "through a folder", &["folder/b"]),
            (test, "made by code", &[]),
            (train, "made by code too", &[]),
        ]);
        let expected = [
            pair((train, "a"), (test, "copy"), false),
            pair((train, "b"), (val, "hard"), true),
            pair((train, "b"), (val, "soft"), true),
            pair((train, "b"), (test, "through a folder"), true),
            pair((train, "a again"), (test, "copy"), true),
        ];
        assert_eq!(found.unwrap(), expected);

        // Folders of frames: the same frames in the same order, and one frame in common.
        let found = find(&[
            (train, "one", &["a", "other"]),
            (val, "copies", &["copy", "third"]),
            (val, "turned", &["fourth", "copy again"]),
            (test, "a link", &["empty", "other"]),
            (test, "nothing", &["nothing"]),
        ]);
        std::fs::write(at("third"), bytes(2)).unwrap();
        assert!(found.unwrap_err().to_string().contains("third"), "a file that is not there");
        std::fs::write(at("fourth"), bytes(2)).unwrap();
        std::fs::write(at("copy again"), bytes(1)).unwrap();
        let found = find(&[
            (train, "one", &["a", "other"]),
            (val, "copies", &["copy", "third"]),
            (val, "turned", &["fourth", "copy again"]),
            (test, "a link", &["empty", "other"]),
            (test, "nothing", &["nothing"]),
        ]);
        let expected = [pair((train, "one"), (val, "copies"), false), pair((train, "one"), (test, "a link"), true)];
        assert_eq!(found.unwrap(), expected);
    }
}

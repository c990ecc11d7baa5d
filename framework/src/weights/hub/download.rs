//! One file of a repository, from the hub into the cache: in parts where the connection breaks, and never under its
//! name before all of it is there and has the checksum that the hub says.

use super::address::Address;
use super::cache::{Cached, is_sum, make_folder_of, object_head};
use super::client::{Client, Failure, Listed};
use super::size;
use crate::error::{Error, Result};
use crate::files::{file_hash, hex, open_regular, regular};
use crate::progress::{Progress, Silent, stop_requested};
use sha1::{Digest, Sha1};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the same question is asked without any success.
const TRIES: u32 = 4;
/// From one try to the next; it doubles.
const PAUSE: Duration = Duration::from_millis(400);

/// Asks until there is an answer, an error that stays, or no patience left.
pub(super) fn patiently<T>(mut ask: impl FnMut() -> std::result::Result<T, Failure>) -> Result<T> {
    let mut tries = 0;
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(Failure { error, again }) => {
                tries += 1;
                if stop_requested() {
                    return Err(Error::Interrupted);
                }
                if !again || tries >= TRIES {
                    return Err(error);
                }
                pause(tries)?;
            }
        }
    }
}

/// Waits before try `tries` + 1.
fn pause(tries: u32) -> Result<()> {
    let end = Instant::now() + PAUSE * 2_u32.saturating_pow(tries.saturating_sub(1));
    while Instant::now() < end {
        if stop_requested() {
            return Err(Error::Interrupted);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// What is fetched, and from where.
pub(super) struct Wanted<'a> {
    pub client: &'a Client,
    pub cached: &'a Cached,
    pub address: &'a Address,
    pub commit: &'a str,
    pub file: &'a Listed,
}

impl Wanted<'_> {
    /// Puts the file into the cache. Returns the checksum that its blob is called after.
    pub fn fetch(&self, progress: &dyn Progress) -> Result<String> {
        let name = &self.file.name;
        let (sum, size) = self.about()?;
        let waiting = || progress.note(&format!("another process fetches {name}; waiting for it"));
        let _lock = self.cached.lock(&sum, &waiting)?;
        let blob = self.cached.blob(&sum);
        if blob.exists() {
            if self.check(&blob, &sum, size).is_ok() {
                return Ok(sum);
            }
            progress.note(&format!("{} is damaged, and is fetched again", blob.display()));
            std::fs::remove_file(&blob).map_err(|error| Error::io("remove", &blob, error))?;
        }
        let part = self.cached.part(&sum);
        make_folder_of(&part)?;
        let continued = self.complete(&part, size, progress)?;
        if let Err(error) = self.check(&part, &sum, size) {
            std::fs::remove_file(&part).map_err(|error| Error::io("remove", &part, error))?;
            if !continued {
                return Err(error);
            }
            // What an earlier call left may have been of something else.
            progress.note(&format!("{}; it is fetched as a whole again", error.reason()));
            self.complete(&part, size, progress)?;
            if let Err(error) = self.check(&part, &sum, size) {
                std::fs::remove_file(&part).map_err(|error| Error::io("remove", &part, error))?;
                return Err(error);
            }
        }
        let placed = open_regular(&part).and_then(|file| file.sync_all()).and_then(|()| std::fs::rename(&part, &blob));
        placed.map_err(|error| Error::io("write", &blob, error))?;
        Ok(sum)
    }

    /// Whether the file at `path` is this one.
    pub fn is_at(&self, path: &Path) -> bool {
        self.file.sum().is_some_and(|sum| self.check(path, sum, self.file.size()).is_ok())
    }

    /// Checksum and size, from the list of files, else from the answer for the file itself.
    fn about(&self) -> Result<(String, Option<u64>)> {
        let Listed { name, .. } = self.file;
        let (mut sum, mut size) = (self.file.sum().map(str::to_owned), self.file.size());
        if sum.is_none() {
            let opened = patiently(|| self.client.open(self.address, self.commit, name, 0))?;
            (sum, size) = (opened.etag, size.or(opened.size));
        }
        match sum.filter(|sum| is_sum(sum)) {
            Some(sum) => Ok((sum, size)),
            None => Err(Error::failed(format!(
                "{} says no checksum of {name} of {}, so nobody could see that it arrives whole",
                self.client.place, self.address.repository
            ))
            .help("fetch it from https://huggingface.co or a mirror that says it, or give the path of a file")),
        }
    }

    /// Brings `part` to its full length. Returns whether something of it was there before.
    fn complete(&self, part: &Path, whole: Option<u64>, progress: &dyn Progress) -> Result<bool> {
        let failed = |error| Error::io("write", part, error);
        let mut file = regular(OpenOptions::new().create(true).append(true).read(true), part).map_err(failed)?;
        let mut have = file.metadata().map_err(failed)?.len();
        if whole.is_some_and(|whole| have > whole) {
            (have, _) = (0, file.set_len(0).map_err(failed)?);
        }
        let (before, mut tries) = (have, 0);
        if before > 0 {
            progress.note(&format!("{} of {} are here already", size(before), self.file.name));
        }
        room(part, whole.unwrap_or_default().saturating_sub(have))?;
        // A small file is there before anybody could look.
        let progress: &dyn Progress = if whole.is_some_and(|whole| whole < MEGABYTE) { &Silent } else { progress };
        progress.begin("fetch", megabytes(have), whole.map_or(0, |whole| whole.div_ceil(MEGABYTE)));
        while whole.is_none_or(|whole| have < whole) {
            let at = have;
            match self.some(&mut file, part, &mut have, whole, progress) {
                Ok(()) => break,
                Err(Failure { error, again }) => {
                    tries = if have > at { 1 } else { tries + 1 };
                    if stop_requested() {
                        return Err(Error::Interrupted);
                    }
                    if !again || tries >= TRIES {
                        return Err(error);
                    }
                    progress.note(&format!("{}; going on after {}", error.reason(), size(have)));
                    pause(tries)?;
                }
            }
        }
        progress.end();
        Ok(before > 0)
    }

    /// Adds what one answer gives to `file`, whose length is `have`. An answer that ends early is a failure.
    fn some(
        &self,
        file: &mut File,
        part: &Path,
        have: &mut u64,
        whole: Option<u64>,
        progress: &dyn Progress,
    ) -> std::result::Result<(), Failure> {
        let failed = |error| Error::io("write", part, error);
        let name = &self.file.name;
        let mut opened = self.client.open(self.address, self.commit, name, *have)?;
        if opened.start == 0 && *have > 0 {
            // This server gives no parts.
            file.set_len(0).map_err(failed)?;
            *have = 0;
        }
        if opened.start != *have {
            return Err(Error::failed(format!(
                "{} gives another part of {name} than was asked for",
                self.client.place
            ))
            .into());
        }
        let whole = whole.or(opened.size);
        let broken = |have: u64, why: &str| Failure {
            error: Error::failed(format!("the connection ended in {name}, after {}: {why}", size(have)))
                .help("the same command goes on from there"),
            again: true,
        };
        let mut buffer = vec![0; 1 << 18];
        loop {
            if stop_requested() {
                return Err(Error::Interrupted.into());
            }
            let count = opened.bytes.read(&mut buffer).map_err(|error| broken(*have, &error.to_string()))?;
            if count == 0 {
                break;
            }
            file.write_all(&buffer[..count]).map_err(failed)?;
            *have += count as u64;
            if let Some(whole) = whole.filter(|whole| *have > *whole) {
                file.set_len(0).map_err(failed)?;
                let message = format!("{} sends more than the {whole} bytes of {name}", self.client.place);
                return Err(Error::failed(message).help("look at HF_ENDPOINT: something else answers").into());
            }
            progress.at(megabytes(*have), &format!("MB of {name}"));
        }
        match whole {
            Some(whole) if *have < whole => Err(broken(*have, &format!("{} are missing", size(whole - *have)))),
            _ => Ok(()),
        }
    }

    /// An error where the file at `path` is not the one that is wanted.
    fn check(&self, path: &Path, sum: &str, whole: Option<u64>) -> Result<()> {
        let length = std::fs::metadata(path).map_err(|error| Error::io("read", path, error))?.len();
        let found = match sum.len() {
            40 => git_object(path, length)?,
            _ => hex(&file_hash(path)?),
        };
        if found == sum && whole.is_none_or(|whole| whole == length) {
            return Ok(());
        }
        Err(Error::failed(format!(
            "what came of {} is damaged: {length} bytes with the checksum {found}, not {sum}",
            self.file.name
        ))
        .help("nothing of it was kept: try again; if it stays so, look at HF_ENDPOINT and at proxies"))
    }
}

const MEGABYTE: u64 = 1_000_000;

fn megabytes(bytes: u64) -> u64 {
    bytes / MEGABYTE
}

/// The name that git gives to the content of a file: SHA-1 of a header and the bytes.
fn git_object(path: &Path, length: u64) -> Result<String> {
    let failed = |error| Error::io("read", path, error);
    let mut hash = Sha1::new_with_prefix(object_head(length));
    let mut file = open_regular(path).map_err(failed)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(hex(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// An error where the disk of `path` has less than `needed` bytes left.
fn room(path: &Path, needed: u64) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let Ok(about) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    if free >= needed {
        return Ok(());
    }
    Err(Error::failed(format!("{} has {} left, and {} are to come", folder.display(), size(free), size(needed)))
        .help("make room, or set HF_HOME or HF_HUB_CACHE to a folder on another disk"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_is_named_as_git_names_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // `git hash-object` of an empty file and of "hello\n".
        assert_eq!(git_object(file.path(), 0).unwrap(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        std::fs::write(file.path(), "hello\n").unwrap();
        assert_eq!(git_object(file.path(), 6).unwrap(), "ce013625030ba8dba906f756967f9e9ca394464a");
    }

    #[test]
    fn only_what_may_change_is_asked_again() {
        let asked = |again: bool| {
            let mut count = 0;
            let answer: Result<()> = patiently(|| {
                count += 1;
                Err(Failure { error: Error::failed("no"), again })
            });
            assert!(answer.is_err());
            count
        };
        assert_eq!((asked(false), asked(true)), (1, TRIES));
    }

    #[test]
    fn a_disk_without_room_is_known_before() {
        let folder = tempfile::tempdir().unwrap();
        let error = room(&folder.path().join("part"), u64::MAX).unwrap_err().to_string();
        assert!(error.contains("are to come") && error.contains("HF_HOME"), "{error}");
        room(&folder.path().join("part"), 1).unwrap();
    }
}

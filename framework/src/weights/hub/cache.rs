//! The cache that Python's `huggingface_hub` shares: `models--OWNER--NAME` with `refs`, `blobs` and `snapshots`. The
//! names are those of the crate `hf-hub`.
//!
//! A blob is called after its checksum, and a snapshot is a folder of links to blobs. A part of a file is
//! `CHECKSUM.incomplete`.

use super::address::Address;
use crate::error::{Error, Result};
use crate::files::{hex, read_regular, regular, sha256};
use crate::progress::stop_requested;
use hf_hub::{Cache, CacheRepo, Repo, RepoType};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sha1::{Digest, Sha1};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Digits of a commit.
const COMMIT: usize = 40;

/// What the cache has of one repository, at one revision.
pub(super) struct Cached {
    layout: CacheRepo,
    /// The folder of the repository.
    folder: PathBuf,
    /// The folder of its locks.
    locks: PathBuf,
    revision: String,
}

impl Cached {
    /// In the folder `cache`, which need not be there.
    pub fn new(cache: &Path, address: &Address) -> Self {
        let revision = address.revision().to_owned();
        let repo = Repo::with_revision(address.repository.clone(), RepoType::Model, revision.clone());
        let (folder, locks) = (cache.join(repo.folder_name()), cache.join(".locks").join(repo.folder_name()));
        Self { layout: Cache::new(cache.to_owned()).repo(repo), folder, locks, revision }
    }

    /// The commit that the revision was when it was asked for last; `None` where that is not known.
    pub fn commit(&self) -> Option<String> {
        if is_commit(&self.revision) {
            return Some(self.revision.clone());
        }
        let text = read_regular(&self.folder.join("refs").join(&self.revision), 1 << 10).ok()?;
        Some(String::from_utf8(text).ok()?.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// Keeps which commit the revision is.
    pub fn keep_commit(&self, commit: &str) -> Result<()> {
        // A cache that is complete may be where nothing can be written.
        if is_commit(&self.revision) || self.commit().as_deref() == Some(commit) {
            return Ok(());
        }
        let file = self.folder.join("refs").join(&self.revision);
        self.layout.create_ref(commit).map_err(|error| Error::io("write", &file, error))
    }

    /// The folder of the files of `commit`.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.layout.pointer_path(commit)
    }

    /// Whether it is known that `commit` has no `file`.
    pub fn lacks(&self, commit: &str, file: &str) -> bool {
        self.absent(commit, file).is_file()
    }

    /// Keeps that `commit` has no `file`.
    pub fn keep_absent(&self, commit: &str, file: &str) -> Result<()> {
        let path = self.absent(commit, file);
        if path.is_file() {
            return Ok(());
        }
        make_folder_of(&path)?;
        let made = OpenOptions::new().create(true).append(true).open(&path);
        made.map(drop).map_err(|error| Error::io("write", &path, error))
    }

    fn absent(&self, commit: &str, file: &str) -> PathBuf {
        self.folder.join(".no_exist").join(commit).join(file)
    }

    /// The place of the content with the checksum `sum`.
    pub fn blob(&self, sum: &str) -> PathBuf {
        self.folder.join("blobs").join(sum)
    }

    /// The place of a part of it.
    pub fn part(&self, sum: &str) -> PathBuf {
        self.folder.join("blobs").join(format!("{sum}.incomplete"))
    }

    /// Makes `file` of `commit` a link to the blob `sum`. What was there is replaced.
    pub fn link(&self, commit: &str, file: &str, sum: &str) -> Result<()> {
        let path = self.snapshot(commit).join(file);
        make_folder_of(&path)?;
        // From the folder of the link up to that of the repository.
        let up = "../".repeat(2 + file.matches('/').count());
        let beside = path.with_file_name(format!(".{sum}.{}.tmp", std::process::id()));
        let _ = std::fs::remove_file(&beside);
        let linked = std::os::unix::fs::symlink(format!("{up}blobs/{sum}"), &beside)
            .and_then(|()| std::fs::rename(&beside, &path));
        linked.map_err(|error| Error::io("link", &path, error))
    }

    /// Waits until no other process, also none of Python, fetches the content `sum`. The lock ends with the file.
    pub fn lock(&self, sum: &str, waiting: &dyn Fn()) -> Result<File> {
        let path = self.locks.join(format!("{sum}.lock"));
        make_folder_of(&path)?;
        let file = regular(OpenOptions::new().create(true).append(true), &path)
            .map_err(|error| Error::io("open", &path, error))?;
        let mut told = false;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(Errno::WOULDBLOCK | Errno::INTR) if stop_requested() => return Err(Error::Interrupted),
                Err(Errno::WOULDBLOCK | Errno::INTR) => {
                    if !std::mem::replace(&mut told, true) {
                        waiting();
                    }
                    std::thread::sleep(Duration::from_millis(200));
                }
                // A file system without locks. The checksum finds what two writers at once may do.
                Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK) => return Ok(file),
                Err(error) => return Err(Error::io("lock", &path, error.into())),
            }
        }
    }
}

/// Makes the folder that `path` lies in.
pub(super) fn make_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| {
        Error::io("make the folder", folder, error).help("HF_HOME or HF_HUB_CACHE names another folder for the cache")
    })
}

/// Whether `text` is a whole commit.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == COMMIT && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// An error where `path` is a link in a snapshot to a blob whose `bytes` do not have the checksum that it is called
/// after. `whole` is the SHA-256 of the bytes, where it is known.
pub(in crate::weights) fn intact(path: &Path, bytes: &[u8], whole: Option<String>) -> Result<()> {
    let blob = std::fs::read_link(path).ok().and_then(|blob| Some(blob.file_name()?.to_str()?.to_owned()));
    let Some(sum) = blob.filter(|sum| is_sum(sum)) else { return Ok(()) };
    let found = match sum.len() {
        COMMIT => hex(&Sha1::new_with_prefix(object_head(bytes.len() as u64)).chain_update(bytes).finalize()),
        _ => whole.unwrap_or_else(|| sha256(bytes)),
    };
    if found == sum {
        return Ok(());
    }
    Err(Error::failed(format!("{} is damaged: its checksum is {found}, not {sum}", path.display()))
        .help("`maclip weights fetch` with the address of the weights fetches it again"))
}

/// Whether `text` is SHA-256 of a large file, or SHA-1 of git's object of a small one.
pub(super) fn is_sum(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What git's checksum of a file of `length` bytes begins with, before the bytes.
pub(super) fn object_head(length: u64) -> String {
    format!("blob {length}\0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_link_to_its_blob_also_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let address = Address::of("hf:a/b").unwrap().unwrap();
        let cached = Cached::new(folder.path(), &address);
        let (commit, sum) = ("c".repeat(COMMIT), "d".repeat(64));
        assert_eq!(cached.commit(), None);
        cached.keep_commit(&commit).unwrap();
        assert_eq!(cached.commit().as_deref(), Some(&*commit));
        assert_eq!(std::fs::read_to_string(folder.path().join("models--a--b/refs/main")).unwrap(), commit);
        make_folder_of(&cached.blob(&sum)).unwrap();
        std::fs::write(cached.blob(&sum), "weights").unwrap();
        for file in ["model.bin", "sub/deep/model.bin"] {
            // Twice: a link that is there is replaced.
            (0..2).for_each(|_| cached.link(&commit, file, &sum).unwrap());
            let path = folder.path().join("models--a--b/snapshots").join(&commit).join(file);
            assert_eq!(path, cached.snapshot(&commit).join(file));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "weights", "{file}");
            let damaged = intact(&path, b"weights", None).unwrap_err().to_string();
            assert!(damaged.contains(&sum) && damaged.contains("is damaged"), "{damaged}");
        }
        assert!(!cached.lacks(&commit, "config.json"));
        cached.keep_absent(&commit, "config.json").unwrap();
        assert!(cached.lacks(&commit, "config.json"));
    }

    #[test]
    fn the_bytes_of_a_blob_are_compared_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let cached = Cached::new(folder.path(), &Address::of("hf:a/b").unwrap().unwrap());
        // `git hash-object` and `sha256sum` of "hello\n".
        for sum in [
            "ce013625030ba8dba906f756967f9e9ca394464a",
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        ] {
            cached.link("c", "file", sum).unwrap();
            let path = cached.snapshot("c").join("file");
            intact(&path, b"hello\n", None).unwrap();
            assert!(intact(&path, b"Hello\n", None).is_err(), "{sum}");
        }
        // A file that is no link has no checksum.
        intact(folder.path(), b"x", None).unwrap();
    }

    #[test]
    fn a_ref_that_is_no_commit_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let cached = Cached::new(folder.path(), &Address::of("hf:a/b").unwrap().unwrap());
        let file = folder.path().join("models--a--b/refs/main");
        make_folder_of(&file).unwrap();
        for text in ["", "../../..", "C0", &"C".repeat(COMMIT)] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(cached.commit(), None, "{text}");
        }
    }

    #[test]
    fn a_second_process_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let cached = Cached::new(folder.path(), &Address::of("hf:a/b").unwrap().unwrap());
        let first = cached.lock("d", &|| panic!("nobody has it")).unwrap();
        let waited = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| cached.lock("d", &|| waited.store(true, std::sync::atomic::Ordering::SeqCst)));
            while !waited.load(std::sync::atomic::Ordering::SeqCst) {
                std::thread::yield_now();
            }
            drop(first);
            second.join().unwrap().unwrap();
        });
    }
}

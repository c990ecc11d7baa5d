//! Files that are complete or not there, checksums, and small helpers of all records.

use crate::error::{Error, Result};
use rustix::fs::OFlags;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The largest text that is read, in bytes: lists, labels, episodes and records. The longest published list has 4 MB.
pub const TEXT: u64 = 1 << 30;

const NOT_REGULAR: &str = "it is a pipe or a device, not a regular file";

/// This program, to start it once more; on Linux also where its file was replaced since it began, as by a build.
///
/// # Errors
/// Where the system does not say which file it is.
pub fn this_program() -> Result<PathBuf> {
    if cfg!(target_os = "linux") {
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe().map_err(|error| Error::failed(format!("cannot find maclip: {error}")))
}

/// A path as a value of a recipe.
///
/// # Errors
/// Where it is not UTF-8.
pub fn as_value(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        Error::failed(format!("{} is not UTF-8, and a recipe, which is text, must name it", path.display()))
            .help("move the folder to a path of plain characters")
    })
}

/// Opens a regular file to read. The open never waits, as that of a pipe without a writer would.
///
/// # Errors
/// Where `path` is not there or may not be read, and where it is no regular file, such as a folder, a pipe or a device.
pub fn open_regular(path: &Path) -> std::io::Result<File> {
    regular(OpenOptions::new().read(true), path)
}

/// Opens a regular file with `options`, without ever waiting.
///
/// # Errors
/// As [`open_regular`].
pub fn regular(options: &mut OpenOptions, path: &Path) -> std::io::Result<File> {
    // The kind is asked of the open file: what the path names may change between two questions.
    let opened = options.custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path);
    // So the open of a pipe to write ends, where nobody reads from it.
    let nobody = |error: &std::io::Error| error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error());
    let file = match opened {
        Err(error) if nobody(&error) => return Err(std::io::Error::other(NOT_REGULAR)),
        opened => opened?,
    };
    match file.metadata()?.file_type() {
        kind if kind.is_file() => Ok(file),
        kind if kind.is_dir() => Err(std::io::Error::other("it is a folder, not a file")),
        _ => Err(std::io::Error::other(NOT_REGULAR)),
    }
}

/// Opens a regular file of a store of our own, to write where `write` is true. Links are not followed, so that nothing
/// outside the store is read or changed.
///
/// # Errors
/// As [`open_regular`], and where `path` is a link.
pub fn open_own(path: &Path, write: bool) -> std::io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = OpenOptions::new().read(true).write(write).custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::Error::other("it is not a regular file")) }
}

/// Takes the lock of the open file at `path`; `false` where another process holds it.
///
/// # Errors
/// Where the file system refuses locks: then neither is known, and the file counts as neither free nor taken.
pub fn try_lock(file: &File, path: &Path) -> Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(no_lock(path, error)),
    }
}

/// Whether another process holds the lock of the file at `path`, which is open for reading. A lock that others may
/// share is tried: NFS gives the other kind only to files that are open for writing.
///
/// # Errors
/// As [`try_lock`].
pub fn is_locked(file: &File, path: &Path) -> Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false).map_err(|error| no_lock(path, error)),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(no_lock(path, error)),
    }
}

/// Renames `from` to `to`. Where a network file system lost the answer of its server and asked again, it says that
/// `from` is not there although it was renamed: that is a success.
///
/// # Errors
/// Where it was not renamed.
pub fn rename(from: &Path, to: &Path) -> std::io::Result<()> {
    let identity = |path: &Path| std::fs::symlink_metadata(path).ok().map(|about| (about.dev(), about.ino()));
    let own = identity(from);
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::NotFound && own.is_some() && identity(to) == own => Ok(()),
        renamed => renamed,
    }
}

/// The error that the file system gave for a lock of the file at `path`, with the way out.
pub(crate) fn no_lock(path: &Path, error: std::io::Error) -> Error {
    use rustix::io::Errno;
    let refuses = [Errno::NOLCK, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL];
    let refused = refuses.into_iter().any(|refused| error.raw_os_error() == Some(refused.raw_os_error()));
    let told = Error::io("lock", path, error);
    match refused {
        true => told.help(
            "the file system there refuses locks, which keep two processes apart: mount it with locks (Lustre: `flock`, \
             NFS 3: lockd, not `nolock`), or choose another folder; `maclip docs shared_storage` says more",
        ),
        false => told,
    }
}

/// All bytes of a regular file of a store of our own, of at most `limit` bytes.
///
/// # Errors
/// As [`open_own`], and where the file is longer.
pub fn read_own(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    unless_stale(|| bounded(open_own(path, false)?, limit))
}

/// All bytes of a regular file of at most `limit` bytes.
///
/// # Errors
/// Those of [`open_regular`], and where the file is longer, also where it grows while it is read.
pub fn read_regular(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    unless_stale(|| bounded(open_regular(path)?, limit))
}

/// What `read` gives. Where another machine replaces the file while it is open here, NFS calls it stale: the new one is
/// read.
fn unless_stale<T>(read: impl Fn() -> std::io::Result<T>) -> std::io::Result<T> {
    const TRIES: usize = 5;
    (1..TRIES).map(|_| read()).find(|read| !read.as_ref().is_err_and(is_stale)).unwrap_or_else(&read)
}

fn is_stale(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::STALE.raw_os_error())
}

fn bounded(file: File, limit: u64) -> std::io::Result<Vec<u8>> {
    let too_long = || std::io::Error::other(format!("it is longer than {limit} bytes"));
    // Before any memory is taken: a sparse file can claim more than there is.
    if file.metadata()?.len() > limit {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(too_long()) } else { Ok(bytes) }
}

/// Writes `bytes` to a temporary file beside `path`, waits for the disk, and renames it: `path` is always the old or
/// the new file.
///
/// # Errors
/// Where the file cannot be written. The old one is then unchanged.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes, true)
}

/// [`write_atomically`] without waiting for the disk, for files that can be made again, such as a report.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_quickly(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes, false)
}

/// Copies the file `from` to `to`, as [`write_atomically`] writes: `to` is never a part of the file.
///
/// # Errors
/// Where `from` cannot be read or `to` cannot be written.
pub fn copy_atomically(from: &Path, to: &Path) -> Result<()> {
    let bytes = read_regular(from, TEXT).map_err(|error| Error::io("read", from, error))?;
    write_atomically(to, &bytes)
}

fn replace(path: &Path, bytes: &[u8], sync: bool) -> Result<()> {
    // Several threads and processes, also on other machines, may write the same file at once: each uses a name of its
    // own.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let moment = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.{}.{moment}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    let temporary = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        if sync {
            file.sync_all()?;
        }
        rename(&temporary, path)
    };
    write().map_err(|error| {
        // The temporary file is of no use, whatever happened to it.
        let _ = std::fs::remove_file(&temporary);
        Error::io("write", path, error)
    })
}

/// Writes `bytes` to the file `path` that a person named, as [`write_atomically`] does. A link there stays, and the
/// file that it leads to is written.
///
/// # Errors
/// As [`check_output`], and where the file cannot be written.
pub fn write_output(path: &Path, bytes: &[u8]) -> Result<()> {
    check_output(path)?;
    // A link to a file that is not there yet cannot be resolved as a whole.
    let linked = std::fs::read_link(path).ok().map(|link| path.with_file_name("").join(link));
    let target = path.canonicalize().ok().or(linked);
    write_atomically(target.as_deref().unwrap_or(path), bytes)
}

/// Looks whether a file that a person named can be written there: before long work, whose result would be lost.
///
/// # Errors
/// Where its folder is missing, or something else than a regular file is there, such as a device.
pub fn check_output(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = |why: &str| Error::failed(format!("cannot write {}: {why}", path.display()));
    if !folder.is_dir() {
        return Err(cannot(&format!("there is no folder {}", folder.display())).help("make the folder first"));
    }
    match std::fs::metadata(path) {
        Ok(about) if !about.is_file() => Err(cannot("it is a folder, a pipe or a device").help("give another file")),
        _ => Ok(()),
    }
}

/// SHA-256 of a regular file of any length, which is never held whole.
///
/// # Errors
/// Where it cannot be read.
pub fn file_hash(path: &Path) -> Result<[u8; 32]> {
    open_regular(path)
        .and_then(|file| hash_all(file).map(|(hash, _)| hash))
        .map_err(|error| Error::io("read", path, error))
}

/// SHA-256 of the bytes `range` of a regular file.
///
/// # Errors
/// Where it cannot be read, or ends before.
pub fn range_hash(path: &Path, range: &Range<u64>) -> Result<[u8; 32]> {
    let read = || {
        let mut file = open_regular(path)?;
        file.seek(SeekFrom::Start(range.start))?;
        let wanted = range.end.saturating_sub(range.start);
        match hash_all(file.take(wanted))? {
            (hash, count) if count == wanted => Ok(hash),
            _ => Err(std::io::Error::other(format!("it ends before byte {}", range.end))),
        }
    };
    read().map_err(|error| Error::io("read", path, error))
}

/// SHA-256 of all that comes, and the number of bytes.
fn hash_all(mut source: impl Read) -> std::io::Result<([u8; 32], u64)> {
    let (mut hash, mut all) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 18];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok((hash.finalize().into(), all)),
            count => {
                hash.update(&buffer[..count]);
                all += count as u64;
            }
        }
    }
}

/// SHA-256 of `bytes`, as 64 lower-case hex digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Two lower-case hex digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes `value` as an indented JSON file, as [`write_atomically`] writes.
///
/// # Errors
/// Where `value` cannot be JSON, such as a map whose keys are not strings, or the file cannot be written.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| Error::failed(format!("{} cannot be written: {error}", path.display())))?;
    bytes.push(b'\n');
    write_atomically(path, &bytes)
}

/// Seconds since 1970, UTC; 0 where the clock is before that.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// Reads a number of a JSON record. JSON has no NaN: it is written as `null`, and read as NaN here.
pub(crate) fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    #[test]
    fn a_stale_file_is_read_again_and_other_errors_are_told_at_once() {
        let tries = std::cell::Cell::new(0);
        let read = |stale: usize, error: i32| {
            tries.set(0);
            let read = unless_stale(|| {
                tries.set(tries.get() + 1);
                if tries.get() <= stale { Err(std::io::Error::from_raw_os_error(error)) } else { Ok(7) }
            });
            (read.ok(), tries.get())
        };
        let stale = rustix::io::Errno::STALE.raw_os_error();
        assert_eq!((read(0, stale), read(3, stale), read(9, stale)), ((Some(7), 1), (Some(7), 4), (None, 5)));
        assert_eq!(read(1, rustix::io::Errno::IO.raw_os_error()), (None, 1));
    }

    #[test]
    fn a_rename_that_was_done_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("a"), "1").unwrap();
        rename(&at("a"), &at("b")).unwrap();
        assert_eq!(std::fs::read(at("b")).unwrap(), b"1");
        assert_eq!(rename(&at("a"), &at("b")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn files_that_are_no_regular_files_or_too_long_are_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, file) = (dir.path().join("pipe"), dir.path().join("file"));
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        std::fs::write(&file, b"12345").unwrap();
        assert_eq!(read_regular(&file, 5).unwrap(), b"12345");
        let sparse = dir.path().join("sparse");
        File::create(&sparse).unwrap().set_len(1 << 40).unwrap();
        for (path, limit, why) in [
            (&*pipe, 5, "pipe or a device"),
            (Path::new("/dev/zero"), 5, "pipe or a device"),
            (dir.path(), 5, "folder"),
            (&file, 4, "longer than 4 bytes"),
            (&sparse, TEXT, "longer than"),
        ] {
            let error = read_regular(path, limit).unwrap_err().to_string();
            assert!(error.contains(why), "{}: {error}", path.display());
        }
        assert_eq!(open_regular(&dir.path().join("gone")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    }
}

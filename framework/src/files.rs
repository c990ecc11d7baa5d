//! Files that are whole or not there, checksums, and small things that every record needs.

use crate::error::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes `bytes` to a temporary name beside `path`, waits for the disk and renames: `path` is always the old or the new file.
///
/// # Errors
/// Where the file cannot be written; the old one is then as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes, true)
}

/// [`write_atomically`] for what can be made again, such as a report: nobody waits for the disk.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_quickly(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes, false)
}

/// Copies the file `from` so that `to` is whole or not there.
///
/// # Errors
/// Where `from` cannot be read or `to` cannot be written.
pub fn copy_atomically(from: &Path, to: &Path) -> Result<()> {
    let bytes = std::fs::read(from).map_err(|error| Error::io("read", from, error))?;
    write_atomically(to, &bytes)
}

fn replace(path: &Path, bytes: &[u8], sync: bool) -> Result<()> {
    // Threads and processes, also of other machines, may write the same file at once: each has a name of its own.
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
        std::fs::rename(&temporary, path)
    };
    write().map_err(|error| {
        // The temporary file is useless whatever happened to it.
        let _ = std::fs::remove_file(&temporary);
        Error::io("write", path, error)
    })
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes `value` as a JSON file, whole or not at all.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| Error::failed(format!("{} cannot be written: {error}", path.display())))?;
    bytes.push(b'\n');
    write_atomically(path, &bytes)
}

/// Seconds since 1970; 0 where the clock stands before that.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// A number of a JSON record. JSON cannot write what is not a number and has `null` in its place.
pub fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

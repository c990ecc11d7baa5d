//! Tar files without compression: the headers are read once, and an entry where it lies.

use super::{At, Listed};
use maclip_framework::error::{Error, Result};
use maclip_framework::files::open_regular;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of zeros that end a tar file.
const END: usize = 1024;
/// Bytes of a block, which a header takes.
const BLOCK: u64 = 512;
/// First bytes of what compresses a whole file.
const COMPRESSED: [(&[u8], &str); 3] = [(b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2")];

/// An open tar file.
pub(super) struct TarFile {
    file: File,
}

impl TarFile {
    /// The file, its regular entries, and what to know about them.
    pub fn open(path: &Path) -> Result<(Self, Vec<Listed>, Vec<String>)> {
        let failed = |what: String| Error::failed(format!("{}: {what}", path.display()));
        let io = |error| Error::io("read", path, error);
        let file = open_regular(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut start = [0; 4];
        let known = (&file).read(&mut start).map_err(io)?;
        if let Some((_, how)) = COMPRESSED.iter().find(|(magic, _)| start[..known].starts_with(magic)) {
            return Err(failed(format!(
                "it is compressed with {how}: unpack it once, as entries are read where they lie"
            )));
        }
        if length < BLOCK {
            return Err(failed(format!("it has {length} bytes, and is no tar file")));
        }
        let mut notes = Vec::new();
        let mut end = [1; END];
        let ended = length >= END as u64 && file.read_exact_at(&mut end, length - END as u64).is_ok();
        if !ended || end.iter().any(|byte| *byte != 0) {
            notes.push(format!("{} has no mark at its end: it may be cut", path.display()));
        }
        let mut archive = tar::Archive::new(BufReader::new(open_regular(path).map_err(io)?));
        let (mut listed, mut others) = (Vec::new(), 0);
        for (number, entry) in archive.entries_with_seek().map_err(io)?.enumerate() {
            let entry = entry.map_err(|error| failed(format!("entry {number} is damaged: {error}")))?;
            let kind = entry.header().entry_type();
            if kind.is_dir() || kind.is_pax_global_extensions() {
                continue;
            }
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if !(kind.is_file() || kind.is_contiguous()) {
                others += 1;
                continue;
            }
            let (start, size) = (entry.raw_file_position(), entry.size());
            if start.checked_add(size).is_none_or(|end| end > length) {
                return Err(failed(format!(
                    "it is cut: {name} begins at byte {start} and has {size}, of {length} in all"
                )));
            }
            listed.push(Listed { path: name.trim_start_matches("./").to_owned(), at: At::Tar { start, size } });
        }
        if others > 0 {
            notes
                .push(format!("{}: {others} entries are no files, such as links, and are passed over", path.display()));
        }
        Ok((Self { file }, listed, notes))
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// The bytes of an entry in the file.
    pub fn range(&self, at: At) -> io::Result<Range<u64>> {
        match at {
            At::Tar { start, size } => Ok(start..start + size),
            At::Zip { .. } => Err(io::Error::other("it is an entry of a zip file")),
        }
    }

    /// Writes the content of an entry, of at most `limit` bytes.
    pub fn copy(&self, at: At, limit: u64, to: &mut impl Write) -> io::Result<()> {
        let range = self.range(at)?;
        let size = range.end - range.start;
        if size > limit {
            return Err(io::Error::other(format!("it has {size} bytes; at most {limit} are read")));
        }
        let (mut from, mut buffer) = (range.start, vec![0; 1 << 16]);
        while from < range.end {
            let part = usize::try_from(range.end - from).unwrap_or(usize::MAX).min(buffer.len());
            self.file.read_exact_at(&mut buffer[..part], from)?;
            to.write_all(&buffer[..part])?;
            from += part as u64;
        }
        Ok(())
    }
}

//! Tar files without compression: the headers are read once, and an entry where it lies.

use super::{At, Listed, several};
use maclip_framework::error::{Error, Result};
use maclip_framework::files::open_regular;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

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
        let mut archive = tar::Archive::new(BufReader::new(open_regular(path).map_err(io)?));
        let (mut listed, mut others, mut end) = (Vec::new(), 0, 0);
        let (mut twice, mut seen) = (Vec::new(), HashSet::new());
        for (number, entry) in archive.entries_with_seek().map_err(io)?.enumerate() {
            let entry = entry.map_err(|error| failed(format!("entry {number} is damaged: {error}")))?;
            let kind = entry.header().entry_type();
            let is_file = kind.is_file() || kind.is_contiguous();
            // The size of a large file is in a header before its own.
            let size = if is_file { entry.size() } else { entry.header().entry_size().unwrap_or(0) };
            end = entry.raw_file_position().saturating_add(size.div_ceil(BLOCK).saturating_mul(BLOCK));
            if kind.is_dir() || kind.is_pax_global_extensions() {
                continue;
            }
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if !is_file {
                others += 1;
                continue;
            }
            let start = entry.raw_file_position();
            if start.checked_add(size).is_none_or(|end| end > length) {
                return Err(failed(format!(
                    "it is cut: {name} begins at byte {start} and has {size}, of {length} in all"
                )));
            }
            let name = name.trim_start_matches("./").to_owned();
            if !seen.insert(name.clone()) {
                twice.push(format!("{name} is there twice"));
            }
            listed.push(Listed { path: name, at: At::Tar { start, size } });
        }
        if !twice.is_empty() {
            return Err(failed(format!("it has entries of one name, as `tar -r` makes them:{}", several(&twice))));
        }
        ended(&file, end, length).map_err(|what| failed(what.to_owned()))?;
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

/// Looks at what stands behind the last entry, which ends at byte `end`: zeros, of which a block at least.
///
/// # Errors
/// Where it is something else, as a text without the name of the file.
fn ended(file: &File, end: u64, length: u64) -> std::result::Result<(), &'static str> {
    if length < end.saturating_add(BLOCK) {
        return Err("it has no mark at its end, so it may be cut: fetch it again; if it is whole, \
                    `head -c 1024 /dev/zero >> FILE` adds the mark");
    }
    let (mut at, mut buffer) = (end, vec![0; 1 << 16]);
    while at < length {
        let part = usize::try_from(length - at).unwrap_or(usize::MAX).min(buffer.len());
        let read = file.read_exact_at(&mut buffer[..part], at);
        if read.is_err() || buffer[..part].iter().any(|byte| *byte != 0) {
            return Err("there is more behind the mark at its end, as where tar files were put together with `cat`: \
                        unpack it with `tar -i`, and pack it again");
        }
        at += part as u64;
    }
    Ok(())
}

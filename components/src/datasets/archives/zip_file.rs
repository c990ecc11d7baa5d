//! Zip files: the directory at the end is read entry by entry, and an entry where it lies.

use super::{At, Listed, several};
use flate2::read::DeflateDecoder;
use maclip_framework::error::{Error, Result};
use maclip_framework::files::open_regular;
use rawzip::{CompressionMethod, FileReader, RECOMMENDED_BUFFER_SIZE, ZipArchive};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::Path;

/// An open zip file.
pub(super) struct ZipFile {
    file: File,
    archive: ZipArchive<FileReader>,
}

impl ZipFile {
    /// The file and its entries, without folders.
    pub fn open(path: &Path) -> Result<(Self, Vec<Listed>)> {
        let failed = |what: String| Error::failed(format!("{}: {what}", path.display()));
        let file = open_regular(path).map_err(|error| Error::io("read", path, error))?;
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let own = file.try_clone().map_err(|error| Error::io("read", path, error))?;
        let archive = ZipArchive::from_file(own, &mut buffer)
            .map_err(|error| failed(format!("it is no whole zip file: {error}")))?;
        let (mut listed, mut problems, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        let mut entries = archive.entries(&mut buffer);
        loop {
            let entry = match entries.next_entry() {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                Err(error) => return Err(failed(format!("entry {} is damaged: {error}", listed.len()))),
            };
            if entry.is_dir() {
                continue;
            }
            let Ok(name) = str::from_utf8(entry.file_path().as_bytes()).map(str::to_owned) else {
                problems.push(format!("{}: entry {} has a name that is not UTF-8", path.display(), listed.len()));
                continue;
            };
            let method = entry.compression_method();
            let deflated = method == CompressionMethod::DEFLATE;
            if entry.flags().is_encrypted() {
                problems.push(format!("{}: {name} is encrypted", path.display()));
            } else if !deflated && method != CompressionMethod::STORE {
                let how = "is compressed in a way that is not read; stored and deflated entries are";
                problems.push(format!("{}: {name} {how}", path.display()));
            } else if !seen.insert(name.clone()) {
                problems.push(format!("{}: {name} is there twice", path.display()));
            }
            listed.push(Listed { path: name, at: At::Zip { way: entry.wayfinder(), crc: entry.crc32(), deflated } });
        }
        match problems.is_empty() {
            true => Ok((Self { file, archive }, listed)),
            false => {
                Err(Error::failed(format!("{} has entries that cannot be read:{}", path.display(), several(&problems))))
            }
        }
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// The bytes of an entry in the file, compressed where they are.
    pub fn range(&self, at: At) -> io::Result<Range<u64>> {
        let At::Zip { way, .. } = at else { return Err(io::Error::other("it is an entry of a tar file")) };
        let (start, end) = self.archive.get_entry(way).map_err(io::Error::other)?.compressed_data_range();
        Ok(start..end)
    }

    /// Writes the content of an entry, of at most `limit` bytes, and compares it with its checksum.
    pub fn copy(&self, at: At, limit: u64, to: &mut impl Write) -> io::Result<()> {
        let At::Zip { way, crc, deflated } = at else { return Err(io::Error::other("it is an entry of a tar file")) };
        let size = way.uncompressed_size_hint();
        if size > limit {
            return Err(io::Error::other(format!("it has {size} bytes; at most {limit} are read")));
        }
        let entry = self.archive.get_entry(way).map_err(io::Error::other)?;
        let reader = entry.reader();
        let mut source: Box<dyn Read> = if deflated { Box::new(DeflateDecoder::new(reader)) } else { Box::new(reader) };
        let mut sum = crc32fast::Hasher::new();
        let (mut all, mut buffer) = (0, vec![0; 1 << 16]);
        loop {
            let count = source.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            all += count as u64;
            // Whatever its header says, no more is taken.
            if all > size {
                return Err(io::Error::other(format!("it holds more than the {size} bytes that its header says")));
            }
            sum.update(&buffer[..count]);
            to.write_all(&buffer[..count])?;
        }
        match (all == size, sum.finalize() == crc) {
            (true, true) => Ok(()),
            (false, _) => Err(io::Error::other(format!("it ends after {all} of {size} bytes"))),
            (true, false) => Err(io::Error::other("it does not fit its checksum")),
        }
    }
}

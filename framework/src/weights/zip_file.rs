//! The zip directory of a torch file, whose entries are stored as they are, each in its own bytes.

use super::DAMAGED;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::ops::Range;

/// An entry of the archive, as a part of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    data: &'a [u8],
    crc: u32,
    /// Neither compressed nor encrypted.
    is_plain: bool,
}

impl<'a> Entry<'a> {
    /// The content, compared with its CRC-32; torch can leave the CRC out, as 0.
    pub fn content(&self) -> std::result::Result<&'a [u8], &'static str> {
        if !self.is_plain {
            return Err("is compressed or encrypted, and torch stores it as it is");
        }
        if self.crc != 0 && crc32fast::hash(self.data) != self.crc {
            return Err("does not fit its checksum");
        }
        Ok(self.data)
    }
}

/// The entries of the zip archive `bytes` by name.
pub(super) fn entries<'a>(name: &str, bytes: &'a [u8]) -> Result<BTreeMap<&'a str, Entry<'a>>> {
    directory(bytes).map_err(|what| Error::failed(format!("{name} is not a whole zip archive: {what}")).help(DAMAGED))
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    field(bytes, at).map(u16::from_le_bytes).map(usize::from)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    field(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<usize> {
    field(bytes, at).map(u64::from_le_bytes)?.try_into().ok()
}

fn starts(bytes: &[u8], at: usize, signature: &[u8; 4]) -> bool {
    field(bytes, at) == Some(*signature)
}

/// Start and length of the central directory and its number of entries.
fn end_record(bytes: &[u8]) -> Option<(usize, usize, usize)> {
    let last = bytes.len().checked_sub(22)?;
    // Only a comment, whose length the record gives, follows the record.
    let at = (last.saturating_sub(usize::from(u16::MAX))..=last)
        .rev()
        .find(|at| starts(bytes, *at, b"PK\x05\x06") && u16_at(bytes, at + 20) == Some(last - at))?;
    let (start, length, count, end) = match at.checked_sub(20) {
        Some(locator) if starts(bytes, locator, b"PK\x06\x07") => {
            let at = u64_at(bytes, locator + 8).filter(|at| starts(bytes, *at, b"PK\x06\x06"))?;
            (u64_at(bytes, at + 48)?, u64_at(bytes, at + 40)?, u64_at(bytes, at + 32)?, at)
        }
        _ => (u32_at(bytes, at + 16)? as usize, u32_at(bytes, at + 12)? as usize, u16_at(bytes, at + 10)?, at),
    };
    (start.checked_add(length)? <= end).then_some((start, length, count))
}

/// The value of a 32-bit field, or where that is full the next one of the 64-bit fields in `extra`.
fn wide(value: u32, extra: &mut &[u8]) -> Option<usize> {
    if value != u32::MAX {
        return Some(value as usize);
    }
    let value = u64_at(extra, 0)?;
    *extra = &extra[8..];
    Some(value)
}

/// The zip64 part of an entry's extra fields; empty where there is none.
fn zip64(mut extra: &[u8]) -> &[u8] {
    while let (Some(id), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let Some(content) = extra.get(4..4 + length) else { break };
        if id == 1 {
            return content;
        }
        extra = &extra[4 + length..];
    }
    &[]
}

/// What the directory says about an entry.
struct Listed<'a> {
    name: &'a str,
    crc: u32,
    is_plain: bool,
    /// Bytes of the entry in the directory.
    length: usize,
    /// Where the entry begins with its header, and its data.
    header: usize,
    data: Range<usize>,
}

/// The first entry of `directory`; `None` where it is damaged or not in `files`, the bytes before the directory.
fn listed<'a>(files: &[u8], directory: &'a [u8]) -> Option<Listed<'a>> {
    let name_end = 46 + u16_at(directory, 28)?;
    let extra_end = name_end + u16_at(directory, 30)?;
    let name = std::str::from_utf8(directory.get(46..name_end)?).ok()?;
    let mut extra = zip64(directory.get(name_end..extra_end)?);
    let size = wide(u32_at(directory, 24)?, &mut extra)?;
    let packed = wide(u32_at(directory, 20)?, &mut extra)?;
    let header = wide(u32_at(directory, 42)?, &mut extra)?;
    let is_plain = u16_at(directory, 8)? & 1 == 0 && u16_at(directory, 10)? == 0 && size == packed;
    let local = files.get(header..)?;
    let local_name_end = 30 + u16_at(local, 26)?;
    let start = header.checked_add(local_name_end + u16_at(local, 28)?)?;
    let data = start..start.checked_add(packed)?;
    let fits = starts(directory, 0, b"PK\x01\x02")
        && starts(local, 0, b"PK\x03\x04")
        && local.get(30..local_name_end)? == name.as_bytes()
        && data.end <= files.len();
    let length = extra_end + u16_at(directory, 32)?;
    fits.then_some(Listed { name, crc: u32_at(directory, 16)?, is_plain, length, header, data })
}

fn directory(bytes: &[u8]) -> std::result::Result<BTreeMap<&str, Entry<'_>>, String> {
    let (start, length, count) = end_record(bytes).ok_or("it has no directory at its end")?;
    let (files, rest) = bytes.split_at_checked(start).ok_or("its directory is cut")?;
    let mut rest = rest.get(..length).ok_or("its directory is cut")?;
    let mut entries = BTreeMap::new();
    let mut ranges = Vec::new();
    for number in 0..count {
        let Listed { name, crc, is_plain, length, header, data } =
            listed(files, rest).ok_or_else(|| format!("entry {number} of {count} is damaged"))?;
        ranges.push((header, data.end));
        let data = files.get(data).unwrap_or_default();
        if entries.insert(name, Entry { data, crc, is_plain }).is_some() {
            return Err(format!("entry {name} is there twice"));
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    ranges.sort_unstable();
    if ranges.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        return Err("its entries overlap".to_owned());
    }
    Ok(entries)
}

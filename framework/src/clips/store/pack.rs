//! Packs: files of records. Records are only ever added at the end.
//!
//! ```text
//! record, at a multiple of 512 bytes:
//!   magic 8 · kind 1 · zeros 7 · key 32 · length of the payload 8 · zeros 4 · CRC-32 of all before 4     = 64 bytes
//!   payload
//! ```
//!
//! A payload is written before its head, so that a killed process leaves no record behind, only bytes. Heads have a
//! checksum of their own, and each record begins at a multiple of 512 bytes: a damaged head costs one record, and
//! reading goes on at the next. Payloads carry their own checksums, which the reader of the payload compares.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// SHA-256 of everything that decides the content of a record.
pub type Key = [u8; 32];

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Frames of a clip.
    Clip = 1,
    /// Hash of the bytes of source files, by their state on the disk.
    Source = 2,
    /// A note that a clip can be decoded, although its frames are not in the store.
    Sound = 3,
    /// Kept features of a clip, a copy in a [`super::local::LocalCache`].
    Features = 4,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Clip, Self::Source, Self::Sound, Self::Features];
}

/// Where the payload of a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub offset: u64,
    pub length: u64,
}

const MAGIC: [u8; 8] = *b"MACLIPR1";
pub const HEAD: u64 = 64;
const ALIGN: u64 = 512;
/// Bytes that are searched at once for the next record.
const WINDOW: usize = 1 << 20;

/// The first place at or after `offset` where a record may begin.
pub fn aligned(offset: u64) -> u64 {
    offset.next_multiple_of(ALIGN)
}

fn head(kind: Kind, key: &Key, length: u64) -> [u8; HEAD as usize] {
    let mut head = [0; HEAD as usize];
    head[..8].copy_from_slice(&MAGIC);
    head[8] = kind as u8;
    head[16..48].copy_from_slice(key);
    head[48..56].copy_from_slice(&length.to_le_bytes());
    let sum = crc32fast::hash(&head[..60]);
    head[60..].copy_from_slice(&sum.to_le_bytes());
    head
}

fn parse(head: &[u8]) -> Option<(Kind, Key, u64)> {
    let head: &[u8; HEAD as usize] = head.first_chunk()?;
    let number = |from: usize| u32::from_le_bytes([head[from], head[from + 1], head[from + 2], head[from + 3]]);
    if head[..8] != MAGIC || number(60) != crc32fast::hash(&head[..60]) {
        return None;
    }
    let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == head[8])?;
    let key: Key = *head[16..].first_chunk()?;
    Some((kind, key, u64::from(number(48)) | u64::from(number(52)) << 32))
}

/// Whether a file is a pack: it is empty, holds a record, or begins with the zeros of a first record that a killed
/// process did not end.
pub fn is_pack(file: &File) -> std::io::Result<bool> {
    let mut bytes = [0; HEAD as usize];
    if file.metadata()?.len() < HEAD {
        return Ok(file.metadata()?.len() == 0);
    }
    file.read_exact_at(&mut bytes, 0)?;
    if bytes == [0; HEAD as usize] || parse(&bytes).is_some() {
        return Ok(true);
    }
    let mut any = false;
    scan(file, 0, |_, _, _| any = true)?;
    Ok(any)
}

/// Writes a record at `offset`, which must be [`aligned`]; returns where its payload lies.
pub fn write(file: &File, offset: u64, kind: Kind, key: &Key, parts: &[&[u8]]) -> std::io::Result<Span> {
    let start = offset + HEAD;
    let mut at = start;
    for part in parts {
        file.write_all_at(part, at)?;
        at += part.len() as u64;
    }
    let length = at - start;
    file.write_all_at(&head(kind, key, length), offset)?;
    Ok(Span { offset: start, length })
}

/// Calls `found` for each record from `from` on; returns the place after the last one.
pub fn scan(file: &File, from: u64, mut found: impl FnMut(Kind, Key, Span)) -> std::io::Result<u64> {
    let size = file.metadata()?.len();
    let (mut at, mut end) = (aligned(from), from);
    let mut window = Vec::new();
    while at + HEAD <= size {
        let mut bytes = [0; HEAD as usize];
        file.read_exact_at(&mut bytes, at)?;
        match parse(&bytes) {
            Some((kind, key, length)) if length <= size - at - HEAD => {
                found(kind, key, Span { offset: at + HEAD, length });
                end = at + HEAD + length;
                at = aligned(end);
            }
            _ => {
                window.resize(WINDOW.min((size - at) as usize), 0);
                file.read_exact_at(&mut window, at)?;
                let places = (ALIGN as usize..window.len()).step_by(ALIGN as usize);
                let next = places.into_iter().find(|&place| window[place..].starts_with(&MAGIC));
                at += next.unwrap_or(window.len().next_multiple_of(ALIGN as usize)) as u64;
            }
        }
    }
    Ok(end)
}

/// The bytes of `span`.
pub fn read(file: &File, span: Span) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; span.length as usize];
    file.read_exact_at(&mut bytes, span.offset)?;
    Ok(bytes)
}

/// The content of a small record, which ends with its checksum; `None` where it is damaged.
pub fn small(file: &File, span: Span) -> Option<Vec<u8>> {
    let bytes = read(file, span).ok()?;
    let (content, sum) = bytes.split_last_chunk::<4>()?;
    (crc32fast::hash(content) == u32::from_le_bytes(*sum)).then(|| content.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(file: &File) -> Vec<(u8, Vec<u8>)> {
        let mut all = Vec::new();
        scan(file, 0, |_, key, span| all.push((key[0], read(file, span).unwrap()))).unwrap();
        all
    }

    #[test]
    fn fuzz_packs() {
        let pack = |payloads: &[&[u8]]| {
            let file = tempfile::tempfile().unwrap();
            let write = |at, (kind, payload): (Kind, &&[u8])| {
                let span = write(&file, at, kind, &[7; 32], &[payload, &crc32fast::hash(payload).to_le_bytes()]);
                aligned(span.map(|span| span.offset + span.length).unwrap())
            };
            Kind::ALL.into_iter().cycle().zip(payloads).fold(0, write);
            let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
            file.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        };
        let seeds = [pack(&[&[1; 700], &[2; 32], b""]), pack(&[&[3; 32]])];
        let file = tempfile::tempfile().unwrap();
        maclip_fuzzing::each("packs", &[&seeds[0], &seeds[1]], |bytes| {
            file.set_len(0).unwrap();
            file.write_all_at(bytes, 0).unwrap();
            let _ = is_pack(&file).unwrap();
            scan(&file, 0, |_, _, span| drop(small(&file, span))).unwrap();
        });
    }

    #[test]
    fn records_come_back_and_damage_costs_one() {
        let file = tempfile::tempfile().unwrap();
        let mut at = 0;
        for (name, length) in [(1u8, 10), (2, 3_000_000), (3, 0), (4, 448), (5, 449)] {
            let payload = vec![name; length];
            let (left, right) = payload.split_at(length / 3);
            let span = write(&file, at, Kind::Clip, &[name; 32], &[left, right]).unwrap();
            at = aligned(span.offset + span.length);
        }
        let whole = records(&file);
        assert_eq!(
            whole.iter().map(|(name, payload)| (*name, payload.len())).collect::<Vec<_>>(),
            [(1, 10), (2, 3_000_000), (3, 0), (4, 448), (5, 449)]
        );
        assert!(whole.iter().all(|(name, payload)| payload.iter().all(|byte| byte == name)));
        // Any byte of the second head that means something.
        for place in (0..9).chain(16..56).chain(60..64) {
            let at = 512 + place;
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 4], at).unwrap();
            assert_eq!(records(&file).iter().map(|(name, _)| *name).collect::<Vec<_>>(), [1, 3, 4, 5], "{place}");
            file.write_all_at(&byte, at).unwrap();
        }
        // Cut anywhere, what is whole is there.
        let size = file.metadata().unwrap().len();
        for cut in [size - 1, size - 449, 3_000_576, 3_000_575, 512, 73, 74, 63, 1, 0] {
            file.set_len(size).unwrap();
            let other = tempfile::tempfile().unwrap();
            let mut bytes = vec![0; cut as usize];
            file.read_exact_at(&mut bytes, 0).unwrap();
            other.write_all_at(&bytes, 0).unwrap();
            let kept = records(&other);
            let fits = |(_, payload): &&(u8, Vec<u8>)| {
                let before: u64 = whole
                    .iter()
                    .take_while(|(_, other)| other != payload)
                    .map(|(_, p)| aligned(HEAD + p.len() as u64))
                    .sum();
                before + HEAD + payload.len() as u64 <= cut
            };
            assert_eq!(kept.len(), whole.iter().filter(fits).count(), "cut at {cut}");
        }
    }
}

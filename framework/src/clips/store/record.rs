//! The payload of a clip: a table of its frames, then the frames.
//!
//! ```text
//! frames of the clip 4 · frames per second 8 (NaN where unknown) · width 4 · height 4 · format 4 · kept frames 4
//! for each kept frame: its index 4 · its length 4 · CRC-32 of its bytes 4
//! CRC-32 of all before 4
//! frames, one after the other
//! ```

use super::pack::Span;
use crate::recipe::clip_store::Format;
use crate::slots::dataset::{Frames, Opened, Timeline};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

const TOP: usize = 28;
const ROW: usize = 12;
/// Bytes of the first read. Most tables are shorter.
const FIRST: u64 = 4096;

/// What a record says about its frames, apart from their pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub timeline: Timeline,
    pub width: usize,
    pub height: usize,
    pub format: Format,
    rows: Vec<Row>,
    /// Where the frames begin in the payload.
    start: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    index: usize,
    sum: u32,
    /// In the payload, after the table.
    offset: u64,
    length: u64,
}

/// A clip as bytes: the table, then each picked frame once. `None` where a number or a side is too large for the
/// format.
pub fn payload(opened: &Opened, format: Format) -> Option<Vec<u8>> {
    let Opened { timeline, indices, frames } = opened;
    // Samplers repeat frames of short clips, and some pick in another order.
    let kept: BTreeMap<usize, &Vec<u8>> = indices.iter().copied().zip(&frames.images).collect();
    let encoded: Vec<Cow<[u8]>> =
        kept.par_iter().map(|(_, image)| format.encode(image, frames.width, frames.height)).collect::<Option<_>>()?;
    let mut bytes =
        Vec::with_capacity(TOP + ROW * kept.len() + 4 + encoded.iter().map(|frame| frame.len()).sum::<usize>());
    bytes.extend(u32::try_from(timeline.frames).ok()?.to_le_bytes());
    bytes.extend(timeline.fps.unwrap_or(f64::NAN).to_le_bytes());
    for number in [frames.width, frames.height, format.code() as usize, kept.len()] {
        bytes.extend(u32::try_from(number).ok()?.to_le_bytes());
    }
    for (index, frame) in kept.keys().zip(&encoded) {
        for number in [u32::try_from(*index).ok()?, u32::try_from(frame.len()).ok()?, crc32fast::hash(frame)] {
            bytes.extend(number.to_le_bytes());
        }
    }
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    encoded.iter().for_each(|frame| bytes.extend_from_slice(frame));
    Some(bytes)
}

impl Table {
    /// Reads the table of the clip at `span`; `None` where it is damaged.
    pub fn read(file: &File, span: Span) -> Option<Self> {
        let mut bytes = vec![0; span.length.min(FIRST) as usize];
        file.read_exact_at(&mut bytes, span.offset).ok()?;
        let size = (TOP + ROW * number(&bytes, 24)? as usize + 4) as u64;
        if size > span.length {
            return None;
        }
        if size > bytes.len() as u64 {
            bytes.resize(size as usize, 0);
            file.read_exact_at(&mut bytes, span.offset).ok()?;
        }
        Self::parse(&bytes[..size as usize], span.length)
    }

    /// Whether `payload` is a clip whose table and frames all have their checksums. Decodes nothing.
    pub fn is_intact(payload: &[u8]) -> bool {
        let intact = || {
            let size = TOP + ROW * number(payload, 24)? as usize + 4;
            let table = Self::parse(payload.get(..size)?, payload.len() as u64)?;
            let frame = |row: &Row| payload.get(size + row.offset as usize..)?.get(..row.length as usize);
            Some(table.rows.iter().all(|row| frame(row).is_some_and(|frame| crc32fast::hash(frame) == row.sum)))
        };
        intact().unwrap_or(false)
    }

    fn parse(bytes: &[u8], length: u64) -> Option<Self> {
        let (table, sum) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(table) != u32::from_le_bytes(*sum) {
            return None;
        }
        let fps = f64::from_le_bytes(*table[4..].first_chunk()?);
        let mut offset = 0;
        let rows: Vec<Row> = table[TOP..]
            .chunks_exact(ROW)
            .map(|row| {
                let at = offset;
                let length = u64::from(number(row, 4)?);
                offset += length;
                Some(Row { index: number(row, 0)? as usize, sum: number(row, 8)?, offset: at, length })
            })
            .collect::<Option<_>>()?;
        (bytes.len() as u64 + offset == length).then_some(())?;
        Some(Self {
            timeline: Timeline { frames: number(table, 0)? as usize, fps: Some(fps).filter(|fps| !fps.is_nan()) },
            width: number(table, 12)? as usize,
            height: number(table, 16)? as usize,
            format: Format::of_code(number(table, 20)?)?,
            rows,
            start: bytes.len() as u64,
        })
    }

    fn row(&self, index: usize) -> Option<&Row> {
        self.rows.binary_search_by_key(&index, |row| row.index).ok().map(|at| &self.rows[at])
    }

    /// The frames `indices` of the clip at `span`; `None` where one is missing or damaged.
    pub fn frames(&self, file: &File, span: Span, indices: &[usize]) -> Option<Frames> {
        let mut images: Vec<Vec<u8>> = Vec::with_capacity(indices.len());
        for (position, index) in indices.iter().enumerate() {
            // Samplers repeat frames of short clips.
            if let Some(same) = indices[..position].iter().position(|earlier| earlier == index) {
                images.push(images[same].clone());
                continue;
            }
            let row = self.row(*index)?;
            let mut bytes = vec![0; row.length as usize];
            file.read_exact_at(&mut bytes, span.offset + self.start + row.offset).ok()?;
            if crc32fast::hash(&bytes) != row.sum {
                return None;
            }
            images.push(self.format.decode(bytes, self.width, self.height)?);
        }
        Some(Frames { height: self.height, width: self.width, images })
    }

    /// Whether every kept frame is as it was written.
    pub fn is_sound(&self, file: &File, span: Span) -> bool {
        self.rows.iter().all(|row| self.frames(file, span, &[row.index]).is_some())
    }
}

fn number(bytes: &[u8], from: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(from..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Opened {
        let images = [4u8, 1, 8, 4].map(|i| (0..4 * 2 * 3).map(|at| at * 7 + i * 20).collect()).into();
        Opened {
            timeline: Timeline { frames: 9, fps: Some(12.5) },
            indices: vec![4, 1, 8, 4],
            frames: Frames { width: 4, height: 2, images },
        }
    }

    #[test]
    fn fuzz_records() {
        let opened = opened();
        let raw = payload(&opened, Format::Raw).unwrap();
        let file = tempfile::tempfile().unwrap();
        maclip_fuzzing::each("records-of-clips", &[&raw], |bytes| {
            file.set_len(0).unwrap();
            file.write_all_at(bytes, 0).unwrap();
            let span = Span { offset: 0, length: bytes.len() as u64 };
            if let Some(table) = Table::read(&file, span) {
                table.is_sound(&file, span);
            }
        });
    }

    #[test]
    fn frames_come_back_and_any_damage_is_seen() {
        let opened = opened();
        let bytes = payload(&opened, Format::Raw).unwrap();
        let file = tempfile::tempfile().unwrap();
        let span = Span { offset: 64, length: bytes.len() as u64 };
        file.write_all_at(&bytes, 64).unwrap();
        let table = Table::read(&file, span).unwrap();
        assert_eq!(table.timeline, opened.timeline);
        let frames = table.frames(&file, span, &[8, 1, 8]).unwrap();
        let want: Vec<&Vec<u8>> = [2, 1, 2].iter().map(|&i| &opened.frames.images[i]).collect();
        assert_eq!(frames.images.iter().collect::<Vec<_>>(), want);
        assert!(table.frames(&file, span, &[0]).is_none());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 16;
            file.write_all_at(&damaged, 64).unwrap();
            let sound = Table::read(&file, span).is_some_and(|table| table.is_sound(&file, span));
            assert!(!sound && !Table::is_intact(&damaged), "byte {at}");
        }
        file.write_all_at(&bytes, 64).unwrap();
        assert!(Table::read(&file, span).unwrap().is_sound(&file, span) && Table::is_intact(&bytes));
        for length in 0..span.length {
            assert!(Table::read(&file, Span { length, ..span }).is_none(), "{length}");
        }
    }
}

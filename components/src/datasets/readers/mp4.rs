//! The header of an MP4 or MOV file: how many samples its first video track has, at what rate, and where they end.
//!
//! Source: ISO/IEC 14496-12, boxes `moov`, `trak`, `mdia`, `mdhd`, `hdlr`, `stbl`, `stsz`, `stz2`, `stss`, `stsc`,
//! `stco` and `co64`. Every read is checked against the end of its box, so a damaged header gives no track and no
//! panic. What it promises is compared with what there is, before anybody takes memory for it.

use std::io::{Read, Result, Seek, SeekFrom};

/// The largest header that is read; an hour of video has one of a few MB.
const LARGEST: u64 = 256 << 20;
/// The most boxes before the header. A file in fragments has two for each second or so, and its header before them.
const BOXES: usize = 1 << 16;

/// What the beginning of a file says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Header {
    /// Another container, or nothing known.
    Other,
    /// The boxes of an MP4 without the one that describes its tracks: a recording that was cut off.
    NoIndex,
    /// An MP4, whose tracks are no video or are described elsewhere in the file.
    NoTrack,
    /// What the header promises cannot be in the file: why.
    Untrue(String),
    Video(Track),
}

/// The first video track.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Track {
    /// Number of samples, at least 1; one of them is one coded frame.
    pub samples: usize,
    /// Mean samples per second.
    pub fps: Option<f64>,
    /// Where the last chunk of samples ends, in bytes from the start of the file.
    pub end: u64,
    /// Whether decoding can begin with the first sample.
    pub keyed: bool,
}

/// Reads the header of a file of `length` bytes; errors are those of the operating system.
pub(super) fn header(file: &mut (impl Read + Seek), length: u64) -> Result<Header> {
    let (mut at, mut boxes) = (0, 0);
    while let Some((name, start, end)) = next_box(file, at, length)? {
        let known = [b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"pnot"].contains(&&name);
        if at == 0 && !known {
            return Ok(Header::Other);
        }
        if &name == b"moov" {
            let mut moov = Vec::new();
            file.seek(SeekFrom::Start(start))?;
            file.by_ref().take((end.min(length) - start).min(LARGEST)).read_to_end(&mut moov)?;
            // A box that ends beyond the file is cut off, and the tracks with it.
            return Ok(if end > length { Header::NoIndex } else { first_video(&moov, length) });
        }
        (at, boxes) = (end, boxes + 1);
        if boxes > BOXES {
            return Ok(Header::Untrue(format!("it has more than {BOXES} boxes and no index (`moov`) among them")));
        }
    }
    Ok(if at == 0 { Header::Other } else { Header::NoIndex })
}

/// Name, start of the content and end of the box at `at`, which may lie beyond the file.
fn next_box(file: &mut (impl Read + Seek), at: u64, length: u64) -> Result<Option<([u8; 4], u64, u64)>> {
    let mut head = Vec::with_capacity(16);
    if at >= length {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(at))?;
    file.by_ref().take(16).read_to_end(&mut head)?;
    let (Some(short), Some(name)) = (number(&head, 0), head.get(4..8).and_then(|name| name.try_into().ok())) else {
        return Ok(None);
    };
    let (size, skip) = match short {
        0 => (length - at, 8),
        1 => (number(&head, 8).zip(number(&head, 12)).map_or(0, |(high, low)| high << 32 | low), 16),
        size => (size, 8),
    };
    // A box that does not hold its own header would be walked for ever.
    Ok((size >= skip).then(|| (name, at + skip, at.saturating_add(size))))
}

/// The big-endian 32-bit number at `at`.
fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(u64::from(u32::from_be_bytes(bytes)))
}

/// The contents of the boxes called `name` directly inside `content`.
fn boxes<'a>(mut content: &'a [u8], name: &'static [u8; 4]) -> impl Iterator<Item = &'a [u8]> {
    let next = move || {
        let size = usize::try_from(number(content, 0)?).ok()?;
        let size = if size == 0 { content.len() } else { size };
        let inside = content.get(8..size)?;
        let found = content.get(4..8)?;
        content = &content[size..];
        Some((found, inside))
    };
    std::iter::from_fn(next).filter(move |(found, _)| found == name).map(|(_, inside)| inside)
}

fn first_video(moov: &[u8], length: u64) -> Header {
    let mut media = boxes(moov, b"trak").filter_map(|track| boxes(track, b"mdia").next());
    let video = media.find(|media| boxes(media, b"hdlr").any(|handler| handler.get(8..12) == Some(b"vide".as_slice())));
    video.and_then(|media| track(media, length)).unwrap_or(Header::NoTrack)
}

fn track(media: &[u8], length: u64) -> Option<Header> {
    let table = boxes(boxes(media, b"minf").next()?, b"stbl").next()?;
    let sizes = match Sizes::of(table)? {
        Ok(sizes) => sizes,
        Err(why) => return Some(Header::Untrue(why)),
    };
    if sizes.count == 0 {
        return None;
    }
    if sizes.equal.checked_mul(sizes.count).is_none_or(|bytes| bytes > length) {
        let Sizes { count, equal, .. } = sizes;
        let why = format!("its header promises {count} frames of {equal} bytes each, and the file has {length} bytes");
        return Some(Header::Untrue(why));
    }
    let samples = usize::try_from(sizes.count).ok()?;
    let clock = boxes(media, b"mdhd").next()?;
    let (scale, duration) = match clock.first()? {
        0 => (number(clock, 12)?, number(clock, 16)?),
        _ => (number(clock, 20)?, number(clock, 24)? << 32 | number(clock, 28)?),
    };
    let fps = (duration > 0 && scale > 0).then(|| samples as f64 * scale as f64 / duration as f64);
    let end = last_chunk(table, &sizes).unwrap_or(0);
    // Without the table of key frames every sample is one. Numbers are in rising order. QuickTime has a second table,
    // for the key frames of open groups.
    let first = |keys: &[u8]| number(keys, 8) == Some(1);
    let keyed = boxes(table, b"stss").next().is_none_or(first) || boxes(table, b"stps").next().is_some_and(first);
    Some(Header::Video(Track { samples, fps, end, keyed }))
}

/// Where the last chunk ends: its offset and the sizes of its samples.
fn last_chunk(table: &[u8], sizes: &Sizes) -> Option<u64> {
    let offset = if let Some(chunks) = boxes(table, b"stco").next() {
        let last = usize::try_from(number(chunks, 4)?.checked_sub(1)?).ok()?;
        number(chunks, 8 + last.checked_mul(4)?)?
    } else {
        let chunks = boxes(table, b"co64").next()?;
        let last = 8 + usize::try_from(number(chunks, 4)?.checked_sub(1)?).ok()?.checked_mul(8)?;
        number(chunks, last)? << 32 | number(chunks, last + 4)?
    };
    // The last run of chunks says how many samples each of its chunks has.
    let runs = boxes(table, b"stsc").next()?;
    let run = usize::try_from(number(runs, 4)?.checked_sub(1)?).ok()?;
    let samples = number(runs, 8 + run.checked_mul(12)? + 4)?.min(sizes.count);
    let bytes = match sizes.equal {
        0 => (sizes.count - samples..sizes.count).map(|sample| sizes.size(sample)).sum::<Option<u64>>()?,
        equal => samples.checked_mul(equal)?,
    };
    offset.checked_add(bytes)
}

/// The table of sample sizes.
struct Sizes<'a> {
    count: u64,
    /// The size of all samples, where they have the same.
    equal: u64,
    /// Bits of an entry of `table`.
    bits: usize,
    table: &'a [u8],
}

impl<'a> Sizes<'a> {
    /// From `stsz` or `stz2`; an error where the table is shorter than it says.
    fn of(table: &'a [u8]) -> Option<std::result::Result<Self, String>> {
        let (sizes, equal, bits) = match boxes(table, b"stsz").next() {
            Some(sizes) => (sizes, number(sizes, 4)?, 32),
            None => {
                let sizes = boxes(table, b"stz2").next()?;
                (sizes, 0, usize::from(*sizes.get(7)?))
            }
        };
        let count = number(sizes, 8)?;
        let table = sizes.get(12..)?;
        // A table that is shorter than it says would promise frames that are nowhere.
        let bytes = usize::try_from(count).ok()?.checked_mul(bits)?.div_ceil(8);
        Some(match equal > 0 || bytes <= table.len() {
            true => Ok(Self { count, equal, bits, table }),
            false => Err(format!("its header promises {count} frames, and names the sizes of fewer")),
        })
    }

    /// Entry `sample` of the table.
    fn size(&self, sample: u64) -> Option<u64> {
        let at = usize::try_from(sample).ok()?;
        match self.bits {
            4 => self.table.get(at / 2).map(|&pair| u64::from(if at % 2 == 0 { pair >> 4 } else { pair & 15 })),
            8 => self.table.get(at).map(|&size| u64::from(size)),
            16 => Some(u64::from(*self.table.get(at * 2)?) << 8 | u64::from(*self.table.get(at * 2 + 1)?)),
            _ => number(self.table, at.checked_mul(4)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(name: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        [&(content.len() as u32 + 8).to_be_bytes()[..], name, &content].concat()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// A file with a sound track and a video track of 3 samples of 5, 6 and 7 bytes, two to a chunk, the chunks at the
    /// bytes 100 and 200; 30 units of 1/10 second long.
    fn file() -> Vec<u8> {
        with_tables(&full(b"stsz", &[&words(&[0, 0, 3, 5, 6, 7])]), &[])
    }

    #[test]
    fn fuzz_mp4_headers() {
        let one_size = with_tables(&full(b"stsz", &[&words(&[0, 9, 3])]), &full(b"stss", &[&words(&[0, 1, 1])]));
        maclip_fuzzing::each("mp4", &[&file(), &one_size], |bytes| {
            let _ = header(&mut std::io::Cursor::new(bytes), bytes.len() as u64);
        });
    }

    /// The same with this table of sizes, and more tables.
    fn with_tables(sizes: &[u8], more: &[u8]) -> Vec<u8> {
        let handler = |kind: &[u8; 4]| full(b"hdlr", &[&[0; 8], kind, &[0; 12]]);
        let table = full(
            b"stbl",
            &[
                sizes,
                more,
                // One run from chunk 1 with two samples each, one from chunk 2 with one.
                &full(b"stsc", &[&words(&[0, 2, 1, 2, 1, 2, 1, 1])]),
                &full(b"stco", &[&words(&[0, 2, 100, 200])]),
            ],
        );
        let clock = full(b"mdhd", &[&words(&[0, 0, 0, 10, 30, 0])]);
        let video = full(b"trak", &[&full(b"mdia", &[&clock, &handler(b"vide"), &full(b"minf", &[&table])])]);
        let sound = full(b"trak", &[&full(b"mdia", &[&handler(b"soun")])]);
        [full(b"ftyp", &[b"isom"]), full(b"moov", &[&sound, &video]), full(b"mdat", &[&[0; 40]])].concat()
    }

    fn parse(bytes: &[u8]) -> Header {
        header(&mut std::io::Cursor::new(bytes), bytes.len() as u64).unwrap()
    }

    #[test]
    fn readers_mp4_counts_samples_and_knows_their_end() {
        // 3 samples in 30 / 10 s are 1 per second; the last chunk holds the 7 bytes from 200 on.
        assert_eq!(parse(&file()), Header::Video(Track { samples: 3, fps: Some(1.0), end: 207, keyed: true }));
        assert_eq!(parse(b"RIFF\0\0\0\0AVI LIST"), Header::Other);
        assert_eq!(parse(b"just some text in a file"), Header::Other);
        assert_eq!(parse(&full(b"ftyp", &[b"isom"])), Header::NoIndex);
        assert_eq!(parse(b""), Header::Other);
        let sound = full(b"trak", &[]);
        assert_eq!(parse(&full(b"moov", &[&sound])), Header::NoTrack);
    }

    #[test]
    fn readers_mp4_survives_every_cut_and_every_changed_byte() {
        let whole = file();
        let moov_end = whole.len() - 48;
        for cut in 0..whole.len() {
            let header = parse(&whole[..cut]);
            assert_eq!(matches!(header, Header::Video(_)), cut >= moov_end, "cut at {cut}: {header:?}");
        }
        for at in 0..moov_end {
            for value in [0, 1, 7, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                parse(&changed);
            }
        }
    }

    #[test]
    fn readers_mp4_reads_compact_sizes() {
        let compact = |bits: u32, table: &[u8]| full(b"stz2", &[&words(&[0, bits, 3]), table]);
        for (bits, table) in [(4, &[0x56, 0x70][..]), (8, &[5, 6, 7]), (16, &[0, 5, 0, 6, 0, 7])] {
            let stored = compact(bits, table);
            let sizes = Sizes::of(&stored).unwrap().unwrap();
            assert_eq!((0..3).map(|sample| sizes.size(sample)).collect::<Vec<_>>(), [Some(5), Some(6), Some(7)]);
        }
        assert!(Sizes::of(&compact(8, &[5, 6])).unwrap().is_err(), "a table that is too short");
    }

    #[test]
    fn readers_mp4_does_not_believe_more_frames_than_the_file_has_room_for() {
        let promise = |equal: u32, count: u32, sizes: &[u32]| {
            parse(&with_tables(&full(b"stsz", &[&words(&[0, equal, count]), &words(sizes)]), &[]))
        };
        let length = with_tables(&full(b"stsz", &[&words(&[0, 1, 3])]), &[]).len() as u32;
        let samples = |header| if let Header::Video(track) = header { Some(track.samples) } else { None };
        assert_eq!(samples(promise(1, length, &[])), Some(length as usize));
        for (equal, count, sizes, why) in [
            (1, u32::MAX, &[][..], "promises 4294967295 frames of 1 bytes each"),
            (1, length + 1, &[], "frames of 1 bytes each, and the file has"),
            (u32::MAX, 2, &[], "promises 2 frames of 4294967295 bytes"),
            (0, 50_000_000, &[5, 6, 7], "promises 50000000 frames, and names the sizes of fewer"),
        ] {
            let header = promise(equal, count, sizes);
            assert!(matches!(&header, Header::Untrue(what) if what.contains(why)), "{header:?}");
        }
        let boxes = full(b"free", &[]).repeat(BOXES + 2);
        assert!(matches!(parse(&boxes), Header::Untrue(_)));
    }

    #[test]
    fn readers_mp4_knows_whether_the_first_frame_is_a_key_frame() {
        let sizes = full(b"stsz", &[&words(&[0, 0, 3, 5, 6, 7])]);
        for (keys, keyed) in [(&[1, 3][..], true), (&[2], false), (&[], false)] {
            let table = full(b"stss", &[&words(&[0, keys.len() as u32]), &words(keys)]);
            let header = parse(&with_tables(&sizes, &table));
            assert!(matches!(header, Header::Video(track) if track.keyed == keyed), "{keys:?}: {header:?}");
        }
    }
}

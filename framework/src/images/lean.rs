//! JPEG and PNG files without their metadata: what a decoder needs of them, and how the camera was held.
//!
//! Metadata is passed over unread: profiles, previews and texts may be longer than the image, damaged, or made to take
//! memory. Of all of it, only the orientation is used: the Exif tag 0x0112, in front of the pixels.
//!
//! Sources: ITU-T T.81 annex B (JPEG), the PNG specification (W3C, third edition) with its chunk `eXIf`, and Exif 2.32
//! for the orientation.

use super::{Image, MOST_PIXELS};
use crate::error::{Error, Result};
use std::io::{Read, Seek, SeekFrom};

/// The most segments or chunks in front of the pixels; a profile and a preview take some hundred.
const PARTS: usize = 1 << 14;
/// The most bytes of tables in front of the pixels; a JPEG has fewer than 4 KB.
const TABLES: usize = 1 << 20;
/// Bytes of Exif that are read. The orientation lies in the first directory, at their start.
const EXIF: u64 = 4 << 10;
/// The most pixels for a byte of JPEG: each block of 64 pixels takes one bit at least.
const JPEG_PIXELS: u64 = 512;
/// The most bytes for a byte of PNG: no deflate stream holds more.
const PNG_BYTES: u64 = 1032;

/// The first bytes of every PNG.
pub(super) const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A file without its metadata.
pub(super) struct Lean {
    /// Width and height as they are stored, in pixels.
    pub size: (usize, usize),
    /// 1 to 8, as Exif counts them.
    pub orientation: u8,
    /// What a decoder needs, in the order of the file, up to the pixels or with them.
    pub bytes: Vec<u8>,
}

/// An image as it is to be seen. Orientation 1 is the image itself, and any number that is not from 2 to 8 counts as 1.
pub(super) fn upright(image: Image, orientation: u8) -> Image {
    let Image { width, height, .. } = image;
    // Where the pixel at column x and row y comes from.
    let from = |x: usize, y: usize| match orientation {
        2 => (width - 1 - x, y),
        3 => (width - 1 - x, height - 1 - y),
        4 => (x, height - 1 - y),
        5 => (y, x),
        6 => (y, height - 1 - x),
        7 => (width - 1 - y, height - 1 - x),
        _ => (width - 1 - y, x),
    };
    if !(2..=8).contains(&orientation) {
        return image;
    }
    let (wide, high) = seen((width, height), orientation);
    let mut pixels = Vec::with_capacity(image.pixels.len());
    for (x, y) in (0..high).flat_map(|y| (0..wide).map(move |x| (x, y))) {
        let (column, row) = from(x, y);
        let at = (row * width + column) * 3;
        pixels.extend_from_slice(&image.pixels[at..at + 3]);
    }
    Image { width: wide, height: high, pixels }
}

/// Width and height of a stored image as it is to be seen.
pub(super) fn seen((width, height): (usize, usize), orientation: u8) -> (usize, usize) {
    if (5..=8).contains(&orientation) { (height, width) } else { (width, height) }
}

/// An error where an image is too large, or larger than its file can hold: `most` bytes or pixels for each of `length`
/// bytes.
fn fitting(kind: &str, (width, height): (usize, usize), units: u64, length: u64, most: u64) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::failed(format!("a {kind} of size {width}x{height}")));
    }
    if width.checked_mul(height).is_none_or(|pixels| pixels > MOST_PIXELS) {
        let what = format!("a {kind} of {width}x{height} pixels; more than {MOST_PIXELS} are not read");
        return Err(Error::failed(what));
    }
    if units > length.saturating_mul(most) {
        return Err(Error::failed(format!(
            "says that it has {width}x{height} pixels, which {length} bytes cannot hold"
        )));
    }
    Ok(())
}

/// The orientation in the first directory of a TIFF header; 1 where there is none.
fn orientation(tiff: &[u8]) -> u8 {
    let little = tiff.starts_with(b"II*\0");
    let two = |at: usize| {
        let bytes: [u8; 2] = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let four = |at: usize| {
        let (first, second) = (u32::from(two(at)?), u32::from(two(at + 2)?));
        usize::try_from(if little { second << 16 | first } else { first << 16 | second }).ok()
    };
    let find = || {
        let directory = four(4)?;
        let entries = usize::from(two(directory)?);
        let mut places = (0..entries).map(|entry| directory + 2 + 12 * entry);
        let entry = places.find(|&entry| two(entry) == Some(0x0112))?;
        // One number of 16 bits; other forms are no orientation.
        (two(entry + 2)? == 3 && four(entry + 4)? == 1).then(|| two(entry + 8))?
    };
    let found = if little || tiff.starts_with(b"MM\0*") { find() } else { None };
    found.and_then(|value| u8::try_from(value).ok()).filter(|value| (1..=8).contains(value)).unwrap_or(1)
}

/// Goes on behind the next `count` bytes; a buffer in front of a file stays filled.
fn skip(source: &mut impl Seek, count: u64) -> std::io::Result<()> {
    source.seek_relative(i64::try_from(count).map_err(std::io::Error::other)?)
}

/// A JPEG up to its pixels; with `all`, also those.
pub(super) fn jpeg(source: &mut (impl Read + Seek), all: bool) -> Result<Lean> {
    let bad = |what: &str| Error::failed(format!("not a readable JPEG: {what}"));
    let cut = |_: std::io::Error| bad("it is cut in front of its pixels");
    let length = source.seek(SeekFrom::End(0)).and_then(|end| source.rewind().map(|()| end)).map_err(cut)?;
    let mut bytes = vec![0; 2];
    source.read_exact(&mut bytes).map_err(cut)?;
    if bytes != [0xff, 0xd8] {
        return Err(bad("its first marker is missing"));
    }
    let (mut size, mut turned) = (None, 1);
    for _ in 0..PARTS {
        let mut head = [0; 2];
        source.read_exact(&mut head).map_err(cut)?;
        if head[0] != 0xff {
            return Err(bad("a marker is missing"));
        }
        // Markers may have more than one FF in front of them.
        while head[1] == 0xff {
            source.read_exact(&mut head[1..]).map_err(cut)?;
        }
        let marker = head[1];
        if marker == 0xd9 {
            return Err(bad("it ends without an image"));
        }
        if matches!(marker, 0x01 | 0xd0..=0xd7) {
            continue;
        }
        let mut count = [0; 2];
        source.read_exact(&mut count).map_err(cut)?;
        let content =
            u64::from(u16::from_be_bytes(count)).checked_sub(2).ok_or_else(|| bad("a segment has no length"))?;
        // Applications' own segments and comments, without those that say what the colours are.
        if matches!(marker, 0xe1..=0xed | 0xef | 0xfe) {
            let mut exif = Vec::new();
            if marker == 0xe1 && turned == 1 {
                source.take(content.min(EXIF)).read_to_end(&mut exif).map_err(cut)?;
            }
            turned = exif.strip_prefix(b"Exif\0\0").map_or(turned, orientation);
            skip(source, content - exif.len() as u64).map_err(cut)?;
            continue;
        }
        bytes.extend([0xff, marker, count[0], count[1]]);
        let from = bytes.len();
        source.take(content).read_to_end(&mut bytes).map_err(cut)?;
        let segment = &bytes[from..];
        if segment.len() as u64 != content {
            return Err(bad("it is cut in front of its pixels"));
        }
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            let number = |at: usize| Some(usize::from(u16::from_be_bytes([*segment.get(at)?, *segment.get(at + 1)?])));
            let found = number(3).zip(number(1)).ok_or_else(|| bad("its header is too short"))?;
            if let Some((width, height)) = size.replace(found) {
                let (wide, high) = found;
                return Err(bad(&format!("it has two headers, of {width}x{height} and of {wide}x{high} pixels")));
            }
            fitting("JPEG", found, found.0 as u64 * found.1 as u64, length, JPEG_PIXELS)?;
        }
        if marker == 0xda {
            let size = size.ok_or_else(|| bad("its pixels begin in front of its header"))?;
            if all {
                source.read_to_end(&mut bytes).map_err(cut)?;
            }
            return Ok(Lean { size, orientation: turned, bytes });
        }
        if bytes.len() > TABLES {
            return Err(bad("its tables are longer than any image needs"));
        }
    }
    Err(bad("it has more segments in front of its pixels than any image needs"))
}

/// A PNG up to its pixels; with `all`, also those.
pub(super) fn png(source: &mut (impl Read + Seek), all: bool) -> Result<Lean> {
    let bad = |what: &str| Error::failed(format!("not a readable PNG: {what}"));
    let cut = |_: std::io::Error| bad("its header is cut");
    let length = source.seek(SeekFrom::End(0)).and_then(|end| source.rewind().map(|()| end)).map_err(cut)?;
    let mut bytes = Vec::new();
    source.take(8).read_to_end(&mut bytes).map_err(cut)?;
    if bytes != PNG_SIGNATURE {
        return Err(bad("its signature is missing"));
    }
    // 4 bytes length, 4 name, 13 content, 4 checksum of name and content.
    let mut chunk = [0; 25];
    source.read_exact(&mut chunk).map_err(cut)?;
    let number = |at: usize| u32::from_be_bytes([chunk[at], chunk[at + 1], chunk[at + 2], chunk[at + 3]]);
    if number(0) != 13 || &chunk[4..8] != b"IHDR" {
        return Err(bad("it does not begin with a header"));
    }
    if crc32fast::hash(&chunk[4..21]) != number(21) {
        return Err(bad("the checksum of its header is wrong"));
    }
    let size = (number(8) as usize, number(12) as usize);
    let channels = match chunk[17] {
        2 => 3,
        4 => 2,
        6 => 4,
        _ => 1,
    };
    // In 128 bits no product of these numbers is too large.
    let bits = u128::from(number(8)) * u128::from(number(12)) * u128::from(chunk[16]) * channels;
    fitting("PNG", size, u64::try_from(bits / 8).unwrap_or(u64::MAX), length, PNG_BYTES)?;
    bytes.extend(chunk);
    let (mut turned, mut pixels) = (1, false);
    for _ in 0..if all { usize::MAX } else { PARTS } {
        let mut head = [0; 8];
        // A file that ends without its last chunk is refused by those who look for that.
        if source.read_exact(&mut head).is_err() {
            break;
        }
        let (count, name) = (u32::from_be_bytes([head[0], head[1], head[2], head[3]]), &head[4..]);
        match name {
            b"IHDR" => return Err(bad("it has two headers")),
            b"IDAT" if !all => break,
            b"PLTE" | b"tRNS" | b"IDAT" | b"IEND" => {
                pixels |= name == b"IDAT";
                bytes.extend(head);
                let from = bytes.len() as u64;
                // Data in front of the pixels are tables, which are short.
                let most = if name == b"IDAT" { u64::MAX } else { TABLES as u64 };
                source.take((u64::from(count) + 4).min(most)).read_to_end(&mut bytes).map_err(cut)?;
                if bytes.len() as u64 - from < u64::from(count) + 4 {
                    return Err(bad("a chunk is cut"));
                }
                if name == b"IEND" {
                    break;
                }
            }
            _ => {
                let mut exif = Vec::new();
                if name == b"eXIf" && !pixels && turned == 1 {
                    source.take(u64::from(count).min(EXIF)).read_to_end(&mut exif).map_err(cut)?;
                    turned = orientation(&exif);
                }
                skip(source, u64::from(count) + 4 - exif.len() as u64).map_err(cut)?;
            }
        }
    }
    Ok(Lean { size, orientation: turned, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::{decode_jpeg, decode_png, jpeg_header, png_header};
    use jpeg_encoder::{ColorType, Encoder};
    use std::io::Cursor;

    /// The Exif of an orientation, in both orders of bytes.
    fn exif(value: u8, little: bool) -> Vec<u8> {
        let two = |value: u16| if little { value.to_le_bytes() } else { value.to_be_bytes() };
        let four = |value: u32| if little { value.to_le_bytes() } else { value.to_be_bytes() };
        let start = if little { b"II*\0" } else { b"MM\0*" };
        // Two entries, of which the second is the orientation.
        let entry = |tag: u16, value: u16| [&two(tag)[..], &two(3), &four(1), &two(value), &[0, 0]].concat();
        [&start[..], &four(8), &two(2), &entry(0x0100, 9), &entry(0x0112, value.into()), &[0; 4]].concat()
    }

    fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
        [&[0xff, marker][..], &(content.len() as u16 + 2).to_be_bytes(), content].concat()
    }

    fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let body = [&name[..], content].concat();
        [&(content.len() as u32).to_be_bytes()[..], &body, &crc32fast::hash(&body).to_be_bytes()].concat()
    }

    /// A PNG of 2×3 greys, stored without compression, with `more` in front of its pixels.
    fn small_png(more: &[u8]) -> Vec<u8> {
        let rows = [0, 1, 2, 0, 3, 4, 0, 5, 6];
        let (low, high) = rows.iter().fold((1_u32, 0_u32), |(low, high), &byte| {
            let low = (low + byte) % 65521;
            (low, (high + low) % 65521)
        });
        let mut data = vec![0x78, 0x01, 1, 9, 0, !9, 0xff];
        data.extend(rows.map(|value| value as u8));
        data.extend((high << 16 | low).to_be_bytes());
        let header = chunk(b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 3, 8, 0, 0, 0, 0]);
        [PNG_SIGNATURE, &header, more, &chunk(b"IDAT", &data), &chunk(b"IEND", &[])].concat()
    }

    fn small_jpeg(more: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        Encoder::new(&mut bytes, 95).encode(&[90; 16 * 8], 16, 8, ColorType::Luma).unwrap();
        bytes.splice(2..2, more.iter().copied());
        bytes
    }

    #[test]
    fn images_orientation_is_applied_as_exif_says() {
        // The letters of 2×3 pixels, and what a viewer shows for each orientation (Exif 2.32, 4.6.4 A).
        let stored = ["ab", "cd", "ef"];
        for (value, want) in [
            (1, vec!["ab", "cd", "ef"]),
            (2, vec!["ba", "dc", "fe"]),
            (3, vec!["fe", "dc", "ba"]),
            (4, vec!["ef", "cd", "ab"]),
            (5, vec!["ace", "bdf"]),
            (6, vec!["eca", "fdb"]),
            (7, vec!["fdb", "eca"]),
            (8, vec!["bdf", "ace"]),
            (9, vec!["ab", "cd", "ef"]),
        ] {
            let pixels = stored.concat().bytes().flat_map(|letter| [letter; 3]).collect();
            let image = upright(Image { width: 2, height: 3, pixels }, value);
            let rows: Vec<String> = image
                .pixels
                .chunks(image.width * 3)
                .map(|row| row.iter().step_by(3).map(|&letter| char::from(letter)).collect())
                .collect();
            assert_eq!(
                (rows, image.height),
                (want.iter().map(|row| (*row).to_owned()).collect(), want.len()),
                "{value}"
            );
        }
    }

    #[test]
    fn images_orientation_is_found_in_both_formats() {
        for (value, little) in [(1, true), (3, false), (6, true), (8, false)] {
            let content = exif(value, little);
            let turned = if value > 4 { (3, 2) } else { (2, 3) };
            let bytes = small_png(&chunk(b"eXIf", &content));
            let header = png_header(&mut Cursor::new(&bytes)).unwrap();
            let image = decode_png(&bytes).unwrap();
            assert_eq!(((header.width, header.height), (image.width, image.height)), (turned, turned), "{value}");
            let bytes = small_jpeg(&segment(0xe1, &[b"Exif\0\0", &content[..]].concat()));
            let (header, image) = (jpeg_header(&mut Cursor::new(&bytes)).unwrap(), decode_jpeg(&bytes).unwrap());
            let turned = if value > 4 { (8, 16) } else { (16, 8) };
            assert_eq!(((header.width, header.height), (image.width, image.height)), (turned, turned), "{value}");
        }
        // What is no orientation turns nothing.
        for content in [&b""[..], b"II*\0", &exif(0, true), &exif(9, false), &exif(6, true)[..20]] {
            assert_eq!(orientation(content), 1, "{content:?}");
        }
    }

    #[test]
    fn images_metadata_is_passed_over_and_sizes_must_be_possible() {
        // Segments of metadata that no decoder would take, and as many as a large profile has.
        let junk: Vec<u8> = (0..400).flat_map(|_| segment(0xe2, &[0xab; 5000])).chain(segment(0xfe, b"\xff")).collect();
        assert_eq!(decode_jpeg(&small_jpeg(&junk)).unwrap().width, 16);
        let texts = [chunk(b"zTXt", b"not compressed"), chunk(b"iCCP", &[7; 100_000])].concat();
        assert_eq!(decode_png(&small_png(&texts)).unwrap().height, 3);

        let refused = |error: Result<crate::images::ImageHeader>| error.unwrap_err().to_string();
        let mut huge = small_jpeg(&[]);
        let header = huge.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        let sizes = header + 5..header + 9;
        huge[sizes.clone()].copy_from_slice(&[0x20, 0, 0x20, 0]);
        assert!(refused(jpeg_header(&mut Cursor::new(&huge))).contains("8192x8192 pixels, which"), "{huge:?}");
        huge[sizes].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
        assert!(refused(jpeg_header(&mut Cursor::new(&huge))).contains("65535x65535 pixels; more than"));
        let header = chunk(b"IHDR", &[0, 0, 0x10, 0, 0, 0, 0x10, 0, 16, 6, 0, 0, 0]);
        let huge = [PNG_SIGNATURE, &header, &chunk(b"IDAT", &[0; 1000]), &chunk(b"IEND", &[])].concat();
        assert!(refused(png_header(&mut Cursor::new(&huge))).contains("4096x4096 pixels, which"));
        let header = chunk(b"IHDR", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 16, 6, 0, 0, 0]);
        assert!(refused(png_header(&mut Cursor::new([PNG_SIGNATURE, &header].concat()))).contains("more than"));

        let header = chunk(b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 2, 8, 0, 0, 0, 0]);
        assert!(decode_png(&small_png(&header)).unwrap_err().to_string().contains("two headers"));
        let twice = small_jpeg(&segment(0xc0, &[8, 0, 9, 0, 9, 1, 1, 0x11, 0]));
        assert!(refused(jpeg_header(&mut Cursor::new(twice))).contains("two headers, of 9x9 and of 16x8"));
    }
}

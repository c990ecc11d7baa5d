//! JPEG and PNG decoding, JPEG encoding, and the image preparation that CLIP was trained with.
//!
//! The preparation must be the one with which the published weights were trained: Pillow's antialiased bicubic filter,
//! then a centre crop. Another filter changes the image features by more than rounding.
//!
//! A JPEG or PNG whose Exif says how the camera was held is turned accordingly, as FFmpeg turns videos. All sizes here
//! are those of the turned image.

mod lean;
mod resize;

pub use resize::{Filter, clip_resize_crop, crop_offset, crop_rgb, resize_crop_rgb, resize_to, short_side_size};

use crate::error::{Error, Result};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use std::io::{Cursor, Read, Seek};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;
use zune_png::PngDecoder;

/// Mean of each channel (red, green, blue) that CLIP subtracts from pixels scaled to 0..1.
pub const CLIP_MEAN: [f32; 3] = [0.48145466, 0.4578275, 0.40821073];

/// Standard deviation of each channel (red, green, blue) that CLIP divides by.
pub const CLIP_STD: [f32; 3] = [0.26862954, 0.261_302_6, 0.275_777_1];

/// The most pixels of an image or a video's frame that is read: 403 MB as RGB.
pub const MOST_PIXELS: usize = 1 << 27;

/// An 8-bit RGB image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// `height * width * 3` bytes, rows from the top, RGB interleaved.
    pub pixels: Vec<u8>,
}

/// The size of an image, as the header of a JPEG or PNG gives it. Both sides are at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageHeader {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
}

/// Reads the header of a JPEG. Metadata is passed over, and nothing is read behind the header.
///
/// # Errors
/// Where there is no JPEG header, the image has no pixels, more than [`MOST_PIXELS`] or more than its bytes can hold,
/// or its colours are not grey, RGB or YCbCr. These are the errors of [`decode_jpeg`] that the header alone shows, so a
/// clip can be checked without decoding it.
pub fn jpeg_header(source: &mut (impl Read + Seek)) -> Result<ImageHeader> {
    let lean = lean::jpeg(source, false)?;
    read_header(&mut decoder(&lean.bytes), lean.size)?;
    let (width, height) = lean::seen(lean.size, lean.orientation);
    Ok(ImageHeader { width, height })
}

/// Whether `tail`, the last bytes of a JPEG, holds the marker that ends an image.
///
/// Cameras and video tools append padding, so the marker need not be the last bytes. Inside compressed data the byte FF
/// is always escaped. So a marker after the last start of a scan is a real one, and not the end of an embedded
/// thumbnail.
pub fn has_end_of_image(tail: &[u8]) -> bool {
    let last = |marker: u8| tail.windows(2).rposition(|pair| pair == [0xff, marker]);
    last(0xd9).is_some_and(|end| last(0xda).is_none_or(|scan| scan < end))
}

/// Decodes a JPEG to RGB, turned as its Exif says. Grey images become RGB with three equal channels.
///
/// JPEG has no checksums. Data that was lost or changed is not noticed if the rest is still a valid image with an end
/// marker.
///
/// # Errors
/// As [`jpeg_header`]; where the end marker is missing; and where data cannot be decoded, for which a lenient decoder
/// would put grey areas.
pub fn decode_jpeg(bytes: &[u8]) -> Result<Image> {
    let lean = lean::jpeg(&mut Cursor::new(bytes), true)?;
    let mut decoder = decoder(&lean.bytes);
    read_header(&mut decoder, lean.size)?;
    if !has_end_of_image(bytes) {
        return Err(Error::failed("the JPEG is truncated: its end marker is missing"));
    }
    let pixels = decoder.decode().map_err(|error| Error::failed(format!("damaged JPEG data: {error}")))?;
    let (width, height) = lean.size;
    check_buffer(&pixels, width, height)?;
    Ok(lean::upright(Image { width, height, pixels }, lean.orientation))
}

fn decoder(bytes: &[u8]) -> JpegDecoder<ZCursor<&[u8]>> {
    let options = DecoderOptions::default().set_strict_mode(true).jpeg_set_out_colorspace(ColorSpace::RGB);
    JpegDecoder::new_with_options(ZCursor::new(bytes), options)
}

/// Checks what the decoder makes of the header of an image of this size.
fn read_header(decoder: &mut JpegDecoder<ZCursor<&[u8]>>, size: (usize, usize)) -> Result<()> {
    decoder.decode_headers().map_err(|error| Error::failed(format!("not a readable JPEG: {error}")))?;
    let (Some(info), Some(colours)) = (decoder.info(), decoder.input_colorspace()) else {
        return Err(Error::failed("not a readable JPEG: no image header"));
    };
    match colours {
        ColorSpace::Luma | ColorSpace::YCbCr | ColorSpace::RGB => {}
        ColorSpace::CMYK | ColorSpace::YCCK => {
            return Err(Error::failed("a CMYK JPEG; only grey, RGB and YCbCr are supported"));
        }
        other => {
            return Err(Error::failed(format!(
                "a JPEG with {other:?} colours; only grey, RGB and YCbCr are supported"
            )));
        }
    }
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    if (width, height) != size {
        let (wide, high) = size;
        return Err(Error::failed(format!("a JPEG of {wide}x{high} pixels that decodes as {width}x{height}")));
    }
    Ok(())
}

/// RGB pixels as a JPEG; `None` where a side is 0 or above 65,535, the limit of JPEG.
pub(crate) fn encode_jpeg(
    pixels: &[u8],
    width: usize,
    height: usize,
    quality: u8,
    colours: SamplingFactor,
) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(colours);
    encoder.encode(pixels, u16::try_from(width).ok()?, u16::try_from(height).ok()?, ColorType::Rgb).ok()?;
    Some(bytes)
}

/// The chunk that ends every PNG: length 0, name, checksum.
const PNG_END: &[u8] = b"\0\0\0\0IEND\xaeB`\x82";

/// Reads the header of a PNG. Metadata is passed over, and no pixels are read.
///
/// # Errors
/// Where the signature or the header is missing, cut or damaged, or the image has no pixels, more than [`MOST_PIXELS`]
/// or more than its bytes can hold.
pub fn png_header(source: &mut (impl Read + Seek)) -> Result<ImageHeader> {
    let lean = lean::png(source, false)?;
    let (width, height) = lean::seen(lean.size, lean.orientation);
    Ok(ImageHeader { width, height })
}

/// Whether `tail`, the last bytes of a PNG, holds the chunk that ends it.
pub fn has_end_of_png(tail: &[u8]) -> bool {
    tail.windows(PNG_END.len()).any(|window| window == PNG_END)
}

/// Decodes a PNG to RGB, turned as its Exif says: grey, colour or palette, any bit depth. Transparency is dropped, and
/// of 16 bits the upper 8 are kept.
///
/// # Errors
/// As [`png_header`]; where the last chunk is missing; and where a checksum or the data is wrong.
pub fn decode_png(bytes: &[u8]) -> Result<Image> {
    let lean = lean::png(&mut Cursor::new(bytes), true)?;
    let (width, height) = lean.size;
    let damaged = |error: &dyn std::fmt::Display| Error::failed(format!("damaged PNG data: {error}"));
    if !has_end_of_png(bytes) {
        return Err(Error::failed("the PNG is truncated: its end is missing"));
    }
    let options = DecoderOptions::default().set_strict_mode(true).png_set_confirm_crc(true).png_set_strip_to_8bit(true);
    let mut decoder = PngDecoder::new_with_options(ZCursor::new(&lean.bytes), options);
    let data = decoder.decode_raw().map_err(|error| damaged(&format!("{error:?}")))?;
    let colours = decoder.colorspace().map_or(0, |colours| colours.num_components());
    let pixels: Vec<u8> = match colours {
        1 | 2 => data.chunks_exact(colours).flat_map(|pixel| [pixel[0]; 3]).collect(),
        3 => data,
        4 => data.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect(),
        _ => return Err(damaged(&format!("{colours} channels"))),
    };
    check_buffer(&pixels, width, height)?;
    Ok(lean::upright(Image { width, height, pixels }, lean.orientation))
}

fn check_buffer(pixels: &[u8], width: usize, height: usize) -> Result<()> {
    if width == 0 || height == 0 || pixels.len() != width * height * 3 {
        return Err(Error::failed(format!("{} bytes are no RGB image of size {width}x{height}", pixels.len())));
    }
    Ok(())
}

/// How pixels become floats: `(value / 255 - mean) / std`, with a mean and a standard deviation for each channel.
#[derive(Clone, Debug)]
pub struct Normalization {
    /// For each channel the float of each of the 256 values. Looking it up is faster than two divisions.
    tables: [[f32; 256]; 3],
}

impl Normalization {
    /// From the mean and standard deviation of each channel (red, green, blue), both of pixels scaled to 0..1.
    pub fn new(mean: [f32; 3], std: [f32; 3]) -> Self {
        let float = |channel: usize, value: usize| (value as f32 / 255.0 - mean[channel]) / std[channel];
        Self { tables: std::array::from_fn(|channel| std::array::from_fn(|value| float(channel, value))) }
    }

    /// Appends an image (RGB interleaved, 8 bits) to `values`, one channel after the other: `[3, H, W]`.
    pub fn append(&self, pixels: &[u8], values: &mut Vec<f32>) {
        for (channel, table) in self.tables.iter().enumerate() {
            values.extend(pixels.as_chunks::<3>().0.iter().map(|pixel| table[usize::from(pixel[channel])]));
        }
    }
}

/// Pixels (RGB interleaved, 8 bits) as floats `(value / 255 - mean) / std`, one channel after the other: `[3, H, W]`.
pub fn to_tensor_values(pixels: &[u8], mean: [f32; 3], std: [f32; 3]) -> Vec<f32> {
    let mut values = Vec::with_capacity(pixels.len());
    Normalization::new(mean, std).append(pixels, &mut values);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg(pixels: &[u8], width: u16, height: u16, colour: ColorType) -> Vec<u8> {
        let mut bytes = Vec::new();
        Encoder::new(&mut bytes, 95).encode(pixels, width, height, colour).unwrap();
        bytes
    }

    pub(super) fn image(width: usize, height: usize, pixel: impl Fn(usize, usize) -> [u8; 3]) -> Image {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| pixel(x, y)).collect();
        Image { width, height, pixels }
    }

    #[test]
    fn images_decode_colour_and_grey() {
        let red = image(24, 16, |_, _| [200, 30, 40]);
        let got = decode_jpeg(&jpeg(&red.pixels, 24, 16, ColorType::Rgb)).unwrap();
        assert_eq!((got.width, got.height), (24, 16));
        assert!(got.pixels.iter().zip(&red.pixels).all(|(a, b)| a.abs_diff(*b) <= 3), "{:?}", &got.pixels[..3]);

        let bytes = jpeg(&[77; 24 * 16], 24, 16, ColorType::Luma);
        assert_eq!(jpeg_header(&mut Cursor::new(&bytes)).unwrap(), ImageHeader { width: 24, height: 16 });
        let grey = decode_jpeg(&bytes).unwrap();
        assert_eq!(grey.pixels.len(), 24 * 16 * 3);
        assert!(grey.pixels.chunks(3).all(|p| p[0] == p[1] && p[1] == p[2] && p[0].abs_diff(77) <= 1));
    }

    #[test]
    fn images_refuse_damaged_and_cmyk_files() {
        let noisy = image(64, 64, |x, y| [(x * 37 + y * 11) as u8, (x * y) as u8, (y * 91) as u8]);
        let bytes = jpeg(&noisy.pixels, 64, 64, ColorType::Rgb);
        assert!(decode_jpeg(&bytes).is_ok());
        for length in [0, 1, 2, 10, 300, bytes.len() / 2, bytes.len() - 1] {
            assert!(decode_jpeg(&bytes[..length]).is_err(), "cut to {length} bytes");
        }
        let mut damaged = bytes.clone();
        let middle = bytes.len() / 2;
        damaged[middle..middle + 4].copy_from_slice(&[0xff, 0xc0, 0xff, 0xc0]);
        assert!(decode_jpeg(&damaged).is_err());
        assert!(decode_jpeg(b"\x89PNG\r\n\x1a\n0000").is_err());
        let padded = [&bytes[..], &[0; 100]].concat();
        assert!(decode_jpeg(&padded).is_ok(), "padding after the end is harmless");

        // A frame header with four components is enough to know it.
        let mut cmyk = vec![0xff, 0xd8, 0xff, 0xc0, 0, 20, 8, 0, 8, 0, 8, 4];
        (1..=4).for_each(|id| cmyk.extend([id, 0x11, 0]));
        cmyk.extend([0xff, 0xda, 0, 14, 4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0, 0xff, 0xd9]);
        assert!(decode_jpeg(&cmyk).unwrap_err().to_string().contains("CMYK"));
    }

    #[test]
    fn images_end_marker_of_a_thumbnail_does_not_count() {
        assert!(has_end_of_image(&[1, 2, 0xff, 0xd9]));
        assert!(has_end_of_image(&[0xff, 0xda, 1, 2, 0xff, 0xd9, 0, 0]));
        assert!(!has_end_of_image(&[0xff, 0xd9, 1, 0xff, 0xda, 1, 2]));
        assert!(!has_end_of_image(&[]));
    }

    #[test]
    fn images_tensor_values_are_planar_and_normalised() {
        let values = to_tensor_values(&[0, 51, 255, 255, 0, 102], [0.0, 0.5, 1.0], [1.0, 0.5, 0.25]);
        let want = [0.0, 1.0, (0.2 - 0.5) / 0.5, -1.0, 0.0, (0.4 - 1.0) / 0.25];
        assert!(values.iter().zip(want).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6), "{values:?}");
    }

    #[test]
    fn images_normalisation_is_the_formula_for_every_value() {
        let pixels: Vec<u8> = (0..=255).flat_map(|value| [value, 255 - value, value ^ 85]).collect();
        let mut values = vec![7.0];
        Normalization::new(CLIP_MEAN, CLIP_STD).append(&pixels, &mut values);
        let formula = |channel: usize, value: u8| (value as f32 / 255.0 - CLIP_MEAN[channel]) / CLIP_STD[channel];
        let channels = (0..3).flat_map(|channel| pixels.chunks(3).map(move |pixel| formula(channel, pixel[channel])));
        assert_eq!(values, [7.0].into_iter().chain(channels).collect::<Vec<_>>());
        assert_eq!(to_tensor_values(&pixels, CLIP_MEAN, CLIP_STD), values[1..]);
    }

    /// A PNG written by hand: `rows` are those of the image, each led by filter 0, stored without compression.
    fn png(kind: (u8, u8), extra: &[(&[u8; 4], &[u8])], width: u32, rows: &[&[u8]]) -> Vec<u8> {
        let raw: Vec<u8> = rows.iter().flat_map(|row| [&[0], *row].concat()).collect();
        let (low, high) = raw.iter().fold((1_u32, 0_u32), |(low, high), &byte| {
            let low = (low + u32::from(byte)) % 65521;
            (low, (high + low) % 65521)
        });
        let length = raw.len() as u16;
        let data = [
            &[0x78, 1, 1][..],
            &length.to_le_bytes(),
            &(!length).to_le_bytes(),
            &raw,
            &(high << 16 | low).to_be_bytes(),
        ]
        .concat();
        let header =
            [&width.to_be_bytes()[..], &(rows.len() as u32).to_be_bytes(), &[kind.0, kind.1, 0, 0, 0]].concat();
        let chunks = [&[(b"IHDR", &header[..])], extra, &[(b"IDAT", &data), (b"IEND", &[])]].concat();
        let chunk = |(name, content): (&[u8; 4], &[u8])| {
            let body = [&name[..], content].concat();
            [&(content.len() as u32).to_be_bytes()[..], &body, &crc32fast::hash(&body).to_be_bytes()].concat()
        };
        [lean::PNG_SIGNATURE.to_vec()].into_iter().chain(chunks.into_iter().map(chunk)).collect::<Vec<_>>().concat()
    }

    #[test]
    fn images_png_of_every_kind_becomes_rgb() {
        // Two pixels: (1, 2, 3) and (250, 128, 0), or the greys 7 and 200.
        let colour = image(2, 1, |x, _| [[1, 2, 3], [250, 128, 0]][x]);
        let grey = image(2, 1, |x, _| [[7; 3], [200; 3]][x]);
        let palette: (&[u8; 4], &[u8]) = (b"PLTE", &[250, 128, 0, 1, 2, 3]);
        for (kind, extra, row, want) in [
            ((8, 2), vec![], &[1, 2, 3, 250, 128, 0][..], &colour),
            ((8, 6), vec![], &[1, 2, 3, 0, 250, 128, 0, 99], &colour),
            ((16, 2), vec![], &[1, 9, 2, 9, 3, 9, 250, 9, 128, 9, 0, 9], &colour),
            ((16, 6), vec![], &[1, 9, 2, 9, 3, 9, 0, 0, 250, 9, 128, 9, 0, 9, 1, 1], &colour),
            ((8, 3), vec![palette], &[1, 0], &colour),
            ((8, 3), vec![palette, (b"tRNS", &[0, 9])], &[1, 0], &colour),
            ((1, 3), vec![palette], &[0x80], &colour),
            ((8, 0), vec![], &[7, 200], &grey),
            ((16, 0), vec![], &[7, 9, 200, 9], &grey),
            ((8, 4), vec![], &[7, 0, 200, 50], &grey),
            ((16, 4), vec![], &[7, 9, 1, 1, 200, 9, 2, 2], &grey),
        ] {
            let got = decode_png(&png(kind, &extra, 2, &[row])).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
            assert_eq!(&got, want, "{kind:?}");
        }
    }

    #[test]
    fn images_png_that_is_cut_or_changed_is_refused() {
        let bytes = png((8, 0), &[], 2, &[&[7, 200], &[1, 2]]);
        assert_eq!(png_header(&mut Cursor::new(&bytes[..33])).unwrap(), ImageHeader { width: 2, height: 2 });
        assert!(has_end_of_png(&bytes[bytes.len() - 12..]) && !has_end_of_png(&bytes[..bytes.len() - 1]));
        for length in 0..bytes.len() {
            assert!(decode_png(&bytes[..length]).is_err(), "cut to {length} bytes");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 4;
            assert!(decode_png(&changed).is_err(), "byte {at} changed");
        }
        let error = decode_png(&png((8, 0), &[], 0, &[&[]])).unwrap_err().to_string();
        assert!(error.contains("size 0x1"), "{error}");
    }

    #[test]
    fn fuzz_images() {
        let noisy: Vec<u8> = (0..24 * 16 * 3).map(|at: usize| (at * at * 31 % 251) as u8).collect();
        let jpegs = [jpeg(&noisy, 24, 16, ColorType::Rgb), jpeg(&noisy[..24 * 16], 24, 16, ColorType::Luma)];
        maclip_fuzzing::each("jpeg", &[&jpegs[0], &jpegs[1]], |bytes| {
            let (header, image) = (jpeg_header(&mut Cursor::new(bytes)), decode_jpeg(bytes));
            // A clip whose headers are sound is not refused for them later.
            assert!(image.is_err() || header.is_ok());
        });
    }
}

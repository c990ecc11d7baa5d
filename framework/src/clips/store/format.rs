//! The form of a frame in the clip store: raw pixels, or JPEG.

use crate::error::{Error, Result};
use crate::images::{decode_jpeg, encode_jpeg};
use crate::recipe::clip_store::Format;
use jpeg_encoder::SamplingFactor;
use std::borrow::Cow;

const QUALITY: u8 = 95;

impl Format {
    pub(super) fn code(self) -> u32 {
        self as u32
    }

    pub(super) fn of_code(code: u32) -> Option<Self> {
        [Format::Raw, Format::Jpeg].into_iter().find(|format| format.code() == code)
    }

    /// `height * width * 3` bytes in this form; `None` where a side is too long for JPEG (above 65,535).
    pub(super) fn encode(self, pixels: &[u8], width: usize, height: usize) -> Option<Cow<'_, [u8]>> {
        match self {
            Format::Raw => Some(Cow::Borrowed(pixels)),
            Format::Jpeg => encode_jpeg(pixels, width, height, QUALITY, SamplingFactor::F_1_1).map(Cow::Owned),
        }
    }

    /// A frame as it comes back after it was stored: JPEG changes pixels.
    pub(super) fn through(self, pixels: &[u8], width: usize, height: usize) -> Result<Vec<u8>> {
        let encoded = self.encode(pixels, width, height).map(Cow::into_owned);
        encoded.and_then(|bytes| self.decode(bytes, width, height)).ok_or_else(|| {
            Error::failed(format!("a frame of {width}x{height} cannot be a JPEG"))
                .help("keep frames with `clip_store: {format: raw}`, or make them smaller with `resize`")
        })
    }

    /// Undoes [`Format::encode`]; `None` where the bytes are no frame of this size.
    pub(super) fn decode(self, bytes: Vec<u8>, width: usize, height: usize) -> Option<Vec<u8>> {
        match self {
            Format::Raw => (bytes.len() == width * height * 3).then_some(bytes),
            Format::Jpeg => {
                let image = decode_jpeg(&bytes).ok()?;
                ((image.width, image.height) == (width, height)).then_some(image.pixels)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_is_exact_and_jpeg_close() {
        let pixels: Vec<u8> = (0..32 * 24).flat_map(|at| [at as u8 / 4, 200 - at as u8 / 8, 90]).collect();
        for format in [Format::Raw, Format::Jpeg] {
            assert_eq!(Format::of_code(format.code()), Some(format));
            let encoded = format.encode(&pixels, 32, 24).unwrap().into_owned();
            assert!(format.decode(encoded.clone(), 24, 24).is_none());
            let again = format.decode(encoded, 32, 24).unwrap();
            let most = again.iter().zip(&pixels).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(most <= if format == Format::Raw { 0 } else { 12 }, "{format:?} {most}");
        }
    }
}

//! The frames of a clip, side by side in one picture.

use crate::error::{Error, Result};
use crate::images::{Filter, Image, encode_jpeg, resize_to};
use jpeg_encoder::SamplingFactor;

/// Height and width of a frame in the picture, in pixels.
pub const SIDE: usize = 64;
const QUALITY: u8 = 80;

/// A JPEG of the square frames in `pixels`, each `size`² · 3 bytes, side by side and [`SIDE`] pixels high.
pub fn strip(pixels: &[u8], size: usize) -> Result<Vec<u8>> {
    let frames = pixels
        .chunks(size * size * 3)
        .map(|frame| {
            let image = Image { width: size, height: size, pixels: frame.to_vec() };
            Ok(resize_to(&image, SIDE, SIDE, Filter::Bicubic)?.pixels)
        })
        .collect::<Result<Vec<_>>>()?;
    let row = |y: usize| frames.iter().flat_map(move |frame| &frame[y * SIDE * 3..(y + 1) * SIDE * 3]);
    let joined: Vec<u8> = (0..SIDE).flat_map(row).copied().collect();
    encode_jpeg(&joined, frames.len() * SIDE, SIDE, QUALITY, SamplingFactor::F_2_2).ok_or_else(|| {
        Error::failed(format!("{} frames are too many for one picture", frames.len()))
            .help("`task.test.examples: 0` writes no pictures of examples")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::decode_jpeg;

    #[test]
    fn frames_stand_side_by_side() {
        // Three frames of 2 × 2 in one colour each.
        let colours = [[200u8, 30, 40], [20, 220, 60], [10, 20, 240]];
        let pixels: Vec<u8> = colours.iter().flat_map(|colour| colour.repeat(4)).collect();
        let bytes = strip(&pixels, 2).unwrap();
        assert_eq!(bytes, strip(&pixels, 2).unwrap());
        let image = decode_jpeg(&bytes).unwrap();
        assert_eq!((image.width, image.height), (3 * SIDE, SIDE));
        for (frame, colour) in colours.iter().enumerate() {
            let at = ((SIDE / 2) * image.width + frame * SIDE + SIDE / 2) * 3;
            let near = image.pixels[at..at + 3].iter().zip(colour).all(|(got, want)| got.abs_diff(*want) <= 6);
            assert!(near, "{frame}: {:?}", &image.pixels[at..at + 3]);
        }
        let message = strip(&[0; 3 * 1024], 1).unwrap_err().to_string();
        assert!(message.contains("1024 frames") && message.contains("task.test.examples"), "{message}");
    }
}

//! Resizing and cropping, as Pillow, PyTorch and CLIP's preparation do it.

use super::{Image, check_buffer};
use crate::error::{Error, Result};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer, images as fir};
use serde::{Deserialize, Serialize};

/// The filter of a resize: how the pixels around each new one are weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Pillow's bicubic filter, antialiased. CLIP was trained with it.
    Bicubic,
    /// Pillow's bilinear filter, antialiased: a triangle over all pixels that become one.
    Bilinear,
    /// Between the two nearest pixels in each direction, also where an image becomes much smaller: PyTorch's
    /// `interpolate` with `mode="bilinear"` and `align_corners=False`. The code of CLIP-FSAR and of its successors uses
    /// it.
    BilinearNoAntialias,
}

/// CLIP's preparation of an image, to `size` × `size` pixels: see [`resize_crop_rgb`].
///
/// # Errors
/// Where `size` is 0, or the image has no pixels.
pub fn clip_resize_crop(image: &Image, size: usize) -> Result<Image> {
    let pixels = resize_crop_rgb(&image.pixels, image.width, image.height, size)?;
    Ok(Image { width: size, height: size, pixels })
}

/// Resizes the shorter side to `size` with Pillow's antialiased bicubic filter, keeping the aspect ratio, and cuts
/// out the centre: `size * size * 3` bytes. `pixels` are those of an [`Image`] of `width` × `height`.
///
/// # Errors
/// Where a side is 0, or `pixels` is not an RGB image of this size.
pub fn resize_crop_rgb(pixels: &[u8], width: usize, height: usize, size: usize) -> Result<Vec<u8>> {
    if (width, height) == (size, size) {
        check_buffer(pixels, width, height)?;
        return Ok(pixels.to_vec());
    }
    let (new_width, new_height) = short_side_size(width, height, size);
    let full = resize_rgb(pixels, (width, height), (new_width, new_height), Filter::Bicubic)?;
    let corner = (crop_offset(new_width, size), crop_offset(new_height, size));
    Ok(crop_rgb(&full, new_width, corner, (size, size)))
}

/// The image resized to `width` × `height`; the aspect ratio may change.
///
/// # Errors
/// Where a side is 0, or the image's `pixels` do not have its size.
pub fn resize_to(image: &Image, width: usize, height: usize, filter: Filter) -> Result<Image> {
    let pixels = resize_rgb(&image.pixels, (image.width, image.height), (width, height), filter)?;
    Ok(Image { width, height, pixels })
}

/// Width and height of an image whose shorter side becomes `size`. The longer one is rounded down, as in torchvision.
pub fn short_side_size(width: usize, height: usize, size: usize) -> (usize, usize) {
    if width <= height { (size, size * height / width.max(1)) } else { (size * width / height.max(1), size) }
}

/// First row or column of the centre crop of `size` pixels in a `side` of at least `size`. Halves are rounded to the
/// even number, because torchvision uses Python's `round`.
pub fn crop_offset(side: usize, size: usize) -> usize {
    ((side - size) as f64 / 2.0).round_ties_even() as usize
}

/// The part of `width` × `height` pixels whose first is at column `left` and row `top`. The rows of `pixels` have `row`
/// pixels. The part must be inside the image.
pub fn crop_rgb(pixels: &[u8], row: usize, (left, top): (usize, usize), (width, height): (usize, usize)) -> Vec<u8> {
    // Whole rows are copied: a copy byte by byte took longer than the resize.
    let mut part = Vec::with_capacity(width * height * 3);
    for row in pixels.chunks_exact(row * 3).skip(top).take(height) {
        part.extend_from_slice(&row[left * 3..(left + width) * 3]);
    }
    part
}

fn resize_rgb(pixels: &[u8], from: (usize, usize), to: (usize, usize), filter: Filter) -> Result<Vec<u8>> {
    check_buffer(pixels, from.0, from.1)?;
    if to.0 == 0 || to.1 == 0 {
        return Err(Error::failed(format!("cannot resize an image to size {}x{}", to.0, to.1)));
    }
    let kind = match filter {
        // CatmullRom is the cubic with a = -0.5, the one that Pillow calls bicubic.
        Filter::Bicubic => FilterType::CatmullRom,
        Filter::Bilinear => FilterType::Bilinear,
        Filter::BilinearNoAntialias => return Ok(interpolate(pixels, from, to)),
    };
    // Two calls, width first, each with rounding to 8 bits, as Pillow does. One call would filter in the other order
    // and without rounding in between.
    let wide = convolve(pixels, from, (to.0, from.1), kind)?;
    convolve(&wide, (to.0, from.1), to, kind)
}

/// Bilinear interpolation between pixels in floats, rounded once, as PyTorch computes it.
fn interpolate(pixels: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    // For each new row or column: the two old ones, and the share of the second.
    let between = |from: usize, to: usize| {
        let step = from as f32 / to as f32;
        let place = move |new: usize| {
            let at = ((new as f32 + 0.5) * step - 0.5).max(0.0);
            let first = (at as usize).min(from - 1);
            (first, (first + 1).min(from - 1), at - first as f32)
        };
        (0..to).map(place).collect::<Vec<_>>()
    };
    let (columns, rows) = (between(from.0, to.0), between(from.1, to.1));
    let mut out = Vec::with_capacity(to.0 * to.1 * 3);
    for (top, bottom, down) in rows {
        let row = |at: usize| &pixels[at * from.0 * 3..(at + 1) * from.0 * 3];
        let (top, bottom) = (row(top), row(bottom));
        for &(left, right, along) in &columns {
            for channel in 0..3 {
                let mix = |row: &[u8]| {
                    let (left, right) = (f32::from(row[left * 3 + channel]), f32::from(row[right * 3 + channel]));
                    (1.0 - along) * left + along * right
                };
                out.push(((1.0 - down) * mix(top) + down * mix(bottom)).round() as u8);
            }
        }
    }
    out
}

fn convolve(pixels: &[u8], from: (usize, usize), to: (usize, usize), kind: FilterType) -> Result<Vec<u8>> {
    if from == to {
        return Ok(pixels.to_vec());
    }
    let failed = |error: &dyn std::fmt::Display| {
        Error::failed(format!("cannot resize an image from {}x{} to {}x{}: {error}", from.0, from.1, to.0, to.1))
    };
    let side = |side: usize| u32::try_from(side).map_err(|error| failed(&error));
    let source = fir::ImageRef::new(side(from.0)?, side(from.1)?, pixels, PixelType::U8x3).map_err(|e| failed(&e))?;
    let mut target = fir::Image::new(side(to.0)?, side(to.1)?, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(kind));
    Resizer::new().resize(&source, &mut target, &options).map_err(|error| failed(&error))?;
    Ok(target.into_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::tests::image;

    #[test]
    fn images_resize_keeps_a_constant_image_and_the_identity() {
        let constant = image(50, 31, |_, _| [9, 130, 250]);
        for size in [7, 31, 64] {
            let out = clip_resize_crop(&constant, size).unwrap();
            assert_eq!((out.width, out.height, out.pixels.len()), (size, size, size * size * 3));
            assert!(out.pixels.chunks(3).all(|p| p == [9, 130, 250]), "size {size}");
        }
        let square = image(16, 16, |x, y| [(x * 16) as u8, (y * 16) as u8, (x * y) as u8]);
        assert_eq!(clip_resize_crop(&square, 16).unwrap(), square);
        assert!(clip_resize_crop(&square, 0).is_err());
        assert!(resize_crop_rgb(&square.pixels, 16, 15, 8).is_err());
    }

    #[test]
    fn images_crop_sizes_and_offsets_are_those_of_torchvision() {
        assert_eq!(short_side_size(320, 240, 32), (42, 32));
        assert_eq!(short_side_size(90, 200, 224), (224, 497));
        assert_eq!(short_side_size(257, 257, 224), (224, 224));
        // 10/2 = 5; 39/2 = 19.5 -> 20 and 273/2 = 136.5 -> 136: to the even number.
        assert_eq!([crop_offset(42, 32), crop_offset(71, 32), crop_offset(497, 224)], [5, 20, 136]);
        // Already of the right height, so that only the crop acts: columns 5..13 of 18 are kept.
        let wide = image(18, 8, |x, y| [x as u8, y as u8, 0]);
        let out = clip_resize_crop(&wide, 8).unwrap();
        assert_eq!(out, image(8, 8, |x, y| [x as u8 + 5, y as u8, 0]));
        let tall = image(8, 15, |x, y| [x as u8, y as u8, 0]);
        assert_eq!(clip_resize_crop(&tall, 8).unwrap(), image(8, 8, |x, y| [x as u8, y as u8 + 4, 0]));
    }

    #[test]
    fn images_halving_matches_the_filter_worked_out_by_hand() {
        // Rows are equal, so only the width matters. Halving, a target pixel sees sources at the distances 0.25, 0.75,
        // 1.25 and 1.75 (in target pixels) on either side, with the cubic's weights 111, 29, -9 and -3 of 256.
        // The step is between the columns 7 and 8: target column 3 sees 8, 9 and 10 with 29, -9 and -3, column 4 all
        // but 7, 6 and 5, column 5 all but 7; column 2 sees 8 with -3 alone and is clamped.
        let step = image(16, 16, |x, _| if x < 8 { [0; 3] } else { [200; 3] });
        let out = clip_resize_crop(&step, 8).unwrap();
        let expected = |weight: f64| (200.0 * weight / 256.0).round().clamp(0.0, 255.0) as u8;
        let row: Vec<u8> = out.pixels[..24].chunks(3).map(|p| p[0]).collect();
        let want = [0, 0, 0, expected(29.0 - 9.0 - 3.0), expected(256.0 - 17.0), expected(256.0 + 3.0), 200, 200];
        assert_eq!(row, want);
    }

    #[test]
    fn images_resize_as_pillow_and_pytorch_do() {
        // Expected rows: Pillow 13.0, Image.resize(size, BILINEAR | BICUBIC); for the last filter PyTorch 2.9,
        // torch.nn.functional.interpolate(size, mode="bilinear") of the image as floats, rounded. Red of the first
        // four columns of the first row, and green of the last row.
        let source = image(9, 7, |x, y| [0, 90, 180].map(|c| (x * 37 + y * 11 + c) as u8));
        let cases = [
            (Filter::Bilinear, [4, 3], [40, 115, 181, 70], vec![178, 106, 82, 156]),
            (
                Filter::Bilinear,
                [13, 10],
                [0, 20, 46, 71],
                vec![156, 176, 202, 227, 95, 22, 48, 74, 99, 125, 150, 176, 196],
            ),
            (Filter::Bicubic, [4, 3], [33, 114, 196, 64], vec![184, 103, 75, 163]),
            (
                Filter::Bicubic,
                [13, 10],
                [0, 16, 45, 70],
                vec![155, 174, 208, 237, 89, 4, 49, 75, 100, 126, 151, 180, 199],
            ),
            (Filter::BilinearNoAntialias, [4, 3], [30, 114, 197, 24], vec![172, 31, 82, 166]),
            (
                Filter::BilinearNoAntialias,
                [13, 10],
                [0, 20, 46, 71],
                vec![156, 176, 202, 227, 95, 22, 48, 74, 99, 125, 150, 176, 196],
            ),
        ];
        for (filter, [width, height], first, last) in cases {
            let out = resize_to(&source, width, height, filter).unwrap();
            let column = |channel: usize, row: usize| -> Vec<u8> {
                out.pixels[row * width * 3..][..width * 3].chunks(3).map(|pixel| pixel[channel]).collect()
            };
            let allowed = if filter == Filter::BilinearNoAntialias { 0 } else { 1 };
            let near = |got: &[u8], want: &[u8]| got.iter().zip(want).all(|(a, b)| a.abs_diff(*b) <= allowed);
            let (got_first, got_last) = (column(0, 0), column(1, height - 1));
            assert!(near(&got_first, &first) && near(&got_last, &last), "{filter:?}: {got_first:?} {got_last:?}");
            assert_eq!(got_last.len(), last.len());
        }
        assert!(resize_to(&source, 0, 3, Filter::Bilinear).is_err());
    }

    #[test]
    fn images_bilinear_without_antialias_looks_at_two_pixels() {
        // Two of six columns: their centres are at 3 (j + 0.5) - 0.5 = 1 and 4, whole numbers, so that one pixel counts
        // alone. Three of two: -1/6 and 1 + 1/6 are clamped to the ends, and 0.5 is the mean.
        let row = |values: &[u8]| image(values.len(), 1, |x, _| [values[x]; 3]);
        let resized = |values: &[u8], width| resize_to(&row(values), width, 1, Filter::BilinearNoAntialias).unwrap();
        assert_eq!(resized(&[9, 50, 9, 9, 200, 9], 2), row(&[50, 200]));
        assert_eq!(resized(&[10, 30], 3), row(&[10, 20, 30]));
    }
}

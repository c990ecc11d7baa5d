//! The rasteriser: signed distances of the shapes, their textures, and a canvas with edge coverage.
//!
//! Each pixel is judged once: coverage is the signed distance in pixels, clamped to one pixel of edge. That is as
//! smooth as 3×3 supersampling at a ninth of the work.

use super::colour::{Colour, mix};
use super::objects::{Shape, Texture, What};

/// How an object looks; where it is, a [`Pose`] says.
#[derive(Clone, Debug)]
pub struct Sprite {
    pub what: What,
    /// The colour that a caption names.
    pub main: Colour,
    /// The colour of stripes, dots and checks.
    pub second: Colour,
}

/// Where an object is, and how it lies there; the frame is the unit square with y downwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    pub x: f32,
    pub y: f32,
    pub radius: f32,
    /// Clockwise, in radians.
    pub angle: f32,
    /// Width relative to height.
    pub aspect: f32,
    pub alpha: f32,
}

/// An upright box, such as a wall.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    pub left: f32,
    pub top: f32,
    pub right: f32,
    pub bottom: f32,
}

const TRIANGLE: [[f32; 2]; 3] = [[0.0, -0.88], [0.84, 0.62], [-0.84, 0.62]];
const STAR: [[f32; 2]; 10] = [
    [0.0, -1.0],
    [0.2645, -0.3641],
    [0.951, -0.309],
    [0.428, 0.139],
    [0.588, 0.809],
    [0.0, 0.45],
    [-0.588, 0.809],
    [-0.428, 0.139],
    [-0.951, -0.309],
    [-0.2645, -0.3641],
];
const ARROW: [[f32; 2]; 7] =
    [[0.0, -1.0], [0.8, -0.1], [0.32, -0.1], [0.32, 0.95], [-0.32, 0.95], [-0.32, -0.1], [-0.8, -0.1]];

/// Signed distance (negative inside) from a point to a shape that fills about the unit circle, upright.
pub fn distance(shape: Shape, x: f32, y: f32) -> f32 {
    match shape {
        Shape::Disc => length(x, y) - 0.9,
        Shape::Square => boxed(x, y, 0.78, 0.78),
        Shape::Triangle => polygon(&TRIANGLE, x, y),
        Shape::Star => polygon(&STAR, x, y),
        Shape::Cross => boxed(x, y, 0.9, 0.3).min(boxed(x, y, 0.3, 0.9)),
        Shape::Ring => (length(x, y) - 0.68).abs() - 0.24,
        Shape::Heart => heart(x, y),
        Shape::Crescent => (length(x, y) - 0.95).max(0.72 - length(x - 0.5, y)),
        Shape::Diamond => (x.abs() / 0.65 + y.abs() / 0.97 - 1.0) * 0.54,
        Shape::Hexagon => y.abs().max(x.abs() * 0.866_025_4 + y.abs() * 0.5) - 0.82,
        Shape::Arrow => polygon(&ARROW, x, y),
    }
}

fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

fn boxed(x: f32, y: f32, half_width: f32, half_height: f32) -> f32 {
    let (dx, dy) = (x.abs() - half_width, y.abs() - half_height);
    length(dx.max(0.0), dy.max(0.0)) + dx.max(dy).min(0.0)
}

fn heart(x: f32, y: f32) -> f32 {
    const SCALE: f32 = 0.62;
    let (x, y) = (x.abs() * SCALE, 0.55 - y * SCALE);
    let away = if x + y > 1.0 {
        length(x - 0.25, y - 0.75) - 0.353_553_4
    } else {
        let foot = 0.5 * (x + y).max(0.0);
        length(x, y - 1.0).min(length(x - foot, y - foot)) * (x - y).signum()
    };
    away / SCALE
}

fn polygon(corners: &[[f32; 2]], x: f32, y: f32) -> f32 {
    let mut nearest = f32::MAX;
    let mut inside = false;
    let mut from = corners[corners.len() - 1];
    for &to in corners {
        let (ex, ey) = (to[0] - from[0], to[1] - from[1]);
        let (wx, wy) = (x - from[0], y - from[1]);
        let along = ((wx * ex + wy * ey) / (ex * ex + ey * ey)).clamp(0.0, 1.0);
        let (bx, by) = (wx - ex * along, wy - ey * along);
        nearest = nearest.min(bx * bx + by * by);
        if (from[1] > y) != (to[1] > y) && x < from[0] + ex * wy / ey {
            inside = !inside;
        }
        from = to;
    }
    if inside { -nearest.sqrt() } else { nearest.sqrt() }
}

/// Signed distance to the edge of the nearest stripe; stripes and gaps are `period / 2` wide.
pub fn stripe(x: f32, period: f32) -> f32 {
    let turn = x / period;
    ((turn - turn.floor() - 0.5).abs() - 0.25) * period
}

/// Signed distance to the edge of the nearest field of a checkerboard.
pub fn check(x: f32, y: f32, period: f32) -> f32 {
    let (a, b) = (stripe(x, period), stripe(y, period));
    a.abs().min(b.abs()) * (a * b).signum()
}

/// Share of the second colour at a point of a texture; `pixels` is the length of one local unit.
fn share(texture: Texture, x: f32, y: f32, pixels: f32) -> f32 {
    let edge = match texture {
        // A plain object has one half of a slightly other shade, so that its turning can be seen even on a disc.
        Texture::Plain => return 0.3 * coverage(x * pixels),
        Texture::Striped => stripe(y + 0.14, 0.62),
        Texture::Dotted => {
            let (u, v) = ((x / 0.52 + 0.5).floor() * 0.52, (y / 0.52 + 0.5).floor() * 0.52);
            0.17 - length(x - u, y - v)
        }
        Texture::Checkered => check(x + 0.2, y + 0.2, 0.8),
    };
    coverage(edge * pixels)
}

fn coverage(inside: f32) -> f32 {
    (inside + 0.5).clamp(0.0, 1.0)
}

/// A square picture in the making.
#[derive(Clone, Debug)]
pub struct Canvas {
    pub size: usize,
    pub pixels: Vec<Colour>,
    /// Where the camera has been pushed to, in whole pixels.
    pub shift: (i32, i32),
}

impl Canvas {
    /// The pixel columns or rows that `low..high` of the unit square touches.
    fn span(&self, low: f32, high: f32, shift: i32) -> std::ops::Range<usize> {
        let clip = |x: f32| (x + shift as f32).clamp(0.0, self.size as f32) as usize;
        clip((low * self.size as f32).floor())..clip((high * self.size as f32).ceil())
    }

    /// Lays an object over the picture.
    pub fn draw(&mut self, sprite: &Sprite, pose: &Pose) {
        let reach = pose.radius * 1.06 + 1.0 / self.size as f32;
        let pixels = pose.radius * self.size as f32;
        if pixels < 0.25 || pose.alpha <= 0.0 {
            return;
        }
        let (sin, cos) = pose.angle.sin_cos();
        let (x0, y0) =
            (pose.x * self.size as f32 + self.shift.0 as f32, pose.y * self.size as f32 + self.shift.1 as f32);
        let columns = self.span(pose.x - reach, pose.x + reach, self.shift.0);
        for row in self.span(pose.y - reach, pose.y + reach, self.shift.1) {
            let dy = (row as f32 + 0.5 - y0) / pixels;
            for column in columns.clone() {
                let dx = (column as f32 + 0.5 - x0) / pixels;
                let (x, y) = ((dx * cos + dy * sin) / pose.aspect, dy * cos - dx * sin);
                if x * x + y * y > (1.06 + 1.5 / pixels).powi(2) {
                    continue;
                }
                let scale = pixels * pose.aspect.min(1.0);
                let cover = coverage(-distance(sprite.what.shape, x, y) * scale) * pose.alpha;
                if cover > 0.0 {
                    let colour = mix(sprite.main, sprite.second, share(sprite.what.texture, x, y, scale));
                    let pixel = &mut self.pixels[row * self.size + column];
                    *pixel = mix(*pixel, colour, cover);
                }
            }
        }
    }

    /// A wall or floor: `face` with thin courses of `joint`.
    pub fn block(&mut self, block: &Block, face: Colour, joint: Colour) {
        let size = self.size as f32;
        let columns = self.span(block.left, block.right, self.shift.0);
        for row in self.span(block.top, block.bottom, self.shift.1) {
            let y = (row as f32 + 0.5 - self.shift.1 as f32) / size;
            let down = coverage((y - block.top).min(block.bottom - y) * size);
            let course = (y - block.top) / 0.11;
            let colour = if course - course.floor() < 0.17 { joint } else { face };
            for column in columns.clone() {
                let x = (column as f32 + 0.5 - self.shift.0 as f32) / size;
                let cover = down * coverage((x - block.left).min(block.right - x) * size);
                let pixel = &mut self.pixels[row * self.size + column];
                *pixel = mix(*pixel, colour, cover);
            }
        }
    }

    /// 8-bit RGB with pixel noise of amplitude `noise`; `key` picks the noise.
    pub fn finish(&self, noise: f32, key: u64) -> Vec<u8> {
        let mut state = scramble(key) | 1;
        let mut bytes = Vec::with_capacity(self.pixels.len() * 3);
        for pixel in &self.pixels {
            // xorshift64: one draw gives the three channels 16 bits each.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            for (channel, value) in pixel.iter().enumerate() {
                let draw = (state >> (16 * channel + 8)) as u16 as f32 / 32_768.0 - 1.0;
                bytes.push(((value + noise * draw) * 255.0 + 0.5).clamp(0.0, 255.0) as u8);
            }
        }
        bytes
    }
}

/// A 64-bit finaliser (that of SplitMix64): neighbouring keys give unrelated bits.
pub fn scramble(key: u64) -> u64 {
    let mut z = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_in_motion_shapes_fill_the_unit_circle_and_stay_inside() {
        for shape in Shape::ALL {
            let grid = (-30..=30).flat_map(|i| (-30..=30).map(move |j| (i as f32 / 20.0, j as f32 / 20.0)));
            let inside: Vec<_> = grid.filter(|&(x, y)| distance(shape, x, y) < 0.0).collect();
            let area = inside.len() as f32 / 400.0;
            assert!((0.75..2.8).contains(&area), "{shape:?} {area}");
            assert!(inside.iter().all(|&(x, y)| length(x, y) < 1.11), "{shape:?}");
        }
    }
}

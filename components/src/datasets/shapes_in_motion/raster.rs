//! The rasteriser: a canvas on which objects, walls and noise are laid, with edge coverage.
//!
//! Each pixel is judged once: coverage is the signed distance in pixels, clamped to one pixel of edge. That is as
//! smooth as 3×3 supersampling at a ninth of the work.

use super::colour::{Colour, mix, second_colour};
use super::noise::grainy;
use super::objects::What;
use super::outline::{LANES, Lanes, coverage, distance, share};
use super::palette::Paint;

/// How an object looks; where it is, a [`Pose`] says.
#[derive(Clone, Debug)]
pub struct Sprite {
    pub what: What,
    /// The colour that a caption names.
    pub main: Colour,
    /// The colour of stripes, dots and checks.
    pub second: Colour,
    /// The name of the main colour.
    pub word: &'static str,
}

impl Sprite {
    /// An object of this kind in a named colour.
    pub fn of(what: What, paint: Paint) -> Self {
        Self { what, main: paint.colour, second: second_colour(paint.colour), word: paint.word }
    }

    /// An object that no caption names.
    pub fn plain(what: What, colour: Colour) -> Self {
        Self { what, main: colour, second: mix(colour, [0.0; 3], 0.4), word: "" }
    }
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

/// A square picture in the making.
#[derive(Clone, Debug)]
pub struct Canvas {
    /// Side in pixels.
    pub size: usize,
    /// Pixels of the unit that places and lengths are given in: the side of a frame, without margins.
    pub unit: f32,
    pub pixels: Vec<Colour>,
    /// Where the camera has been pushed to, in whole pixels.
    pub shift: (i32, i32),
    /// How much of what is drawn covers what was there, 0 to 1: below 1 for ghosts.
    pub opacity: f32,
}

impl Canvas {
    /// A canvas of these pixels for frames of `frame` pixels, with `margin` pixels more on each side.
    pub fn new(frame: usize, margin: usize, pixels: Vec<Colour>) -> Self {
        let shift = (margin as i32, margin as i32);
        Self { size: frame + 2 * margin, unit: frame as f32, pixels, shift, opacity: 1.0 }
    }

    /// The pixel columns or rows that `low..high` of the unit square touches.
    fn span(&self, low: f32, high: f32, shift: i32) -> std::ops::Range<usize> {
        let clip = |x: f32| (x + shift as f32).clamp(0.0, self.size as f32) as usize;
        clip((low * self.unit).floor())..clip((high * self.unit).ceil())
    }

    /// Lays an object over the picture.
    pub fn draw(&mut self, sprite: &Sprite, pose: &Pose) {
        let reach = pose.radius * 1.06 + 1.0 / self.unit;
        let pixels = pose.radius * self.unit;
        if pixels < 0.25 || pose.alpha <= 0.0 {
            return;
        }
        let alpha = pose.alpha * self.opacity;
        let (sin, cos) = pose.angle.sin_cos();
        let (x0, y0) = (pose.x * self.unit + self.shift.0 as f32, pose.y * self.unit + self.shift.1 as f32);
        let limit = (1.06 + 1.5 / pixels).powi(2);
        let scale = pixels * pose.aspect.min(1.0);
        let columns = self.span(pose.x - reach, pose.x + reach, self.shift.0);
        for row in self.span(pose.y - reach, pose.y + reach, self.shift.1) {
            let dy = (row as f32 + 0.5 - y0) / pixels;
            let (dy_sin, dy_cos) = (dy * sin, dy * cos);
            let line = &mut self.pixels[row * self.size..][columns.clone()];
            for (part, first) in line.chunks_mut(LANES).zip(columns.clone().step_by(LANES)) {
                let first = first as f32;
                let dx: Lanes = std::array::from_fn(|i| (first + i as f32 + 0.5 - x0) / pixels);
                let x: Lanes = std::array::from_fn(|i| (dx[i] * cos + dy_sin) / pose.aspect);
                let y: Lanes = std::array::from_fn(|i| dy_cos - dx[i] * sin);
                let near: [bool; LANES] = std::array::from_fn(|i| x[i] * x[i] + y[i] * y[i] <= limit);
                if near == [false; LANES] {
                    continue;
                }
                let away = distance(sprite.what.shape, &x, &y);
                let cover: Lanes =
                    std::array::from_fn(|i| if near[i] { coverage(-away[i] * scale) * alpha } else { 0.0 });
                if cover == [0.0; LANES] {
                    continue;
                }
                let share = share(sprite.what.texture, &x, &y, scale);
                for ((pixel, share), cover) in part.iter_mut().zip(share).zip(cover) {
                    *pixel = mix(*pixel, mix(sprite.main, sprite.second, share), cover);
                }
            }
        }
    }

    /// A wall or floor: `face` with thin courses of `joint`.
    pub fn block(&mut self, block: &Block, face: Colour, joint: Colour) {
        let size = self.unit;
        let columns = self.span(block.left, block.right, self.shift.0);
        let across = |column: usize| {
            let x = (column as f32 + 0.5 - self.shift.0 as f32) / size;
            coverage((x - block.left).min(block.right - x) * size)
        };
        let across: Vec<f32> = columns.clone().map(across).collect();
        for row in self.span(block.top, block.bottom, self.shift.1) {
            let y = (row as f32 + 0.5 - self.shift.1 as f32) / size;
            let down = coverage((y - block.top).min(block.bottom - y) * size) * self.opacity;
            let course = (y - block.top) / 0.11;
            let colour = if course - course.floor() < 0.17 { joint } else { face };
            let line = &mut self.pixels[row * self.size..][columns.clone()];
            for (pixel, across) in line.iter_mut().zip(&across) {
                *pixel = mix(*pixel, colour, down * across);
            }
        }
    }

    /// A rounded line that may be thicker at one end; a disc where both ends are one point. Lengths are shares of the
    /// frame.
    pub fn limb(&mut self, from: (f32, f32), to: (f32, f32), radii: (f32, f32), colour: Colour) {
        let size = self.unit;
        let reach = radii.0.max(radii.1) + 1.0 / size;
        let shift = (self.shift.0 as f32, self.shift.1 as f32);
        let (x0, y0) = (from.0 * size + shift.0, from.1 * size + shift.1);
        let (dx, dy) = ((to.0 - from.0) * size, (to.1 - from.1) * size);
        let square = dx * dx + dy * dy;
        let inverse = if square > 1e-9 { 1.0 / square } else { 0.0 };
        let (wide, change) = (radii.0 * size, (radii.1 - radii.0) * size);
        let columns = self.span(from.0.min(to.0) - reach, from.0.max(to.0) + reach, self.shift.0);
        for row in self.span(from.1.min(to.1) - reach, from.1.max(to.1) + reach, self.shift.1) {
            let y = row as f32 + 0.5 - y0;
            let line = &mut self.pixels[row * self.size..][columns.clone()];
            for (pixel, column) in line.iter_mut().zip(columns.clone()) {
                let x = column as f32 + 0.5 - x0;
                let along = ((x * dx + y * dy) * inverse).clamp(0.0, 1.0);
                let (ex, ey) = (x - dx * along, y - dy * along);
                let inside = wide + change * along - (ex * ex + ey * ey).sqrt();
                if inside > -0.5 {
                    *pixel = mix(*pixel, colour, coverage(inside) * self.opacity);
                }
            }
        }
    }

    /// Gives the pixels of each square of 2 × 2 its first one's colour.
    pub fn coarsen(&mut self) {
        for row in 0..self.size {
            for column in 0..self.size {
                self.pixels[row * self.size + column] = self.pixels[(row & !1) * self.size + (column & !1)];
            }
        }
    }

    /// 8-bit RGB with pixel noise of amplitude `noise`; `key` picks the noise.
    pub fn finish(&self, noise: f32, key: u64) -> Vec<u8> {
        grainy(self.pixels.as_flattened(), noise, key)
    }
}

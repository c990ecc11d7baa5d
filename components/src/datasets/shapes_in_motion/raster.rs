//! The rasteriser: a canvas on which objects, walls and noise are laid, with edge coverage.
//!
//! Each pixel is judged once: coverage is the signed distance in pixels, clamped to one pixel of edge. That is as
//! smooth as 3×3 supersampling at a ninth of the work.

use super::colour::{Colour, mix};
use super::noise::grainy;
use super::objects::What;
use super::outline::{LANES, Lanes, coverage, distance, share};

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
                    std::array::from_fn(|i| if near[i] { coverage(-away[i] * scale) * pose.alpha } else { 0.0 });
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
        let size = self.size as f32;
        let columns = self.span(block.left, block.right, self.shift.0);
        let across = |column: usize| {
            let x = (column as f32 + 0.5 - self.shift.0 as f32) / size;
            coverage((x - block.left).min(block.right - x) * size)
        };
        let across: Vec<f32> = columns.clone().map(across).collect();
        for row in self.span(block.top, block.bottom, self.shift.1) {
            let y = (row as f32 + 0.5 - self.shift.1 as f32) / size;
            let down = coverage((y - block.top).min(block.bottom - y) * size);
            let course = (y - block.top) / 0.11;
            let colour = if course - course.floor() < 0.17 { joint } else { face };
            let line = &mut self.pixels[row * self.size..][columns.clone()];
            for (pixel, across) in line.iter_mut().zip(&across) {
                *pixel = mix(*pixel, colour, down * across);
            }
        }
    }

    /// 8-bit RGB with pixel noise of amplitude `noise`; `key` picks the noise.
    pub fn finish(&self, noise: f32, key: u64) -> Vec<u8> {
        grainy(self.pixels.as_flattened(), noise, key)
    }
}

//! One clip: a motion's course, the objects that take it, and everything around them that carries no class.

use super::colour::{Colour, mix, second_colour};
use super::course::Course;
use super::motion::Motion;
use super::noise::scramble;
use super::objects::{What, all_whats};
use super::palette::{Backdrop, Paint};
use super::raster::{Canvas, Pose, Sprite};
use maclip_framework::random::Rng;
use std::f32::consts::TAU;

/// A small object that drifts through the background.
#[derive(Clone, Debug)]
struct Bystander {
    sprite: Sprite,
    pose: Pose,
    drift: (f32, f32),
}

/// A small sway of the camera, in shares of the frame.
#[derive(Clone, Debug)]
struct Camera {
    sway: f32,
    phase: (f32, f32),
    speed: f32,
}

/// The most that the camera moves, as a share of the frame.
const MOST_SWAY: f32 = 0.04;

#[derive(Clone, Debug)]
/// Everything that is drawn of one clip.
pub struct Scene {
    course: Course,
    backwards: bool,
    sprites: [Sprite; 2],
    block: (Colour, Colour),
    backdrop: Backdrop,
    bystanders: Vec<Bystander>,
    camera: Camera,
    noise: f32,
    key: u64,
}

impl Scene {
    /// Draws one scene of a class. Whether the motion runs backwards uses no random number and changes no other draw:
    /// with equal draws a motion and its reverse give the same frames in opposite order.
    pub fn draw(what: What, motion: Motion, rng: &mut Rng) -> Self {
        let course = Course::draw(motion.path, rng);
        let backdrop = Backdrop::draw(rng);
        let sprite = dressed(what, &backdrop, rng);
        let other = dressed(what, &backdrop, rng);
        let sprites = if course.twins() { [sprite.clone(), sprite] } else { [sprite, other] };
        let mut taken = backdrop.colours().to_vec();
        taken.extend([sprites[0].main, sprites[0].second]);
        let face = Paint::apart_from(&taken, rng).colour;
        let whats = all_whats();
        let bystanders = (0..rng.below(3))
            .map(|_| Bystander {
                sprite: dressed(*rng.pick(&whats), &backdrop, rng),
                pose: Pose {
                    x: rng.range(0.05, 0.95) as f32,
                    y: rng.range(0.05, 0.95) as f32,
                    radius: rng.range(0.035, 0.06) as f32,
                    angle: rng.range(0.0, TAU as f64) as f32,
                    aspect: 1.0,
                    alpha: 1.0,
                },
                drift: (rng.range(-0.08, 0.08) as f32, rng.range(-0.08, 0.08) as f32),
            })
            .collect();
        let shaken = rng.chance(0.5);
        let camera = Camera {
            sway: rng.range(0.01, MOST_SWAY as f64) as f32 * if shaken { 1.0 } else { 0.0 },
            phase: (rng.range(0.0, TAU as f64) as f32, rng.range(0.0, TAU as f64) as f32),
            speed: rng.range(3.0, 9.0) as f32,
        };
        Self {
            course,
            backwards: motion.backwards,
            sprites,
            block: (face, mix(face, second_colour(face), 0.45)),
            backdrop,
            bystanders,
            camera,
            noise: rng.range(0.0, 0.06) as f32,
            key: rng.bits(),
        }
    }

    /// The frames `indices` of the clip of `count` frames, `size` pixels square.
    pub fn frames(&self, size: usize, count: usize, indices: &[usize]) -> Vec<Vec<u8>> {
        let margin = (MOST_SWAY * size as f32).ceil() as usize;
        let ground = self.backdrop.paint(size, margin);
        let mut canvas = Canvas { size, pixels: Vec::with_capacity(size * size), shift: (0, 0) };
        indices.iter().map(|&index| self.frame(&mut canvas, &ground, margin, count, index)).collect()
    }

    /// One frame. All that was on `canvas` is painted over.
    fn frame(&self, canvas: &mut Canvas, ground: &Canvas, margin: usize, count: usize, index: usize) -> Vec<u8> {
        let size = canvas.size;
        // Time is turned round for the scene as a whole, its noise and bystanders included.
        let index = if self.backwards { count - 1 - index } else { index };
        let t = index as f32 / (count - 1).max(1) as f32;
        let sway = |phase: f32| (self.camera.sway * size as f32 * (phase + self.camera.speed * t).sin()).round() as i32;
        let shift = (sway(self.camera.phase.0), sway(self.camera.phase.1));
        canvas.shift = shift;
        canvas.pixels.clear();
        let first = |shift: i32| (margin as i32 - shift).clamp(0, 2 * margin as i32) as usize;
        for row in first(shift.1)..first(shift.1) + size {
            let start = row * ground.size + first(shift.0);
            canvas.pixels.extend_from_slice(&ground.pixels[start..start + size]);
        }
        for by in &self.bystanders {
            let pose = Pose { x: by.pose.x + by.drift.0 * t, y: by.pose.y + by.drift.1 * t, ..by.pose };
            canvas.draw(&by.sprite, &pose);
        }
        for (pose, sprite) in self.course.poses(t).iter().zip(&self.sprites) {
            canvas.draw(sprite, pose);
        }
        if let Some(block) = self.course.block() {
            canvas.block(&block, self.block.0, self.block.1);
        }
        canvas.finish(self.noise, self.key ^ scramble(index as u64))
    }
}

fn dressed(what: What, backdrop: &Backdrop, rng: &mut Rng) -> Sprite {
    let main = Paint::apart_from(&backdrop.colours(), rng).colour;
    Sprite { what, main, second: second_colour(main) }
}

//! One clip: what happens, and everything around it that carries no class.

use super::backdrop::Backdrop;
use super::colour::{Colour, mix, second_colour};
use super::content::Content;
use super::course::{Course, between};
use super::figures::Figure;
use super::hands::Hand;
use super::noise::scramble;
use super::objects::{What, all_whats};
use super::palette::Paint;
use super::raster::{Canvas, Pose, Sprite};
use super::scenery::Place;
use maclip_framework::random::Rng;
use std::f32::consts::TAU;

/// A small object that drifts through the background.
#[derive(Clone, Debug)]
struct Bystander {
    sprite: Sprite,
    pose: Pose,
    drift: (f32, f32),
}

/// Movement of the camera, in shares of the frame.
#[derive(Clone, Debug)]
struct Camera {
    sway: f32,
    phase: (f32, f32),
    speed: f32,
    /// Steady move over the background during the clip: the camera follows what happens.
    pan: (f32, f32),
}

/// The most that the camera sways, and the most that it pans from the middle.
const MOST_SWAY: f32 = 0.04;
const MOST_PAN: f32 = 0.08;

/// Pixels around a frame of `size` that the camera may move over.
fn margin(size: usize) -> usize {
    ((MOST_SWAY + MOST_PAN) * size as f32).ceil() as usize
}

/// How a picture shows that something moves. Lengths are shares of the clip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trace {
    None,
    /// Everything that moves is blurred along its path, as by a long exposure.
    Blur(f32),
    /// Faint copies of where it was, the oldest the faintest.
    Ghosts(f32),
    /// Lines from where it was.
    Streaks(f32),
}

impl Trace {
    /// As cameras and drawings have it, for single pictures.
    pub fn of_picture(rng: &mut Rng) -> Self {
        let gap = rng.range(0.04, 0.11) as f32;
        match rng.below(10) {
            0..3 => Trace::None,
            3..6 => Trace::Blur(2.0 * gap),
            6..8 => Trace::Ghosts(gap),
            _ => Trace::Streaks(1.5 * gap),
        }
    }

    /// As videos have it: sharp, or blurred a little.
    fn of_clip(rng: &mut Rng) -> Self {
        let length = rng.range(0.02, 0.07) as f32;
        if rng.chance(0.5) { Trace::Blur(length) } else { Trace::None }
    }
}

/// What is in front of the background.
#[derive(Clone, Debug)]
enum Act {
    Things { course: Course, backwards: bool, sprites: Box<[Sprite; 2]>, block: (Colour, Colour) },
    Figure(Box<Figure>),
    Hand { hand: Box<Hand>, backwards: bool },
}

/// Everything that is drawn of one clip.
#[derive(Clone, Debug)]
pub struct Scene {
    act: Act,
    pub backdrop: Backdrop,
    bystanders: Vec<Bystander>,
    camera: Camera,
    pub trace: Trace,
    /// Whether pixels are drawn twice as large, as in small pictures for games.
    coarse: bool,
    noise: f32,
    key: u64,
}

impl Scene {
    /// Draws one scene. Whether a motion or a deed runs backwards uses no random number and changes no other draw: with
    /// equal draws it and its reverse give the same frames in opposite order.
    pub fn draw(content: Content, place: Option<Place>, rng: &mut Rng) -> Self {
        let backdrop = match place {
            Some(place) => Backdrop::of(place, rng),
            None => Backdrop::draw(rng),
        };
        let act = Act::draw(content, &backdrop, rng);
        let whats = all_whats();
        let bystanders = (0..rng.below(3))
            .map(|_| Bystander {
                sprite: dressed(*rng.pick(&whats), &backdrop, rng),
                pose: Pose {
                    x: between(rng, 0.05, 0.95),
                    y: between(rng, 0.05, 0.95),
                    radius: between(rng, 0.035, 0.06),
                    angle: between(rng, 0.0, TAU),
                    aspect: 1.0,
                    alpha: 1.0,
                },
                drift: (between(rng, -0.08, 0.08), between(rng, -0.08, 0.08)),
            })
            .collect();
        let (shaken, follows) = (rng.chance(0.5), rng.chance(0.4));
        let camera = Camera {
            sway: between(rng, 0.01, MOST_SWAY) * if shaken { 1.0 } else { 0.0 },
            phase: (between(rng, 0.0, TAU), between(rng, 0.0, TAU)),
            speed: between(rng, 3.0, 9.0),
            pan: [(); 2].map(|()| between(rng, -MOST_PAN, MOST_PAN) * if follows { 2.0 } else { 0.0 }).into(),
        };
        let trace = Trace::of_clip(rng);
        let coarse = rng.chance(0.1);
        Self { act, backdrop, bystanders, camera, trace, coarse, noise: between(rng, 0.0, 0.06), key: rng.bits() }
    }

    /// The frames `indices` of the clip of `count` frames, `size` pixels square.
    pub fn frames(&self, size: usize, count: usize, indices: &[usize]) -> Vec<Vec<u8>> {
        let ground = self.backdrop.paint(size, margin(size));
        let backwards = self.act.backwards();
        let at = |&index: &usize| {
            // Time is turned round for the scene as a whole, its noise and bystanders included.
            let index = if backwards { count - 1 - index } else { index };
            let t = index as f32 / (count - 1).max(1) as f32;
            self.frame(&ground, size, t, self.key ^ scramble(index as u64))
        };
        indices.iter().map(at).collect()
    }

    /// One picture at time `t` of the act's own time.
    pub fn picture(&self, size: usize, t: f32) -> Vec<u8> {
        self.frame(&self.backdrop.paint(size, margin(size)), size, t, self.key)
    }

    /// Where the middle of what happens is seen at time `t`.
    pub fn middle(&self, t: f32) -> (f32, f32) {
        self.act.middle(t)
    }

    pub fn figure(&self) -> Option<&Figure> {
        match &self.act {
            Act::Figure(figure) => Some(figure),
            _ => None,
        }
    }

    /// What is moved, and its size at time `t`.
    pub fn object(&self, t: f32) -> Option<(&Sprite, f32)> {
        match &self.act {
            Act::Things { course, sprites, .. } => course.poses(t).first().map(|pose| (&sprites[0], pose.radius)),
            Act::Hand { hand, .. } => Some((hand.object(), 0.15)),
            Act::Figure(_) => None,
        }
    }

    /// Two things of one colour, or of two.
    pub fn one_colour(&self) -> bool {
        match &self.act {
            Act::Things { sprites, .. } => sprites[0].word == sprites[1].word,
            _ => true,
        }
    }

    fn frame(&self, ground: &Canvas, size: usize, t: f32, key: u64) -> Vec<u8> {
        let margin = margin(size);
        let whole = |share: f32| (share * size as f32).round() as i32;
        let sway = |phase: f32| self.camera.sway * (phase + self.camera.speed * t).sin();
        let shift = (whole(sway(self.camera.phase.0)), whole(sway(self.camera.phase.1)));
        let behind = (whole(self.camera.pan.0 * (t - 0.5)), whole(self.camera.pan.1 * (t - 0.5) * 0.3));
        let mut canvas = Canvas::new(size, 0, Vec::with_capacity(size * size));
        let first = |shift: i32| (margin as i32 - shift).clamp(0, 2 * margin as i32) as usize;
        for row in first(shift.1 + behind.1)..first(shift.1 + behind.1) + size {
            let start = row * ground.size + first(shift.0 + behind.0);
            canvas.pixels.extend_from_slice(&ground.pixels[start..start + size]);
        }
        canvas.shift = (shift.0 + behind.0, shift.1 + behind.1);
        for by in &self.bystanders {
            let pose = Pose { x: by.pose.x + by.drift.0 * t, y: by.pose.y + by.drift.1 * t, ..by.pose };
            canvas.draw(&by.sprite, &pose);
        }
        canvas.shift = shift;
        self.trace_of(&mut canvas, t);
        if self.coarse {
            canvas.coarsen();
        }
        canvas.finish(self.noise, key)
    }

    /// Lays what happens over the picture, with the trace that it leaves.
    fn trace_of(&self, canvas: &mut Canvas, t: f32) {
        // What was before lies after in the own time of an act that is played backwards. A blur has no direction.
        let before = if self.act.backwards() { 1.0 } else { -1.0 };
        let then = |gap: f32| (t + before * gap).clamp(0.0, 1.0);
        match self.trace {
            Trace::None => self.act.paint(canvas, t),
            Trace::Blur(length) => {
                const SAMPLES: usize = 5;
                let empty = canvas.clone();
                self.act.paint(canvas, t);
                for sample in [-1.0, 1.0, -2.0, 2.0] {
                    let mut other = empty.clone();
                    self.act.paint(&mut other, (t + length * sample / (SAMPLES - 1) as f32).clamp(0.0, 1.0));
                    canvas.pixels.iter_mut().zip(&other.pixels).for_each(|(sum, pixel)| *sum = add(*sum, *pixel));
                }
                canvas.pixels.iter_mut().for_each(|sum| *sum = sum.map(|channel| channel / SAMPLES as f32));
            }
            Trace::Ghosts(gap) => {
                for (age, opacity) in [(3.0, 0.16), (2.0, 0.28), (1.0, 0.42)] {
                    canvas.opacity = opacity;
                    self.act.paint(canvas, then(age * gap));
                }
                canvas.opacity = 1.0;
                self.act.paint(canvas, t);
            }
            Trace::Streaks(gap) => {
                let light: f32 = self.backdrop.colours().as_flattened().iter().sum::<f32>() / 6.0;
                let colour = if light > 0.5 { [0.1; 3] } else { [0.95; 3] };
                let steps = [1.0, 0.75, 0.5, 0.25, 0.0].map(|share| self.act.marks(then(gap * share)));
                for pair in steps.windows(2) {
                    for (from, to) in pair[0].iter().zip(&pair[1]) {
                        canvas.opacity = 0.75;
                        canvas.limb(*from, *to, (0.008, 0.012), colour);
                    }
                }
                canvas.opacity = 1.0;
                self.act.paint(canvas, t);
            }
        }
    }
}

fn add(a: Colour, b: Colour) -> Colour {
    std::array::from_fn(|i| a[i] + b[i])
}

impl Act {
    fn draw(content: Content, backdrop: &Backdrop, rng: &mut Rng) -> Self {
        match content {
            Content::Thing { what, motion } => {
                let course = Course::draw(motion.kind, rng);
                let sprite = dressed(what, backdrop, rng);
                let other = dressed(what, backdrop, rng);
                let sprites = if course.twins() { [sprite.clone(), sprite] } else { [sprite, other] };
                let mut taken = backdrop.colours().to_vec();
                taken.extend([sprites[0].main, sprites[0].second]);
                let face = Paint::apart_from(&taken, rng).colour;
                let block = (face, mix(face, second_colour(face), 0.45));
                Act::Things { course, backwards: motion.backwards, sprites: Box::new(sprites), block }
            }
            Content::Figure { action, facing, carried } => {
                Act::Figure(Box::new(Figure::draw(action, facing, carried, backdrop, rng)))
            }
            Content::Hand { what, handling } => Act::Hand {
                hand: Box::new(Hand::draw(what, handling.kind, backdrop, rng)),
                backwards: handling.backwards,
            },
        }
    }

    fn backwards(&self) -> bool {
        match self {
            Act::Things { backwards, .. } | Act::Hand { backwards, .. } => *backwards,
            Act::Figure(_) => false,
        }
    }

    fn paint(&self, canvas: &mut Canvas, t: f32) {
        match self {
            Act::Things { course, sprites, block, .. } => {
                for (pose, sprite) in course.poses(t).iter().zip(&**sprites) {
                    canvas.draw(sprite, pose);
                }
                if let Some(wall) = course.block() {
                    canvas.block(&wall, block.0, block.1);
                }
            }
            Act::Figure(figure) => figure.paint(canvas, t),
            Act::Hand { hand, .. } => hand.paint(canvas, t),
        }
    }

    /// Points that move.
    fn marks(&self, t: f32) -> Vec<(f32, f32)> {
        match self {
            // Two points off the middle show a turn too.
            Act::Things { course, .. } => (course.poses(t).iter())
                .flat_map(|pose| {
                    let (sin, cos) = pose.angle.sin_cos();
                    let (dx, dy) = (cos * pose.radius * 0.8, sin * pose.radius * 0.8);
                    [(pose.x + dx, pose.y + dy), (pose.x - dx, pose.y - dy)]
                })
                .collect(),
            Act::Figure(figure) => figure.marks(t),
            Act::Hand { hand, .. } => hand.marks(t),
        }
    }

    fn middle(&self, t: f32) -> (f32, f32) {
        match self {
            Act::Things { course, .. } => {
                let poses = course.poses(t);
                let sum = poses.iter().fold((0.0, 0.0), |sum, pose| (sum.0 + pose.x, sum.1 + pose.y));
                (sum.0 / poses.len() as f32, sum.1 / poses.len() as f32)
            }
            Act::Figure(figure) => figure.middle(t),
            Act::Hand { hand, .. } => hand.middle(t),
        }
    }
}

/// An object in a colour that stands out.
pub fn dressed(what: What, backdrop: &Backdrop, rng: &mut Rng) -> Sprite {
    Sprite::of(what, Paint::apart_from(&backdrop.colours(), rng))
}

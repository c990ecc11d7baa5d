//! The random course that one clip takes along a path: where its objects are at each time.
//!
//! Starts, lengths, sizes and phases are random over wide ranges, so that one frame tells little about the motion.

use super::motion::Path;
use super::raster::{Block, Pose};
use maclip_framework::random::Rng;
use std::f32::consts::{FRAC_PI_2, PI, TAU};

type Point = (f32, f32);

/// Uniform in [low, high).
pub fn between(rng: &mut Rng, low: f32, high: f32) -> f32 {
    rng.range(low as f64, high as f64) as f32
}

fn sign(rng: &mut Rng) -> f32 {
    if rng.chance(0.5) { 1.0 } else { -1.0 }
}

fn lerp(a: f32, b: f32, u: f32) -> f32 {
    a + (b - a) * u
}

/// When the motion sets in, when it ends, and how it speeds up between.
#[derive(Clone, Debug)]
pub struct Timing {
    start: f32,
    end: f32,
    power: f32,
    ease: usize,
}

impl Timing {
    pub fn draw(rng: &mut Rng) -> Self {
        Self {
            start: between(rng, 0.0, 0.15),
            end: between(rng, 0.85, 1.0),
            power: between(rng, 1.2, 1.8),
            ease: rng.below(4),
        }
    }

    /// Share of the motion that is done at time `t`.
    pub fn at(&self, t: f32) -> f32 {
        let u = ((t - self.start) / (self.end - self.start)).clamp(0.0, 1.0);
        match self.ease {
            0 => u,
            1 => u.powf(self.power),
            2 => 1.0 - (1.0 - u).powf(self.power),
            _ => u * u * (3.0 - 2.0 * u),
        }
    }
}

#[derive(Clone, Debug)]
enum Plan {
    Line {
        from: Point,
        to: Point,
        wall: Option<Block>,
    },
    Spin {
        at: Point,
        turn: f32,
    },
    Grow {
        at: Point,
        to: f32,
    },
    /// Circles have equal radii at both ends, spirals do not.
    Round {
        centre: Point,
        from: f32,
        to: f32,
        phase: f32,
        turn: f32,
    },
    Fade {
        at: Point,
        low: f32,
        high: f32,
    },
    Fall {
        corner: Point,
        side: f32,
        aspect: f32,
        floor: Block,
    },
    Pair {
        centre: Point,
        axis: f32,
        from: f32,
        to: f32,
        twins: bool,
    },
    Collide {
        centre: Point,
        axis: f32,
        near: f32,
        far: f32,
        meet: f32,
    },
    Bounce {
        x: f32,
        floor: f32,
        height: f32,
        hops: f32,
        phase: f32,
    },
    Flash {
        at: Point,
        cycles: f32,
        phase: f32,
        low: f32,
    },
    Swing {
        pivot: Point,
        length: f32,
        width: f32,
        cycles: f32,
        phase: f32,
    },
}

/// One random way to walk a path.
#[derive(Clone, Debug)]
pub struct Course {
    timing: Timing,
    radius: f32,
    angle: f32,
    /// Slow extra turning and wandering that every motion may show.
    idle_turn: f32,
    drift: Point,
    plan: Plan,
}

impl Course {
    pub fn draw(path: Path, rng: &mut Rng) -> Self {
        let timing = Timing::draw(rng);
        let mut radius = between(rng, 0.13, 0.2);
        let mut angle = between(rng, -PI, PI);
        let mut idle_turn = between(rng, -0.35, 0.35);
        let mut drift = (between(rng, -0.05, 0.05), between(rng, -0.05, 0.05));
        let at = (between(rng, 0.28, 0.72), between(rng, 0.28, 0.72));
        let near_middle = (between(rng, 0.42, 0.58), between(rng, 0.42, 0.58));
        let plan = match path {
            Path::Across | Path::Rise => {
                let length = between(rng, 0.35, 0.75);
                let margin = radius.min((1.0 - length) / 2.0);
                let start = between(rng, margin, 1.0 - margin - length);
                let aside = between(rng, radius, 1.0 - radius);
                let slant = aside + between(rng, -0.07, 0.07);
                if path == Path::Across {
                    Plan::Line { from: (start, aside), to: (start + length, slant), wall: None }
                } else {
                    Plan::Line { from: (aside, start + length), to: (slant, start), wall: None }
                }
            }
            Path::Spin => {
                idle_turn = 0.0;
                Plan::Spin { at, turn: TAU * between(rng, 0.35, 0.7) }
            }
            Path::Grow => {
                radius = between(rng, 0.07, 0.12);
                Plan::Grow { at, to: radius * between(rng, 1.8, 2.7) }
            }
            Path::Circle => {
                let round = between(rng, 0.2, 0.31);
                radius = radius.min(0.16);
                let (phase, turn) = (between(rng, 0.0, TAU), TAU * between(rng, 0.65, 1.1));
                Plan::Round { centre: near_middle, from: round, to: round, phase, turn }
            }
            Path::Spiral => {
                radius = radius.min(0.15);
                let (phase, turn) = (between(rng, 0.0, TAU), sign(rng) * TAU * between(rng, 1.0, 1.4));
                let (from, to) = (between(rng, 0.31, 0.39), between(rng, 0.02, 0.06));
                Plan::Round { centre: near_middle, from, to, phase, turn }
            }
            Path::Fade => Plan::Fade { at, low: between(rng, 0.0, 0.1), high: between(rng, 0.85, 1.0) },
            Path::Fall => {
                // The thing stands upright on a floor and tips over the corner of its foot.
                (angle, idle_turn, drift) = (0.0, 0.0, (0.0, 0.0));
                radius = between(rng, 0.17, 0.24);
                let (aspect, side) = (between(rng, 0.55, 0.7), sign(rng));
                let bottom = between(rng, 0.6, 0.88);
                let corner = (0.5 + side * between(rng, -0.22, 0.12), bottom);
                let floor = Block { left: -0.2, top: bottom, right: 1.2, bottom: bottom + between(rng, 0.05, 0.1) };
                Plan::Fall { corner, side, aspect, floor }
            }
            Path::Hide => {
                radius = between(rng, 0.11, 0.15);
                drift = (0.0, 0.0);
                let half = radius + between(rng, 0.04, 0.08);
                let travel = half + radius + between(rng, 0.04, 0.16);
                let (middle, y) = (between(rng, travel + radius * 0.7, 1.0 - half * 0.6), between(rng, 0.25, 0.75));
                let top = between(rng, -0.1, y - radius - 0.06).max(-0.1);
                let wall = Block { left: middle - half, top, right: middle + half, bottom: 1.1 };
                let (from, to) = ((middle - travel, y + between(rng, -0.04, 0.04)), (middle, y));
                if rng.chance(0.5) {
                    Plan::Line { from, to, wall: Some(wall) }
                } else {
                    let wall = Block { left: 1.0 - wall.right, right: 1.0 - wall.left, ..wall };
                    Plan::Line { from: (1.0 - from.0, from.1), to: (1.0 - to.0, to.1), wall: Some(wall) }
                }
            }
            Path::Approach | Path::Collide | Path::Divide => {
                radius = between(rng, 0.11, 0.15);
                let axis = between(rng, -PI, PI);
                let far = between(rng, 0.3, 0.38);
                let near = radius * between(rng, 0.95, 1.1);
                let meet = between(rng, 0.4, 0.6);
                match path {
                    Path::Approach => Plan::Pair { centre: near_middle, axis, from: far, to: near, twins: false },
                    Path::Divide => Plan::Pair { centre: near_middle, axis, from: 0.0, to: far * 0.9, twins: true },
                    _ => Plan::Collide { centre: near_middle, axis, near, far, meet },
                }
            }
            Path::Bounce => Plan::Bounce {
                x: at.0,
                floor: between(rng, 0.68, 0.9) - radius * 0.5,
                height: between(rng, 0.3, 0.45),
                hops: between(rng, 1.5, 2.4),
                phase: between(rng, 0.0, 1.0),
            },
            Path::Flash => Plan::Flash {
                at,
                cycles: between(rng, 1.8, 3.0),
                phase: between(rng, 0.0, TAU),
                low: between(rng, 0.0, 0.1),
            },
            Path::Swing => Plan::Swing {
                pivot: (between(rng, 0.4, 0.6), between(rng, -0.1, 0.15)),
                length: between(rng, 0.45, 0.6),
                width: between(rng, 0.55, 0.95),
                cycles: between(rng, 1.0, 1.8),
                phase: between(rng, 0.0, TAU),
            },
        };
        Self { timing, radius, angle, idle_turn, drift, plan }
    }

    /// True where two objects come out of one and must look alike.
    pub fn twins(&self) -> bool {
        matches!(self.plan, Plan::Pair { twins: true, .. })
    }

    /// Where the objects (one or two) are at time `t` of 0..=1.
    pub fn poses(&self, t: f32) -> Vec<Pose> {
        let u = self.timing.at(t);
        let still = Pose {
            x: self.drift.0 * (t - 0.5),
            y: self.drift.1 * (t - 0.5),
            radius: self.radius,
            angle: self.angle + self.idle_turn * t,
            aspect: 1.0,
            alpha: 1.0,
        };
        let moved = |(x, y): Point| Pose { x: still.x + x, y: still.y + y, ..still };
        let pair = |centre: Point, axis: f32, half: f32, other_angle: f32| {
            let (dx, dy) = (axis.cos() * half, axis.sin() * half);
            let second = moved((centre.0 - dx, centre.1 - dy));
            vec![moved((centre.0 + dx, centre.1 + dy)), Pose { angle: second.angle + other_angle, ..second }]
        };
        match self.plan {
            Plan::Line { from, to, .. } => vec![moved((lerp(from.0, to.0, u), lerp(from.1, to.1, u)))],
            Plan::Spin { at, turn } => vec![Pose { angle: self.angle + turn * u, ..moved(at) }],
            Plan::Grow { at, to } => vec![Pose { radius: lerp(self.radius, to, u), ..moved(at) }],
            Plan::Round { centre, from, to, phase, turn } => {
                let (round, along) = (lerp(from, to, u), phase + turn * u);
                vec![moved((centre.0 + along.cos() * round, centre.1 + along.sin() * round))]
            }
            Plan::Fade { at, low, high } => vec![Pose { alpha: lerp(low, high, u), ..moved(at) }],
            Plan::Fall { corner, side, aspect, .. } => {
                let turn = side * FRAC_PI_2 * u.powf(1.5);
                let (sin, cos) = turn.sin_cos();
                let (dx, dy) = (-side * aspect * self.radius, -self.radius);
                let centre = (corner.0 + dx * cos - dy * sin, corner.1 + dx * sin + dy * cos);
                vec![Pose { angle: turn, aspect, ..moved(centre) }]
            }
            Plan::Pair { centre, axis, from, to, twins } => {
                pair(centre, axis, lerp(from, to, u), if twins { 0.0 } else { PI + self.angle })
            }
            Plan::Collide { centre, axis, near, far, meet } => {
                let away = (t - meet).abs() / meet.max(1.0 - meet);
                pair(centre, axis, lerp(near, far, away), PI + self.angle)
            }
            Plan::Bounce { x, floor, height, hops, phase } => {
                let hop = (hops * t + phase).fract();
                vec![moved((x, floor - height * 4.0 * hop * (1.0 - hop)))]
            }
            Plan::Flash { at, cycles, phase, low } => {
                let wave = 0.5 + 0.5 * (phase + TAU * cycles * t).cos();
                vec![Pose { alpha: lerp(low, 1.0, wave), ..moved(at) }]
            }
            Plan::Swing { pivot, length, width, cycles, phase } => {
                let swing = width * (phase + TAU * cycles * t).sin();
                let bob = moved((pivot.0 + length * swing.sin(), pivot.1 + length * swing.cos()));
                vec![Pose { angle: self.angle - swing, ..bob }]
            }
        }
    }

    /// The wall or floor that belongs to the motion; it is drawn over the objects.
    pub fn block(&self) -> Option<Block> {
        match self.plan {
            Plan::Line { wall, .. } => wall,
            Plan::Fall { floor, .. } => Some(floor),
            _ => None,
        }
    }
}

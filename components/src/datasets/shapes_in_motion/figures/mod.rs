//! Articulated figures: people of many looks, seen from four sides, who do something.

mod actions;
mod body;
mod props;
mod scripts;

pub use actions::{Action, Facing};
pub use props::{Held, Prop};

use super::backdrop::Backdrop;
use super::colour::{Colour, mix};
use super::course::{Timing, between};
use super::objects::What;
use super::palette::{Paint, SKINS};
use super::raster::{Canvas, Pose as Placed, Sprite};
use body::{Build, Joints, Seen, joints};
use maclip_framework::random::Rng;
use props::Props;
use scripts::Script;

/// How a figure is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Thin lines of one colour.
    Stick,
    /// Thin lines, every limb of another colour.
    Coloured,
    /// Thick limbs in clothes.
    Dressed,
    /// Thick limbs of one colour.
    Silhouette,
}

/// Colours and proportions of a figure.
#[derive(Clone, Debug)]
pub struct Look {
    pub style: Style,
    /// The colour that a caption names: of the lines, or of the shirt.
    pub paint: Paint,
    build: Build,
    /// Half the width of an arm, in body heights.
    thickness: f32,
    skin: Colour,
    hair: Colour,
    trousers: Colour,
    shoes: Colour,
    /// Left arm, right arm, left leg, right leg.
    limbs: [Colour; 4],
    prop: Colour,
}

const HAIRS: [Colour; 5] =
    [[0.1, 0.08, 0.07], [0.3, 0.19, 0.1], [0.55, 0.36, 0.16], [0.88, 0.74, 0.4], [0.62, 0.62, 0.62]];

impl Look {
    pub fn draw(backdrop: &Backdrop, rng: &mut Rng) -> Self {
        let style = match rng.below(10) {
            0 => Style::Stick,
            1 | 2 => Style::Coloured,
            3 => Style::Silhouette,
            _ => Style::Dressed,
        };
        let mut taken = backdrop.colours().to_vec();
        let paint = Paint::apart_from(&taken, rng);
        taken.push(paint.colour);
        let mut next = || {
            let colour = Paint::apart_from(&backdrop.colours(), rng).colour;
            if style == Style::Coloured || style == Style::Dressed { colour } else { paint.colour }
        };
        let limbs = [next(), next(), next(), next()];
        let trousers = next();
        let prop = Paint::apart_from(&taken, rng).colour;
        // Some have large heads and short limbs, as in cartoons and small pictures for games.
        let head = if rng.chance(0.4) { between(rng, 0.1, 0.145) } else { between(rng, 0.06, 0.09) };
        let rest = 0.93 - 2.0 * head;
        let thin = matches!(style, Style::Stick | Style::Coloured);
        let thickness = if thin { between(rng, 0.014, 0.026) } else { between(rng, 0.03, 0.052) };
        let shoulders = if thin { between(rng, 0.02, 0.1) } else { between(rng, 0.085, 0.115) };
        let build = Build {
            thigh: rest * between(rng, 0.28, 0.31),
            trunk: rest * between(rng, 0.38, 0.42),
            arm: rest * between(rng, 0.19, 0.215),
            head,
            shoulders,
            hips: shoulders * 0.5,
        };
        let (skin, hair) = (*rng.pick(&SKINS), *rng.pick(&HAIRS));
        let shoes = mix(trousers, [0.0; 3], 0.6);
        Self { style, paint, build, thickness, skin, hair, trousers, shoes, limbs, prop }
    }
}

/// One figure in one clip.
#[derive(Clone, Debug)]
pub struct Figure {
    pub action: Action,
    pub facing: Facing,
    pub look: Look,
    /// What it carries beside its action.
    pub carried: Option<Prop>,
    /// Turn away from the exact facing, in degrees.
    askew: f32,
    /// Height in shares of the frame, and the point on the ground in the middle of the way.
    height: f32,
    ground: (f32, f32),
    timing: Timing,
    cycles: f32,
    phase: f32,
    /// Left-handed.
    mirrored: bool,
}

/// What one part of a figure is drawn as.
enum Part {
    Limb { from: Seen, to: Seen, radii: (f32, f32), colour: Colour },
    Thing { at: Seen, radius: f32, angle: f32, aspect: f32, what: What, colour: Colour },
}

impl Figure {
    pub fn draw(
        action: Action,
        facing: Option<Facing>,
        carried: Option<Prop>,
        backdrop: &Backdrop,
        rng: &mut Rng,
    ) -> Self {
        let script = action.script();
        let drawn = *rng.pick(script.facings);
        let look = Look::draw(backdrop, rng);
        let height = between(rng, 0.5, 0.92);
        let (low, high) = (0.12 + height, 0.97_f32);
        let foot = between(rng, low.min(high - 0.02), high);
        Self {
            action,
            facing: facing.unwrap_or(drawn),
            look,
            carried,
            askew: between(rng, -24.0, 24.0),
            height,
            ground: (between(rng, 0.36, 0.64), foot),
            timing: Timing::draw(rng),
            cycles: between(rng, script.cycles.0, script.cycles.1 + 1e-3),
            phase: rng.unit() as f32,
            mirrored: rng.chance(0.3),
        }
    }

    /// Where the figure is: middle of the body, in shares of the frame.
    pub fn middle(&self, t: f32) -> (f32, f32) {
        let (x, y, height) = self.stand(&self.action.script(), t);
        (x, y - height * 0.5)
    }

    /// Phase of the action at time `t`, and how much of the whole way is done.
    fn progress(&self, script: &Script, t: f32) -> (f32, f32) {
        match script.cycles {
            (1.0, 1.0) => (self.timing.at(t), self.timing.at(t)),
            _ => ((self.phase + self.cycles * t).fract(), t),
        }
    }

    /// The point on the ground below the body, and the height, at time `t`.
    fn stand(&self, script: &Script, t: f32) -> (f32, f32, f32) {
        let (x, y) = self.ground;
        let way = script.way * self.cycles * (self.progress(script, t).1 - 0.5);
        let (sin, cos) = self.facing.degrees().to_radians().sin_cos();
        // A camera that follows keeps most of a long way in the frame.
        let fits = (0.62 / (script.way * self.cycles * self.height).abs().max(0.62)).min(1.0);
        let nearer = (1.0 + 0.28 * sin * way).clamp(0.6, 1.5);
        (x + cos * way * self.height * fits, y + 0.05 * sin * way, self.height * nearer)
    }

    /// Joints at time `t`.
    fn joints(&self, script: &Script, phase: f32) -> (Joints, f32) {
        let mut pose = script.pose(phase);
        if self.mirrored && self.carried.is_none() && script.prop.is_none() {
            pose = pose.mirrored();
        }
        let facing = self.facing.degrees() + self.askew;
        let mut joints = joints(&pose, &self.look.build, facing);
        // A cartwheel goes sideways.
        if pose.way != 0.0 {
            let shift = (pose.way - 0.5) * 0.7 * if self.mirrored { -1.0 } else { 1.0 };
            joints.shift(shift);
        }
        (joints, facing)
    }

    /// Points that move, for traces: hands, feet and head.
    pub fn marks(&self, t: f32) -> Vec<(f32, f32)> {
        let script = self.action.script();
        let (phase, _) = self.progress(&script, t);
        let (joints, _) = self.joints(&script, phase);
        let (x, y, height) = self.stand(&script, t);
        let all = joints.hands.into_iter().chain(joints.feet).chain([joints.head]);
        all.map(|seen| (x + seen.x * height, y + seen.y * height)).collect()
    }

    /// Lays the figure over the picture.
    pub fn paint(&self, canvas: &mut Canvas, t: f32) {
        let script = self.action.script();
        let (phase, _) = self.progress(&script, t);
        let (joints, facing) = self.joints(&script, phase);
        let (x, y, height) = self.stand(&script, t);
        let mut parts = self.body(&joints, facing);
        let (sin, cos) = facing.to_radians().sin_cos();
        let mut props = Props { figure: self, script: &script, phase, joints: &joints, sin, cos, parts: &mut parts };
        script.prop.into_iter().chain(self.carried).for_each(|prop| props.add(prop));
        parts.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let at = |seen: &Seen| (x + seen.x * height, y + seen.y * height);
        for (_, part) in &parts {
            match part {
                Part::Limb { from, to, radii, colour } => {
                    canvas.limb(at(from), at(to), (radii.0 * height, radii.1 * height), *colour);
                }
                Part::Thing { at: seen, radius, angle, aspect, what, colour } => {
                    let (x, y) = at(seen);
                    let pose = Placed { x, y, radius: radius * height, angle: *angle, aspect: *aspect, alpha: 1.0 };
                    let sprite = Sprite::plain(*what, *colour);
                    canvas.draw(&sprite, &pose);
                }
            }
        }
    }

    /// Trunk, limbs and head with their depths.
    fn body(&self, joints: &Joints, facing: f32) -> Vec<(f32, Part)> {
        let look = &self.look;
        let (style, width) = (look.style, look.thickness);
        let main = look.paint.colour;
        let mut parts = Vec::new();
        let far = |colour: Colour, near: f32| if near < -0.02 { mix(colour, [0.0; 3], 0.22) } else { colour };
        let mut line = |from: Seen, to: Seen, radii: (f32, f32), colour: Colour, bias: f32| {
            let depth = (from.near + to.near) / 2.0 + bias;
            parts.push((depth, Part::Limb { from, to, radii, colour: far(colour, depth) }));
        };
        let dressed = style == Style::Dressed;
        for side in 0..2 {
            let (arm, leg) = match style {
                Style::Coloured => (look.limbs[side], look.limbs[2 + side]),
                Style::Dressed => (main, look.trousers),
                _ => (main, main),
            };
            let hand = if dressed { look.skin } else { arm };
            let foot = if dressed { look.shoes } else { leg };
            line(joints.shoulders[side], joints.elbows[side], (width, width * 0.9), arm, 0.012);
            line(
                joints.elbows[side],
                joints.hands[side],
                (width * 0.9, width * 0.75),
                if dressed { mix(arm, look.skin, 0.5) } else { arm },
                0.02,
            );
            line(joints.hands[side], joints.hands[side], (width * 1.15, width * 1.15), hand, 0.03);
            line(joints.hips[side], joints.knees[side], (width * 1.25, width * 1.1), leg, 0.0);
            line(joints.knees[side], joints.feet[side], (width * 1.1, width * 0.9), leg, 0.002);
            let toe = {
                let (sin, cos) = facing.to_radians().sin_cos();
                let foot = joints.feet[side];
                Seen { x: foot.x + cos * 0.05, y: foot.y - 0.005 + 0.015 * sin.max(0.0), near: foot.near + 0.05 * sin }
            };
            line(joints.feet[side], toe, (width, width * 0.9), foot, 0.004);
        }
        let trunk = match style {
            Style::Dressed | Style::Silhouette => width * 1.9,
            _ => width,
        };
        let colour = if style == Style::Coloured { mix(main, [1.0; 3], 0.5) } else { main };
        line(joints.shoulders[0], joints.shoulders[1], (width * 1.1, width * 1.1), colour, 0.004);
        line(
            joints.hips[0],
            joints.hips[1],
            (width * 1.3, width * 1.3),
            if dressed { look.trousers } else { colour },
            0.003,
        );
        let chest = Seen { y: joints.neck.y + trunk * 0.5 * (joints.pelvis.y - joints.neck.y).signum(), ..joints.neck };
        line(joints.pelvis, chest, (trunk * 0.9, trunk), colour, 0.005);
        line(joints.neck, joints.head, (width * 0.8, width * 0.8), if dressed { look.skin } else { colour }, 0.006);
        let head = look.build.head;
        let crown = joints.head;
        let (sin, cos) = facing.to_radians().sin_cos();
        match style {
            Style::Dressed => {
                line(crown, crown, (head, head), look.hair, 0.03);
                if sin > -0.6 {
                    let face = Seen { x: crown.x + cos * head * 0.32, y: crown.y + head * 0.2, near: crown.near };
                    line(face, face, (head * 0.8, head * 0.8), look.skin, 0.031);
                }
            }
            _ => line(crown, crown, (head, head), colour, 0.03),
        }
        parts
    }
}

impl Joints {
    /// Moves all joints to the right by `x`.
    fn shift(&mut self, x: f32) {
        let lists =
            [&mut self.shoulders, &mut self.elbows, &mut self.hands, &mut self.hips, &mut self.knees, &mut self.feet];
        let all = lists.into_iter().flatten().chain([&mut self.pelvis, &mut self.neck, &mut self.head]);
        all.for_each(|seen| seen.x += x);
    }
}

//! Articulated figures: people of many looks, seen from four sides, who do something.

mod actions;
mod body;

pub use actions::{Action, Facing, Held, Prop};

use super::backdrop::Backdrop;
use super::colour::{Colour, mix};
use super::course::{Timing, between};
use super::objects::{Shape, Texture, What};
use super::palette::Paint;
use super::raster::{Canvas, Pose as Placed, Sprite};
use actions::{Flight, Script};
use body::{Build, Joints, Seen, joints};
use maclip_framework::random::Rng;

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

const SKINS: [Colour; 5] =
    [[0.98, 0.85, 0.72], [0.92, 0.74, 0.58], [0.78, 0.58, 0.42], [0.55, 0.38, 0.26], [0.36, 0.24, 0.17]];
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

const BOX: What = What::new(Texture::Plain, Shape::Square);
const BALL: What = What::new(Texture::Plain, Shape::Disc);
const CUP: What = What::new(Texture::Plain, Shape::Cup);

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
        let height = between(rng, 0.48, 0.8);
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
        for prop in script.prop.into_iter().chain(self.carried) {
            self.prop(prop, &script, phase, &joints, facing, &mut parts);
        }
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

    /// What is held, or stands there for the action.
    fn prop(
        &self,
        prop: Prop,
        script: &Script,
        phase: f32,
        joints: &Joints,
        facing: f32,
        parts: &mut Vec<(f32, Part)>,
    ) {
        let colour = self.look.prop;
        let (sin, cos) = facing.to_radians().sin_cos();
        let [left, right] = joints.hands;
        let middle = Seen { x: (left.x + right.x) / 2.0, y: (left.y + right.y) / 2.0, near: left.near.max(right.near) };
        let beyond = |from: Seen, to: Seen, length: f32| {
            let (dx, dy) = (to.x - from.x, to.y - from.y);
            let scale = length / (dx * dx + dy * dy).sqrt().max(0.05);
            Seen { x: to.x + dx * scale, y: to.y + dy * scale, near: to.near }
        };
        let mut line = |from: Seen, to: Seen, radius: f32, depth: f32, colour: Colour| {
            parts.push((depth, Part::Limb { from, to, radii: (radius, radius), colour }));
        };
        match prop {
            Prop::Stick => {
                let end = beyond(joints.elbows[1], right, 0.38);
                line(beyond(joints.elbows[1], right, -0.08), end, 0.016, right.near + 0.015, colour);
            }
            Prop::Flag => {
                let pole = Seen { x: right.x, y: right.y - 0.42, near: right.near };
                line(Seen { y: right.y + 0.06, ..right }, pole, 0.012, right.near + 0.015, [0.5, 0.4, 0.3]);
                let cloth = Seen { x: pole.x - 0.1 * if cos < 0.0 { -1.0 } else { 1.0 }, y: pole.y + 0.07, ..pole };
                parts.push((
                    right.near + 0.014,
                    Part::Thing { at: cloth, radius: 0.12, angle: 0.0, aspect: 1.0, what: BOX, colour },
                ));
            }
            Prop::Club => {
                let shoulders = Seen {
                    x: (joints.shoulders[0].x + joints.shoulders[1].x) / 2.0,
                    y: (joints.shoulders[0].y + joints.shoulders[1].y) / 2.0,
                    near: 0.0,
                };
                let end = beyond(shoulders, middle, 0.36);
                line(middle, end, 0.013, middle.near + 0.015, colour);
                line(end, Seen { x: end.x + 0.04, ..end }, 0.02, middle.near + 0.015, colour);
            }
            Prop::Bow => {
                // Tips above and below the left hand, and a string to the right one.
                let tips = [-0.24, 0.24].map(|y| Seen { x: left.x - cos * 0.09, y: left.y + y, near: left.near });
                for tip in tips {
                    let belly =
                        Seen { x: (left.x + tip.x) / 2.0 + cos * 0.03, y: (left.y + tip.y) / 2.0, near: left.near };
                    line(left, belly, 0.015, left.near + 0.02, colour);
                    line(belly, tip, 0.013, left.near + 0.02, colour);
                    line(tip, if phase < 0.68 { right } else { left }, 0.006, left.near + 0.018, [0.85; 3]);
                }
                if phase < 0.68 {
                    line(
                        right,
                        Seen { x: left.x + cos * 0.12, ..left },
                        0.008,
                        left.near + 0.019,
                        mix(colour, [0.0; 3], 0.4),
                    );
                }
            }
            Prop::Oar => {
                let fore = Seen { x: middle.x + cos * 0.34, y: middle.y + 0.22, near: middle.near };
                line(Seen { x: middle.x - cos * 0.1, y: middle.y - 0.06, near: middle.near }, fore, 0.016, 0.3, colour);
                line(fore, Seen { x: fore.x + cos * 0.07, y: fore.y + 0.05, ..fore }, 0.035, 0.3, colour);
            }
            Prop::Barbell => {
                let (from, to) = (beyond(left, right, 0.14), beyond(right, left, 0.14));
                let wide = (from.x - to.x).abs() < 0.3;
                let (from, to) = if wide {
                    (
                        Seen { x: middle.x - 0.16 - 0.14 * sin.abs(), y: middle.y, ..from },
                        Seen { x: middle.x + 0.16 + 0.14 * sin.abs(), y: middle.y, ..to },
                    )
                } else {
                    (from, to)
                };
                line(from, to, 0.013, middle.near + 0.02, [0.55; 3]);
                for end in [from, to] {
                    let half = |y: f32| Seen { y: end.y + y, ..end };
                    line(half(-0.06), half(0.06), 0.03, middle.near + 0.03, colour);
                }
            }
            Prop::Bar => {
                let y = -1.36 * (1.0 - 2.0 * self.look.build.head) * 0.86;
                let y = y.min(joints.hands[0].y.min(joints.hands[1].y));
                let end = |x: f32| Seen { x, y, near: 0.0 };
                line(end(-0.45), end(0.45), 0.018, right.near.max(left.near) - 0.005, colour);
            }
            Prop::Ladder => {
                let x = cos * 0.2;
                for side in [-0.13, 0.13] {
                    let post = |y: f32| Seen { x: x + side * sin.abs().max(0.35), y, near: 0.0 };
                    line(post(0.0), post(-1.6), 0.014, -0.5 * sin.abs() - 0.12, colour);
                }
                for rung in 0..9 {
                    let at = |side: f32| Seen {
                        x: x + side * sin.abs().max(0.35),
                        y: -0.08 - 0.18 * rung as f32,
                        near: 0.0,
                    };
                    line(at(-0.13), at(0.13), 0.011, -0.5 * sin.abs() - 0.12, colour);
                }
            }
            Prop::Chair => {
                let seat = -self.look.build.thigh + 0.02;
                let (back, front) = (-0.22 * cos - 0.1 * sin.abs(), 0.04 * cos + 0.1 * sin.abs());
                let at = |x: f32, y: f32| Seen { x, y, near: 0.0 };
                let depth = if sin > 0.3 { -0.2 } else { -0.1 };
                line(at(back, seat), at(front, seat), 0.022, depth, colour);
                line(at(back, seat), at(back, 0.0), 0.016, depth, colour);
                line(at(front, seat), at(front, 0.0), 0.016, depth, colour);
                line(at(back, seat), at(back - 0.03 * cos, seat - 0.3), 0.018, depth, colour);
                if sin.abs() > 0.5 {
                    line(at(front, seat), at(front, seat - 0.3), 0.018, depth, colour);
                    line(at(back, seat - 0.3), at(front, seat - 0.3), 0.018, depth, colour);
                }
            }
            Prop::Cup | Prop::Jug => {
                let pouring = prop == Prop::Jug && (0.25..0.88).contains(&phase);
                let tip = if pouring { 1.5 } else { 0.0 } * if cos < 0.0 { -1.0 } else { 1.0 };
                let hand = if prop == Prop::Jug { 0.07 } else { 0.05 };
                let at = Seen { x: right.x + 0.03 * cos, ..right };
                let angle = if prop == Prop::Cup && (0.25..0.8).contains(&phase) { -0.9 * cos } else { tip };
                parts
                    .push((right.near + 0.03, Part::Thing { at, radius: hand, angle, aspect: 1.0, what: CUP, colour }));
                if pouring {
                    let water = [0.35, 0.6, 0.95];
                    let spout = Seen { x: at.x + 0.07 * cos.signum(), y: at.y + 0.03, near: at.near };
                    let down = Seen { y: left.y.max(spout.y + 0.1), ..spout };
                    parts.push((
                        right.near + 0.02,
                        Part::Limb { from: spout, to: down, radii: (0.01, 0.014), colour: water },
                    ));
                }
                if prop == Prop::Jug {
                    let at = Seen { x: left.x + 0.04 * cos, ..left };
                    parts.push((
                        left.near + 0.03,
                        Part::Thing {
                            at,
                            radius: 0.05,
                            angle: 0.0,
                            aspect: 1.0,
                            what: CUP,
                            colour: self.look.paint.colour,
                        },
                    ));
                }
            }
            Prop::Box(when) => {
                let held = when.at(phase);
                let rest = Seen { x: 0.3 * cos, y: -0.09, near: 0.3 };
                let at = if held {
                    Seen { x: middle.x + 0.05 * cos, y: middle.y.min(-0.09), near: middle.near }
                } else {
                    rest
                };
                parts.push((
                    at.near + 0.02 + 0.2 * sin,
                    Part::Thing { at, radius: 0.12, angle: 0.0, aspect: 1.0, what: BOX, colour },
                ));
            }
            Prop::Crate => {
                let at = Seen { x: middle.x + 0.2 * cos, y: -0.21, near: 0.0 };
                parts.push((
                    -0.05,
                    Part::Thing {
                        at,
                        radius: 0.27,
                        angle: 0.0,
                        aspect: 1.0,
                        what: What::new(Texture::Striped, Shape::Square),
                        colour,
                    },
                ));
            }
            Prop::Ball(flight) => {
                let flying = |start: Seen, share: f32, reach: f32, drop: f32| Seen {
                    x: start.x + cos * reach * share,
                    y: (start.y - 0.3 * share + drop * share * share).min(-0.05),
                    near: start.near + sin * share,
                };
                let (at, size) = match flight {
                    Flight::Thrown if phase < 0.46 => (right, 1.0),
                    Flight::Thrown => {
                        let share = (phase - 0.46) / 0.54;
                        let (held, _) = self.joints(script, 0.46);
                        (flying(held.hands[1], share, 1.5, 0.8), 1.0 + 0.7 * sin * share)
                    }
                    Flight::Caught if phase > 0.45 => (middle, 1.0),
                    Flight::Caught => {
                        let share = (0.45 - phase) / 0.45;
                        let (held, _) = self.joints(script, 0.45);
                        (flying(held.hands[1], share, 1.5, 0.5), 1.0 + 0.7 * sin * share)
                    }
                    Flight::Kicked => {
                        let share = ((phase - 0.45) / 0.55).max(0.0);
                        let start = Seen { x: 0.2 * cos, y: -0.06, near: 0.2 * sin };
                        (flying(start, share, 1.6, -0.2), 1.0 + 0.7 * sin * share)
                    }
                    Flight::Dribbled => {
                        let down = (std::f32::consts::PI * phase).sin();
                        (Seen { y: right.y + (-0.06 - right.y) * down, ..right }, 1.0)
                    }
                };
                let radius = 0.07 * size.clamp(0.5, 1.8);
                parts.push((at.near + 0.04, Part::Thing { at, radius, angle: 0.0, aspect: 1.0, what: BALL, colour }));
            }
        }
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

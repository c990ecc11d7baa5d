//! What figures hold in their hands, and what stands there for what they do.

use super::body::{Joints, Seen};
use super::scripts::Script;
use super::{Figure, Part};
use crate::datasets::shapes_in_motion::colour::{Colour, mix};
use crate::datasets::shapes_in_motion::objects::{Shape, Texture, What};

/// What an action needs to be done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prop {
    /// In the right hand, in line with the forearm.
    Stick,
    /// In both hands.
    Club,
    Bow,
    /// In the right hand.
    Cup,
    Jug,
    /// Between both hands.
    Box(Held),
    Barbell,
    Ball(Flight),
    Chair,
    Bar,
    Ladder,
    /// A large box before the body, at the hands.
    Crate,
    Oar,
    /// In the right hand.
    Flag,
}

/// When something is in the hands, and not on the ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Held {
    Always,
    /// Until it is put down.
    AtFirst,
    /// Since it was picked up.
    AtLast,
}

impl Held {
    /// Whether it is held at this phase of the action.
    pub fn at(self, phase: f32) -> bool {
        match self {
            Held::Always => true,
            Held::AtFirst => phase < 0.56,
            Held::AtLast => phase > 0.44,
        }
    }
}

/// The way of a ball.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flight {
    /// In the right hand until it is thrown.
    Thrown,
    /// Flies towards the hands and stays there.
    Caught,
    /// On the ground until the right foot meets it.
    Kicked,
    /// Up and down between the right hand and the ground.
    Dribbled,
}

impl Prop {
    /// What somebody may carry on the way.
    pub const CARRIED: [Prop; 4] = [Prop::Stick, Prop::Cup, Prop::Box(Held::Always), Prop::Flag];

    /// "with a stick", of what may be carried. Other things are in the words of their actions.
    pub fn phrase(self) -> Option<&'static str> {
        match self {
            Prop::Stick => Some("with a stick"),
            Prop::Cup => Some("with a cup"),
            Prop::Box(_) => Some("with a box"),
            Prop::Flag => Some("with a flag"),
            _ => None,
        }
    }
}

const BOX: What = What::new(Texture::Plain, Shape::Square);
const CRATE: What = What::new(Texture::Striped, Shape::Square);
const BALL: What = What::new(Texture::Plain, Shape::Disc);
const CUP: What = What::new(Texture::Plain, Shape::Cup);

/// The parts of one prop in the hands of one figure at one moment.
pub struct Props<'a> {
    pub figure: &'a Figure,
    pub script: &'a Script,
    pub phase: f32,
    pub joints: &'a Joints,
    /// Sine and cosine of the facing: towards the viewer, and to the right.
    pub sin: f32,
    pub cos: f32,
    /// What is drawn, each with its depth.
    pub parts: &'a mut Vec<(f32, Part)>,
}

/// The point `length` beyond `to` on the line from `from`.
fn beyond(from: Seen, to: Seen, length: f32) -> Seen {
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    let scale = length / (dx * dx + dy * dy).sqrt().max(0.05);
    Seen { x: to.x + dx * scale, y: to.y + dy * scale, near: to.near }
}

impl Props<'_> {
    pub fn add(&mut self, prop: Prop) {
        match prop {
            Prop::Stick => self.stick(),
            Prop::Flag => self.flag(),
            Prop::Club => self.club(),
            Prop::Bow => self.bow(),
            Prop::Oar => self.oar(),
            Prop::Barbell => self.barbell(),
            Prop::Bar => self.bar(),
            Prop::Ladder => self.ladder(),
            Prop::Chair => self.chair(),
            Prop::Cup => self.cup(),
            Prop::Jug => self.jug(),
            Prop::Box(held) => self.carton(held),
            Prop::Crate => self.crate_before_it(),
            Prop::Ball(flight) => self.ball(flight),
        }
    }

    fn colour(&self) -> Colour {
        self.figure.look.prop
    }

    fn left(&self) -> Seen {
        self.joints.hands[0]
    }

    fn right(&self) -> Seen {
        self.joints.hands[1]
    }

    /// Between the hands.
    fn middle(&self) -> Seen {
        let (left, right) = (self.left(), self.right());
        Seen { x: (left.x + right.x) / 2.0, y: (left.y + right.y) / 2.0, near: left.near.max(right.near) }
    }

    fn line(&mut self, from: Seen, to: Seen, radius: f32, depth: f32, colour: Colour) {
        self.parts.push((depth, Part::Limb { from, to, radii: (radius, radius), colour }));
    }

    fn thing(&mut self, at: Seen, radius: f32, angle: f32, depth: f32, what: What, colour: Colour) {
        self.parts.push((depth, Part::Thing { at, radius, angle, aspect: 1.0, what, colour }));
    }

    fn stick(&mut self) {
        let (elbow, hand) = (self.joints.elbows[1], self.right());
        self.line(beyond(elbow, hand, -0.08), beyond(elbow, hand, 0.38), 0.016, hand.near + 0.015, self.colour());
    }

    fn flag(&mut self) {
        let hand = self.right();
        let top = Seen { y: hand.y - 0.42, ..hand };
        self.line(Seen { y: hand.y + 0.06, ..hand }, top, 0.012, hand.near + 0.015, [0.5, 0.4, 0.3]);
        let back = if self.cos < 0.0 { -1.0 } else { 1.0 };
        let cloth = Seen { x: top.x - 0.1 * back, y: top.y + 0.07, ..top };
        self.thing(cloth, 0.12, 0.0, hand.near + 0.014, BOX, self.colour());
    }

    fn club(&mut self) {
        let [left, right] = self.joints.shoulders;
        let shoulders = Seen { x: (left.x + right.x) / 2.0, y: (left.y + right.y) / 2.0, near: 0.0 };
        let (grip, depth) = (self.middle(), self.middle().near + 0.015);
        let end = beyond(shoulders, grip, 0.36);
        self.line(grip, end, 0.013, depth, self.colour());
        self.line(end, Seen { x: end.x + 0.04, ..end }, 0.02, depth, self.colour());
    }

    /// Tips above and below the left hand, and a string to the right one until it is let go.
    fn bow(&mut self) {
        let (left, right, colour, drawn) = (self.left(), self.right(), self.colour(), self.phase < 0.68);
        for y in [-0.24, 0.24] {
            let tip = Seen { x: left.x - self.cos * 0.09, y: left.y + y, near: left.near };
            let belly =
                Seen { x: (left.x + tip.x) / 2.0 + self.cos * 0.03, y: (left.y + tip.y) / 2.0, near: left.near };
            self.line(left, belly, 0.015, left.near + 0.02, colour);
            self.line(belly, tip, 0.013, left.near + 0.02, colour);
            self.line(tip, if drawn { right } else { left }, 0.006, left.near + 0.018, [0.85; 3]);
        }
        if drawn {
            let point = Seen { x: left.x + self.cos * 0.12, ..left };
            self.line(right, point, 0.008, left.near + 0.019, mix(colour, [0.0; 3], 0.4));
        }
    }

    fn oar(&mut self) {
        let grip = self.middle();
        let end = Seen { x: grip.x - self.cos * 0.1, y: grip.y - 0.06, near: grip.near };
        let blade = Seen { x: grip.x + self.cos * 0.34, y: grip.y + 0.22, near: grip.near };
        self.line(end, blade, 0.016, 0.3, self.colour());
        self.line(blade, Seen { x: blade.x + self.cos * 0.07, y: blade.y + 0.05, ..blade }, 0.035, 0.3, self.colour());
    }

    fn barbell(&mut self) {
        let (left, right, middle) = (self.left(), self.right(), self.middle());
        let (mut from, mut to) = (beyond(left, right, 0.14), beyond(right, left, 0.14));
        // Seen from the side, the hands are one behind the other.
        if (from.x - to.x).abs() < 0.3 {
            let more = 0.14 * self.sin.abs();
            from = Seen { x: middle.x - 0.16 - more, y: middle.y, ..from };
            to = Seen { x: middle.x + 0.16 + more, y: middle.y, ..to };
        }
        self.line(from, to, 0.013, middle.near + 0.02, [0.55; 3]);
        for end in [from, to] {
            let half = |y: f32| Seen { y: end.y + y, ..end };
            self.line(half(-0.06), half(0.06), 0.03, middle.near + 0.03, self.colour());
        }
    }

    fn bar(&mut self) {
        let (left, right) = (self.left(), self.right());
        let height = -1.36 * (1.0 - 2.0 * self.figure.look.build.head) * 0.86;
        let end = |x: f32| Seen { x, y: height.min(left.y.min(right.y)), near: 0.0 };
        self.line(end(-0.45), end(0.45), 0.018, right.near.max(left.near) - 0.005, self.colour());
    }

    fn ladder(&mut self) {
        let (middle, half, depth) = (self.cos * 0.2, 0.13 * self.sin.abs().max(0.35), -0.5 * self.sin.abs() - 0.12);
        let at = |side: f32, y: f32| Seen { x: middle + side * half, y, near: 0.0 };
        for side in [-1.0, 1.0] {
            self.line(at(side, 0.0), at(side, -1.6), 0.014, depth, self.colour());
        }
        for rung in 0..9 {
            let y = -0.08 - 0.18 * rung as f32;
            self.line(at(-1.0, y), at(1.0, y), 0.011, depth, self.colour());
        }
    }

    fn chair(&mut self) {
        let (sin, cos, colour) = (self.sin, self.cos, self.colour());
        let seat = -self.figure.look.build.thigh + 0.02;
        let (back, front) = (-0.22 * cos - 0.1 * sin.abs(), 0.04 * cos + 0.1 * sin.abs());
        let at = |x: f32, y: f32| Seen { x, y, near: 0.0 };
        let depth = if sin > 0.3 { -0.2 } else { -0.1 };
        self.line(at(back, seat), at(front, seat), 0.022, depth, colour);
        self.line(at(back, seat), at(back, 0.0), 0.016, depth, colour);
        self.line(at(front, seat), at(front, 0.0), 0.016, depth, colour);
        self.line(at(back, seat), at(back - 0.03 * cos, seat - 0.3), 0.018, depth, colour);
        if sin.abs() > 0.5 {
            self.line(at(front, seat), at(front, seat - 0.3), 0.018, depth, colour);
            self.line(at(back, seat - 0.3), at(front, seat - 0.3), 0.018, depth, colour);
        }
    }

    fn cup(&mut self) {
        let hand = self.right();
        let at = Seen { x: hand.x + 0.03 * self.cos, ..hand };
        let drinking = (0.25..0.8).contains(&self.phase);
        self.thing(at, 0.05, if drinking { -0.9 * self.cos } else { 0.0 }, hand.near + 0.03, CUP, self.colour());
    }

    /// A jug in the right hand over a cup in the left one.
    fn jug(&mut self) {
        let (left, right) = (self.left(), self.right());
        let pouring = (0.25..0.88).contains(&self.phase);
        let at = Seen { x: right.x + 0.03 * self.cos, ..right };
        let tip = if !pouring {
            0.0
        } else if self.cos < 0.0 {
            -1.5
        } else {
            1.5
        };
        self.thing(at, 0.07, tip, right.near + 0.03, CUP, self.colour());
        if pouring {
            let spout = Seen { x: at.x + 0.07 * self.cos.signum(), y: at.y + 0.03, near: at.near };
            let down = Seen { y: left.y.max(spout.y + 0.1), ..spout };
            let water = Part::Limb { from: spout, to: down, radii: (0.01, 0.014), colour: [0.35, 0.6, 0.95] };
            self.parts.push((right.near + 0.02, water));
        }
        let cup = Seen { x: left.x + 0.04 * self.cos, ..left };
        self.thing(cup, 0.05, 0.0, left.near + 0.03, CUP, self.figure.look.paint.colour);
    }

    fn carton(&mut self, held: Held) {
        let middle = self.middle();
        let at = if held.at(self.phase) {
            Seen { x: middle.x + 0.05 * self.cos, y: middle.y.min(-0.09), near: middle.near }
        } else {
            Seen { x: 0.3 * self.cos, y: -0.09, near: 0.3 }
        };
        self.thing(at, 0.12, 0.0, at.near + 0.02 + 0.2 * self.sin, BOX, self.colour());
    }

    fn crate_before_it(&mut self) {
        let at = Seen { x: self.middle().x + 0.2 * self.cos, y: -0.21, near: 0.0 };
        self.thing(at, 0.27, 0.0, -0.05, CRATE, self.colour());
    }

    fn ball(&mut self, flight: Flight) {
        let (sin, cos, phase) = (self.sin, self.cos, self.phase);
        let flying = |start: Seen, share: f32, reach: f32, drop: f32| {
            let y = (start.y - 0.3 * share + drop * share * share).min(-0.05);
            (Seen { x: start.x + cos * reach * share, y, near: start.near + sin * share }, 1.0 + 0.7 * sin * share)
        };
        // Where the right hand is when the ball leaves it, or comes to it.
        let hand_at = |phase: f32| self.figure.joints(self.script, phase).0.hands[1];
        let (at, size) = match flight {
            Flight::Thrown if phase < 0.46 => (self.right(), 1.0),
            Flight::Thrown => flying(hand_at(0.46), (phase - 0.46) / 0.54, 1.5, 0.8),
            Flight::Caught if phase > 0.45 => (self.middle(), 1.0),
            Flight::Caught => flying(hand_at(0.45), (0.45 - phase) / 0.45, 1.5, 0.5),
            Flight::Kicked => {
                let start = Seen { x: 0.2 * cos, y: -0.06, near: 0.2 * sin };
                flying(start, ((phase - 0.45) / 0.55).max(0.0), 1.6, -0.2)
            }
            Flight::Dribbled => {
                let (hand, down) = (self.right(), (std::f32::consts::PI * phase).sin());
                (Seen { y: hand.y + (-0.06 - hand.y) * down, ..hand }, 1.0)
            }
        };
        self.thing(at, 0.07 * size.clamp(0.5, 1.8), 0.0, at.near + 0.04, BALL, self.colour());
    }
}

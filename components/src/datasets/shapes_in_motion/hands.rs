//! Hands that do something with an object.
//!
//! As with motions of things, a deed may be played backwards, and then it is another deed: who lifts an object, seen
//! backwards, puts it down.

use super::backdrop::Backdrop;
use super::colour::{Colour, mix};
use super::course::{Timing, between};
use super::objects::{Shape, Texture, What, with_article};
use super::palette::{Paint, SKINS};
use super::played::{Happening, Played, Words};
use super::raster::{Block, Canvas, Pose, Sprite};
use maclip_framework::random::Rng;
use std::f32::consts::{FRAC_PI_2, PI, TAU};

/// What a hand does with an object, time running forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    PushRight,
    PushLeft,
    Lift,
    Cover,
    PutInto,
    PutOnto,
    Drop,
    Poke,
    Shake,
    Turn,
    Pour,
    Bring,
    Tip,
    Squeeze,
}

impl Happening for Deed {
    const ALL: &'static [Deed] = &[
        Deed::PushRight,
        Deed::PushLeft,
        Deed::Lift,
        Deed::Cover,
        Deed::PutInto,
        Deed::PutOnto,
        Deed::Drop,
        Deed::Poke,
        Deed::Shake,
        Deed::Turn,
        Deed::Pour,
        Deed::Bring,
        Deed::Tip,
        Deed::Squeeze,
    ];

    fn words(self) -> (Words, Option<Words>) {
        let words = |doing: &'static [&'static str], plain: &'static [&'static str]| Words { doing, plain };
        match self {
            Deed::PushRight => (
                words(
                    &["pushing {} from left to right", "shoving {} to the right", "sliding {} from left to right"],
                    &["push {} from left to right", "shove {} to the right", "slide {} from left to right"],
                ),
                Some(words(
                    &["pulling {} from right to left", "dragging {} to the left"],
                    &["pull {} from right to left", "drag {} to the left"],
                )),
            ),
            Deed::PushLeft => (
                words(
                    &["pushing {} from right to left", "shoving {} to the left", "sliding {} from right to left"],
                    &["push {} from right to left", "shove {} to the left", "slide {} from right to left"],
                ),
                Some(words(
                    &["pulling {} from left to right", "dragging {} to the right"],
                    &["pull {} from left to right", "drag {} to the right"],
                )),
            ),
            Deed::Lift => (
                words(&["picking {} up", "lifting {} up", "raising {}"], &["pick {} up", "lift {} up", "raise {}"]),
                Some(words(
                    &["putting {} down", "laying {} down", "lowering {}"],
                    &["put {} down", "lay {} down", "lower {}"],
                )),
            ),
            Deed::Cover => (
                words(&["covering {} with a cloth", "covering {}"], &["cover {} with a cloth", "cover {}"]),
                Some(words(&["uncovering {}", "taking a cloth off {}"], &["uncover {}", "take a cloth off {}"])),
            ),
            Deed::PutInto => (
                words(&["putting {} into a box", "placing {} in a box"], &["put {} into a box", "place {} in a box"]),
                Some(words(
                    &["taking {} out of a box", "removing {} from a box"],
                    &["take {} out of a box", "remove {} from a box"],
                )),
            ),
            Deed::PutOnto => (
                words(
                    &["putting {} on top of a block", "stacking {} on a block"],
                    &["put {} on top of a block", "stack {} on a block"],
                ),
                Some(words(
                    &["taking {} off a block", "removing {} from a block"],
                    &["take {} off a block", "remove {} from a block"],
                )),
            ),
            Deed::Drop => (words(&["dropping {}", "letting {} fall"], &["drop {}", "let {} fall"]), None),
            Deed::Poke => (words(&["poking {}", "touching {}"], &["poke {}", "touch {}"]), None),
            Deed::Shake => (words(&["shaking {}"], &["shake {}"]), None),
            Deed::Turn => (
                words(
                    &["turning {} clockwise", "rotating {} clockwise"],
                    &["turn {} clockwise", "rotate {} clockwise"],
                ),
                Some(words(
                    &["turning {} counter-clockwise", "rotating {} counter-clockwise"],
                    &["turn {} counter-clockwise", "rotate {} counter-clockwise"],
                )),
            ),
            Deed::Pour => (words(&["pouring water onto {}", "watering {}"], &["pour water onto {}", "water {}"]), None),
            Deed::Bring => (
                words(
                    &["bringing {} closer", "moving {} towards the camera"],
                    &["bring {} closer", "move {} towards the camera"],
                ),
                Some(words(
                    &["moving {} away from the camera", "taking {} away"],
                    &["move {} away from the camera", "take {} away"],
                )),
            ),
            Deed::Tip => (
                words(&["tipping {} over", "knocking {} over"], &["tip {} over", "knock {} over"]),
                Some(words(&["standing {} up", "setting {} upright"], &["stand {} up", "set {} upright"])),
            ),
            Deed::Squeeze => (
                words(&["squeezing {}", "pressing {} together"], &["squeeze {}", "press {} together"]),
                Some(words(&["letting go of {}", "releasing {}"], &["let go of {}", "release {}"])),
            ),
        }
    }
}

/// A deed in one of the two directions of time.
pub type Handling = Played<Deed>;

impl Played<Deed> {
    /// The class text, such as "pushing a striped disc from left to right".
    pub fn sentence(self, what: What) -> String {
        self.words().doing[0].replace("{}", &with_article(&what.text(false)))
    }
}

/// One hand at work in one clip.
#[derive(Clone, Debug)]
pub struct Hand {
    deed: Deed,
    object: Sprite,
    timing: Timing,
    /// Where the object lies at first, and its size.
    at: (f32, f32),
    radius: f32,
    angle: f32,
    /// Height of the table's edge.
    table: f32,
    table_colour: Colour,
    /// How far it goes, 0 to 1.
    reach: f32,
    cycles: f32,
    phase: f32,
    /// Everything but the side of a push is mirrored.
    mirrored: bool,
    skin: Colour,
    sleeve: Colour,
    other: Colour,
}

/// Where everything is at one time.
struct Moment {
    object: Pose,
    /// The hand's knuckles, where its arm comes from (an angle, 0 from the right, clockwise), and its size.
    hand: (f32, f32),
    from: f32,
    size: f32,
    /// Fingers closed around something.
    closed: bool,
}

impl Hand {
    pub fn draw(what: What, deed: Deed, backdrop: &Backdrop, rng: &mut Rng) -> Self {
        let main = Paint::apart_from(&backdrop.colours(), rng);
        let mut taken = backdrop.colours().to_vec();
        taken.push(main.colour);
        let mut other = || Paint::apart_from(&taken, rng).colour;
        let (table_colour, sleeve, other) = (other(), other(), other());
        let radius = between(rng, 0.13, 0.18);
        let table = between(rng, 0.66, 0.84);
        Self {
            deed,
            object: Sprite::of(what, main),
            timing: Timing::draw(rng),
            at: (between(rng, 0.38, 0.62), table - radius * 0.9),
            radius,
            angle: if rng.chance(0.5) { 0.0 } else { between(rng, -0.4, 0.4) },
            table,
            table_colour,
            reach: rng.unit() as f32,
            cycles: between(rng, 1.6, 2.8),
            phase: rng.unit() as f32,
            mirrored: rng.chance(0.5),
            skin: *rng.pick(&SKINS),
            sleeve,
            other,
        }
    }

    /// What it is done with.
    pub fn object(&self) -> &Sprite {
        &self.object
    }

    /// Middle of the object.
    pub fn middle(&self, t: f32) -> (f32, f32) {
        let object = self.moment(t).object;
        (object.x, object.y)
    }

    /// Points that move, for traces.
    pub fn marks(&self, t: f32) -> Vec<(f32, f32)> {
        let moment = self.moment(t);
        vec![(moment.object.x, moment.object.y), moment.hand]
    }

    fn moment(&self, t: f32) -> Moment {
        let u = self.timing.at(t);
        let r = self.radius;
        let lerp = |a: f32, b: f32| a + (b - a) * u;
        let (x, y) = self.at;
        let still = Pose { x, y, radius: r, angle: self.angle, aspect: 1.0, alpha: 1.0 };
        // From above and to one side.
        let above = if self.mirrored { PI + 0.9 } else { -0.9 };
        let side = if self.mirrored { PI } else { 0.0 };
        let toward = if self.mirrored { -1.0 } else { 1.0 };
        let held = |object: Pose, closed: bool| Moment {
            hand: (object.x + 0.25 * r * toward, object.y - object.radius * 0.75),
            object,
            from: above,
            size: 1.0,
            closed,
        };
        match self.deed {
            Deed::PushRight | Deed::PushLeft => {
                let way = 0.3 + 0.25 * self.reach;
                let sign = if self.deed == Deed::PushRight { 1.0 } else { -1.0 };
                // The hand comes to the object first.
                let moved = ((u - 0.15) / 0.85).max(0.0);
                let gap = 0.12 * (1.0 - u / 0.15).max(0.0);
                let object = Pose { x: 0.5 + sign * way * (moved - 0.5), ..still };
                let hand = (object.x - sign * (r + 0.03 + gap), object.y - 0.1 * r);
                Moment { object, hand, from: if sign > 0.0 { PI } else { 0.0 }, size: 1.0, closed: false }
            }
            Deed::Lift => held(Pose { y: lerp(y, y - 0.3 - 0.18 * self.reach), ..still }, true),
            Deed::Bring => {
                let radius = lerp(r * 0.55, r * (1.5 + 0.5 * self.reach));
                let object = Pose { radius, y: 0.5, ..still };
                let hand = (object.x + radius * 0.8 * toward, object.y + radius * 0.3);
                Moment { object, hand, from: side + 0.3 * toward, size: radius / r, closed: true }
            }
            Deed::PutOnto => {
                let top = self.table - 0.3 - 0.9 * r;
                let start = (x + toward * (0.22 + 0.1 * self.reach), 0.16);
                // Sideways first, then down.
                let across = (u / 0.6).min(1.0);
                let down = ((u - 0.35) / 0.65).max(0.0);
                held(Pose { x: start.0 + (x - start.0) * across, y: start.1 + (top - start.1) * down, ..still }, true)
            }
            Deed::PutInto => {
                held(Pose { y: lerp(0.2 + 0.06 * self.reach, self.table - r * 0.6), radius: r * 0.85, ..still }, true)
            }
            Deed::Cover => {
                let away = 0.55 + 0.1 * self.reach;
                let cloth = (x + toward * away * (1.0 - u), y - 0.22 * (1.0 - u));
                Moment { object: still, hand: (cloth.0, cloth.1 - r * 1.25), from: above, size: 1.0, closed: true }
            }
            Deed::Drop => {
                let top = 0.2 + 0.08 * self.reach;
                let fallen = ((t - 0.35) / 0.4).clamp(0.0, 1.0);
                let object = Pose { y: top + (y - top) * fallen * fallen, ..still };
                let hand = (x + 0.25 * r * toward, top - r * 0.75);
                Moment { object, hand, from: above, size: 1.0, closed: fallen == 0.0 }
            }
            Deed::Poke => {
                let near = (0.5 + 0.5 * (TAU * (self.phase + self.cycles * t)).cos()).powf(1.5);
                let hand = (x + toward * (r + 0.02 + 0.2 * (1.0 - near)), y - 0.1 * r);
                let object = Pose { x: x - toward * 0.03 * (near - 0.6).max(0.0), ..still };
                Moment { object, hand, from: side, size: 1.0, closed: false }
            }
            Deed::Shake => {
                let wave = (TAU * (self.phase + 2.0 * self.cycles * t)).sin();
                let object =
                    Pose { x: x + 0.09 * wave, y: 0.45 + 0.03 * wave, angle: self.angle + 0.35 * wave, ..still };
                held(object, true)
            }
            Deed::Turn => {
                let angle = TAU * (0.3 + 0.2 * self.reach) * u;
                let start = if self.mirrored { PI } else { -PI * 0.75 };
                let (sin, cos) = (start + angle).sin_cos();
                let object = Pose { y: 0.5, radius: r * 1.2, angle: self.angle + angle, ..still };
                let hand = (x + cos * r * 1.15, 0.5 + sin * r * 1.15);
                Moment { object, hand, from: start + angle * 0.4, size: 1.0, closed: true }
            }
            Deed::Pour => {
                let hand = (x + toward * (0.16 + 0.05 * self.reach), y - r - 0.24);
                Moment { object: still, hand, from: side, size: 1.0, closed: true }
            }
            Deed::Tip => {
                let (aspect, tall) = (0.6, r * 1.35);
                let turn = -toward * FRAC_PI_2 * u.powf(1.5);
                let corner = (x - toward * 0.06, self.table);
                let (sin, cos) = turn.sin_cos();
                let (dx, dy) = (toward * aspect * tall, -tall);
                let centre = (corner.0 + dx * cos - dy * sin, corner.1 + dx * sin + dy * cos);
                let object = Pose { x: centre.0, y: centre.1, radius: tall, angle: turn, aspect, alpha: 1.0 };
                // It pushes at the upper edge, and leaves it when it has tipped.
                let (ex, ey) = (toward * aspect * tall, -tall * 0.5);
                let edge = (centre.0 + ex * cos - ey * sin, centre.1 + ex * sin + ey * cos);
                let hand = (edge.0 + toward * 0.05, edge.1 - 0.02);
                Moment { object, hand, from: side - 0.25 * toward, size: 1.0, closed: false }
            }
            Deed::Squeeze => {
                let aspect = lerp(1.0, 0.5);
                let object = Pose { aspect, radius: r * 1.15, y: y - 0.1, angle: 0.0, ..still };
                let hand = (x + toward * (r * 1.1 * aspect + 0.03), y - 0.1);
                Moment { object, hand, from: side, size: 1.0, closed: true }
            }
        }
    }

    /// Lays table, object and hand over the picture.
    pub fn paint(&self, canvas: &mut Canvas, t: f32) {
        let moment = self.moment(t);
        let r = self.radius;
        let (x, _) = self.at;
        let dark = mix(self.table_colour, [0.0; 3], 0.25);
        let table = Block { left: -0.4, top: self.table, right: 1.4, bottom: 1.4 };
        if !matches!(self.deed, Deed::Turn | Deed::Bring | Deed::Shake) {
            canvas.block(&table, self.table_colour, dark);
        }
        if self.deed == Deed::PutOnto {
            let block = Block { left: x - 0.13, top: self.table - 0.3, right: x + 0.13, bottom: self.table + 0.02 };
            canvas.block(&block, self.other, mix(self.other, [0.0; 3], 0.3));
        }
        canvas.draw(&self.object, &moment.object);
        match self.deed {
            Deed::PutInto => {
                let (half, height) = (r * 1.35, r * 1.7);
                let wall =
                    Block { left: x - half, top: self.table - height, right: x + half, bottom: self.table + 0.03 };
                canvas.block(&wall, self.other, mix(self.other, [0.0; 3], 0.3));
            }
            Deed::Cover => {
                let (hx, hy) = (moment.hand.0, moment.hand.1);
                let cloth = Block { left: hx - r * 1.25, top: hy, right: hx + r * 1.25, bottom: hy + r * 2.4 };
                canvas.block(&cloth, self.other, mix(self.other, [1.0; 3], 0.3));
            }
            Deed::Pour => {
                let u = self.timing.at(t);
                let toward = if self.mirrored { -1.0 } else { 1.0 };
                let tip = -toward * 1.7 * (u / 0.25).min(1.0);
                let (hx, hy) = (moment.hand.0 - toward * 0.07, moment.hand.1);
                let jug = Sprite::plain(What::new(Texture::Plain, Shape::Cup), self.other);
                canvas.draw(&jug, &Pose { x: hx, y: hy, radius: 0.1, angle: tip, aspect: 1.0, alpha: 1.0 });
                if u > 0.22 {
                    let spout = (hx - toward * 0.08, hy + 0.04);
                    let end = moment.object.y - r * 0.5;
                    let water = [0.35, 0.6, 0.95];
                    for drop in 0..4 {
                        let share = (drop as f32 / 4.0 + t * 2.6 * self.cycles).fract();
                        let at = (spout.0 - toward * 0.02 * share, spout.1 + (end - spout.1) * share);
                        canvas.limb(at, (at.0, at.1 + 0.04), (0.016, 0.022), water);
                    }
                }
            }
            _ => {}
        }
        self.hand(canvas, &moment);
    }

    fn hand(&self, canvas: &mut Canvas, moment: &Moment) {
        let (x, y) = moment.hand;
        let size = moment.size.clamp(0.6, 1.8);
        let (sin, cos) = moment.from.sin_cos();
        let along = |far: f32, aside: f32| (x + (cos * far - sin * aside) * size, y + (sin * far + cos * aside) * size);
        let wide = |radius: f32| radius * size;
        canvas.limb(along(0.2, 0.0), along(1.4, 0.0), (wide(0.06), wide(0.085)), self.sleeve);
        canvas.limb(along(0.07, 0.0), along(0.22, 0.0), (wide(0.04), wide(0.045)), self.skin);
        canvas.limb(along(0.05, -0.015), along(0.05, 0.015), (wide(0.052), wide(0.052)), self.skin);
        let length = if moment.closed { 0.035 } else { 0.075 };
        let shade = mix(self.skin, [0.0; 3], 0.12);
        for (finger, aside) in [-0.042, -0.014, 0.014, 0.042].into_iter().enumerate() {
            let colour = if finger % 2 == 0 { self.skin } else { shade };
            canvas.limb(along(0.03, aside), along(-length, aside * 0.9), (wide(0.017), wide(0.014)), colour);
        }
        canvas.limb(
            along(0.06, 0.04),
            along(if moment.closed { -0.02 } else { 0.0 }, 0.075),
            (wide(0.019), wide(0.015)),
            shade,
        );
    }
}

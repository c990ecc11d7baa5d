//! Things at rest: one or two objects that lie somewhere, and how that is said.

use super::backdrop::Backdrop;
use super::captions::{AND, LABELS, TWO, ground_phrase};
use super::objects::{Shape, Texture, What, all_whats, with_article};
use super::raster::{Canvas, Pose, Sprite};
use super::scene::dressed;
use maclip_framework::random::Rng;
use std::f32::consts::{FRAC_PI_2, PI};

pub const SMALL: [&str; 1] = ["small"];
pub const LARGE: [&str; 2] = ["large", "big"];
pub const FAINT: &str = "faint";
/// By thirds of the frame: rows of columns.
pub const PLACES: [[&str; 3]; 3] = [
    ["at the upper left", "at the top", "at the upper right"],
    ["on the left", "in the middle", "on the right"],
    ["at the lower left", "at the bottom", "at the lower right"],
];
/// Clockwise from upright.
pub const POINTING: [&str; 4] = ["pointing up", "pointing right", "pointing down", "pointing left"];
pub const RELATIONS: [&str; 4] = ["to the left of", "to the right of", "above", "below"];

/// Where a point is said to be.
pub fn place_of((x, y): (f32, f32)) -> &'static str {
    let third = |x: f32| if x < 0.36 { 0 } else { 1 + usize::from(x > 0.64) };
    PLACES[third(y)][third(x)]
}

struct Thing {
    sprite: Sprite,
    pose: Pose,
    /// Quarter turns from upright, where the object lies close to one.
    quarter: Option<usize>,
}

impl Thing {
    fn draw(what: What, alone: bool, backdrop: &Backdrop, rng: &mut Rng) -> Self {
        let sprite = dressed(what, backdrop, rng);
        let (low, high) = match rng.below(3) {
            0 => (0.09, 0.12),
            1 => (0.145, 0.175),
            _ if alone => (0.2, LARGEST.into()),
            _ => (0.2, 0.24),
        };
        let radius = rng.range(low, high) as f32;
        let quarter = if rng.chance(0.65) { Some(rng.below(4)) } else { None };
        let angle = match quarter {
            Some(quarter) => quarter as f32 * FRAC_PI_2 + rng.range(-0.2, 0.2) as f32,
            None => rng.range(0.0, 2.0 * PI as f64) as f32,
        };
        let alpha = if rng.chance(0.1) { rng.range(0.4, 0.6) as f32 } else { 1.0 };
        let pose = Pose { x: 0.5, y: 0.5, radius, angle, aspect: 1.0, alpha };
        let mut thing = Self { sprite, pose, quarter };
        thing.place(rng);
        thing
    }

    /// Large, upright and near the middle; mostly without a texture.
    fn portrait(what: What, backdrop: &Backdrop, rng: &mut Rng) -> Self {
        let texture = if rng.chance(0.6) { Texture::Plain } else { what.texture };
        let sprite = dressed(What { texture, ..what }, backdrop, rng);
        let mut near = |middle: f64, most: f64| rng.range(middle - most, middle + most) as f32;
        let pose = Pose {
            x: near(0.5, 0.06),
            y: near(0.5, 0.06),
            radius: near(0.35, 0.06),
            angle: near(0.0, 0.15),
            aspect: 1.0,
            alpha: 1.0,
        };
        Self { sprite, pose, quarter: Some(0) }
    }

    fn is_portrait(&self) -> bool {
        self.pose.radius > LARGEST
    }

    /// Puts the object into one of nine places, well inside its third of the frame.
    fn place(&mut self, rng: &mut Rng) {
        let mut coordinate = || ([0.22, 0.5, 0.78][rng.below(3)] + rng.range(-0.07, 0.07)) as f32;
        (self.pose.x, self.pose.y) = (coordinate(), coordinate());
    }

    /// "a large red striped star", with parts left out now and then.
    fn noun(&self, rng: &mut Rng) -> String {
        let faint = if self.pose.alpha < 1.0 { Some(FAINT) } else { None };
        let text = with_article(&noun(&self.sprite, faint, Some(self.pose.radius), rng));
        match self.quarter {
            Some(quarter) if self.sprite.what.shape == Shape::Arrow && rng.chance(0.8) => {
                format!("{text} {}", POINTING[quarter])
            }
            _ => text,
        }
    }

    fn noun_with_place(&self, rng: &mut Rng) -> String {
        let noun = self.noun(rng);
        if rng.chance(0.8) { format!("{noun} {}", place_of((self.pose.x, self.pose.y))) } else { noun }
    }
}

/// "large red striped star": without its article, with parts left out now and then.
pub fn noun(sprite: &Sprite, first: Option<&'static str>, radius: Option<f32>, rng: &mut Rng) -> String {
    let size = radius.and_then(|radius| match radius {
        r if r < 0.13 => Some(*rng.pick(&SMALL)),
        r if r > 0.19 => Some(*rng.pick(&LARGE)),
        _ => None,
    });
    let mut parts: Vec<&str> = first.into_iter().chain(size.filter(|_| rng.chance(0.7))).collect();
    let texture = sprite.what.texture;
    let says_texture = rng.chance(if texture == Texture::Plain { 0.15 } else { 0.9 });
    let mut looks = [Some(sprite.word).filter(|_| rng.chance(0.85)), says_texture.then_some(texture.word())];
    if rng.chance(0.25) {
        looks.reverse();
    }
    parts.extend(looks.into_iter().flatten());
    parts.push(sprite.what.shape.one());
    parts.join(" ")
}

/// The largest radius of what lies somewhere, in shares of the frame. Portraits are larger.
const LARGEST: f32 = 0.28;
/// Share of pictures at rest that show one large thing near the middle, upright. Shapes are learned from them first.
const PORTRAITS: f64 = 0.5;

/// One or two things that lie somewhere.
pub struct Still {
    things: Vec<Thing>,
}

impl Still {
    /// `first` alone and large, or somewhere and perhaps beside another thing.
    pub fn draw(first: What, backdrop: &Backdrop, rng: &mut Rng) -> Self {
        if rng.chance(PORTRAITS) {
            return Self { things: vec![Thing::portrait(first, backdrop, rng)] };
        }
        let whats = all_whats();
        let (two, alike) = (rng.chance(0.45), rng.chance(0.25));
        let second = if alike { first } else { *rng.pick(&whats) };
        let mut things = vec![Thing::draw(first, !two, backdrop, rng)];
        if two {
            let mut other = Thing::draw(second, false, backdrop, rng);
            let near = |a: &Thing, b: &Thing| {
                let room = a.pose.radius + b.pose.radius + 0.02;
                (a.pose.x - b.pose.x).powi(2) + (a.pose.y - b.pose.y).powi(2) < room * room
            };
            // Two objects that do not fit side by side after a few throws become one.
            let free = (0..20).any(|_| {
                let free = !near(&things[0], &other);
                if !free {
                    other.place(rng);
                }
                free
            });
            if free {
                things.push(other);
            }
        }
        Self { things }
    }

    /// The thing and its place, where there is only one.
    pub fn only(&self) -> Option<(&Sprite, (f32, f32))> {
        match &*self.things {
            [thing] => Some((&thing.sprite, (thing.pose.x, thing.pose.y))),
            _ => None,
        }
    }

    pub fn paint(&self, canvas: &mut Canvas) {
        for thing in &self.things {
            canvas.draw(&thing.sprite, &thing.pose);
        }
    }

    pub fn describe(&self, backdrop: &Backdrop, rng: &mut Rng) -> String {
        match &*self.things {
            // What fills the picture is mostly what it is called by, and then nothing but the shape can tell two apart.
            [thing] if thing.is_portrait() && rng.chance(0.6) => {
                let colour = Some(thing.sprite.word).filter(|_| rng.chance(0.3));
                let words = [colour, Some(thing.sprite.what.shape.one())];
                return with_article(&words.into_iter().flatten().collect::<Vec<_>>().join(" "));
            }
            [thing] if rng.chance(LABELS) => return with_article(&thing.sprite.what.text(false)),
            _ => {}
        }
        describe(&self.things, backdrop, rng)
    }
}

fn describe(things: &[Thing], backdrop: &Backdrop, rng: &mut Rng) -> String {
    let ground = ground_phrase(backdrop, false, rng);
    let subject = match things {
        [a, b] if a.sprite.what == b.sprite.what && rng.chance(0.6) => {
            let colour = Some(a.sprite.word).filter(|_| a.sprite.word == b.sprite.word);
            [Some(TWO), colour]
                .into_iter()
                .flatten()
                .chain([a.sprite.what.text(true).as_str()])
                .collect::<Vec<_>>()
                .join(" ")
        }
        [a, b] => {
            let (dx, dy) = (b.pose.x - a.pose.x, b.pose.y - a.pose.y);
            let relation = match (dx.abs() > 2.0 * dy.abs(), dy.abs() > 2.0 * dx.abs()) {
                (true, _) => Some(if dx > 0.0 { RELATIONS[0] } else { RELATIONS[1] }),
                (_, true) => Some(if dy > 0.0 { RELATIONS[2] } else { RELATIONS[3] }),
                _ => None,
            };
            match relation.filter(|_| rng.chance(0.5)) {
                Some(relation) => format!("{} {relation} {}", a.noun(rng), b.noun(rng)),
                None => format!("{} {AND} {}", a.noun_with_place(rng), b.noun_with_place(rng)),
            }
        }
        [a, ..] => match &ground {
            // Now and then the place comes last.
            Some(ground) if rng.chance(0.25) => {
                return format!("{} {ground} {}", a.noun(rng), place_of((a.pose.x, a.pose.y)));
            }
            _ => a.noun_with_place(rng),
        },
        [] => String::new(),
    };
    match ground {
        Some(ground) => format!("{subject} {ground}"),
        None => subject,
    }
}

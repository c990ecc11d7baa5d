//! Captioned still images: the same objects and backgrounds at rest, with a sentence on what is to be seen.
//!
//! No caption speaks of motion, so a model trained on them knows looks and places but has never read a class name's
//! verb.

use super::colour::second_colour;
use super::objects::{Shape, Texture, What, all_whats, with_article};
use super::palette::{Backdrop, Ground, Paint, colour_words};
use super::raster::{Pose, Sprite};
use maclip_framework::random::Rng;
use maclip_framework::slots::dataset::CaptionedImage;
use std::collections::BTreeSet;
use std::f32::consts::{FRAC_PI_2, PI};

const SMALL: [&str; 1] = ["small"];
const LARGE: [&str; 2] = ["large", "big"];
const FAINT: &str = "faint";
/// By thirds of the frame: rows of columns.
const PLACES: [[&str; 3]; 3] = [
    ["at the upper left", "at the top", "at the upper right"],
    ["on the left", "in the middle", "on the right"],
    ["at the lower left", "at the bottom", "at the lower right"],
];
/// Clockwise from upright.
const POINTING: [&str; 4] = ["pointing up", "pointing right", "pointing down", "pointing left"];
const BEFORE_GROUND: [&str; 3] = ["on", "against", "in front of"];
const BACKGROUND: &str = "background";
const RELATIONS: [&str; 4] = ["to the left of", "to the right of", "above", "below"];
const AND: &str = "and";
const TWO: &str = "two";
const ARTICLES: [&str; 2] = ["a", "an"];

/// All words of the tables above, sorted.
pub fn words() -> Vec<String> {
    let shapes = Shape::ALL.iter().flat_map(|s| [s.one().to_string(), s.many()]);
    let tables = [AND, TWO, BACKGROUND, FAINT].into_iter().chain(SMALL).chain(LARGE).chain(ARTICLES);
    let phrases = PLACES.into_iter().flatten().chain(POINTING).chain(BEFORE_GROUND).chain(RELATIONS);
    let looks = Texture::ALL.iter().map(|t| t.word()).chain(Ground::ALL.iter().map(|g| g.word())).chain(colour_words());
    let texts = tables.chain(phrases).chain(looks).map(String::from).chain(shapes);
    let words: BTreeSet<String> =
        texts.flat_map(|text| text.split_whitespace().map(String::from).collect::<Vec<_>>()).collect();
    words.into_iter().collect()
}

struct Thing {
    sprite: Sprite,
    colour: &'static str,
    pose: Pose,
    /// Quarter turns from upright, where the object lies close to one.
    quarter: Option<usize>,
}

impl Thing {
    fn draw(what: What, alone: bool, backdrop: &Backdrop, rng: &mut Rng) -> Self {
        let paint = Paint::apart_from(&backdrop.colours(), rng);
        let (low, high) = match rng.below(3) {
            0 => (0.09, 0.12),
            1 => (0.145, 0.175),
            _ if alone => (0.22, 0.3),
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
        let sprite = Sprite { what, main: paint.colour, second: second_colour(paint.colour) };
        let mut thing = Self { sprite, colour: paint.word, pose, quarter };
        thing.place(rng);
        thing
    }

    /// Puts the object into one of nine places, well inside its third of the frame.
    fn place(&mut self, rng: &mut Rng) {
        let mut coordinate = || ([0.22, 0.5, 0.78][rng.below(3)] + rng.range(-0.07, 0.07)) as f32;
        (self.pose.x, self.pose.y) = (coordinate(), coordinate());
    }

    fn where_it_is(&self) -> &'static str {
        let third = |x: f32| if x < 0.36 { 0 } else { 1 + usize::from(x > 0.64) };
        PLACES[third(self.pose.y)][third(self.pose.x)]
    }

    /// "a large red striped star", with parts left out now and then.
    fn noun(&self, rng: &mut Rng) -> String {
        let mut parts: Vec<&str> = Vec::new();
        if self.pose.alpha < 1.0 {
            parts.push(FAINT);
        }
        let size = match self.pose.radius {
            r if r < 0.13 => Some(*rng.pick(&SMALL)),
            r if r > 0.19 => Some(*rng.pick(&LARGE)),
            _ => None,
        };
        parts.extend(size.filter(|_| rng.chance(0.75)));
        let texture = self.sprite.what.texture;
        let says_texture = rng.chance(if texture == Texture::Plain { 0.35 } else { 0.9 });
        let mut looks = [Some(self.colour).filter(|_| rng.chance(0.9)), says_texture.then_some(texture.word())];
        if rng.chance(0.25) {
            looks.reverse();
        }
        parts.extend(looks.into_iter().flatten());
        parts.push(self.sprite.what.shape.one());
        let mut text = with_article(&parts.join(" "));
        if let (Shape::Arrow, Some(quarter)) = (self.sprite.what.shape, self.quarter)
            && rng.chance(0.8)
        {
            text = format!("{text} {}", POINTING[quarter]);
        }
        text
    }

    fn noun_with_place(&self, rng: &mut Rng) -> String {
        let noun = self.noun(rng);
        if rng.chance(0.8) { format!("{noun} {}", self.where_it_is()) } else { noun }
    }
}

fn ground_phrase(backdrop: &Backdrop, rng: &mut Rng) -> Option<String> {
    let mut parts = Vec::new();
    parts.extend(rng.chance(0.85).then_some(backdrop.paint.word));
    parts
        .extend(rng.chance(if backdrop.ground == Ground::Plain { 0.4 } else { 0.8 }).then_some(backdrop.ground.word()));
    let said = !parts.is_empty() && rng.chance(0.8);
    parts.push(BACKGROUND);
    let link = rng.pick(&BEFORE_GROUND);
    said.then(|| format!("{link} {}", with_article(&parts.join(" "))))
}

/// A picture `size` pixels square with its caption.
pub fn captioned(size: usize, rng: &mut Rng) -> CaptionedImage {
    let backdrop = Backdrop::draw(rng);
    let whats = all_whats();
    let first = *rng.pick(&whats);
    let (two, alike) = (rng.chance(0.45), rng.chance(0.25));
    let second = if alike { first } else { *rng.pick(&whats) };
    let mut things = vec![Thing::draw(first, !two, &backdrop, rng)];
    if two {
        let mut other = Thing::draw(second, false, &backdrop, rng);
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
    let caption = describe(&things, &backdrop, rng);
    let mut canvas = backdrop.paint(size, 0);
    for thing in &things {
        canvas.draw(&thing.sprite, &thing.pose);
    }
    let noise = rng.range(0.0, 0.06) as f32;
    CaptionedImage { height: size, width: size, pixels: canvas.finish(noise, rng.bits()), caption }
}

fn describe(things: &[Thing], backdrop: &Backdrop, rng: &mut Rng) -> String {
    let ground = ground_phrase(backdrop, rng);
    let subject = match things {
        [a, b] if a.sprite.what == b.sprite.what && rng.chance(0.6) => {
            let colour = Some(a.colour).filter(|_| a.colour == b.colour);
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
                return format!("{} {ground} {}", a.noun(rng), a.where_it_is());
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

//! Named colours.

use super::colour::Colour;
use maclip_framework::random::Rng;

/// A colour name with the hue (degrees), saturation and value that it may have.
struct Named {
    word: &'static str,
    hue: (f64, f64),
    saturation: (f64, f64),
    value: (f64, f64),
}

const fn named(word: &'static str, hue: (f64, f64), saturation: (f64, f64), value: (f64, f64)) -> Named {
    Named { word, hue, saturation, value }
}

/// The ranges leave gaps, so that a colour drawn for one name is never what a person would call another.
const COLOURS: [Named; 12] = [
    named("red", (-6.0, 6.0), (0.85, 1.0), (0.75, 0.95)),
    named("orange", (24.0, 34.0), (0.9, 1.0), (0.94, 1.0)),
    named("yellow", (52.0, 60.0), (0.75, 1.0), (0.92, 1.0)),
    named("green", (105.0, 140.0), (0.7, 1.0), (0.5, 0.75)),
    named("cyan", (176.0, 188.0), (0.7, 1.0), (0.85, 1.0)),
    named("blue", (216.0, 238.0), (0.75, 1.0), (0.7, 0.95)),
    named("purple", (270.0, 285.0), (0.65, 0.9), (0.5, 0.72)),
    named("pink", (325.0, 342.0), (0.35, 0.55), (0.95, 1.0)),
    named("brown", (20.0, 28.0), (0.65, 0.8), (0.36, 0.48)),
    named("white", (0.0, 360.0), (0.0, 0.04), (0.94, 1.0)),
    named("gray", (0.0, 360.0), (0.0, 0.06), (0.45, 0.6)),
    named("black", (0.0, 360.0), (0.0, 0.2), (0.02, 0.1)),
];

/// Of people and hands.
pub const SKINS: [Colour; 5] =
    [[0.98, 0.85, 0.72], [0.92, 0.74, 0.58], [0.78, 0.58, 0.42], [0.55, 0.38, 0.26], [0.36, 0.24, 0.17]];

pub fn colour_words() -> impl Iterator<Item = &'static str> {
    COLOURS.iter().map(|colour| colour.word)
}

/// A drawn colour and its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paint {
    pub word: &'static str,
    pub colour: Colour,
}

impl Paint {
    pub fn draw(rng: &mut Rng) -> Self {
        let named = rng.pick(&COLOURS);
        let hue = rng.range(named.hue.0, named.hue.1);
        let saturation = rng.range(named.saturation.0, named.saturation.1);
        let value = rng.range(named.value.0, named.value.1);
        Self { word: named.word, colour: from_hsv(hue, saturation, value) }
    }

    /// A colour that stands out from all of `others`: the first good draw, or else the best of 24.
    pub fn apart_from(others: &[Colour], rng: &mut Rng) -> Self {
        let mut best = Paint::draw(rng);
        for _ in 0..24 {
            if nearest(best.colour, others) > 0.55 {
                break;
            }
            let next = Paint::draw(rng);
            if nearest(next.colour, others) > nearest(best.colour, others) {
                best = next;
            }
        }
        best
    }
}

/// Distance to the nearest of `others`.
pub fn nearest(colour: Colour, others: &[Colour]) -> f32 {
    let to = |other: &Colour| (0..3).map(|i| (colour[i] - other[i]).powi(2)).sum::<f32>().sqrt();
    others.iter().map(to).fold(f32::MAX, f32::min)
}

fn from_hsv(hue: f64, saturation: f64, value: f64) -> Colour {
    let channel = |offset: f64| {
        let k = (offset + hue / 60.0).rem_euclid(6.0);
        (value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)) as f32
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_in_motion_hues_come_out_right() {
        assert_eq!(from_hsv(0.0, 1.0, 1.0), [1.0, 0.0, 0.0]);
        assert_eq!(from_hsv(120.0, 1.0, 0.5), [0.0, 0.5, 0.0]);
        assert_eq!(from_hsv(240.0, 1.0, 1.0), [0.0, 0.0, 1.0]);
    }
}

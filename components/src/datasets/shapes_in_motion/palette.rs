//! Named colours and the backgrounds that are made of them.

use super::colour::{Colour, mix};
use super::noise::scramble;
use super::outline::{check, coverage, stripe};
use super::raster::Canvas;
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
    fn draw(rng: &mut Rng) -> Self {
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

fn nearest(colour: Colour, others: &[Colour]) -> f32 {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    Plain,
    Gradient,
    Striped,
    Checkered,
    Noisy,
    Blotchy,
}

impl Ground {
    pub const ALL: [Ground; 6] =
        [Ground::Plain, Ground::Gradient, Ground::Striped, Ground::Checkered, Ground::Noisy, Ground::Blotchy];

    pub fn word(self) -> &'static str {
        match self {
            Ground::Plain => "plain",
            Ground::Gradient => "gradient",
            Ground::Striped => "striped",
            Ground::Checkered => "checkered",
            Ground::Noisy => "noisy",
            Ground::Blotchy => "blotchy",
        }
    }
}

/// A background: one named colour, and a shade of it where the kind has two.
#[derive(Clone, Debug)]
pub struct Backdrop {
    pub ground: Ground,
    pub paint: Paint,
    shade: Colour,
    angle: f32,
    period: f32,
    offset: f32,
    blots: [[f32; 3]; 7],
    key: u64,
}

impl Backdrop {
    pub fn draw(rng: &mut Rng) -> Self {
        let paint = Paint::draw(rng);
        let light = paint.colour.iter().sum::<f32>() / 3.0;
        let towards = if light > 0.45 { [0.0; 3] } else { [1.0; 3] };
        Self {
            ground: *rng.pick(&Ground::ALL),
            paint,
            shade: mix(paint.colour, towards, rng.range(0.14, 0.26) as f32),
            angle: rng.range(0.0, std::f64::consts::TAU) as f32,
            period: rng.range(0.22, 0.45) as f32,
            offset: rng.unit() as f32,
            blots: std::array::from_fn(|_| [rng.unit() as f32, rng.unit() as f32, rng.range(0.06, 0.2) as f32]),
            key: rng.bits(),
        }
    }

    /// The colours that an object has to stand out from.
    pub fn colours(&self) -> [Colour; 2] {
        match self.ground {
            Ground::Plain => [self.paint.colour; 2],
            _ => [self.paint.colour, self.shade],
        }
    }

    /// Paints a `frame`-pixel square with `margin` pixels more on each side, for the camera to shake in.
    pub fn paint(&self, frame: usize, margin: usize) -> Canvas {
        let size = frame + 2 * margin;
        let unit = frame as f32;
        let (sin, cos) = self.angle.sin_cos();
        let along = |x: f32, y: f32| x * cos + y * sin + self.offset;
        let aside = |x: f32, y: f32| y * cos - x * sin + self.offset;
        let edge = |inside: f32| coverage(inside * unit);
        let pixels = match self.ground {
            Ground::Plain => vec![self.paint.colour; size * size],
            Ground::Gradient => {
                self.shaded(frame, margin, |x, y| (0.5 + (x - 0.5) * cos + (y - 0.5) * sin).clamp(0.0, 1.0) * 1.6)
            }
            Ground::Striped => self.shaded(frame, margin, |x, y| edge(stripe(along(x, y), self.period))),
            Ground::Checkered => self.shaded(frame, margin, |x, y| edge(check(along(x, y), aside(x, y), self.period))),
            Ground::Noisy => self.cells(frame, size),
            Ground::Blotchy => self.shaded(frame, margin, |x, y| {
                let depth = |b: &[f32; 3]| b[2] - ((x - b[0]).powi(2) + (y - b[1]).powi(2)).sqrt();
                edge(self.blots.iter().map(depth).fold(f32::MIN, f32::max) * 0.4)
            }),
        };
        Canvas { size, pixels, shift: (0, 0) }
    }

    /// Pixels with the share of the shade that `share` gives for their place.
    fn shaded(&self, frame: usize, margin: usize, share: impl Fn(f32, f32) -> f32) -> Vec<Colour> {
        let size = frame + 2 * margin;
        let at = |i: usize| (i as f32 + 0.5 - margin as f32) / frame as f32;
        let columns: Vec<f32> = (0..size).map(at).collect();
        let mut shares = vec![0.0; size];
        let mut pixels = Vec::with_capacity(size * size);
        for y in &columns {
            for (share_of, x) in shares.iter_mut().zip(&columns) {
                *share_of = share(*x, *y);
            }
            pixels.extend(shares.iter().map(|share| mix(self.paint.colour, self.shade, *share)));
        }
        pixels
    }

    /// 32 × 32 cells in the frame, each with a random share of the shade.
    fn cells(&self, frame: usize, size: usize) -> Vec<Colour> {
        let cells: Vec<u64> = (0..size).map(|i| (i * 32 / frame) as u64).collect();
        let mut pixels = Vec::with_capacity(size * size);
        for rows in cells.chunk_by(|a, b| a == b) {
            let start = pixels.len();
            for columns in cells.chunk_by(|a, b| a == b) {
                let share = scramble(self.key ^ scramble(rows[0] << 32 | columns[0])) as u8 as f32 / 128.0;
                pixels.extend(columns.iter().map(|_| mix(self.paint.colour, self.shade, share)));
            }
            for _ in 1..rows.len() {
                pixels.extend_from_within(start..start + size);
            }
        }
        pixels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maclip_framework::random::Stream;

    #[test]
    fn shapes_in_motion_objects_stand_out_from_backgrounds() {
        let stream = Stream::new(0, "palette test");
        for index in 0..500 {
            let mut rng = stream.at(index);
            let backdrop = Backdrop::draw(&mut rng);
            let paint = Paint::apart_from(&backdrop.colours(), &mut rng);
            assert!(nearest(paint.colour, &backdrop.colours()) > 0.4, "{backdrop:?} {paint:?}");
        }
    }

    #[test]
    fn shapes_in_motion_hues_come_out_right() {
        assert_eq!(from_hsv(0.0, 1.0, 1.0), [1.0, 0.0, 0.0]);
        assert_eq!(from_hsv(120.0, 1.0, 0.5), [0.0, 0.5, 0.0]);
        assert_eq!(from_hsv(240.0, 1.0, 1.0), [0.0, 0.0, 1.0]);
    }
}

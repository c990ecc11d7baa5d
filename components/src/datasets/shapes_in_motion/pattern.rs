//! Backgrounds of one colour and a shade of it.

use super::colour::{Colour, mix};
use super::noise::scramble;
use super::outline::{check, coverage, stripe};
use super::palette::Paint;
use super::raster::Canvas;
use maclip_framework::random::Rng;

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

/// A background of one named colour, and a shade of it where the kind has two.
#[derive(Clone, Debug)]
pub struct Pattern {
    pub ground: Ground,
    pub paint: Paint,
    shade: Colour,
    angle: f32,
    period: f32,
    offset: f32,
    blots: [[f32; 3]; 7],
    key: u64,
}

impl Pattern {
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
        Canvas::new(frame, margin, pixels)
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

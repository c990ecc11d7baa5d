//! Places: a sky or wall, a ground, and what stands there.

use super::colour::{Colour, mix};
use super::course::between;
use super::noise::scramble;
use super::raster::{Block, Canvas};
use maclip_framework::random::Rng;

/// A kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    Meadow,
    Beach,
    Street,
    Snow,
    Desert,
    Forest,
    Sea,
    Night,
    Room,
    Hall,
}

impl Place {
    pub const ALL: [Place; 10] = [
        Place::Meadow,
        Place::Beach,
        Place::Street,
        Place::Snow,
        Place::Desert,
        Place::Forest,
        Place::Sea,
        Place::Night,
        Place::Room,
        Place::Hall,
    ];

    /// "in a meadow", and what else it is called.
    pub fn phrases(self) -> [&'static str; 2] {
        match self {
            Place::Meadow => ["in a meadow", "on grass"],
            Place::Beach => ["on a beach", "on sand by the sea"],
            Place::Street => ["on a street", "in a city"],
            Place::Snow => ["in the snow", "in winter"],
            Place::Desert => ["in a desert", "among dunes"],
            Place::Forest => ["in a forest", "among trees"],
            Place::Sea => ["at sea", "over the water"],
            Place::Night => ["at night", "under stars"],
            Place::Room => ["in a room", "indoors"],
            Place::Hall => ["in a hall", "in a gym"],
        }
    }

    /// Sky or wall, and ground.
    fn colours(self) -> (Colour, Colour) {
        match self {
            Place::Meadow => ([0.55, 0.78, 0.98], [0.36, 0.66, 0.25]),
            Place::Beach => ([0.3, 0.65, 0.9], [0.93, 0.83, 0.58]),
            Place::Street => ([0.72, 0.78, 0.84], [0.36, 0.36, 0.38]),
            Place::Snow => ([0.76, 0.84, 0.92], [0.95, 0.97, 0.99]),
            Place::Desert => ([0.97, 0.82, 0.6], [0.85, 0.62, 0.34]),
            Place::Forest => ([0.3, 0.48, 0.34], [0.32, 0.26, 0.16]),
            Place::Sea => ([0.66, 0.84, 0.96], [0.1, 0.34, 0.62]),
            Place::Night => ([0.05, 0.06, 0.18], [0.1, 0.14, 0.14]),
            Place::Room => ([0.9, 0.86, 0.78], [0.55, 0.38, 0.24]),
            Place::Hall => ([0.62, 0.7, 0.76], [0.8, 0.6, 0.36]),
        }
    }
}

/// One drawn place.
#[derive(Clone, Debug)]
pub struct Scenery {
    pub place: Place,
    upper: Colour,
    ground: Colour,
    horizon: f32,
    /// What stands there: place along the horizon, size, and a shade.
    marks: [(f32, f32, f32); 7],
    key: u64,
}

impl Scenery {
    pub fn draw(place: Place, rng: &mut Rng) -> Self {
        let (upper, ground) = place.colours();
        // Weather, light and cameras differ.
        let mut vary = |colour: Colour| {
            let light = between(rng, -0.12, 0.12);
            colour.map(|channel| (channel + light + between(rng, -0.04, 0.04)).clamp(0.0, 1.0))
        };
        let (upper, ground) = (vary(upper), vary(ground));
        Self {
            place,
            upper,
            ground,
            horizon: between(rng, 0.42, 0.7),
            marks: std::array::from_fn(|_| (between(rng, -0.1, 1.1), rng.unit() as f32, rng.unit() as f32)),
            key: rng.bits(),
        }
    }

    /// The colours that an object has to stand out from.
    pub fn colours(&self) -> [Colour; 2] {
        [self.upper, self.ground]
    }

    /// Paints a `frame`-pixel square with `margin` pixels more on each side.
    pub fn paint(&self, frame: usize, margin: usize) -> Canvas {
        let size = frame + 2 * margin;
        let unit = frame as f32;
        let line = self.horizon * unit + margin as f32;
        let mut pixels = Vec::with_capacity(size * size);
        for row in 0..size {
            let below = (row as f32 + 0.5 - line + 0.5).clamp(0.0, 1.0);
            let depth = ((row as f32 - line) / unit).clamp(-1.0, 1.0);
            let upper = mix(self.upper, [1.0; 3], 0.25 * (1.0 + depth).clamp(0.0, 1.0));
            let ground = mix(self.ground, [0.0; 3], 0.22 * depth.max(0.0));
            let colour = mix(upper, ground, below);
            pixels.extend((0..size).map(|column| {
                // Grass, sand and waves are not even.
                let grain = scramble(self.key ^ scramble(((row / 2) << 20 | (column / 3)) as u64)) as u8 as f32 / 255.0;
                mix(colour, [0.0; 3], 0.1 * grain * below)
            }));
        }
        let mut canvas = Canvas::new(frame, margin, pixels);
        self.furnish(&mut canvas);
        canvas
    }

    fn furnish(&self, canvas: &mut Canvas) {
        let h = self.horizon;
        let shade = |colour: Colour, amount: f32| mix(colour, [0.0; 3], amount);
        for (index, &(x, size, tone)) in self.marks.iter().enumerate() {
            match self.place {
                Place::Meadow => {
                    let y = h + 0.05 + size * (0.95 - h);
                    let petal = [[0.95, 0.9, 0.3], [0.95, 0.95, 0.95], [0.9, 0.4, 0.6]][index % 3];
                    canvas.limb((x, y), (x, y), (0.014, 0.014), petal);
                }
                Place::Beach if index == 0 => {
                    let water = Block { left: -0.5, top: h - 0.16, right: 1.5, bottom: h };
                    canvas.block(&water, [0.1, 0.42, 0.75], [0.2, 0.5, 0.8]);
                }
                Place::Beach if index == 1 => canvas.limb((x, 0.12), (x, 0.12), (0.07, 0.07), [1.0, 0.93, 0.5]),
                Place::Beach => {}
                Place::Street if index < 5 => {
                    let (left, tall) = (x - 0.1, 0.2 + 0.3 * size);
                    let wall = mix([0.55, 0.45, 0.42], [0.75, 0.75, 0.8], tone);
                    canvas.block(
                        &Block { left, top: h - tall, right: left + 0.17, bottom: h },
                        wall,
                        shade(wall, 0.35),
                    );
                }
                Place::Street => {
                    let left = x - 0.06;
                    let block =
                        Block { left, top: (h + 1.0) / 2.0, right: left + 0.14, bottom: (h + 1.0) / 2.0 + 0.03 };
                    canvas.block(&block, [0.95; 3], [0.95; 3]);
                }
                Place::Snow => canvas.limb((x, size), (x, size), (0.012 + 0.008 * tone, 0.012), [1.0; 3]),
                Place::Desert if index < 3 => {
                    let dune = mix(self.ground, [1.0; 3], 0.12 + 0.1 * tone);
                    canvas.limb((x - 0.3, h + 0.12), (x + 0.3, h + 0.12), (0.06 + 0.1 * size, 0.03), dune);
                }
                Place::Desert if index == 3 => {
                    let green = [0.25, 0.45, 0.22];
                    canvas.limb((x, h + 0.05), (x, h - 0.16), (0.025, 0.025), green);
                    canvas.limb((x, h - 0.05), (x + 0.07, h - 0.1), (0.018, 0.018), green);
                }
                Place::Desert => {}
                Place::Forest => {
                    let trunk = shade([0.36, 0.25, 0.15], 0.3 * tone);
                    canvas.limb((x, h + 0.05), (x, h - 0.5), (0.03, 0.02), trunk);
                    canvas.limb(
                        (x, h - 0.3),
                        (x, h - 0.62),
                        (0.12 + 0.05 * size, 0.02),
                        mix([0.1, 0.35, 0.14], [0.2, 0.5, 0.2], tone),
                    );
                }
                Place::Sea => {
                    let y = h + 0.04 + size * (0.94 - h);
                    canvas.limb((x - 0.09, y), (x + 0.09, y), (0.008, 0.012), mix(self.ground, [1.0; 3], 0.5));
                }
                Place::Night if index == 0 => canvas.limb((x, 0.16), (x, 0.16), (0.07, 0.07), [0.95, 0.95, 0.82]),
                Place::Night => canvas.limb((x, size * h), (x, size * h), (0.009, 0.009), [1.0; 3]),
                Place::Room if index == 0 => {
                    let left = 0.1 + 0.5 * size;
                    canvas.block(
                        &Block { left, top: 0.08, right: left + 0.24, bottom: 0.34 },
                        [0.7, 0.86, 0.98],
                        [0.95; 3],
                    );
                }
                Place::Room if index == 1 => {
                    let left = 0.05 + 0.6 * size;
                    canvas.block(
                        &Block { left, top: h - 0.22, right: left + 0.2, bottom: h + 0.03 },
                        [0.45, 0.3, 0.2],
                        [0.3, 0.2, 0.12],
                    );
                }
                Place::Room => {}
                Place::Hall if index < 4 => {
                    let y = h + (1.0 - h) * (0.15 + 0.25 * index as f32);
                    canvas.limb((-0.3, y), (1.3, y), (0.006, 0.006), [0.98; 3]);
                }
                Place::Hall if index == 4 => {
                    canvas.block(
                        &Block { left: -0.3, top: h - 0.1, right: 1.3, bottom: h },
                        [0.4, 0.45, 0.55],
                        [0.4, 0.45, 0.55],
                    );
                }
                Place::Hall => {}
            }
        }
    }
}

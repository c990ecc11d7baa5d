//! The shapes as signed distances and their textures as shares of the second colour, for several points at once.
//!
//! Each function does the same arithmetic for all of its points and decides by selection, so that the compiler can use
//! vector instructions.

use super::objects::{Shape, Texture};

/// Number of points that are computed together.
pub const LANES: usize = 8;
/// One number for each of the points.
pub type Lanes = [f32; LANES];

fn each(of: impl Fn(usize) -> f32) -> Lanes {
    std::array::from_fn(of)
}

const TRIANGLE: [[f32; 2]; 3] = [[0.0, -0.88], [0.84, 0.62], [-0.84, 0.62]];
const STAR: [[f32; 2]; 10] = [
    [0.0, -1.0],
    [0.2645, -0.3641],
    [0.951, -0.309],
    [0.428, 0.139],
    [0.588, 0.809],
    [0.0, 0.45],
    [-0.588, 0.809],
    [-0.428, 0.139],
    [-0.951, -0.309],
    [-0.2645, -0.3641],
];
const ARROW: [[f32; 2]; 7] =
    [[0.0, -1.0], [0.8, -0.1], [0.32, -0.1], [0.32, 0.95], [-0.32, 0.95], [-0.32, -0.1], [-0.8, -0.1]];

const CUP: [[f32; 2]; 8] =
    [[-0.72, -0.8], [0.72, -0.8], [0.66, -0.42], [1.0, -0.3], [0.9, 0.2], [0.58, 0.16], [0.5, 0.85], [-0.5, 0.85]];
const BOTTLE: [[f32; 2]; 8] = [
    [-0.18, -1.0],
    [0.18, -1.0],
    [0.2, -0.45],
    [0.48, -0.1],
    [0.48, 0.95],
    [-0.48, 0.95],
    [-0.48, -0.1],
    [-0.2, -0.45],
];
const HOUSE: [[f32; 2]; 9] = [
    [0.0, -1.0],
    [0.4, -0.62],
    [0.4, -0.9],
    [0.62, -0.9],
    [0.62, -0.4],
    [0.92, -0.12],
    [0.7, 0.85],
    [-0.7, 0.85],
    [-0.92, -0.12],
];
const CAR: [[f32; 2]; 8] = [
    [-0.95, 0.45],
    [-0.95, 0.0],
    [-0.55, -0.05],
    [-0.35, -0.5],
    [0.35, -0.5],
    [0.6, -0.05],
    [0.97, 0.05],
    [0.97, 0.45],
];
const TREE: [[f32; 2]; 11] = [
    [0.0, -1.0],
    [0.5, -0.35],
    [0.28, -0.35],
    [0.75, 0.35],
    [0.16, 0.35],
    [0.16, 0.95],
    [-0.16, 0.95],
    [-0.16, 0.35],
    [-0.75, 0.35],
    [-0.28, -0.35],
    [-0.5, -0.35],
];
const FISH: [[f32; 2]; 8] =
    [[-0.95, -0.5], [-0.5, -0.12], [0.0, -0.52], [0.6, -0.36], [0.97, 0.0], [0.5, 0.42], [0.0, 0.52], [-0.95, 0.5]];
const BOAT: [[f32; 2]; 9] = [
    [0.0, -1.0],
    [0.62, 0.15],
    [0.06, 0.15],
    [0.06, 0.3],
    [0.95, 0.3],
    [0.62, 0.8],
    [-0.62, 0.8],
    [-0.95, 0.3],
    [-0.06, 0.3],
];

/// Signed distances (negative inside) from points to a shape that fills about the unit circle, upright.
pub fn distance(shape: Shape, x: &Lanes, y: &Lanes) -> Lanes {
    match shape {
        Shape::Disc => each(|i| length(x[i], y[i]) - 0.9),
        Shape::Square => each(|i| boxed(x[i], y[i], 0.78, 0.78)),
        Shape::Triangle => polygon(&TRIANGLE, x, y),
        Shape::Star => polygon(&STAR, x, y),
        Shape::Cross => each(|i| boxed(x[i], y[i], 0.9, 0.3).min(boxed(x[i], y[i], 0.3, 0.9))),
        Shape::Ring => each(|i| (length(x[i], y[i]) - 0.68).abs() - 0.24),
        Shape::Heart => each(|i| heart(x[i], y[i])),
        Shape::Crescent => each(|i| (length(x[i], y[i]) - 0.95).max(0.72 - length(x[i] - 0.5, y[i]))),
        Shape::Diamond => each(|i| (x[i].abs() / 0.65 + y[i].abs() / 0.97 - 1.0) * 0.54),
        Shape::Hexagon => each(|i| y[i].abs().max(x[i].abs() * 0.866_025_4 + y[i].abs() * 0.5) - 0.82),
        Shape::Arrow => polygon(&ARROW, x, y),
        Shape::Cup => polygon(&CUP, x, y),
        Shape::Bottle => polygon(&BOTTLE, x, y),
        Shape::House => polygon(&HOUSE, x, y),
        Shape::Car => {
            let body = polygon(&CAR, x, y);
            let wheel = |x: f32, y: f32, at: f32| length(x - at, y - 0.5) - 0.24;
            each(|i| body[i].min(wheel(x[i], y[i], -0.5)).min(wheel(x[i], y[i], 0.52)))
        }
        Shape::Tree => polygon(&TREE, x, y),
        Shape::Fish => polygon(&FISH, x, y),
        // Two circles meet in two points.
        Shape::Leaf => each(|i| length(x[i] - 0.55, y[i]).max(length(x[i] + 0.55, y[i])) - 1.1),
        Shape::Boat => polygon(&BOAT, x, y),
    }
}

fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

fn boxed(x: f32, y: f32, half_width: f32, half_height: f32) -> f32 {
    let (dx, dy) = (x.abs() - half_width, y.abs() - half_height);
    length(dx.max(0.0), dy.max(0.0)) + dx.max(dy).min(0.0)
}

fn heart(x: f32, y: f32) -> f32 {
    const SCALE: f32 = 0.62;
    let (x, y) = (x.abs() * SCALE, 0.55 - y * SCALE);
    let lobe = length(x - 0.25, y - 0.75) - 0.353_553_4;
    let foot = 0.5 * (x + y).max(0.0);
    let side = length(x, y - 1.0).min(length(x - foot, y - foot)) * (x - y).signum();
    let away = if x + y > 1.0 { lobe } else { side };
    away / SCALE
}

fn polygon<const CORNERS: usize>(corners: &[[f32; 2]; CORNERS], x: &Lanes, y: &Lanes) -> Lanes {
    let mut nearest = [f32::MAX; LANES];
    let mut side = [1.0_f32; LANES];
    let mut from = corners[CORNERS - 1];
    for &to in corners {
        let (ex, ey) = (to[0] - from[0], to[1] - from[1]);
        for i in 0..LANES {
            let (wx, wy) = (x[i] - from[0], y[i] - from[1]);
            let along = ((wx * ex + wy * ey) / (ex * ex + ey * ey)).clamp(0.0, 1.0);
            let (bx, by) = (wx - ex * along, wy - ey * along);
            nearest[i] = nearest[i].min(bx * bx + by * by);
            // Where the edge is level, the first condition is false and the division by 0 does not matter.
            let crossed = ((from[1] > y[i]) != (to[1] > y[i])) & (x[i] < from[0] + ex * wy / ey);
            side[i] = if crossed { -side[i] } else { side[i] };
        }
        from = to;
    }
    each(|i| side[i] * nearest[i].sqrt())
}

/// The largest whole number up to `x`, for up to 4 million; `f32::floor` is a call on processors before SSE4.
fn floor(x: f32) -> f32 {
    // Floats of this size are whole numbers.
    const WHOLE: f32 = 12_582_912.0;
    let rounded = (x + WHOLE) - WHOLE;
    if rounded > x { rounded - 1.0 } else { rounded }
}

/// Signed distance to the edge of the nearest stripe; stripes and gaps are `period / 2` wide.
#[inline]
pub fn stripe(x: f32, period: f32) -> f32 {
    let turn = x / period;
    ((turn - floor(turn) - 0.5).abs() - 0.25) * period
}

/// Signed distance to the edge of the nearest field of a checkerboard.
#[inline]
pub fn check(x: f32, y: f32, period: f32) -> f32 {
    let (a, b) = (stripe(x, period), stripe(y, period));
    a.abs().min(b.abs()) * (a * b).signum()
}

/// Shares of the second colour at points of a texture; `pixels` is the length of one local unit.
pub fn share(texture: Texture, x: &Lanes, y: &Lanes, pixels: f32) -> Lanes {
    match texture {
        // A plain object has one half of a slightly other shade, so that its turning can be seen even on a disc.
        Texture::Plain => each(|i| 0.3 * coverage(x[i] * pixels)),
        Texture::Striped => each(|i| coverage(stripe(y[i] + 0.14, 0.62) * pixels)),
        Texture::Dotted => each(|i| {
            let (u, v) = (floor(x[i] / 0.52 + 0.5) * 0.52, floor(y[i] / 0.52 + 0.5) * 0.52);
            coverage((0.17 - length(x[i] - u, y[i] - v)) * pixels)
        }),
        Texture::Checkered => each(|i| coverage(check(x[i] + 0.2, y[i] + 0.2, 0.8) * pixels)),
    }
}

/// How much of a pixel is covered where its middle is `inside` pixels within an edge.
#[inline]
pub fn coverage(inside: f32) -> f32 {
    (inside + 0.5).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_in_motion_shapes_fill_the_unit_circle_and_stay_inside() {
        for shape in Shape::ALL {
            let row = |i: i32| each(|lane| (i + lane as i32) as f32 / 20.0);
            let rows =
                (-30..=30).flat_map(|j| (-32..32).step_by(LANES).map(move |i| (row(i), [j as f32 / 20.0; LANES])));
            let points = rows.flat_map(|(x, y)| {
                let away = distance(shape, &x, &y);
                (0..LANES).map(move |i| (x[i], y[i], away[i]))
            });
            let inside: Vec<_> = points.filter(|(.., away)| *away < 0.0).collect();
            let area = inside.len() as f32 / 400.0;
            assert!((0.75..2.8).contains(&area), "{shape:?} {area}");
            assert!(inside.iter().all(|&(x, y, _)| length(x, y) < 1.11), "{shape:?}");
        }
    }

    #[test]
    fn shapes_in_motion_floor_is_that_of_the_standard_library() {
        for x in [0.0, 0.5, 1.0, 1.5, 2.5, 3.499_999_8, 1e-30, 7.999_999_5, 4_000_000.5] {
            assert_eq!([floor(x), floor(-x)], [x.floor(), (-x).floor()], "{x}");
        }
    }
}

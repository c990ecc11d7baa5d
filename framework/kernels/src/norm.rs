//! Layer norm over the last axis, and its gradients.

use crate::memory::buffer;
use crate::simd::{Kernel, Lanes, Level, W, run};
use rayon::prelude::*;

/// Rows of a block of work.
const ROWS: usize = 128;

struct Forward<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
    moments: &'a mut [f32],
    gamma: &'a [f32],
    beta: &'a [f32],
    epsilon: f32,
}

/// `$body` for each sixteen values of a row of `$width` values: `$i` is the first one, `$count` the number from it to
/// the end.
macro_rules! over_row {
    ($width:expr, |$i:ident, $count:ident| $body:expr) => {
        for $i in (0..$width).step_by(W) {
            let $count = $width - $i;
            $body
        }
    };
}

impl Kernel for Forward<'_> {
    type Out = ();
    #[inline(always)]
    unsafe fn call<L: Lanes>(self) {
        let Forward { x, y, moments, gamma, beta, epsilon } = self;
        let d = gamma.len();
        // Safety: offsets stay below `d` in rows of `d` values.
        unsafe {
            for ((x, y), moments) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)).zip(moments.chunks_exact_mut(2)) {
                let mut sum = L::splat(0.0);
                over_row!(d, |i, count| sum = sum.add(L::load_up_to(x.as_ptr().add(i), count)));
                let mean = sum.sum() / d as f32;
                let (mut squares, m) = (L::splat(0.0), L::splat(mean));
                over_row!(d, |i, count| {
                    let mut centred = L::load_up_to(x.as_ptr().add(i), count).sub(m);
                    if count < W {
                        // The lanes behind the end would be −mean.
                        let mut kept = [0.0; W];
                        centred.store_part(kept.as_mut_ptr(), count);
                        centred = L::load(kept.as_ptr());
                    }
                    squares = centred.fma(centred, squares)
                });
                let scale = (squares.sum() / d as f32 + epsilon).sqrt().recip();
                let s = L::splat(scale);
                over_row!(d, |i, count| {
                    let normal = L::load_up_to(x.as_ptr().add(i), count).sub(m).mul(s);
                    let gamma = L::load_up_to(gamma.as_ptr().add(i), count);
                    let beta = L::load_up_to(beta.as_ptr().add(i), count);
                    normal.fma(gamma, beta).store_up_to(y.as_mut_ptr().add(i), count)
                });
                moments[0] = mean;
                moments[1] = scale;
            }
        }
    }
}

/// x `[rows, D]`, gamma and beta `[D]` → y `[rows, D]`, and mean and 1/σ of each row, `[rows, 2]`.
///
/// # Panics
/// Where a slice has another length.
pub fn forward(level: Level, x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) -> (Vec<f32>, Vec<f32>) {
    let d = gamma.len();
    assert!(beta.len() == d && x.len().is_multiple_of(d), "sizes of a layer norm");
    // Safety: the blocks write all of both.
    let (mut y, mut moments) = unsafe { (buffer(x.len()), buffer(x.len() / d * 2)) };
    y.par_chunks_mut(ROWS * d)
        .zip(moments.par_chunks_mut(ROWS * 2))
        .zip(x.par_chunks(ROWS * d))
        .for_each(|((y, moments), x)| unsafe { run(level, Forward { x, y, moments, gamma, beta, epsilon }) });
    (y, moments)
}

struct Backward<'a> {
    x: &'a [f32],
    g: &'a [f32],
    moments: &'a [f32],
    gamma: &'a [f32],
    dx: Option<&'a mut [f32]>,
    /// Sums for gamma and for beta.
    sums: Option<&'a mut [f32]>,
}

impl Kernel for Backward<'_> {
    type Out = ();
    #[inline(always)]
    unsafe fn call<L: Lanes>(self) {
        let Backward { x, g, moments, gamma, mut dx, mut sums } = self;
        let d = gamma.len();
        // Safety: offsets stay below `d` in rows of `d` values. Lanes behind the end of g are zero, and so are products
        // with it.
        unsafe {
            for (r, moments) in moments.chunks_exact(2).enumerate() {
                let (x, g) = (x.as_ptr().add(r * d), g.as_ptr().add(r * d));
                let (m, s) = (L::splat(moments[0]), L::splat(moments[1]));
                let (mut a, mut b) = (L::splat(0.0), L::splat(0.0));
                over_row!(d, |i, count| {
                    let g = L::load_up_to(g.add(i), count);
                    let normal = L::load_up_to(x.add(i), count).sub(m).mul(s);
                    if let Some(sums) = &mut sums {
                        let (to_gamma, to_beta) = (sums.as_mut_ptr().add(i), sums.as_mut_ptr().add(d + i));
                        g.fma(normal, L::load_up_to(to_gamma, count)).store_up_to(to_gamma, count);
                        g.add(L::load_up_to(to_beta, count)).store_up_to(to_beta, count);
                    }
                    let u = g.mul(L::load_up_to(gamma.as_ptr().add(i), count));
                    a = a.add(u);
                    b = u.fma(normal, b)
                });
                let Some(dx) = &mut dx else { continue };
                let (a, b) = (L::splat(a.sum() / d as f32), L::splat(b.sum() / d as f32));
                over_row!(d, |i, count| {
                    let u = L::load_up_to(g.add(i), count).mul(L::load_up_to(gamma.as_ptr().add(i), count));
                    let normal = L::load_up_to(x.add(i), count).sub(m).mul(s);
                    u.sub(a).sub(normal.mul(b)).mul(s).store_up_to(dx.as_mut_ptr().add(r * d + i), count)
                });
            }
        }
    }
}

/// What [`backward`] is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The gradient of x.
    pub input: bool,
    /// The gradients of gamma and beta.
    pub weights: bool,
}

/// The gradients of x `[rows, D]`, and of gamma and beta `[D]`, from that of y and the moments that [`forward`]
/// returned.
///
/// # Panics
/// Where a slice has another length.
pub fn backward(
    level: Level,
    x: &[f32],
    g: &[f32],
    moments: &[f32],
    gamma: &[f32],
    wanted: Wanted,
) -> (Option<Vec<f32>>, Option<[Vec<f32>; 2]>) {
    let d = gamma.len();
    assert!(x.len() == g.len() && x.len() == moments.len() / 2 * d, "sizes of a layer norm");
    // Safety: the blocks write all of it.
    let mut dx = unsafe { buffer(if wanted.input { x.len() } else { 0 }) };
    let blocks = (x.len() / d).div_ceil(ROWS);
    let mut sums = vec![0.0; if wanted.weights { blocks * 2 * d } else { 0 }];
    // A list with as many places as blocks, also where there is nothing to write.
    let places = |values: &mut Vec<f32>, size: usize| -> Vec<Option<*mut [f32]>> {
        let mut found: Vec<_> = values.chunks_mut(size).map(|part| Some(part as *mut [f32])).collect();
        found.resize(blocks, None);
        found
    };
    struct Place(Option<*mut [f32]>, Option<*mut [f32]>);
    // Safety: each part of both vectors is in one place only.
    unsafe impl Send for Place {}
    let places: Vec<Place> =
        places(&mut dx, ROWS * d).into_iter().zip(places(&mut sums, 2 * d)).map(|(dx, sums)| Place(dx, sums)).collect();
    places
        .into_par_iter()
        .zip(moments.par_chunks(ROWS * 2))
        .zip(x.par_chunks(ROWS * d))
        .zip(g.par_chunks(ROWS * d))
        .for_each(|(((place, moments), x), g)| {
            let Place(dx, sums) = place;
            // Safety: both vectors outlive the loop, and nobody else has these parts.
            let (dx, sums) = unsafe { (dx.map(|part| &mut *part), sums.map(|part| &mut *part)) };
            unsafe { run(level, Backward { x, g, moments, gamma, dx, sums }) }
        });
    let weights = wanted.weights.then(|| {
        let mut total = crate::linear::column_sums(level, &sums, 2 * d, 1.0);
        let beta = total.split_off(d);
        [total, beta]
    });
    (wanted.input.then_some(dx), weights)
}

//! y = x W + b (+ residual), and its gradients.

use crate::memory::In;
use crate::product::{AsItIs, Finish, Matrix, product};
use crate::simd::{Kernel, Lanes, Level, W, run};
use rayon::prelude::*;

/// Rows that one sum of columns covers before the sums of several are added.
const ROWS: usize = 256;
/// Terms of one part of a weight gradient that has few elements.
const TERMS: usize = 2048;

/// Adds a bias and a residual, and multiplies first.
#[derive(Clone, Copy)]
pub struct Add {
    /// Factor on the sum and on the bias.
    pub scale: f32,
    /// One value for each column.
    pub bias: Option<In>,
    /// Values of the result's shape, rows of `width`.
    pub residuals: [Option<In>; 2],
    /// Columns of the result.
    pub width: usize,
}

impl Finish for Add {
    #[inline(always)]
    unsafe fn finish<L: Lanes>(self, sum: L, row: usize, column: usize, count: usize) -> L {
        unsafe {
            let mut y = sum;
            if let Some(bias) = self.bias {
                y = y.add(L::load_up_to(bias.at(column), count));
            }
            if self.scale != 1.0 {
                y = y.mul(L::splat(self.scale));
            }
            for residual in self.residuals.into_iter().flatten() {
                y = y.add(L::load_up_to(residual.at(row * self.width + column), count));
            }
            y
        }
    }
}

/// Sizes of a linear layer.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Rows of x.
    pub rows: usize,
    /// Values of a row of x.
    pub inputs: usize,
    /// Values of a row of y.
    pub outputs: usize,
}

/// x `[rows, inputs]`, w `[inputs, outputs]`, bias `[outputs]`, residual `[rows, outputs]` → `[rows, outputs]`.
///
/// # Panics
/// Where a slice has another length.
pub fn forward(
    level: Level,
    s: Sizes,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
) -> Vec<f32> {
    let Sizes { rows, inputs, outputs } = s;
    assert!(x.len() == rows * inputs && w.len() == inputs * outputs, "sizes of a linear layer");
    assert!(bias.is_none_or(|bias| bias.len() == outputs), "size of a bias");
    assert!(residual.is_none_or(|residual| residual.len() == rows * outputs), "size of a residual");
    let add = Add { scale: 1.0, bias: bias.map(In::new), residuals: [residual.map(In::new), None], width: outputs };
    // Safety: the sizes were checked.
    unsafe { product(level, [rows, outputs, inputs], Matrix::rows(x, inputs), Matrix::rows(w, outputs), add) }
}

/// dx = g Wᵀ, from g `[rows, outputs]`.
///
/// # Panics
/// Where a slice has another length.
pub fn input_gradient(level: Level, s: Sizes, g: &[f32], w: &[f32]) -> Vec<f32> {
    let Sizes { rows, inputs, outputs } = s;
    assert!(g.len() == rows * outputs && w.len() == inputs * outputs, "sizes of a linear layer");
    // Safety: the sizes were checked.
    unsafe {
        product(level, [rows, inputs, outputs], Matrix::rows(g, outputs), Matrix::rows(w, outputs).transposed(), AsItIs)
    }
}

/// dW = xᵀ g · scale, `[inputs, outputs]`.
///
/// # Panics
/// Where a slice has another length.
pub fn weight_gradient(level: Level, s: Sizes, x: &[f32], g: &[f32], scale: f32) -> Vec<f32> {
    let Sizes { rows, inputs, outputs } = s;
    assert!(x.len() == rows * inputs && g.len() == rows * outputs, "sizes of a linear layer");
    let add = Add { scale, bias: None, residuals: [None, None], width: outputs };
    // Parts of the rows side by side, so that few elements with long sums do not wait for one thread.
    let part = |(x, g): (&[f32], &[f32])| {
        let rows = g.len() / outputs;
        // Safety: the parts have the same number of rows.
        unsafe {
            product(level, [inputs, outputs, rows], Matrix::rows(x, inputs).transposed(), Matrix::rows(g, outputs), add)
        }
    };
    if rows <= TERMS || inputs * outputs > 1 << 18 {
        return part((x, g));
    }
    let parts: Vec<Vec<f32>> = x.par_chunks(TERMS * inputs).zip(g.par_chunks(TERMS * outputs)).map(part).collect();
    let mut parts = parts.into_iter();
    let mut sum = parts.next().expect("there are rows");
    for part in parts {
        sum.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
    sum
}

struct AddRows<'a>(&'a [f32], &'a mut [f32]);
impl Kernel for AddRows<'_> {
    type Out = ();
    #[inline(always)]
    unsafe fn call<L: Lanes>(self) {
        let width = self.1.len();
        for row in self.0.chunks_exact(width) {
            for c in (0..width).step_by(W) {
                let count = width - c;
                // Safety: at most `count` values of the row and of the sums are touched.
                unsafe {
                    let to = self.1.as_mut_ptr().add(c);
                    let sum = L::load_up_to(to, count).add(L::load_up_to(row.as_ptr().add(c), count));
                    sum.store_up_to(to, count);
                }
            }
        }
    }
}

/// Sums of the columns of `[rows, width]`, times `scale`: the gradient of a bias.
pub fn column_sums(level: Level, values: &[f32], width: usize, scale: f32) -> Vec<f32> {
    let add = |values: &[f32], sums: &mut [f32]| unsafe { run(level, AddRows(values, sums)) };
    let parts: Vec<Vec<f32>> = values
        .par_chunks(ROWS * width)
        .map(|part| {
            let mut sums = vec![0.0; width];
            add(part, &mut sums);
            sums
        })
        .collect();
    let mut total = vec![0.0; width];
    for part in parts {
        add(&part, &mut total);
    }
    if scale != 1.0 {
        total.iter_mut().for_each(|value| *value *= scale);
    }
    total
}

//! Two linear layers with an activation between them, and their gradients.

use crate::linear::{Add, Sizes, column_sums, weight_gradient};
use crate::math::{Activation, activate, with_slope};
use crate::memory::{In, Out, Scratch, buffer};
use crate::product::{Finish, Matrix, Packed, blocks};
use crate::simd::{Lanes, Level};

/// Sizes and constants of the layer.
#[derive(Clone, Copy, Debug)]
pub struct FeedForward {
    /// Rows of x.
    pub rows: usize,
    /// Values of a row of x and of y.
    pub width: usize,
    /// Values between the two layers.
    pub hidden: usize,
    /// What stands between them.
    pub activation: Activation,
    /// Factor on what is added.
    pub scale: f32,
    /// Whether x itself is added.
    pub skip: bool,
}

/// Weights `[width, hidden]`, `[hidden]`, `[hidden, width]`, `[width]`.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    /// First layer.
    pub w1: &'a [f32],
    /// Its bias.
    pub b1: &'a [f32],
    /// Second layer.
    pub w2: &'a [f32],
    /// Its bias.
    pub b2: &'a [f32],
}

/// Adds the bias, keeps the sum, and applies the activation.
#[derive(Clone, Copy)]
struct Activate {
    activation: Activation,
    bias: In,
    /// Where x W1 + b1 is kept, rows of `width`.
    kept: Option<Out>,
    width: usize,
}

impl Finish for Activate {
    #[inline(always)]
    unsafe fn finish<L: Lanes>(self, sum: L, row: usize, column: usize, count: usize) -> L {
        unsafe {
            let h = sum.add(L::load_up_to(self.bias.at(column), count));
            if let Some(kept) = self.kept {
                h.store_up_to(kept.at(row * self.width + column), count);
            }
            activate(self.activation, h)
        }
    }
}

/// Multiplies the gradient behind the activation by its slope at the kept sum, and writes the activation where it is
/// wanted.
#[derive(Clone, Copy)]
struct Slope {
    activation: Activation,
    kept: In,
    scale: f32,
    active: Option<Out>,
    width: usize,
}

impl Finish for Slope {
    #[inline(always)]
    unsafe fn finish<L: Lanes>(self, sum: L, row: usize, column: usize, count: usize) -> L {
        unsafe {
            let at = row * self.width + column;
            let (y, slope) = with_slope(self.activation, L::load_up_to(self.kept.at(at), count));
            if let Some(active) = self.active {
                y.store_up_to(active.at(at), count);
            }
            sum.mul(slope).mul(L::splat(self.scale))
        }
    }
}

fn check(f: FeedForward, x: &[f32], w: Weights) {
    let FeedForward { rows, width, hidden, .. } = f;
    assert!(
        x.len() == rows * width && w.w1.len() == width * hidden && w.w2.len() == width * hidden,
        "sizes of a feed-forward layer"
    );
    assert!(w.b1.len() == hidden && w.b2.len() == width, "sizes of its biases");
}

/// y = scale · (act(x W1 + b1) W2 + b2) (+ x) (+ residual), `[rows, width]`; and x W1 + b1 `[rows, hidden]` where it is
/// kept.
///
/// # Panics
/// Where a slice has another length.
pub fn forward(
    level: Level,
    f: FeedForward,
    x: &[f32],
    w: Weights,
    residual: Option<&[f32]>,
    keep: bool,
) -> (Vec<f32>, Option<Vec<f32>>) {
    check(f, x, w);
    let FeedForward { rows, width, hidden, activation, scale, skip } = f;
    assert!(residual.is_none_or(|residual| residual.len() == x.len()), "size of a residual");
    // Safety: the sizes were checked; the blocks cover all rows, and each writes its own.
    unsafe {
        let mut y = buffer(rows * width);
        let mut h = keep.then(|| buffer(rows * hidden));
        let (to, kept) = (Out::new(&mut y), h.as_mut().map(|h| Out::new(h)));
        let first = Packed::new(level, Matrix::rows(w.w1, hidden), width, hidden);
        let second = Packed::new(level, Matrix::rows(w.w2, width), hidden, width);
        let activate = Activate { activation, bias: In::new(w.b1), kept, width: hidden };
        let residuals = [residual.map(In::new), skip.then(|| In::new(x))];
        let add = Add { scale, bias: Some(In::new(w.b2)), residuals, width };
        blocks(rows, 2 * rows * width * hidden, |from, count| {
            let mut active = Scratch::new(count * hidden);
            let rows = Matrix::rows(&x[from * width..], width);
            first.multiply(from, count, rows, active.as_mut_ptr(), hidden, activate);
            second.multiply(from, count, Matrix::rows(&active, hidden), to.at(from * width), width, add);
        });
        (y, h)
    }
}

/// Gradients of the layer.
pub struct Gradients {
    /// Of x, `[rows, width]`.
    pub input: Option<Vec<f32>>,
    /// Of w1, b1, w2, b2.
    pub weights: Option<[Vec<f32>; 4]>,
}

/// The gradients from that of y; `h` is x W1 + b1.
///
/// # Panics
/// Where a slice has another length.
pub fn backward(
    level: Level,
    f: FeedForward,
    x: &[f32],
    h: &[f32],
    w: Weights,
    g: &[f32],
    [of_input, of_weights]: [bool; 2],
) -> Gradients {
    check(f, x, w);
    let FeedForward { rows, width, hidden, activation, scale, skip } = f;
    assert!(g.len() == x.len() && h.len() == rows * hidden, "sizes of a feed-forward layer");
    // Safety: the sizes were checked; the blocks cover all rows, and each writes its own.
    unsafe {
        let mut dx = of_input.then(|| buffer(rows * width));
        let mut whole = of_weights.then(|| [buffer(rows * hidden), buffer(rows * hidden)]);
        let to = dx.as_mut().map(|dx| Out::new(dx));
        let outs = whole.as_mut().map(|whole| whole.each_mut().map(|values| Out::new(values)));
        let second = Packed::new(level, Matrix::rows(w.w2, width).transposed(), width, hidden);
        let first = of_input.then(|| Packed::new(level, Matrix::rows(w.w1, hidden).transposed(), hidden, width));
        let products = 1 + usize::from(of_input);
        blocks(rows, products * rows * width * hidden, |from, count| {
            let size = count * hidden;
            let mut slopes = Scratch::new(size);
            let kept = &h[from * hidden..];
            let active = outs.map(|[active, _]| Out::from_raw(active.at(from * hidden)));
            let dh = outs.map_or(slopes.as_mut_ptr(), |[_, dh]| dh.at(from * hidden));
            let slope = Slope { activation, kept: In::new(kept), scale, active, width: hidden };
            second.multiply(0, count, Matrix::rows(&g[from * width..], width), dh, hidden, slope);
            if let (Some(first), Some(to)) = (&first, to) {
                let residuals = [skip.then(|| In::new(&g[from * width..])), None];
                let add = Add { scale: 1.0, bias: None, residuals, width };
                let dh = Matrix::rows(std::slice::from_raw_parts(dh, size), hidden);
                first.multiply(0, count, dh, to.at(from * width), width, add);
            }
        });
        let weights = whole.map(|[active, dh]| {
            let up = Sizes { rows, inputs: hidden, outputs: width };
            let down = Sizes { rows, inputs: width, outputs: hidden };
            [
                weight_gradient(level, down, x, &dh, 1.0),
                column_sums(level, &dh, hidden, 1.0),
                weight_gradient(level, up, &active, g, scale),
                column_sums(level, g, width, scale),
            ]
        });
        Gradients { input: dx, weights }
    }
}

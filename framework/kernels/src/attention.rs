//! softmax(q kᵀ / √d + mask) v for all heads, and its gradients. The backward pass computes the weights again, so that
//! nothing of the size of the scores is kept.

use crate::math::exp;
use crate::memory::{In, Out, Scratch, buffer};
use crate::simd::{Kernel, Lanes, Level, W, run, turn};
use rayon::prelude::*;

/// Multiply-adds below which threads cost more than they help.
const SMALL: usize = 1 << 17;

/// Sizes of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Sequences.
    pub batch: usize,
    /// Tokens that ask, in each sequence.
    pub queries: usize,
    /// Tokens that are asked.
    pub keys: usize,
    /// Width D of all heads together.
    pub width: usize,
    /// Number of heads; divides D.
    pub heads: usize,
}

impl Shape {
    fn head(&self) -> usize {
        self.width / self.heads
    }

    /// Places for a row of scores.
    fn padded(&self) -> usize {
        self.keys.next_multiple_of(W)
    }

    /// Values of a query and of a key.
    fn sizes(&self) -> [usize; 2] {
        [self.batch * self.queries * self.width, self.batch * self.keys * self.width]
    }
}

/// Tokens of width D that are part of longer rows.
#[derive(Clone, Copy)]
pub struct Tokens<'a> {
    values: &'a [f32],
    offset: usize,
    stride: usize,
}

impl<'a> Tokens<'a> {
    /// Column block `part` of `parts` in rows of `parts` · `width` values.
    ///
    /// # Panics
    /// Where there is no such part.
    pub fn part(values: &'a [f32], width: usize, part: usize, parts: usize) -> Self {
        assert!(part < parts && values.len().is_multiple_of(parts * width), "parts of a row");
        Self { values, offset: part * width, stride: parts * width }
    }

    fn rows(&self) -> usize {
        self.values.len() / self.stride
    }
}

/// The same where they are written.
#[derive(Clone, Copy)]
struct Place {
    start: Out,
    offset: usize,
    stride: usize,
}

#[derive(Clone, Copy)]
struct Mat {
    start: *const f32,
    row: usize,
    column: usize,
}

/// `R` rows and `V` · 16 columns of c = scale · a b, the last vector of `count` lanes.
#[inline(always)]
unsafe fn tile<L: Lanes, const R: usize, const V: usize>(
    inner: usize,
    a: Mat,
    b: (*const f32, usize),
    c: (*mut f32, usize),
    count: usize,
    scale: f32,
) {
    unsafe {
        let mut sums = [[L::splat(0.0); V]; R];
        for k in 0..inner {
            let mut row = [L::splat(0.0); V];
            for (v, row) in row.iter_mut().enumerate() {
                let from = b.0.add(k * b.1 + v * W);
                *row = if v + 1 < V { L::load(from) } else { L::load_up_to(from, count) };
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let value = L::splat(*a.start.add(r * a.row + k * a.column));
                for (sum, row) in sums.iter_mut().zip(row) {
                    *sum = value.fma(row, *sum);
                }
            }
        }
        let scale = L::splat(scale);
        for (r, sums) in sums.into_iter().enumerate() {
            for (v, sum) in sums.into_iter().enumerate() {
                let (to, y) = (c.0.add(r * c.1 + v * W), sum.mul(scale));
                if v + 1 < V {
                    y.store(to)
                } else {
                    y.store_up_to(to, count)
                };
            }
        }
    }
}

/// c [rows, columns] = scale · a [rows, inner] · b [inner, columns]; columns stand side by side in b and c.
#[inline(always)]
unsafe fn product<L: Lanes>(
    [rows, columns, inner]: [usize; 3],
    a: Mat,
    b: (*const f32, usize),
    c: (*mut f32, usize),
    scale: f32,
) {
    unsafe {
        let mut column = 0;
        while column < columns {
            let left = columns - column;
            let wide = L::VECTORS == 2 && left > W;
            let lanes = if wide { left.min(2 * W) } else { left.min(W) };
            let count = if wide { lanes - W } else { lanes };
            let mut row = 0;
            while row < rows {
                let a = Mat { start: a.start.add(row * a.row), ..a };
                let (b, c) = ((b.0.add(column), b.1), (c.0.add(row * c.1 + column), c.1));
                // The fewer rows a tile has, the longer it waits for each sum.
                macro_rules! rows {
                    ($rows:literal, $vectors:literal) => {{
                        tile::<L, $rows, $vectors>(inner, a, b, c, count, scale);
                        $rows
                    }};
                }
                row += match (rows - row, wide) {
                    (12.., true) => rows!(12, 2),
                    (6.., true) => rows!(6, 2),
                    (3.., true) => rows!(3, 2),
                    (_, true) => rows!(1, 2),
                    (12.., false) if L::ROWS == 12 => rows!(12, 1),
                    (6.., false) => rows!(6, 1),
                    (3.., false) => rows!(3, 1),
                    (_, false) => rows!(1, 1),
                };
            }
            column += lanes;
        }
    }
}

/// Rows of `columns` values `stride` apart → [columns, padded], with zeros behind the rows.
#[inline(always)]
unsafe fn transpose<L: Lanes>(
    from: *const f32,
    stride: usize,
    [rows, columns]: [usize; 2],
    padded: usize,
    to: *mut f32,
) {
    unsafe {
        turn::<L>(from, stride, [rows, columns], to, padded);
        for column in 0..columns {
            for row in rows..padded {
                *to.add(column * padded + row) = 0.0;
            }
        }
    }
}

/// One sequence and head.
#[derive(Clone, Copy)]
struct Head {
    shape: Shape,
    q: (*const f32, usize),
    k: (*const f32, usize),
    v: (*const f32, usize),
    /// `[queries, keys]`, added to the scores.
    mask: Option<In>,
}

impl Head {
    /// Softmax of the scores, `[queries, padded]`, with zeros behind the keys. `turned` is room for the keys.
    #[inline(always)]
    unsafe fn weights<L: Lanes>(self, turned: *mut f32, p: *mut f32) {
        let Shape { queries, keys, .. } = self.shape;
        let (head, padded) = (self.shape.head(), self.shape.padded());
        unsafe {
            transpose::<L>(self.k.0, self.k.1, [keys, head], padded, turned);
            let q = Mat { start: self.q.0, row: self.q.1, column: 1 };
            let scale = (head as f32).powf(-0.5);
            product::<L>([queries, padded, head], q, (turned, padded), (p, padded), scale);
            // What `exp` gives for scores far below the highest: such a weight is zero.
            let floor = exp(L::splat(f32::MIN));
            for row in 0..queries {
                let p = p.add(row * padded);
                if let Some(mask) = self.mask {
                    let mask = mask.at(row * keys);
                    for i in (0..keys).step_by(W) {
                        let sum = L::load(p.add(i)).add(L::load_up_to(mask.add(i), keys - i));
                        sum.store(p.add(i));
                    }
                }
                (keys..padded).for_each(|i| *p.add(i) = f32::NEG_INFINITY);
                let mut high = L::load(p);
                for i in (W..padded).step_by(W) {
                    high = high.max(L::load(p.add(i)));
                }
                let high = L::splat(high.highest());
                let mut sum = L::splat(0.0);
                for i in (0..padded).step_by(W) {
                    let e = exp(L::load(p.add(i)).sub(high)).sub(floor);
                    e.store(p.add(i));
                    sum = sum.add(e);
                }
                let scale = L::splat(1.0 / sum.sum());
                for i in (0..padded).step_by(W) {
                    L::load(p.add(i)).mul(scale).store(p.add(i));
                }
            }
        }
    }
}

struct Forward {
    head: Head,
    turned: *mut f32,
    p: *mut f32,
    out: (*mut f32, usize),
}

impl Kernel for Forward {
    type Out = ();
    #[inline(always)]
    unsafe fn call<L: Lanes>(self) {
        let Shape { queries, keys, .. } = self.head.shape;
        let (head, padded) = (self.head.shape.head(), self.head.shape.padded());
        unsafe {
            self.head.weights::<L>(self.turned, self.p);
            let p = Mat { start: self.p, row: padded, column: 1 };
            product::<L>([queries, head, keys], p, self.head.v, self.out, 1.0);
        }
    }
}

struct Backward {
    head: Head,
    turned: *mut f32,
    p: *mut f32,
    dp: *mut f32,
    g: (*const f32, usize),
    dq: (*mut f32, usize),
    dk: (*mut f32, usize),
    dv: (*mut f32, usize),
}

impl Kernel for Backward {
    type Out = ();
    #[inline(always)]
    unsafe fn call<L: Lanes>(self) {
        let Shape { queries, keys, .. } = self.head.shape;
        let (head, padded) = (self.head.shape.head(), self.head.shape.padded());
        let Head { q, k, v, .. } = self.head;
        unsafe {
            self.head.weights::<L>(self.turned, self.p);
            transpose::<L>(v.0, v.1, [keys, head], padded, self.turned);
            let g = Mat { start: self.g.0, row: self.g.1, column: 1 };
            product::<L>([queries, padded, head], g, (self.turned, padded), (self.dp, padded), 1.0);
            let across = Mat { start: self.p, row: 1, column: padded };
            product::<L>([keys, head, queries], across, self.g, self.dv, 1.0);
            // The softmax: ds = p (dp − Σ p dp).
            for row in 0..queries {
                let (p, dp) = (self.p.add(row * padded), self.dp.add(row * padded));
                let mut sum = L::splat(0.0);
                for i in (0..padded).step_by(W) {
                    sum = L::load(p.add(i)).fma(L::load(dp.add(i)), sum);
                }
                let sum = L::splat(sum.sum());
                for i in (0..padded).step_by(W) {
                    L::load(p.add(i)).mul(L::load(dp.add(i)).sub(sum)).store(p.add(i));
                }
            }
            let scale = (head as f32).powf(-0.5);
            let along = Mat { start: self.p, row: padded, column: 1 };
            product::<L>([queries, head, keys], along, k, self.dq, scale);
            product::<L>([keys, head, queries], across, q, self.dk, scale);
        }
    }
}

/// What every sequence and head reads.
#[derive(Clone, Copy)]
struct Inputs {
    shape: Shape,
    q: (In, usize, usize),
    k: (In, usize, usize),
    v: (In, usize, usize),
    mask: Option<In>,
}

impl Inputs {
    fn new(shape: Shape, q: Tokens, k: Tokens, v: Tokens, mask: Option<&[f32]>) -> Self {
        let Shape { batch, queries, keys, width, heads } = shape;
        assert!(heads > 0 && width.is_multiple_of(heads) && keys > 0, "heads of an attention");
        assert!(
            q.rows() == batch * queries && k.rows() == batch * keys && v.rows() == batch * keys,
            "tokens of an attention"
        );
        assert!(mask.is_none_or(|mask| mask.len() == queries * keys), "size of a mask");
        let of = |tokens: Tokens| (In::new(tokens.values), tokens.offset, tokens.stride);
        Self { shape, q: of(q), k: of(k), v: of(v), mask: mask.map(In::new) }
    }

    /// # Safety
    /// There is such a sequence and head.
    unsafe fn head(self, sequence: usize, head: usize) -> Head {
        let at = |(start, offset, stride): (In, usize, usize), rows: usize| unsafe {
            (start.at(sequence * rows * stride + offset + head * self.shape.head()), stride)
        };
        let Shape { queries, keys, .. } = self.shape;
        Head { shape: self.shape, q: at(self.q, queries), k: at(self.k, keys), v: at(self.v, keys), mask: self.mask }
    }
}

/// `work(sequence, head)` for all of them, side by side.
fn all_heads(shape: Shape, work: impl Fn(usize, usize) + Sync) {
    let Shape { batch, queries, keys, width, heads } = shape;
    let one = |i: usize| work(i / heads, i % heads);
    if batch * queries * keys * width < SMALL {
        (0..batch * heads).for_each(one);
    } else {
        (0..batch * heads).into_par_iter().with_min_len(heads.min(4)).for_each(one);
    }
}

/// q `[batch, queries, D]`, k and v `[batch, keys, D]`, mask `[queries, keys]` → `[batch, queries, D]`.
///
/// # Panics
/// Where a slice has another length.
pub fn forward(level: Level, shape: Shape, q: Tokens, k: Tokens, v: Tokens, mask: Option<&[f32]>) -> Vec<f32> {
    let inputs = Inputs::new(shape, q, k, v, mask);
    let (padded, width) = (shape.padded(), shape.width);
    // Safety: all sizes were checked; each sequence and head writes columns of its own, and together they write all.
    unsafe {
        let mut out = buffer(shape.sizes()[0]);
        let to = Out::new(&mut out);
        all_heads(shape, |sequence, head| {
            let (turned, p) = (shape.head() * padded, shape.queries * padded);
            let mut scratch = Scratch::new(turned + p);
            let (turned, p) = scratch.split_at_mut(turned);
            let out = (to.at(sequence * shape.queries * width + head * shape.head()), width);
            let head = inputs.head(sequence, head);
            run(level, Forward { head, turned: turned.as_mut_ptr(), p: p.as_mut_ptr(), out });
        });
        out
    }
}

/// Where the gradients of q, k and v go.
struct Places {
    q: Place,
    k: Place,
    v: Place,
}

unsafe fn backward_into(level: Level, inputs: Inputs, g: &[f32], to: Places) {
    let shape = inputs.shape;
    assert_eq!(g.len(), shape.sizes()[0], "size of a gradient");
    let (padded, width, g) = (shape.padded(), shape.width, In::new(g));
    let Places { q, k, v } = to;
    // Safety: all sizes were checked; each sequence and head writes columns of its own.
    all_heads(shape, |sequence, head| unsafe {
        let (turned, p) = (shape.head() * padded, shape.queries * padded);
        let mut scratch = Scratch::new(turned + 2 * p);
        let (turned, both) = scratch.split_at_mut(turned);
        let (p, dp) = both.split_at_mut(p);
        let column = head * shape.head();
        let at = |place: Place, rows: usize| {
            (place.start.at(sequence * rows * place.stride + place.offset + column), place.stride)
        };
        let backward = Backward {
            head: inputs.head(sequence, head),
            turned: turned.as_mut_ptr(),
            p: p.as_mut_ptr(),
            dp: dp.as_mut_ptr(),
            g: (g.at(sequence * shape.queries * width + column), width),
            dq: at(q, shape.queries),
            dk: at(k, shape.keys),
            dv: at(v, shape.keys),
        };
        run(level, backward);
    });
}

/// Self-attention from packed q, k, v `[batch, n, 3 D]`: the gradient of all three, `[batch, n, 3 D]`, from g `[batch,
/// n, D]`.
///
/// # Panics
/// Where a slice has another length.
pub fn backward_packed(level: Level, shape: Shape, qkv: &[f32], mask: Option<&[f32]>, g: &[f32]) -> Vec<f32> {
    let d = shape.width;
    let part = |i| Tokens::part(qkv, d, i, 3);
    let inputs = Inputs::new(shape, part(0), part(1), part(2), mask);
    assert_eq!(shape.queries, shape.keys, "tokens of a self-attention");
    // Safety: the three parts of each row are written.
    unsafe {
        let mut out = buffer(qkv.len());
        let start = Out::new(&mut out);
        let place = |i| Place { start, offset: i * d, stride: 3 * d };
        backward_into(level, inputs, g, Places { q: place(0), k: place(1), v: place(2) });
        out
    }
}

/// Attention of q `[batch, queries, D]` over packed k, v `[batch, keys, 2 D]`: the gradients of both, from g
/// `[batch, queries, D]`.
///
/// # Panics
/// Where a slice has another length.
pub fn backward_cross(
    level: Level,
    shape: Shape,
    q: &[f32],
    kv: &[f32],
    mask: Option<&[f32]>,
    g: &[f32],
) -> [Vec<f32>; 2] {
    let d = shape.width;
    let inputs =
        Inputs::new(shape, Tokens::part(q, d, 0, 1), Tokens::part(kv, d, 0, 2), Tokens::part(kv, d, 1, 2), mask);
    // Safety: both are written whole.
    unsafe {
        let (mut dq, mut dkv) = (buffer(q.len()), buffer(kv.len()));
        let (to_q, to_kv) = (Out::new(&mut dq), Out::new(&mut dkv));
        let place = |start, i, parts| Place { start, offset: i * d, stride: parts * d };
        let to = Places { q: place(to_q, 0, 1), k: place(to_kv, 0, 2), v: place(to_kv, 1, 2) };
        backward_into(level, inputs, g, to);
        [dq, dkv]
    }
}

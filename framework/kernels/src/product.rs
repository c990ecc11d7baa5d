//! Matrix products whose result is finished where it stands: bias, activation, residual.
//!
//! Every element is the sum over the inner index in rising order, each term added by one fused multiply-add. So it
//! depends on the shape of nothing: not on blocks, threads or the instruction set.
//!
//! The right matrix is packed once into panels of a tile's width. Blocks of rows are independent; each goes through the
//! panels with tiles of [`Lanes::ROWS`] × [`Lanes::VECTORS`] · 16 sums in registers, for at most [`INNER`] terms at a
//! time.

use crate::memory::{In, Out, Scratch, buffer};
use crate::simd::{Kernel, Lanes, Level, W, run, turn};
use rayon::prelude::*;

/// The most rows of a block of work, nearly. With 768 values each they fit the second cache beside a panel.
pub const ROWS: usize = 72;
/// Terms that a tile adds before its sums go back to memory: a panel of them fits the first cache.
const INNER: usize = 256;
/// The most rows that a tile has on any instruction set.
const MOST: usize = 12;
/// Bytes of a line of the cache.
const LINE: usize = 64;
/// Multiply-adds below which threads cost more than they help.
const SMALL: usize = 1 << 19;

/// Values in memory with the distance of one row and of one column to the next.
#[derive(Clone, Copy)]
pub struct Matrix {
    /// Row 0, column 0.
    pub start: In,
    /// From a row to the next.
    pub row: usize,
    /// From a column to the next.
    pub column: usize,
}

impl Matrix {
    /// Row after row, each of `width` values.
    pub fn rows(values: &[f32], width: usize) -> Self {
        Self { start: In::new(values), row: width, column: 1 }
    }

    /// The same memory with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }

    /// From this row on.
    unsafe fn beginning_at(self, row: usize) -> Self {
        Self { start: In::from_raw(unsafe { self.start.at(row * self.row) }), ..self }
    }

    #[inline(always)]
    unsafe fn at(self, row: usize, column: usize) -> *const f32 {
        unsafe { self.start.at(row * self.row + column * self.column) }
    }
}

/// What is done with a finished sum before it is stored.
pub trait Finish: Copy + Send + Sync {
    /// `sum` is that of columns `column..column + count` of `row`, counted in the whole result.
    ///
    /// # Safety
    /// As [`Lanes`]; row and columns are those of the result.
    unsafe fn finish<L: Lanes>(self, sum: L, row: usize, column: usize, count: usize) -> L;
}

/// Nothing.
#[derive(Clone, Copy)]
pub struct AsItIs;

impl Finish for AsItIs {
    #[inline(always)]
    unsafe fn finish<L: Lanes>(self, sum: L, _: usize, _: usize, _: usize) -> L {
        sum
    }
}

/// A right matrix [k, n] in panels [n / width, k, width], the last one filled up with zeros.
pub struct Packed {
    level: Level,
    values: Scratch,
    /// Where the panels begin.
    start: usize,
    inner: usize,
    columns: usize,
    width: usize,
}

struct Width;
impl Kernel for Width {
    type Out = usize;
    #[inline(always)]
    unsafe fn call<L: Lanes>(self) -> usize {
        L::VECTORS * W
    }
}

/// Writes rows `first..last` of all panels.
struct Pack {
    b: Matrix,
    inner: usize,
    columns: usize,
    rows: [usize; 2],
    to: Out,
}

impl Kernel for Pack {
    type Out = ();
    #[inline(always)]
    unsafe fn call<L: Lanes>(self) {
        let Self { b, inner, columns, rows: [first, last], to } = self;
        let width = L::VECTORS * W;
        // Safety: rows, columns and panels are those of the matrix.
        unsafe {
            for panel in 0..columns.div_ceil(width) {
                let from = panel * width;
                let count = width.min(columns - from);
                let to = to.at((panel * inner + first) * width);
                if b.column == 1 {
                    for k in first..last {
                        std::ptr::copy_nonoverlapping(b.at(k, from), to.add((k - first) * width), count);
                    }
                } else if b.row == 1 {
                    turn::<L>(b.at(first, from), b.column, [count, last - first], to, width);
                } else {
                    for k in first..last {
                        for j in 0..count {
                            *to.add((k - first) * width + j) = *b.at(k, from + j);
                        }
                    }
                }
                if count < width {
                    for k in 0..last - first {
                        for j in count..width {
                            *to.add(k * width + j) = 0.0;
                        }
                    }
                }
            }
        }
    }
}

impl Packed {
    /// # Safety
    /// `b` is valid for `inner` rows and `columns` columns.
    pub unsafe fn new(level: Level, b: Matrix, inner: usize, columns: usize) -> Self {
        // Safety: the kernel only returns a constant.
        let width = unsafe { run(level, Width) };
        let size = columns.div_ceil(width) * inner * width;
        let mut values = Scratch::new(size + W);
        // Vectors that begin on a line of the cache lie in one line.
        let start = values.as_ptr().align_offset(LINE).min(W);
        let to = Out::new(&mut values[start..]);
        // Sixteen rows at a time, each read from one end to the other.
        let pack = |part: usize| {
            let rows = [part * W, inner.min(part * W + W)];
            // Safety: the parts are rows of the matrix, and each writes its own.
            unsafe { run(level, Pack { b, inner, columns, rows, to }) }
        };
        let parts = inner.div_ceil(W);
        if size < SMALL {
            (0..parts).for_each(pack);
        } else {
            (0..parts).into_par_iter().with_min_len(4).for_each(pack);
        }
        Self { level, values, start, inner, columns, width }
    }

    /// c = finish(a · b) for `rows` rows that begin with row `first` of the whole, on this thread. `a` and `c` begin
    /// there; rows of `c` are `stride` apart.
    ///
    /// # Safety
    /// `a` is valid for `rows` rows and the inner columns, and `c` for as many rows and the columns; nobody else writes
    /// there.
    pub unsafe fn multiply<F: Finish>(
        &self,
        first: usize,
        rows: usize,
        a: Matrix,
        c: *mut f32,
        stride: usize,
        finish: F,
    ) {
        let mut copied = Scratch::new((rows + MOST) * INNER.min(self.inner));
        let copied = copied.as_mut_ptr();
        unsafe { run(self.level, Multiply { packed: self, first, rows, a, c, stride, copied, finish }) }
    }
}

struct Multiply<'a, F> {
    packed: &'a Packed,
    first: usize,
    rows: usize,
    a: Matrix,
    c: *mut f32,
    stride: usize,
    /// Room for the rows and those of one tile more, side by side.
    copied: *mut f32,
    finish: F,
}

impl<F: Finish> Kernel for Multiply<'_, F> {
    type Out = ();
    #[inline(always)]
    unsafe fn call<L: Lanes>(self) {
        // The widths of tiles are constants of `L`, which stable Rust does not take as the size of an array.
        unsafe {
            match (L::ROWS, L::VECTORS) {
                (12, 2) => self.tiles::<L, 12, 2>(),
                (6, 1) => self.tiles::<L, 6, 1>(),
                _ => self.tiles::<L, 4, 1>(),
            }
        }
    }
}

impl<F: Finish> Multiply<'_, F> {
    #[inline(always)]
    unsafe fn tiles<L: Lanes, const R: usize, const V: usize>(self) {
        let Packed { values, start, inner, columns, width, .. } = self.packed;
        let (inner, columns, width) = (*inner, *columns, *width);
        let panels = columns.div_ceil(width);
        // Each tile asks for its share of the next panel.
        let share = width.div_ceil(self.rows.div_ceil(R));
        unsafe {
            let mut done = 0;
            loop {
                let terms = INNER.min(inner - done);
                let last = done + terms >= inner;
                for row in (0..self.rows).step_by(R) {
                    self.copy::<L, R>(row, done, terms, self.copied.add(row * terms));
                }
                for panel in 0..panels {
                    let b = values.as_ptr().add(start + (panel * inner + done) * width);
                    for row in (0..self.rows).step_by(R) {
                        let next = b.wrapping_add(inner * width + row / R * terms * share);
                        let tile =
                            Tile { row, column: panel * width, terms, b, next, share, begins: done == 0, ends: last };
                        self.tile::<L, R, V>(tile, self.copied.add(row * terms));
                    }
                }
                done += terms;
                if done >= inner {
                    break;
                }
            }
        }
    }

    /// The rows of a tile side by side: [terms, R], with zeros for rows that are not there.
    #[inline(always)]
    unsafe fn copy<L: Lanes, const R: usize>(&self, row: usize, done: usize, terms: usize, to: *mut f32) {
        let count = R.min(self.rows - row);
        unsafe {
            let from = self.a.at(row, done);
            if self.a.column == 1 {
                turn::<L>(from, self.a.row, [count, terms], to, R);
            } else {
                for k in 0..terms {
                    for r in 0..count {
                        *to.add(k * R + r) = *from.add(r * self.a.row + k * self.a.column);
                    }
                }
            }
            if count < R {
                for k in 0..terms {
                    for r in count..R {
                        *to.add(k * R + r) = 0.0;
                    }
                }
            }
        }
    }

    /// One tile, from its rows side by side.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const V: usize>(&self, tile: Tile, a: *const f32) {
        let Tile { row, column, terms, b, next, share, begins, ends } = tile;
        let rows = R.min(self.rows - row);
        let left = self.packed.columns - column;
        unsafe {
            let c = self.c.add(row * self.stride + column);
            let mut sums = [[L::splat(0.0); V]; R];
            if !begins {
                for (r, sums) in sums.iter_mut().enumerate() {
                    for (v, sum) in sums.iter_mut().enumerate() {
                        if r < rows && v * W < left {
                            *sum = L::load_up_to(c.add(r * self.stride + v * W), left - v * W);
                        }
                    }
                }
            }
            for k in 0..terms {
                L::prefetch(next.wrapping_add(k * share));
                let mut row = [L::splat(0.0); V];
                for (v, row) in row.iter_mut().enumerate() {
                    *row = L::load(b.add((k * V + v) * W));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let value = L::splat(*a.add(k * R + r));
                    for (sum, row) in sums.iter_mut().zip(row) {
                        *sum = value.fma(row, *sum);
                    }
                }
            }
            for (r, sums) in sums.into_iter().enumerate() {
                for (v, sum) in sums.into_iter().enumerate() {
                    if r < rows && v * W < left {
                        let count = W.min(left - v * W);
                        let sum = match ends {
                            true => self.finish.finish(sum, self.first + row + r, column + v * W, count),
                            false => sum,
                        };
                        sum.store_up_to(c.add(r * self.stride + v * W), count);
                    }
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Tile {
    row: usize,
    column: usize,
    /// Number of terms that are added now.
    terms: usize,
    /// The panel from the first of these terms on.
    b: *const f32,
    /// What to ask for meanwhile: `share` values for each term.
    next: *const f32,
    share: usize,
    /// Whether no term was added before.
    begins: bool,
    /// Whether no term is added after.
    ends: bool,
}

/// `work(first, count)` for blocks of rows, side by side. No element depends on its block. `operations` is the number
/// of multiply-adds in all.
pub fn blocks(rows: usize, operations: usize, work: impl Fn(usize, usize) + Sync) {
    if operations < SMALL {
        return (0..rows).step_by(ROWS).for_each(|first| work(first, ROWS.min(rows - first)));
    }
    // Whole tiles, in blocks of nearly the same size, equally many for each thread.
    let tiles = rows.div_ceil(MOST);
    let count = rows.div_ceil(ROWS).next_multiple_of(rayon::current_num_threads()).min(tiles);
    let begin = |i: usize| (i * tiles / count * MOST).min(rows);
    (0..count).into_par_iter().with_max_len(1).for_each(|i| work(begin(i), begin(i + 1) - begin(i)));
}

/// finish(a · b), `[m, n]` from `[m, k]` and `[k, n]`.
///
/// # Safety
/// The matrices are valid for these sizes.
pub unsafe fn product<F: Finish>(level: Level, [m, n, k]: [usize; 3], a: Matrix, b: Matrix, finish: F) -> Vec<f32> {
    // Safety: the blocks cover all rows, and each writes its own.
    unsafe {
        let mut c = buffer(m * n);
        let to = Out::new(&mut c);
        let packed = Packed::new(level, b, k, n);
        blocks(m, m * n * k, |first, count| {
            packed.multiply(first, count, a.beginning_at(first), to.at(first * n), n, finish);
        });
        c
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(747_796_405).wrapping_add(1);
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn every_element_is_the_sum_in_order_at_every_level() {
        for [m, n, k] in
            [[1, 1, 1], [5, 7, 3], [13, 33, 17], [97, 50, 300], [200, 130, 513], [3, 700, 40], [1000, 16, 64]]
        {
            let (a, b) = (values(m * k, 1), values(k * n, 2));
            for flipped in [false, true] {
                // The same numbers in memory the other way round.
                let turn = |x: &[f32], r: usize, c: usize| -> Vec<f32> {
                    (0..r * c).map(|i| x[(i % r) * c + i / r]).collect()
                };
                let (ta, tb) = (turn(&a, m, k), turn(&b, k, n));
                let (left, right) = match flipped {
                    false => (Matrix::rows(&a, k), Matrix::rows(&b, n)),
                    true => (Matrix::rows(&ta, m).transposed(), Matrix::rows(&tb, k).transposed()),
                };
                for level in Level::all() {
                    let c = unsafe { product(level, [m, n, k], left, right, AsItIs) };
                    for i in [0, m * n / 3, m * n / 2, m * n - 1] {
                        let sum = (0..k).fold(0.0f32, |sum, l| a[i / n * k + l].mul_add(b[l * n + i % n], sum));
                        assert_eq!(c[i].to_bits(), sum.to_bits(), "{m} {n} {k} {flipped} {level} {i}");
                    }
                }
            }
        }
    }
}

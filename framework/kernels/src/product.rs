//! Matrix products whose result is finished where it stands: bias, activation, residual.
//!
//! Every element is the sum over the inner index in rising order, each term added by one fused multiply-add. So it depends on
//! the shape of nothing: not on blocks, threads or the instruction set.
//!
//! The right matrix is packed once into panels of a tile's width. Blocks of rows are independent; each goes through the panels
//! with tiles of [`Lanes::ROWS`] × [`Lanes::VECTORS`] · 16 sums in registers, for at most [`INNER`] terms at a time.

use crate::memory::{In, Out, buffer, with_scratch};
use crate::simd::{Kernel, Lanes, Level, W, run};
use rayon::prelude::*;

/// Rows of a block of work. With 768 values each they fit the second cache beside a panel.
pub const ROWS: usize = 96;
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
    values: Vec<f32>,
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

impl Packed {
    /// # Safety
    /// `b` is valid for `inner` rows and `columns` columns.
    pub unsafe fn new(level: Level, b: Matrix, inner: usize, columns: usize) -> Self {
        // Safety: the kernel only returns a constant.
        let width = unsafe { run(level, Width) };
        let panels = columns.div_ceil(width);
        // Safety: each row of each panel is written whole below.
        let mut values = unsafe { buffer(panels * inner * width + W) };
        // Vectors that begin on a line of the cache lie in one line.
        let start = values.as_ptr().align_offset(LINE).min(W);
        let to = Out::new(&mut values[start..]);
        // Sixteen rows at a time, each read from one end to the other.
        let pack = |part: usize| unsafe {
            let (first, last) = (part * W, inner.min(part * W + W));
            if b.column == 1 {
                for k in first..last {
                    for panel in 0..panels {
                        let (from, row) = (panel * width, to.at((panel * inner + k) * width));
                        let count = width.min(columns - from);
                        std::ptr::copy_nonoverlapping(b.at(k, from), row, count);
                        (count..width).for_each(|j| *row.add(j) = 0.0);
                    }
                }
            } else {
                for j in 0..panels * width {
                    let to = to.at(j / width * inner * width + j % width);
                    match j < columns {
                        true => (first..last).for_each(|k| *to.add(k * width) = *b.at(k, j)),
                        false => (first..last).for_each(|k| *to.add(k * width) = 0.0),
                    }
                }
            }
        };
        let parts = inner.div_ceil(W);
        if values.len() < SMALL {
            (0..parts).for_each(pack);
        } else {
            (0..parts).into_par_iter().with_min_len(4).for_each(pack);
        }
        Self { level, values, start, inner, columns, width }
    }

    /// c = finish(a · b) for `rows` rows that begin with row `first` of the whole, on this thread. `a` and `c` begin there; rows of
    /// `c` are `stride` apart.
    ///
    /// # Safety
    /// `a` is valid for `rows` rows and the inner columns, and `c` for as many rows and the columns; nobody else writes there.
    pub unsafe fn multiply<F: Finish>(
        &self,
        first: usize,
        rows: usize,
        a: Matrix,
        c: *mut f32,
        stride: usize,
        finish: F,
    ) {
        // Rows that stand one after the other are read where they are.
        let copies = a.column != 1;
        let size = if copies { rows + MOST } else { MOST } * INNER.min(self.inner);
        with_scratch(size, |scratch| {
            let scratch = scratch.as_mut_ptr();
            unsafe { run(self.level, Multiply { packed: self, first, rows, a, c, stride, copies, scratch, finish }) }
        });
    }
}

struct Multiply<'a, F> {
    packed: &'a Packed,
    first: usize,
    rows: usize,
    a: Matrix,
    c: *mut f32,
    stride: usize,
    /// Whether rows are copied side by side first.
    copies: bool,
    /// Room for the rows, and for those of one tile more.
    scratch: *mut f32,
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
        unsafe {
            let mut done = 0;
            loop {
                let terms = INNER.min(inner - done);
                let last = done + terms >= inner;
                // Rows that fill no tile are copied in any case, so that no tile reads behind the end.
                let whole = if self.copies { 0 } else { self.rows / R * R };
                for row in (whole..self.rows).step_by(R) {
                    self.copy::<R>(row, done, terms, self.scratch.add((row - whole) * terms));
                }
                for panel in 0..panels {
                    let b = values.as_ptr().add(start + (panel * inner + done) * width);
                    for row in (0..self.rows).step_by(R) {
                        let tile = Tile { row, column: panel * width, terms, b, begins: done == 0, ends: last };
                        if row < whole {
                            self.tile::<L, R, V, false>(tile, self.a.at(row, done));
                        } else {
                            self.tile::<L, R, V, true>(tile, self.scratch.add((row - whole) * terms));
                        }
                    }
                }
                done += terms;
                if done >= inner {
                    break;
                }
            }
        }
    }

    /// The rows of a tile side by side: [terms, R].
    #[inline(always)]
    unsafe fn copy<const R: usize>(&self, row: usize, done: usize, terms: usize, to: *mut f32) {
        let count = R.min(self.rows - row);
        unsafe {
            if self.a.row == 1 {
                for k in 0..terms {
                    std::ptr::copy_nonoverlapping(self.a.at(row, done + k), to.add(k * R), count);
                    (count..R).for_each(|r| *to.add(k * R + r) = 0.0);
                }
            } else {
                for r in 0..R {
                    let from = self.a.at(row + r.min(count - 1), done);
                    (0..terms).for_each(|k| *to.add(k * R + r) = *from.add(k * self.a.column));
                }
            }
        }
    }

    /// One tile. The left values of a term are side by side (`COPIED`), or in rows as in the left matrix.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const V: usize, const COPIED: bool>(&self, tile: Tile, a: *const f32) {
        let Tile { row, column, terms, b, begins, ends } = tile;
        let rows = R.min(self.rows - row);
        let left = self.packed.columns - column;
        let distance = self.a.row;
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
                let mut row = [L::splat(0.0); V];
                for (v, row) in row.iter_mut().enumerate() {
                    *row = L::load(b.add((k * V + v) * W));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let value = L::splat(*if COPIED { a.add(k * R + r) } else { a.add(r * distance + k) });
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
    /// Whether no term was added before.
    begins: bool,
    /// Whether no term is added after.
    ends: bool,
}

/// `work(first, count)` for blocks of rows, side by side. The blocks depend on the shape alone; `operations` is the number of
/// multiply-adds in all.
pub fn blocks(rows: usize, operations: usize, work: impl Fn(usize, usize) + Sync) {
    // At least eight blocks, so that few rows with much work each do not wait for one thread.
    let size = rows.div_ceil(8).next_multiple_of(12).min(ROWS);
    if operations < SMALL || rows <= size {
        (0..rows).step_by(ROWS).for_each(|first| work(first, ROWS.min(rows - first)));
    } else {
        let count = rows.div_ceil(size);
        (0..count).into_par_iter().with_max_len(1).for_each(|i| work(i * size, size.min(rows - i * size)));
    }
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

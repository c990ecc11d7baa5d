//! The cost of a forward pass, computed from shapes. A component's `cost` has the same steps as its `forward`, with
//! shapes in the place of tensors.
//!
//! ```text
//! [b, n, k] · [k, m]      2 b n k m FLOPs, b n m values
//! softmax(Q Kᵀ) V         2 · 2 b n m D FLOPs for Q, K, V of n, m and m tokens, b (n + 2 m) D values
//! ```
//! A component without a count returns `None`. The plan then shows it as not counted, and its totals list what they
//! leave out.

use serde::Serialize;
use std::iter::Sum;
use std::ops::{Add, Mul};

/// What [`Cost::flops`] counts, as a sentence for the plan.
pub(crate) const COUNTED: &str = "2 per multiply-add of matrix products and convolutions, attention's two products \
    included; norms, activations, softmax, recurrences of alignments and other element-wise work are not counted";

/// The cost of a forward pass. Counts are `f64`: they are exact below 2⁵³ and do not overflow above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Floating-point operations: 2 for each multiply-add of matrix products and convolutions, with attention's two
    /// products. Norms, activations, softmax, the recurrences of alignments and other element-wise work are not
    /// counted.
    pub flops: f64,
    /// About how many values the graph keeps for the backward pass.
    pub values: f64,
    /// About how many values the largest step has, input and output together: a pass without a graph holds so many at a
    /// time.
    pub largest: f64,
}

impl Cost {
    /// No cost.
    pub const NONE: Self = Self { flops: 0.0, values: 0.0, largest: 0.0 };

    /// The matrix product of `[rows, inner]` and `[inner, columns]`.
    pub fn product(rows: usize, inner: usize, columns: usize) -> Self {
        let [rows, inner, columns] = [rows, inner, columns].map(|size| size as f64);
        Self { flops: 2.0 * rows * inner * columns, values: rows * columns, largest: rows * (inner + columns) }
    }

    /// Element-wise work on `size` values. `kept` is the number of tensors of that size that stay for the backward
    /// pass.
    pub fn elementwise(size: usize, kept: f64) -> Self {
        Self { flops: 0.0, values: kept * size as f64, largest: 2.0 * size as f64 }
    }

    /// A layer norm of `size` values. Its input is kept.
    pub fn norm(size: usize) -> Self {
        Self::elementwise(size, 1.0)
    }

    /// Attention without its projections, that is both products and the softmax: queries `[b, n, D]`, keys and values
    /// `[b, m, D]`, which are kept. The scores are not: they are computed again for the gradient.
    pub fn attention(b: usize, [n, m]: [usize; 2], d: usize) -> Self {
        let products = Self::product(b * n, d, m) + Self::product(b * n, m, d);
        Self { values: (b * (n + 2 * m) * d) as f64, largest: (b * (2 * n + 2 * m) * d) as f64, ..products }
    }
}

impl Add for Cost {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            flops: self.flops + other.flops,
            values: self.values + other.values,
            largest: self.largest.max(other.largest),
        }
    }
}

/// The same work `times` times, one after the other; or a part of it, below 1.
impl Mul<f64> for Cost {
    type Output = Self;
    fn mul(self, times: f64) -> Self {
        Self { flops: self.flops * times, values: self.values * times, largest: self.largest * times.min(1.0) }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::NONE, Self::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_the_hand_computed_ones() {
        // [2, 3] · [3, 5]: 30 multiply-adds, 10 results, 6 + 10 values at a time.
        assert_eq!(Cost::product(2, 3, 5), Cost { flops: 60.0, values: 10.0, largest: 16.0 });
        // One query of width 8 over three keys: 24 multiply-adds for the scores, 24 for the mixture; seven tokens are
        // kept.
        let attention = Cost::attention(1, [1, 3], 8);
        assert_eq!((attention.flops, attention.values), (96.0, 7.0 * 8.0));
        let twice = Cost::product(2, 3, 5) * 2.0 + Cost::elementwise(100, 1.0);
        assert_eq!(twice, Cost { flops: 120.0, values: 120.0, largest: 200.0 });
        assert_eq!([twice, twice].into_iter().sum::<Cost>().flops, 240.0);
    }
}

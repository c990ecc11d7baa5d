//! `dtw`: dynamic time warping, the cheapest monotone path from the first pair of frames to the last.
//!
//! Source: the textbook recurrence C[i, j] = D[i, j] + min(C[i−1, j−1], C[i−1, j], C[i, j−1]); dtw-python's
//! `symmetric1`.

use super::frame_costs::{Cosine, OUT, ShotRule, on_costs};
use crate::layers::plain_device;
use burn::tensor::{Int, Tensor, TensorData};
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use serde::{Deserialize, Serialize};

/// Options of DTW.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Dtw {
    /// How several shots of a class become one distance.
    shots: ShotRule,
    /// How the cosine of two frames is computed.
    cosine: Cosine,
}

impl Default for Dtw {
    fn default() -> Self {
        Self { shots: ShotRule::MeanFeatures, cosine: Cosine::Normalized }
    }
}

register!(dyn Alignment, Dtw, name: "dtw", summary: "cheapest monotone path from end to end",
    paper: None, stability: Stable, usage: "{}");

impl Component for Dtw {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        let Self { shots, cosine } = self;
        on_costs(shots, cosine, "alignment path", dtw)
    }
}

/// DTW of costs `[P, Tq, Ts]` → `[P]`.
pub fn dtw(costs: Tensor<3>) -> Tensor<1> {
    warp(costs, |[a, b, c]| a.min_pair(b).min_pair(c))
}

/// The recurrence on costs `[P, Tq, Ts]` → `[P]`, where `join` is the minimum of three predecessors, each `[P, n]`.
/// Cells of one anti-diagonal i + j do not depend on each other, so an anti-diagonal is one step. Predecessors outside
/// the table have the value [`OUT`].
pub fn warp(costs: Tensor<3>, join: impl Fn([Tensor<2>; 3]) -> Tensor<2>) -> Tensor<1> {
    let [pairs, rows, columns] = costs.dims();
    let device = plain_device(&costs);
    // Rows i of the anti-diagonal: those with 0 ≤ diagonal − i < columns.
    let span = |diagonal: usize| (diagonal + 1).saturating_sub(columns)..rows.min(diagonal + 1);
    let diagonals = rows + columns - 1;
    let order: Vec<i32> = (0..diagonals).flat_map(|d| span(d).map(move |i| (i * columns + d - i) as i32)).collect();
    let order = Tensor::<1, Int>::from_data(TensorData::new(order, [rows * columns]), &device);
    let costs: Tensor<2> = costs.reshape([pairs, rows * columns]).select(1, order);
    let out = Tensor::<2>::full([pairs, 1], OUT, &device);
    // Values of an anti-diagonal with one cell outside the table on either side, and the row of the first.
    let mut before: [(Tensor<2>, usize); 2] = [(out.clone().repeat_dim(1, 2), 0), (out.clone().repeat_dim(1, 2), 0)];
    let mut from = 0;
    for diagonal in 0..diagonals {
        let (first, count) = (span(diagonal).start, span(diagonal).len());
        let cost = costs.clone().narrow(1, from, count);
        from += count;
        let values = if diagonal == 0 {
            cost
        } else {
            // Row r − 1 of a padded diagonal that begins at row s is at r − s.
            let rows_before =
                |(values, start): &(Tensor<2>, usize), row: usize| values.clone().narrow(1, row - start, count);
            let [two, one] = &before;
            // C[i−1, j−1] lies two diagonals back, C[i−1, j] and C[i, j−1] one.
            cost + join([rows_before(two, first), rows_before(one, first), rows_before(one, first + 1)])
        };
        let padded = Tensor::cat(vec![out.clone(), values, out.clone()], 1);
        before = [before[1].clone(), (padded, first)];
    }
    before[1].0.clone().narrow(1, 1, 1).reshape([pairs])
}

#[cfg(test)]
mod tests {
    use super::super::frame_costs::check;
    use super::*;
    use crate::conformance::{self, alignment::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<Dtw>(Traits::default());
    }

    #[test]
    fn the_cost_is_that_of_the_cosines() {
        let flops = conformance::alignment::flops::<Dtw>;
        assert_eq!(flops(""), Some(check::COSINES));
        // Two shots side by side, or one after the other in time, are twice the frames.
        for shots in ["mean_distances", "joint"] {
            assert_eq!(flops(&format!("shots: {shots}")), Some(2.0 * check::COSINES), "{shots}");
        }
    }

    #[test]
    fn values_agree_with_an_independent_implementation() {
        check::close(dtw(check::d1()), 0.6);
        check::close(dtw(check::d2()), 0.13949772515122857);
    }

    #[test]
    fn tables_of_any_shape_equal_the_recurrence_cell_by_cell() {
        let mut rng = maclip_framework::random::Stream::new(1, "dtw").at(0);
        for (rows, columns) in [(1, 1), (1, 4), (4, 1), (2, 3), (5, 5), (8, 3), (3, 16)] {
            let costs: Vec<f32> = (0..rows * columns).map(|_| rng.range(0.0, 2.0) as f32).collect();
            let mut table = vec![f64::INFINITY; rows * columns];
            for at in 0..rows * columns {
                let (i, j) = (at / columns, at % columns);
                let before = [(1, 1), (1, 0), (0, 1)].into_iter().filter(|&(a, b)| i >= a && j >= b);
                let best = before.map(|(a, b)| table[(i - a) * columns + j - b]).fold(f64::INFINITY, f64::min);
                table[at] = costs[at] as f64 + if at == 0 { 0.0 } else { best };
            }
            let data = TensorData::new(costs, [1, rows, columns]);
            check::close(dtw(Tensor::from_data(data, &burn::tensor::Device::flex())), table[rows * columns - 1]);
        }
    }
}

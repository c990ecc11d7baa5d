//! `dtw`: dynamic time warping, the cheapest monotone path from the first pair of frames to the last.
//!
//! Source: the textbook recurrence C[i, j] = D[i, j] + min(C[i−1, j−1], C[i−1, j], C[i, j−1]); dtw-python's `symmetric1`.

use super::frame_costs::{Cosine, ShotRule, on_costs};
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{Component, Problems};
use maclip_framework::run::BuildContext;
use maclip_framework::slots::alignment::Alignment;
use serde::{Deserialize, Serialize};

/// Options of DTW.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Dtw {
    /// What becomes of several shots.
    shots: ShotRule,
    /// The cosine of two frames.
    cosine: Cosine,
}

impl Default for Dtw {
    fn default() -> Self {
        Self { shots: ShotRule::MeanFeatures, cosine: Cosine::Normalized }
    }
}

register!(dyn Alignment, Dtw, name: "dtw", summary: "cheapest monotone path from end to end",
    paper: None, stability: Stable, example: "{}");

impl Component for Dtw {
    type Slot = dyn Alignment;

    fn check(&self, problems: &mut Problems) {
        self.cosine.check(problems);
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        let Self { shots, cosine } = self;
        on_costs(shots, cosine, dtw)
    }
}

/// `[P, Tq, Ts]` → `[P]`.
pub fn dtw(costs: Tensor<3>) -> Tensor<1> {
    warp(costs, |candidates| Tensor::cat(candidates, 1).min_dim(1))
}

/// The recurrence with any way to `join` the values of up to three predecessors, each `[P, 1]`.
pub fn warp(costs: Tensor<3>, join: impl Fn(Vec<Tensor<2>>) -> Tensor<2>) -> Tensor<1> {
    let [pairs, rows, columns] = costs.dims();
    let mut previous: Vec<Tensor<2>> = Vec::new();
    for i in 0..rows {
        let row: Tensor<2> = costs.clone().narrow(1, i, 1).reshape([pairs, columns]);
        let mut current: Vec<Tensor<2>> = Vec::with_capacity(columns);
        for j in 0..columns {
            let cost = row.clone().narrow(1, j, 1);
            let before: Vec<Tensor<2>> = [
                (i > 0 && j > 0).then(|| previous[j - 1].clone()),
                (i > 0).then(|| previous[j].clone()),
                (j > 0).then(|| current[j - 1].clone()),
            ]
            .into_iter()
            .flatten()
            .collect();
            current.push(if before.is_empty() { cost } else { cost + join(before) });
        }
        previous = current;
    }
    previous[columns - 1].clone().reshape([pairs])
}

#[cfg(test)]
mod tests {
    use super::super::frame_costs::check;
    use super::*;

    #[test]
    fn values_agree_with_an_independent_implementation() {
        check::close(dtw(check::d1()), 0.6);
        check::close(dtw(check::d2()), 0.13949772515122857);
    }
}

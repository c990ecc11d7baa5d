//! `otam`: ordered temporal alignment with a soft minimum over paths.
//!
//! Source: OTAM (Cao et al., CVPR 2020) as the public code computes it (few-shot-action-recognition, CLIP-FSAR). A zero
//! column is added on both sides of the support axis, so that a path may begin and end at any query frame; row 0 is a plain
//! running sum. The soft minimum is a shifted log-sum-exp: the same value as public code where that is finite, and finite
//! for any λ that is allowed.

use super::frame_costs::{Cosine, ShotRule, on_costs, soft_min};
use crate::layers::plain_device;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{Component, Problems};
use maclip_framework::run::BuildContext;
use maclip_framework::slots::alignment::Alignment;
use serde::{Deserialize, Serialize};

/// Options of OTAM.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct OtamConfig {
    /// λ of the soft minimum. 0.1 in few-shot-action-recognition, 0.5 in CLIP-FSAR's CLIP head and D2ST.
    lambda: f64,
    /// `both` sums OTAM(D) and OTAM(Dᵀ), as few-shot-action-recognition and CLIP-FSAR do (matching_based_fsar halves the
    /// sum: use `both` with half the objective's factor on distances); or only one direction.
    direction: Direction,
    /// What becomes of several shots.
    shots: ShotRule,
    /// The cosine of two frames.
    cosine: Cosine,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The sum of both directions.
    Both,
    /// Every support frame is passed; the path may begin and end at any query frame.
    QueryToSupport,
    /// Every query frame is passed; the path may begin and end at any support frame.
    SupportToQuery,
}

impl Default for OtamConfig {
    fn default() -> Self {
        Self { lambda: 0.1, direction: Direction::Both, shots: ShotRule::MeanFeatures, cosine: Cosine::PlusEpsilon }
    }
}

register!(dyn Alignment, OtamConfig, name: "otam", summary: "ordered temporal alignment, soft minimum over paths",
    paper: Some("OTAM, CVPR 2020; MA-CLIP's default metric (table 9)"), stability: Stable, example: "{lambda: 0.1}");

impl Component for OtamConfig {
    type Slot = dyn Alignment;

    fn check(&self, problems: &mut Problems) {
        problems.when(!(self.lambda >= 1e-6 && self.lambda.is_finite()), "lambda", "must be at least 1e-6");
        self.cosine.check(problems);
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        let Self { lambda, direction, shots, cosine } = self;
        on_costs(shots, cosine, move |costs| otam(costs, lambda, direction))
    }
}

/// OTAM of costs `[P, Tq, Ts]` → `[P]`.
pub fn otam(costs: Tensor<3>, lambda: f64, direction: Direction) -> Tensor<1> {
    match direction {
        Direction::QueryToSupport => one_way(costs, lambda),
        Direction::SupportToQuery => one_way(costs.swap_dims(1, 2), lambda),
        Direction::Both => {
            let [pairs, rows, columns] = costs.dims();
            let transposed = costs.clone().swap_dims(1, 2);
            if rows == columns {
                // Both directions in one table of twice the pairs: half the operations.
                let both = one_way(Tensor::cat(vec![costs, transposed], 0), lambda);
                both.clone().narrow(0, 0, pairs) + both.narrow(0, pairs, pairs)
            } else {
                one_way(costs, lambda) + one_way(transposed, lambda)
            }
        }
    }
}

/// One direction: costs `[P, Tq, Ts]` → `[P]`.
fn one_way(costs: Tensor<3>, lambda: f64) -> Tensor<1> {
    let [pairs, rows, columns] = costs.dims();
    let zero = Tensor::<2>::zeros([pairs, 1], &plain_device(&costs));
    // Row 0: 0, then the running sum; the last column repeats it, as its cost is 0.
    let first: Tensor<2> = costs.clone().narrow(1, 0, 1).reshape([pairs, columns]);
    let mut previous = vec![zero.clone()];
    for m in 0..columns {
        let last = previous[m].clone();
        previous.push(last + first.clone().narrow(1, m, 1));
    }
    previous.push(previous[columns].clone());
    for l in 1..rows {
        let row: Tensor<2> = costs.clone().narrow(1, l, 1).reshape([pairs, columns]);
        let mut current = vec![zero.clone()];
        for m in 1..=columns + 1 {
            let mut candidates = vec![previous[m - 1].clone(), current[m - 1].clone()];
            if m == 1 || m == columns + 1 {
                candidates.push(previous[m].clone());
            }
            let best = soft_min(candidates, lambda);
            current.push(if m <= columns { best + row.clone().narrow(1, m - 1, 1) } else { best });
        }
        previous = current;
    }
    previous[columns + 1].clone().reshape([pairs])
}

#[cfg(test)]
mod tests {
    use super::super::frame_costs::check;
    use super::*;

    #[test]
    fn values_agree_with_an_independent_implementation() {
        let t = |d: Tensor<3>| d.swap_dims(1, 2);
        check::close(one_way(check::d1(), 0.1), 0.5943952692639975);
        check::close(one_way(t(check::d1()), 0.1), 0.5398388841213053);
        check::close(one_way(check::d1(), 0.5), -0.2838438106651109);
        check::close(one_way(check::d2(), 0.1), -0.3541193580503753);
        check::close(one_way(t(check::d2()), 0.1), -0.1337104844595695);
        check::close(one_way(t(check::d2()), 0.5), -2.913746209772043);
    }

    #[test]
    fn a_small_lambda_stays_finite_and_approaches_the_cheapest_path() {
        // The cheapest path of D1 is the diagonal: 0.1 + 0.2 + 0.3.
        check::close(one_way(check::d1(), 0.001), 0.6);
        let large = check::d2() * 50.0;
        assert!(one_way(large, 0.01).into_scalar::<f32>().is_finite());
    }

    #[test]
    fn the_gradient_is_the_soft_path() {
        // Each row or column passed once: for λ → 0 the gradient of D1 is the indicator of its cheapest path.
        let device = burn::tensor::Device::flex().autodiff();
        let costs = Tensor::<3>::from_data(check::d1().into_data(), &device).require_grad();
        let grads = one_way(costs.clone(), 0.001).backward();
        let gradient: Vec<f32> = costs.grad(&grads).unwrap().into_data().try_to_vec().unwrap();
        let want = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        assert!(gradient.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-3), "{gradient:?}");
    }
}

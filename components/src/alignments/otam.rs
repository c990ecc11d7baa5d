//! `otam`: ordered temporal alignment with a soft minimum over paths.
//!
//! Source: OTAM (Cao et al., CVPR 2020) as the public code computes it (few-shot-action-recognition, CLIP-FSAR). A zero
//! column is added on both sides of the support axis, so that a path may begin and end at any query frame; row 0 is a
//! plain running sum. The soft minimum is a shifted log-sum-exp: the same value as public code where that is finite,
//! and finite for any λ that is allowed.

use super::frame_costs::{Cosine, ShotRule, on_costs, soft_min, weighted_soft_min};
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use serde::{Deserialize, Serialize};

/// Options of OTAM.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct OtamConfig {
    /// λ of the soft minimum. 0.1 in few-shot-action-recognition, 0.5 in CLIP-FSAR's CLIP head and D2ST.
    #[schemars(range(min = 1e-6))]
    lambda: f64,
    /// `both` sums OTAM(D) and OTAM(Dᵀ), as few-shot-action-recognition and CLIP-FSAR do (matching_based_fsar halves
    /// the sum: use `both` with half the objective's factor on distances); or only one direction.
    direction: Direction,
    /// How several shots of a class become one distance.
    shots: ShotRule,
    /// How the cosine of two frames is computed.
    cosine: Cosine,
}

/// Which sequence is passed as a whole.
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
    paper: Some("OTAM, CVPR 2020; MA-CLIP's default metric (table 9)"), stability: Stable, usage: "{lambda: 0.1}");

impl Component for OtamConfig {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        let Self { lambda, direction, shots, cosine } = self;
        on_costs(shots, cosine, "soft alignment path", move |costs| otam(costs, lambda, direction))
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
///
/// With Γ[l, m] the soft cost of the best path to query frame l and support frame m, both columns of zeros have closed
/// forms, as in them a soft minimum of sums is a sum of exponentials; the columns between follow one from the other,
/// all rows at once:
///
/// ```text
/// Γ[0, m] = D[0, 0] + … + D[0, m]
/// Γ[l, 0] = softmin over k ≤ l of D[k, 0] + … + D[l, 0],   twice each k > 0
/// Γ[l, m] = D[l, m] + softmin(Γ[l−1, m−1], Γ[l, m−1])
/// OTAM    = softmin over l of Γ[l, Ts−1],                  twice each l < Tq−1
/// ```
fn one_way(costs: Tensor<3>, lambda: f64) -> Tensor<1> {
    let [pairs, rows, columns] = costs.dims();
    let column = |m: usize| costs.clone().narrow(2, m, 1).reshape([pairs, rows]);
    let top: Tensor<2> = costs.clone().narrow(1, 0, 1).reshape([pairs, columns]).cumsum(1);
    // Sums D[k, 0] + … + D[l, 0] at [l, k]: differences of running sums.
    let first = column(0);
    let sums = first.clone().cumsum(1);
    let paths = sums.clone().unsqueeze_dim::<3>(2) - (sums - first).unsqueeze_dim::<3>(1);
    let weights: Vec<f32> = (0..rows * rows)
        .map(|at| match (at / rows, at % rows) {
            (l, k) if k > l => 0.0,
            (_, 0) => 1.0,
            _ => 2.0,
        })
        .collect();
    let mut previous = weighted_soft_min(paths, &weights, lambda);
    for m in 1..columns {
        let above = top.clone().narrow(1, m, 1);
        previous = if rows == 1 {
            above
        } else {
            let [diagonal, left] = [0, 1].map(|from| previous.clone().narrow(1, from, rows - 1));
            let inner = column(m).narrow(1, 1, rows - 1) + soft_min([diagonal, left], lambda);
            Tensor::cat(vec![above, inner], 1)
        };
    }
    let weights: Vec<f32> = (0..rows).map(|l| if l + 1 < rows { 2.0 } else { 1.0 }).collect();
    weighted_soft_min(previous.unsqueeze_dim(1), &weights, lambda).reshape([pairs])
}

#[cfg(test)]
mod tests {
    use super::super::frame_costs::check;
    use super::*;
    use crate::conformance::{self, alignment::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<OtamConfig>(Traits { long: &["lambda: 0.01"], ..Traits::default() });
    }

    #[test]
    fn the_cost_is_that_of_the_cosines_and_of_the_product_of_norms() {
        // Seven products for each pair of frames with six features.
        assert_eq!(conformance::alignment::flops::<OtamConfig>(""), Some(check::COSINES * 7.0 / 6.0));
    }

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

    /// The recurrence as it is written in public code, cell by cell.
    fn cell_by_cell(costs: &[Vec<f64>], lambda: f64) -> f64 {
        let soft_min = |values: &[f64]| {
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            low - lambda * values.iter().map(|v| (-(v - low) / lambda).exp()).sum::<f64>().ln()
        };
        let (rows, columns) = (costs.len(), costs[0].len());
        let cost = |l: usize, m: usize| if (1..=columns).contains(&m) { costs[l][m - 1] } else { 0.0 };
        let mut table = vec![vec![0.0; columns + 2]; rows];
        for m in 1..columns + 2 {
            table[0][m] = table[0][m - 1] + cost(0, m);
        }
        for l in 1..rows {
            for m in 1..columns + 2 {
                let mut before = vec![table[l - 1][m - 1], table[l][m - 1]];
                if m == 1 || m == columns + 1 {
                    before.push(table[l - 1][m]);
                }
                table[l][m] = soft_min(&before) + cost(l, m);
            }
        }
        table[rows - 1][columns + 1]
    }

    #[test]
    fn the_closed_forms_equal_the_recurrence_cell_by_cell() {
        let mut rng = maclip_framework::random::Stream::new(1, "otam").at(0);
        for (rows, columns) in [(1, 1), (1, 4), (4, 1), (2, 3), (5, 5), (8, 3), (3, 16)] {
            for lambda in [0.01, 0.1, 1.0] {
                let costs: Vec<Vec<f64>> =
                    (0..rows).map(|_| (0..columns).map(|_| rng.range(0.0, 2.0)).collect()).collect();
                let flat: Vec<f32> = costs.iter().flatten().map(|&v| v as f32).collect();
                let data = burn::tensor::TensorData::new(flat, [1, rows, columns]);
                let got = one_way(Tensor::from_data(data, &burn::tensor::Device::flex()), lambda);
                check::close(got, cell_by_cell(&costs, lambda));
            }
        }
    }

    #[test]
    fn a_small_lambda_stays_finite_and_approaches_the_cheapest_path() {
        // The cheapest path of D1 is the diagonal: 0.1 + 0.2 + 0.3.
        check::close(one_way(check::d1(), 0.001), 0.6);
        let large = check::d2() * 50.0;
        assert!(one_way(large, 0.01).into_scalar::<f32>().is_finite());
    }

    #[test]
    fn a_small_lambda_explains_the_path() {
        // Both support frames are passed, the path begins and ends at any query frame. It passes the second and third
        // query frame: beginning at the first adds its cost, as no cosine here is quite 1.
        let config = OtamConfig { lambda: 1e-4, direction: Direction::QueryToSupport, ..OtamConfig::default() };
        let metric = config.build(&BuildContext::new(0, burn::tensor::Device::flex())).unwrap();
        let weights = check::explained(&*metric, &[0.0, 0.0, 90.0], &[0.0, 90.0]);
        let want = [0.0, 0.0, 1.0, 0.0, 0.0, 1.0];
        assert!(weights.concat().iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-4), "{weights:?}");
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

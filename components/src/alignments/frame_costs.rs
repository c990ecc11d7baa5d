//! What metrics on frame-to-frame costs share: the cosine, the rule for several shots, and the component around a
//! function of cost matrices. P pairs of a query and a support sequence, Tq query frames, Ts support frames.

use crate::layers::plain_device;
use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use maclip_framework::error::Result;
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::explanation::Explanation;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How K shots of a class become one distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShotRule {
    /// Average the shots' features frame by frame, then one distance (CLIP-FSAR, D2ST; probably MA-CLIP, which does not
    /// say it).
    MeanFeatures,
    /// One distance for each support clip, then their mean (OTAM and HyRSM in public code).
    MeanDistances,
    /// All shots of a class laid end to end in time, then one distance (matching_based_fsar, TRX).
    Joint,
}

impl ShotRule {
    /// `[N, W, K, T, E]` → `[N, W, K', T', E]`, where a distance is taken to each of the K' sequences and averaged.
    pub fn sequences(self, support: Tensor<5>) -> Tensor<5> {
        let [n, w, k, t, e] = support.dims();
        match self {
            ShotRule::MeanFeatures if k > 1 => support.mean_dim(2),
            ShotRule::Joint if k > 1 => support.reshape([n, w, 1, k * t, e]),
            _ => support,
        }
    }

    /// How many of K clips lie one after the other in the frames of all [`ShotRule::sequences`] together.
    pub fn side_by_side(self, k: usize) -> usize {
        if self == ShotRule::MeanFeatures { 1 } else { k }
    }

    /// The shape of [`ShotRule::sequences`].
    pub fn sequences_shape(self, [n, w, k, t, e]: [usize; 5]) -> [usize; 5] {
        match self {
            ShotRule::MeanFeatures => [n, w, 1, t, e],
            ShotRule::Joint => [n, w, 1, k * t, e],
            ShotRule::MeanDistances => [n, w, k, t, e],
        }
    }
}

/// The cosine of two frames. Public code differs in how it avoids a division by zero.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Cosine {
    /// x·y / (‖x‖ ‖y‖ + 0.01): the public OTAM code (few-shot-action-recognition, CLIP-FSAR, MoLo), and
    /// matching_based_fsar.
    PlusEpsilon,
    /// x/‖x‖ · y/‖y‖, each norm at least 1e-12: HyRSM, D2ST.
    Normalized,
    /// x·y / (‖x‖ ‖y‖ + ε) with this ε.
    Plus(#[schemars(range(min = 0.0))] f64),
    /// x/max(‖x‖, ε) · y/max(‖y‖, ε) with this ε.
    Clamp(#[schemars(range(min = 0.0))] f64),
}

impl Cosine {
    /// x `[N, A, E]`, y `[N, B, E]` → `[N, A, B]`.
    pub fn of(self, x: Tensor<3>, y: Tensor<3>) -> Tensor<3> {
        let norm = |v: &Tensor<3>| v.clone().powf_scalar(2.0).sum_dim(2).sqrt();
        let plus = |x: Tensor<3>, y: Tensor<3>, epsilon: f64| {
            let norms = norm(&x).matmul(norm(&y).swap_dims(1, 2));
            x.matmul(y.swap_dims(1, 2)) / (norms + epsilon)
        };
        let clamp = |x: Tensor<3>, y: Tensor<3>, epsilon: f64| {
            let unit = |v: Tensor<3>| v.clone() / norm(&v).clamp_min(epsilon);
            unit(x).matmul(unit(y).swap_dims(1, 2))
        };
        match self {
            Cosine::PlusEpsilon => plus(x, y, 0.01),
            Cosine::Plus(epsilon) => plus(x, y, epsilon),
            Cosine::Normalized => clamp(x, y, 1e-12),
            Cosine::Clamp(epsilon) => clamp(x, y, epsilon),
        }
    }

    /// What [`Cosine::of`] costs for x `[N, A, E]` and y `[N, B, E]`.
    pub fn cost(self, n: usize, [a, b]: [usize; 2], e: usize) -> Cost {
        let units = Cost::elementwise(n * (a + b) * e, 2.0);
        let norms = match self {
            // The product of the norms is a matrix product too.
            Cosine::PlusEpsilon | Cosine::Plus(_) => Cost::product(n * a, 1, b),
            Cosine::Normalized | Cosine::Clamp(_) => Cost::NONE,
        };
        units + norms + Cost::product(n * a, e, b)
    }
}

/// Distances `[N, Q, W]` of queries `[N, Q, Tq, E]` to classes with supports `[N, W, K, Ts, E]`, from a `metric` on
/// cost matrices D = 1 − cosine, `[P, Tq, Ts]` → `[P]`; rows are query frames.
pub fn distances(
    query: Tensor<4>,
    support: Tensor<5>,
    shots: ShotRule,
    cosine: Cosine,
    metric: impl Fn(Tensor<3>) -> Tensor<1>,
) -> Tensor<3> {
    let [n, q, _, _] = query.dims();
    let support = shots.sequences(support);
    let [_, w, k, _, _] = support.dims();
    let pairs = metric(costs_of_pairs(query, support, cosine));
    pairs.reshape([n, q, w, k]).mean_dim(3).squeeze_dim(3)
}

/// D = 1 − cosine of each query `[N, Q, Tq, E]` with each sequence of [`ShotRule::sequences`] `[N, W, K', Ts, E]`:
/// `[N Q W K', Tq, Ts]`.
fn costs_of_pairs(query: Tensor<4>, sequences: Tensor<5>, cosine: Cosine) -> Tensor<3> {
    let [n, q, tq, e] = query.dims();
    let [_, w, k, ts, _] = sequences.dims();
    let similarity = cosine.of(query.reshape([n, q * tq, e]), sequences.reshape([n, w * k * ts, e]));
    let costs = (similarity.neg() + 1.0).reshape([n, q, tq, w * k, ts]).swap_dims(2, 3);
    costs.reshape([n * q * w * k, tq, ts])
}

/// The explanation of a metric on cost matrices, for queries `[P, Tq, E]` and supports `[P, K, Ts, E]`: its gradient,
/// which is how much the distance grows with each cost. For a sum over matched pairs it is 1 at these pairs, for a soft
/// minimum over paths the share of the paths through each cell, as in soft-DTW's expected alignment (Cuturi and
/// Blondel, ICML 2017). `what` says in a few words what the weights are.
///
/// # Errors
/// Where a weight is not finite.
pub fn explain(
    (query, support): (Tensor<3>, Tensor<4>),
    shots: ShotRule,
    cosine: Cosine,
    what: &str,
    metric: impl Fn(Tensor<3>) -> Tensor<1>,
) -> Result<Explanation> {
    let [pairs, tq, _] = query.dims();
    let clips = support.dims()[1];
    let sequences = shots.sequences(support.unsqueeze_dim(1));
    let [_, _, k, ts, _] = sequences.dims();
    let costs = Tensor::from_inner(costs_of_pairs(query.unsqueeze_dim(1), sequences, cosine)).require_grad();
    let gradients = metric(costs.clone()).sum().backward();
    // Without one, the metric reads no cost.
    let gradient = costs.grad(&gradients).unwrap_or_else(|| costs.inner().zeros_like());
    let side_by_side = gradient.reshape([pairs, k, tq, ts]).swap_dims(1, 2).reshape([pairs, tq, k * ts]);
    Explanation::new(what, shots.side_by_side(clips), side_by_side)
}

/// About how many values a metric keeps for each cell of a cost matrix: a soft recurrence has shifts, exponentials and
/// their sums.
const KEPT_OF_A_CELL: f64 = 10.0;

/// What [`distances`] costs: the cosines, and an estimate of what a metric keeps.
pub fn distances_cost(query: [usize; 4], support: [usize; 5], shots: ShotRule, cosine: Cosine) -> Cost {
    let [n, q, tq, e] = query;
    let [_, w, k, ts, _] = shots.sequences_shape(support);
    let cells = n * q * tq * w * k * ts;
    cosine.cost(n, [q * tq, w * k * ts], e) + Cost::elementwise(cells, KEPT_OF_A_CELL)
}

/// A function of cost matrices, `[P, Tq, Ts]` → `[P]`.
#[derive(Clone)]
struct CostMetric(Arc<dyn Fn(Tensor<3>) -> Tensor<1> + Send + Sync>);

impl std::fmt::Debug for CostMetric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a metric on frame costs")
    }
}

#[derive(Module, Debug)]
struct OnCosts {
    #[module(skip)]
    shots: ShotRule,
    #[module(skip)]
    cosine: Cosine,
    #[module(skip)]
    metric: CostMetric,
    #[module(skip)]
    what: &'static str,
}

impl Alignment for OnCosts {
    fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3> {
        distances(query, support, self.shots, self.cosine, |costs| (self.metric.0)(costs))
    }

    fn explain(&self, query: Tensor<3>, support: Tensor<4>) -> Result<Explanation> {
        explain((query, support), self.shots, self.cosine, self.what, |costs| (self.metric.0)(costs))
    }

    fn cost(&self, query: [usize; 4], support: [usize; 5]) -> Option<Cost> {
        Some(distances_cost(query, support, self.shots, self.cosine))
    }
}

/// The alignment with the distance `metric` on cost matrices D = 1 − cosine, `[P, Tq, Ts]` → `[P]`; rows are query
/// frames. `what` says in a few words which pairs of frames decide the distance.
///
/// # Errors
/// Never; a component's `build` can return the result as it is.
pub fn on_costs(
    shots: ShotRule,
    cosine: Cosine,
    what: &'static str,
    metric: impl Fn(Tensor<3>) -> Tensor<1> + Send + Sync + 'static,
) -> Result<Box<dyn Alignment>> {
    Ok(Box::new(OnCosts { shots, cosine, metric: CostMetric(Arc::new(metric)), what }))
}

/// The smallest value along axis `dim`, which then has one entry.
pub fn nearest(costs: Tensor<3>, dim: usize) -> Tensor<3> {
    costs.min_dim(dim)
}

/// `[P, a, b]` → the sum of each matrix, `[P]`.
pub fn total(values: Tensor<3>) -> Tensor<1> {
    let pairs = values.dims()[0];
    values.reshape([pairs as i32, -1]).sum_dim(1).reshape([pairs])
}

/// `[P, a, b]` → the mean of each matrix, `[P]`.
pub fn mean(values: Tensor<3>) -> Tensor<1> {
    let [_, rows, columns] = values.dims();
    total(values) / (rows * columns) as f64
}

/// Soft minimum −λ ln Σ exp(−v / λ), element by element, of tensors of one shape. Shifted by the smallest, so it is
/// finite for any λ and equals the unshifted form of public code where that is finite.
pub fn soft_min<const N: usize>(candidates: [Tensor<2>; N], lambda: f64) -> Tensor<2> {
    // The shift cancels, so it needs no gradient.
    let lowest = candidates.iter().map(|v| v.clone().detach()).reduce(Tensor::min_pair).expect("N is at least 1");
    let terms = candidates.into_iter().map(|v| ((v - lowest.clone()) * (-1.0 / lambda)).exp());
    let sum = terms.reduce(|a, b| a + b).expect("N is at least 1");
    lowest - sum.log() * lambda
}

/// The same along the last axis: −λ ln Σ_i w_i exp(−v_i / λ) of values `[P, M, N]` and weights `[M, N]` of 0 or above,
/// at least one of each row above 0 → `[P, M]`.
pub fn weighted_soft_min(values: Tensor<3>, weights: &[f32], lambda: f64) -> Tensor<2> {
    let [pairs, rows, columns] = values.dims();
    let device = plain_device(&values);
    let constant = |values: Vec<f32>| Tensor::<3>::from_data(TensorData::new(values, [1, rows, columns]), &device);
    let out = constant(weights.iter().map(|&w| if w > 0.0 { 0.0 } else { OUT }).collect());
    let lowest = (values.clone().detach() + out).min_dim(2);
    // A value of weight 0 may be smaller than the shift; its exponential must not overflow before it is multiplied by
    // 0.
    let exponents = ((values - lowest.clone()) * (-1.0 / lambda)).clamp_max(0.0);
    let sum = (exponents.exp() * constant(weights.to_vec())).sum_dim(2);
    (lowest - sum.log() * lambda).reshape([pairs, rows])
}

/// Larger than any sum of costs, and small enough that a division by the smallest λ stays finite.
pub const OUT: f32 = 1e30;

#[cfg(test)]
pub mod check {
    //! Costs D1 and D2 of the tests, with values computed in float64 by an independent implementation.
    use super::*;
    use burn::tensor::Device;

    /// FLOPs of the cosines of all pairs of frames in [`crate::conformance::alignment::flops`]: two episodes, each
    /// three queries and three classes of four frames, six features.
    pub const COSINES: f64 = 2.0 * 2.0 * 12.0 * 12.0 * 6.0;

    /// D1 = [[.1,.5,.9],[.6,.2,.7],[.8,.4,.3]], rows are query frames.
    pub fn d1() -> Tensor<3> {
        let values = vec![0.1f32, 0.5, 0.9, 0.6, 0.2, 0.7, 0.8, 0.4, 0.3];
        Tensor::from_data(TensorData::new(values, [1, 3, 3]), &Device::flex())
    }

    /// D2[i, j] = 1 − cos((0.35 i + 0.1) − 0.3 j), T = 8.
    pub fn d2() -> Tensor<3> {
        let value = |i: usize, j: usize| 1.0 - ((0.35 * i as f64 + 0.1) - 0.3 * j as f64).cos();
        let values: Vec<f32> = (0..64).map(|p| value(p / 8, p % 8) as f32).collect();
        Tensor::from_data(TensorData::new(values, [1, 8, 8]), &Device::flex())
    }

    /// The weights by which `metric` explains its distance of a query and one support clip, whose frames point at these
    /// angles in degrees.
    pub fn explained(metric: &dyn Alignment, query: &[f32], support: &[f32]) -> Vec<Vec<f32>> {
        let clip = |degrees: &[f32]| -> Tensor<2> {
            let values: Vec<f32> =
                degrees.iter().flat_map(|at| [at.to_radians().cos(), at.to_radians().sin()]).collect();
            Tensor::from_data(TensorData::new(values, [degrees.len(), 2]), &Device::flex())
        };
        let found = metric.explain(clip(query).unsqueeze(), clip(support).unsqueeze()).unwrap();
        assert_eq!((found.weights.len(), found.shots), (1, 1));
        found.weights[0].clone()
    }

    /// Asserts that `got` is `want` within 2e-5, relative to `want` above 1.
    pub fn close(got: Tensor<1>, want: f64) {
        let got = got.into_scalar::<f32>() as f64;
        assert!((got - want).abs() <= 2e-5 * want.abs().max(1.0), "{got} is not {want}");
    }
}

//! What metrics on frame-to-frame costs share: the cosine and the rule for several shots.

use burn::tensor::Tensor;
use maclip_framework::model::normalize;
use serde::{Deserialize, Serialize};

/// How K shots of a class become one distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShotRule {
    /// Average the shots' features frame by frame, then one distance (CLIP-FSAR, D2ST; MA-CLIP as we read it).
    MeanFeatures,
    /// One distance for each support clip, then their mean (OTAM and HyRSM in public code).
    MeanDistances,
}

/// The cosine of two frames.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Cosine {
    /// x·y / (‖x‖ ‖y‖ + 0.01): the public OTAM code (few-shot-action-recognition, CLIP-FSAR).
    PlusEpsilon,
    /// x/‖x‖ · y/‖y‖: HyRSM, D2ST.
    Normalized,
}

impl Cosine {
    /// x `[N, A, E]`, y `[N, B, E]` → `[N, A, B]`.
    pub fn of(self, x: Tensor<3>, y: Tensor<3>) -> Tensor<3> {
        match self {
            Cosine::Normalized => normalize(x).matmul(normalize(y).swap_dims(1, 2)),
            Cosine::PlusEpsilon => {
                let norm = |v: &Tensor<3>| v.clone().powf_scalar(2.0).sum_dim(2).sqrt();
                let norms = norm(&x).matmul(norm(&y).swap_dims(1, 2));
                x.matmul(y.swap_dims(1, 2)) / (norms + 0.01)
            }
        }
    }
}

/// Distances `[N, Q, W]` from a metric on cost matrices D = 1 − cosine, `[P, Tq, Ts]` → `[P]`; rows are query frames.
pub fn distances(
    query: Tensor<4>,
    support: Tensor<5>,
    shots: ShotRule,
    cosine: Cosine,
    metric: impl Fn(Tensor<3>) -> Tensor<1>,
) -> Tensor<3> {
    let [n, q, tq, e] = query.dims();
    let [_, w, k, ts, _] = support.dims();
    let (support, k) = match shots {
        ShotRule::MeanFeatures if k > 1 => (support.mean_dim(2), 1),
        _ => (support, k),
    };
    let similarity = cosine.of(query.reshape([n, q * tq, e]), support.reshape([n, w * k * ts, e]));
    let costs = (similarity.neg() + 1.0).reshape([n, q, tq, w * k, ts]).swap_dims(2, 3);
    let pairs = metric(costs.reshape([n * q * w * k, tq, ts]));
    pairs.reshape([n, q, w, k]).mean_dim(3).squeeze_dim(3)
}

#[cfg(test)]
pub mod check {
    //! Costs D1 and D2 of the tests, with values computed in float64 by an independent implementation.
    use super::*;
    use burn::tensor::{Device, TensorData};

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

    pub fn close(got: Tensor<1>, want: f64) {
        let got = got.into_scalar::<f32>() as f64;
        assert!((got - want).abs() <= 2e-5 * want.abs().max(1.0), "{got} is not {want}");
    }

    /// Random features `[N, M, T, E]`.
    pub fn features(seed: u64, shape: [usize; 4]) -> Tensor<4> {
        let mut rng = maclip_framework::random::Stream::new(seed, "test").at(0);
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.normal() as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    /// What every metric must hold: a sequence is nearest to itself, episodes do not mix, and the order of the classes
    /// only permutes the distances.
    pub fn properties(metric: &dyn maclip_framework::slots::alignment::Alignment) {
        let support = features(1, [2, 3, 4, 6]);
        let query = support.clone() * 1.5;
        let five = |x: Tensor<4>| x.unsqueeze_dim::<5>(2);
        let d: Vec<f32> = metric.distances(query.clone(), five(support.clone())).into_data().try_to_vec().unwrap();
        for n in 0..2 {
            for q in 0..3 {
                let row = &d[(n * 3 + q) * 3..(n * 3 + q + 1) * 3];
                assert!((0..3).all(|w| w == q || row[q] < row[w]), "{row:?}");
            }
        }
        let alone = metric.distances(query.clone().narrow(0, 1, 1), five(support.clone().narrow(0, 1, 1)));
        let alone: Vec<f32> = alone.into_data().try_to_vec().unwrap();
        assert!(alone.iter().zip(&d[9..]).all(|(a, b)| (a - b).abs() < 1e-5));
        let flipped: Vec<f32> = metric.distances(query, five(support.flip([1]))).into_data().try_to_vec().unwrap();
        assert!((0..6).all(|q| (0..3).all(|w| (flipped[q * 3 + w] - d[q * 3 + 2 - w]).abs() < 1e-5)));
    }
}

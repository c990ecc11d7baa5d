//! Which pairs of frames a distance depends on: the type of such an explanation, and a way to find one for any
//! alignment.

use crate::error::{Error, Result};
use burn::tensor::{Tensor, TensorData};

/// Which pairs of frames the distances depend on, for P pairs of a query clip and the support clips of one class.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// What the weights mean, in a few words for a caption.
    pub what: String,
    /// `[P][Tq][S]`: a row for each query frame, and S = `shots` · Ts columns for the support frames, shot after shot.
    /// Weights are within 0 and 1. The largest of each pair is 1, unless all are 0.
    pub weights: Vec<Vec<Vec<f32>>>,
    /// How many support clips are side by side in the columns: K, or 1 where the metric averages the shots first.
    pub shots: usize,
}

impl Explanation {
    /// From values `[P, Tq, S]` of any scale. Only their size counts, and not their sign: a pair of frames that makes
    /// the distance smaller is as important as one that makes it larger.
    ///
    /// # Errors
    /// Where a value is not finite.
    pub fn new(what: impl Into<String>, shots: usize, values: Tensor<3>) -> Result<Self> {
        let [_, rows, columns] = values.dims();
        let what = what.into();
        let values: Vec<f32> = values.into_data().iter::<f32>().map(f32::abs).collect();
        if values.iter().any(|value| !value.is_finite()) {
            let message = format!("the alignment's explanation ({what}) has a weight that is no finite number");
            return Err(Error::failed(message));
        }
        let pair = |values: &[f32]| -> Vec<Vec<f32>> {
            let largest = values.iter().copied().fold(0.0, f32::max);
            let scale = if largest > 0.0 { largest } else { 1.0 };
            values.chunks(columns).map(|row| row.iter().map(|value| value / scale).collect()).collect()
        };
        Ok(Self { what, weights: values.chunks(rows * columns).map(pair).collect(), shots })
    }
}

/// Variants of a support that are compared in one call of a metric, to limit its memory.
const AT_ONCE: usize = 64;

/// A difference of distances below this part of the largest distance counts as rounding.
const ROUNDING: f64 = 16.0 * f32::EPSILON as f64;

/// The interaction of each query frame with each support frame, for any metric: only its distances are used.
///
/// Let d(−i, −j) be the distance after frame i of the query was replaced by the query's time average and frame j of a
/// support clip by that clip's time average, and d(−i), d(−j) and d the distances with one or none of them replaced.
/// Then
///
/// ```text
/// weight(i, j) = |d(−i, −j) − d(−i) − d(−j) + d|
/// ```
/// This is the effect of the pair beyond the effects of each frame alone. For a distance that is a sum of terms with
/// one pair each, it is the change of the term of i and j. Values within the rounding of the distances become 0.
///
/// `distances` is [`crate::slots::alignment::Alignment::distances`], query `[P, Tq, E]`, support `[P, K, Ts, E]`. Each
/// variant of the support becomes an episode of one class, and all variants of the query are its queries.
///
/// # Errors
/// Where a distance is not finite.
pub fn by_occlusion(
    distances: impl Fn(Tensor<4>, Tensor<5>) -> Tensor<3>,
    query: Tensor<3>,
    support: Tensor<4>,
) -> Result<Explanation> {
    let [pairs, rows, e] = query.dims();
    let [_, k, ts, _] = support.dims();
    let columns = k * ts;
    let mut values = Vec::new();
    for pair in 0..pairs {
        let queries: Tensor<3> = with_each_frame_averaged(query.clone().narrow(0, pair, 1)).squeeze_dim(1);
        let supports = with_each_frame_averaged(support.clone().narrow(0, pair, 1).reshape([k, ts, e]));
        let mut table = Vec::new();
        for first in (0..=columns).step_by(AT_ONCE) {
            let n = AT_ONCE.min(columns + 1 - first);
            let queries = queries.clone().unsqueeze::<4>().expand([n, rows + 1, rows, e]);
            let supports = supports.clone().narrow(0, first, n).unsqueeze_dim::<5>(1);
            table.push(distances(queries, supports).reshape([n, rows + 1]));
        }
        // `[1 + Tq, 1 + S]`; at index 0 nothing is replaced.
        let table = Tensor::cat(table, 0).swap_dims(0, 1);
        let part = |row: usize, rows: usize, column: usize, columns: usize| {
            table.clone().narrow(0, row, rows).narrow(1, column, columns)
        };
        let alone = part(1, rows, 0, 1) + part(0, 1, 1, columns) - part(0, 1, 0, 1);
        let interaction = (part(1, rows, 1, columns) - alone).abs();
        let rounding = table.clone().abs().max().into_scalar::<f32>() as f64 * ROUNDING;
        values.push(interaction.clone().mask_fill(interaction.lower_elem(rounding), 0.0).unsqueeze::<3>());
    }
    Explanation::new("how much the distance rests on both frames together, by occlusion", k, Tensor::cat(values, 0))
}

/// Clips `[K, T, E]` → `[1 + K · T, K, T, E]`: first unchanged, then each time with one frame replaced by its clip's
/// average.
fn with_each_frame_averaged(clips: Tensor<3>) -> Tensor<4> {
    let [k, t, _] = clips.dims();
    let frames = k * t;
    let replaced: Vec<f32> =
        (0..(1 + frames) * frames).map(|at| if at / frames == at % frames + 1 { 1.0 } else { 0.0 }).collect();
    let replaced = Tensor::<4>::from_data(TensorData::new(replaced, [1 + frames, k, t, 1]), &clips.device());
    let averages = clips.clone().mean_dim(1).unsqueeze::<4>();
    clips.unsqueeze::<4>() * (replaced.clone().neg() + 1.0) + averages * replaced
}

/// Costs 1 − cosine of pairs of frames, as a background for an explanation: query `[P, Tq, E]`, support `[P, K, Ts, E]`
/// → `[P, Tq, S]` with the columns of [`Explanation::weights`]: the frames of all shots, or of their average where
/// `shots` is 1.
pub fn frame_costs(query: Tensor<3>, support: Tensor<4>, shots: usize) -> Tensor<3> {
    let [pairs, k, ts, e] = support.dims();
    let support = match shots {
        1 => support.mean_dim(1).reshape([pairs, ts, e]),
        _ => support.reshape([pairs, k * ts, e]),
    };
    normalize(query).matmul(normalize(support).swap_dims(1, 2)).neg() + 1.0
}

/// Unit vectors along the last axis: x / max(‖x‖, 1e-12).
pub fn normalize<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let norm = x.clone().powf_scalar(2.0).sum_dim(D - 1).sqrt().clamp_min(1e-12);
    x / norm
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn clip<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    #[test]
    fn occlusion_finds_the_pair_that_counts() {
        // Each frame is one number; the distance is q₁ s₂ + q₀ + s₀ of the only shot, so that one product is all that
        // two frames have together.
        let metric = |query: Tensor<4>, support: Tensor<5>| -> Tensor<3> {
            let [n, q, _, _] = query.dims();
            let frame = |i: usize| query.clone().narrow(2, i, 1).reshape([n, q, 1]);
            let other = |j: usize| support.clone().narrow(3, j, 1).reshape([n, 1, 1]);
            frame(1) * other(2) + frame(0) + other(0)
        };
        // Two pairs. Averages of the first: 2 and 2; the change of the product: (1 − 2) (5 − 2).
        let query = clip(vec![3.0, 1.0, 2.0, 2.0, 2.0, 2.0], [2, 3, 1]);
        let support = clip(vec![0.0, 1.0, 5.0, 0.0, 1.0, 5.0], [2, 1, 3, 1]);
        let found = by_occlusion(metric, query, support).unwrap();
        assert_eq!(found.shots, 1);
        assert_eq!(found.weights[0], [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]);
        // A query that equals its average everywhere has nothing to lose.
        assert_eq!(found.weights[1], [[0.0; 3]; 3]);
    }

    #[test]
    fn occlusion_sees_every_shot_and_calls_in_parts() {
        // 70 frames in two shots, more than go into one call; the distance is the product of the query's first frame
        // and the last frame of the second shot.
        let metric = |query: Tensor<4>, support: Tensor<5>| -> Tensor<3> {
            let ([n, q, _, _], [_, _, k, ts, _]) = (query.dims(), support.dims());
            let last = support.narrow(2, k - 1, 1).narrow(3, ts - 1, 1).reshape([n, 1, 1]);
            query.narrow(2, 0, 1).reshape([n, q, 1]) * last
        };
        let query = clip(vec![1.0, 3.0], [1, 2, 1]);
        let support = clip((0..70).map(|i| i as f32).collect(), [1, 2, 35, 1]);
        let found = by_occlusion(metric, query, support).unwrap();
        assert_eq!((found.shots, found.weights[0][0].len()), (2, 70));
        let heavy: Vec<(usize, usize)> =
            (0..2).flat_map(|i| (0..70).map(move |j| (i, j))).filter(|&(i, j)| found.weights[0][i][j] > 0.0).collect();
        assert_eq!(heavy, [(0, 69)]);
    }

    #[test]
    fn weights_are_scaled_and_must_be_numbers() {
        let values = clip(vec![0.5, -2.0, 0.0, 0.0], [2, 1, 2]);
        assert_eq!(Explanation::new("test", 1, values).unwrap().weights, [[[0.25, 1.0]], [[0.0, 0.0]]]);
        let message = Explanation::new("test", 1, clip(vec![f32::NAN], [1, 1, 1])).unwrap_err().to_string();
        assert!(message.contains("(test) has a weight that is no finite number"), "{message}");
    }

    #[test]
    fn costs_have_the_columns_of_the_weights() {
        // Query (2, 0); shots (3, 0) and (0, 1), whose average (1.5, 0.5) has the cosine 3/√10.
        let (query, support) = (clip(vec![2.0, 0.0], [1, 1, 2]), clip(vec![3.0, 0.0, 0.0, 1.0], [1, 2, 1, 2]));
        let costs = |shots: usize| -> Vec<f32> {
            frame_costs(query.clone(), support.clone(), shots).into_data().try_to_vec().unwrap()
        };
        assert!(costs(2).iter().zip([0.0, 1.0]).all(|(got, want)| (got - want).abs() < 1e-6), "{:?}", costs(2));
        assert!((costs(1)[0] - (1.0 - 3.0 / 10f32.sqrt())).abs() < 1e-6 && costs(1).len() == 1, "{:?}", costs(1));
    }
}

//! What classifiers on the support clips of an episode share: unit vectors of time averages, and how they are
//! explained.

use super::frame_costs::Cosine;
use crate::layers::plain_device;
use burn::tensor::{Tensor, TensorData};
use maclip_framework::error::Result;
use maclip_framework::slots::explanation::{Explanation, by_occlusion, normalize};

/// Queries `[N, Q, Tq, E]` and supports `[N, W, K, Ts, E]` → unit vectors of their time averages `[N, Q, E]` and `[N,
/// S, E]`, and the classes of the supports, `[N, S, W]`, one in each row.
pub fn units(query: Tensor<4>, support: Tensor<5>) -> (Tensor<3>, Tensor<3>, Tensor<3>) {
    let ([n, q, _, e], [_, w, k, _, _]) = (query.dims(), support.dims());
    let device = plain_device(&query);
    let query = normalize(query.mean_dim(2).reshape([n, q, e]));
    let support = normalize(support.mean_dim(3).reshape([n, w * k, e]));
    let classes: Vec<f32> = (0..w * k * w).map(|at| f32::from(at / w / k == at % w)).collect();
    let classes = Tensor::<2>::from_data(TensorData::new(classes, [w * k, w]), &device);
    (query, support, classes.unsqueeze::<3>().expand([n, w * k, w]))
}

/// Which frames bring a query near to the support clips of a class: a classifier needs all classes, so the cosine of
/// time averages stands for it.
///
/// # Errors
/// Where a weight is not finite.
pub fn explain(query: Tensor<3>, support: Tensor<4>) -> Result<Explanation> {
    let distances = |query: Tensor<4>, support: Tensor<5>| {
        let ([n, q, _, _], [_, w, k, _, _]) = (query.dims(), support.dims());
        let (query, support, _) = units(query, support);
        Cosine::Normalized.of(query, support).reshape([n, q, w, k]).mean_dim(3).squeeze_dim::<3>(3).neg()
    };
    by_occlusion(distances, query, support)
}

/// What the tests of these classifiers share.
#[cfg(test)]
pub mod tested {
    use crate::conformance::alignment::Traits;
    use burn::tensor::{Device, Tensor};

    /// They know no order of frames, take all shots at once, and say no cost.
    pub fn traits() -> Traits {
        Traits { order_blind: true, shots: &[], costed: false, ..Traits::default() }
    }

    /// A query with the direction (0.6, 0.8), and supports of two classes with the directions (1, 0) and (0, 1).
    pub fn two_classes() -> (Tensor<4>, Tensor<5>) {
        let device = Device::flex();
        let query = Tensor::from_data([[[[3.0f32, 4.0]]]], &device);
        let support = Tensor::from_data([[[[[2.0f32, 0.0]]], [[[0.0, 5.0]]]]], &device);
        (query, support)
    }
}

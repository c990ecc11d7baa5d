//! Tensors to try components with.

use burn::tensor::{Device, Tensor, TensorData};
use maclip_framework::random::Stream;

/// Normally distributed values, the same for the same seed and shape.
pub fn random<const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<D> {
    let mut rng = Stream::new(seed, "test").at(0);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.normal() as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// All values in order.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Whether each value of `a` is within `tolerance · (1 + |b|)` of that of `b`.
pub fn close(a: &[f32], b: &[f32], tolerance: f32) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance * (1.0 + b.abs()))
}

/// The largest difference of two tensors of one shape.
///
/// # Panics
/// Where the shapes differ.
pub fn difference<const D: usize>(a: &Tensor<D>, b: &Tensor<D>) -> f32 {
    assert_eq!(a.dims(), b.dims(), "tensors of one shape are compared");
    let (a, b) = (values(a.clone()), values(b.clone()));
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

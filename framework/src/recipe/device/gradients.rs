//! Whether a device computes gradients as `flex` does: one small training step on both.
//!
//! Some drivers compute every value right and the gradients wrong where the weights of a model are frozen and only
//! adapters train (burn issue 5162). That is how most methods here train, so the step is such a one: a frozen block
//! with attention, adapters as in MA-CLIP, cosines between clips and classes, cross-entropy.

use burn::tensor::activation::{log_softmax, sigmoid, softmax};
use burn::tensor::module::{layer_norm, linear};
use burn::tensor::{Device, Tensor, TensorData};

/// The largest difference that rounding can explain, as a part of the largest value of a gradient.
pub(super) const ALLOWED: f64 = 1e-3;

const CLIPS: usize = 6;
const CLASSES: usize = 3;
const TOKENS: usize = 5;
const WIDTH: usize = 32;
const HIDDEN: usize = 8;
const HEADS: usize = 4;

/// The largest difference between the gradients of `device` and those of `flex`, as a part of the largest value of each
/// gradient; `f64::MAX` where one is missing or not a number.
pub(super) fn difference(device: &Device) -> f64 {
    let worst = step(device).into_iter().zip(step(&Device::flex())).map(|(got, expected)| {
        if got.len() != expected.len() {
            return f64::MAX;
        }
        let largest = expected.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        let errors = got.iter().zip(&expected).map(|(got, expected)| (got - expected).abs() / largest);
        errors.fold(0.0, |most: f64, error| if error.is_finite() { most.max(error) } else { f64::MAX })
    });
    worst.fold(0.0, f64::max)
}

/// Values between −`size` and `size` that repeat nothing.
fn values<const D: usize>(shape: [usize; D], size: f64, seed: usize) -> TensorData {
    let count: usize = shape.iter().product();
    let value = |at: usize| (size * (1.7 * at as f64 + 3.1 * seed as f64 + 0.01 * (at * at) as f64).sin()) as f32;
    TensorData::new((0..count).map(value).collect::<Vec<_>>(), shape)
}

/// The gradient of every trainable tensor.
fn step(device: &Device) -> Vec<Vec<f64>> {
    let device = device.clone().inner();
    let graph = device.clone().autodiff();
    let frozen = |shape: [usize; 2], seed: usize| {
        Tensor::<2>::from_data(values(shape, (3.0 / shape[0] as f64).sqrt(), seed), &device)
    };
    let weight = |shape: [usize; 2], seed: usize| {
        Tensor::<2>::from_data(values(shape, (1.0 / shape[0] as f64).sqrt(), seed), &graph).require_grad()
    };
    let bias = |width: usize, seed: usize| Tensor::<1>::from_data(values([width], 0.1, seed), &graph).require_grad();
    let norm =
        |x: Tensor<3>| layer_norm(x, Tensor::ones([WIDTH], &device), Some(Tensor::zeros([WIDTH], &device)), 1e-5);
    let weights = [
        weight([WIDTH, HIDDEN], 1),
        weight([HIDDEN, WIDTH], 2),
        weight([WIDTH, HIDDEN], 3),
        weight([HIDDEN, WIDTH], 4),
        weight([WIDTH, WIDTH], 5),
    ];
    let biases = [bias(HIDDEN, 6), bias(WIDTH, 7), bias(HIDDEN, 8), bias(WIDTH, 9), bias(WIDTH, 10)];
    let adapter = |x: Tensor<3>, at: usize| {
        let layer = |x: Tensor<3>, at: usize| linear(x, weights[at].clone(), Some(biases[at].clone()));
        let hidden = layer(x, at);
        // The exact GELU, of operations whose gradients burn computes exactly.
        let gelu = hidden.clone() * ((hidden * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0) * 0.5;
        layer(gelu, at + 1)
    };
    // A frozen block with adapters beside it; a text of its class stands before the tokens of each clip.
    let [qkv, out, up, down] = [([WIDTH, 3 * WIDTH], 11), ([WIDTH, WIDTH], 12), ([WIDTH, 64], 13), ([64, WIDTH], 14)]
        .map(|(shape, seed)| frozen(shape, seed));
    let clips = Tensor::<3>::from_data(values([CLIPS, TOKENS, WIDTH], 1.0, 15), &device);
    let text = Tensor::<3>::from_data(values([1, 1, WIDTH], 1.0, 16), &device);
    let text = linear(text, weights[4].clone(), Some(biases[4].clone())).repeat_dim(0, CLIPS);
    let x = Tensor::cat(vec![text, Tensor::from_inner(clips)], 1);
    let packed = linear(norm(x.clone()), qkv, None);
    let part = |at: usize| {
        let part = packed.clone().narrow(2, at * WIDTH, WIDTH);
        part.reshape([CLIPS, TOKENS + 1, HEADS, WIDTH / HEADS]).swap_dims(1, 2)
    };
    let scores = part(0).matmul(part(1).swap_dims(2, 3)) * (WIDTH as f64 / HEADS as f64).powf(-0.5);
    let attended = softmax(scores, 3).matmul(part(2)).swap_dims(1, 2).reshape([CLIPS, TOKENS + 1, WIDTH]);
    let attended = linear(attended, out, None);
    let x = x + attended.clone() + adapter(attended, 0);
    let x = x.narrow(1, 0, TOKENS);
    let inner = norm(x.clone());
    let hidden = linear(inner.clone(), up, None);
    let hidden = hidden.clone() * sigmoid(hidden * 1.702);
    let x = x + linear(hidden, down, None) + adapter(inner, 2) * 0.5;
    // Cosines between the last clips and the first ones, which are the classes.
    let features = x.mean_dim(1).reshape([CLIPS, WIDTH]);
    let features = features.clone() / (features.square().sum_dim(1) + 1e-8).sqrt();
    let classes = features.clone().narrow(0, 0, CLASSES).transpose();
    let likely = log_softmax(features.narrow(0, CLASSES, CLIPS - CLASSES).matmul(classes) * 5.0, 1);
    let loss = -(likely * Tensor::eye(CLASSES, &device)).sum() / CLASSES as f64;
    let gradients = loss.backward();
    // A gradient that is not there is an empty list, which differs from any other.
    fn list<const D: usize>(gradient: Option<Tensor<D>>) -> Vec<f64> {
        gradient.map(|gradient| gradient.into_data().iter::<f64>().collect()).unwrap_or_default()
    }
    let of_weights = weights.iter().map(|weight| list(weight.grad(&gradients)));
    of_weights.chain(biases.iter().map(|bias| list(bias.grad(&gradients)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trainable_tensor_of_the_step_has_a_gradient_that_says_something() {
        let gradients = step(&Device::flex());
        assert_eq!(gradients.len(), 10);
        for gradient in &gradients {
            assert!(gradient.iter().all(|value| value.is_finite()));
            assert!(gradient.iter().any(|value| value.abs() > 1e-4), "{gradient:?}");
        }
        assert_eq!(difference(&Device::flex()), 0.0);
    }
}

//! Every operation against burn's own, on every device of this build that has them; against finite differences, and at
//! every instruction set.

use crate::operations::{self, FeedForwardOptions, ProjectedAttention};
use crate::simd::Level;
use crate::{Activation, adamw, attention, feed_forward, linear, norm};
use burn::tensor::{DType, Device, Tensor, TensorData};

/// Numbers in −1..1.
fn values(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(next).collect()
}

/// The devices with operations of ours. `MACLIP_DEVICE=tch:cuda:0` adds a GPU.
fn devices() -> Vec<Device> {
    #[cfg(feature = "tch")]
    let gpu: Option<usize> =
        std::env::var("MACLIP_DEVICE").ok().and_then(|name| name.strip_prefix("tch:cuda:")?.parse().ok());
    let devices: Vec<Device> = [
        Some(Device::flex()),
        #[cfg(feature = "tch")]
        Some(Device::libtorch()),
        #[cfg(feature = "tch")]
        gpu.map(Device::libtorch_cuda),
    ]
    .into_iter()
    .flatten()
    .collect();
    assert!(devices.iter().all(operations::has_kernels));
    devices
}

fn tensor<const D: usize>(device: &Device, shape: [usize; D], seed: u64) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values(shape.iter().product(), seed), shape), device)
}

fn leaf<const D: usize>(device: &Device, shape: [usize; D], seed: u64) -> Tensor<D> {
    tensor(&device.clone().autodiff(), shape, seed).require_grad()
}

/// In f32, whatever the tensor has: on LibTorch what stands between products in bf16 has bf16.
fn numbers<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.clone().cast(DType::F32).into_data().try_to_vec::<f32>().unwrap()
}

/// Largest difference as a part of the largest number.
fn apart(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(0.0f32, |a, b| a.max(b.abs())).max(1e-3);
    ours.iter()
        .zip(theirs)
        .fold(0.0f32, |a, (x, y)| if x.is_nan() || y.is_nan() { f32::NAN } else { a.max((x - y).abs()) })
        / largest
}

fn assert_near(what: &str, ours: &[f32], theirs: &[f32], tolerance: f32) {
    let apart = apart(ours, theirs);
    assert!(apart < tolerance, "{what}: {apart:e} of the largest number");
}

/// The gradient of one leaf.
type GradientOf<'a> = dyn Fn(&burn::tensor::Gradients) -> Option<Vec<f32>> + 'a;

/// Value and the gradients of all leaves of Σ y · r, for a fixed random r.
fn judged<const D: usize>(y: Tensor<D>, leaves: &[&GradientOf]) -> Vec<Vec<f32>> {
    let r = tensor(&y.device().inner(), y.dims(), 99);
    let grads = (y.clone().cast(DType::F32) * r).sum().backward();
    [numbers(&y)].into_iter().chain(leaves.iter().map(|leaf| leaf(&grads).expect("a gradient"))).collect()
}

macro_rules! compare {
    ($what:expr, [$($leaf:ident),*], $ours:expr, $theirs:expr) => {
        compare!($what, [$($leaf),*], $ours, $theirs, within 3e-6)
    };
    ($what:expr, [$($leaf:ident),*], $ours:expr, $theirs:expr, within $tolerance:expr) => {{
        let of = |y| judged(y, &[$(&|grads: &burn::tensor::Gradients| $leaf.grad(grads).map(|g| numbers(&g))),*]);
        for (i, (ours, theirs)) in of($ours).iter().zip(&of($theirs)).enumerate() {
            let what = format!("{} {}, value 0 or gradient {i}", $what, stringify!($($leaf)*));
            assert_near(&what, ours, theirs, $tolerance);
        }
    }};
}

#[test]
fn linear_layers_agree_with_burn() {
    for device in devices() {
        // Widths with and without tails, few rows, many rows with a small weight.
        for [rows, d, e] in [[3, 16, 16], [7, 5, 9], [100, 33, 47], [400, 64, 32], [5000, 8, 20]] {
            let (x, w, b) = (leaf(&device, [rows, d], 1), leaf(&device, [d, e], 2), leaf(&device, [e], 3));
            let r = leaf(&device, [rows, e], 4);
            let theirs = x.clone().matmul(w.clone()) + b.clone().unsqueeze() + r.clone();
            let ours = operations::linear(x.clone(), w.clone(), Some(b.clone()), Some(r.clone()));
            compare!("linear", [x, w, b, r], ours, theirs);
            let ours = operations::linear(x.clone(), w.clone(), None, None);
            compare!("linear", [x, w], ours, x.clone().matmul(w.clone()));
        }
    }
}

#[test]
fn layer_norm_agrees_with_burn_with_trained_and_frozen_weights() {
    for device in devices() {
        for [rows, d] in [[1, 16], [9, 7], [300, 33], [40, 128]] {
            let (x, gamma, beta) = (leaf(&device, [rows, d], 1), leaf(&device, [d], 2), leaf(&device, [d], 3));
            let theirs = |gamma: Tensor<1>, beta: Tensor<1>| {
                let centred = x.clone() - x.clone().mean_dim(1);
                let scale = (centred.clone().powf_scalar(2.0).mean_dim(1) + 1e-5).sqrt();
                centred / scale * gamma.unsqueeze() + beta.unsqueeze()
            };
            let ours = operations::layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-5);
            compare!("layer norm", [x, gamma, beta], ours, theirs(gamma.clone(), beta.clone()));
            let (gamma, beta) = (tensor(&device, [d], 2), tensor(&device, [d], 3));
            let ours = operations::layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-5);
            compare!("frozen layer norm", [x], ours, theirs(gamma, beta));
        }
    }
}

#[test]
fn attention_agrees_with_burn() {
    for device in devices() {
        for (b, n, m, heads, head) in
            [(2, 5, 5, 2, 8), (1, 1, 1, 1, 3), (3, 37, 37, 4, 32), (2, 50, 50, 2, 64), (1, 17, 17, 3, 20)]
        {
            let d = heads * head;
            let qkv = leaf(&device, [b, n, 3 * d], 1);
            let part = |i: usize| qkv.clone().narrow(2, i * d, d);
            let theirs = |mask| operations::decomposed_attention(part(0), part(1), part(2), mask, heads);
            compare!("attention", [qkv], operations::attention(qkv.clone(), None, heads), theirs(None));
            // A causal mask, as the text tower's.
            let mask: Vec<f32> = (0..n * n).map(|i| if i % n > i / n { f32::NEG_INFINITY } else { 0.0 }).collect();
            let mask = Tensor::<2>::from_data(TensorData::new(mask, [n, n]), &device);
            compare!(
                "masked attention",
                [qkv],
                operations::attention(qkv.clone(), Some(mask.clone()), heads),
                theirs(Some(mask))
            );
            assert_eq!(n, m);
        }
        for (b, n, m, heads, head) in [(2, 3, 9, 2, 8), (3, 8, 9, 8, 8), (1, 9, 2, 1, 5), (2, 20, 33, 2, 16)] {
            let d = heads * head;
            let (q, kv) = (leaf(&device, [b, n, d], 1), leaf(&device, [b, m, 2 * d], 2));
            let mask = tensor(&device, [n, m], 3);
            for mask in [None, Some(mask)] {
                let part = |i: usize| kv.clone().narrow(2, i * d, d);
                let theirs = operations::decomposed_attention(q.clone(), part(0), part(1), mask.clone(), heads);
                compare!(
                    "cross attention",
                    [q, kv],
                    operations::cross_attention(q.clone(), kv.clone(), mask, heads),
                    theirs
                );
            }
        }
    }
}

#[test]
fn attention_with_its_projections_agrees_with_burn() {
    for device in devices() {
        for (b, n, first, heads, head) in [(2, 5, 5, 2, 8), (3, 37, 30, 4, 32), (1, 9, 1, 3, 20)] {
            let d = heads * head;
            let (x, w_in, b_in) =
                (leaf(&device, [b, n, d], 1), leaf(&device, [d, 3 * d], 2), leaf(&device, [3 * d], 3));
            let (w_out, b_out) = (leaf(&device, [d, d], 4), leaf(&device, [d], 5));
            let (shift, r) = (leaf(&device, [b, n, 3 * d], 6), leaf(&device, [b, first, d], 7));
            let theirs = |mask: Option<Tensor<2>>| {
                let qkv = x.clone().matmul(w_in.clone().unsqueeze()) + b_in.clone().unsqueeze() + shift.clone();
                let part = |i: usize| qkv.clone().narrow(2, i * d, d);
                let q = part(0).narrow(1, 0, first);
                let mixed = operations::decomposed_attention(q, part(1), part(2), mask, heads);
                mixed.matmul(w_out.clone().unsqueeze()) + b_out.clone().unsqueeze() + r.clone()
            };
            let options = ProjectedAttention { heads, first };
            let ours = |mask| {
                let biases = [Some(b_in.clone()), Some(b_out.clone())];
                let (weights, extra) = ([w_in.clone(), w_out.clone()], (Some(shift.clone()), Some(r.clone())));
                operations::projected_attention(x.clone(), weights, biases, extra.0, mask, extra.1, options)
            };
            // Sums of products of sums: the last bits move more than those of one product.
            let what = "projected attention";
            compare!(what, [x, w_in, b_in, w_out, b_out, shift, r], ours(None), theirs(None), within 2e-5);
            if first == n {
                let mask = tensor(&device, [n, n], 8);
                let (ours, theirs) = (ours(Some(mask.clone())), theirs(Some(mask)));
                compare!("projected and masked attention", [x, w_in, b_in], ours, theirs, within 2e-5);
            }
            let plain = |x: Tensor<3>| {
                let frozen = [tensor(&device, [d, 3 * d], 2), tensor(&device, [d, d], 4)];
                operations::projected_attention(x, frozen, [None, None], None, None, None, options)
            };
            let frozen = [tensor(&device, [d, 3 * d], 2), tensor(&device, [d, d], 4)].map(|w| w.cast(DType::BF16));
            let lower =
                operations::projected_attention(x.clone() * 0.1, frozen, [None, None], None, None, None, options);
            // bf16 has eight bits, and four products stand one after the other.
            compare!("projected attention in bf16", [x], lower, plain(x.clone() * 0.1), within 1e-1);
        }
    }
}

#[test]
fn feed_forward_layers_agree_with_burn() {
    for device in devices() {
        for activation in [Activation::QuickGelu, Activation::Gelu, Activation::Relu] {
            for (scale, skip) in [(1.0, false), (1.0, true), (0.5, false)] {
                for [rows, d, hidden] in [[3, 16, 32], [130, 24, 6], [9, 5, 50], [500, 32, 128]] {
                    let options = FeedForwardOptions { activation, scale, skip };
                    let (x, r) = (leaf(&device, [rows, d], 1), leaf(&device, [rows, d], 2));
                    let (w1, b1, w2, b2) = (
                        leaf(&device, [d, hidden], 3),
                        leaf(&device, [hidden], 4),
                        leaf(&device, [hidden, d], 5),
                        leaf(&device, [d], 6),
                    );
                    // A graph goes back once only, so each comparison has its own.
                    let y = || {
                        let h = x.clone().matmul(w1.clone()) + b1.clone().unsqueeze();
                        let y = operations::activate(activation, h).matmul(w2.clone()) + b2.clone().unsqueeze();
                        let y = y * scale;
                        if skip { y + x.clone() } else { y }
                    };
                    let ours =
                        |w: [Tensor<2>; 2], b: [Tensor<1>; 2], r| operations::feed_forward(x.clone(), w, b, r, options);
                    let all = ours([w1.clone(), w2.clone()], [b1.clone(), b2.clone()], Some(r.clone()));
                    compare!(format!("{activation:?}"), [x, w1, b1, w2, b2, r], all, y() + r.clone());
                    let (v1, c1, v2, c2) = (
                        tensor(&device, [d, hidden], 3),
                        tensor(&device, [hidden], 4),
                        tensor(&device, [hidden, d], 5),
                        tensor(&device, [d], 6),
                    );
                    compare!(format!("frozen {activation:?}"), [x], ours([v1, v2], [c1, c2], None), y());
                }
            }
        }
    }
}

#[test]
fn products_with_weights_in_bf16_agree_with_burn() {
    let lower = |x: Tensor<2>| x.cast(DType::BF16);
    let product = |x: Tensor<2>, w: &Tensor<2>, b: &Tensor<1>| {
        lower(x).matmul(w.clone()).cast(DType::F32) + b.clone().unsqueeze()
    };
    for device in devices() {
        // LibTorch adds the bias before it rounds to bf16, burn after that.
        let is_flex = device == Device::flex();
        let tolerance = if is_flex { 3e-6 } else { 8e-3 };
        for [rows, d, e] in [[3, 16, 32], [100, 33, 47]] {
            let (x, b, r) = (leaf(&device, [rows, d], 1), leaf(&device, [e], 2), leaf(&device, [rows, e], 3));
            let w = lower(tensor(&device, [d, e], 4));
            let ours = operations::linear(x.clone(), w.clone(), Some(b.clone()), Some(r.clone()));
            compare!("linear", [x, b, r], ours, product(x.clone(), &w, &b) + r.clone(), within tolerance);
            let (w2, b2) = (lower(tensor(&device, [e, d], 5)), tensor(&device, [d], 6));
            for activation in [Activation::QuickGelu, Activation::Gelu, Activation::Relu] {
                let options = FeedForwardOptions { activation, scale: 0.5, skip: true };
                let weights = [w.clone(), w2.clone()];
                let ours = operations::feed_forward(x.clone(), weights, [b.clone(), b2.clone()], None, options);
                let theirs = product(operations::activate(activation, product(x.clone(), &w, &b)), &w2, &b2);
                let theirs = x.clone() + theirs * 0.5;
                // Another last bit before the second product may round to the next number in bf16, 1/128 away at most.
                // LibTorch also keeps what stands between the products in bf16.
                let tolerance = if is_flex { 4e-3 } else { 2e-2 };
                compare!(format!("{activation:?}"), [x, b], ours, theirs, within tolerance);
            }
        }
    }
}

#[test]
fn tensors_that_are_not_in_order_are_read_as_they_are() {
    for device in devices() {
        let x = leaf(&device, [6, 4, 10], 1);
        let turned = || x.clone().swap_dims(0, 1).narrow(2, 1, 8);
        let (w, b) = (tensor(&device, [5, 8], 2).swap_dims(0, 1), tensor(&device, [5], 3));
        let theirs = turned().matmul(w.clone().unsqueeze()) + b.clone().unsqueeze();
        compare!("linear", [x], operations::linear(turned(), w, Some(b), None), theirs);
    }
}

#[test]
fn what_gradients_need_is_not_written_over() {
    // Nobody else has the result, so burn may compute the exponential in its memory.
    for device in devices() {
        let (x, w, b) = (leaf(&device, [2, 5, 12], 1), leaf(&device, [12, 12], 2), leaf(&device, [12], 3));
        let qkv = leaf(&device, [2, 5, 36], 4);
        let ours = operations::attention(qkv.clone(), None, 3).exp();
        let part = |i: usize| qkv.clone().narrow(2, i * 12, 12);
        compare!("attention", [qkv], ours, operations::decomposed_attention(part(0), part(1), part(2), None, 3).exp());
        let ours = operations::linear(x.clone(), w.clone(), Some(b.clone()), Some(x.clone())).exp();
        let theirs = (x.clone().matmul(w.clone().unsqueeze()) + b.clone().unsqueeze() + x.clone()).exp();
        compare!("linear", [x, w, b], ours, theirs);
        let ours = operations::layer_norm(x.clone() * 2.0, b.clone(), b.clone(), 1e-5).exp();
        let theirs = burn::tensor::module::layer_norm(x.clone() * 2.0, b.clone(), Some(b.clone()), 1e-5).exp();
        compare!("layer norm", [x, b], ours, theirs);
        let options = FeedForwardOptions { activation: Activation::Gelu, scale: 1.0, skip: true };
        let weights = || [w.clone(), w.clone()];
        let ours = operations::feed_forward(x.clone() * 2.0, weights(), [b.clone(), b.clone()], None, options).exp();
        let layer = |x: Tensor<3>| x.matmul(w.clone().unsqueeze()) + b.clone().unsqueeze();
        let theirs = layer(operations::activate(Activation::Gelu, layer(x.clone() * 2.0))) + x.clone() * 2.0;
        compare!("feed-forward", [x, w, b], ours, theirs.exp());
    }
}

#[test]
fn steps_of_adamw_agree_with_burn_and_leave_what_they_read() {
    for device in devices() {
        for shape in [[1, 1], [7, 5], [300, 131]] {
            let gradient = |time: usize| tensor(&device, shape, 10 + time as u64);
            let zero = Tensor::<2>::zeros(shape, &device);
            let (mut ours, mut theirs) = ((tensor(&device, shape, 1), [zero.clone(), zero.clone()]), None);
            for time in 1..4 {
                let options =
                    operations::AdamW { rate: 0.01, weight_decay: 0.1, beta: [0.9, 0.999], epsilon: 1e-8, time };
                let before = ours.clone();
                let values = numbers(&before.0);
                ours = operations::adamw(ours.0, gradient(time), ours.1, options);
                assert_eq!(numbers(&before.0), values);
                let (weight, moments) = theirs.unwrap_or_else(|| before.clone());
                let (weight, moments) = operations::decomposed_adamw(weight, gradient(time), moments, options);
                assert_near("weight", &numbers(&ours.0), &numbers(&weight), 1e-6);
                for (ours, theirs) in ours.1.iter().zip(&moments) {
                    assert_near("moment", &numbers(ours), &numbers(theirs), 1e-6);
                }
                theirs = Some((weight, moments));
            }
        }
    }
}

#[test]
fn what_is_not_a_number_stays_so() {
    for device in devices() {
        let x = Tensor::<2>::from_data([[f32::NAN, 1.0, 2.0, 3.0]], &device);
        let ones = Tensor::<1>::ones([4], &device);
        let weights = || [tensor(&device, [4, 4], 1), tensor(&device, [4, 4], 2)];
        for activation in [Activation::QuickGelu, Activation::Gelu, Activation::Relu] {
            let options = FeedForwardOptions { activation, scale: 1.0, skip: false };
            let y = operations::feed_forward(x.clone(), weights(), [ones.clone(), ones.clone()], None, options);
            assert!(numbers(&y).iter().all(|value| value.is_nan()), "{activation:?}");
        }
        assert!(
            numbers(&operations::layer_norm(x.clone(), ones.clone(), ones, 1e-5)).iter().all(|value| value.is_nan())
        );
        let qkv = Tensor::cat(vec![x.clone(), x.clone(), x], 1).reshape([1, 1, 12]);
        assert!(numbers(&operations::attention(qkv, None, 2)).iter().any(|value| value.is_nan()));
    }
}

/// (f(x + h) − f(x − h)) / 2h in the direction of `along`, against the gradient.
fn finite(what: &str, x: &[f32], along: &[f32], gradient: &[f32], f: impl Fn(&[f32]) -> f64) {
    let h = 1e-2f32;
    let at = |factor: f32| f(&x.iter().zip(along).map(|(x, a)| x + factor * a).collect::<Vec<_>>());
    // Two steps cancel the next order.
    let slope = |h: f32| (at(h) - at(-h)) / (2.0 * h as f64);
    let measured = (4.0 * slope(h / 2.0) - slope(h)) / 3.0;
    let expected: f64 = gradient.iter().zip(along).map(|(g, a)| *g as f64 * *a as f64).sum();
    let scale = gradient.iter().zip(along).map(|(g, a)| (*g as f64 * *a as f64).abs()).sum::<f64>().max(1.0);
    assert!(
        (measured - expected).abs() < 2e-4 * scale,
        "{what}: {measured} by differences, {expected} by the gradient"
    );
}

#[test]
fn gradients_agree_with_finite_differences_at_every_level() {
    let dot = |y: &[f32], r: &[f32]| -> f64 { y.iter().zip(r).map(|(y, r)| *y as f64 * *r as f64).sum() };
    for level in Level::all() {
        // Feed-forward, sizes with tails.
        for activation in [Activation::QuickGelu, Activation::Gelu] {
            let f = feed_forward::FeedForward { rows: 5, width: 19, hidden: 21, activation, scale: 0.7, skip: true };
            let (x, r) = (values(95, 1), values(95, 2));
            let (w1, b1, w2, b2) = (values(19 * 21, 3), values(21, 4), values(19 * 21, 5), values(19, 6));
            let w = feed_forward::Weights { w1: &w1, b1: &b1, w2: &w2, b2: &b2 };
            let (_, h) = feed_forward::forward(level, f, &x, w, None, true);
            let found = feed_forward::backward(level, f, &x, &h.unwrap(), w, &r, [true, true]);
            let along = values(19 * 21, 7);
            let of =
                |x: &[f32], w: feed_forward::Weights| dot(&feed_forward::forward(level, f, x, w, None, false).0, &r);
            finite("x", &x, &along[..95], &found.input.unwrap(), |x| of(x, w));
            let [dw1, _, dw2, _] = found.weights.unwrap();
            finite("w1", &w1, &along, &dw1, |w1| of(&x, feed_forward::Weights { w1, ..w }));
            finite("w2", &w2, &along, &dw2, |w2| of(&x, feed_forward::Weights { w2, ..w }));
        }
        // Attention.
        let shape = attention::Shape { batch: 2, queries: 5, keys: 5, width: 12, heads: 2 };
        let (qkv, r, along) = (values(360, 8), values(120, 9), values(360, 10));
        let forward = |qkv: &[f32]| {
            let part = |i| attention::Tokens::part(qkv, 12, i, 3);
            attention::forward(level, shape, part(0), part(1), part(2), None)
        };
        let found = attention::backward_packed(level, shape, &qkv, None, &r);
        finite("qkv", &qkv, &along, &found, |qkv| dot(&forward(qkv), &r));
        // Layer norm.
        let (x, gamma, beta, r) = (values(57, 11), values(19, 12), values(19, 13), values(57, 14));
        let (_, moments) = norm::forward(level, &x, &gamma, &beta, 1e-5);
        let wanted = norm::Wanted { input: true, weights: true };
        let (dx, weights) = norm::backward(level, &x, &r, &moments, &gamma, wanted);
        let of = |x: &[f32], gamma: &[f32]| dot(&norm::forward(level, x, gamma, &beta, 1e-5).0, &r);
        finite("norm", &x, &along[..57], &dx.unwrap(), |x| of(x, &gamma));
        finite("gamma", &gamma, &along[..19], &weights.unwrap()[0], |gamma| of(&x, gamma));
    }
}

/// All numbers of every kernel, for sizes with blocks, parts and tails.
fn everything(level: Level) -> Vec<Vec<f32>> {
    let mut all = Vec::new();
    let s = linear::Sizes { rows: 5000, inputs: 20, outputs: 37 };
    let (x, w, b, g) = (values(5000 * 20, 1), values(20 * 37, 2), values(37, 3), values(5000 * 37, 4));
    all.push(linear::forward(level, s, &x, &w, Some(&b), Some(&g)));
    all.push(linear::input_gradient(level, s, &g, &w));
    all.push(linear::weight_gradient(level, s, &x, &g, 0.3));
    all.push(linear::column_sums(level, &g, 37, 1.0));
    let (gamma, beta) = (values(20, 5), values(20, 6));
    let (y, moments) = norm::forward(level, &x, &gamma, &beta, 1e-5);
    let (dx, dw) = norm::backward(level, &x, &y, &moments, &gamma, norm::Wanted { input: true, weights: true });
    all.extend([y, moments, dx.unwrap()].into_iter().chain(dw.unwrap()));
    for (n, heads, head) in [(37, 2, 32), (19, 3, 20)] {
        let d = heads * head;
        let shape = attention::Shape { batch: 6, queries: n, keys: n, width: d, heads };
        let (qkv, g, mask) = (values(6 * n * 3 * d, 7), values(6 * n * d, 8), values(n * n, 9));
        let part = |i| attention::Tokens::part(&qkv, d, i, 3);
        all.push(attention::forward(level, shape, part(0), part(1), part(2), Some(&mask)));
        all.push(attention::backward_packed(level, shape, &qkv, Some(&mask), &g));
    }
    let numbers =
        adamw::Numbers { rate: 0.01, kept: 0.999, beta: [0.9, 0.999], epsilon: 1e-8, correction: [0.2, 0.002] };
    let squares: Vec<f32> = values(40_000, 19).iter().map(|value| value * value).collect();
    all.extend(adamw::step(level, numbers, [&values(40_000, 16), &values(40_000, 17), &values(40_000, 18), &squares]));
    for activation in [Activation::QuickGelu, Activation::Gelu, Activation::Relu] {
        let f = feed_forward::FeedForward { rows: 700, width: 40, hidden: 150, activation, scale: 0.5, skip: true };
        let (x, g) = (values(700 * 40, 10), values(700 * 40, 11));
        let (w1, b1, w2, b2) = (values(6000, 12), values(150, 13), values(6000, 14), values(40, 15));
        let w = feed_forward::Weights { w1: &w1, b1: &b1, w2: &w2, b2: &b2 };
        let (y, h) = feed_forward::forward(level, f, &x, w, Some(&g), true);
        let h = h.unwrap();
        let found = feed_forward::backward(level, f, &x, &h, w, &g, [true, true]);
        all.extend([y, h, found.input.unwrap()].into_iter().chain(found.weights.unwrap()));
    }
    all
}

#[test]
fn instruction_sets_and_threads_give_the_same_bits() {
    let bits = |level, threads| -> Vec<u32> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| everything(level)).into_iter().flatten().map(f32::to_bits).collect()
    };
    let levels = Level::all();
    let first = bits(levels[0], 2);
    for level in levels {
        for threads in [1, 2, 3] {
            assert!(bits(level, threads) == first, "{level}, {threads} threads");
        }
    }
}

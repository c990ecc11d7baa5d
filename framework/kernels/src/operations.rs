//! The operations on tensors. Each is one operation of the graph, with a backward pass of its own, on the devices that
//! have a kernel for it; elsewhere it is burn's own operations one after the other.

use crate::Activation;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, DispatchDevice, backend_extension};
use burn::tensor::activation::{relu, sigmoid, softmax};
use burn::tensor::{DType, Device, Tensor};

/// The operations of a backend that has kernels for them. A tensor without values stands for one that is not there.
#[backend_extension(Flex, LibTorch: cfg(feature = "tch"), Autodiff)]
pub(crate) trait Fused: Backend {
    fn fused_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn fused_layer_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    fn fused_attention(qkv: FloatTensor<Self>, mask: FloatTensor<Self>, heads: usize) -> FloatTensor<Self>;

    fn fused_cross_attention(
        q: FloatTensor<Self>,
        kv: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self>;

    #[allow(clippy::too_many_arguments)]
    fn fused_feed_forward(
        x: FloatTensor<Self>,
        w1: FloatTensor<Self>,
        b1: FloatTensor<Self>,
        w2: FloatTensor<Self>,
        b2: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        options: FeedForwardOptions,
    ) -> FloatTensor<Self>;

    fn fused_adamw(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        options: AdamW,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// Operations that are one on LibTorch alone.
#[cfg(feature = "tch")]
#[backend_extension(LibTorch, Autodiff)]
pub(crate) trait FusedOnTorch: Backend {
    #[allow(clippy::too_many_arguments)]
    fn fused_projected_attention(
        x: FloatTensor<Self>,
        w_in: FloatTensor<Self>,
        b_in: FloatTensor<Self>,
        w_out: FloatTensor<Self>,
        b_out: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        options: ProjectedAttention,
    ) -> FloatTensor<Self>;
}

/// What an attention with its projections does besides its products.
#[derive(Clone, Copy, Debug)]
pub struct ProjectedAttention {
    /// Attention heads.
    pub heads: usize,
    /// How many tokens are wanted: the first ones. All of them are keys and values.
    pub first: usize,
}

/// A step of AdamW. After Loshchilov and Hutter, ICLR 2019, algorithm 2, with the rate also on the decay, as in
/// PyTorch.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// Learning rate.
    pub rate: f64,
    /// Decay of the weight, in parts of the rate.
    pub weight_decay: f64,
    /// Decay of the moments, β₁ and β₂.
    pub beta: [f32; 2],
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Number of this step, from 1.
    pub time: usize,
}

impl AdamW {
    /// What of the weight is left by its decay.
    pub(crate) fn kept(&self) -> f64 {
        1.0 - self.rate * self.weight_decay
    }

    /// 1 − βᵗ for each moment: what they are divided by, because they began at 0.
    pub(crate) fn correction(&self) -> [f32; 2] {
        self.beta.map(|beta| 1.0 - beta.powi(self.time as i32))
    }
}

/// What a feed-forward layer does besides its products.
#[derive(Clone, Copy, Debug)]
pub struct FeedForwardOptions {
    /// What stands between the two layers.
    pub activation: Activation,
    /// Factor on the result, before anything is added.
    pub scale: f64,
    /// Whether x is added.
    pub skip: bool,
}

/// Whether the operations are one operation each on this device.
pub fn has_kernels(device: &Device) -> bool {
    matches!(device.clone().inner().as_dispatch(), DispatchDevice::Flex(_)) || is_torch(device)
}

#[cfg(feature = "tch")]
fn is_torch(device: &Device) -> bool {
    matches!(device.clone().inner().as_dispatch(), DispatchDevice::LibTorch(_))
}

#[cfg(not(feature = "tch"))]
fn is_torch(_: &Device) -> bool {
    false
}

/// Whether a kernel can work on these tensors.
fn fits<const D: usize>(x: &Tensor<D>, others: impl IntoIterator<Item = DType>) -> bool {
    x.dtype() == DType::F32 && others.into_iter().all(|dtype| dtype == DType::F32) && has_kernels(&x.device())
}

/// Whether a kernel on the device of `x` can multiply by weights of this element type.
fn multiplies<const D: usize>(x: &Tensor<D>, weight: DType) -> bool {
    weight == DType::F32 || weight == DType::BF16 && is_torch(&x.device())
}

/// A tensor without values, on the device of `x` without automatic differentiation.
fn nothing<const D: usize>(x: &Tensor<D>) -> Tensor<1> {
    Tensor::empty([0], &x.device().inner())
}

/// `tensor`, or one without values.
fn or_nothing<const D: usize, const E: usize>(
    tensor: Option<Tensor<D>>,
    x: &Tensor<E>,
) -> burn::backend::DispatchTensor {
    match tensor {
        Some(tensor) => tensor.into_dispatch(),
        None => nothing(x).into_dispatch(),
    }
}

/// x W + b + residual: x `[…, inputs]`, weight `[inputs, outputs]`, bias `[outputs]`, residual `[…, outputs]` → `[…,
/// outputs]`. The product is computed in the element type of the weight, the sum in that of `x`.
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<D>>,
) -> Tensor<D> {
    let dtypes = bias.iter().map(|b| b.dtype()).chain(residual.iter().map(|r| r.dtype()));
    if !fits(&x, dtypes) || !multiplies(&x, weight.dtype()) {
        let y = decomposed_linear(x, weight, bias);
        return match residual {
            Some(residual) => y + residual,
            None => y,
        };
    }
    let (bias, residual) = (or_nothing(bias, &x), or_nothing(residual, &x));
    Tensor::from_dispatch(Dispatch::fused_linear(x.into_dispatch(), weight.into_dispatch(), bias, residual))
}

/// (x − mean) / √(variance + ε) · γ + β over the last axis: x `[…, D]`, gamma and beta `[D]`.
pub fn layer_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64) -> Tensor<D> {
    if !fits(&x, [gamma.dtype(), beta.dtype()]) {
        return burn::tensor::module::layer_norm(x, gamma, Some(beta), epsilon);
    }
    Tensor::from_dispatch(Dispatch::fused_layer_norm(
        x.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        epsilon,
    ))
}

/// Self-attention, softmax(q kᵀ / √d + mask) v for all heads: packed q, k, v `[b, n, 3 D]`, mask `[n, n]` → `[b, n,
/// D]`.
pub fn attention(qkv: Tensor<3>, mask: Option<Tensor<2>>, heads: usize) -> Tensor<3> {
    let d = qkv.dims()[2] / 3;
    if !fits(&qkv, mask.iter().map(|mask| mask.dtype())) {
        let part = |i: usize| qkv.clone().narrow(2, i * d, d);
        return decomposed_attention(part(0), part(1), part(2), mask, heads);
    }
    let mask = or_nothing(mask, &qkv);
    Tensor::from_dispatch(Dispatch::fused_attention(qkv.into_dispatch(), mask, heads))
}

/// Self-attention with its projections, [`attention`] of x W + b + shift, times W_o, plus b_o and the residual, for the
/// first tokens: x `[b, n, D]`, weights `[D, 3 D]` and `[D, D]`, biases `[3 D]` and `[D]`, shift `[b, n, 3 D]`, mask
/// `[n, n]`, which needs all tokens, residual `[b, first, D]` → `[b, first, D]`. On LibTorch it is one operation, all
/// of it in the element type of its weights.
pub fn projected_attention(
    x: Tensor<3>,
    [w_in, w_out]: [Tensor<2>; 2],
    [b_in, b_out]: [Option<Tensor<1>>; 2],
    shift: Option<Tensor<3>>,
    mask: Option<Tensor<2>>,
    residual: Option<Tensor<3>>,
    options: ProjectedAttention,
) -> Tensor<3> {
    let ProjectedAttention { heads, first } = options;
    assert!(mask.is_none() || first == x.dims()[1], "an attention with a mask is computed for all tokens");
    #[cfg(feature = "tch")]
    {
        let rest = [&b_in, &b_out].into_iter().flatten().map(|b| b.dtype());
        let rest = rest.chain(shift.iter().chain(&residual).map(|t| t.dtype())).chain(mask.iter().map(|m| m.dtype()));
        if is_torch(&x.device()) && fits(&x, rest) && [&w_in, &w_out].iter().all(|w| multiplies(&x, w.dtype())) {
            let [b_in, b_out] = [b_in, b_out].map(|bias| or_nothing(bias, &x));
            let [shift, residual] = [shift, residual].map(|tokens| or_nothing(tokens, &x));
            let mask = or_nothing(mask, &x);
            let [w_in, w_out] = [w_in, w_out].map(|weight| weight.into_dispatch());
            let x = x.into_dispatch();
            return Tensor::from_dispatch(Dispatch::fused_projected_attention(
                x, w_in, b_in, w_out, b_out, shift, residual, mask, options,
            ));
        }
    }
    let whole = first == x.dims()[1];
    let mixed = attention(linear(x, w_in, b_in, shift), mask, heads);
    let mixed = if whole { mixed } else { mixed.narrow(1, 0, first) };
    linear(mixed, w_out, b_out, residual)
}

/// Allows products of f32 in TF32 on NVIDIA's cards through LibTorch, or forbids them. It holds for the whole process;
/// they are forbidden at its start. Elsewhere it changes nothing.
pub fn allow_tf32(allow: bool) {
    #[cfg(feature = "tch")]
    crate::torch_calls::allow_tf32(allow);
    #[cfg(not(feature = "tch"))]
    let _ = allow;
}

/// Attention over other tokens: q `[b, n, D]`, packed k, v `[b, m, 2 D]`, mask `[n, m]` → `[b, n, D]`.
pub fn cross_attention(q: Tensor<3>, kv: Tensor<3>, mask: Option<Tensor<2>>, heads: usize) -> Tensor<3> {
    let d = q.dims()[2];
    if !fits(&q, [kv.dtype()].into_iter().chain(mask.iter().map(|mask| mask.dtype()))) {
        let part = |i: usize| kv.clone().narrow(2, i * d, d);
        return decomposed_attention(q, part(0), part(1), mask, heads);
    }
    let mask = or_nothing(mask, &q);
    Tensor::from_dispatch(Dispatch::fused_cross_attention(q.into_dispatch(), kv.into_dispatch(), mask, heads))
}

/// scale · (act(x W₁ + b₁) W₂ + b₂), plus x with `skip`, plus the residual: x `[…, D]`, weights `[D, H]` and `[H, D]`,
/// biases `[H]` and `[D]`, residual `[…, D]` → `[…, D]`. Products are computed in the element types of their weights.
pub fn feed_forward<const D: usize>(
    x: Tensor<D>,
    [w1, w2]: [Tensor<2>; 2],
    [b1, b2]: [Tensor<1>; 2],
    residual: Option<Tensor<D>>,
    options: FeedForwardOptions,
) -> Tensor<D> {
    let dtypes = [b1.dtype(), b2.dtype()].into_iter().chain(residual.iter().map(|r| r.dtype()));
    if !fits(&x, dtypes) || ![&w1, &w2].iter().all(|w| multiplies(&x, w.dtype())) {
        let hidden = activate(options.activation, decomposed_linear(x.clone(), w1, Some(b1)));
        let y = decomposed_linear(hidden, w2, Some(b2));
        let y = if options.scale == 1.0 { y } else { y * options.scale };
        let y = if options.skip { x + y } else { y };
        return match residual {
            Some(residual) => residual + y,
            None => y,
        };
    }
    let residual = or_nothing(residual, &x);
    let [w1, w2] = [w1, w2].map(|w| w.into_dispatch());
    let [b1, b2] = [b1, b2].map(|b| b.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_feed_forward(x.into_dispatch(), w1, b1, w2, b2, residual, options))
}

/// A weight, its gradient, and both moments of its gradients before the step → the weight and the moments after it. All
/// have the same shape.
pub fn adamw<const D: usize>(
    weight: Tensor<D>,
    gradient: Tensor<D>,
    [first, second]: [Tensor<D>; 2],
    options: AdamW,
) -> (Tensor<D>, [Tensor<D>; 2]) {
    if !fits(&weight, [gradient.dtype(), first.dtype(), second.dtype()]) {
        return decomposed_adamw(weight, gradient, [first, second], options);
    }
    let [weight, gradient, first, second] = [weight, gradient, first, second].map(|tensor| tensor.into_dispatch());
    let (weight, first, second) = Dispatch::fused_adamw(weight, gradient, first, second, options);
    (Tensor::from_dispatch(weight), [first, second].map(Tensor::from_dispatch))
}

/// A step of AdamW by burn's own operations.
pub(crate) fn decomposed_adamw<const D: usize>(
    weight: Tensor<D>,
    gradient: Tensor<D>,
    [first, second]: [Tensor<D>; 2],
    options: AdamW,
) -> (Tensor<D>, [Tensor<D>; 2]) {
    let [beta_1, beta_2] = options.beta;
    let first = first * beta_1 + gradient.clone() * (1.0 - beta_1);
    let second = second * beta_2 + gradient.square() * (1.0 - beta_2);
    let [correction_1, correction_2] = options.correction();
    let change = first.clone() / correction_1 / ((second.clone() / correction_2).sqrt() + options.epsilon);
    (weight * options.kept() - change * options.rate, [first, second])
}

/// x W + b by burn's own operations, the product in the element type of the weight.
fn decomposed_linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let outer = x.dtype();
    if weight.dtype() == outer {
        return burn::tensor::module::linear(x, weight, bias);
    }
    let y = burn::tensor::module::linear(x.cast(weight.dtype()), weight, None).cast(outer);
    match bias {
        Some(bias) => y + bias.unsqueeze(),
        None => y,
    }
}

/// x Φ(x), with Φ the distribution function of a normal value: the exact form of GELU.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if has_kernels(&x.device()) {
        return burn::tensor::activation::gelu(x);
    }
    // There burn 0.22 computes the exact form, and the gradient of the one with tanh.
    let inner = (x.clone() * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0;
    x * inner * 0.5
}

/// The activation by burn's own operations.
pub(crate) fn activate<const D: usize>(activation: Activation, x: Tensor<D>) -> Tensor<D> {
    match activation {
        Activation::QuickGelu => x.clone() * sigmoid(x * 1.702),
        Activation::Gelu => gelu(x),
        Activation::Relu => relu(x),
    }
}

/// Attention by burn's own operations: q `[b, n, D]`, k and v `[b, m, D]`, mask `[n, m]`.
pub(crate) fn decomposed_attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    mask: Option<Tensor<2>>,
    heads: usize,
) -> Tensor<3> {
    let [b, n, d] = q.dims();
    let head = d / heads;
    let split = |x: Tensor<3>| {
        let m = x.dims()[1];
        x.reshape([b, m, heads, head]).swap_dims(1, 2)
    };
    let scores = split(q * (head as f64).powf(-0.5)).matmul(split(k).swap_dims(2, 3));
    let scores = match mask {
        Some(mask) => scores + mask.unsqueeze(),
        None => scores,
    };
    softmax(scores, 3).matmul(split(v)).swap_dims(1, 2).reshape([b, n, d])
}

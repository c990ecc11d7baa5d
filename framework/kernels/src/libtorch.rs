//! The operations on `LibTorch`, with and without automatic differentiation. Products and feed-forward layers have
//! their gradients here, so that nothing is kept but what these need. Layer norm and attention have torch's own: torch
//! makes a graph of one operation, and the operation's state keeps it.

use crate::Activation;
use crate::operations::{AdamW, FeedForwardOptions, Fused, FusedOnTorch, ProjectedAttention};
use crate::torch_calls;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::libtorch::TchTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, LibTorch};
use std::cell::{Cell, RefCell};
use std::sync::OnceLock;
use tch::{Kind, Tensor as Torch};

/// QuickGELU is x σ(1.702 x), which is silu(1.702 x) / 1.702.
const QUICK: f64 = 1.702;

/// As many threads of rayon as usually compute parts of an episode side by side.
const SIDE_BY_SIDE: i32 = 4;

/// Torch computes an operation on all cores, however many threads call it: side by side they take the cores from each
/// other. So a thread of rayon has its share of them from its first operation on, and any other thread has as many as
/// rayon.
fn share_cores() {
    static ALL: OnceLock<i32> = OnceLock::new();
    thread_local!(static SHARED: Cell<bool> = const { Cell::new(false) });
    if SHARED.replace(true) {
        return;
    }
    // Asked once, torch does not choose a number for this thread any more.
    let before = tch::get_num_threads();
    let all = *ALL.get_or_init(|| before.min(rayon::current_num_threads() as i32));
    let is_worker = rayon::current_thread_index().is_some();
    tch::set_num_threads(if is_worker { all / SIDE_BY_SIDE } else { all }.max(1));
}

fn register(grads: &mut Gradients, id: Option<NodeId>, value: impl FnOnce() -> Torch) {
    if let Some(id) = id {
        grads.register::<LibTorch>(id, TchTensor::new(value()));
    }
}

/// Where the tensor is there.
fn given(x: &TchTensor) -> Option<&Torch> {
    (x.tensor.numel() > 0).then_some(&x.tensor)
}

/// `[…, D]` as `[rows, D]`.
fn rows(x: &Torch) -> Torch {
    x.reshape([-1, x.size().last().copied().unwrap_or(1)])
}

// Linear. A product is computed in the element type of the weight, and everything else in that of x.

/// `x` as elements of `kind`. Nothing is asked of torch where they are that already.
fn of_kind(x: &Torch, kind: Kind) -> Torch {
    if x.kind() == kind { x.shallow_clone() } else { x.to_kind(kind) }
}

/// x W + b, in the element type of the weight.
fn product(x: &Torch, weight: &Torch, bias: Option<&Torch>) -> Torch {
    share_cores();
    let kind = weight.kind();
    let bias = bias.map(|bias| of_kind(bias, kind));
    of_kind(x, kind).linear(&weight.transpose(0, 1), bias.as_ref())
}

/// y and the other tensors together, in the element type `kind`. `y` is used up.
fn sum(mut y: Torch, others: &[Option<&Torch>], kind: Kind) -> Torch {
    for other in others.iter().copied().flatten() {
        // A sum of two types has the wider one.
        y = if y.kind() == kind { y.g_add_(other) } else { other + y };
    }
    of_kind(&y, kind)
}

/// g Wᵀ, in the element type of the weight.
fn input_gradient(g: &Torch, weight: &Torch) -> Torch {
    share_cores();
    of_kind(g, weight.kind()).linear(weight, None::<&Torch>)
}

/// xᵀ g over all rows.
fn weight_gradient(x: &Torch, g: &Torch, weight: &Torch) -> Torch {
    share_cores();
    let [x, g] = [x, g].map(|t| of_kind(&rows(t), weight.kind()));
    x.transpose(0, 1).matmul(&g)
}

/// Σ g over all rows.
fn bias_gradient(g: &Torch) -> Torch {
    rows(g).sum_dim_intlist([0i64].as_slice(), false, g.kind())
}

fn linear_of([x, weight, bias, residual]: [&TchTensor; 4]) -> TchTensor {
    let y = product(&x.tensor, &weight.tensor, given(bias));
    TchTensor::new(sum(y, &[given(residual)], x.tensor.kind()))
}

// Layer norm.

fn norm([x, gamma, beta]: &[Torch; 3], epsilon: f64) -> Torch {
    share_cores();
    x.layer_norm(gamma.size(), Some(gamma), Some(beta), epsilon, false)
}

// Attention.

/// softmax(q kᵀ / √d + mask) v: q `[b, n, D]`, k and v `[b, m, D]` → `[b, n, D]`.
fn mix([q, k, v]: [&Torch; 3], mask: Option<&Torch>, heads: usize) -> Torch {
    share_cores();
    let split = |x: &Torch| {
        let [b, n, d] = x.size()[..] else { panic!("tokens have three axes") };
        x.reshape([b, n, heads as i64, d / heads as i64]).transpose(1, 2)
    };
    let y = Torch::scaled_dot_product_attention(&split(q), &split(k), &split(v), mask, 0.0, false, None, false);
    y.transpose(1, 2).reshape(q.size())
}

fn self_attention(qkv: &Torch, mask: Option<&Torch>, heads: usize) -> Torch {
    let parts = qkv.chunk(3, -1);
    mix([&parts[0], &parts[1], &parts[2]], mask, heads)
}

fn cross_attention(q: &Torch, kv: &Torch, mask: Option<&Torch>, heads: usize) -> Torch {
    let parts = kv.chunk(2, -1);
    mix([q, &parts[0], &parts[1]], mask, heads)
}

/// Self-attention with its projections, for the first tokens: x, W, b, W_o, b_o, what is added to the packed
/// projection, and the residual. In the element types of the weights; the result in that of x.
fn projected(
    [x, w_in, b_in, w_out, b_out, shift, residual]: &[Torch; 7],
    mask: Option<&Torch>,
    heads: usize,
    first: usize,
) -> Torch {
    let there = |x: &'_ Torch| (x.numel() > 0).then(|| x.shallow_clone());
    let kind = w_in.kind();
    let mut qkv = product(x, w_in, there(b_in).as_ref());
    if let Some(shift) = there(shift) {
        qkv = qkv + of_kind(&shift, kind);
    }
    let parts = qkv.chunk(3, -1);
    let q = if first as i64 == x.size()[1] { parts[0].shallow_clone() } else { parts[0].narrow(1, 0, first as i64) };
    let mask = mask.map(|mask| of_kind(mask, kind));
    let mixed = mix([&q, &parts[1], &parts[2]], mask.as_ref(), heads);
    let y = product(&mixed, w_out, there(b_out).as_ref());
    match there(residual) {
        Some(residual) => residual + y,
        None => of_kind(&y, x.kind()),
    }
}

// Feed-forward.

/// x W₁ + b₁, times 1.702 for QuickGELU; in the element type of W₁.
fn before_activation(x: &Torch, w1: &Torch, b1: &Torch, activation: Activation) -> Torch {
    let mut h = product(x, w1, Some(b1));
    if activation == Activation::QuickGelu { h.g_mul_scalar_(QUICK) } else { h }
}

/// The activation of what [`before_activation`] returns.
fn activated(h: &Torch, activation: Activation) -> Torch {
    match activation {
        Activation::QuickGelu => h.silu().g_div_scalar_(QUICK),
        Activation::Gelu => h.gelu("none"),
        Activation::Relu => h.relu(),
    }
}

/// [`activated`] in the same memory.
fn activated_in_place(mut h: Torch, activation: Activation) -> Torch {
    match activation {
        Activation::QuickGelu => h.silu_().g_div_scalar_(QUICK),
        Activation::Gelu => h.gelu_("none"),
        Activation::Relu => h.relu_(),
    }
}

/// The gradient before the activation. For QuickGELU the two factors cancel each other.
fn activation_gradient(h: &Torch, g: &Torch, activation: Activation) -> Torch {
    let g = &of_kind(g, h.kind());
    match activation {
        Activation::QuickGelu => h.silu_backward(g),
        Activation::Gelu => h.gelu_backward(g, "none"),
        Activation::Relu => h.threshold_backward(g, 0.0),
    }
}

/// The result, and what [`before_activation`] returns where it is kept.
fn feed_forward_of(
    x: &TchTensor,
    [w1, b1, w2, b2]: &[TchTensor; 4],
    residual: &TchTensor,
    options: FeedForwardOptions,
    keep: bool,
) -> (TchTensor, Option<TchTensor>) {
    let h = before_activation(&x.tensor, &w1.tensor, &b1.tensor, options.activation);
    let (a, h) = match keep {
        true => (activated(&h, options.activation), Some(TchTensor::new(h))),
        false => (activated_in_place(h, options.activation), None),
    };
    let mut y = product(&a, &w2.tensor, Some(&b2.tensor));
    if options.scale != 1.0 {
        y = y.g_mul_scalar_(options.scale);
    }
    let skip = options.skip.then_some(&x.tensor);
    let y = sum(y, &[skip, given(residual)], x.tensor.kind());
    (TchTensor::new(y), h)
}

/// The same values in other memory.
fn copied(x: &Torch) -> Torch {
    let mut copy = x.empty_like();
    copy.copy_(x);
    copy
}

/// The tensor in memory of its own.
fn own(x: TchTensor) -> Torch {
    if x.can_mut() { x.tensor } else { copied(&x.tensor) }
}

/// `value` on the device. That of the last call is kept: a step asks for the same one many times.
fn number(value: usize, device: tch::Device) -> Torch {
    thread_local!(static LAST: RefCell<Option<(usize, tch::Device, Torch)>> = const { RefCell::new(None) });
    LAST.with_borrow_mut(|last| match last {
        Some((known, place, tensor)) if (*known, *place) == (value, device) => tensor.shallow_clone(),
        _ => {
            let tensor = Torch::full([0i64; 0], value as f64, (Kind::Float, device));
            *last = Some((value, device, tensor.shallow_clone()));
            tensor
        }
    })
}

impl FusedOnTorch for LibTorch {
    fn fused_projected_attention(
        x: TchTensor,
        w_in: TchTensor,
        b_in: TchTensor,
        w_out: TchTensor,
        b_out: TchTensor,
        shift: TchTensor,
        residual: TchTensor,
        mask: TchTensor,
        options: ProjectedAttention,
    ) -> TchTensor {
        let inputs = [x, w_in, b_in, w_out, b_out, shift, residual].map(|input| input.tensor);
        TchTensor::new(projected(&inputs, given(&mask), options.heads, options.first))
    }
}

impl Fused for LibTorch {
    fn fused_linear(x: TchTensor, weight: TchTensor, bias: TchTensor, residual: TchTensor) -> TchTensor {
        linear_of([&x, &weight, &bias, &residual])
    }

    fn fused_layer_norm(x: TchTensor, gamma: TchTensor, beta: TchTensor, epsilon: f64) -> TchTensor {
        TchTensor::new(norm(&[x.tensor, gamma.tensor, beta.tensor], epsilon))
    }

    fn fused_attention(qkv: TchTensor, mask: TchTensor, heads: usize) -> TchTensor {
        TchTensor::new(self_attention(&qkv.tensor, given(&mask), heads))
    }

    fn fused_cross_attention(q: TchTensor, kv: TchTensor, mask: TchTensor, heads: usize) -> TchTensor {
        TchTensor::new(cross_attention(&q.tensor, &kv.tensor, given(&mask), heads))
    }

    fn fused_feed_forward(
        x: TchTensor,
        w1: TchTensor,
        b1: TchTensor,
        w2: TchTensor,
        b2: TchTensor,
        residual: TchTensor,
        options: FeedForwardOptions,
    ) -> TchTensor {
        feed_forward_of(&x, &[w1, b1, w2, b2], &residual, options, false).0
    }

    fn fused_adamw(
        weight: TchTensor,
        gradient: TchTensor,
        first: TchTensor,
        second: TchTensor,
        options: AdamW,
    ) -> (TchTensor, TchTensor, TchTensor) {
        share_cores();
        let [mut first, mut second] = [first, second].map(own);
        // The model before the step has the same weight.
        let mut weight = copied(&weight.tensor);
        let time = number(options.time, weight.device());
        torch_calls::adamw(&mut weight, &gradient.tensor, [&mut first, &mut second], &time, options);
        (TchTensor::new(weight), TchTensor::new(first), TchTensor::new(second))
    }
}

/// `f` with torch's own backward pass. Gradients are computed for the inputs that burn tracks and for no others.
fn through_torch<C: CheckpointStrategy, const N: usize>(
    inputs: [FloatTensor<Autodiff<LibTorch, C>>; N],
    f: impl FnOnce(&[Torch; N]) -> Torch,
) -> FloatTensor<Autodiff<LibTorch, C>> {
    #[derive(Debug)]
    struct Graph;
    impl<const N: usize> Backward<LibTorch, N> for Graph {
        type State = Kept<N>;
        fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
            share_cores();
            let g = grads.consume::<LibTorch>(&ops.node);
            let wanted = ops.parents.iter().zip(&ops.state.leaves);
            let (ids, leaves): (Vec<_>, Vec<_>) =
                wanted.filter_map(|(node, leaf)| Some((node.as_ref()?.id, &leaf.tensor))).unzip();
            let found = torch_calls::gradients(&ops.state.result.tensor, &g.tensor, &leaves);
            for (id, found) in ids.into_iter().zip(found) {
                grads.register::<LibTorch>(id, TchTensor::new(found));
            }
        }
    }
    /// Torch's graph lives as long as its leaves and its result.
    #[derive(Clone, Debug)]
    struct Kept<const N: usize> {
        leaves: [TchTensor; N],
        result: TchTensor,
        /// burn writes only into memory that one tensor has. These are the others, for what torch's graph reads.
        _held: ([TchTensor; N], TchTensor),
    }
    let tracked = inputs.each_ref().map(|input| input.is_tracked());
    let nodes = inputs.each_ref().map(|input| input.node());
    let inputs = inputs.map(|input| input.into_primitive());
    match Graph.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::UnTracked(prep) => {
            prep.finish(TchTensor::new(f(&inputs.each_ref().map(|input| input.tensor.shallow_clone()))))
        }
        OpsKind::Tracked(prep) => {
            let leaves: [Torch; N] = std::array::from_fn(|i| inputs[i].tensor.detach().set_requires_grad(tracked[i]));
            let result = f(&leaves);
            let ours = TchTensor::new(result.detach());
            let held = (inputs, ours.clone());
            let leaves = leaves.map(TchTensor::new);
            prep.finish(Kept { leaves, result: TchTensor::new(result), _held: held }, ours)
        }
    }
}

impl<C: CheckpointStrategy> FusedOnTorch for Autodiff<LibTorch, C> {
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
    ) -> FloatTensor<Self> {
        assert!(!mask.is_tracked(), "the mask of an attention is not trained");
        let mask = mask.into_primitive();
        through_torch::<C, 7>([x, w_in, b_in, w_out, b_out, shift, residual], |inputs| {
            projected(inputs, given(&mask), options.heads, options.first)
        })
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<LibTorch, C> {
    fn fused_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Linear;
        impl Backward<LibTorch, 4> for Linear {
            /// x, where the weight is trained, and the weight.
            type State = (Option<TchTensor>, TchTensor);
            fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
                let (x, weight) = ops.state;
                let weight = &weight.tensor;
                let g = grads.consume::<LibTorch>(&ops.node);
                let [of_x, of_weight, of_bias, of_residual] = ops.parents.map(|node| node.map(|node| node.id));
                register(grads, of_x, || of_kind(&input_gradient(&g.tensor, weight), g.tensor.kind()));
                register(grads, of_weight, || {
                    let x = x.as_ref().expect("kept for a weight that is trained");
                    weight_gradient(&x.tensor, &g.tensor, weight)
                });
                register(grads, of_bias, || bias_gradient(&g.tensor));
                if let Some(id) = of_residual {
                    grads.register::<LibTorch>(id, g);
                }
            }
        }
        let nodes = [x.node(), weight.node(), bias.node(), residual.node()];
        let trained = weight.is_tracked();
        let [x, weight, bias, residual] = [x, weight, bias, residual].map(|t| t.into_primitive());
        let y = linear_of([&x, &weight, &bias, &residual]);
        match Linear.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((trained.then_some(x), weight), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn fused_layer_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        through_torch::<C, 3>([x, gamma, beta], |inputs| norm(inputs, epsilon))
    }

    fn fused_attention(qkv: FloatTensor<Self>, mask: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        assert!(!mask.is_tracked(), "the mask of an attention is not trained");
        let mask = mask.into_primitive();
        through_torch::<C, 1>([qkv], |[qkv]| self_attention(qkv, given(&mask), heads))
    }

    fn fused_cross_attention(
        q: FloatTensor<Self>,
        kv: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self> {
        assert!(!mask.is_tracked(), "the mask of an attention is not trained");
        let mask = mask.into_primitive();
        through_torch::<C, 2>([q, kv], |[q, kv]| cross_attention(q, kv, given(&mask), heads))
    }

    fn fused_feed_forward(
        x: FloatTensor<Self>,
        w1: FloatTensor<Self>,
        b1: FloatTensor<Self>,
        w2: FloatTensor<Self>,
        b2: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        options: FeedForwardOptions,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Layers;
        impl Backward<LibTorch, 6> for Layers {
            /// x, where the first weight is trained, what [`before_activation`] returns, the weights, and the options.
            type State = (Option<TchTensor>, TchTensor, [TchTensor; 2], FeedForwardOptions);
            fn backward(self, ops: Ops<Self::State, 6>, grads: &mut Gradients, _: &mut Checkpointer) {
                let (x, h, [w1, w2], options) = ops.state;
                let whole = grads.consume::<LibTorch>(&ops.node);
                let [of_x, of_w1, of_b1, of_w2, of_b2, of_residual] = ops.parents.map(|node| node.map(|node| node.id));
                let scaled = (options.scale != 1.0).then(|| whole.tensor.g_mul_scalar(options.scale));
                let g = scaled.as_ref().unwrap_or(&whole.tensor);
                register(grads, of_w2, || weight_gradient(&activated(&h.tensor, options.activation), g, &w2.tensor));
                register(grads, of_b2, || bias_gradient(g));
                if of_x.is_some() || of_w1.is_some() || of_b1.is_some() {
                    let g = activation_gradient(&h.tensor, &input_gradient(g, &w2.tensor), options.activation);
                    register(grads, of_w1, || {
                        let x = x.as_ref().expect("kept for a weight that is trained");
                        weight_gradient(&x.tensor, &g, &w1.tensor)
                    });
                    register(grads, of_b1, || bias_gradient(&g));
                    register(grads, of_x, || {
                        let found = input_gradient(&g, &w1.tensor);
                        sum(found, &[options.skip.then_some(&whole.tensor)], whole.tensor.kind())
                    });
                }
                if let Some(id) = of_residual {
                    grads.register::<LibTorch>(id, whole);
                }
            }
        }
        let nodes = [x.node(), w1.node(), b1.node(), w2.node(), b2.node(), residual.node()];
        let trained = w1.is_tracked();
        let [x, residual] = [x, residual].map(|t| t.into_primitive());
        let w = [w1, b1, w2, b2].map(|t| t.into_primitive());
        match Layers.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (y, h) = feed_forward_of(&x, &w, &residual, options, true);
                let h = h.expect("kept because it was asked for");
                let [w1, _, w2, _] = w;
                prep.finish((trained.then_some(x), h, [w1, w2], options), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(feed_forward_of(&x, &w, &residual, options, false).0),
        }
    }

    /// A step is no part of a graph.
    fn fused_adamw(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        options: AdamW,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [weight, gradient, first, second] = [weight, gradient, first, second].map(|t| t.into_primitive());
        let (weight, first, second) = LibTorch::fused_adamw(weight, gradient, first, second, options);
        [weight, first, second].map(<Self as AutodiffBackend>::from_inner).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
    use burn::backend::ops::FloatTensorOps;

    type Graphs = Autodiff<LibTorch>;

    #[test]
    fn torch_computes_gradients_for_what_burn_tracks_and_for_nothing_else() {
        let ones = || TchTensor::new(Torch::ones([3], (tch::Kind::Float, tch::Device::Cpu)));
        let constant = || <Graphs as AutodiffBackend>::from_inner(ones());
        let leaf = Graphs::float_set_require_grad(constant(), true);
        let mut seen = Vec::new();
        let y = through_torch::<NoCheckpointing, 2>([leaf.clone(), constant()], |inputs| {
            seen.extend(inputs.iter().map(Torch::requires_grad));
            &inputs[0] * &inputs[1]
        });
        assert_eq!(seen, [true, false]);
        let grads = Graphs::backward(y);
        assert!(Graphs::grad(&leaf, &grads).is_some());
        through_torch::<NoCheckpointing, 2>([constant(), constant()], |inputs| {
            assert!(!inputs.iter().any(Torch::requires_grad), "no graph without anything to train");
            &inputs[0] * &inputs[1]
        });
    }
}

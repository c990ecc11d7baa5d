//! The operations on `Flex`, with and without automatic differentiation.

use crate::adamw::{self, Numbers};
use crate::attention::{self, Shape, Tokens};
use crate::feed_forward::{self, FeedForward, Weights};
use crate::linear::{self, Sizes};
use crate::norm::{self, Wanted};
use crate::operations::{AdamW, FeedForwardOptions, Fused};
use crate::simd::Level;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Flex, TensorMetadata};
use burn::tensor::{Bytes, DType};
use burn_flex::{FlexTensor, Layout};

fn tensor(values: Vec<f32>, shape: Vec<usize>) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape.into()), DType::F32)
}

/// With its values one after the other.
fn packed(x: FlexTensor) -> FlexTensor {
    if x.is_contiguous() { x } else { x.to_contiguous() }
}

fn slice(x: &FlexTensor) -> &[f32] {
    x.as_slice::<f32>().expect("packed f32 values")
}

/// Where the tensor is there.
fn given(x: &FlexTensor) -> Option<&[f32]> {
    (x.shape().num_elements() > 0).then(|| slice(x))
}

fn dims(x: &FlexTensor) -> Vec<usize> {
    x.shape().to_vec()
}

fn last(x: &FlexTensor) -> usize {
    *dims(x).last().expect("a tensor has an axis")
}

/// The shape of `x` with another last axis.
fn with_last(x: &FlexTensor, last: usize) -> Vec<usize> {
    let mut dims = dims(x);
    *dims.last_mut().expect("a tensor has an axis") = last;
    dims
}

fn register(grads: &mut Gradients, id: Option<NodeId>, value: impl FnOnce() -> FlexTensor) {
    if let Some(id) = id {
        grads.register::<Flex>(id, value());
    }
}

// Linear.

fn sizes(x: &FlexTensor, weight: &FlexTensor) -> Sizes {
    let [inputs, outputs] = dims(weight)[..] else { panic!("a weight has two axes") };
    Sizes { rows: x.shape().num_elements() / inputs, inputs, outputs }
}

fn linear_of([x, weight, bias, residual]: [&FlexTensor; 4]) -> FlexTensor {
    let s = sizes(x, weight);
    let y = linear::forward(Level::current(), s, slice(x), slice(weight), given(bias), given(residual));
    tensor(y, with_last(x, s.outputs))
}

/// Registers the gradients of x, weight, bias and residual; `x` is there where the weight wants one.
fn linear_backward(
    x: Option<FlexTensor>,
    weight: FlexTensor,
    g: FlexTensor,
    [of_x, of_weight, of_bias, of_residual]: [Option<NodeId>; 4],
    grads: &mut Gradients,
) {
    let (level, outputs) = (Level::current(), last(&g));
    let inputs = dims(&weight)[0];
    let s = Sizes { rows: g.shape().num_elements() / outputs, inputs, outputs };
    register(grads, of_x, || {
        tensor(linear::input_gradient(level, s, slice(&g), slice(&weight)), with_last(&g, inputs))
    });
    register(grads, of_weight, || {
        let x = x.as_ref().expect("kept for a weight that is trained");
        tensor(linear::weight_gradient(level, s, slice(x), slice(&g), 1.0), vec![inputs, outputs])
    });
    register(grads, of_bias, || tensor(linear::column_sums(level, slice(&g), outputs, 1.0), vec![outputs]));
    register(grads, of_residual, || g);
}

// Layer norm.

fn norm_of(x: &FlexTensor, gamma: &FlexTensor, beta: &FlexTensor, epsilon: f64) -> (FlexTensor, Vec<f32>) {
    let (y, moments) = norm::forward(Level::current(), slice(x), slice(gamma), slice(beta), epsilon as f32);
    (tensor(y, dims(x)), moments)
}

// Attention.

fn self_shape(qkv: &FlexTensor, heads: usize) -> Shape {
    let [batch, n, packed] = dims(qkv)[..] else { panic!("packed q, k, v have three axes") };
    Shape { batch, queries: n, keys: n, width: packed / 3, heads }
}

fn attention_of(qkv: &FlexTensor, mask: &FlexTensor, shape: Shape) -> FlexTensor {
    let part = |i| Tokens::part(slice(qkv), shape.width, i, 3);
    let y = attention::forward(Level::current(), shape, part(0), part(1), part(2), given(mask));
    tensor(y, vec![shape.batch, shape.queries, shape.width])
}

fn cross_shape(q: &FlexTensor, kv: &FlexTensor, heads: usize) -> Shape {
    let [batch, queries, width] = dims(q)[..] else { panic!("tokens have three axes") };
    Shape { batch, queries, keys: dims(kv)[1], width, heads }
}

fn cross_of(q: &FlexTensor, kv: &FlexTensor, mask: &FlexTensor, shape: Shape) -> FlexTensor {
    let d = shape.width;
    let [k, v] = [0, 1].map(|i| Tokens::part(slice(kv), d, i, 2));
    let y = attention::forward(Level::current(), shape, Tokens::part(slice(q), d, 0, 1), k, v, given(mask));
    tensor(y, dims(q))
}

// Feed-forward.

fn feed_forward_sizes(x: &FlexTensor, w1: &FlexTensor, options: FeedForwardOptions) -> FeedForward {
    let [width, hidden] = dims(w1)[..] else { panic!("a weight has two axes") };
    let FeedForwardOptions { activation, scale, skip } = options;
    FeedForward { rows: x.shape().num_elements() / width, width, hidden, activation, scale: scale as f32, skip }
}

fn weights([w1, b1, w2, b2]: &[FlexTensor; 4]) -> Weights<'_> {
    Weights { w1: slice(w1), b1: slice(b1), w2: slice(w2), b2: slice(b2) }
}

/// The result, and the values before the activation where they are kept.
fn feed_forward_of(
    x: &FlexTensor,
    w: &[FlexTensor; 4],
    residual: &FlexTensor,
    options: FeedForwardOptions,
    keep: bool,
) -> (FlexTensor, Option<Vec<f32>>) {
    let f = feed_forward_sizes(x, &w[0], options);
    let (y, h) = feed_forward::forward(Level::current(), f, slice(x), weights(w), given(residual), keep);
    (tensor(y, dims(x)), h)
}

impl Fused for Flex {
    fn fused_linear(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, residual: FlexTensor) -> FlexTensor {
        let [x, weight, bias, residual] = [x, weight, bias, residual].map(packed);
        linear_of([&x, &weight, &bias, &residual])
    }

    fn fused_layer_norm(x: FlexTensor, gamma: FlexTensor, beta: FlexTensor, epsilon: f64) -> FlexTensor {
        let [x, gamma, beta] = [x, gamma, beta].map(packed);
        norm_of(&x, &gamma, &beta, epsilon).0
    }

    fn fused_attention(qkv: FlexTensor, mask: FlexTensor, heads: usize) -> FlexTensor {
        let [qkv, mask] = [qkv, mask].map(packed);
        attention_of(&qkv, &mask, self_shape(&qkv, heads))
    }

    fn fused_cross_attention(q: FlexTensor, kv: FlexTensor, mask: FlexTensor, heads: usize) -> FlexTensor {
        let [q, kv, mask] = [q, kv, mask].map(packed);
        cross_of(&q, &kv, &mask, cross_shape(&q, &kv, heads))
    }

    fn fused_feed_forward(
        x: FlexTensor,
        w1: FlexTensor,
        b1: FlexTensor,
        w2: FlexTensor,
        b2: FlexTensor,
        residual: FlexTensor,
        options: FeedForwardOptions,
    ) -> FlexTensor {
        let ([x, residual], w) = ([x, residual].map(packed), [w1, b1, w2, b2].map(packed));
        feed_forward_of(&x, &w, &residual, options, false).0
    }

    fn fused_adamw(
        weight: FlexTensor,
        gradient: FlexTensor,
        first: FlexTensor,
        second: FlexTensor,
        options: AdamW,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let AdamW { rate, beta, epsilon, .. } = options;
        let (kept, correction) = (options.kept() as f32, options.correction());
        let numbers = Numbers { rate: rate as f32, kept, beta, epsilon, correction };
        let from = [weight, gradient, first, second].map(packed);
        let to = adamw::step(Level::current(), numbers, from.each_ref().map(slice));
        to.map(|values| tensor(values, dims(&from[0]))).into()
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn fused_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Linear;
        impl Backward<Flex, 4> for Linear {
            /// x, where the weight is trained, and the weight.
            type State = (Option<FlexTensor>, FlexTensor);
            fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
                let (x, weight) = ops.state;
                let g = packed(grads.consume::<Flex>(&ops.node));
                linear_backward(x, weight, g, ops.parents.map(|node| node.map(|node| node.id)), grads);
            }
        }
        let nodes = [x.node(), weight.node(), bias.node(), residual.node()];
        let trained = weight.is_tracked();
        let [x, weight, bias, residual] = [x, weight, bias, residual].map(|t| packed(t.into_primitive()));
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
        #[derive(Debug)]
        struct Norm;
        impl Backward<Flex, 3> for Norm {
            /// x, gamma, and mean and 1/σ of each row.
            type State = (FlexTensor, FlexTensor, Vec<f32>);
            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
                let (x, gamma, moments) = ops.state;
                let g = packed(grads.consume::<Flex>(&ops.node));
                let [of_x, of_gamma, of_beta] = ops.parents.map(|node| node.map(|node| node.id));
                let wanted = Wanted { input: of_x.is_some(), weights: of_gamma.is_some() || of_beta.is_some() };
                let (dx, weights) =
                    norm::backward(Level::current(), slice(&x), slice(&g), &moments, slice(&gamma), wanted);
                if let (Some(id), Some(dx)) = (of_x, dx) {
                    grads.register::<Flex>(id, tensor(dx, dims(&x)));
                }
                for (id, values) in [of_gamma, of_beta].into_iter().zip(weights.into_iter().flatten()) {
                    register(grads, id, || tensor(values, dims(&gamma)));
                }
            }
        }
        let nodes = [x.node(), gamma.node(), beta.node()];
        let [x, gamma, beta] = [x, gamma, beta].map(|t| packed(t.into_primitive()));
        let (y, moments) = norm_of(&x, &gamma, &beta, epsilon);
        match Norm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, gamma, moments), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn fused_attention(qkv: FloatTensor<Self>, mask: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Attention;
        impl Backward<Flex, 1> for Attention {
            type State = (FlexTensor, FlexTensor, Shape);
            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let (qkv, mask, shape) = ops.state;
                let g = packed(grads.consume::<Flex>(&ops.node));
                let [of_qkv] = ops.parents.map(|node| node.map(|node| node.id));
                register(grads, of_qkv, || {
                    let level = Level::current();
                    let found = attention::backward_packed(level, shape, slice(&qkv), given(&mask), slice(&g));
                    tensor(found, dims(&qkv))
                });
            }
        }
        assert!(!mask.is_tracked(), "the mask of an attention is not trained");
        let nodes = [qkv.node()];
        let [qkv, mask] = [qkv, mask].map(|t| packed(t.into_primitive()));
        let shape = self_shape(&qkv, heads);
        let y = attention_of(&qkv, &mask, shape);
        match Attention.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((qkv, mask, shape), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn fused_cross_attention(
        q: FloatTensor<Self>,
        kv: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Cross;
        impl Backward<Flex, 2> for Cross {
            type State = ([FlexTensor; 3], Shape);
            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let ([q, kv, mask], shape) = ops.state;
                let g = packed(grads.consume::<Flex>(&ops.node));
                let [of_q, of_kv] = ops.parents.map(|node| node.map(|node| node.id));
                let level = Level::current();
                let [dq, dkv] = attention::backward_cross(level, shape, slice(&q), slice(&kv), given(&mask), slice(&g));
                register(grads, of_q, || tensor(dq, dims(&q)));
                register(grads, of_kv, || tensor(dkv, dims(&kv)));
            }
        }
        assert!(!mask.is_tracked(), "the mask of an attention is not trained");
        let nodes = [q.node(), kv.node()];
        let [q, kv, mask] = [q, kv, mask].map(|t| packed(t.into_primitive()));
        let shape = cross_shape(&q, &kv, heads);
        let y = cross_of(&q, &kv, &mask, shape);
        match Cross.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(([q, kv, mask], shape), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
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
        impl Backward<Flex, 6> for Layers {
            /// x, the values before the activation, and the weights.
            type State = (FlexTensor, Vec<f32>, [FlexTensor; 4], FeedForwardOptions);
            fn backward(self, ops: Ops<Self::State, 6>, grads: &mut Gradients, _: &mut Checkpointer) {
                let (x, h, w, options) = ops.state;
                let g = packed(grads.consume::<Flex>(&ops.node));
                let [of_x, w1, b1, w2, b2, of_residual] = ops.parents.map(|node| node.map(|node| node.id));
                let of_weights = [w1, b1, w2, b2];
                let wanted = [of_x.is_some(), of_weights.iter().any(Option::is_some)];
                let f = feed_forward_sizes(&x, &w[0], options);
                let found = feed_forward::backward(Level::current(), f, slice(&x), &h, weights(&w), slice(&g), wanted);
                if let (Some(id), Some(dx)) = (of_x, found.input) {
                    grads.register::<Flex>(id, tensor(dx, dims(&x)));
                }
                for ((id, w), values) in of_weights.into_iter().zip(&w).zip(found.weights.into_iter().flatten()) {
                    register(grads, id, || tensor(values, dims(w)));
                }
                register(grads, of_residual, || g);
            }
        }
        let nodes = [x.node(), w1.node(), b1.node(), w2.node(), b2.node(), residual.node()];
        let [x, residual] = [x, residual].map(|t| packed(t.into_primitive()));
        let w = [w1, b1, w2, b2].map(|t| packed(t.into_primitive()));
        match Layers.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (y, h) = feed_forward_of(&x, &w, &residual, options, true);
                prep.finish((x, h.unwrap_or_default(), w, options), y)
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
        let (weight, first, second) = Flex::fused_adamw(weight, gradient, first, second, options);
        [weight, first, second].map(<Self as AutodiffBackend>::from_inner).into()
    }
}

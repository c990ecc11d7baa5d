//! Layers that several components share, with initial weights drawn from the run's own random streams.

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Device, Tensor, TensorData};
use maclip_framework::model::parameters::is_trainable;
use maclip_framework::random::{Rng, Stream};
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::draws::{DropPath, Dropout};
use maclip_kernels::Activation;
use maclip_kernels::operations::{self, FeedForwardOptions, ProjectedAttention};

/// Makes parameters and draws their initial values, one tensor after the other. The values of a tensor are drawn when
/// it is first read, from a place in the stream that is its own: a model of which only the sizes matter draws nothing.
pub struct Init {
    stream: Option<Stream>,
    next: u64,
    device: Device,
}

impl Init {
    /// Parameters on `device`, with values drawn from `stream`.
    pub fn new(stream: Stream, device: Device) -> Self {
        Self { stream: Some(stream), next: 0, device }
    }

    /// Parameters on `device` that are all zero: for weights that are read from a file next, and for models of which
    /// only the sizes matter.
    pub fn blank(device: Device) -> Self {
        Self { stream: None, next: 0, device }
    }

    fn draw<const D: usize>(
        &mut self,
        shape: [usize; D],
        value: impl Fn(&mut Rng) -> f64 + Send + Sync + 'static,
    ) -> Param<Tensor<D>> {
        let rng = self.stream.as_ref().map(|stream| stream.at(self.next));
        self.next += 1;
        let tensor = move |device: &Device, active: bool| {
            let tensor = match rng {
                None => Tensor::zeros(shape, device),
                Some(mut rng) => {
                    let values: Vec<f32> = (0..shape.iter().product()).map(|_| value(&mut rng) as f32).collect();
                    Tensor::from_data(TensorData::new(values, shape), device)
                }
            };
            tensor.set_require_grad(active)
        };
        Param::uninitialized(ParamId::new(), tensor, self.device.clone(), true, shape.into())
    }

    /// Values of a normal distribution with mean 0 and standard deviation `std`.
    pub fn normal<const D: usize>(&mut self, shape: [usize; D], std: f64) -> Param<Tensor<D>> {
        self.draw(shape, move |rng| rng.normal() * std)
    }

    /// Values of a uniform distribution from −`bound` to `bound`.
    pub fn uniform<const D: usize>(&mut self, shape: [usize; D], bound: f64) -> Param<Tensor<D>> {
        self.draw(shape, move |rng| rng.range(-bound, bound))
    }

    /// The same value everywhere.
    pub fn constant<const D: usize>(&mut self, shape: [usize; D], value: f64) -> Param<Tensor<D>> {
        self.draw(shape, move |_| value)
    }

    /// PyTorch's default: weight `[inputs, outputs]` and bias `[outputs]` uniform within ±1/√inputs.
    pub fn linear(&mut self, inputs: usize, outputs: usize) -> Linear {
        let bound = (inputs as f64).powf(-0.5);
        let weight = self.uniform([inputs, outputs], bound);
        let bias = self.uniform([outputs], bound);
        self.build(weight, bias)
    }

    /// Weight `[inputs, outputs]` as PyTorch's default, uniform within ±1/√inputs, and bias zero.
    pub fn linear_without_start_bias(&mut self, inputs: usize, outputs: usize) -> Linear {
        let weight = self.uniform([inputs, outputs], (inputs as f64).powf(-0.5));
        let bias = self.constant([outputs], 0.0);
        self.build(weight, bias)
    }

    /// Weight `[inputs, outputs]` as PyTorch's default, uniform within ±1/√inputs, and no bias.
    pub fn linear_without_bias(&mut self, inputs: usize, outputs: usize) -> Linear {
        let weight = self.uniform([inputs, outputs], (inputs as f64).powf(-0.5));
        let mut linear = LinearConfig::new(inputs, outputs).with_bias(false).init(&self.device);
        linear.weight = weight;
        linear
    }

    /// Weight normal with `std`, bias zero.
    pub fn linear_normal(&mut self, inputs: usize, outputs: usize, std: f64) -> Linear {
        let weight = self.normal([inputs, outputs], std);
        let bias = self.constant([outputs], 0.0);
        self.build(weight, bias)
    }

    /// Weight normal with `std`, bias as PyTorch's default: uniform within ±1/√inputs.
    pub fn linear_normal_with_bias(&mut self, inputs: usize, outputs: usize, std: f64) -> Linear {
        let weight = self.normal([inputs, outputs], std);
        let bias = self.uniform([outputs], (inputs as f64).powf(-0.5));
        self.build(weight, bias)
    }

    /// One half of a layer of 2 · `inputs` inputs, whose weight and bias are uniform within ±1/√(2 · inputs).
    pub fn half_linear(&mut self, inputs: usize, outputs: usize) -> Linear {
        let bound = ((2 * inputs) as f64).powf(-0.5);
        let (weight, bias) = (self.uniform([inputs, outputs], bound), self.uniform([outputs], bound));
        self.build(weight, bias)
    }

    /// Weight and bias zero: the layer adds nothing at the start of training.
    pub fn linear_zero(&mut self, inputs: usize, outputs: usize) -> Linear {
        let weight = self.constant([inputs, outputs], 0.0);
        let bias = self.constant([outputs], 0.0);
        self.build(weight, bias)
    }

    fn build(&self, weight: Param<Tensor<2>>, bias: Param<Tensor<1>>) -> Linear {
        let [inputs, outputs] = weight.lazy_shape().dims();
        let mut linear = LinearConfig::new(inputs, outputs).init(&self.device);
        linear.weight = weight;
        linear.bias = Some(bias);
        linear
    }

    /// Layer norm over the last `width` values with ε = 1e-5, as in CLIP.
    pub fn layer_norm(&mut self, width: usize) -> LayerNorm {
        self.layer_norm_with(width, 1e-5)
    }

    /// Layer norm over the last `width` values, with the factors 1 and the shifts 0.
    pub fn layer_norm_with(&mut self, width: usize, epsilon: f64) -> LayerNorm {
        let constant = |value: f64| {
            let tensor =
                move |device: &Device, active: bool| Tensor::full([width], value, device).set_require_grad(active);
            Param::uninitialized(ParamId::new(), tensor, self.device.clone(), true, [width].into())
        };
        LayerNorm { gamma: constant(1.0), beta: constant(0.0), epsilon }
    }
}

/// (x − mean) / √(variance + ε) · γ + β over the last axis.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// γ, `[D]`.
    pub gamma: Param<Tensor<1>>,
    /// β, `[D]`.
    pub beta: Param<Tensor<1>>,
    epsilon: f64,
}

impl LayerNorm {
    /// `[…, D]` → the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        operations::layer_norm(x, self.gamma.val(), self.beta.val(), self.epsilon)
    }
}

/// The device of a tensor without automatic differentiation: tensors made there are not part of a graph.
pub fn plain_device<const D: usize>(tensor: &Tensor<D>) -> Device {
    tensor.clone().without_autodiff().device()
}

/// The layer with `x` `[…, inputs]` → `[…, outputs]`. The product is computed in the element type of the weights, the
/// bias is added in that of `x`.
pub fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    linear_onto(layer, x, None)
}

/// [`linear`], added to `residual` `[…, outputs]`.
pub fn linear_onto<const D: usize>(layer: &Linear, x: Tensor<D>, residual: Option<Tensor<D>>) -> Tensor<D> {
    operations::linear(x, layer.weight.val(), layer.bias.as_ref().map(|bias| bias.val()), residual)
}

/// scale · second(act(first(x))), plus x with `skip`, plus `residual`: x `[…, D]` → `[…, D]`.
pub fn feed_forward<const D: usize>(
    [first, second]: [&Linear; 2],
    x: Tensor<D>,
    residual: Option<Tensor<D>>,
    options: FeedForwardOptions,
) -> Tensor<D> {
    let bias = |layer: &Linear| match &layer.bias {
        Some(bias) => bias.val(),
        None => Tensor::zeros([sizes(layer)[1]], &plain_device(&x)),
    };
    let (weights, biases) = ([first, second].map(|layer| layer.weight.val()), [bias(first), bias(second)]);
    operations::feed_forward(x, weights, biases, residual, options)
}

/// `module` with the frozen weights of its linear layers in bf16; [`linear`] computes with them.
pub fn in_bf16<M: Module>(module: M) -> M {
    struct Lower {
        inside: Vec<bool>,
    }
    impl ModuleMapper for Lower {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.inside.push(container.ends_with("Linear") && name == "weight");
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.inside.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if self.inside.last() != Some(&true) || is_trainable(&param) {
                return param;
            }
            param.init_mapper(|weight| weight.cast(DType::BF16))
        }
    }
    module.map(&mut Lower { inside: Vec::new() })
}

/// `[inputs, outputs]` of a layer.
fn sizes(layer: &Linear) -> [usize; 2] {
    layer.weight.lazy_shape().dims()
}

/// What the layer costs for `rows` rows of input. The input is kept only for the gradient of a trained weight.
pub fn linear_cost(layer: &Linear, rows: usize) -> Cost {
    let [inputs, outputs] = sizes(layer);
    let input = if is_trainable(&layer.weight) { (rows * inputs) as f64 } else { 0.0 };
    Cost { values: input, ..Cost::product(rows, inputs, outputs) }
}

/// What [`feed_forward`] costs for `rows` rows of input.
pub fn feed_forward_cost(first: &Linear, second: &Linear, rows: usize) -> Cost {
    let [inputs, hidden] = sizes(first);
    let products = linear_cost(first, rows) + linear_cost(second, rows);
    // The input, and what stands before the activation.
    Cost { values: (rows * (inputs + hidden)) as f64, ..products }
}

/// Multi-head attention with one packed input projection, columns ordered q, k, v; with biases.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[D, 3D]`: the transpose of PyTorch's `in_proj_weight`.
    pub in_proj: Linear,
    /// `[D, D]`, after the heads are joined.
    pub out_proj: Linear,
    heads: usize,
}

impl Attention {
    /// Weights normal with `std`, biases zero. `width` D must be divisible by `heads`.
    pub fn new(width: usize, heads: usize, std: f64, init: &mut Init) -> Self {
        Self {
            in_proj: init.linear_normal(width, 3 * width, std),
            out_proj: init.linear_normal(width, width, std),
            heads,
        }
    }

    /// Every projection with PyTorch's start of a linear layer: uniform within ±1/√D.
    pub fn of_layers(width: usize, heads: usize, init: &mut Init) -> Self {
        // Queries, keys and values have the same number of inputs, so one layer for the three starts like three.
        Self { in_proj: init.linear(width, 3 * width), out_proj: init.linear(width, width), heads }
    }

    /// [`Attention::of_layers`] with heads of the width `head`, whatever D: projections `[D, 3 · heads · head]` and
    /// back.
    pub fn of_narrow_layers(width: usize, head: usize, heads: usize, init: &mut Init) -> Self {
        let inner = heads * head;
        Self { in_proj: init.linear(width, 3 * inner), out_proj: init.linear(inner, width), heads }
    }

    /// With these projections: `[D, 3 D]` and `[D, D]`.
    pub fn of([in_proj, out_proj]: [Linear; 2], heads: usize) -> Self {
        Self { in_proj, out_proj, heads }
    }

    /// The same without the biases of queries, keys and values.
    pub fn without_projection_bias(mut self) -> Self {
        self.in_proj.bias = None;
        self
    }

    /// Self-attention of x `[b, n, D]`; `mask` `[n, n]` is added to the scores, `shift` `[b, n, 3 D]` to the packed
    /// projection.
    pub fn forward(&self, x: Tensor<3>, mask: Option<Tensor<2>>, shift: Option<Tensor<3>>) -> Tensor<3> {
        self.forward_onto(x, mask, shift, None)
    }

    /// [`Attention::forward`], added to `residual` `[b, n, D]`.
    pub fn forward_onto(
        &self,
        x: Tensor<3>,
        mask: Option<Tensor<2>>,
        shift: Option<Tensor<3>>,
        residual: Option<Tensor<3>>,
    ) -> Tensor<3> {
        let first = x.dims()[1];
        self.attend(x, first, mask, shift, residual)
    }

    fn attend(
        &self,
        x: Tensor<3>,
        first: usize,
        mask: Option<Tensor<2>>,
        shift: Option<Tensor<3>>,
        residual: Option<Tensor<3>>,
    ) -> Tensor<3> {
        let layers = [&self.in_proj, &self.out_proj];
        let weights = layers.map(|layer| layer.weight.val());
        let biases = layers.map(|layer| layer.bias.as_ref().map(|bias| bias.val()));
        let options = ProjectedAttention { heads: self.heads, first };
        operations::projected_attention(x, weights, biases, shift, mask, residual, options)
    }

    /// [`Attention::forward`] of x `[b, n, D]` with `dropout` on the attention weights.
    pub fn forward_with(&self, x: Tensor<3>, dropout: &Dropout) -> Tensor<3> {
        if !dropout.is_active() {
            return self.forward(x, None, None);
        }
        let [b, n, d] = x.dims();
        let (heads, width) = (self.heads, d / self.heads);
        // Axes: queries, keys or values; clip; head; token; width of a head.
        let packed = linear(&self.in_proj, x).reshape([b, n, 3, heads, width]).permute([2, 0, 3, 1, 4]);
        let [q, k, v] = [0, 1, 2].map(|i| packed.clone().narrow(0, i, 1).squeeze_dim::<4>(0));
        let weights = softmax(q.matmul(k.swap_dims(2, 3)) / (width as f64).sqrt(), 3);
        let mixed = dropout.forward(weights).matmul(v);
        linear(&self.out_proj, mixed.swap_dims(1, 2).reshape([b, n, d]))
    }

    /// The first `first` tokens of [`Attention::forward`] of x `[b, n, D]` → `[b, first, D]`.
    pub fn first(&self, x: Tensor<3>, first: usize) -> Tensor<3> {
        // Where most tokens are wanted, one product for all is less work than cutting the weights in two.
        if 2 * first > x.dims()[1] {
            return self.attend(x, first, None, None, None);
        }
        self.cross(x.clone().narrow(1, 0, first), x)
    }

    /// query `[b, n, D]`, key and value `[b, m, D]` → `[b, n, D]`.
    pub fn cross(&self, query: Tensor<3>, context: Tensor<3>) -> Tensor<3> {
        let weight = self.in_proj.weight.val();
        let d = weight.dims()[1] / 3;
        let bias = self.in_proj.bias.as_ref().map(|bias| bias.val());
        let project = |x: Tensor<3>, from: usize, parts: usize| {
            let bias = bias.clone().map(|bias| bias.narrow(0, from * d, parts * d));
            operations::linear(x, weight.clone().narrow(1, from * d, parts * d), bias, None)
        };
        let (q, kv) = (project(query, 0, 1), project(context, 1, 2));
        linear(&self.out_proj, operations::cross_attention(q, kv, None, self.heads))
    }

    /// What [`Attention::forward`] costs for x `[b, n, D]`.
    pub fn cost(&self, [b, n, _]: [usize; 3]) -> Cost {
        linear_cost(&self.in_proj, b * n) + self.mix_cost(b, [n, n])
    }

    /// What [`Attention::cross`] costs for a query `[b, n, D]` and a context of m tokens.
    pub fn cross_cost(&self, [b, n, d]: [usize; 3], m: usize) -> Cost {
        let inner = self.inner();
        Cost::product(b * n, d, inner) + Cost::product(b * m, d, 2 * inner) + self.mix_cost(b, [n, m])
    }

    /// Width of all heads together.
    fn inner(&self) -> usize {
        sizes(&self.in_proj)[1] / 3
    }

    fn mix_cost(&self, b: usize, lengths: [usize; 2]) -> Cost {
        Cost::attention(b, lengths, self.inner()) + linear_cost(&self.out_proj, b * lengths[0])
    }
}

/// up(gelu(down(x))), plus x with `skip`. GELU is the exact (erf) form.
#[derive(Module, Debug)]
pub struct Bottleneck {
    down: Linear,
    up: Linear,
    skip: bool,
}

impl Bottleneck {
    /// `width` D is the width of the tokens, `hidden` that of the bottleneck. `down` has PyTorch's start of a linear
    /// layer, and `up` starts at zero, as in AIM.
    pub fn new(width: usize, hidden: usize, skip: bool, init: &mut Init) -> Self {
        Self::of([init.linear(width, hidden), init.linear_zero(hidden, width)], skip)
    }

    /// Of the layers down and up.
    pub fn of([down, up]: [Linear; 2], skip: bool) -> Self {
        Self { down, up, skip }
    }

    /// `[…, D]` → the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.onto(x, None)
    }

    /// The adapter with x `[…, D]`, added to `residual` of the same shape.
    pub fn forward_onto<const D: usize>(&self, x: Tensor<D>, residual: Tensor<D>) -> Tensor<D> {
        self.onto(x, Some(residual))
    }

    /// `scale` times [`Bottleneck::forward`] of x `[…, D]`, added to `residual` of the same shape.
    pub fn scaled_onto<const D: usize>(&self, x: Tensor<D>, scale: f64, residual: Tensor<D>) -> Tensor<D> {
        if self.skip {
            return residual + self.forward(x) * scale;
        }
        let options = FeedForwardOptions { activation: Activation::Gelu, scale, skip: false };
        feed_forward([&self.down, &self.up], x, Some(residual), options)
    }

    /// [`Bottleneck::scaled_onto`] for the first tokens x `[b, first, D]` of `tokens`, left out where `path` says so.
    pub fn path_onto(
        &self,
        x: Tensor<3>,
        scale: f64,
        residual: Tensor<3>,
        path: &DropPath,
        tokens: usize,
    ) -> Tensor<3> {
        match path.is_active() {
            true => residual + path.along(self.forward(x) * scale, 1, tokens),
            false => self.scaled_onto(x, scale, residual),
        }
    }

    fn onto<const D: usize>(&self, x: Tensor<D>, residual: Option<Tensor<D>>) -> Tensor<D> {
        let options = FeedForwardOptions { activation: Activation::Gelu, scale: 1.0, skip: self.skip };
        feed_forward([&self.down, &self.up], x, residual, options)
    }

    /// What it costs for `rows` rows of input.
    pub fn cost(&self, rows: usize) -> Cost {
        feed_forward_cost(&self.down, &self.up, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maclip_framework::slots::draws::Draws;

    #[test]
    fn initial_values_do_not_depend_on_the_order_in_which_they_are_read() {
        let parts = || {
            let mut init = Init::new(Stream::new(1, "init/test"), Device::flex());
            [init.normal([2, 3], 1.0), init.uniform([2, 3], 1.0)]
        };
        let values = |param: &Param<Tensor<2>>| param.val().into_data().try_to_vec::<f32>().unwrap();
        let ([a, b], [c, d]) = (parts(), parts());
        assert!(!a.is_initialized() && a.lazy_shape().dims() == [2, 3]);
        let (first, second) = (values(&a), values(&b));
        let (later, sooner) = (values(&d), values(&c));
        assert_eq!((first.clone(), second.clone()), (sooner, later));
        assert_ne!(first, second);
    }

    #[test]
    fn attention_with_dropout_is_the_fused_one_where_nothing_is_dropped() {
        let attention = Attention::new(8, 2, 1.0, &mut Init::new(Stream::new(3, "init/test"), Device::flex()));
        let x = Tensor::<3>::from_data(
            TensorData::new((0..48).map(|i| ((i * 7 % 11) as f32 - 5.0) / 4.0).collect::<Vec<_>>(), [2, 3, 8]),
            &Device::flex(),
        );
        let values = |x: Tensor<3>| x.into_data().try_to_vec::<f32>().unwrap();
        let fused = values(attention.forward(x.clone(), None, None));
        // A rate so small that nothing is drawn below it.
        let rare = Dropout::new(1e-12, "weights");
        let plain = Draws::new(1, 0).during(|| values(attention.forward_with(x.clone(), &rare)));
        assert!(fused.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-5), "{fused:?} {plain:?}");
        let often = Dropout::new(0.5, "weights");
        assert_ne!(fused, Draws::new(1, 0).during(|| values(attention.forward_with(x.clone(), &often))));
        assert_eq!(fused, values(attention.forward_with(x, &often)));
    }

    #[test]
    fn costs_are_the_hand_computed_ones() {
        let mut init = Init::blank(Device::flex());
        let attention = Attention::new(4, 2, 1.0, &mut init);
        // Three tokens of width 4 attend to five: projections 3 · 4 · 4, 5 · 4 · 8 and 3 · 4 · 4, scores and mixture 3
        // · 5 · 4 each.
        assert_eq!(attention.cross_cost([1, 3, 4], 5).flops, 2.0 * (48.0 + 160.0 + 48.0 + 60.0 + 60.0));
        // Packed: 3 · 4 · 12, then 3 · 3 · 4 twice and 3 · 4 · 4; two clips.
        assert_eq!(attention.cost([2, 3, 4]).flops, 2.0 * 2.0 * (144.0 + 36.0 + 36.0 + 48.0));
        assert_eq!(Bottleneck::new(8, 2, true, &mut init).cost(3).flops, 2.0 * 2.0 * 3.0 * 16.0);
    }
}

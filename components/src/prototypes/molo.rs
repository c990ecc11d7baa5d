//! `molo`: frames and their changes in time, each sequence with a class token of its own behind one transformer layer.
//!
//! Source: MoLo (Wang et al., CVPR 2023) as its public code computes it (alibaba-mmai-research/MoLo,
//! models/base/few_shot.py, `CNN_BiMHM_MoLo`), on feature maps of E channels, with position codes P and a learned class
//! token c:
//!
//! ```text
//! X  = √(E / a) [c, avg map_1, …, avg map_T] + b P
//! Y  = X + MHA(LN X)                          queries, keys and values without biases
//! F  = relu(Y + W₂ gelu(W₁ Y))                the class token and T frames
//!
//! M  = conv3d(maps), 3 × 3 × 3, of m channels
//! Δ_t = conv(M)_{t+1} − M_t                    conv is 3 × 3; t = 1 … T − 1
//! ```
//! and the same layer, with other weights, on a second class token and avg relu(W Δ_t), W of m → E channels. The frames
//! are the features that are aligned. The other tokens are parts that the alignment `molo` compares, and Δ is one that
//! the objective `molo` decodes.

use super::transformer::{Layer, LayerSizes, Norm, codes_by};
use crate::layers::Init;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::{conv2d, conv3d};
use burn::tensor::ops::ConvOptions;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::Scope;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::draws::Dropout;
use maclip_framework::slots::layout::{Layout, Part};
use maclip_framework::slots::prototype::Prototype;
use serde::{Deserialize, Serialize};

/// The class token of the frames, `[1, E]`; every frame has the same.
pub const CLASS_TOKEN: Part = Part::Added { by: "molo", name: "class_token" };
/// The T − 1 tokens of the changes in time and behind them, at the last frame, their class token, `[1, E]`.
pub const MOTION: Part = Part::Added { by: "molo", name: "motion" };
/// Δ at the N positions of the map, `[N, m]`; zeros at the last frame. Only there where the objective reads it.
pub const CHANGES: Part = Part::Added { by: "molo", name: "changes" };

/// Options of MoLo's two branches.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct MoloConfig {
    /// Heads of both attentions; must divide E. 8 in public code.
    #[schemars(range(min = 1))]
    heads: usize,
    /// Width of the feed-forward layers. 2048 in public code, whatever E is.
    #[schemars(range(min = 1, max = 65_536))]
    hidden: usize,
    /// m, the channels of the changes in time; `null` is E / 8, as in public code.
    #[schemars(range(min = 1, max = 65_536))]
    motion_width: Option<usize>,
    /// a: tokens are multiplied by √(E / a) before the position codes are added. 10 in public code, 2048 on Kinetics.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    feature_divisor: f64,
    /// b, the factor on the position codes. 1 in public code, 0.02 on Kinetics.
    position_scale: f64,
    /// Dropout of X, the tokens with their position codes. 0.1 in public code.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    code_dropout: f64,
    /// Dropout of the attentions' outputs. 0.2 in public code.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    attention_dropout: f64,
    /// Dropout inside and after the feed-forward layers. 0.05 in public code.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    hidden_dropout: f64,
}

impl Default for MoloConfig {
    fn default() -> Self {
        Self {
            heads: 8,
            hidden: 2048,
            motion_width: None,
            feature_divisor: 10.0,
            position_scale: 1.0,
            code_dropout: 0.1,
            attention_dropout: 0.2,
            hidden_dropout: 0.05,
        }
    }
}

register!(dyn Prototype, MoloConfig, name: "molo",
    summary: "frames and their changes in time, each with a class token behind a transformer layer",
    paper: Some("MoLo, CVPR 2023"), stability: Stable, usage: "{hidden: 32}");

impl Component for MoloConfig {
    type Slot = dyn Prototype;

    fn describe(&self, facts: &mut Facts) {
        facts.reads("prototype", Part::Map);
        [CLASS_TOKEN, MOTION, CHANGES].into_iter().for_each(|part| facts.adds(part));
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Prototype>> {
        let given = context.given().clone();
        let [positions, e] = given.shape(Part::Map)?;
        if !e.is_multiple_of(self.heads) {
            let message = format!("`heads` is {}, which does not divide the {e} channels of the map", self.heads);
            return Err(maclip_framework::error::Error::failed(message).help("set `prototype.heads`"));
        }
        let m = self.motion_width.unwrap_or((e / 8).max(1));
        let mut init = Init::new(context.init("prototype"), context.trainable_device());
        let sizes = LayerSizes {
            width: e,
            heads: self.heads,
            hidden: self.hidden,
            norm: Norm::Pre,
            projection_bias: false,
            dropout: [self.attention_dropout, self.hidden_dropout],
        };
        Ok(Box::new(Molo {
            class_token: init.normal([1, e], 1.0),
            motion_class_token: init.normal([1, e], 1.0),
            frames: Layer::new(sizes, &mut init),
            motion: Layer::new(sizes, &mut init),
            motion_reduce: Kernel3::new([m, e, 3, 3, 3], &mut init),
            motion_conv: Kernel2::new([m, m, 3, 3], &mut init),
            motion_up: init.linear(m, e),
            code_dropout: Dropout::new(self.code_dropout, "prototype.codes"),
            feature_scale: (e as f64 / self.feature_divisor).sqrt(),
            position_scale: self.position_scale,
            changes: context.is_read(CHANGES).then_some([positions, m]),
            given,
        }))
    }
}

/// A convolution over time and space with a bias. PyTorch's start.
#[derive(Module, Debug)]
struct Kernel3 {
    weight: Param<Tensor<5>>,
    bias: Param<Tensor<1>>,
}

/// A convolution over space with a bias. PyTorch's start.
#[derive(Module, Debug)]
struct Kernel2 {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

/// The bound of PyTorch's uniform start for a kernel `[out, in, …]`.
fn bound(shape: &[usize]) -> f64 {
    (shape[1..].iter().product::<usize>() as f64).powf(-0.5)
}

impl Kernel3 {
    fn new(shape: [usize; 5], init: &mut Init) -> Self {
        let bound = bound(&shape);
        Self { weight: init.uniform(shape, bound), bias: init.uniform([shape[0]], bound) }
    }
}

impl Kernel2 {
    fn new(shape: [usize; 4], init: &mut Init) -> Self {
        let bound = bound(&shape);
        Self { weight: init.uniform(shape, bound), bias: init.uniform([shape[0]], bound) }
    }
}

#[derive(Module, Debug)]
struct Molo {
    class_token: Param<Tensor<2>>,
    motion_class_token: Param<Tensor<2>>,
    frames: Layer,
    motion: Layer,
    motion_reduce: Kernel3,
    motion_conv: Kernel2,
    motion_up: burn::nn::Linear,
    code_dropout: Dropout,
    feature_scale: f64,
    position_scale: f64,
    /// Shape of [`CHANGES`], where they are read.
    #[module(skip)]
    changes: Option<[usize; 2]>,
    #[module(skip)]
    given: Layout,
}

impl Molo {
    /// Positions and channels of the map.
    fn map(&self) -> [usize; 2] {
        self.given.shape(Part::Map).expect("it was built for frames with a map")
    }

    /// A class token and n tokens behind it, `[B, 1 + n, E]`, by `layer`.
    fn sequence(&self, class: &Param<Tensor<2>>, tokens: Tensor<3>, layer: &Layer) -> Tensor<3> {
        let [b, n, e] = tokens.dims();
        let class = class.val().reshape([1, 1, e]).expand([b, 1, e]);
        let x = Tensor::cat(vec![class, tokens], 1) * self.feature_scale;
        let codes = codes_by(n + 1, e, self.position_scale, |channel| 2 * channel, &x);
        let x = self.code_dropout.forward(x + codes.unsqueeze());
        relu(layer.forward(x.clone(), x))
    }

    /// Δ of maps `[B, T, N, E]`: `[B, T − 1, N, m]`.
    fn changes(&self, maps: Tensor<4>) -> Tensor<4> {
        let [b, t, n, e] = maps.dims();
        let (side, m) = (n.isqrt(), self.motion_conv.bias.lazy_shape().dims::<1>()[0]);
        let maps: Tensor<5> = maps.reshape([b, t, side, side, e]).permute([0, 4, 1, 2, 3]);
        let options = ConvOptions::new([1; 3], [1; 3], [1; 3], 1);
        let reduced = conv3d(maps, self.motion_reduce.weight.val(), Some(self.motion_reduce.bias.val()), options);
        let reduced: Tensor<5> = reduced.permute([0, 2, 1, 3, 4]);
        let later = reduced.clone().narrow(1, 1, t - 1).reshape([b * (t - 1), m, side, side]);
        let options = ConvOptions::new([1; 2], [1; 2], [1; 2], 1);
        let later = conv2d(later, self.motion_conv.weight.val(), Some(self.motion_conv.bias.val()), options);
        let changes = later - reduced.narrow(1, 0, t - 1).reshape([b * (t - 1), m, side, side]);
        changes.reshape([b, t - 1, m, n]).swap_dims(2, 3)
    }
}

impl Prototype for Molo {
    fn scope(&self) -> Scope {
        Scope::Clip
    }

    fn needs_text(&self) -> bool {
        false
    }

    fn reads(&self) -> Vec<Part> {
        vec![Part::Map]
    }

    fn layout(&self, _: &Layout) -> Layout {
        let [_, e] = self.map();
        let layout = Layout::of_feature(e).with(CLASS_TOKEN, [1, e]).with(MOTION, [1, e]);
        self.changes.iter().fold(layout, |layout, shape| layout.with(CHANGES, *shape))
    }

    fn support(&self, frames: Tensor<3>, _: Tensor<2>) -> Tensor<3> {
        self.query(frames)
    }

    fn query(&self, frames: Tensor<3>) -> Tensor<3> {
        let ([b, t, _], [n, e]) = (frames.dims(), self.map());
        let maps = self.given.part(Part::Map, frames).reshape([b, t, n, e]);
        let tokens = self.sequence(&self.class_token, maps.clone().mean_dim(2).squeeze_dim(2), &self.frames);
        let changes = self.changes(maps);
        let lifted = relu(crate::layers::linear(&self.motion_up, changes.clone()));
        let motion = self.sequence(&self.motion_class_token, lifted.mean_dim(2).squeeze_dim(2), &self.motion);
        let class = |tokens: &Tensor<3>| tokens.clone().narrow(1, 0, 1);
        let mut parts = vec![
            tokens.clone().narrow(1, 1, t),
            class(&tokens).expand([b, t, e]),
            Tensor::cat(vec![motion.clone().narrow(1, 1, t - 1), class(&motion)], 1),
        ];
        if let Some([n, m]) = self.changes {
            let changes = changes.reshape([b, t - 1, n * m]);
            let last = changes.clone().narrow(1, 0, 1).zeros_like();
            parts.push(Tensor::cat(vec![changes, last], 1));
        }
        Tensor::cat(parts, 2)
    }

    fn support_cost(&self, frames: [usize; 3]) -> Option<Cost> {
        self.query_cost(frames)
    }

    fn query_cost(&self, [b, t, _]: [usize; 3]) -> Option<Cost> {
        let ([n, e], m) = (self.map(), self.motion_conv.bias.lazy_shape().dims::<1>()[0]);
        let reduced = Cost::product(b * t * n, 27 * e, m) + Cost::product(b * (t - 1) * n, 9 * m, m);
        let lifted = Cost::product(b * (t - 1) * n, m, e) + Cost::elementwise(b * t * n * e, 2.0);
        let layers = self.frames.cost([b, t + 1, e], t + 1) + self.motion.cost([b, t, e], t);
        Some(reduced + lifted + layers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, prototype::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::prototype::holds::<MoloConfig>(Traits::default());
    }
}

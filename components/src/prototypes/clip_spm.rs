//! `clip_spm`: a token of text guides the frames of each clip, and then the clips of an episode attend to each other.
//!
//! Source: CLIP-SPM (hnlxy/CLIP-SPM, models/model_clipspm.py) as its public code computes it. A gate lets a token t of
//! text and the frames x of a clip through, and a transformer layer mixes them:
//!
//! ```text
//! G(x, t) = layer([t, α t σ(g_t t) + x σ(g_x x)])      g is linear, leaky relu, linear
//! ```
//! The token of a support clip is the text of its class. That of a query comes from the mean m of the class texts and
//! the mean a of all values of the clip: t = W₂ gelu(W₁ (a m)). The guided frames are the part `semantic`. Then, at
//! every frame, all support clips and one token for each class attend to each other in a second layer, and so do a
//! query and the mean of these tokens. The token of a class is the mean of its clips. The results are the features, and
//! the tokens after the layer the part `task`.
//!
//! For its loss on motion, the features of a clip's motion are predicted from its frames, and again from its frames
//! guided by them:
//!
//! ```text
//! μ(x) = mean over t of ½ (conv(x)_{t+1} − x_t) + ½ (conv(x)_t − x_{t+1})        conv: two of size 3 over time
//! e    = ‖μ(guided frames) − guided token‖²                                       the part `motion`
//! ```

use crate::layers::{Attention, Init, LayerNorm, feed_forward, feed_forward_cost, linear, linear_cost};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::{leaky_relu, sigmoid};
use burn::tensor::module::conv1d;
use burn::tensor::ops::ConvOptions;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::Scope;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::draws::Dropout;
use maclip_framework::slots::layout::{Layout, Part};
use maclip_framework::slots::prototype::{EpisodeFeatures, Prototype, Related};
use maclip_kernels::Activation;
use maclip_kernels::operations::{FeedForwardOptions, gelu};
use serde::{Deserialize, Serialize};

/// The frames that text has guided, `[1, E]`.
pub const SEMANTIC: Part = Part::Added { by: "clip_spm", name: "semantic" };
/// The token of the clip's class, or of all classes for a query, after the attention among clips, `[1, E]`.
pub const TASK: Part = Part::Added { by: "clip_spm", name: "task" };
/// The error e of the clip's motion, `[1, 1]`, the same at every frame. Only there where the objective reads it.
pub const MOTION: Part = Part::Added { by: "clip_spm", name: "motion" };

/// Options of CLIP-SPM's modules.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClipSpmConfig {
    /// Heads of both attentions. 8 in public code.
    #[schemars(range(min = 1))]
    pub heads: usize,
    /// Width of a head. 256 in public code, whatever E is.
    #[schemars(range(min = 1, max = 65_536))]
    pub head_width: usize,
    /// Width of the feed-forward layers. 2048 in public code, whatever E is.
    #[schemars(range(min = 1, max = 65_536))]
    pub hidden: usize,
    /// Width of the gate on text in units of E. In public code 1.5, 2 on UCF101 and 0.75 on SSv2-Full.
    #[schemars(range(min = 0.01, max = 64))]
    pub text_gate: f64,
    /// Width of the gate on frames in units of E. In public code 0.5, and 2 on UCF101.
    #[schemars(range(min = 0.01, max = 64))]
    pub frame_gate: f64,
    /// Slope of the gates' leaky relu below 0. In public code 0.0025 on HMDB51 and SSv2-Small, 0.042 on Kinetics,
    /// 0.052 on SSv2-Full and 0.054 on UCF101.
    pub negative_slope: f64,
    /// α, the factor of the token of text in the frames. In public code 0.2 on HMDB51 and SSv2-Small, 0.228 on
    /// UCF101, 0.353 on SSv2-Full and 0.86 on Kinetics.
    pub alpha: f64,
    /// Dropout of the attentions' outputs. 0.2 in public code.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub attention_dropout: f64,
    /// Dropout inside and after the feed-forward layers. 0.05 in public code.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub hidden_dropout: f64,
    /// In the public code all queries of a test episode enter the token of every class, and attend to each other: a
    /// prediction depends on the other queries. `true` does the same. With `false` the token of a class is the mean of
    /// its support clips, and a query sees itself and these tokens alone.
    pub as_published: bool,
}

impl Default for ClipSpmConfig {
    fn default() -> Self {
        Self {
            heads: 8,
            head_width: 256,
            hidden: 2048,
            text_gate: 1.5,
            frame_gate: 0.5,
            negative_slope: 0.0025,
            alpha: 0.2,
            attention_dropout: 0.2,
            hidden_dropout: 0.05,
            as_published: false,
        }
    }
}

register!(dyn Prototype, ClipSpmConfig, name: "clip_spm",
    summary: "text guides the frames of each clip, then the clips of an episode attend to each other",
    paper: Some("CLIP-SPM, 2025"), stability: Stable, usage: "{head_width: 8, hidden: 32}");

impl Component for ClipSpmConfig {
    type Slot = dyn Prototype;

    fn describe(&self, facts: &mut Facts) {
        facts.readers.push("prototype");
        [SEMANTIC, TASK, MOTION].into_iter().for_each(|part| facts.adds(part));
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Prototype>> {
        let mut init = Init::new(context.init("prototype"), context.trainable_device());
        let e = context.given().feature_width();
        Ok(Box::new(ClipSpm::new(&self, e, context.is_read(MOTION), &mut init)))
    }
}

/// x + MHA(LN x), then u + W₂ gelu(W₁ u); the heads have a width of their own.
#[derive(Module, Debug)]
struct WideLayer {
    norm: LayerNorm,
    attention: Attention,
    fc1: Linear,
    fc2: Linear,
    attention_dropout: Dropout,
    hidden_dropout: Dropout,
}

/// W₂ gelu(W₁ x), with dropout inside and after it in training; plus x with `skip`.
fn forward([fc1, fc2]: [&Linear; 2], dropout: &Dropout, x: Tensor<3>, skip: bool) -> Tensor<3> {
    if !dropout.is_active() {
        let options = FeedForwardOptions { activation: Activation::Gelu, scale: 1.0, skip };
        return feed_forward([fc1, fc2], x, None, options);
    }
    let y = dropout.forward(linear(fc2, dropout.forward(gelu(linear(fc1, x.clone())))));
    if skip { y + x } else { y }
}

impl WideLayer {
    fn new(config: &ClipSpmConfig, e: usize, init: &mut Init) -> Self {
        let inner = config.heads * config.head_width;
        let projections = [init.linear(e, 3 * inner), init.linear(inner, e)];
        Self {
            norm: init.layer_norm(e),
            attention: Attention::of(projections, config.heads).without_projection_bias(),
            fc1: init.linear(e, config.hidden),
            fc2: init.linear(config.hidden, e),
            attention_dropout: Dropout::new(config.attention_dropout, "prototype.attention"),
            hidden_dropout: Dropout::new(config.hidden_dropout, "prototype.hidden"),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let attended = self.attention.forward(self.norm.forward(x.clone()), None, None);
        let u = x + self.attention_dropout.forward(attended);
        forward([&self.fc1, &self.fc2], &self.hidden_dropout, u, true)
    }

    fn cost(&self, [b, n, e]: [usize; 3]) -> Cost {
        let [inner, _] = self.attention.out_proj.weight.lazy_shape().dims();
        let projections = linear_cost(&self.attention.in_proj, b * n) + linear_cost(&self.attention.out_proj, b * n);
        let mixed = Cost::attention(b, [n, n], inner);
        projections + mixed + feed_forward_cost(&self.fc1, &self.fc2, b * n) + Cost::norm(b * n * e)
    }
}

/// σ(W₂ leaky(W₁ x))
#[derive(Module, Debug)]
struct Gate {
    first: Linear,
    second: Linear,
    slope: f64,
}

impl Gate {
    fn new(e: usize, ratio: f64, slope: f64, init: &mut Init) -> Self {
        let hidden = ((e as f64 * ratio) as usize).max(1);
        Self { first: init.linear(e, hidden), second: init.linear(hidden, e), slope }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        sigmoid(linear(&self.second, leaky_relu(linear(&self.first, x), self.slope)))
    }

    fn cost(&self, rows: usize) -> Cost {
        feed_forward_cost(&self.first, &self.second, rows)
    }
}

/// A convolution of size 3 over time with a bias. PyTorch's start.
#[derive(Module, Debug)]
struct TimeKernel {
    /// `[E, E, 3]`
    weight: Param<Tensor<3>>,
    bias: Param<Tensor<1>>,
}

impl TimeKernel {
    fn new(e: usize, init: &mut Init) -> Self {
        let bound = ((3 * e) as f64).powf(-0.5);
        Self { weight: init.uniform([e, e, 3], bound), bias: init.uniform([e], bound) }
    }

    /// `[b, E, T]` → the same shape.
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        conv1d(x, self.weight.val(), Some(self.bias.val()), ConvOptions::new([1], [1], [1], 1))
    }
}

/// The modules of CLIP-SPM.
#[derive(Module, Debug)]
pub struct ClipSpm {
    motion_first: TimeKernel,
    motion_second: TimeKernel,
    token_in: Linear,
    token_out: Linear,
    token_dropout: Dropout,
    task: WideLayer,
    semantic: WideLayer,
    text_gate: Gate,
    frame_gate: Gate,
    alpha: f64,
    as_published: bool,
    motion: bool,
}

impl ClipSpm {
    /// For features of `e` values; `motion` says whether the part [`MOTION`] is added.
    pub fn new(config: &ClipSpmConfig, e: usize, motion: bool, init: &mut Init) -> Self {
        Self {
            motion_first: TimeKernel::new(e, init),
            motion_second: TimeKernel::new(e, init),
            token_in: init.linear(e, config.hidden),
            token_out: init.linear(config.hidden, e),
            token_dropout: Dropout::new(config.hidden_dropout, "prototype.token"),
            task: WideLayer::new(config, e, init),
            semantic: WideLayer::new(config, e, init),
            text_gate: Gate::new(e, config.text_gate, config.negative_slope, init),
            frame_gate: Gate::new(e, config.frame_gate, config.negative_slope, init),
            alpha: config.alpha,
            as_published: config.as_published,
            motion,
        }
    }

    /// Frames `[b, T, E]` and a token of each clip `[b, 1, E]` → both after the layer.
    fn guided(&self, frames: Tensor<3>, token: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        let t = frames.dims()[1];
        let sent = token.clone() * self.text_gate.forward(token.clone()) * self.alpha;
        let received = frames.clone() * self.frame_gate.forward(frames) + sent;
        let y = self.semantic.forward(Tensor::cat(vec![token, received], 1));
        (y.clone().narrow(1, 1, t), y.narrow(1, 0, 1))
    }

    /// μ of frames `[b, T, E]`: `[b, 1, E]`.
    fn motion(&self, frames: Tensor<3>) -> Tensor<3> {
        let t = frames.dims()[1];
        let x = frames.swap_dims(1, 2);
        let predicted = self.motion_second.forward(self.motion_first.forward(x.clone()));
        let (early, late) =
            (|x: &Tensor<3>| x.clone().narrow(2, 0, t - 1), |x: &Tensor<3>| x.clone().narrow(2, 1, t - 1));
        let both = (late(&predicted) - early(&x) + early(&predicted) - late(&x)) * 0.5;
        both.mean_dim(2).swap_dims(1, 2)
    }

    /// e of frames `[b, T, E]`: `[b, T, 1]`, the same at every frame.
    fn motion_error(&self, frames: Tensor<3>) -> Tensor<3> {
        let [b, t, _] = frames.dims();
        let (guided, token) = self.guided(frames.clone(), self.motion(frames));
        let error = self.motion(guided) - token;
        (error.clone() * error).sum_dim(2).expand([b, t, 1])
    }

    /// [`Prototype::relate`] with this mean of class texts, `[N, E]`. The public code takes the mean over the classes
    /// of all clips, the queries' true classes among them; with as many queries of each class this is the mean over the
    /// classes.
    pub fn related(&self, features: EpisodeFeatures, mean_text: Tensor<2>) -> Related {
        let EpisodeFeatures { query, support, text } = features;
        let ([n, q, t, e], [_, w, k, _, _]) = (query.dims(), support.dims());
        let s = w * k;
        let (clips, supports) = (query.reshape([n * q, t, e]), support.reshape([n * s, t, e]));
        let of_motion = self.motion.then(|| [&clips, &supports].map(|frames| self.motion_error(frames.clone())));

        let level = clips.clone().reshape([n * q, 1, t * e]).mean_dim(2);
        let mean_text: Tensor<3> = mean_text.reshape([n, 1, e]).expand([n, q, e]).reshape([n * q, 1, e]);
        let token = forward([&self.token_in, &self.token_out], &self.token_dropout, mean_text * level, false);
        let (clips, _) = self.guided(clips, token);
        let token = text.reshape([n, w, 1, e]).expand([n, w, k, e]).reshape([n * s, 1, e]);
        let (supports, _) = self.guided(supports, token);

        // At every frame, the tokens of the classes in front of the clips.
        let (clips, supports) = (clips.reshape([n, q, t, e]), supports.reshape([n, w, k, t, e]));
        let of_class = match self.as_published {
            true => {
                let queries: Tensor<4> = clips.clone().sum_dim(1);
                (supports.clone().sum_dim(2).reshape([n, w, t, e]) + queries) / (k + q) as f64
            }
            false => supports.clone().mean_dim(2).reshape([n, w, t, e]),
        };
        let of_all = of_class.clone().mean_dim(1);
        let among = |rows: Tensor<4>| {
            let [n, rows_of, t, e] = rows.dims();
            let by_frame = rows.swap_dims(1, 2).reshape([n * t, rows_of, e]);
            self.task.forward(by_frame).reshape([n, t, rows_of, e]).swap_dims(1, 2)
        };
        let all = among(Tensor::cat(vec![of_class, supports.clone().reshape([n, s, t, e])], 1));
        let (class_tokens, task_supports) = (all.clone().narrow(1, 0, w), all.narrow(1, w, s));
        let (query_tokens, task_clips) = if self.as_published {
            let all = among(Tensor::cat(vec![of_all, clips.clone()], 1));
            (all.clone().narrow(1, 0, 1).expand([n, q, t, e]), all.narrow(1, 1, q))
        } else {
            let tokens = of_all.expand([n, q, t, e]).reshape([n * q, 1, t, e]);
            let pairs = among(Tensor::cat(vec![tokens, clips.clone().reshape([n * q, 1, t, e])], 1));
            let at = |place: usize| pairs.clone().narrow(1, place, 1).reshape([n, q, t, e]);
            (at(0), at(1))
        };
        let class_tokens = class_tokens.reshape([n, w, 1, t, e]).expand([n, w, k, t, e]);
        let mut of_query = vec![task_clips, clips, query_tokens];
        let mut of_support = vec![task_supports.reshape([n, w, k, t, e]), supports, class_tokens];
        if let Some([clips, supports]) = of_motion {
            of_query.push(clips.reshape([n, q, t, 1]));
            of_support.push(supports.reshape([n, w, k, t, 1]));
        }
        Related { query: Tensor::cat(of_query, 3), support: Tensor::cat(of_support, 4).unsqueeze_dim(1) }
    }
}

impl Prototype for ClipSpm {
    fn scope(&self) -> Scope {
        Scope::Episode
    }

    fn needs_text(&self) -> bool {
        true
    }

    fn layout(&self, given: &Layout) -> Layout {
        let e = given.feature_width();
        let layout = Layout::of_feature(e).with(SEMANTIC, [1, e]).with(TASK, [1, e]);
        if self.motion { layout.with(MOTION, [1, 1]) } else { layout }
    }

    /// The frames as they are: the parts come from [`Prototype::relate`].
    fn support(&self, frames: Tensor<3>, _: Tensor<2>) -> Tensor<3> {
        frames
    }

    fn query(&self, frames: Tensor<3>) -> Tensor<3> {
        frames
    }

    fn relate(&self, features: EpisodeFeatures) -> Related {
        let mean = features.text.clone().mean_dim(1).squeeze_dim::<2>(1);
        self.related(features, mean)
    }

    fn support_cost(&self, _: [usize; 3]) -> Option<Cost> {
        Some(Cost::NONE)
    }

    fn query_cost(&self, _: [usize; 3]) -> Option<Cost> {
        Some(Cost::NONE)
    }

    fn relate_cost(&self, [n, q, t, _]: [usize; 4], [_, w, k, ts, _]: [usize; 5]) -> Option<(Cost, [usize; 6])> {
        let [e, _] = self.token_in.weight.lazy_shape().dims();
        let clips = n * (q + w * k);
        let guided =
            self.semantic.cost([clips, t + 1, e]) + self.text_gate.cost(clips) + self.frame_gate.cost(clips * t);
        let motion = Cost::product(clips * t, 3 * e, e) * 4.0 + guided;
        let token = feed_forward_cost(&self.token_in, &self.token_out, n * q);
        let of_queries = match self.as_published {
            true => self.task.cost([n * t, 1 + q, e]),
            false => self.task.cost([n * q * t, 2, e]),
        };
        let related = guided + token + self.task.cost([n * ts, w + w * k, e]) + of_queries;
        let width = self.layout(&Layout::of_feature(e)).width();
        Some((if self.motion { related + motion } else { related }, [n, 1, w, k, ts, width]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, prototype::Traits};
    use burn::tensor::Device;
    use maclip_framework::model::parameters;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::prototype::holds::<ClipSpmConfig>(Traits {
            also: &["head_width: 8, hidden: 32, as_published: true"],
            ..Traits::default()
        });
    }

    #[test]
    fn parameters_are_those_of_the_public_code() {
        let count = |e: usize| {
            let module = ClipSpm::new(&ClipSpmConfig::default(), e, true, &mut Init::blank(Device::flex()));
            parameters::count(&module).total
        };
        // There two scalars more: one is never used, the other is the factor of the loss on motion, in the objective
        // here.
        assert_eq!((count(512) + 2, count(1024) + 2), (17_315_330, 39_867_394));
    }
}

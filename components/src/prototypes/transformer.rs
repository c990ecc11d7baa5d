//! The transformer layer that prototype modules are made of, and position codes.

use crate::layers::{Attention, Init, LayerNorm, feed_forward, feed_forward_cost, linear, plain_device};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Tensor, TensorData};
use maclip_framework::error::Result;
use maclip_framework::registry::{BuildContext, Facts, Problems};
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::draws::Dropout;
use maclip_kernels::Activation;
use maclip_kernels::operations::{FeedForwardOptions, gelu};
use serde::{Deserialize, Serialize};

/// Where a layer normalises.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// Nowhere.
    None,
    /// After each residual sum.
    Post,
    /// Before the attention, on queries and context; not before the feed-forward layer.
    Pre,
}

/// u = q + MHA(q, c, c); u + W2 gelu(W1 u), with norms as [`Norm`] says.
#[derive(Module, Debug)]
pub struct Layer {
    attention: Attention,
    fc1: Linear,
    fc2: Linear,
    norms: Vec<LayerNorm>,
    /// After the attention, after the activation and after the feed-forward layer.
    attention_dropout: Dropout,
    hidden_dropout: Dropout,
    out_dropout: Dropout,
    #[module(skip)]
    norm: Norm,
}

/// Sizes of a [`Layer`].
#[derive(Clone, Copy, Debug)]
pub struct LayerSizes {
    /// E, the width of its tokens.
    pub width: usize,
    /// Attention heads; must divide E.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub hidden: usize,
    /// Where it normalises.
    pub norm: Norm,
    /// Whether the packed query, key and value projection has biases.
    pub projection_bias: bool,
    /// Dropout of the attention's output, and of the feed-forward layer inside and after it.
    pub dropout: [f64; 2],
}

/// Options of a prototype module that is one [`Layer`].
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LayerOptions {
    /// Attention heads; must divide E.
    #[schemars(range(min = 1))]
    heads: usize,
    /// Width of the feed-forward layer in units of E.
    #[schemars(range(min = 1, max = 64))]
    ffn_ratio: usize,
    /// `none`, as in TPCM, `post` or `pre`.
    norm: Norm,
    /// Dropout of the attention's output, and of the feed-forward layer inside and after it. The papers name none.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    dropout: f64,
}

impl Default for LayerOptions {
    fn default() -> Self {
        Self { heads: 8, ffn_ratio: 4, norm: Norm::None, dropout: 0.0 }
    }
}

/// Reports a number of attention heads that does not divide E.
pub fn check_heads(heads: usize, facts: &Facts, problems: &mut Problems) {
    if let Some(width) = facts.geometry.as_ref().map(|geometry| geometry.embed_dim) {
        problems.when(!width.is_multiple_of(heads), "heads", format!("is {heads}, which does not divide E = {width}"));
    }
}

impl LayerOptions {
    /// Reports heads that do not divide the backbone's E.
    pub fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        check_heads(self.heads, facts, problems);
    }

    /// The layer, with weights drawn for the slot `prototype`.
    ///
    /// # Errors
    /// Where `context` does not know the sizes of a backbone.
    pub fn build(&self, context: &BuildContext) -> Result<Layer> {
        let width = context.geometry()?.embed_dim;
        let mut init = Init::new(context.init("prototype"), context.trainable_device());
        let (heads, hidden) = (self.heads, width * self.ffn_ratio);
        let dropout = [self.dropout; 2];
        Ok(Layer::new(LayerSizes { width, heads, hidden, norm: self.norm, projection_bias: true, dropout }, &mut init))
    }
}

impl Layer {
    /// `heads` must divide `width`, see [`check_heads`].
    pub fn new(sizes: LayerSizes, init: &mut Init) -> Self {
        let LayerSizes { width, heads, hidden, norm, projection_bias, dropout } = sizes;
        let attention = match projection_bias {
            // Xavier for the packed projection, as PyTorch's MultiheadAttention.
            true => Attention::new(width, heads, (2.0 / (4 * width) as f64).sqrt(), init),
            // Layers of their own, as in the code of CLIP-FSAR.
            false => Attention::of_layers(width, heads, init).without_projection_bias(),
        };
        Self {
            attention,
            fc1: init.linear(width, hidden),
            fc2: init.linear(hidden, width),
            norms: match norm {
                Norm::None => Vec::new(),
                Norm::Pre => vec![init.layer_norm(width)],
                Norm::Post => vec![init.layer_norm(width), init.layer_norm(width)],
            },
            attention_dropout: Dropout::new(dropout[0], "prototype.attention"),
            hidden_dropout: Dropout::new(dropout[1], "prototype.hidden"),
            out_dropout: Dropout::new(dropout[1], "prototype.out"),
            norm,
        }
    }

    /// [`Layer::new`] with heads of the width `head`, whatever E, and layers of their own for queries, keys and values.
    pub fn with_head_width(sizes: LayerSizes, head: usize, init: &mut Init) -> Self {
        let attention = Attention::of_narrow_layers(sizes.width, head, sizes.heads, init);
        let attention = if sizes.projection_bias { attention } else { attention.without_projection_bias() };
        Self { attention, ..Self::new(sizes, init) }
    }

    /// query `[B, n, E]`, context `[B, m, E]` → `[B, n, E]`; the residual is taken from the query.
    pub fn forward(&self, query: Tensor<3>, context: Tensor<3>) -> Tensor<3> {
        let norm = |when: Norm, i: usize, x: Tensor<3>| match self.norms.get(i) {
            Some(norm) if self.norm == when => norm.forward(x),
            _ => x,
        };
        let attended = self.attention.cross(norm(Norm::Pre, 0, query.clone()), norm(Norm::Pre, 0, context));
        let u = norm(Norm::Post, 0, query + self.attention_dropout.forward(attended));
        norm(Norm::Post, 1, self.feed_forward(u))
    }

    /// u + W2 gelu(W1 u)
    fn feed_forward(&self, u: Tensor<3>) -> Tensor<3> {
        feed([&self.fc1, &self.fc2], [&self.hidden_dropout, &self.out_dropout], u)
    }

    /// What [`Layer::forward`] costs for a query `[B, n, E]` and a context of m tokens.
    pub fn cost(&self, query: [usize; 3], m: usize) -> Cost {
        let [b, n, e] = query;
        let norms = match self.norm {
            Norm::None => Cost::NONE,
            Norm::Post => Cost::norm(b * n * e) * 2.0,
            Norm::Pre => Cost::norm(b * (n + m) * e),
        };
        self.attention.cross_cost(query, m) + feed_forward_cost(&self.fc1, &self.fc2, b * n) + norms
    }
}

/// u + W2 gelu(W1 u) of u `[B, n, E]`, with dropout after the activation and after the second layer.
pub fn feed([fc1, fc2]: [&Linear; 2], [hidden, out]: [&Dropout; 2], u: Tensor<3>) -> Tensor<3> {
    if !hidden.is_active() {
        let options = FeedForwardOptions { activation: Activation::Gelu, scale: 1.0, skip: true };
        return feed_forward([fc1, fc2], u, None, options);
    }
    let inside = hidden.forward(gelu(linear(fc1, u.clone())));
    u + out.forward(linear(fc2, inside))
}

/// The position codes of Vaswani et al. (NeurIPS 2017), sines and cosines in turn, times `scale`: `[T, E]`, on the
/// plain device of `like`.
pub fn position_codes<const D: usize>(t: usize, e: usize, scale: f64, like: &Tensor<D>) -> Tensor<2> {
    codes_by(t, e, scale, |channel| channel / 2 * 2, like)
}

/// Sines on even channels and cosines on odd ones, times `scale`: `[T, E]`. The angle of channel c is
/// t · 10000^(−exponent(c) / E).
pub fn codes_by<const D: usize>(
    t: usize,
    e: usize,
    scale: f64,
    exponent: impl Fn(usize) -> usize,
    like: &Tensor<D>,
) -> Tensor<2> {
    let codes: Vec<f32> = (0..t * e)
        .map(|p| {
            let (position, channel) = ((p / e) as f64, p % e);
            let angle = position * (-(10000f64.ln()) * exponent(channel) as f64 / e as f64).exp();
            (scale * if channel % 2 == 0 { angle.sin() } else { angle.cos() }) as f32
        })
        .collect();
    Tensor::from_data(TensorData::new(codes, [t, e]), &plain_device(like))
}

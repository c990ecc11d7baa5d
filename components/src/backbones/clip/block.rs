//! The pre-norm transformer block of every tower, and its activation.

use crate::layers::{Attention, Init, LayerNorm, feed_forward, feed_forward_cost};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use maclip_framework::error::{Error, Result};
use maclip_framework::slots::block::FrozenBlock;
use maclip_framework::slots::cost::Cost;
use maclip_kernels::operations::FeedForwardOptions;
use serde::{Deserialize, Serialize};

/// Activation of the feed-forward layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x · sigmoid(1.702 x): OpenAI's weights.
    #[default]
    QuickGelu,
    /// Exact (erf) GELU: most open_clip and all ImageNet weights.
    Gelu,
}

impl std::fmt::Display for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Activation::QuickGelu => "quick_gelu",
            Activation::Gelu => "gelu",
        })
    }
}

impl Activation {
    /// By Hugging Face's name; `source` names the file in the message.
    ///
    /// # Errors
    /// Where the name is neither `quick_gelu` nor `gelu`.
    pub fn named(source: &str, name: &str) -> Result<Self> {
        match name {
            "quick_gelu" => Ok(Activation::QuickGelu),
            "gelu" => Ok(Activation::Gelu),
            other => Err(Error::failed(format!("{source}: the activation `{other}` is not supported"))
                .help("models with quick_gelu and gelu (exact) are")),
        }
    }
}

/// A pre-norm block: y = x + MSA(LN1 x), then y + FFN(LN2 y).
#[derive(Module, Debug)]
pub struct Block {
    ln_1: LayerNorm,
    attn: Attention,
    ln_2: LayerNorm,
    c_fc: Linear,
    c_proj: Linear,
    #[module(skip)]
    activation: Activation,
}

/// Sizes of a stack of blocks.
#[derive(Clone, Copy, Debug)]
pub struct BlockSizes {
    /// Width D of the tokens.
    pub width: usize,
    /// Attention heads; must divide D.
    pub heads: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Width of the feed-forward layer.
    pub hidden: usize,
    /// Activation of the feed-forward layer.
    pub activation: Activation,
    /// ε of the layer norms.
    pub epsilon: f64,
}

impl Block {
    /// A stack of blocks. Initial standard deviations are those of OpenAI's code: D^-½ for attention, less for the last
    /// layer before a residual sum.
    pub fn stack(sizes: BlockSizes, init: &mut Init) -> Vec<Self> {
        let BlockSizes { width, heads, layers, hidden, activation, epsilon } = sizes;
        let std = (width as f64).powf(-0.5);
        let residual = std * (2.0 * layers as f64).powf(-0.5);
        (0..layers)
            .map(|_| Self {
                ln_1: init.layer_norm_with(width, epsilon),
                attn: Attention::new(width, heads, std, init),
                ln_2: init.layer_norm_with(width, epsilon),
                c_fc: init.linear_normal(width, hidden, (2.0 * width as f64).powf(-0.5)),
                c_proj: init.linear_normal(hidden, width, residual),
                activation,
            })
            .collect()
    }

    fn feed(&self, x: Tensor<3>, residual: Option<Tensor<3>>) -> Tensor<3> {
        let activation = match self.activation {
            Activation::QuickGelu => maclip_kernels::Activation::QuickGelu,
            Activation::Gelu => maclip_kernels::Activation::Gelu,
        };
        let options = FeedForwardOptions { activation, scale: 1.0, skip: false };
        feed_forward([&self.c_fc, &self.c_proj], x, residual, options)
    }
}

impl FrozenBlock for Block {
    fn ln_1(&self, x: Tensor<3>) -> Tensor<3> {
        self.ln_1.forward(x)
    }

    fn attention(&self, x: Tensor<3>) -> Tensor<3> {
        self.attn.forward(x, None, None)
    }

    fn attention_first(&self, x: Tensor<3>, first: usize) -> Tensor<3> {
        self.attn.first(x, first)
    }

    fn attention_shifted(&self, x: Tensor<3>, shift: Tensor<3>) -> Tensor<3> {
        self.attn.forward(x, None, Some(shift))
    }

    fn attention_masked(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        self.attn.forward(x, Some(mask), None)
    }

    fn forward_masked(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        let y = self.attn.forward_onto(self.ln_1.forward(x.clone()), Some(mask), None, Some(x));
        self.mlp_onto(self.ln_2.forward(y.clone()), y)
    }

    fn ln_2(&self, x: Tensor<3>) -> Tensor<3> {
        self.ln_2.forward(x)
    }

    fn mlp(&self, x: Tensor<3>) -> Tensor<3> {
        self.feed(x, None)
    }

    fn attention_onto(&self, x: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        self.attn.forward_onto(x, None, None, Some(residual))
    }

    fn mlp_onto(&self, x: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        self.feed(x, Some(residual))
    }

    fn attention_cost(&self, x: [usize; 3]) -> Option<Cost> {
        Some(self.attn.cost(x))
    }

    fn mlp_cost(&self, [b, n, _]: [usize; 3]) -> Option<Cost> {
        Some(feed_forward_cost(&self.c_fc, &self.c_proj, b * n))
    }
}

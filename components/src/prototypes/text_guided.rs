//! `text_guided`: MA-CLIP's text-guided prototype construction module (TPCM).
//!
//! Source: MA-CLIP (arXiv 2308.01532), figure 4. Support: q = F_S + Repeat(f_T), k = v = [f_T, F_S]; query: q = k = v = F_Q.
//!
//! ```text
//! u = q + MHA(q, k, v)          the residual is taken from q, after the sum
//! F~ = u + FFN(u)
//! ```
//! One module for both branches: MHA and FFN of 4 E give the paper's 3,150,336 parameters at E = 512.

use crate::layers::{Attention, Init};
use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::activation::gelu;
use maclip_framework::error::{Error, Result};
use maclip_framework::model::normalize;
use maclip_framework::register;
use maclip_framework::registry::{Component, Problems};
use maclip_framework::run::BuildContext;
use maclip_framework::slots::Scope;
use maclip_framework::slots::prototype::Prototype;
use serde::{Deserialize, Serialize};

/// Options of TPCM.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct TextGuidedConfig {
    /// Attention heads; must divide E. The paper does not say; 8 is the peers' choice.
    heads: usize,
    /// Width of the feed-forward layer in units of E. 4 is what the paper's parameter count says.
    ffn_ratio: usize,
    /// `none`, as the figure draws it, or `post`: LayerNorm after each residual sum.
    norm: Norm,
    /// L2-normalise the text feature first.
    normalize_text: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Norm {
    None,
    Post,
}

impl Default for TextGuidedConfig {
    fn default() -> Self {
        Self { heads: 8, ffn_ratio: 4, norm: Norm::None, normalize_text: false }
    }
}

register!(dyn Prototype, TextGuidedConfig, name: "text_guided",
    summary: "cross-attention of frames with their class text, shared by support and query (TPCM)",
    paper: Some("MA-CLIP, arXiv 2308.01532, figure 4"), stability: Stable, example: "{heads: 8}");

impl Component for TextGuidedConfig {
    type Slot = dyn Prototype;

    fn check(&self, problems: &mut Problems) {
        problems.when(self.heads == 0, "heads", "must be at least 1");
        problems.when(self.ffn_ratio == 0, "ffn_ratio", "must be at least 1");
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Prototype>> {
        let e = context.geometry()?.embed_dim;
        if e % self.heads != 0 {
            return Err(Error::failed(format!("prototype.heads is {}, which does not divide E = {e}", self.heads)));
        }
        let mut init = Init::new(context.init("prototype"), context.trainable_device());
        // Xavier for the packed projection, as PyTorch's MultiheadAttention.
        let std = (2.0 / (4 * e) as f64).sqrt();
        let attention = Attention::new(e, self.heads, std, &mut init);
        Ok(Box::new(TextGuided {
            attention,
            fc1: init.linear(e, e * self.ffn_ratio),
            fc2: init.linear(e * self.ffn_ratio, e),
            norms: match self.norm {
                Norm::None => Vec::new(),
                Norm::Post => vec![init.layer_norm(e), init.layer_norm(e)],
            },
            normalize_text: self.normalize_text,
        }))
    }
}

#[derive(Module, Debug)]
struct TextGuided {
    attention: Attention,
    fc1: Linear,
    fc2: Linear,
    /// Empty, or the two of `norm: post`.
    norms: Vec<LayerNorm>,
    normalize_text: bool,
}

impl TextGuided {
    fn finish(&self, q: Tensor<3>, context: Tensor<3>) -> Tensor<3> {
        let norm = |i: usize, x: Tensor<3>| self.norms.get(i).map_or(x.clone(), |norm| norm.forward(x));
        let u = norm(0, q.clone() + self.attention.cross(q, context));
        let out = u.clone() + self.fc2.forward(gelu(self.fc1.forward(u)));
        norm(1, out)
    }
}

impl Prototype for TextGuided {
    fn scope(&self) -> Scope {
        Scope::LabelledClip
    }

    fn needs_text(&self) -> bool {
        true
    }

    fn support(&self, frames: Tensor<3>, text: Tensor<2>) -> Tensor<3> {
        let text = if self.normalize_text { normalize(text) } else { text };
        let text: Tensor<3> = text.unsqueeze_dim(1);
        self.finish(frames.clone() + text.clone(), Tensor::cat(vec![text, frames], 1))
    }

    fn query(&self, frames: Tensor<3>) -> Tensor<3> {
        self.finish(frames.clone(), frames)
    }
}

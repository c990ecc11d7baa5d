//! `hyrsm`: hybrid relation: attention inside each clip, then among the clips that a query meets.
//!
//! Source: HyRSM (Wang et al., CVPR 2022) and its public code (`CNN_HyRSM_1shot`). Inside a clip, with position codes:
//! F' = relu(layer(F)). Then for each query on its own, over the time averages of all supports and that query:
//!
//! ```text
//! R = relu(MHA([avg S_1, …, avg S_n, avg Q]))
//! F~ = W [F', R of that clip]            joined along features at every frame
//! ```
//! So every query sees its own view of the supports. Goes with `bi_mhm`. Dropout of the public code is left out: a draw inside the
//! forward pass would not be a function of seed and index.

use super::transformer::{Layer, LayerSizes, Norm, position_codes};
use crate::layers::{Attention, Init};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use maclip_framework::error::{Error, Result};
use maclip_framework::register;
use maclip_framework::registry::{Component, Problems};
use maclip_framework::run::BuildContext;
use maclip_framework::slots::Scope;
use maclip_framework::slots::prototype::{EpisodeFeatures, Prototype, Related};
use serde::{Deserialize, Serialize};

/// Options of HyRSM.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct HyrsmConfig {
    /// Heads of the attention inside a clip; must divide E. 8 in public code.
    heads: usize,
    /// Heads of the attention among clips; must divide E. 1 in public code.
    relation_heads: usize,
    /// Width of the feed-forward layer inside a clip, in units of E.
    ffn_ratio: usize,
    /// Factor on the position codes.
    position_scale: f64,
}

impl Default for HyrsmConfig {
    fn default() -> Self {
        Self { heads: 8, relation_heads: 1, ffn_ratio: 4, position_scale: 0.1 }
    }
}

register!(dyn Prototype, HyrsmConfig, name: "hyrsm",
    summary: "attention inside clips and among the clips of an episode, one view per query",
    paper: Some("HyRSM, CVPR 2022"), stability: Stable, example: "{heads: 8}");

impl Component for HyrsmConfig {
    type Slot = dyn Prototype;

    fn check(&self, problems: &mut Problems) {
        problems.when(self.heads == 0, "heads", "must be at least 1");
        problems.when(self.relation_heads == 0, "relation_heads", "must be at least 1");
        problems.when(self.ffn_ratio == 0, "ffn_ratio", "must be at least 1");
        problems.when(!self.position_scale.is_finite(), "position_scale", "must be a finite number");
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Prototype>> {
        let e = context.geometry()?.embed_dim;
        if !e.is_multiple_of(self.relation_heads) {
            let message = format!("prototype.relation_heads is {}, which does not divide E = {e}", self.relation_heads);
            return Err(Error::failed(message));
        }
        let mut init = Init::new(context.init("prototype"), context.trainable_device());
        let sizes = LayerSizes {
            width: e,
            heads: self.heads,
            hidden: e * self.ffn_ratio,
            norm: Norm::Pre,
            projection_bias: false,
        };
        Ok(Box::new(Hyrsm {
            inside: Layer::new(sizes, &mut init)?,
            among: Attention::new(e, self.relation_heads, (2.0 / (4 * e) as f64).sqrt(), &mut init),
            join: init.linear(2 * e, e),
            position_scale: self.position_scale,
        }))
    }
}

#[derive(Module, Debug)]
struct Hyrsm {
    inside: Layer,
    among: Attention,
    join: Linear,
    position_scale: f64,
}

impl Prototype for Hyrsm {
    fn scope(&self) -> Scope {
        Scope::Episode
    }

    fn needs_text(&self) -> bool {
        false
    }

    fn support(&self, frames: Tensor<3>, _: Tensor<2>) -> Tensor<3> {
        self.query(frames)
    }

    fn query(&self, frames: Tensor<3>) -> Tensor<3> {
        let [_, t, e] = frames.dims();
        let coded = frames.clone() + position_codes(t, e, self.position_scale, &frames).unsqueeze();
        relu(self.inside.forward(coded.clone(), coded))
    }

    fn relate(&self, features: EpisodeFeatures) -> Related {
        let EpisodeFeatures { query, support, .. } = features;
        let ([n, q, t, e], [_, w, k, ts, _]) = (query.dims(), support.dims());
        let s = w * k;
        // Time averages of all supports, once for each query, and of the query.
        let supports = support.clone().mean_dim(3).reshape([n, 1, s, e]).expand([n, q, s, e]);
        let clips = Tensor::cat(vec![supports, query.clone().mean_dim(2).reshape([n, q, 1, e])], 2);
        let related = relu(self.among.forward(clips.reshape([n * q, s + 1, e]), None, None));
        let of_supports = related.clone().narrow(1, 0, s).reshape([n, q, w, k, 1, e]).expand([n, q, w, k, ts, e]);
        let of_query = related.narrow(1, s, 1).reshape([n, q, 1, e]).expand([n, q, t, e]);
        let views = support.reshape([n, 1, w, k, ts, e]).expand([n, q, w, k, ts, e]);
        Related {
            query: self.join.forward(Tensor::cat(vec![query, of_query], 3)),
            support: self.join.forward(Tensor::cat(vec![views, of_supports], 5)),
        }
    }
}

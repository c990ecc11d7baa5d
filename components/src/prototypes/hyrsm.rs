//! `hyrsm`: hybrid relation: attention inside each clip (intra-relation), then among the clips that a query meets
//! (inter-relation).
//!
//! Source: HyRSM (Wang et al., CVPR 2022) and its public code (`CNN_HyRSM_1shot`, `_5shot`). Inside a clip, with
//! position codes P:
//!
//! ```text
//! X  = √(E / a) F + b P                  P[t, c] = sin or cos of t · 10000^(−2c / E), sine on even channels c
//! F' = relu(X + MHA(LN X))
//! ```
//! Then for each query on its own, over the time averages of all supports and that query:
//!
//! ```text
//! Y  = [avg S_1, …, avg S_n, avg Q]
//! R  = relu(LN(Y + MHA(Y)))
//! F~ = W [F', R of that clip]            joined along features at every frame
//! ```
//! So every query sees its own view of the supports. Goes with `bi_mhm`. Queries, keys and values have no biases. The
//! public code's loss over all training classes is the objective `with_class_loss`.

use super::text_layer::AverageShots;
use super::transformer::{check_heads, codes_by};
use crate::layers::{Attention, Init, LayerNorm, linear, linear_cost};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::Scope;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::draws::Dropout;
use maclip_framework::slots::prototype::{EpisodeFeatures, Prototype, Related};
use serde::{Deserialize, Serialize};

/// Options of HyRSM.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct HyrsmConfig {
    /// Heads of both attentions; must divide E. 8 in public code.
    #[schemars(range(min = 1))]
    heads: usize,
    /// a: features are multiplied by √(E / a) before the position codes are added. 10 in public code, 2048 on Kinetics.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    feature_divisor: f64,
    /// b, the factor on the position codes. 1 in public code, 0.01 on Kinetics.
    position_scale: f64,
    /// Whether several shots of a class are averaged `before` the inter-relation, as public code does, or `after` it,
    /// by the alignment's own rule.
    average_shots: AverageShots,
    /// Dropout of X, the features with their position codes. 0.1 in public code.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    code_dropout: f64,
    /// Dropout of the intra-relation's attention. 0.2 in public code.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    intra_dropout: f64,
    /// Dropout of the inter-relation's attention. 0.05 in public code.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    inter_dropout: f64,
    /// Dropout of the inter-relation's attention weights. 0.1 in public code.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    inter_weight_dropout: f64,
}

impl Default for HyrsmConfig {
    fn default() -> Self {
        Self {
            heads: 8,
            feature_divisor: 10.0,
            position_scale: 1.0,
            average_shots: AverageShots::Before,
            code_dropout: 0.1,
            intra_dropout: 0.2,
            inter_dropout: 0.05,
            inter_weight_dropout: 0.1,
        }
    }
}

register!(dyn Prototype, HyrsmConfig, name: "hyrsm",
    summary: "attention inside clips and among the clips of an episode, one view per query",
    paper: Some("HyRSM, CVPR 2022"), stability: Stable, usage: "{heads: 8}");

impl Component for HyrsmConfig {
    type Slot = dyn Prototype;

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        check_heads(self.heads, facts, problems);
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Prototype>> {
        let e = context.geometry()?.embed_dim;
        let mut init = Init::new(context.init("prototype"), context.trainable_device());
        let intra = Attention::of_layers(e, self.heads, &mut init).without_projection_bias();
        // As public code starts them: √(2 / (E + E / heads)) for queries, keys and values, Xavier for the output.
        let stds = [e + e / self.heads, 2 * e].map(|sizes| (2.0 / sizes as f64).sqrt());
        let projections = [init.linear_normal(e, 3 * e, stds[0]), init.linear_normal_with_bias(e, e, stds[1])];
        let inter = Attention::of(projections, self.heads).without_projection_bias();
        let (join_frames, mut join_relation) = (init.half_linear(e, e), init.half_linear(e, e));
        join_relation.bias = None;
        Ok(Box::new(Hyrsm {
            intra,
            intra_norm: init.layer_norm(e),
            inter,
            inter_norm: init.layer_norm(e),
            join_frames,
            join_relation,
            feature_scale: (e as f64 / self.feature_divisor).sqrt(),
            position_scale: self.position_scale,
            average_shots: self.average_shots,
            code_dropout: Dropout::new(self.code_dropout, "prototype.codes"),
            intra_dropout: Dropout::new(self.intra_dropout, "prototype.intra"),
            inter_dropout: Dropout::new(self.inter_dropout, "prototype.inter"),
            inter_weight_dropout: Dropout::new(self.inter_weight_dropout, "prototype.inter_weights"),
        }))
    }
}

#[derive(Module, Debug)]
struct Hyrsm {
    intra: Attention,
    intra_norm: LayerNorm,
    inter: Attention,
    inter_norm: LayerNorm,
    /// The two halves of W: W [F', R] = W₁ F' + W₂ R + bias, so that the frames' half is computed once for all queries.
    join_frames: Linear,
    join_relation: Linear,
    feature_scale: f64,
    position_scale: f64,
    code_dropout: Dropout,
    intra_dropout: Dropout,
    inter_dropout: Dropout,
    inter_weight_dropout: Dropout,
    #[module(skip)]
    average_shots: AverageShots,
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
        let codes = codes(t, e, self.position_scale, &frames);
        let x = self.code_dropout.forward(frames * self.feature_scale + codes.unsqueeze());
        let attended = self.intra.forward(self.intra_norm.forward(x.clone()), None, None);
        relu(x + self.intra_dropout.forward(attended))
    }

    fn relate(&self, features: EpisodeFeatures) -> Related {
        let EpisodeFeatures { query, support, .. } = features;
        let support = match self.average_shots {
            AverageShots::Before => support.mean_dim(2),
            AverageShots::After => support,
        };
        let ([n, q, t, e], [_, w, k, ts, _]) = (query.dims(), support.dims());
        let s = w * k;
        // Time averages of all supports, once for each query, and of the query.
        let supports = support.clone().mean_dim(3).reshape([n, 1, s, e]).expand([n, q, s, e]);
        let clips = Tensor::cat(vec![supports, query.clone().mean_dim(2).reshape([n, q, 1, e])], 2);
        let clips = clips.reshape([n * q, s + 1, e]);
        let attended = self.inter.forward_with(clips.clone(), &self.inter_weight_dropout);
        let related = relu(self.inter_norm.forward(clips + self.inter_dropout.forward(attended)));
        let related = linear(&self.join_relation, related);
        let of_supports = related.clone().narrow(1, 0, s).reshape([n, q, w, k, 1, e]);
        let of_query = related.narrow(1, s, 1).reshape([n, q, 1, e]);
        let views = linear(&self.join_frames, support).reshape([n, 1, w, k, ts, e]);
        Related {
            query: linear(&self.join_frames, query) + of_query.expand([n, q, t, e]),
            support: views.expand([n, q, w, k, ts, e]) + of_supports,
        }
    }

    fn support_cost(&self, frames: [usize; 3]) -> Option<Cost> {
        self.query_cost(frames)
    }

    fn query_cost(&self, frames: [usize; 3]) -> Option<Cost> {
        let size = frames.iter().product();
        Some(Cost::norm(size) + self.intra.cost(frames) + Cost::elementwise(size, 2.0))
    }

    fn relate_cost(&self, [n, q, t, e]: [usize; 4], [_, w, k, ts, _]: [usize; 5]) -> Option<(Cost, [usize; 6])> {
        let k = if self.average_shots == AverageShots::Before { 1 } else { k };
        let clips = w * k + 1;
        let inter = self.inter.cost([n * q, clips, e]) + Cost::norm(n * q * clips * e);
        let related = linear_cost(&self.join_relation, n * q * clips);
        let frames = linear_cost(&self.join_frames, n * w * k * ts) + linear_cost(&self.join_frames, n * q * t);
        let views = Cost::elementwise(n * q * w * k * ts * e, 1.0);
        Some((inter + related + frames + views, [n, q, w, k, ts, e]))
    }
}

/// HyRSM's position codes `[T, E]`: the angle of channel c is t · exp(−ln 10000 · 2c / E), with its own c for the
/// cosine on odd channels too, where the usual codes take that of the channel before.
fn codes<const D: usize>(t: usize, e: usize, scale: f64, like: &Tensor<D>) -> Tensor<2> {
    codes_by(t, e, scale, |channel| 2 * channel, like)
}

#[cfg(test)]
mod tests {
    use super::super::checks;
    use super::*;
    use crate::conformance::tensors::{difference, random};
    use crate::conformance::{self, prototype::Traits};
    use burn::tensor::Device;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::prototype::holds::<HyrsmConfig>(Traits { also: &["average_shots: after"], ..Traits::default() });
    }

    #[test]
    fn a_query_has_its_own_view_of_the_supports() {
        let hyrsm = checks::module::<HyrsmConfig>("average_shots: after", 16);
        let (support, query) = (random::<5>(1, [1, 2, 2, 4, 16]), random::<4>(2, [1, 3, 4, 16]));
        let text = || Tensor::zeros([1, 2, 16], &Device::flex());
        let relate = |query| hyrsm.relate(EpisodeFeatures { query, support: support.clone(), text: text() });
        let all = relate(query.clone());
        assert_eq!((all.query.dims(), all.support.dims()), ([1, 3, 4, 16], [1, 3, 2, 2, 4, 16]));
        let alone = relate(query.clone().narrow(1, 1, 1));
        assert!(difference(&all.query.narrow(1, 1, 1), &alone.query) < 1e-5);
        let view = |query: usize| all.support.clone().narrow(1, query, 1);
        assert!(difference(&view(1), &alone.support) < 1e-5);
        assert!(difference(&view(0), &view(1)) > 1e-4);
        let averaged = checks::module::<HyrsmConfig>("", 16);
        let related = averaged.relate(EpisodeFeatures { query, support: support.clone(), text: text() });
        assert_eq!(related.support.dims(), [1, 3, 2, 1, 4, 16]);
    }

    #[test]
    fn flops_are_the_hand_computed_ones() {
        let (t, e) = (4.0, 16.0);
        let attention = |n: f64| 2.0 * (4.0 * n * e * e + 2.0 * n * n * e);
        let hyrsm = checks::module::<HyrsmConfig>("average_shots: after", 16);
        assert_eq!(hyrsm.query_cost([3, 4, 16]).unwrap().flops, 3.0 * attention(t));
        // Three queries with views of four supports: attention among five clips each, W₂ of each clip, W₁ of all
        // frames.
        let (cost, _) = hyrsm.relate_cost([1, 3, 4, 16], [1, 2, 2, 4, 16]).unwrap();
        assert_eq!(cost.flops, 3.0 * attention(5.0) + 2.0 * e * e * (15.0 + 4.0 * t + 3.0 * t));
    }
}

//! `molo`: the bidirectional mean Hausdorff metric on frames and on their changes in time.
//!
//! Source: MoLo (Wang et al., CVPR 2023) as its public code computes it (alibaba-mmai-research/MoLo,
//! models/base/few_shot.py, `CNN_BiMHM_MoLo`). Classes are the means over their shots of all tokens of the prototype
//! module `molo`. With D = 1 − cosine:
//!
//! ```text
//! distance = BiMHM(D of frames) + s · BiMHM(D of changes)
//! s2q = σ Σ_t D(support frame t, class token of the query)
//! q2s = σ Σ_t D(query frame t, class token of the support)
//! ```
//! and `s2q_motion`, `q2s_motion` likewise with the tokens of the changes and another σ. The last four are further
//! distances, for an objective that trains on each. σ are learned and start at 1.

use super::bi_mhm::{Direction, Reduce, bi_mhm};
use super::frame_costs::{Cosine, ShotRule, distances, distances_cost, explain};
use crate::layers::Init;
use crate::prototypes::molo::{CLASS_TOKEN, MOTION};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::alignment::{Aligned, Alignment};
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::explanation::Explanation;
use maclip_framework::slots::layout::{Layout, Part};
use serde::{Deserialize, Serialize};

/// Options of MoLo's distances.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct MoloConfig {
    /// s, the factor of the changes in time. 0.3 in public code.
    #[schemars(range(min = 0.0))]
    motion: f64,
    /// How the cosine of two tokens is computed.
    cosine: Cosine,
}

impl Default for MoloConfig {
    fn default() -> Self {
        Self { motion: 0.3, cosine: Cosine::PlusEpsilon }
    }
}

register!(dyn Alignment, MoloConfig, name: "molo",
    summary: "nearest frames both ways, and nearest changes in time both ways",
    paper: Some("MoLo, CVPR 2023"), stability: Stable, usage: "{motion: 0.3}");

impl Component for MoloConfig {
    type Slot = dyn Alignment;

    fn describe(&self, facts: &mut Facts) {
        facts.reads("alignment", CLASS_TOKEN);
        facts.reads("alignment", MOTION);
        facts.further.extend(["s2q", "q2s", "s2q_motion", "q2s_motion"]);
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Alignment>> {
        let layout = context.compared().clone();
        layout.shape(CLASS_TOKEN)?;
        layout.shape(MOTION)?;
        let mut init = Init::new(context.init("alignment"), context.trainable_device());
        let Self { motion, cosine } = self;
        Ok(Box::new(Molo {
            scale: init.constant([1], 1.0),
            motion_scale: init.constant([1], 1.0),
            motion,
            cosine,
            layout,
        }))
    }
}

#[derive(Module, Debug)]
struct Molo {
    scale: Param<Tensor<1>>,
    motion_scale: Param<Tensor<1>>,
    motion: f64,
    #[module(skip)]
    cosine: Cosine,
    #[module(skip)]
    layout: Layout,
}

/// Tokens of a clip and the class token of these: `[N, Q, n, E]` and `[N, Q, E]`.
struct Tokens {
    tokens: Tensor<4>,
    class: Tensor<3>,
}

impl Molo {
    /// Frames and changes of clips `[N, C, T, F]`.
    fn tokens(&self, clips: Tensor<4>) -> [Tokens; 2] {
        let [n, c, t, _] = clips.dims();
        let e = self.layout.feature_width();
        let class = |token: Tensor<4>| token.reshape([n, c, e]);
        let frames = self.layout.feature(clips.clone());
        let of_frames = class(self.layout.part(CLASS_TOKEN, clips.clone()).narrow(2, 0, 1));
        let motion = self.layout.part(MOTION, clips);
        let of_motion = class(motion.clone().narrow(2, t - 1, 1));
        [Tokens { tokens: frames, class: of_frames }, Tokens { tokens: motion.narrow(2, 0, t - 1), class: of_motion }]
    }

    /// Bi-MHM of tokens, `[N, Q, W]`.
    fn matched(&self, query: &Tokens, support: &Tokens) -> Tensor<3> {
        let metric = |costs: Tensor<3>| bi_mhm(costs, Direction::Both, Reduce::Sum);
        let support = support.tokens.clone().unsqueeze_dim(2);
        distances(query.tokens.clone(), support, ShotRule::MeanFeatures, self.cosine, metric)
    }

    /// Σ_t D(token t of the class, class token of the query), and Σ_t D(token t of the query, class token of the
    /// class); each `[N, Q, W]`, times `scale`.
    fn contrasted(&self, query: &Tokens, support: &Tokens, scale: &Param<Tensor<1>>) -> [Tensor<3>; 2] {
        let ([n, q, tq, e], [_, w, ts, _]) = (query.tokens.dims(), support.tokens.dims());
        let costs = |x: Tensor<3>, y: Tensor<3>| self.cosine.of(x, y).neg() + 1.0;
        let to_query = costs(query.class.clone(), support.tokens.clone().reshape([n, w * ts, e]));
        let to_query = to_query.reshape([n, q, w, ts]).sum_dim(3).squeeze_dim::<3>(3);
        let to_support = costs(query.tokens.clone().reshape([n, q * tq, e]), support.class.clone());
        let to_support = to_support.reshape([n, q, tq, w]).sum_dim(2).squeeze_dim::<3>(2);
        [to_query, to_support].map(|costs| costs * scale.val().reshape([1, 1, 1]))
    }
}

impl Alignment for Molo {
    fn reads(&self) -> Vec<Part> {
        vec![CLASS_TOKEN, MOTION]
    }

    fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3> {
        let ([frames, motion], [of_frames, of_motion]) =
            (self.tokens(query), self.tokens(support.mean_dim(2).squeeze_dim(2)));
        self.matched(&frames, &of_frames) + self.matched(&motion, &of_motion) * self.motion
    }

    fn aligned(&self, query: Tensor<4>, support: Tensor<5>) -> Aligned {
        let ([frames, motion], [of_frames, of_motion]) =
            (self.tokens(query), self.tokens(support.mean_dim(2).squeeze_dim(2)));
        let distances = self.matched(&frames, &of_frames) + self.matched(&motion, &of_motion) * self.motion;
        let [s2q, q2s] = self.contrasted(&frames, &of_frames, &self.scale);
        let [s2q_motion, q2s_motion] = self.contrasted(&motion, &of_motion, &self.motion_scale);
        let further = vec![("s2q", s2q), ("q2s", q2s), ("s2q_motion", s2q_motion), ("q2s_motion", q2s_motion)];
        Aligned { distances, further }
    }

    fn explain(&self, query: Tensor<3>, support: Tensor<4>) -> Result<Explanation> {
        let features = (self.layout.feature(query), self.layout.feature(support));
        let metric = |costs: Tensor<3>| bi_mhm(costs, Direction::Both, Reduce::Sum);
        explain(features, ShotRule::MeanFeatures, self.cosine, "nearest frames, both ways", metric)
    }

    fn cost(&self, [n, q, tq, _]: [usize; 4], [_, w, k, ts, _]: [usize; 5]) -> Option<Cost> {
        let e = self.layout.feature_width();
        let of = |tq: usize, ts: usize| {
            distances_cost([n, q, tq, e], [n, w, k, ts, e], ShotRule::MeanFeatures, self.cosine)
                + self.cosine.cost(n, [q, w * ts], e)
                + self.cosine.cost(n, [q * tq, w], e)
        };
        Some(of(tq, ts) + of(tq - 1, ts - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, alignment::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<MoloConfig>(Traits {
            // ε counts beside features as short as these.
            norm_blind: false,
            shots: &[],
            parts: &[(CLASS_TOKEN, [1, 2]), (MOTION, [1, 2])],
            with: &[("prototype", "{type: molo, hidden: 32}")],
            ..Traits::default()
        });
    }
}

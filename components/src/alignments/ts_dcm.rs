//! `ts_dcm`: frame similarities of distance covariances, weighed by a matrix of the episode.
//!
//! Source: TS-FSAR (AAAI 2026) and its public code (yaozhang0417/TS-FSAR@1a91053, `trainers/ts_fsar.py`). z and M are
//! those of `prototype: {type: ts_fsar}`:
//!
//! ```text
//! S[t, s] = z_t · z_s / (‖z_t‖ ‖z_s‖ + 0.01)      distance = −Σ_ts M[t, s] S[t, s]
//! ```

use super::frame_costs::Cosine;
use crate::prototypes::ts_fsar::{COVARIANCE, MATCHING};
use burn::module::Module;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::layout::{Layout, Part};
use serde::{Deserialize, Serialize};

/// No options.
#[derive(Clone, Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct TsDcmConfig {}

register!(dyn Alignment, TsDcmConfig, name: "ts_dcm",
    summary: "frame similarities of distance covariances, weighed by a matrix of the episode",
    paper: Some("TS-FSAR, AAAI 2026"), stability: Experimental, usage: "{}");

const READ: [Part; 2] = [COVARIANCE, MATCHING];

impl Component for TsDcmConfig {
    type Slot = dyn Alignment;

    fn describe(&self, facts: &mut Facts) {
        READ.iter().for_each(|part| facts.reads("alignment", *part));
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Alignment>> {
        let layout = context.compared().clone();
        for part in READ {
            layout.shape(part)?;
        }
        Ok(Box::new(TsDcm { layout }))
    }
}

#[derive(Module, Debug)]
struct TsDcm {
    #[module(skip)]
    layout: Layout,
}

impl Alignment for TsDcm {
    fn reads(&self) -> Vec<Part> {
        READ.to_vec()
    }

    fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3> {
        let matching = self.layout.part(MATCHING, query.clone());
        let [_, _, rows, columns] = matching.dims();
        assert_eq!(rows, columns, "the matrix of an episode has a row and a column for each frame");
        let z_query = self.layout.part(COVARIANCE, query);
        let z_support = self.layout.part(COVARIANCE, support).mean_dim(2);
        let ([n, q, t, d], [_, w, _, s, _]) = (z_query.dims(), z_support.dims());
        let similar = Cosine::PlusEpsilon.of(z_query.reshape([n, q * t, d]), z_support.reshape([n, w * s, d]));
        // [N, Q, T, W, T'] with M [N, Q, T, 1, T'].
        let weighed = similar.reshape([n, q, t, w, s]) * matching.reshape([n, q, t, 1, s]);
        -weighed.sum_dim(4).sum_dim(2).reshape([n, q, w])
    }

    fn cost(&self, [n, q, t, _]: [usize; 4], [_, w, _, s, _]: [usize; 5]) -> Option<Cost> {
        let [rows, width] = self.layout.shape(COVARIANCE).ok()?;
        let weighed = Cost::elementwise(n * q * t * w * s, 2.0);
        Some(Cosine::PlusEpsilon.cost(n, [q * t, w * s], rows * width) + weighed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, alignment::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<TsDcmConfig>(Traits {
            order_blind: true,
            norm_blind: false,
            nearest_to_itself: false,
            fixed_length: true,
            shots: &[],
            long: &[],
            parts: &[(COVARIANCE, [1, 1]), (MATCHING, [1, 4])],
            with: &[("prototype", "{type: ts_fsar, blocks: 6, width: 8, heads: 2, temporal: [3], adapter_heads: 4}")],
            ..Traits::default()
        });
    }
}

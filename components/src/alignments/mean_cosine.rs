//! `mean_cosine`: −cosine of the time averages. The identity of the slot: no temporal alignment.
//!
//! Source: the TSN / ProtoNet baseline of few-shot-action-recognition (`CNN_TSN`), whose logits
//! are the cosines; the distance is their negative.

use super::frame_costs::{Cosine, ShotRule};
use burn::module::Module;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::cost::Cost;
use serde::{Deserialize, Serialize};

/// Options of the mean cosine.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct MeanCosineConfig {
    /// How several shots of a class become one distance. Public code averages similarities: `mean_distances`.
    shots: ShotRule,
    /// How the cosine of two averages is computed.
    cosine: Cosine,
}

impl Default for MeanCosineConfig {
    fn default() -> Self {
        Self { shots: ShotRule::MeanFeatures, cosine: Cosine::Normalized }
    }
}

register!(dyn Alignment, MeanCosineConfig, name: "mean_cosine", summary: "cosine of time averages; no temporal alignment",
    paper: Some("TSN baseline of few-shot-action-recognition"), stability: Stable, usage: "{}");

impl Component for MeanCosineConfig {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        Ok(Box::new(MeanCosine { shots: self.shots, cosine: self.cosine }))
    }
}

#[derive(Module, Debug)]
struct MeanCosine {
    #[module(skip)]
    shots: ShotRule,
    #[module(skip)]
    cosine: Cosine,
}

impl Alignment for MeanCosine {
    fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3> {
        let [n, q, _, e] = query.dims();
        let support = self.shots.sequences(support);
        let [_, w, k, _, _] = support.dims();
        let query = query.mean_dim(2).reshape([n, q, e]);
        let support = support.mean_dim(3).reshape([n, w * k, e]);
        let similarity = self.cosine.of(query, support).reshape([n, q, w, k]);
        similarity.mean_dim(3).squeeze_dim(3).neg()
    }

    fn cost(&self, [n, q, _, e]: [usize; 4], support: [usize; 5]) -> Option<Cost> {
        let [_, w, k, _, _] = self.shots.sequences_shape(support);
        Some(self.cosine.cost(n, [q, w * k], e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, alignment::Traits};
    use burn::tensor::Device;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<MeanCosineConfig>(Traits { order_blind: true, ..Traits::default() });
    }

    #[test]
    fn the_cost_is_that_of_one_cosine_for_each_pair() {
        // Two episodes of three queries and three classes, six features.
        assert_eq!(conformance::alignment::flops::<MeanCosineConfig>(""), Some(2.0 * 2.0 * 3.0 * 3.0 * 6.0));
    }

    #[test]
    fn a_hand_computed_case() {
        // Query mean (1, 1); class means (1, 0) and (2, 2): cosines 1/√2 and 1.
        let device = Device::flex();
        let query = Tensor::<4>::from_data([[[[2.0f32, 0.0], [0.0, 2.0]]]], &device);
        let support = Tensor::<5>::from_data([[[[[1.0f32, 0.0], [1.0, 0.0]]], [[[4.0, 0.0], [0.0, 4.0]]]]], &device);
        let metric = MeanCosineConfig::default().build(&BuildContext::new(0, device)).unwrap();
        let d: Vec<f32> = metric.distances(query, support).into_data().try_to_vec().unwrap();
        assert!((d[0] + 0.5f32.sqrt()).abs() < 1e-6 && (d[1] + 1.0).abs() < 1e-6, "{d:?}");
    }
}

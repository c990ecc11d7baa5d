//! `mean_squared_l2`: squared Euclidean distance of the time averages.
//!
//! Source: prototypical networks (Snell et al., NeurIPS 2017); the other distance of few-shot-action-recognition's
//! `CNN_TSN`.

use super::frame_costs::ShotRule;
use burn::module::Module;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::cost::Cost;
use serde::{Deserialize, Serialize};

/// Options of the squared Euclidean distance.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct MeanSquaredL2Config {
    /// How several shots of a class become one distance. Prototypical networks average features.
    shots: ShotRule,
}

impl Default for MeanSquaredL2Config {
    fn default() -> Self {
        Self { shots: ShotRule::MeanFeatures }
    }
}

register!(dyn Alignment, MeanSquaredL2Config, name: "mean_squared_l2", summary: "squared distance of time averages",
    paper: Some("prototypical networks, NeurIPS 2017"), stability: Stable, usage: "{}");

impl Component for MeanSquaredL2Config {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        Ok(Box::new(MeanSquaredL2 { shots: self.shots }))
    }
}

#[derive(Module, Debug)]
struct MeanSquaredL2 {
    #[module(skip)]
    shots: ShotRule,
}

impl Alignment for MeanSquaredL2 {
    fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3> {
        let [n, q, _, e] = query.dims();
        let support = self.shots.sequences(support);
        let [_, w, k, _, _] = support.dims();
        let query = query.mean_dim(2).reshape([n, q, 1, e]);
        let support = support.mean_dim(3).reshape([n, 1, w * k, e]);
        let squares = (query - support).powf_scalar(2.0).sum_dim(3).reshape([n, q, w, k]);
        squares.mean_dim(3).squeeze_dim(3)
    }

    fn cost(&self, [n, q, _, e]: [usize; 4], support: [usize; 5]) -> Option<Cost> {
        let [_, w, k, _, _] = self.shots.sequences_shape(support);
        Some(Cost::elementwise(n * q * w * k * e, 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, alignment::Traits};
    use burn::tensor::Device;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<MeanSquaredL2Config>(Traits {
            order_blind: true,
            norm_blind: false,
            ..Traits::default()
        });
    }

    #[test]
    fn there_are_no_products_to_count() {
        assert_eq!(conformance::alignment::flops::<MeanSquaredL2Config>(""), Some(0.0));
    }

    #[test]
    fn a_hand_computed_case() {
        // Query mean (1, 1); class means (1, 0) and (2, 2).
        let device = Device::flex();
        let query = Tensor::<4>::from_data([[[[2.0f32, 0.0], [0.0, 2.0]]]], &device);
        let support = Tensor::<5>::from_data([[[[[1.0f32, 0.0], [1.0, 0.0]]], [[[4.0, 0.0], [0.0, 4.0]]]]], &device);
        let metric = MeanSquaredL2Config::default().build(&BuildContext::new(0, device)).unwrap();
        let d: Vec<f32> = metric.distances(query, support).into_data().try_to_vec().unwrap();
        assert!((d[0] - 1.0).abs() < 1e-6 && (d[1] - 2.0).abs() < 1e-6, "{d:?}");
    }
}

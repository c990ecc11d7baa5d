//! `cache`: Tip-Adapter's cache of support clips: each adds to its class what falls off fast with the cosine.
//!
//! Source: Tip-Adapter (Zhang et al., ECCV 2022), equation 5, without training. With q and s_k the time averages of a
//! query and of the support clips of a class:
//!
//! ```text
//! distance = −Σ_k exp(−β (1 − cos(q, s_k)))
//! ```
//! `objective: {type: text_sum}` adds it to the cosine with the class text, which makes the method.

use super::frame_costs::Cosine;
use burn::module::Module;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::cost::Cost;
use serde::{Deserialize, Serialize};

/// Options of the cache.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct CacheConfig {
    /// β, how fast a support clip counts less as it is further away. 5.5 in the paper's main setting.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    sharpness: f64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { sharpness: 5.5 }
    }
}

register!(dyn Alignment, CacheConfig, name: "cache", summary: "Tip-Adapter's cache: a sum over support clips, sharp in the cosine",
    paper: Some("Tip-Adapter, ECCV 2022"), stability: Experimental, usage: "{sharpness: 5.5}");

impl Component for CacheConfig {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        Ok(Box::new(Cache { sharpness: self.sharpness }))
    }
}

#[derive(Module, Debug)]
struct Cache {
    sharpness: f64,
}

impl Alignment for Cache {
    fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3> {
        let ([n, q, _, e], [_, w, k, _, _]) = (query.dims(), support.dims());
        let query = query.mean_dim(2).reshape([n, q, e]);
        let support = support.mean_dim(3).reshape([n, w * k, e]);
        let near = ((Cosine::Normalized.of(query, support) - 1.0) * self.sharpness).exp();
        near.reshape([n, q, w, k]).sum_dim(3).squeeze_dim(3).neg()
    }

    fn cost(&self, [n, q, _, e]: [usize; 4], [_, w, k, _, _]: [usize; 5]) -> Option<Cost> {
        Some(Cosine::Normalized.cost(n, [q, w * k], e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, alignment::Traits};
    use burn::tensor::Device;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<CacheConfig>(Traits { order_blind: true, shots: &[], ..Traits::default() });
    }

    #[test]
    fn a_hand_computed_case() {
        // Query mean (1, 1); shots of one class at (1, 0) and (2, 2): cosines 1/√2 and 1, β = 2.
        let device = Device::flex();
        let query = Tensor::<4>::from_data([[[[2.0f32, 0.0], [0.0, 2.0]]]], &device);
        let support = Tensor::<5>::from_data([[[[[1.0f32, 0.0], [1.0, 0.0]], [[4.0, 0.0], [0.0, 4.0]]]]], &device);
        let d: Vec<f32> = Cache { sharpness: 2.0 }.distances(query, support).into_data().try_to_vec().unwrap();
        let want = -((2.0 * (0.5f32.sqrt() - 1.0)).exp() + 1.0);
        assert!((d[0] - want).abs() < 1e-6, "{d:?}");
    }
}

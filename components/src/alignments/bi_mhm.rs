//! `bi_mhm`: bidirectional mean Hausdorff metric.
//!
//! Source: HyRSM (Wang et al., CVPR 2022) as public code has it: Σ_i min_j D[i, j] + Σ_j min_i D[i, j], sums and not means.

use super::frame_costs::{Cosine, ShotRule, distances};
use burn::module::Module;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::Component;
use maclip_framework::run::BuildContext;
use maclip_framework::slots::alignment::Alignment;
use serde::{Deserialize, Serialize};

/// Options of Bi-MHM.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct BiMhmConfig {
    /// What becomes of several shots. HyRSM averages distances, D2ST and MoLo features.
    shots: ShotRule,
    /// The cosine of two frames.
    cosine: Cosine,
}

impl Default for BiMhmConfig {
    fn default() -> Self {
        Self { shots: ShotRule::MeanFeatures, cosine: Cosine::Normalized }
    }
}

register!(dyn Alignment, BiMhmConfig, name: "bi_mhm", summary: "each frame to its nearest, both ways; order does not count",
    paper: Some("HyRSM, CVPR 2022"), stability: Stable, example: "{shots: mean_features}");

impl Component for BiMhmConfig {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        Ok(Box::new(BiMhm { shots: self.shots, cosine: self.cosine }))
    }
}

#[derive(Module, Debug)]
struct BiMhm {
    #[module(skip)]
    shots: ShotRule,
    #[module(skip)]
    cosine: Cosine,
}

impl Alignment for BiMhm {
    fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3> {
        distances(query, support, self.shots, self.cosine, bi_mhm)
    }
}

/// `[P, Tq, Ts]` → `[P]`.
fn bi_mhm(costs: Tensor<3>) -> Tensor<1> {
    let pairs = costs.dims()[0];
    let nearest = |dim: usize| costs.clone().min_dim(dim).reshape([pairs as i32, -1]).sum_dim(1).reshape([pairs]);
    nearest(2) + nearest(1)
}

#[cfg(test)]
mod tests {
    use super::super::frame_costs::check;
    use super::*;

    #[test]
    fn values_agree_with_an_independent_implementation() {
        check::close(bi_mhm(check::d1()), 1.2);
        check::close(bi_mhm(check::d2()), 0.16821363059117644);
    }

    #[test]
    fn properties_of_an_alignment_hold() {
        let metric = BiMhmConfig::default().build(&BuildContext::new(0, burn::tensor::Device::flex())).unwrap();
        check::properties(&*metric);
    }
}

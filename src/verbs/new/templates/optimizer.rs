//! `__name__`: __summary__.
//!
//! Source: say which paper and equation, or whose public code, this follows, and where it differs. What this template
//! does, for a weight w with the gradient g:
//!
//! ```text
//! w − rate · (g + weight_decay · w)
//! ```
//! It is burn's `Sgd`. A rule of your own implements `burn::optim::Optimizer` and becomes a `ModuleOptimizer` in
//! `init`; what it keeps for each weight is saved with every checkpoint.

use burn::optim::decay::WeightDecayConfig;
use burn::optim::{ModuleOptimizer, SgdConfig};
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::optimizer::{GroupOptions, Optimizer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Options of the optimizer.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct __Name__ {
    /// Learning rate before the schedule.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 100.0))]
    learning_rate: f64,
    /// Added to the gradient (L2), not decoupled.
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
    /// Parameter groups with rates and decays of their own, by the beginning of their paths: `{adapter: {learning_rate:
    /// 1e-4}}`.
    groups: BTreeMap<String, GroupOptions>,
}

impl Default for __Name__ {
    fn default() -> Self {
        Self { learning_rate: 1e-2, weight_decay: 0.0, groups: BTreeMap::new() }
    }
}

register!(dyn Optimizer, __Name__, name: "__name__", summary: "__summary__",
    paper: None, stability: Experimental, usage: "{learning_rate: 1e-2}");

impl Component for __Name__ {
    type Slot = dyn Optimizer;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Optimizer>> {
        Ok(Box::new(self))
    }
}

impl Optimizer for __Name__ {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn groups(&self) -> &BTreeMap<String, GroupOptions> {
        &self.groups
    }

    fn init(&self, group: &GroupOptions) -> Result<ModuleOptimizer> {
        let weight_decay = group.weight_decay.unwrap_or(self.weight_decay);
        let decay = (weight_decay > 0.0).then(|| WeightDecayConfig::new(weight_decay as f32));
        Ok(SgdConfig::new().with_weight_decay(decay).init())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, optimizer::Traits};
    use burn::module::{Module, Param};
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, Tensor};

    #[derive(Module, Debug)]
    struct Weight {
        w: Param<Tensor<1>>,
    }

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::optimizer::holds::<__Name__>(Traits {
            // Say in `state_values` what it keeps for each weight, and claim it.
            counted: false,
            ..Traits::default()
        });
    }

    #[test]
    fn a_hand_computed_step() {
        let w = Tensor::<1>::from_data([3.0f32], &Device::flex().autodiff());
        let model = Weight { w: Param::from_tensor(w) };
        let gradients = (model.w.val() * model.w.val()).sum().backward();
        let gradients = GradientsParams::from_grads(gradients, &model);
        let group = GroupOptions { weight_decay: Some(0.5), ..GroupOptions::default() };
        let mut optimizer = __Name__::default().init(&group).unwrap();
        let w = optimizer.step(0.1, model, gradients).w.val().into_scalar::<f32>();
        // 3 − 0.1 · (2 · 3 + 0.5 · 3)
        assert!((w - 2.25).abs() < 1e-6, "{w}");
    }
}

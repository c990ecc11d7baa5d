//! `adam`: Adam with weight decay in the gradient (L2), as PyTorch's `Adam` has it.

use super::adamw::Rule;
use burn::optim::ModuleOptimizer;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::optimizer::{GroupOptions, Optimizer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Options of Adam; the defaults are PyTorch's.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Adam {
    /// Learning rate before the schedule. In CLIP-FSAR's public code 1e-5 on Kinetics and HMDB51, 2e-6 on UCF101 and
    /// 5e-5 on SSv2.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 100.0))]
    learning_rate: f64,
    /// Decay of the first moment, the mean of gradients.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    beta_1: f64,
    /// Decay of the second moment, the mean of their squares.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    beta_2: f64,
    /// Added to the root of the second moment.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    epsilon: f64,
    /// Added to the gradient (L2), so that the moments contain it. In CLIP-FSAR's public code 5e-4 on Kinetics and 5e-5
    /// elsewhere.
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
    /// Parameter groups with rates and decays of their own, by the beginning of their paths: `{adapter: {learning_rate:
    /// 1e-4}}`.
    groups: BTreeMap<String, GroupOptions>,
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            groups: BTreeMap::new(),
        }
    }
}

register!(dyn Optimizer, Adam, name: "adam", summary: "Adam with weight decay in the gradient",
    paper: Some("Kingma and Ba, ICLR 2015"), stability: Stable, usage: "{learning_rate: 1e-5, weight_decay: 5e-4}");

impl Component for Adam {
    type Slot = dyn Optimizer;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Optimizer>> {
        Ok(Box::new(self))
    }
}

impl Optimizer for Adam {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn groups(&self) -> &BTreeMap<String, GroupOptions> {
        &self.groups
    }

    fn init(&self, group: &GroupOptions) -> Result<ModuleOptimizer> {
        let weight_decay = group.weight_decay.unwrap_or(self.weight_decay);
        let beta = [self.beta_1, self.beta_2].map(|beta| beta as f32);
        Ok(ModuleOptimizer::from(Rule { beta, epsilon: self.epsilon as f32, weight_decay, coupled: true }))
    }

    fn state_values(&self) -> Option<usize> {
        Some(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, optimizer::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::optimizer::holds::<Adam>(Traits::default());
    }

    /// Two steps by hand: w = 1, rate 0.1, decay 0.5, the gradient 2 and then -1 without the decay.
    ///
    /// g₁ = 2 + 0.5 = 2.5: m = 0.25, v = 0.00625, both corrected to 2.5 and 6.25, so w = 1 - 0.1 = 0.9.
    /// g₂ = -1 + 0.45 = -0.55: m = 0.225 - 0.055 = 0.17, corrected 0.17 / 0.19; v = 0.00624375 + 0.0003025 =
    /// 0.00654625, corrected by 0.001999 to 3.27476…; so w = 0.9 - 0.1 · 0.894737 / 1.809631 = 0.850557.
    #[test]
    fn the_decay_goes_through_the_moments() {
        use burn::optim::Optimizer as _;
        use burn::tensor::{Device, Tensor};
        let device = Device::flex();
        let rule = Rule { beta: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.5, coupled: true };
        let tensor = |value: f32| Tensor::<1>::from_floats([value], &device);
        let (weight, state) = rule.step(0.1, tensor(1.0), tensor(2.0), None);
        let (weight, _) = rule.step(0.1, weight, tensor(-1.0), state);
        let found = weight.into_scalar::<f32>();
        assert!((found - 0.850_557).abs() < 2e-6, "{found}");
    }
}

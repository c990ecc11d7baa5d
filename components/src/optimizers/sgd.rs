//! `sgd`: stochastic gradient descent with momentum, burn's implementation.

use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{ModuleOptimizer, SgdConfig};
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::optimizer::{GroupOptions, Optimizer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Options of SGD.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Sgd {
    /// Learning rate before the schedule. 1e-3 in OTAM's public code. TRX's 1e-3 goes with a loss that is the sum over
    /// 25 queries; with the mean over queries, as here, that is 0.025.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 100.0))]
    learning_rate: f64,
    /// 0 turns momentum off, as TRX's and OTAM's public code has it.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    momentum: f64,
    /// Added to the gradient (L2), not decoupled.
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
    /// Parameter groups with rates and decays of their own, by the beginning of their paths: `{adapter: {learning_rate:
    /// 1e-4}}`.
    groups: BTreeMap<String, GroupOptions>,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { learning_rate: 1e-3, momentum: 0.0, weight_decay: 0.0, groups: BTreeMap::new() }
    }
}

register!(dyn Optimizer, Sgd, name: "sgd", summary: "stochastic gradient descent with momentum",
    paper: None, stability: Stable, usage: "{learning_rate: 1e-3, momentum: 0.9}");

impl Component for Sgd {
    type Slot = dyn Optimizer;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Optimizer>> {
        Ok(Box::new(self))
    }
}

impl Optimizer for Sgd {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn groups(&self) -> &BTreeMap<String, GroupOptions> {
        &self.groups
    }

    fn init(&self, group: &GroupOptions) -> Result<ModuleOptimizer> {
        let weight_decay = group.weight_decay.unwrap_or(self.weight_decay);
        let mut config = SgdConfig::new();
        if self.momentum > 0.0 {
            // Undamped, as PyTorch's default; burn's default dampens.
            config = config.with_momentum(Some(MomentumConfig::new().with_momentum(self.momentum).with_dampening(0.0)));
        }
        if weight_decay > 0.0 {
            config = config.with_weight_decay(Some(WeightDecayConfig::new(weight_decay as f32)));
        }
        Ok(config.init())
    }

    fn state_values(&self) -> Option<usize> {
        Some(usize::from(self.momentum > 0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, optimizer::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::optimizer::holds::<Sgd>(Traits { also: &["momentum: 0"], ..Traits::default() });
    }
}

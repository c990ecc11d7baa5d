//! `adamw`: Adam with decoupled weight decay (Loshchilov and Hutter 2019). The state of a weight is that of burn's
//! AdamW.

use burn::optim::{AdamWState, AdaptiveMomentumState, LearningRate, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::optimizer::{GroupOptions, Optimizer};
use maclip_kernels::operations;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Options of AdamW; the defaults are PyTorch's but for the learning rate.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct AdamW {
    /// Learning rate before the schedule.
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
    /// Decoupled decay of every trainable tensor.
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
    /// Parameter groups with rates and decays of their own, by the beginning of their paths: `{adapter: {learning_rate:
    /// 1e-4}}`.
    groups: BTreeMap<String, GroupOptions>,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
            groups: BTreeMap::new(),
        }
    }
}

register!(dyn Optimizer, AdamW, name: "adamw", summary: "Adam with decoupled weight decay",
    paper: Some("Loshchilov and Hutter, ICLR 2019"), stability: Stable, usage: "{learning_rate: 1e-3}");

impl Component for AdamW {
    type Slot = dyn Optimizer;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Optimizer>> {
        Ok(Box::new(self))
    }
}

impl Optimizer for AdamW {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn groups(&self) -> &BTreeMap<String, GroupOptions> {
        &self.groups
    }

    fn init(&self, group: &GroupOptions) -> Result<ModuleOptimizer> {
        let weight_decay = group.weight_decay.unwrap_or(self.weight_decay);
        let beta = [self.beta_1, self.beta_2].map(|beta| beta as f32);
        Ok(ModuleOptimizer::from(Rule { beta, epsilon: self.epsilon as f32, weight_decay, coupled: false }))
    }

    fn state_values(&self) -> Option<usize> {
        Some(2)
    }
}

/// What happens to each weight: of AdamW and of Adam.
#[derive(Clone)]
pub(super) struct Rule {
    pub beta: [f32; 2],
    pub epsilon: f32,
    pub weight_decay: f64,
    /// Whether the decay is added to the gradient before the moments (Adam), or taken from the weight itself (AdamW).
    pub coupled: bool,
}

impl burn::optim::Optimizer for Rule {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let before = state.map_or_else(
            || AdaptiveMomentumState::new(0, gradient.zeros_like(), gradient.zeros_like()),
            |state| state.momentum,
        );
        let time = before.time + 1;
        let Self { beta, epsilon, mut weight_decay, coupled } = *self;
        let mut gradient = gradient;
        if coupled && weight_decay > 0.0 {
            gradient = gradient + weight.clone() * weight_decay;
            weight_decay = 0.0;
        }
        let options = operations::AdamW { rate, weight_decay, beta, epsilon, time };
        let (weight, [first, second]) =
            operations::adamw(weight, gradient, [before.moment_1, before.moment_2], options);
        (weight, Some(AdamWState::new(AdaptiveMomentumState::new(time, first, second))))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        AdamWState::new(state.momentum.to_device(device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, optimizer::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::optimizer::holds::<AdamW>(Traits::default());
    }
}

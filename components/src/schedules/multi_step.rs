//! `multi_step`: the learning rate falls by a factor at given steps.
//!
//! Source: the schedule of TRX's and OTAM's public code (PyTorch's MultiStepLR), with an optional linear warm-up.

use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Problems};
use maclip_framework::slots::schedule::Schedule;
use serde::{Deserialize, Serialize};

/// Options of the schedule.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct MultiStep {
    /// Shares of all steps, 0 to 1, ascending, after each of which the rate falls.
    #[schemars(inner(range(min = 0.0, max = 1.0)))]
    milestones: Vec<f64>,
    /// What the rate is multiplied by at a milestone. 0.1 in public code.
    #[schemars(range(min = 0.0, max = 1.0))]
    factor: f64,
    /// Steps of linear warm-up.
    warmup_steps: u64,
}

impl Default for MultiStep {
    fn default() -> Self {
        Self { milestones: vec![0.6, 0.8], factor: 0.1, warmup_steps: 0 }
    }
}

register!(dyn Schedule, MultiStep, name: "multi_step", summary: "the rate falls by a factor at given shares of the training",
    paper: Some("PyTorch's MultiStepLR, as in TRX's public code"), stability: Stable, usage: "{milestones: [0.6, 0.8], factor: 0.1}");

impl Component for MultiStep {
    type Slot = dyn Schedule;

    fn validate(&self, problems: &mut Problems) {
        let descends = self.milestones.windows(2).any(|pair| pair[0] >= pair[1]);
        problems.when(descends, "milestones", "must be ascending shares of the training");
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Schedule>> {
        Ok(Box::new(self))
    }
}

impl Schedule for MultiStep {
    fn factor(&self, step: u64, steps: u64) -> f64 {
        if step < self.warmup_steps {
            return (step + 1) as f64 / self.warmup_steps as f64;
        }
        let passed = self.milestones.iter().filter(|share| step as f64 >= *share * steps as f64).count();
        self.factor.powi(passed as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, schedule::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::schedule::holds::<MultiStep>(Traits { also: &["warmup_steps: 4"], ..Traits::default() });
    }

    #[test]
    fn it_falls_at_its_milestones() {
        let schedule = MultiStep { milestones: vec![0.5, 0.75], factor: 0.1, warmup_steps: 4 };
        let got: Vec<f64> = [0, 3, 4, 49, 50, 74, 75, 99].map(|step| schedule.factor(step, 100)).to_vec();
        let want = [0.25, 1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01];
        assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-12), "{got:?}");
    }
}

//! `multi_step`: the learning rate falls by a factor at given steps.
//!
//! Source: the schedule of TRX's and OTAM's public code (PyTorch's MultiStepLR), with an optional linear warm-up.

use super::warmup;
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
    /// The rate after each milestone as a factor on the full rate, such as `[0.5, 0.1, 0.01]`, in place of powers of
    /// `factor`; `null` takes the powers. CLIP-FSAR's public code gives factors.
    #[schemars(inner(range(min = 0.0, max = 1.0)))]
    factors: Option<Vec<f64>>,
    /// Steps of linear warm-up.
    warmup_steps: u64,
    /// Factor on the learning rate at the first step of the warm-up, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    warmup_from: f64,
}

impl Default for MultiStep {
    fn default() -> Self {
        Self { milestones: vec![0.6, 0.8], factor: 0.1, factors: None, warmup_steps: 0, warmup_from: 0.0 }
    }
}

register!(dyn Schedule, MultiStep, name: "multi_step", summary: "the rate falls by a factor at given shares of the training",
    paper: Some("PyTorch's MultiStepLR, as in TRX's public code"), stability: Stable, usage: "{milestones: [0.6, 0.8], factor: 0.1}");

impl Component for MultiStep {
    type Slot = dyn Schedule;

    fn validate(&self, problems: &mut Problems) {
        let descends = self.milestones.windows(2).any(|pair| pair[0] >= pair[1]);
        problems.when(descends, "milestones", "must be ascending shares of the training");
        let other = self.factors.as_ref().is_some_and(|factors| factors.len() != self.milestones.len());
        problems.when(other, "factors", "must have one factor for each of the `milestones`");
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Schedule>> {
        Ok(Box::new(self))
    }
}

impl Schedule for MultiStep {
    fn factor(&self, step: u64, steps: u64) -> f64 {
        if step < self.warmup_steps {
            return warmup::factor(step, self.warmup_steps, self.warmup_from);
        }
        let passed = self.milestones.iter().filter(|share| step as f64 >= *share * steps as f64).count();
        match (&self.factors, passed) {
            (Some(factors), 1..) => factors[passed - 1],
            _ => self.factor.powi(passed as i32),
        }
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
        let schedule = MultiStep { milestones: vec![0.5, 0.75], warmup_steps: 4, ..MultiStep::default() };
        let got: Vec<f64> = [0, 3, 4, 49, 50, 74, 75, 99].map(|step| schedule.factor(step, 100)).to_vec();
        let want = [0.25, 1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01];
        assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-12), "{got:?}");
        // As CLIP-FSAR's public code has them.
        let given = MultiStep { factors: Some(vec![0.5, 0.01]), warmup_from: 0.2, ..schedule };
        let got: Vec<f64> = [0, 2, 4, 50, 75].map(|step| given.factor(step, 100)).to_vec();
        let want = [0.2, 0.6, 1.0, 0.5, 0.01];
        assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-12), "{got:?}");
    }
}

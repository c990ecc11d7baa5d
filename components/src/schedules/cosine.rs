//! `cosine`: linear warm-up, then half a cosine down.

use super::warmup;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::schedule::Schedule;
use serde::{Deserialize, Serialize};

/// Options of the cosine schedule.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Cosine {
    /// Steps of linear warm-up.
    warmup_steps: u64,
    /// Factor on the learning rate at the first step of the warm-up, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    warmup_from: f64,
    /// Factor on the learning rate at the end, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    floor: f64,
}

impl Default for Cosine {
    fn default() -> Self {
        Self { warmup_steps: 20, warmup_from: 0.0, floor: 0.0 }
    }
}

register!(dyn Schedule, Cosine, name: "cosine", summary: "linear warm-up, then half a cosine down",
    paper: Some("SGDR, ICLR 2017, without restarts"), stability: Stable, usage: "{warmup_steps: 20}");

impl Component for Cosine {
    type Slot = dyn Schedule;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Schedule>> {
        Ok(Box::new(self))
    }
}

impl Schedule for Cosine {
    fn factor(&self, step: u64, steps: u64) -> f64 {
        if step < self.warmup_steps {
            return warmup::factor(step, self.warmup_steps, self.warmup_from);
        }
        let span = steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let progress = ((step - self.warmup_steps) as f64 / span).min(1.0);
        self.floor + (1.0 - self.floor) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, schedule::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::schedule::holds::<Cosine>(Traits {
            also: &["floor: 0.5", "warmup_from: 0.2"],
            ..Traits::default()
        });
    }

    #[test]
    fn it_warms_up_and_comes_down() {
        let schedule = Cosine { warmup_steps: 10, warmup_from: 0.0, floor: 0.1 };
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        near(schedule.factor(0, 110), 0.1);
        near(schedule.factor(9, 110), 1.0);
        near(schedule.factor(10, 110), 1.0);
        near(schedule.factor(60, 110), 0.55);
        near(schedule.factor(110, 110), 0.1);
    }
}

//! `__name__`: __summary__.
//!
//! Source: say which paper and equation, or whose public code, this follows, and where it differs. What this template
//! does, for step t of S:
//!
//! ```text
//! 1 − (1 − floor) · t / S
//! ```

use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::schedule::Schedule;
use serde::{Deserialize, Serialize};

/// Options of the schedule.
#[derive(Clone, Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct __Name__ {
    /// Factor at the end, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    floor: f64,
}

register!(dyn Schedule, __Name__, name: "__name__", summary: "__summary__",
    paper: None, stability: Experimental, usage: "{floor: 0.1}");

impl Component for __Name__ {
    type Slot = dyn Schedule;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Schedule>> {
        Ok(Box::new(self))
    }
}

impl Schedule for __Name__ {
    // A function of the step alone, so that a training that goes on needs nothing restored.
    fn factor(&self, step: u64, steps: u64) -> f64 {
        let progress = (step as f64 / steps.max(1) as f64).min(1.0);
        1.0 - (1.0 - self.floor) * progress
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, schedule::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::schedule::holds::<__Name__>(Traits::default());
    }

    #[test]
    fn hand_computed_factors() {
        let schedule = __Name__ { floor: 0.2 };
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        near(schedule.factor(0, 100), 1.0);
        near(schedule.factor(50, 100), 0.6);
        near(schedule.factor(100, 100), 0.2);
    }
}

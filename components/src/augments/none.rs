//! `none`: frames as they are.

use maclip_framework::error::Result;
use maclip_framework::random::Rng;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::augment::Augment;
use maclip_framework::slots::dataset::Frames;
use serde::{Deserialize, Serialize};

/// No options.
#[derive(Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoAugment {}

register!(dyn Augment, NoAugment, name: "none", summary: "frames as they are",
    paper: None, stability: Stable, usage: "{}");

impl Component for NoAugment {
    type Slot = dyn Augment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Augment>> {
        Ok(Box::new(self))
    }
}

impl Augment for NoAugment {
    fn identity(&self) -> bool {
        true
    }

    fn apply(&self, frames: Frames, _: Option<&mut Rng>) -> Frames {
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, augment::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::augment::holds::<NoAugment>(Traits::default());
    }
}

//! `none`: frames of the size that they have.

use maclip_framework::error::Result;
use maclip_framework::images::Image;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::resize::Resize;
use serde::{Deserialize, Serialize};

/// No options.
#[derive(Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoResize {}

register!(dyn Resize, NoResize, name: "none", summary: "frames of the size that they have",
    paper: None, stability: Stable, usage: "{}");

impl Component for NoResize {
    type Slot = dyn Resize;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Resize>> {
        Ok(Box::new(self))
    }
}

impl Resize for NoResize {
    fn identity(&self) -> bool {
        true
    }

    fn apply(&self, image: Image) -> Result<Image> {
        Ok(image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, resize::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::resize::holds::<NoResize>(Traits::default());
    }
}

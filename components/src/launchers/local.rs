//! `local`: `maclip run` makes the runs itself, one after the other, or side by side with `--jobs` and `--devices`.

use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::launcher::{Launcher, Queue};
use serde::{Deserialize, Serialize};

/// No options.
#[derive(Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Local {}

register!(dyn Launcher, Local, name: "local", summary: "`maclip run` makes the runs itself, on this machine",
    paper: None, stability: Stable, usage: "{}");

impl Component for Local {
    type Slot = dyn Launcher;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Launcher>> {
        Ok(Box::new(self))
    }
}

impl Launcher for Local {
    fn queue(&self) -> Option<&dyn Queue> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, launcher::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::launcher::holds::<Local>(Traits { here: true, ..Traits::default() });
    }
}

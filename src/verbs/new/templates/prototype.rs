//! `__name__`: __summary__.
//!
//! Source: say which paper and equation, or whose public code, this follows, and where it differs. What this template
//! does, for frame features x `[B, T, E]` of support and query clips alike:
//!
//! ```text
//! x + scale · (W x + b)        W and b are zero at the start
//! ```
//! The first test holds it to the contract of its slot. A module that reads class texts says so in `needs_text`,
//! `describe` and `scope`, see `text_guided.rs`; one that lets clips see each other has the scope `Episode` and
//! `relate`, see `hyrsm.rs`.

use crate::layers::Init;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::Scope;
use maclip_framework::slots::prototype::Prototype;
use serde::{Deserialize, Serialize};

/// Options of the prototype module.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct __Name__Config {
    /// Factor on what is added to the features.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    scale: f64,
}

impl Default for __Name__Config {
    fn default() -> Self {
        Self { scale: 1.0 }
    }
}

register!(dyn Prototype, __Name__Config, name: "__name__", summary: "__summary__",
    paper: None, stability: Experimental, usage: "{scale: 1.0}");

impl Component for __Name__Config {
    type Slot = dyn Prototype;

    fn build(self, context: &BuildContext) -> Result<Box<dyn Prototype>> {
        let e = context.geometry()?.embed_dim;
        let mut init = Init::new(context.init("prototype"), context.trainable_device());
        Ok(Box::new(__Name__ { linear: init.linear_zero(e, e), scale: self.scale }))
    }
}

#[derive(Module, Debug)]
struct __Name__ {
    linear: Linear,
    scale: f64,
}

impl Prototype for __Name__ {
    // What the result for one clip depends on; evaluation reuses results by it.
    fn scope(&self) -> Scope {
        Scope::Clip
    }

    fn needs_text(&self) -> bool {
        false
    }

    fn support(&self, frames: Tensor<3>, _: Tensor<2>) -> Tensor<3> {
        self.query(frames)
    }

    fn query(&self, frames: Tensor<3>) -> Tensor<3> {
        // `[B, T, E]`, every frame on its own.
        frames.clone() + self.linear.forward(frames) * self.scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, prototype::Traits};
    use burn::module::Param;
    use burn::tensor::Device;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::prototype::holds::<__Name__Config>(Traits {
            // Count its operations in `support_cost` and `query_cost`, and claim it.
            costed: false,
            ..Traits::default()
        });
    }

    #[test]
    fn a_hand_computed_case() {
        let device = Device::flex();
        let mut linear = Init::blank(device.clone()).linear_zero(2, 2);
        // Weights are `[in, out]`: (1, 2) → (4, 1).
        linear.weight = Param::from_tensor(Tensor::from_data([[0.0f32, 1.0], [2.0, 0.0]], &device));
        let prototype = __Name__ { linear, scale: 0.5 };
        let frames = Tensor::<3>::from_data([[[1.0f32, 2.0]]], &device);
        let y: Vec<f32> = prototype.query(frames).into_data().iter().collect();
        assert_eq!(y, [3.0, 2.5]);
    }
}

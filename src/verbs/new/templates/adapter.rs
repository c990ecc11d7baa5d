//! `__name__`: __summary__.
//!
//! Source: say which paper and equation, or whose public code, this follows, and where it differs. What this template
//! does, for tokens x `[B, T, N + 1, D]` and a frozen block F:
//!
//! ```text
//! y = F(x)        every frame on its own
//! y + W_up gelu(W_down y)        W_up is zero at the start
//! ```
//! The first test holds it to the contract of its slot, such as that every weight takes part, and to what it claims:
//! that training starts at the frozen model. What goes inside the block takes `ln_1`, `attention`, `ln_2` and `mlp` in
//! place of `forward`: see `aim.rs`.

use super::blocks::{self, Blocks, frames};
use crate::layers::Init;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::gelu;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::{Adapter, Branch};
use maclip_framework::slots::block::FrozenBlock;
use serde::{Deserialize, Serialize};

/// Options of the adapter.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct __Name__Config {
    /// Width of the bottleneck as a part of D.
    #[schemars(range(max = 4.0), extend("exclusiveMinimum" = 0.0))]
    ratio: f64,
    /// Which blocks are adapted: `all`, `{last: 4}` or `{list: [0, 5]}`. What lies below the first is computed once and
    /// kept.
    at: Blocks,
}

impl Default for __Name__Config {
    fn default() -> Self {
        Self { ratio: 0.25, at: Blocks::All }
    }
}

register!(dyn Adapter, __Name__Config, name: "__name__", summary: "__summary__",
    paper: None, stability: Experimental, usage: "{ratio: 0.25}");

impl Component for __Name__Config {
    type Slot = dyn Adapter;

    // A backbone without such blocks is refused before anything is read.
    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        self.at.compatible(facts, problems);
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Adapter>> {
        let geometry = context.geometry()?;
        let mut init = Init::new(context.init("adapter"), context.trainable_device());
        let hidden = ((geometry.width as f64 * self.ratio) as usize).max(1);
        let adapted = self.at.of(geometry.blocks).into_iter();
        let blocks = adapted.map(|adapted| adapted.then(|| Residual::new(geometry.width, hidden, &mut init))).collect();
        Ok(Box::new(__Name__ { blocks }))
    }
}

/// y + W_up gelu(W_down y).
#[derive(Module, Debug)]
struct Residual {
    down: Linear,
    up: Linear,
}

impl Residual {
    fn new(width: usize, hidden: usize, init: &mut Init) -> Self {
        Self { down: init.linear(width, hidden), up: init.linear_zero(hidden, width) }
    }

    /// `[b, n, D]` → the same shape.
    fn forward(&self, y: Tensor<3>) -> Tensor<3> {
        y.clone() + self.up.forward(gelu(self.down.forward(y)))
    }
}

#[derive(Module, Debug)]
struct __Name__ {
    /// One for each block, where the block is adapted.
    blocks: Vec<Option<Residual>>,
}

impl Adapter for __Name__ {
    fn adapts(&self, index: usize) -> bool {
        self.blocks[index].is_some()
    }

    // `LabelledClip` where the class text is read, `Episode` where clips see each other: it decides which results are
    // reused.
    fn scope(&self) -> Scope {
        Scope::Clip
    }

    // An adapter that reads the class text says so here and in `describe`: see `multimodal.rs`.
    fn needs_text(&self) -> bool {
        false
    }

    // `first` is 1 for the last block, of which only the class token is needed.
    fn forward(&self, index: usize, block: &dyn FrozenBlock, x: Tensor<4>, _: &Branch, first: usize) -> Tensor<4> {
        let residual = blocks::adapted(&self.blocks, index);
        let [b, t, _, d] = x.dims();
        // `[B, T, N + 1, D]` → `[B T, first, D]` through the block and back.
        residual.forward(block.forward_first(frames(x), first)).reshape([b, t, first, d])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, adapter::Traits};
    use burn::module::Param;
    use burn::tensor::Device;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::adapter::holds::<__Name__Config>(Traits {
            // Count its operations in `cost`, and claim it.
            costed: false,
            ..Traits::default()
        });
    }

    #[test]
    fn a_hand_computed_case() {
        let device = Device::flex();
        let mut residual = Residual::new(2, 1, &mut Init::blank(device.clone()));
        residual.down.weight = Param::from_tensor(Tensor::from_data([[1.0f32], [1.0]], &device));
        residual.up.weight = Param::from_tensor(Tensor::from_data([[1.0f32, -1.0]], &device));
        let y: Vec<f32> = residual.forward(Tensor::from_data([[[1.0f32, 2.0]]], &device)).into_data().iter().collect();
        // gelu(1 + 2) = 3 Φ(3) = 2.99595
        assert!((y[0] - 3.99595).abs() < 1e-4 && (y[1] + 0.99595).abs() < 1e-4, "{y:?}");
    }
}

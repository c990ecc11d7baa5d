//! `ridge`: a ridge regression of the classes on the support clips of the episode, in closed form.
//!
//! Source: ridge regression as a few-shot classifier (Bertinetto et al., ICLR 2019, R2-D2, without its learned parts).
//! With X `[S, E]` the unit vectors of the time averages of all support clips, Y `[S, W]` their classes, and q that of
//! a query:
//!
//! ```text
//! logits = q Xᵀ (X Xᵀ + λ I)⁻¹ Y      distance = −logits
//! ```
//! The distance to a class depends on the other classes of the episode.

use super::probe::{self, units};
use crate::layers::plain_device;
use burn::module::Module;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::explanation::Explanation;
use serde::{Deserialize, Serialize};

/// Options of the regression.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RidgeConfig {
    /// λ, for features of length 1.
    #[schemars(range(min = 1e-4))]
    penalty: f64,
}

impl Default for RidgeConfig {
    fn default() -> Self {
        Self { penalty: 0.1 }
    }
}

register!(dyn Alignment, RidgeConfig, name: "ridge", summary: "ridge regression of the classes on the episode's support clips",
    paper: Some("R2-D2, ICLR 2019"), stability: Experimental, usage: "{penalty: 0.1}");

impl Component for RidgeConfig {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        Ok(Box::new(Ridge { penalty: self.penalty }))
    }
}

#[derive(Module, Debug)]
struct Ridge {
    penalty: f64,
}

/// A⁻¹ Y of positive definite matrices A `[N, S, S]` and Y `[N, S, W]`, by elimination without exchange of rows.
fn solve(a: Tensor<3>, y: Tensor<3>) -> Tensor<3> {
    let ([n, s, _], w) = (a.dims(), y.dims()[2]);
    let mut rows = Tensor::cat(vec![a, y], 2);
    let identity = Tensor::<2>::eye(s, &plain_device(&rows));
    for at in 0..s {
        let row = rows.clone().narrow(1, at, 1);
        let row = row.clone() / row.narrow(2, at, 1);
        // All other rows lose this column; the row itself becomes the divided one.
        let column = rows.clone().narrow(2, at, 1) - identity.clone().narrow(1, at, 1).unsqueeze();
        rows = rows - column.matmul(row);
    }
    rows.narrow(2, s, w).reshape([n, s, w])
}

impl Alignment for Ridge {
    fn compares_classes(&self) -> bool {
        true
    }

    fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3> {
        let (query, support, classes) = units(query, support);
        let s = support.dims()[1];
        let device = plain_device(&support);
        let penalty = Tensor::<2>::eye(s, &device) * self.penalty;
        let products = support.clone().matmul(support.clone().swap_dims(1, 2)) + penalty.unsqueeze();
        let weights = solve(products, classes);
        -query.matmul(support.swap_dims(1, 2)).matmul(weights)
    }

    fn explain(&self, query: Tensor<3>, support: Tensor<4>) -> Result<Explanation> {
        probe::explain(query, support)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;
    use burn::tensor::Device;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<RidgeConfig>(probe::tested::traits());
    }

    #[test]
    fn a_system_is_solved() {
        // [[4, 2], [2, 3]] x = [[8], [7]]: x = (1.25, 1.5).
        let device = Device::flex();
        let a = Tensor::<3>::from_data([[[4.0f32, 2.0], [2.0, 3.0]]], &device);
        let x = solve(a, Tensor::from_data([[[8.0f32], [7.0]]], &device));
        let x: Vec<f32> = x.into_data().try_to_vec().unwrap();
        assert!((x[0] - 1.25).abs() < 1e-6 && (x[1] - 1.5).abs() < 1e-6, "{x:?}");
    }

    #[test]
    fn a_hand_computed_case() {
        // Supports (1, 0) and (0, 1) of two classes, λ = 1: logits of (0.6, 0.8) are half of them.
        let (query, support) = probe::tested::two_classes();
        let d: Vec<f32> = Ridge { penalty: 1.0 }.distances(query, support).into_data().try_to_vec().unwrap();
        assert!((d[0] + 0.3).abs() < 1e-6 && (d[1] + 0.4).abs() < 1e-6, "{d:?}");
    }
}

//! `diagonal`: frame i against frame i, over the shorter of the two lengths.
//!
//! Source: "diag" of matching_based_fsar, which takes the mean of similarities; the sum of costs is the textbook form.

use super::frame_costs::{Cosine, ShotRule, on_costs};
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use serde::{Deserialize, Serialize};

/// Options of diagonal matching.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Diagonal {
    /// `cost`: Σ_i D[i, i]; `similarity`: −mean_i of the cosine, as matching_based_fsar.
    form: Form,
    /// How several shots of a class become one distance.
    shots: ShotRule,
    /// How the cosine of two frames is computed.
    cosine: Cosine,
}

/// What is taken of the pairs of frames.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Σ_i (1 − cosine of frames i).
    Cost,
    /// Minus the mean cosine of frames i.
    Similarity,
}

impl Default for Diagonal {
    fn default() -> Self {
        Self { form: Form::Cost, shots: ShotRule::MeanFeatures, cosine: Cosine::PlusEpsilon }
    }
}

register!(dyn Alignment, Diagonal, name: "diagonal", summary: "frame i against frame i",
    paper: Some("matching_based_fsar"), stability: Stable, usage: "{}");

impl Component for Diagonal {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        let Self { form, shots, cosine } = self;
        on_costs(shots, cosine, "frames at the same time", move |costs| diagonal(costs, form))
    }
}

/// Diagonal distance of costs `[P, Tq, Ts]` → `[P]`.
pub fn diagonal(costs: Tensor<3>, form: Form) -> Tensor<1> {
    let [pairs, rows, columns] = costs.dims();
    let length = rows.min(columns);
    let cells = (0..length).map(|i| costs.clone().narrow(1, i, 1).narrow(2, i, 1)).collect();
    let sum = Tensor::cat(cells, 1).sum_dim(1).reshape([pairs]);
    match form {
        Form::Cost => sum,
        Form::Similarity => sum / length as f64 - 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame_costs::check;
    use super::*;
    use crate::conformance::{self, alignment::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<Diagonal>(Traits::default());
    }

    #[test]
    fn the_cost_is_that_of_the_cosines() {
        assert_eq!(conformance::alignment::flops::<Diagonal>("cosine: normalized"), Some(check::COSINES));
    }

    #[test]
    fn values_agree_with_an_independent_implementation() {
        check::close(diagonal(check::d1(), Form::Cost), 0.6);
        check::close(diagonal(check::d2(), Form::Cost), 0.35102845890549855);
        check::close(diagonal(check::d1(), Form::Similarity), 0.2 - 1.0);
        // The shorter of the two lengths counts.
        check::close(diagonal(check::d1().narrow(2, 0, 2), Form::Cost), 0.3);
    }
}

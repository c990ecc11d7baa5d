//! `text_mean`: the class text is averaged into the support frames, with nothing to train.
//!
//! A baseline: with `alignment: {type: mean_cosine, shots: mean_features}` a query is compared with the mean of a
//! class's text and prototype. The cosine between a text and a clip of CLIP is small, so both are brought to the same
//! length first. With m the time average of a support clip:
//!
//! ```text
//! F' = (1 − w) F / ‖m‖ + w f_T / ‖f_T‖
//! ```

use burn::module::Module;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::Scope;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::explanation::normalize;
use maclip_framework::slots::prototype::Prototype;
use serde::{Deserialize, Serialize};

/// Options of the mean.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct TextMeanConfig {
    /// w, the part of the text.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    weight: f64,
}

impl Default for TextMeanConfig {
    fn default() -> Self {
        Self { weight: 0.5 }
    }
}

register!(dyn Prototype, TextMeanConfig, name: "text_mean", summary: "mean of support frames and class text; not trained",
    paper: None, stability: Experimental, usage: "{weight: 0.5}");

impl Component for TextMeanConfig {
    type Slot = dyn Prototype;

    fn describe(&self, facts: &mut Facts) {
        facts.readers.push("prototype");
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Prototype>> {
        Ok(Box::new(TextMean { weight: self.weight }))
    }
}

#[derive(Module, Debug)]
struct TextMean {
    weight: f64,
}

impl Prototype for TextMean {
    fn scope(&self) -> Scope {
        Scope::LabelledClip
    }

    fn needs_text(&self) -> bool {
        true
    }

    fn support(&self, frames: Tensor<3>, text: Tensor<2>) -> Tensor<3> {
        let length = frames.clone().mean_dim(1).powf_scalar(2.0).sum_dim(2).sqrt().clamp_min(1e-12);
        let text: Tensor<3> = normalize(text).unsqueeze_dim(1);
        frames / length * (1.0 - self.weight) + text * self.weight
    }

    fn query(&self, frames: Tensor<3>) -> Tensor<3> {
        frames
    }

    fn support_cost(&self, frames: [usize; 3]) -> Option<Cost> {
        Some(Cost::elementwise(frames.iter().product(), 2.0))
    }

    fn query_cost(&self, _: [usize; 3]) -> Option<Cost> {
        Some(Cost::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, prototype::Traits};
    use burn::tensor::Device;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::prototype::holds::<TextMeanConfig>(Traits::default());
    }

    #[test]
    fn the_mean_is_the_hand_computed_one() {
        // Frames (6, 2) and (0, 6): mean (3, 4) of length 5; text (0, 2) of length 2; w = 0.25.
        let device = Device::flex();
        let frames = Tensor::<3>::from_data([[[6.0f32, 2.0], [0.0, 6.0]]], &device);
        let support = TextMean { weight: 0.25 }.support(frames, Tensor::from_data([[0.0f32, 2.0]], &device));
        let got: Vec<f32> = support.into_data().try_to_vec().unwrap();
        let want = [0.9, 0.55, 0.0, 1.15];
        assert!(got.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-6), "{got:?}");
    }
}

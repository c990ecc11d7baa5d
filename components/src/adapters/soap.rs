//! `soap`: three gates on the pixels of a clip before the backbone sees them.
//!
//! Source: SOAP (Huang et al., ACM MM 2024) as the public code of CLIP-SPM has it (hnlxy/CLIP-SPM,
//! models/model_soap.py). With the pixels x of a clip:
//!
//! ```text
//! space and time   a = σ(conv3d of the mean over colours), 3 × 3 × 3                  one value for each pixel
//! channels         b = σ(W₂ conv over time of W₁ (mean of a frame))                   one for each frame and colour
//! motion           c = σ(mean of a frame of linear([conv_o(x)_t − x_t …]))            one for each frame and colour
//! y = 4 x + (a + b + c) x
//! ```
//! The list in c has, for each span o, all windows of o frames, from the last to the first. There the difference is
//! that of a frame's convolution and the same frame, not the next one.

use crate::layers::Init;
use crate::layers::linear;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::sigmoid;
use burn::tensor::module::{conv1d, conv2d, conv3d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Int, Tensor};
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::{Adapter, TowerPart};
use serde::{Deserialize, Serialize};

/// Options of SOAP's gates.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct SoapConfig {
    /// Frames of the windows in c. 1, 2 and 3 in the configurations of the public code.
    #[schemars(length(min = 1), inner(range(min = 1)), extend("uniqueItems" = true))]
    spans: Vec<usize>,
    /// Channels between W₁ and W₂. 16 in public code.
    #[schemars(range(min = 1, max = 65_536))]
    reduced: usize,
    /// Whether the image tower behind the gates is `trained` too, as in public code, or stays `frozen`.
    tower: Tower,
    /// In the public code the convolutions of c are in no list of parameters: they keep their random start and are in
    /// no checkpoint. `true` does the same; `false` trains them. Either way the motion is the convolution of a frame
    /// less the same frame, as there.
    as_published: bool,
}

/// What becomes of the image tower.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Tower {
    /// All of it is trained.
    Trained,
    /// All of it is frozen.
    Frozen,
}

impl Default for SoapConfig {
    fn default() -> Self {
        Self { spans: vec![1, 2, 3], reduced: 16, tower: Tower::Trained, as_published: false }
    }
}

register!(dyn Adapter, SoapConfig, name: "soap", summary: "gates on the pixels of a clip, before the backbone",
    paper: Some("SOAP, ACM MM 2024"), stability: Stable, usage: "{spans: [1, 2]}");

impl Component for SoapConfig {
    type Slot = dyn Adapter;

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        let wrong = facts.passes_features;
        problems.when(wrong, "type", "must be `none`: it changes pixels, and the backbone passes on ready features");
        let Some(t) = facts.frames else { return };
        for (at, span) in self.spans.iter().enumerate().filter(|(_, span)| **span >= t) {
            problems.push(&format!("spans[{at}]"), format!("is {span}, and a clip has {t} frames: it must be less"));
        }
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Adapter>> {
        let t = context.frames()?;
        let mut init = Init::new(context.init("adapter"), context.trainable_device());
        let windows: usize = self.spans.iter().map(|span| span * (t - span)).sum();
        let r = self.reduced;
        let bound = |inputs: usize| (inputs as f64).powf(-0.5);
        let soap = Soap {
            space_time: init.uniform([1, 1, 3, 3, 3], bound(27)),
            reduce: init.uniform([3, r], bound(3)),
            over_time: init.uniform([r, r, 3], bound(3 * r)),
            over_time_bias: init.uniform([r], bound(3 * r)),
            expand: init.uniform([r, 3], bound(r)),
            windows: init.linear(windows, t),
            motion: {
                let device = if self.as_published { context.device.clone() } else { context.trainable_device() };
                let mut init = Init::new(context.init("adapter.motion"), device);
                let kernel = |_: &usize| Kernel {
                    weight: init.uniform([3, 3, 3, 3], bound(27)),
                    bias: init.uniform([3], bound(27)),
                };
                let kernels: Vec<Kernel> = self.spans.iter().map(kernel).collect();
                if self.as_published { kernels.no_grad() } else { kernels }
            },
            spans: self.spans,
            tower: self.tower,
        };
        Ok(Box::new(soap))
    }
}

/// A convolution of 3 × 3 on three colours.
#[derive(Module, Debug)]
struct Kernel {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Soap {
    space_time: Param<Tensor<5>>,
    /// `[3, r]`
    reduce: Param<Tensor<2>>,
    /// `[r, r, 3]`
    over_time: Param<Tensor<3>>,
    over_time_bias: Param<Tensor<1>>,
    /// `[r, 3]`
    expand: Param<Tensor<2>>,
    windows: Linear,
    motion: Vec<Kernel>,
    #[module(skip)]
    spans: Vec<usize>,
    #[module(skip)]
    tower: Tower,
}

impl Soap {
    /// a: pixels `[B, T, 3, H, W]` → `[B, T, 1, H, W]`.
    fn space_time(&self, x: &Tensor<5>) -> Tensor<5> {
        let colourless = x.clone().mean_dim(2).swap_dims(1, 2);
        let options = ConvOptions::new([1; 3], [1; 3], [1; 3], 1);
        sigmoid(conv3d(colourless, self.space_time.val(), None, options)).swap_dims(1, 2)
    }

    /// b: means of frames `[B, T, 3]` → the same shape.
    fn channels(&self, means: Tensor<3>) -> Tensor<3> {
        let reduced = means.matmul(self.reduce.val().unsqueeze()).swap_dims(1, 2);
        let options = ConvOptions::new([1], [1], [1], 1);
        let mixed = conv1d(reduced, self.over_time.val(), Some(self.over_time_bias.val()), options);
        sigmoid(mixed.swap_dims(1, 2).matmul(self.expand.val().unsqueeze()))
    }

    /// c: pixels, and means of frames `[B, T, 3]` → `[B, T, 3]`. All after the convolution is linear, so its mean is
    /// taken first.
    fn motion(&self, x: &Tensor<5>, means: Tensor<3>) -> Tensor<3> {
        let [b, t, colours, h, w] = x.dims();
        let frames: Tensor<4> = x.clone().reshape([b * t, colours, h, w]);
        let windows = self.motion.iter().zip(&self.spans).map(|(kernel, span)| {
            let options = ConvOptions::new([1; 2], [1; 2], [1; 2], 1);
            let y = conv2d(frames.clone(), kernel.weight.val(), Some(kernel.bias.val()), options);
            let of_frames = y.reshape([b, t, colours, h * w]).mean_dim(3).squeeze_dim::<3>(3) - means.clone();
            let places = (0..t - span).rev().flat_map(|from| from..from + span).map(|place| place as i32);
            let places: Vec<i32> = places.collect();
            of_frames.clone().select(1, Tensor::<1, Int>::from_data(places.as_slice(), &means.device()))
        });
        let all = Tensor::cat(windows.collect(), 1);
        sigmoid(linear(&self.windows, all.swap_dims(1, 2)).swap_dims(1, 2))
    }
}

impl Adapter for Soap {
    fn adapts(&self, _: usize) -> bool {
        false
    }

    fn tunes(&self, _: TowerPart) -> bool {
        self.tower == Tower::Trained
    }

    fn changes_pixels(&self) -> bool {
        true
    }

    fn pixels(&self, x: Tensor<5>) -> Tensor<5> {
        let [b, t, colours, h, w] = x.dims();
        let means: Tensor<3> = x.clone().reshape([b, t, colours, h * w]).mean_dim(3).squeeze_dim(3);
        let of_frames = self.channels(means.clone()) + self.motion(&x, means);
        let gates = self.space_time(&x) + of_frames.reshape([b, t, colours, 1, 1]);
        x.clone() * gates + x * 4.0
    }

    fn scope(&self) -> Scope {
        Scope::Clip
    }

    fn needs_text(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, adapter::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::adapter::holds::<SoapConfig>(Traits {
            also: &["spans: [1, 2], tower: frozen"],
            starts_frozen: false,
            ..Traits::default()
        });
    }
}

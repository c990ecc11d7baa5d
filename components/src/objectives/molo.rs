//! `molo`: another objective, a classifier over all training classes, and a decoder that must show how the pixels
//! change.
//!
//! Source: MoLo (Wang et al., CVPR 2023) as its public code computes it (alibaba-mmai-research/MoLo,
//! models/base/few_shot.py, `CNN_BiMHM_MoLo`, and runs/train_net_few_shot.py), on what the prototype module `molo` adds
//! to frames:
//!
//! ```text
//! L = L' + w · CE(W (mean of frames and class token + mean of changes and their class token) + b)
//!        + r · mean (decoder(Δ_t) − (pixels_{t+1} − pixels_t))²
//! ```
//! L' is the other objective's loss. The decoder doubles, quadruples and quadruples the side of Δ (bilinear, corners
//! aligned), each time with a convolution of 3 × 3, a batch norm and relu, and ends with one of 1 × 1. It is used in
//! training alone, where its batch norms have the statistics of the episode.

use super::ma_clip::cross_entropy;
use crate::layers::{Init, linear, plain_device};
use crate::prototypes::molo::{CHANGES, CLASS_TOKEN, MOTION};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData};
use maclip_framework::error::{Error, Result};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Nested};
use maclip_framework::slots::layout::{Layout, Part};
use maclip_framework::slots::module::Slot;
use maclip_framework::slots::objective::{AllClasses, Labels, Loss, Objective, Scores};
use serde::{Deserialize, Serialize};

/// Options of MoLo's losses.
#[derive(Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct MoloConfig {
    /// The objective that the losses are added to, with its `type` and its options: `weighted_distances` in public
    /// code.
    objective: Nested<dyn Objective>,
    /// w. In public code 0.8 on SSv2-Full, 0.15 on SSv2-Small, 0.1 on Kinetics, 0.4 on HMDB51, 0.6 on UCF101.
    #[serde(default = "class_weight")]
    #[schemars(range(min = 0.0))]
    class_weight: f64,
    /// r; 0 leaves the decoder out. The public code has 0.1 (SSv2-Full, Kinetics) or 0.05, and divides all other terms
    /// by the 4 tasks of a step, so there r is 0.4 or 0.2 beside them.
    #[serde(default = "reconstruction_weight")]
    #[schemars(range(min = 0.0))]
    reconstruction_weight: f64,
    /// Channels of the decoder after each of its three steps. 128, 32 and 16 in public code.
    #[serde(default = "decoder")]
    #[schemars(inner(range(min = 1, max = 65_536)))]
    decoder: [usize; 3],
    /// Number of training classes; `null` takes it from the dataset, where the dataset states it.
    #[serde(default)]
    #[schemars(range(min = 2, max = 100_000))]
    classes: Option<usize>,
}

fn class_weight() -> f64 {
    0.8
}

fn reconstruction_weight() -> f64 {
    0.4
}

fn decoder() -> [usize; 3] {
    [128, 32, 16]
}

register!(dyn Objective, MoloConfig, name: "molo",
    summary: "another objective, a classifier over all training classes, and a decoder of changing pixels",
    paper: Some("MoLo, CVPR 2023"), stability: Stable, usage: "{objective: {type: metric}, classes: 64}");

impl Component for MoloConfig {
    type Slot = dyn Objective;

    fn describe(&self, facts: &mut Facts) {
        facts.reads("objective", CLASS_TOKEN);
        facts.reads("objective", MOTION);
        if self.reconstruction_weight > 0.0 {
            facts.reads("objective", CHANGES);
            facts.reads("objective", Part::Pixels);
        }
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Objective>> {
        let Some(classes) = self.classes.or(context.train_classes) else {
            return Err(Error::failed("the objective `molo` does not know how many training classes there are")
                .help("the dataset does not state it before it is read: give `objective.classes`"));
        };
        let (given, compared) = (context.given().clone(), context.compared().clone());
        compared.shape(CLASS_TOKEN)?;
        let mut init = Init::new(context.init("objective.classifier"), context.trainable_device());
        let classifier = init.linear(compared.feature_width(), classes);
        let decoder = match self.reconstruction_weight > 0.0 {
            false => None,
            true => {
                let ([positions, width], [_, pixels]) = (compared.shape(CHANGES)?, given.shape(Part::Pixels)?);
                if pixels != positions * UP.pow(2) {
                    let message = format!(
                        "frames of {} × {} pixels have {positions} positions in the map, and the decoder of `molo` needs \
                         one for 32 × 32 pixels",
                        pixels.isqrt(),
                        pixels.isqrt()
                    );
                    return Err(Error::failed(message).help(
                        "choose a backbone whose map is 1/32 of the image, such as resnet or ViT-B/32, or set \
                               `objective.reconstruction_weight: 0`",
                    ));
                }
                let mut init = Init::new(context.init("objective.decoder"), context.trainable_device());
                Some(Decoder::new(width, self.decoder, &mut init))
            }
        };
        Ok(Box::new(Molo {
            objective: Slot::new(self.objective.build(context)?),
            classifier,
            decoder,
            class_weight: self.class_weight,
            reconstruction_weight: self.reconstruction_weight,
            classes,
            given,
            compared,
        }))
    }
}

/// How often the side of a map is in that of the image.
const UP: usize = 32;
/// The factors of the decoder's three steps.
const STEPS: [usize; 3] = [2, 4, 4];
/// ε of PyTorch's batch norm.
const EPSILON: f64 = 1e-5;

/// Which mean and variance a batch norm takes.
pub enum Statistics<'a> {
    /// Those of what it gets.
    OfTheBatch,
    /// These, for each of the three norms.
    Given(&'a [[Tensor<1>; 2]; 3]),
}

/// One step of the decoder.
#[derive(Module, Debug)]
struct Step {
    /// `[out, in, 3, 3]`
    kernel: Param<Tensor<4>>,
    gamma: Param<Tensor<1>>,
    beta: Param<Tensor<1>>,
    up: usize,
}

/// Changes of a map → changes of pixels.
#[derive(Module, Debug)]
pub struct Decoder {
    steps: Vec<Step>,
    output: Linear,
}

impl Decoder {
    /// For changes of `width` channels; each step has so many `channels`.
    pub fn new(width: usize, channels: [usize; 3], init: &mut Init) -> Self {
        let inputs = [width, channels[0], channels[1]];
        let step = |at: usize, init: &mut Init| {
            let bound = ((9 * inputs[at]) as f64).powf(-0.5);
            Step {
                kernel: init.uniform([channels[at], inputs[at], 3, 3], bound),
                gamma: init.constant([channels[at]], 1.0),
                beta: init.constant([channels[at]], 0.0),
                up: STEPS[at],
            }
        };
        Self { steps: (0..3).map(|at| step(at, init)).collect(), output: init.linear(channels[2], 3) }
    }

    /// `[b, width, h, w]` → `[b, 3, 32 h, 32 w]`, and mean and variance (that of PyTorch's normalisation, divided by
    /// the number) that each norm saw.
    pub fn forward(&self, x: Tensor<4>, statistics: &Statistics) -> (Tensor<4>, Vec<[Tensor<1>; 2]>) {
        let mut seen = Vec::new();
        let x = self.steps.iter().enumerate().fold(x, |x, (at, step)| {
            let x = enlarged(x, step.up);
            let x = conv2d(x, step.kernel.val(), None, ConvOptions::new([1; 2], [1; 2], [1; 2], 1));
            let channels = x.dims()[1];
            let own = {
                let rows: Tensor<2> = x.clone().swap_dims(0, 1).flatten(1, 3);
                let mean = rows.clone().mean_dim(1);
                let centred = rows - mean.clone();
                let variance = (centred.clone() * centred).mean_dim(1);
                [mean.reshape([channels]), variance.reshape([channels])]
            };
            let [mean, variance] = match statistics {
                Statistics::OfTheBatch => own.clone(),
                Statistics::Given(given) => given[at].clone(),
            };
            seen.push(own);
            let scale = step.gamma.val() / (variance + EPSILON).sqrt();
            let shift = step.beta.val() - mean * scale.clone();
            relu(x * scale.reshape([1, channels, 1, 1]) + shift.reshape([1, channels, 1, 1]))
        });
        let y = linear(&self.output, x.permute([0, 2, 3, 1]));
        (y.permute([0, 3, 1, 2]), seen)
    }
}

/// Bilinear interpolation of maps `[b, c, h, w]` to `up` times their sides, with the corners where they were.
fn enlarged(x: Tensor<4>, up: usize) -> Tensor<4> {
    let ([b, c, h, w], device) = (x.dims(), plain_device(&x));
    // `[size, up · size]`: the share of each input in each output.
    let shares = |size: usize| {
        let outputs = up * size;
        let mut shares = vec![0.0f32; size * outputs];
        for output in 0..outputs {
            let at = if outputs > 1 { (output * (size - 1)) as f64 / (outputs - 1) as f64 } else { 0.0 };
            let low = (at as usize).min(size - 1);
            let high = (low + 1).min(size - 1);
            let part = at - low as f64;
            shares[low * outputs + output] += (1.0 - part) as f32;
            shares[high * outputs + output] += part as f32;
        }
        Tensor::<2>::from_data(TensorData::new(shares, [size, outputs]), &device)
    };
    let rows = x.reshape([b * c * h, w]).matmul(shares(w)).reshape([b * c, h, up * w]);
    let columns = shares(h).transpose().unsqueeze::<3>().expand([b * c, up * h, h]).matmul(rows);
    columns.reshape([b, c, up * h, up * w])
}

#[derive(Module, Debug)]
struct Molo {
    objective: Slot<dyn Objective>,
    classifier: Linear,
    decoder: Option<Decoder>,
    class_weight: f64,
    reconstruction_weight: f64,
    classes: usize,
    #[module(skip)]
    given: Layout,
    #[module(skip)]
    compared: Layout,
}

impl Molo {
    /// Logits of the training classes for each clip, `[N, M, C]`.
    fn logits(&self, all: &AllClasses) -> Tensor<3> {
        let [n, m, t, _] = all.compared.dims();
        let e = self.compared.feature_width();
        let frames = self.compared.feature(all.compared.clone()).sum_dim(2);
        let class = self.compared.part(CLASS_TOKEN, all.compared.clone()).narrow(2, 0, 1);
        let motion = self.compared.part(MOTION, all.compared.clone()).mean_dim(2);
        let features = (frames + class) / (t + 1) as f64 + motion;
        linear(&self.classifier, features.reshape([n, m, e]))
    }

    /// The mean square of the decoder's error.
    fn reconstruction(&self, decoder: &Decoder, all: &AllClasses) -> Tensor<1> {
        let [n, m, t, _] = all.compared.dims();
        let [positions, width] = self.compared.shape(CHANGES).expect("it was built with changes");
        let (side, frames) = (positions.isqrt(), n * m * (t - 1));
        let changes = self.compared.part(CHANGES, all.compared.clone()).narrow(2, 0, t - 1);
        let changes: Tensor<3> = changes.reshape([frames, positions, width]).swap_dims(1, 2);
        let pixels = self.given.part(Part::Pixels, all.given.clone());
        let target = pixels.clone().narrow(2, 1, t - 1) - pixels.narrow(2, 0, t - 1);
        let target = target.reshape([frames, 3, UP * side, UP * side]);
        let (got, _) = decoder.forward(changes.reshape([frames, width, side, side]), &Statistics::OfTheBatch);
        let error = got - target;
        (error.clone() * error).mean()
    }
}

impl Objective for Molo {
    fn inner(&self) -> Option<&dyn Objective> {
        Some(&*self.objective)
    }

    fn needs_text(&self) -> bool {
        self.objective.needs_text()
    }

    fn all_classes(&self) -> bool {
        true
    }

    fn classes(&self) -> Option<usize> {
        Some(self.classes)
    }

    fn loss(&self, scores: &Scores, labels: &Labels) -> Loss {
        let Loss { mut total, mut parts } = self.objective.loss(scores, labels);
        if let Some(all) = &scores.all_classes {
            let classes = cross_entropy(self.logits(all), all.labels.clone());
            total = total + classes.clone() * self.class_weight;
            parts.push(("classes", classes));
            if let Some(decoder) = &self.decoder {
                let error = self.reconstruction(decoder, all);
                total = total + error.clone() * self.reconstruction_weight;
                parts.push(("reconstruction", error));
            }
        }
        Loss { total, parts }
    }

    fn probabilities(&self, scores: &Scores) -> Tensor<3> {
        self.objective.probabilities(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, objective::Traits};
    use burn::tensor::Device;
    use maclip_framework::model::parameters;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::objective::holds::<MoloConfig>(Traits {
            // The decoder needs frames of 32 pixels for each place of the map.
            instead: Some("objective: {type: metric}, classes: 64, reconstruction_weight: 0"),
            parts: &[(CLASS_TOKEN, [1, 8]), (MOTION, [1, 8])],
            with: &[("prototype", "{type: molo, hidden: 32}"), ("alignment", "{type: molo}")],
            ..Traits::default()
        });
    }

    #[test]
    fn corners_stay_where_they_are() {
        let x = Tensor::<4>::from_data([[[[0.0f32, 3.0], [6.0, 9.0]]]], &Device::flex());
        let got: Vec<f32> = enlarged(x, 2).into_data().try_to_vec().unwrap();
        let want: Vec<f32> =
            [0.0, 2.0, 4.0, 6.0].iter().flat_map(|row| [0.0, 1.0, 2.0, 3.0].map(|c| row + c)).collect();
        assert!(got.iter().zip(&want).all(|(g, w)| (g - w).abs() < 1e-5), "{got:?}");
    }

    #[test]
    fn the_decoder_has_as_many_parameters_as_published() {
        let decoder = Decoder::new(256, [128, 32, 16], &mut Init::blank(Device::flex()));
        assert_eq!(parameters::count(&decoder).total, 336_787);
        let (y, _) = decoder.forward(Tensor::zeros([1, 256, 1, 1], &Device::flex()), &Statistics::OfTheBatch);
        assert_eq!(y.dims(), [1, 3, 32, 32]);
    }
}

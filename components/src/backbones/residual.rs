//! What the ResNets share: convolutions, norms with fixed statistics, bottlenecks, and the steps of a tower of four
//! stages.
//!
//! Source: He et al., CVPR 2016. Batch norms keep the checkpoint's running statistics, also when a tower is fine-tuned:
//! episodes are small and their statistics noisy.

use super::handed_out::HandedOut;
use crate::layers::Init;
use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData};
use maclip_framework::error::{Error, Result};
use maclip_framework::model::parameters::{is_trainable, trainable};
use maclip_framework::slots::adapter::{Adapter, Depth, TowerPart};
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::layout::Part;
use maclip_framework::weights::HostTensor;
use std::collections::BTreeMap;
use std::ops::Range;

/// ε of PyTorch's batch norm.
const EPSILON: f64 = 1e-5;
/// Number of stages; adapters count them as blocks.
pub const STAGES: usize = 4;

/// Batch norm with fixed statistics: (x − mean) / √(var + ε) · weight + bias.
#[derive(Module, Debug)]
pub struct FixedBatchNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    running_mean: Tensor<1>,
    #[module(skip)]
    running_var: Tensor<1>,
}

/// A convolution without bias that keeps the size, but for its stride.
#[derive(Module, Debug)]
pub struct Conv {
    /// `[out, in, k, k]`, no bias.
    weight: Param<Tensor<4>>,
}

/// The convolution and norm of a shortcut that changes shape.
#[derive(Module, Debug)]
pub struct Downsample {
    conv: Conv,
    norm: FixedBatchNorm,
}

/// Three convolutions around a shortcut.
#[derive(Module, Debug)]
pub struct Bottleneck {
    conv1: Conv,
    bn1: FixedBatchNorm,
    conv2: Conv,
    bn2: FixedBatchNorm,
    conv3: Conv,
    bn3: FixedBatchNorm,
    downsample: Option<Downsample>,
    stride: usize,
    /// Whether an average over `stride` × `stride` positions makes the stride (CLIP), or the second convolution itself.
    pooled: bool,
}

impl Conv {
    /// A square kernel of `side` positions.
    pub fn new(input: usize, output: usize, side: usize, init: &mut Init) -> Self {
        let std = (2.0 / (input * side * side) as f64).sqrt();
        Self { weight: init.normal([output, input, side, side], std) }
    }

    /// Output channels.
    pub fn channels(&self) -> usize {
        self.weight.val().dims()[0]
    }

    /// What `positions` output positions cost, with the norm and the activation that follow.
    pub fn cost(&self, positions: usize) -> Cost {
        let [output, input, height, width] = self.weight.lazy_shape().dims();
        // The product reads patches that are cut out of x; x itself is held, and kept for the gradient where the weight
        // is trained.
        let product = Cost::product(positions, input * height * width, output);
        let kept = if is_trainable(&self.weight) { (positions * input) as f64 } else { 0.0 };
        let product = Cost { values: product.values + kept, largest: (positions * (input + output)) as f64, ..product };
        product + Cost::elementwise(positions * output, 2.0)
    }

    /// `[B, in, H, W]` → `[B, out, H / stride, W / stride]`.
    pub fn forward(&self, x: Tensor<4>, stride: usize) -> Tensor<4> {
        let weight = self.weight.val();
        let padding = weight.dims()[2] / 2;
        conv2d(x, weight, None, ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1))
    }
}

impl FixedBatchNorm {
    /// Takes the running statistics below `path` out of `tensors`; mean 0 and variance 1 with `without`.
    ///
    /// # Errors
    /// Where they are missing or of another shape.
    pub fn new(
        path: &str,
        channels: usize,
        tensors: &mut BTreeMap<String, HostTensor>,
        without: bool,
        init: &mut Init,
    ) -> Result<Self> {
        let (weight, bias) = (init.constant([channels], 1.0), init.constant([channels], 0.0));
        let device = weight.lazy_device().without_autodiff();
        let mut statistic = |name: &str, default: f32| {
            let path = format!("{path}.{name}");
            let values = match tensors.remove(&path) {
                Some(tensor) if tensor.shape == [channels] => tensor.values,
                Some(tensor) => {
                    let message =
                        format!("of the wrong shape: {path} is {:?}, the model has [{channels}]", tensor.shape);
                    return Err(Error::failed(message));
                }
                None if without => vec![default; channels],
                None => return Err(Error::failed(format!("missing: {path} [{channels}]"))),
            };
            Ok(Tensor::<1>::from_data(TensorData::new(values, [channels]), &device))
        };
        Ok(Self {
            running_mean: statistic("running_mean", 0.0)?,
            running_var: statistic("running_var", 1.0)?,
            weight,
            bias,
        })
    }

    /// `[B, C, H, W]` → the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let channels = self.running_mean.dims()[0];
        let scale = self.weight.val() / (self.running_var.clone() + EPSILON).sqrt();
        let shift = self.bias.val() - self.running_mean.clone() * scale.clone();
        x * scale.reshape([1, channels, 1, 1]) + shift.reshape([1, channels, 1, 1])
    }

    /// The running statistics, by their names below `path`.
    pub fn buffers(&self, path: &str, into: &mut BTreeMap<String, HostTensor>) {
        for (name, tensor) in [("running_mean", &self.running_mean), ("running_var", &self.running_var)] {
            let values: Vec<f32> = tensor.clone().into_data().iter::<f32>().collect();
            into.insert(format!("{path}.{name}"), HostTensor { shape: vec![values.len()], values });
        }
    }
}

/// Average pooling with equal kernel and stride.
pub fn average_pool(x: Tensor<4>, side: usize) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    let cells = x.reshape([b, c, h / side, side, w / side, side]);
    cells.mean_dim(5).mean_dim(3).reshape([b, c, h / side, w / side])
}

/// Sizes of a [`Bottleneck`].
#[derive(Clone, Copy, Debug)]
pub struct BottleneckSizes {
    /// Channels that it reads.
    pub input: usize,
    /// Channels of its inner convolutions; it returns four times as many.
    pub planes: usize,
    /// Of the inner convolution, and of the shortcut.
    pub stride: usize,
    /// See [`Bottleneck`].
    pub pooled: bool,
    /// Whether the shortcut has a convolution of its own.
    pub downsample: bool,
}

impl Bottleneck {
    /// `norm` makes the norm of a part, such as `bn1`, with a number of channels.
    ///
    /// # Errors
    /// As `norm`.
    pub fn new(
        sizes: BottleneckSizes,
        norm: &mut dyn FnMut(&str, usize, &mut Init) -> Result<FixedBatchNorm>,
        init: &mut Init,
    ) -> Result<Self> {
        let BottleneckSizes { input, planes, stride, pooled, downsample } = sizes;
        let downsample = downsample.then(|| -> Result<Downsample> {
            Ok(Downsample {
                conv: Conv::new(input, 4 * planes, 1, init),
                norm: norm("downsample.norm", 4 * planes, init)?,
            })
        });
        Ok(Self {
            downsample: downsample.transpose()?,
            conv1: Conv::new(input, planes, 1, init),
            bn1: norm("bn1", planes, init)?,
            conv2: Conv::new(planes, planes, 3, init),
            bn2: norm("bn2", planes, init)?,
            conv3: Conv::new(planes, 4 * planes, 1, init),
            bn3: norm("bn3", 4 * planes, init)?,
            stride,
            pooled,
        })
    }

    /// `[B, input, H, W]` → `[B, 4 · planes, H / stride, W / stride]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let pool = |x: Tensor<4>| if self.pooled && self.stride > 1 { average_pool(x, self.stride) } else { x };
        let stride = if self.pooled { 1 } else { self.stride };
        let y = relu(self.bn1.forward(self.conv1.forward(x.clone(), 1)));
        let y = relu(self.bn2.forward(self.conv2.forward(y, stride)));
        let y = self.bn3.forward(self.conv3.forward(pool(y), 1));
        let shortcut = match &self.downsample {
            Some(down) => down.norm.forward(down.conv.forward(pool(x), stride)),
            None => x,
        };
        relu(y + shortcut)
    }

    /// What `frames` frames of `side` × `side` cost.
    pub fn cost(&self, frames: usize, side: usize) -> Cost {
        let positions = |side: usize| frames * side * side;
        let (inner, outer) = (positions(side), positions(side / self.stride));
        let middle = if self.pooled { inner } else { outer };
        let shortcut = self.downsample.as_ref().map_or(Cost::NONE, |down| down.conv.cost(outer));
        self.conv1.cost(inner) + self.conv2.cost(middle) + self.conv3.cost(outer) + shortcut
    }

    /// The running statistics, by their names below `path`.
    pub fn buffers(&self, path: &str, into: &mut BTreeMap<String, HostTensor>) {
        for (part, norm) in [("bn1", &self.bn1), ("bn2", &self.bn2), ("bn3", &self.bn3)] {
            norm.buffers(&format!("{path}.{part}"), into);
        }
        if let Some(down) = &self.downsample {
            down.norm.buffers(&format!("{path}.downsample.norm"), into);
        }
    }
}

/// A tower of a stem, four stages and a pooling, with the steps that every backbone needs.
pub trait Staged {
    /// The four stages.
    fn stages(&self) -> [&Vec<Bottleneck>; STAGES];
    /// What is handed out behind the feature.
    fn parts(&self) -> &HandedOut;
    /// Side of the square input in pixels; 32 times that of the map after the last stage.
    fn side(&self) -> usize;
    /// `[B, 3, H, W]` → `[B, width, H / 4, W / 4]`.
    fn stem(&self, x: Tensor<4>) -> Tensor<4>;
    /// What the stem costs for `frames` frames.
    fn stem_cost(&self, frames: usize) -> Cost;
    /// The map after the last stage, `[B, C, h, w]` → `[B, E]`.
    fn pool(&self, map: Tensor<4>) -> Tensor<2>;
    /// What the pooling costs for `frames` frames.
    fn pool_cost(&self, frames: usize) -> Cost;

    /// Channels that `stage` reads: the stem gives a quarter of what the first stage does.
    fn channels(&self, stage: usize) -> usize {
        let planes = self.stages()[0].first().map_or(0, |block| block.conv1.channels());
        planes * if stage == 0 { 1 } else { 2 << stage }
    }

    /// Values of one frame that `stage` reads.
    fn values(&self, stage: usize) -> usize {
        let side = self.side() / if stage == 0 { 4 } else { 2 << stage };
        self.channels(stage) * side.pow(2)
    }

    /// The stages of `range`, in NCHW.
    fn through(&self, range: Range<usize>, x: Tensor<4>) -> Tensor<4> {
        self.stages()[range].iter().flat_map(|blocks| blocks.iter()).fold(x, |x, block| block.forward(x))
    }

    /// What the stages of `range` cost for `frames` frames.
    fn through_cost(&self, range: Range<usize>, frames: usize) -> Cost {
        let (stages, whole) = (self.stages(), self.side());
        let of = |stage: usize| {
            // Stage s ends with a side of 1 / (4 · 2^s) of the input's; its first bottleneck still has the one before.
            let side = whole / (4 << stage);
            stages[stage].iter().map(move |block| block.cost(frames, side * block.stride)).sum::<Cost>()
        };
        range.map(of).sum()
    }

    /// The map after the last stage → features `[B, T, E]`, with what is handed out behind them.
    fn pooled(&self, map: Tensor<4>, clips: usize, mut carried: super::handed_out::Carried) -> Tensor<3> {
        carried.keep(Part::Map, || positions(map.clone(), clips));
        carried.behind(by_clip(self.pool(map), clips))
    }

    /// See `Backbone::prefix`.
    fn staged_prefix(&self, pixels: Tensor<5>, adapter: &dyn Adapter) -> Tensor<3> {
        let [b, t, c, h, w] = pixels.dims();
        let frozen = match Depth::of(adapter, STAGES) {
            Depth::Pixels => return pixels.flatten(2, 4),
            Depth::Block(index) => index,
            Depth::Head | Depth::Features => STAGES,
        };
        let mut carried = self.parts().begin();
        carried.keep(Part::Pixels, || pixels.clone().flatten(2, 4));
        let x = self.through(0..frozen, self.stem(pixels.reshape([b * t, c, h, w])));
        match Depth::of(adapter, STAGES) {
            Depth::Features => self.pooled(x, b, carried),
            _ => carried.before(x.reshape([b as i32, t as i32, -1])),
        }
    }

    /// See `Backbone::encode_steps`.
    fn staged_steps(&self, adapter: &dyn Adapter) -> Vec<usize> {
        let before = |stage: usize| self.parts().known(0) + self.values(stage);
        match Depth::of(adapter, STAGES) {
            Depth::Features => Vec::new(),
            Depth::Head => vec![before(STAGES)],
            Depth::Block(first) => (first..STAGES).map(before).collect(),
            Depth::Pixels => {
                let pixels = 3 * self.side().pow(2);
                [pixels].into_iter().chain((1..STAGES).map(before)).collect()
            }
        }
    }

    /// See `Backbone::encode_step`.
    fn staged_step(&self, step: usize, x: Tensor<3>, adapter: &dyn Adapter) -> Tensor<3> {
        let [b, t, values] = x.dims();
        let (stage, carried, x) = match Depth::of(adapter, STAGES) {
            Depth::Pixels if step == 0 => {
                let side = (values / 3).isqrt();
                let mut carried = self.parts().begin();
                carried.keep(Part::Pixels, || x.clone());
                let pixels = adapter.pixels(x.reshape([b, t, 3, side, side]));
                (0, carried, self.stem(pixels.reshape([b * t, 3, side, side])))
            }
            depth => {
                let stage = match depth {
                    Depth::Block(first) => first + step,
                    Depth::Pixels => step,
                    Depth::Head | Depth::Features => STAGES,
                };
                let known = self.parts().known(0);
                let (carried, x) = self.parts().split(known, x);
                let channels = self.channels(stage);
                let side = ((values - known) / channels).isqrt();
                (stage, carried, x.reshape([b * t, channels, side, side]))
            }
        };
        let x = self.through(stage..STAGES.min(stage + 1), x);
        let x = if stage < STAGES && adapter.adapts(stage) { behind_stage(adapter, stage, x, b) } else { x };
        match stage + 1 < STAGES {
            true => carried.before(x.reshape([b as i32, t as i32, -1])),
            false => self.pooled(x, b, carried),
        }
    }

    /// See `Backbone::prefix_cost`.
    fn staged_prefix_cost(&self, frames: usize, adapter: &dyn Adapter) -> Cost {
        let until = |stage: usize| self.stem_cost(frames) + self.through_cost(0..stage, frames);
        match Depth::of(adapter, STAGES) {
            Depth::Pixels => Cost::NONE,
            Depth::Block(index) => until(index),
            Depth::Head => until(STAGES),
            Depth::Features => until(STAGES) + self.pool_cost(frames),
        }
    }

    /// See `Backbone::encode_step_cost`.
    fn staged_step_cost(&self, step: usize, [b, t]: [usize; 2], adapter: &dyn Adapter) -> Option<Cost> {
        let frames = b * t;
        let stage = match Depth::of(adapter, STAGES) {
            Depth::Features => return Some(Cost::NONE),
            Depth::Head => STAGES,
            Depth::Block(first) => first + step,
            Depth::Pixels => step,
        };
        let behind = match stage < STAGES && adapter.adapts(stage) {
            true => {
                let channels = self.channels(stage + 1);
                adapter.stage_cost(stage, [b, t, self.values(stage + 1) / channels, channels])?
            }
            false => Cost::NONE,
        };
        let stem = match Depth::of(adapter, STAGES) {
            Depth::Pixels if step == 0 => self.stem_cost(frames),
            _ => Cost::NONE,
        };
        let pool = if stage + 1 < STAGES { Cost::NONE } else { self.pool_cost(frames) };
        Some(stem + self.through_cost(stage..STAGES.min(stage + 1), frames) + behind + pool)
    }
}

/// The map `[B T, C, h, w]` behind stage `index`, after what the adapter puts there: the same shape.
fn behind_stage(adapter: &dyn Adapter, index: usize, map: Tensor<4>, clips: usize) -> Tensor<4> {
    let [frames, c, h, w] = map.dims();
    let positions: Tensor<3> = map.reshape([frames, c, h * w]);
    let positions = positions.swap_dims(1, 2).reshape([clips, frames / clips, h * w, c]);
    let adapted = adapter.behind_stage(index, positions).reshape([frames, h * w, c]);
    adapted.swap_dims(1, 2).reshape([frames, c, h, w])
}

/// Makes those of `stages` trainable for which `tunes` is true.
pub fn tune_stages(stages: [&mut Vec<Bottleneck>; STAGES], tunes: &dyn Fn(TowerPart) -> bool) {
    for (index, stage) in stages.into_iter().enumerate() {
        if tunes(TowerPart::Block(index)) {
            *stage = trainable(stage.clone());
        }
    }
}

/// `[B T, C, h, w]` → `[B, T, h w C]`, positions in row-major order.
fn positions(map: Tensor<4>, clips: usize) -> Tensor<3> {
    let [frames, channels, height, width] = map.dims();
    let map: Tensor<3> = map.reshape([frames, channels, height * width]);
    map.swap_dims(1, 2).reshape([clips, frames / clips, height * width * channels])
}

/// `[B T, E]` → `[B, T, E]`.
fn by_clip(features: Tensor<2>, clips: usize) -> Tensor<3> {
    let [frames, e] = features.dims();
    features.reshape([clips, frames / clips, e])
}

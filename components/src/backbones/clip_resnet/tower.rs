//! The modified ResNet of CLIP: three-convolution stem, average pooling before every stride, attention pooling.

use super::Architecture;
use crate::backbones::clip::ImageTower;
use crate::backbones::handed_out::{Carried, HandedOut};
use crate::layers::{Init, linear, linear_cost};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::{relu, softmax};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData};
use maclip_framework::error::{Error, Result};
use maclip_framework::model::parameters::{is_trainable, trainable};
use maclip_framework::slots::adapter::{Adapter, Branch, Depth, TowerPart};
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::layout::Part;
use maclip_framework::weights::HostTensor;
use std::collections::BTreeMap;
use std::ops::Range;

/// ε of PyTorch's batch norm.
const EPSILON: f64 = 1e-5;
/// Number of stages; adapters count them as blocks.
const STAGES: usize = 4;

/// Batch norm with fixed statistics: (x − mean) / √(var + ε) · weight + bias.
#[derive(Module, Debug)]
struct FixedBatchNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    running_mean: Tensor<1>,
    #[module(skip)]
    running_var: Tensor<1>,
}

#[derive(Module, Debug)]
struct Conv {
    /// `[out, in, k, k]`, no bias.
    weight: Param<Tensor<4>>,
}

/// The convolution and norm of a shortcut that changes shape.
#[derive(Module, Debug)]
struct Downsample {
    conv: Conv,
    norm: FixedBatchNorm,
}

#[derive(Module, Debug)]
struct Bottleneck {
    conv1: Conv,
    bn1: FixedBatchNorm,
    conv2: Conv,
    bn2: FixedBatchNorm,
    conv3: Conv,
    bn3: FixedBatchNorm,
    downsample: Option<Downsample>,
    stride: usize,
}

/// Attention of the mean over all positions.
#[derive(Module, Debug)]
struct AttentionPool {
    /// `[positions + 1, C]`
    positional_embedding: Param<Tensor<2>>,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    c_proj: Linear,
    heads: usize,
}

#[derive(Module, Debug)]
pub struct ResNet {
    conv1: Conv,
    bn1: FixedBatchNorm,
    conv2: Conv,
    bn2: FixedBatchNorm,
    conv3: Conv,
    bn3: FixedBatchNorm,
    layer1: Vec<Bottleneck>,
    layer2: Vec<Bottleneck>,
    layer3: Vec<Bottleneck>,
    layer4: Vec<Bottleneck>,
    attnpool: AttentionPool,
    #[module(skip)]
    handed_out: HandedOut,
}

impl Conv {
    fn new(input: usize, output: usize, side: usize, init: &mut Init) -> Self {
        let std = (2.0 / (input * side * side) as f64).sqrt();
        Self { weight: init.normal([output, input, side, side], std) }
    }

    /// Output channels.
    fn channels(&self) -> usize {
        self.weight.val().dims()[0]
    }

    /// What `positions` output positions cost, with the norm and the activation that follow.
    fn cost(&self, positions: usize) -> Cost {
        let [output, input, height, width] = self.weight.lazy_shape().dims();
        // The product reads patches that are cut out of x; x itself is held, and kept for the gradient where the weight
        // is trained.
        let product = Cost::product(positions, input * height * width, output);
        let kept = if is_trainable(&self.weight) { (positions * input) as f64 } else { 0.0 };
        let product = Cost { values: product.values + kept, largest: (positions * (input + output)) as f64, ..product };
        product + Cost::elementwise(positions * output, 2.0)
    }

    /// `[B, in, H, W]` → `[B, out, H / stride, W / stride]`.
    fn forward(&self, x: Tensor<4>, stride: usize) -> Tensor<4> {
        let weight = self.weight.val();
        let padding = weight.dims()[2] / 2;
        conv2d(x, weight, None, ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1))
    }
}

impl FixedBatchNorm {
    /// Takes the running statistics of `path` out of `tensors`; mean 0 and variance 1 where `tensors` is empty.
    fn new(
        path: &str,
        channels: usize,
        tensors: &mut BTreeMap<String, HostTensor>,
        without: bool,
        init: &mut Init,
    ) -> Result<Self> {
        let (weight, bias) = (init.constant([channels], 1.0), init.constant([channels], 0.0));
        let device = weight.lazy_device().without_autodiff();
        let mut statistic = |name: &str, default: f32| {
            let path = format!("visual.{path}.{name}");
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

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let channels = self.running_mean.dims()[0];
        let scale = self.weight.val() / (self.running_var.clone() + EPSILON).sqrt();
        let shift = self.bias.val() - self.running_mean.clone() * scale.clone();
        x * scale.reshape([1, channels, 1, 1]) + shift.reshape([1, channels, 1, 1])
    }

    fn buffers(&self, path: &str, into: &mut BTreeMap<String, HostTensor>) {
        for (name, tensor) in [("running_mean", &self.running_mean), ("running_var", &self.running_var)] {
            let values: Vec<f32> = tensor.clone().into_data().iter::<f32>().collect();
            into.insert(format!("{path}.{name}"), HostTensor { shape: vec![values.len()], values });
        }
    }
}

/// Average pooling with equal kernel and stride.
fn average_pool(x: Tensor<4>, side: usize) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    let cells = x.reshape([b, c, h / side, side, w / side, side]);
    cells.mean_dim(5).mean_dim(3).reshape([b, c, h / side, w / side])
}

impl Bottleneck {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let pool = |x: Tensor<4>| if self.stride > 1 { average_pool(x, self.stride) } else { x };
        let y = relu(self.bn1.forward(self.conv1.forward(x.clone(), 1)));
        let y = relu(self.bn2.forward(self.conv2.forward(y, 1)));
        let y = self.bn3.forward(self.conv3.forward(pool(y), 1));
        let shortcut = match &self.downsample {
            Some(down) => down.norm.forward(down.conv.forward(pool(x), 1)),
            None => x,
        };
        relu(y + shortcut)
    }

    /// What `frames` frames of `side` × `side` cost.
    fn cost(&self, frames: usize, side: usize) -> Cost {
        let positions = |side: usize| frames * side * side;
        let (inner, outer) = (positions(side), positions(side / self.stride));
        let shortcut = self.downsample.as_ref().map_or(Cost::NONE, |down| down.conv.cost(outer));
        self.conv1.cost(inner) + self.conv2.cost(inner) + self.conv3.cost(outer) + shortcut
    }
}

impl AttentionPool {
    /// `[B, C, H, W]` → `[B, E]`: the mean position attends to itself and all others.
    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let [b, c, h, w] = x.dims();
        let x: Tensor<3> = x.reshape([b, c, h * w]).swap_dims(1, 2);
        let x = Tensor::cat(vec![x.clone().mean_dim(1), x], 1) + self.positional_embedding.val().unsqueeze();
        let head = c / self.heads;
        let split = |x: Tensor<3>| {
            let n = x.dims()[1];
            x.reshape([b, n, self.heads, head]).swap_dims(1, 2)
        };
        let q = split(linear(&self.q_proj, x.clone().narrow(1, 0, 1))) * (head as f64).powf(-0.5);
        let scores = q.matmul(split(linear(&self.k_proj, x.clone())).swap_dims(2, 3));
        let mixed = softmax(scores, 3).matmul(split(linear(&self.v_proj, x)));
        linear(&self.c_proj, mixed.swap_dims(1, 2).reshape([b, c]))
    }

    /// `[positions + 1, C]`
    fn sizes(&self) -> [usize; 2] {
        self.positional_embedding.lazy_shape().dims()
    }

    /// What `frames` frames cost.
    fn cost(&self, frames: usize) -> Cost {
        let [n, c] = self.sizes();
        let all = linear_cost(&self.k_proj, frames * n) + linear_cost(&self.v_proj, frames * n);
        let one = linear_cost(&self.q_proj, frames) + linear_cost(&self.c_proj, frames);
        all + one + Cost::attention(frames, [1, n], c)
    }
}

impl ResNet {
    /// Takes the running statistics out of `tensors` (by module path). They may be empty for a model of which only the
    /// sizes matter.
    pub fn new(a: &Architecture, tensors: &mut BTreeMap<String, HostTensor>, init: &mut Init) -> Result<Self> {
        let (w, without) = (a.vision_width, tensors.is_empty());
        let mut norm =
            |path: &str, channels: usize, init: &mut Init| FixedBatchNorm::new(path, channels, tensors, without, init);
        let mut stage = |number: usize, init: &mut Init| -> Result<Vec<Bottleneck>> {
            let planes = w << (number - 1);
            (0..a.vision_layers[number - 1])
                .map(|index| {
                    let path = |part: &str| format!("layer{number}.{index}.{part}");
                    let input = match (number, index) {
                        (1, 0) => w,
                        (_, 0) => 2 * planes,
                        _ => 4 * planes,
                    };
                    let stride = if index == 0 && number > 1 { 2 } else { 1 };
                    let downsample = (index == 0).then(|| -> Result<Downsample> {
                        Ok(Downsample {
                            conv: Conv::new(input, 4 * planes, 1, init),
                            norm: norm(&path("downsample.norm"), 4 * planes, init)?,
                        })
                    });
                    Ok(Bottleneck {
                        downsample: downsample.transpose()?,
                        conv1: Conv::new(input, planes, 1, init),
                        bn1: norm(&path("bn1"), planes, init)?,
                        conv2: Conv::new(planes, planes, 3, init),
                        bn2: norm(&path("bn2"), planes, init)?,
                        conv3: Conv::new(planes, 4 * planes, 1, init),
                        bn3: norm(&path("bn3"), 4 * planes, init)?,
                        stride,
                    })
                })
                .collect()
        };
        let (layer1, layer2, layer3, layer4) = (stage(1, init)?, stage(2, init)?, stage(3, init)?, stage(4, init)?);
        let channels = a.channels();
        Ok(Self {
            conv1: Conv::new(3, w / 2, 3, init),
            bn1: norm("bn1", w / 2, init)?,
            conv2: Conv::new(w / 2, w / 2, 3, init),
            bn2: norm("bn2", w / 2, init)?,
            conv3: Conv::new(w / 2, w, 3, init),
            bn3: norm("bn3", w, init)?,
            layer1,
            layer2,
            layer3,
            layer4,
            attnpool: AttentionPool {
                positional_embedding: init
                    .normal([(a.image_size / 32).pow(2) + 1, channels], (channels as f64).powf(-0.5)),
                q_proj: init.linear(channels, channels),
                k_proj: init.linear(channels, channels),
                v_proj: init.linear(channels, channels),
                c_proj: init.linear(channels, a.embed_dim),
                heads: a.vision_heads,
            },
            handed_out: HandedOut::default(),
        })
    }

    /// `[B, 3, H, W]` → `[B, width, H / 4, W / 4]`.
    fn stem(&self, x: Tensor<4>) -> Tensor<4> {
        let x = relu(self.bn1.forward(self.conv1.forward(x, 2)));
        let x = relu(self.bn2.forward(self.conv2.forward(x, 1)));
        average_pool(relu(self.bn3.forward(self.conv3.forward(x, 1))), 2)
    }

    /// The map after the last stage `[B T, C, h, w]` → features `[B, T, E]`, with what is handed out behind them.
    fn pooled(&self, map: Tensor<4>, clips: usize, mut carried: Carried) -> Tensor<3> {
        carried.keep(Part::Map, || positions(map.clone(), clips));
        carried.behind(by_clip(self.attnpool.forward(map), clips))
    }

    /// Side of the input: 32 times that of the last stage's output.
    fn side(&self) -> usize {
        32 * (self.attnpool.sizes()[0] - 1).isqrt()
    }

    /// Channels that `stage` reads: the stem gives `width`, stage s 4 · width · 2^(s − 1).
    fn channels(&self, stage: usize) -> usize {
        self.conv3.channels() * if stage == 0 { 1 } else { 2 << stage }
    }

    /// Values of one frame that `stage` reads.
    fn values(&self, stage: usize) -> usize {
        let side = self.side() / if stage == 0 { 4 } else { 2 << stage };
        self.channels(stage) * side.pow(2)
    }

    /// What the stem costs for `frames` frames.
    fn stem_cost(&self, frames: usize) -> Cost {
        let positions = frames * (self.side() / 2).pow(2);
        self.conv1.cost(positions) + self.conv2.cost(positions) + self.conv3.cost(positions)
    }

    /// What the stages of `range` cost for `frames` frames.
    fn through_cost(&self, range: Range<usize>, frames: usize) -> Cost {
        let stages = [&self.layer1, &self.layer2, &self.layer3, &self.layer4];
        let of = |stage: usize| {
            // Stage s ends with a side of 1 / (4 · 2^s) of the input's; its first bottleneck still has the one before.
            let side = self.side() / (4 << stage);
            stages[stage].iter().map(move |block| block.cost(frames, side * block.stride)).sum::<Cost>()
        };
        range.map(of).sum()
    }

    /// The stages of `range`, in NCHW.
    fn through(&self, range: Range<usize>, x: Tensor<4>) -> Tensor<4> {
        let stages = [&self.layer1, &self.layer2, &self.layer3, &self.layer4];
        stages[range].iter().flat_map(|blocks| blocks.iter()).fold(x, |x, block| block.forward(x))
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

impl ImageTower for ResNet {
    fn prefix(&self, pixels: Tensor<5>, adapter: &dyn Adapter) -> Tensor<3> {
        let [b, t, c, h, w] = pixels.dims();
        let frozen = match Depth::of(adapter, STAGES) {
            Depth::Pixels => return pixels.flatten(2, 4),
            Depth::Block(index) => index,
            Depth::Head | Depth::Features => STAGES,
        };
        let mut carried = self.handed_out.begin();
        carried.keep(Part::Pixels, || pixels.clone().flatten(2, 4));
        let x = self.through(0..frozen, self.stem(pixels.reshape([b * t, c, h, w])));
        match Depth::of(adapter, STAGES) {
            Depth::Features => self.pooled(x, b, carried),
            _ => carried.before(x.reshape([b as i32, t as i32, -1])),
        }
    }

    fn encode_steps(&self, adapter: &dyn Adapter) -> Vec<usize> {
        let before = |stage: usize| self.handed_out.known(0) + self.values(stage);
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

    fn encode_step(&self, step: usize, x: Tensor<3>, adapter: &dyn Adapter, _: &Branch) -> Tensor<3> {
        let [b, t, values] = x.dims();
        let (stage, carried, x) = match Depth::of(adapter, STAGES) {
            Depth::Pixels if step == 0 => {
                let side = (values / 3).isqrt();
                let mut carried = self.handed_out.begin();
                carried.keep(Part::Pixels, || x.clone());
                (0, carried, self.stem(x.reshape([b * t, 3, side, side])))
            }
            depth => {
                let stage = match depth {
                    Depth::Block(first) => first + step,
                    Depth::Pixels => step,
                    Depth::Head | Depth::Features => STAGES,
                };
                let known = self.handed_out.known(0);
                let (carried, x) = self.handed_out.split(known, x);
                let channels = self.channels(stage);
                let side = ((values - known) / channels).isqrt();
                (stage, carried, x.reshape([b * t, channels, side, side]))
            }
        };
        let x = self.through(stage..STAGES.min(stage + 1), x);
        match stage + 1 < STAGES {
            true => carried.before(x.reshape([b as i32, t as i32, -1])),
            false => self.pooled(x, b, carried),
        }
    }

    fn hand_out(&mut self, parts: HandedOut) {
        self.handed_out = parts;
    }

    fn prefix_cost(&self, [b, t]: [usize; 2], adapter: &dyn Adapter) -> Option<Cost> {
        let until = |stage: usize| self.stem_cost(b * t) + self.through_cost(0..stage, b * t);
        Some(match Depth::of(adapter, STAGES) {
            Depth::Pixels => Cost::NONE,
            Depth::Block(index) => until(index),
            Depth::Head => until(STAGES),
            Depth::Features => until(STAGES) + self.attnpool.cost(b * t),
        })
    }

    fn encode_step_cost(&self, step: usize, [b, t]: [usize; 2], adapter: &dyn Adapter, _: &Branch) -> Option<Cost> {
        let stage = match Depth::of(adapter, STAGES) {
            Depth::Features => return Some(Cost::NONE),
            Depth::Head => STAGES,
            Depth::Block(first) => first + step,
            Depth::Pixels => step,
        };
        let stem = match Depth::of(adapter, STAGES) {
            Depth::Pixels if step == 0 => self.stem_cost(b * t),
            _ => Cost::NONE,
        };
        let pool = if stage + 1 < STAGES { Cost::NONE } else { self.attnpool.cost(b * t) };
        Some(stem + self.through_cost(stage..STAGES.min(stage + 1), b * t) + pool)
    }

    fn tune(&mut self, tunes: &dyn Fn(TowerPart) -> bool) {
        if tunes(TowerPart::Embedding) {
            self.conv1 = trainable(self.conv1.clone());
            self.conv2 = trainable(self.conv2.clone());
            self.conv3 = trainable(self.conv3.clone());
            self.bn1 = trainable(self.bn1.clone());
            self.bn2 = trainable(self.bn2.clone());
            self.bn3 = trainable(self.bn3.clone());
        }
        for (index, stage) in
            [&mut self.layer1, &mut self.layer2, &mut self.layer3, &mut self.layer4].into_iter().enumerate()
        {
            if tunes(TowerPart::Block(index)) {
                *stage = trainable(stage.clone());
            }
        }
        if tunes(TowerPart::Projection) {
            self.attnpool = trainable(self.attnpool.clone());
        }
    }

    fn buffers(&self) -> BTreeMap<String, HostTensor> {
        let mut buffers = BTreeMap::new();
        for (path, norm) in [("bn1", &self.bn1), ("bn2", &self.bn2), ("bn3", &self.bn3)] {
            norm.buffers(path, &mut buffers);
        }
        let stages = [&self.layer1, &self.layer2, &self.layer3, &self.layer4];
        for (stage, blocks) in stages.into_iter().enumerate() {
            for (index, block) in blocks.iter().enumerate() {
                let path = |part: &str| format!("layer{}.{index}.{part}", stage + 1);
                for (part, norm) in [("bn1", &block.bn1), ("bn2", &block.bn2), ("bn3", &block.bn3)] {
                    norm.buffers(&path(part), &mut buffers);
                }
                if let Some(down) = &block.downsample {
                    down.norm.buffers(&path("downsample.norm"), &mut buffers);
                }
            }
        }
        buffers
    }
}

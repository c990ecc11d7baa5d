//! The modified ResNet of CLIP: three-convolution stem, average pooling before every stride, attention pooling.

use super::Architecture;
use crate::backbones::clip::ImageTower;
use crate::backbones::handed_out::HandedOut;
use crate::backbones::residual::{
    Bottleneck, BottleneckSizes, Conv, FixedBatchNorm, STAGES, Staged, average_pool, tune_stages,
};
use crate::layers::{Init, linear, linear_cost};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::{relu, softmax};
use maclip_framework::error::Result;
use maclip_framework::model::parameters::trainable;
use maclip_framework::slots::adapter::{Adapter, Branch, TowerPart};
use maclip_framework::slots::cost::Cost;
use maclip_framework::weights::HostTensor;
use std::collections::BTreeMap;

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
        let mut norm = |path: &str, channels: usize, init: &mut Init| {
            FixedBatchNorm::new(&format!("visual.{path}"), channels, tensors, without, init)
        };
        let mut stage = |number: usize, init: &mut Init| -> Result<Vec<Bottleneck>> {
            let planes = w << (number - 1);
            (0..a.vision_layers[number - 1])
                .map(|index| {
                    let input = match (number, index) {
                        (1, 0) => w,
                        (_, 0) => 2 * planes,
                        _ => 4 * planes,
                    };
                    let stride = if index == 0 && number > 1 { 2 } else { 1 };
                    let sizes = BottleneckSizes { input, planes, stride, pooled: true, downsample: index == 0 };
                    let mut of_block = |part: &str, channels: usize, init: &mut Init| {
                        norm(&format!("layer{number}.{index}.{part}"), channels, init)
                    };
                    Bottleneck::new(sizes, &mut of_block, init)
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
}

impl Staged for ResNet {
    fn stages(&self) -> [&Vec<Bottleneck>; STAGES] {
        [&self.layer1, &self.layer2, &self.layer3, &self.layer4]
    }

    fn parts(&self) -> &HandedOut {
        &self.handed_out
    }

    fn side(&self) -> usize {
        32 * (self.attnpool.sizes()[0] - 1).isqrt()
    }

    fn stem(&self, x: Tensor<4>) -> Tensor<4> {
        let x = relu(self.bn1.forward(self.conv1.forward(x, 2)));
        let x = relu(self.bn2.forward(self.conv2.forward(x, 1)));
        average_pool(relu(self.bn3.forward(self.conv3.forward(x, 1))), 2)
    }

    fn stem_cost(&self, frames: usize) -> Cost {
        let positions = frames * (self.side() / 2).pow(2);
        self.conv1.cost(positions) + self.conv2.cost(positions) + self.conv3.cost(positions)
    }

    fn pool(&self, map: Tensor<4>) -> Tensor<2> {
        self.attnpool.forward(map)
    }

    fn pool_cost(&self, frames: usize) -> Cost {
        self.attnpool.cost(frames)
    }
}

impl ImageTower for ResNet {
    fn prefix(&self, pixels: Tensor<5>, adapter: &dyn Adapter) -> Tensor<3> {
        self.staged_prefix(pixels, adapter)
    }

    fn encode_steps(&self, adapter: &dyn Adapter) -> Vec<usize> {
        self.staged_steps(adapter)
    }

    fn encode_step(&self, step: usize, x: Tensor<3>, adapter: &dyn Adapter, _: &Branch) -> Tensor<3> {
        self.staged_step(step, x, adapter)
    }

    fn hand_out(&mut self, parts: HandedOut) {
        self.handed_out = parts;
    }

    fn prefix_cost(&self, [b, t]: [usize; 2], adapter: &dyn Adapter) -> Option<Cost> {
        Some(self.staged_prefix_cost(b * t, adapter))
    }

    fn encode_step_cost(&self, step: usize, clips: [usize; 2], adapter: &dyn Adapter, _: &Branch) -> Option<Cost> {
        self.staged_step_cost(step, clips, adapter)
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
        tune_stages([&mut self.layer1, &mut self.layer2, &mut self.layer3, &mut self.layer4], tunes);
        if tunes(TowerPart::Projection) {
            self.attnpool = trainable(self.attnpool.clone());
        }
    }

    fn buffers(&self) -> BTreeMap<String, HostTensor> {
        let mut buffers = BTreeMap::new();
        for (path, norm) in [("bn1", &self.bn1), ("bn2", &self.bn2), ("bn3", &self.bn3)] {
            norm.buffers(path, &mut buffers);
        }
        for (stage, blocks) in self.stages().into_iter().enumerate() {
            for (index, block) in blocks.iter().enumerate() {
                block.buffers(&format!("layer{}.{index}", stage + 1), &mut buffers);
            }
        }
        buffers
    }
}

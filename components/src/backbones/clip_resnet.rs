//! `clip_resnet`: CLIP with its modified ResNet (RN50, RN101): three-convolution stem, average pooling before every stride,
//! attention pooling at the end.
//!
//! Source: Radford et al. 2021 (arXiv 2103.00020), section 2.4, and the OpenAI state dict. Batch norms keep the checkpoint's
//! running statistics, also when the tower is fine-tuned: episodes are small and their statistics noisy.

use super::clip::block::Activation;
use super::clip::checkpoint::{self, Source};
use super::clip::sizes::{
    Choice, Shapes, TextSizes, no_multiple, out_of_range, refuse_bloat, stack_values, text_sizes, too_large,
};
use super::clip::tokenizer::Tokenizer;
use super::clip::{Clip, ImageTower, geometry, names};
use super::clip_vit::{check_builtin, check_given};
use crate::layers::{Init, plain_device};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::{relu, softmax};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use maclip_framework::error::{Error, Result};
use maclip_framework::parameters::{HostTensor, trainable};
use maclip_framework::register;
use maclip_framework::registry::{Component, Problems};
use maclip_framework::run::BuildContext;
use maclip_framework::slots::adapter::{Adapter, Branch, TowerPart};
use maclip_framework::slots::backbone::Backbone;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// ε of PyTorch's batch norm.
const EPSILON: f64 = 1e-5;

/// Options of the ResNet CLIP.
#[derive(Clone, Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClipResNetConfig {
    /// A safetensors file or torch state dict with OpenAI's names.
    pub weights: String,
    /// A published name (`RN50`, `RN101`) or own sizes; only needed for `maclip plan` without weights, otherwise checked
    /// against the checkpoint.
    pub architecture: Option<Choice<Architecture>>,
    /// Heads of the pooling, where they are not the last stage's channels / 64.
    pub vision_heads: Option<usize>,
    /// Heads of the text tower, where they are not width / 64.
    pub text_heads: Option<usize>,
}

/// Sizes of a ResNet CLIP.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Side of the square input in pixels; a multiple of 32.
    pub image_size: usize,
    /// Width of the first stage's bottlenecks; the last stage has 32 times as many channels.
    pub vision_width: usize,
    /// Bottlenecks of the four stages.
    pub vision_layers: [usize; 4],
    /// Heads of the attention pooling.
    pub vision_heads: usize,
    /// Width E of the joint embedding.
    pub embed_dim: usize,
    /// Longest text in tokens, start and end included.
    pub context_length: usize,
    /// Width of the text tower's tokens.
    pub text_width: usize,
    /// Blocks of the text tower.
    pub text_layers: usize,
    /// Attention heads of the text tower; must divide its width.
    pub text_heads: usize,
}

impl Choice<Architecture> {
    fn resnet(&self) -> Option<Architecture> {
        let (layers, embed_dim) = match self {
            Choice::Sizes(sizes) => return Some(sizes.clone()),
            Choice::Name(name) if name == "RN50" => ([3, 4, 6, 3], 1024),
            Choice::Name(name) if name == "RN101" => ([3, 4, 23, 3], 512),
            Choice::Name(_) => return None,
        };
        Some(Architecture {
            image_size: 224,
            vision_width: 64,
            vision_layers: layers,
            vision_heads: 32,
            embed_dim,
            context_length: 77,
            text_width: 512,
            text_layers: 12,
            text_heads: 8,
        })
    }
}

impl Architecture {
    fn text(&self) -> TextSizes {
        let sizes = [self.context_length, self.text_width, self.text_layers, self.text_heads, self.embed_dim];
        text_sizes(sizes, Activation::QuickGelu)
    }

    /// Channels of the last stage.
    fn channels(&self) -> usize {
        32 * self.vision_width
    }

    /// The published name of these sizes, if they have one.
    pub fn name(&self) -> Option<&'static str> {
        ["RN50", "RN101"].into_iter().find(|name| Choice::Name((*name).to_owned()).resnet().as_ref() == Some(self))
    }

    /// Number of values of the model, about.
    fn values(&self, vocabulary: usize) -> f64 {
        let stage = |(number, layers): (usize, &usize)| {
            // Per bottleneck: 1 × 1 in, 3 × 3, 1 × 1 out, of w, w and 4 w channels.
            *layers as f64 * 17.0 * ((self.vision_width << number) as f64).powi(2)
        };
        let channels = self.channels() as f64;
        self.vision_layers.iter().enumerate().map(stage).sum::<f64>()
            + channels * (3.0 * channels + self.embed_dim as f64 + (self.image_size / 32).pow(2) as f64)
            + stack_values(self.text_layers, self.text_width, 4 * self.text_width)
            + (vocabulary as f64 + self.context_length as f64 + self.embed_dim as f64) * self.text_width as f64
    }

    fn problem(&self) -> Option<String> {
        let [a, b, c, d] = self.vision_layers;
        let sizes = [
            ("image_size", self.image_size),
            ("vision_width", self.vision_width),
            ("vision_heads", self.vision_heads),
            ("embed_dim", self.embed_dim),
            ("context_length", self.context_length),
            ("text_width", self.text_width),
            ("text_layers", self.text_layers),
            ("text_heads", self.text_heads),
            ("vision_layers", a),
            ("vision_layers", b),
            ("vision_layers", c),
            ("vision_layers", d),
        ];
        out_of_range(&sizes)
            .or_else(|| no_multiple(sizes[0], ("32", 32)))
            .or_else(|| no_multiple(("vision_width", self.vision_width), ("2", 2)))
            .or_else(|| no_multiple(("the last stage's channels", self.channels()), sizes[2]))
            .or_else(|| no_multiple(sizes[5], sizes[7]))
            .or_else(|| too_large(self.values(0)))
    }

    /// Sizes from tensor shapes; heads as published models have them.
    pub fn from_shapes(source: &str, tensors: &BTreeMap<String, HostTensor>) -> Result<Self> {
        let shapes = Shapes { source, tensors };
        let width = shapes.of("visual.layer1.0.conv1.weight", 4)?[0];
        let grid = (shapes.of("visual.attnpool.positional_embedding", 2)?[0].saturating_sub(1)).isqrt();
        let text_width = shapes.of("ln_final.weight", 1)?[0];
        Ok(Self {
            image_size: grid.saturating_mul(32),
            vision_width: width,
            vision_layers: [1, 2, 3, 4].map(|stage| shapes.layers(&format!("visual.layer{stage}."))),
            vision_heads: width / 2,
            embed_dim: shapes.of("text_projection", 2)?[1],
            context_length: shapes.of("positional_embedding", 2)?[0],
            text_width,
            text_layers: shapes.layers("transformer.resblocks."),
            text_heads: text_width / 64,
        })
    }
}

register!(dyn Backbone, ClipResNetConfig, name: "clip_resnet", summary: "CLIP with a ResNet (RN50) and its text tower",
    paper: Some("CLIP, arXiv 2103.00020; MA-CLIP's fully fine-tuned rows"), stability: Stable,
    example: "{weights: RN50.safetensors}");

impl Component for ClipResNetConfig {
    type Slot = dyn Backbone;

    fn check(&self, problems: &mut Problems) {
        check_builtin(&self.weights, problems);
        problems.when(self.weights == "random", "weights", "cannot be random: batch norms need running statistics");
        if let Some(choice) = &self.architecture {
            match choice.resnet().map(|sizes| sizes.problem()) {
                None => problems.push("architecture", "is no published size; there are RN50, RN101, or give own sizes"),
                Some(Some(problem)) => problems.push("architecture", format!("cannot be built: {problem}")),
                Some(None) => {}
            }
        }
    }

    fn inputs(&self, problems: &mut Problems) {
        check_given(&self.weights, "RN50.safetensors", problems);
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Backbone>> {
        Ok(Box::new(self.clip(context)?))
    }
}

impl ClipResNetConfig {
    /// The model, with its weights.
    pub fn clip(&self, context: &BuildContext) -> Result<Clip> {
        let asked = self.architecture.as_ref().and_then(Choice::<Architecture>::resnet);
        if context.sizes_only
            && let Some(sizes) = asked
        {
            return self.blank(&sizes, Tokenizer::OpenAi, &context.device);
        }
        let source = checkpoint::open(&self.weights)?;
        context.note_weights(&self.weights, source.sha256.clone());
        let sizes = self.sizes(&source)?;
        if let Some(asked) = asked
            && asked != sizes
        {
            return Err(Error::failed(format!(
                "{} holds another architecture than the recipe asks for: {sizes:?}, not {asked:?}",
                self.weights
            ))
            .help("remove backbone.architecture, or choose the matching weights"));
        }
        let tokenizer = source.tokenizer()?;
        let mut tensors = names::from_openai(source.tensors)?;
        let mut blank = Init::blank(context.device.clone());
        let tower = ResNet::new(&sizes, &mut tensors, &mut blank)
            .map_err(|error| Error::failed(format!("{} does not fit the model:\n  {error}", self.weights)))?;
        assemble(tower, &sizes, tokenizer, &mut blank).with_weights(&self.weights, tensors)
    }

    /// A model of these sizes without weights.
    pub fn blank(&self, sizes: &Architecture, tokenizer: Tokenizer, device: &Device) -> Result<Clip> {
        let mut blank = Init::blank(device.clone());
        let tower = ResNet::new(sizes, &mut BTreeMap::new(), &mut blank)?;
        Ok(assemble(tower, sizes, tokenizer, &mut blank).no_grad())
    }

    /// Sizes of a checkpoint: the recipe's word, then the file's own, then its shapes.
    pub fn sizes(&self, source: &Source) -> Result<Architecture> {
        let mut sizes = match source.own_architecture()? {
            Some(sizes) => sizes,
            None => Architecture::from_shapes(&source.label, &source.tensors)?,
        };
        sizes.vision_heads = self.vision_heads.unwrap_or(sizes.vision_heads);
        sizes.text_heads = self.text_heads.unwrap_or(sizes.text_heads);
        match sizes.problem() {
            None => {
                refuse_bloat(&source.label, sizes.values(source.tokenizer()?.size()), &source.tensors)?;
                Ok(sizes)
            }
            Some(problem) => {
                Err(Error::failed(format!("{} holds a model that cannot be built: {problem}", source.label)))
            }
        }
    }
}

fn assemble(tower: ResNet, sizes: &Architecture, tokenizer: Tokenizer, init: &mut Init) -> Clip {
    let tokens = (sizes.image_size / 32).pow(2) + 1;
    let mut geometry = geometry(sizes.image_size, sizes.channels(), sizes.embed_dim, 4, tokens);
    geometry.transformer = false;
    Clip::new(Box::new(tower), sizes.text(), tokenizer, geometry, sizes, init)
}

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
}

impl Conv {
    fn new(input: usize, output: usize, side: usize, init: &mut Init) -> Self {
        let std = (2.0 / (input * side * side) as f64).sqrt();
        Self { weight: init.normal([output, input, side, side], std) }
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
        let device = plain_device(&weight.val());
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
        let q = split(self.q_proj.forward(x.clone().narrow(1, 0, 1))) * (head as f64).powf(-0.5);
        let scores = q.matmul(split(self.k_proj.forward(x.clone())).swap_dims(2, 3));
        let mixed = softmax(scores, 3).matmul(split(self.v_proj.forward(x)));
        self.c_proj.forward(mixed.swap_dims(1, 2).reshape([b, c]))
    }
}

impl ResNet {
    /// Takes the running statistics out of `tensors` (by module path), which may be empty for a model of which only the sizes
    /// matter.
    fn new(a: &Architecture, tensors: &mut BTreeMap<String, HostTensor>, init: &mut Init) -> Result<Self> {
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
        })
    }

    /// `[B, 3, H, W]` → `[B, width, H / 4, W / 4]`.
    fn stem(&self, x: Tensor<4>) -> Tensor<4> {
        let x = relu(self.bn1.forward(self.conv1.forward(x, 2)));
        let x = relu(self.bn2.forward(self.conv2.forward(x, 1)));
        average_pool(relu(self.bn3.forward(self.conv3.forward(x, 1))), 2)
    }

    /// `[B, 3, H, W]` → `[B, E]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let blocks = [&self.layer1, &self.layer2, &self.layer3, &self.layer4].into_iter().flatten();
        self.attnpool.forward(blocks.fold(self.stem(images), |x, block| block.forward(x)))
    }
}

impl ImageTower for ResNet {
    fn encode(&self, pixels: Tensor<5>, _: &dyn Adapter, _: &Branch) -> Tensor<3> {
        let [b, t, c, h, w] = pixels.dims();
        let features = self.forward(pixels.reshape([b * t, c, h, w]));
        let e = features.dims()[1];
        features.reshape([b, t, e])
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use maclip_framework::parameters;

    #[derive(Module, Debug)]
    struct Holder {
        visual: ResNet,
    }

    fn sizes() -> Architecture {
        let mut sizes = Choice::<Architecture>::Name("RN50".to_owned()).resnet().unwrap();
        (sizes.image_size, sizes.vision_width, sizes.vision_heads) = (64, 2, 4);
        (sizes.vision_layers, sizes.embed_dim) = ([1, 2, 1, 1], 16);
        sizes
    }

    #[test]
    fn features_agree_with_open_clip() {
        let mut fixture = fixtures::open("rn50_tiny");
        let (input, expected) = (fixture.take("input_u8"), fixture.take("expected"));
        fixture.tensors.retain(|name, _| name.starts_with("visual.") && !names::is_no_weight(name));
        let mut tensors = names::from_openai(fixture.tensors).unwrap();
        let mut init = Init::blank(Device::flex());
        let visual = ResNet::new(&sizes(), &mut tensors, &mut init).unwrap();
        let tower = parameters::import(Holder { visual }, tensors, false).unwrap().visual;
        let images = (fixtures::tensor::<4>(&input) - 128.0) / 32.0;
        fixtures::close(tower.forward(images), &expected, 2e-5);
    }

    #[test]
    fn published_sizes_have_the_published_counts() {
        let config = ClipResNetConfig {
            weights: "absent".to_owned(),
            architecture: Some(Choice::Name("RN50".to_owned())),
            ..ClipResNetConfig::default()
        };
        let mut context = BuildContext::new(0, Device::flex());
        context.sizes_only = true;
        let clip = config.clip(&context).unwrap();
        let params = parameters::count(&clip);
        // Counted by open_clip: image tower 38,316,896, text tower 63,690,240, factor 1.
        assert_eq!(params.total, 102_007_137);
        let visual = params.parts.iter().filter(|part| part.slot == "visual").map(|part| part.total);
        assert_eq!(visual.sum::<usize>(), 38_316_896);
    }

    #[test]
    fn missing_statistics_are_named() {
        let mut tensors = BTreeMap::from([("visual.x".to_owned(), HostTensor { shape: vec![1], values: vec![0.0] })]);
        let message = ResNet::new(&sizes(), &mut tensors, &mut Init::blank(Device::flex())).unwrap_err().to_string();
        assert!(message.contains("running_mean"), "{message}");
    }
}

//! `resnet`: a ResNet with bottlenecks and ImageNet weights (ResNet-50, -101, -152), without text tower. The backbone
//! of most published few-shot methods.
//!
//! Source: He et al., CVPR 2016, in the form of torchvision (pytorch/vision, `torchvision/models/resnet.py`), whose
//! stride is in the 3 × 3 convolution; timm's `resnet50` is the same network with the same names. The feature of a
//! frame is the mean of the map after the last stage, 2,048 values; the classifier is not used. ResNet-50 has
//! 23,508,032 parameters. Batch norms keep the checkpoint's running statistics, also when the tower is fine-tuned.

use super::clip::checkpoint::{self, Source};
use super::clip::config::Described;
use super::clip::preparation::{self, Asked, Pixels, Preparation};
use super::clip::settings::Settings;
use super::clip_vit::{check_key, check_source};
use super::handed_out::HandedOut;
use super::residual::{Bottleneck, BottleneckSizes, Conv, FixedBatchNorm, STAGES, Staged, tune_stages};
use crate::layers::Init;
use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Tensor};
use maclip_framework::error::{Error, Result};
use maclip_framework::model::parameters::{self, Fit, trainable};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::adapter::{Adapter, Branch, TowerPart};
use maclip_framework::slots::backbone::{Backbone, Geometry, Precision};
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::layout::Part;
use maclip_framework::weights::HostTensor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Options of the ResNet.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResNetConfig {
    /// A safetensors file or torch state dict with the names of torchvision or timm, or `hf:OWNER/NAME` on the Hugging
    /// Face hub, such as `hf:timm/resnet50.tv_in1k`.
    pub weights: String,
    /// Which of several models in one file is read: the key of a training checkpoint, such as `state_dict_ema`, or what
    /// stands before the names of its tensors. Needed where more than one could be meant.
    pub key: Option<String>,
    /// `resnet50`, `resnet101` or `resnet152`. Only needed for `maclip plan` without weights; otherwise the checkpoint
    /// must have these sizes.
    pub architecture: Option<Name>,
    /// Side of the square input in pixels; a multiple of 32. The network itself reads any.
    #[schemars(range(min = 32, max = 4096), extend("multipleOf" = 32))]
    pub image_size: usize,
    /// How pixels in 0..1 are normalised: `imagenet`, `raw` (not at all, as in the code of TRX and STRM), `slowfast`
    /// (mean 0.45, std 0.225, as in the code of HyRSM and MoLo), `half` or `clip`; `null` takes what the checkpoint's
    /// configs say, else `imagenet`.
    pub pixels: Option<Pixels>,
    /// Who says how images are prepared for the model.
    pub preparation: Preparation,
}

/// Published depths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Name {
    /// 3, 4, 6 and 3 bottlenecks.
    ResNet50,
    /// 3, 4, 23 and 3 bottlenecks.
    ResNet101,
    /// 3, 8, 36 and 3 bottlenecks.
    ResNet152,
}

impl Default for ResNetConfig {
    fn default() -> Self {
        Self {
            weights: String::new(),
            key: None,
            architecture: None,
            image_size: 224,
            pixels: None,
            preparation: Preparation::default(),
        }
    }
}

/// Sizes that a checkpoint shows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Sizes {
    /// Channels of the stem; the last stage has 32 times as many.
    pub width: usize,
    /// Bottlenecks of each stage.
    pub layers: [usize; STAGES],
}

impl Name {
    fn sizes(self) -> Sizes {
        let layers = match self {
            Name::ResNet50 => [3, 4, 6, 3],
            Name::ResNet101 => [3, 4, 23, 3],
            Name::ResNet152 => [3, 8, 36, 3],
        };
        Sizes { width: 64, layers }
    }
}

register!(dyn Backbone, ResNetConfig, name: "resnet", summary: "ResNet-50 with ImageNet weights, without text tower",
    paper: Some("ResNet, CVPR 2016; the backbone of OTAM, TRX, STRM, HyRSM and MoLo"), stability: Stable,
    usage: "{weights: \"hf:timm/resnet50.tv_in1k\"}");

impl Component for ResNetConfig {
    type Slot = dyn Backbone;

    fn validate(&self, problems: &mut Problems) {
        check_source(&self.weights, problems);
        check_key(self.key.as_deref(), &self.weights, problems);
        problems.when(self.weights == "random", "weights", "cannot be random: batch norms need running statistics");
        let wrong = self.image_size == 0 || !self.image_size.is_multiple_of(32);
        problems.when(wrong, "image_size", format!("is {}, which is no multiple of 32", self.image_size));
    }

    fn required_inputs(&self, problems: &mut Problems) {
        problems.when(
            self.weights.trim().is_empty(),
            "weights",
            "is missing: give the path of a ResNet checkpoint with the names of torchvision or timm, or \
             `hf:timm/resnet50.tv_in1k`, which is fetched",
        );
    }

    fn describe(&self, facts: &mut Facts) {
        (facts.text_tower, facts.transformer, facts.hands_out) = (Some(false), Some(false), Some(true));
        if let Some(name) = self.architecture {
            facts.backbone(self.geometry(&name.sizes()));
        }
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Backbone>> {
        if context.sizes_only
            && let Some(name) = self.architecture
        {
            return Ok(Box::new(self.blank(&name.sizes(), &mut BTreeMap::new(), &context.device)?.no_grad()));
        }
        let source = checkpoint::open(&self.weights, context.pin(&self.weights), self.key.as_deref())?;
        source.note(context);
        source.expect("resnet")?;
        let mut settings = Settings::of(&self.weights);
        let opened = self.open(&source, &mut settings, &context.device);
        settings.note(context);
        let Opened { empty, tensors, fit, not_finite, sizes } = opened?;
        settings.refuse_differences()?;
        if let Some(asked) = self.architecture.map(Name::sizes).filter(|asked| *asked != sizes) {
            let message = format!(
                "{} holds another architecture than the recipe asks for: {sizes:?}, not {asked:?}",
                self.weights
            );
            return Err(Error::failed(message).help("remove backbone.architecture, or choose the matching weights"));
        }
        if let Some(problem) = fit.problem() {
            return Err(Error::failed(format!("{} does not fit the model:\n  {problem}", self.weights)));
        }
        checkpoint::refuse_not_finite(&self.weights, &not_finite)?;
        let loaded = parameters::import(empty, tensors, false).map_err(|error| {
            Error::failed(format!("{} does not fit the model:\n  {}", self.weights, error.reason()))
        })?;
        Ok(Box::new(loaded.no_grad()))
    }
}

/// A checkpoint and the model of its sizes, with its running statistics.
pub(crate) struct Opened {
    empty: ResNet,
    tensors: BTreeMap<String, HostTensor>,
    pub fit: Fit,
    pub not_finite: Vec<String>,
    pub sizes: Sizes,
}

impl Opened {
    /// Number of values of the model.
    pub fn values(&self) -> usize {
        parameters::count(&self.empty).total
    }
}

impl ResNetConfig {
    fn geometry(&self, sizes: &Sizes) -> Geometry {
        let normal = self.pixels.unwrap_or(Pixels::Imagenet).normal();
        let channels = 32 * sizes.width;
        Geometry {
            image_size: self.image_size,
            width: channels,
            embed_dim: channels,
            blocks: STAGES,
            transformer: false,
            tokens: (self.image_size / 32).pow(2) + 1,
            text: None,
            mean: normal.mean,
            std: normal.std,
        }
    }

    /// The tensors of `source`, and a model of the sizes that they show, without weights but with running statistics.
    ///
    /// # Errors
    /// Where a tensor that shows a size is not there or of another kind, or running statistics do not fit.
    pub(crate) fn open(&self, source: &Source, settings: &mut Settings, device: &Device) -> Result<Opened> {
        let named = |name: &str| source.names.of(name);
        let sizes = sizes(source)?;
        let not_finite = source.not_finite();
        let asked = Asked { pixels: self.pixels, preparation: self.preparation };
        let usual = (Pixels::Imagenet.normal(), true);
        let said = Described::default();
        let normal = preparation::normal(&source.configs, &said, self.image_size, asked, None, usual, settings)?;
        let of_model = source.tensors.iter().filter(|(name, _)| !is_no_part(name));
        let mut tensors: BTreeMap<String, HostTensor> =
            of_model.map(|(name, tensor)| (path_of(name), tensor.clone())).collect();
        let mut empty = self
            .blank(&sizes, &mut tensors, device)
            .map_err(|error| Error::failed(format!("{} does not fit the model:\n  {error}", source.label)))?;
        (empty.geometry.mean, empty.geometry.std) = (normal.mean, normal.std);
        let (mut expected, mut fit) = (parameters::shapes(&empty), Fit::default());
        for (path, tensor) in &tensors {
            let (name, shape) = (named(&name_of(path)), &tensor.shape);
            match expected.remove(path) {
                None => fit.unused.push(format!("{name} {shape:?}")),
                Some(wanted) if wanted != *shape => {
                    fit.misshapen.push(format!("{name} is {shape:?}, the model has {wanted:?}"));
                }
                Some(_) => {}
            }
        }
        fit.missing = expected.iter().map(|(path, shape)| format!("{} {shape:?}", named(&name_of(path)))).collect();
        Ok(Opened { empty, tensors, fit, not_finite, sizes })
    }

    fn blank(&self, sizes: &Sizes, tensors: &mut BTreeMap<String, HostTensor>, device: &Device) -> Result<ResNet> {
        ResNet::new(sizes, self.geometry(sizes), tensors, &mut Init::blank(device.clone()))
    }
}

/// The sizes that the shapes of a checkpoint show.
fn sizes(source: &Source) -> Result<Sizes> {
    let stem = source.tensors.get("conv1.weight").map(|tensor| tensor.shape.clone());
    let Some([width, 3, 7, 7]) = stem.as_deref().and_then(|shape| <[usize; 4]>::try_from(shape).ok()) else {
        let message =
            format!("{}: {} is {stem:?}, not [width, 3, 7, 7]", source.label, source.names.of("conv1.weight"));
        return Err(Error::failed(message).help("`resnet` reads the stem of the original ResNet, of one convolution"));
    };
    if !source.tensors.contains_key("layer1.0.conv3.weight") {
        return Err(Error::failed(format!("{} has blocks of two convolutions, as ResNet-18 and -34", source.label))
            .help("`resnet` has bottlenecks: choose ResNet-50, -101 or -152"));
    }
    let count = |stage: usize| {
        let has = |index: &usize| source.tensors.contains_key(&format!("layer{stage}.{index}.conv1.weight"));
        (0..).take_while(has).count()
    };
    Ok(Sizes { width, layers: [1, 2, 3, 4].map(count) })
}

/// Whether `name` is of the classifier.
fn is_no_part(name: &str) -> bool {
    ["fc.", "head."].iter().any(|part| name.starts_with(part))
}

/// torchvision's and timm's name → module path.
fn path_of(name: &str) -> String {
    name.replace("downsample.0.", "downsample.conv.").replace("downsample.1.", "downsample.norm.")
}

/// The inverse of [`path_of`].
fn name_of(path: &str) -> String {
    path.replace("downsample.conv.", "downsample.0.").replace("downsample.norm.", "downsample.1.")
}

#[derive(Module, Debug)]
struct ResNet {
    conv1: Conv,
    bn1: FixedBatchNorm,
    layer1: Vec<Bottleneck>,
    layer2: Vec<Bottleneck>,
    layer3: Vec<Bottleneck>,
    layer4: Vec<Bottleneck>,
    #[module(skip)]
    geometry: Geometry,
    #[module(skip)]
    handed_out: HandedOut,
}

impl ResNet {
    /// Takes the running statistics out of `tensors` (by module path). They may be empty for a model of which only the
    /// sizes matter.
    fn new(
        sizes: &Sizes,
        geometry: Geometry,
        tensors: &mut BTreeMap<String, HostTensor>,
        init: &mut Init,
    ) -> Result<Self> {
        let (w, without) = (sizes.width, tensors.is_empty());
        let mut norm =
            |path: &str, channels: usize, init: &mut Init| FixedBatchNorm::new(path, channels, tensors, without, init);
        let (conv1, bn1) = (Conv::new(3, w, 7, init), norm("bn1", w, init)?);
        let mut stage = |number: usize, init: &mut Init| -> Result<Vec<Bottleneck>> {
            let planes = w << (number - 1);
            let block = |index: usize| {
                let input = match (number, index) {
                    (1, 0) => w,
                    (_, 0) => 2 * planes,
                    _ => 4 * planes,
                };
                let stride = if index == 0 && number > 1 { 2 } else { 1 };
                let sizes = BottleneckSizes { input, planes, stride, pooled: false, downsample: index == 0 };
                let mut of_block = |part: &str, channels: usize, init: &mut Init| {
                    norm(&format!("layer{number}.{index}.{part}"), channels, init)
                };
                Bottleneck::new(sizes, &mut of_block, init)
            };
            (0..sizes.layers[number - 1]).map(block).collect()
        };
        Ok(Self {
            layer1: stage(1, init)?,
            layer2: stage(2, init)?,
            layer3: stage(3, init)?,
            layer4: stage(4, init)?,
            conv1,
            bn1,
            geometry,
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
        self.geometry.image_size
    }

    fn stem(&self, x: Tensor<4>) -> Tensor<4> {
        let x = relu(self.bn1.forward(self.conv1.forward(x, 2)));
        max_pool2d(x, MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]))
    }

    fn stem_cost(&self, frames: usize) -> Cost {
        self.conv1.cost(frames * (self.side() / 2).pow(2))
    }

    fn pool(&self, map: Tensor<4>) -> Tensor<2> {
        let [b, c, h, w] = map.dims();
        map.reshape([b, c, h * w]).mean_dim(2).reshape([b, c])
    }

    fn pool_cost(&self, frames: usize) -> Cost {
        Cost::elementwise(frames * self.values(STAGES), 0.0)
    }
}

impl Backbone for ResNet {
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn hand_out(&mut self, parts: &[Part]) -> Result<()> {
        self.handed_out = HandedOut::new(parts, &self.geometry)?;
        Ok(())
    }

    fn handed_out(&self) -> &[Part] {
        self.handed_out.parts()
    }

    fn prefix(&self, pixels: Tensor<5>, adapter: &dyn Adapter) -> Tensor<3> {
        self.staged_prefix(pixels, adapter)
    }

    fn encode_steps(&self, adapter: &dyn Adapter) -> Vec<usize> {
        self.staged_steps(adapter)
    }

    fn encode_step(&self, step: usize, x: Tensor<3>, adapter: &dyn Adapter, _: &Branch) -> Tensor<3> {
        self.staged_step(step, x, adapter)
    }

    fn prefix_cost(&self, [b, t]: [usize; 2], adapter: &dyn Adapter) -> Option<Cost> {
        Some(self.staged_prefix_cost(b * t, adapter))
    }

    fn encode_step_cost(&self, step: usize, clips: [usize; 2], adapter: &dyn Adapter, _: &Branch) -> Option<Cost> {
        self.staged_step_cost(step, clips, adapter)
    }

    fn lower(&mut self, precision: Precision) -> Result<()> {
        match precision {
            Precision::F32 => Ok(()),
            Precision::Bf16 => Err(Error::failed("`resnet` computes in f32 only").help("set `precision: f32`")),
        }
    }

    fn tune(&mut self, tunes: &dyn Fn(TowerPart) -> bool) {
        if tunes(TowerPart::Embedding) {
            self.conv1 = trainable(self.conv1.clone());
            self.bn1 = trainable(self.bn1.clone());
        }
        tune_stages([&mut self.layer1, &mut self.layer2, &mut self.layer3, &mut self.layer4], tunes);
    }

    fn encode_texts(&self, _: &[String]) -> Result<Tensor<2>> {
        Err(Error::failed("this backbone has no text tower")
            .help("choose clip_vit or clip_resnet where texts are read"))
    }

    fn logit_scale(&self) -> Option<Tensor<1>> {
        None
    }

    fn export(&self, _: &Path, _: &BTreeMap<String, String>) -> Result<()> {
        Err(Error::failed("`resnet` has no text tower, so `task: contrastive` cannot train it")
            .help(format!("contrastive training is for CLIP backbones, such as {}", checkpoint::builtin_names())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::no_adapter;
    use crate::conformance::tensors::{difference, random};
    use maclip_framework::random::Stream;
    use maclip_framework::registry::build_choice;
    use maclip_framework::weights::{ElementType, serialize};
    use maclip_language::read_str;

    fn tiny(init: &mut Init) -> ResNet {
        let (sizes, config) =
            (Sizes { width: 2, layers: [1, 2, 1, 1] }, ResNetConfig { image_size: 64, ..Default::default() });
        ResNet::new(&sizes, config.geometry(&sizes), &mut BTreeMap::new(), init).unwrap()
    }

    #[test]
    fn resnet_50_has_as_many_parameters_as_published() {
        let config = ResNetConfig { architecture: Some(Name::ResNet50), ..ResNetConfig::default() };
        let model = config.blank(&Name::ResNet50.sizes(), &mut BTreeMap::new(), &Device::flex()).unwrap();
        assert_eq!(parameters::count(&model).total, 23_508_032);
        // 4.09 GMACs for 224 pixels, as published for this form of the network.
        let flops = model.prefix_cost([1, 1], &*no_adapter()).unwrap().flops;
        assert!((flops / 2e9 - 4.09).abs() < 0.01, "{flops}");
    }

    #[test]
    fn the_steps_are_the_whole_and_the_map_is_handed_out() {
        let mut tower = tiny(&mut Init::new(Stream::new(3, "init/test"), Device::flex())).no_grad();
        let pixels = random::<5>(1, [2, 2, 3, 64, 64]);
        let plain = tower.encode_clips(pixels.clone(), &*no_adapter(), &Branch::Query);
        let parts = [Part::Pixels, Part::Map];
        tower.hand_out(&parts).unwrap();
        let layout = tower.geometry().layout(&parts);
        assert_eq!(layout.shape(Part::Map).unwrap(), [4, 64]);
        let frozen = tower.encode_clips(pixels.clone(), &*no_adapter(), &Branch::Query);
        assert!(difference(&layout.feature(frozen.clone()), &plain) < 1e-6);
        // The feature is the mean of the map's positions.
        let map = layout.part(Part::Map, frozen.clone()).reshape([4, 4, 64]).mean_dim(1).reshape([2, 2, 64]);
        assert!(difference(&map, &plain) < 1e-6);
        let context = BuildContext::new(1, Device::flex()).with_sizes(tower.geometry().clone(), 2);
        // Behind its stages D²ST-Adapter starts as the identity.
        let stage = "{heads: 1, groups: 1, spatial: {kernel: [2, 2, 2], stride: [2, 2, 2]}, \
                     temporal: {kernel: [1, 2, 2], stride: [1, 2, 2]}}";
        let stages = format!("stages: [{stage}, {stage}, {stage}, {stage}]");
        let (all, last) = (format!("{{type: d2st, {stages}}}"), format!("{{type: d2st, at: {{last: 1}}, {stages}}}"));
        for text in ["{type: full}", "{type: last_blocks, count: 2}", &all, &last] {
            let adapter = build_choice::<dyn Adapter>(&read_str("adapter", text).unwrap(), &context).unwrap();
            let steps = tower.encode_steps(&*adapter);
            let got = (0..steps.len()).fold(tower.prefix(pixels.clone(), &*adapter), |x, step| {
                assert_eq!(x.dims()[2], steps[step], "{text}, step {step}");
                tower.encode_step(step, x, &*adapter, &Branch::Query)
            });
            assert!(difference(&got, &frozen) < 1e-6, "{text}");
        }
        assert!(tower.hand_out(&[Part::Block(1)]).is_err());
    }

    #[test]
    fn a_checkpoint_with_torchvisions_names_is_read_and_another_is_refused() {
        let tower = tiny(&mut Init::new(Stream::new(5, "init/test"), Device::flex())).no_grad();
        let mut buffers = BTreeMap::new();
        tower.bn1.buffers("bn1", &mut buffers);
        for (stage, blocks) in tower.stages().into_iter().enumerate() {
            for (index, block) in blocks.iter().enumerate() {
                block.buffers(&format!("layer{}.{index}", stage + 1), &mut buffers);
            }
        }
        let tensors = parameters::export(&tower, false).into_iter().chain(buffers);
        let mut tensors: BTreeMap<String, HostTensor> =
            tensors.map(|(path, tensor)| (name_of(&path), tensor)).collect();
        tensors.insert("fc.weight".to_owned(), HostTensor { shape: vec![1, 1], values: vec![0.0] });
        tensors.insert("bn1.num_batches_tracked".to_owned(), HostTensor { shape: vec![1], values: vec![0.0] });
        let folder = tempfile::tempdir().unwrap();
        let write = |tensors: &BTreeMap<String, HostTensor>| {
            let path = folder.path().join("resnet.safetensors");
            std::fs::write(&path, serialize(tensors, &BTreeMap::new(), ElementType::F32).unwrap()).unwrap();
            ResNetConfig { weights: path.display().to_string(), image_size: 64, ..ResNetConfig::default() }
        };
        let context = BuildContext::new(0, Device::flex());
        let read = write(&tensors).build(&context).unwrap();
        let pixels = random::<5>(1, [1, 2, 3, 64, 64]);
        let [got, want] = [&*read as &dyn Backbone, &tower]
            .map(|tower| tower.encode_clips(pixels.clone(), &*no_adapter(), &Branch::Query));
        assert_eq!(difference(&got, &want), 0.0);
        assert_eq!(read.geometry().mean, [0.485, 0.456, 0.406]);
        tensors.remove("layer2.0.conv1.weight");
        let message = write(&tensors).build(&context).unwrap_err().to_string();
        assert!(message.contains("layer2.0.bn1.bias"), "{message}");
        let other = ResNetConfig { architecture: Some(Name::ResNet50), ..write(&tensors) };
        assert!(other.build(&context).is_err());
    }
}

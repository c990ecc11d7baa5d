//! `clip_vit`: CLIP with a vision transformer, any size.
//!
//! Source: Radford et al. 2021 (arXiv 2103.00020) and the OpenAI state dict, whose tensor names the module's fields follow:
//! pre-norm blocks, QuickGELU, LayerNorm ε 1e-5, class token → ln_post → projection; causal text tower read at the end token.

mod checkpoint;
mod tokenizer;
mod towers;

use crate::layers::Init;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use maclip_framework::error::{Error, Result};
use maclip_framework::images::{CLIP_MEAN, CLIP_STD};
use maclip_framework::parameters;
use maclip_framework::random::Stream;
use maclip_framework::register;
use maclip_framework::registry::{Component, Problems};
use maclip_framework::run::BuildContext;
use maclip_framework::slots::adapter::{Adapter, Branch};
use maclip_framework::slots::backbone::{Backbone, Geometry};
use maclip_framework::weights::{self, Precision};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use tokenizer::Tokenizer;
use towers::{TextTower, VisionTower};

/// Options of the CLIP backbone.
#[derive(Clone, Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ClipVitConfig {
    /// Where the weights come from: `builtin:shapes_clip` (in the program), a path to a safetensors file with OpenAI's
    /// tensor names, or `random`, to train from scratch with `task: contrastive`.
    weights: String,
    /// Sizes: a published name (`ViT-B/32`, `ViT-B/16`, `ViT-L/14`) or own sizes. Needed with `weights: random`; otherwise
    /// the file tells, and a given one is checked against it.
    architecture: Option<ArchitectureChoice>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
enum ArchitectureChoice {
    /// A published size.
    Name(String),
    /// Own sizes.
    Sizes(Architecture),
}

/// Sizes of a ViT CLIP.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Side of the square input in pixels; a multiple of `patch_size`.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    pub vision_width: usize,
    pub vision_layers: usize,
    pub vision_heads: usize,
    /// Width E of the joint embedding.
    pub embed_dim: usize,
    /// Longest text in tokens, start and end included.
    pub context_length: usize,
    pub text_width: usize,
    pub text_layers: usize,
    pub text_heads: usize,
}

/// Published sizes.
const PUBLISHED: [(&str, [usize; 5]); 3] = [
    // patch, width, layers, heads, embed and text width
    ("ViT-B/32", [32, 768, 12, 12, 512]),
    ("ViT-B/16", [16, 768, 12, 12, 512]),
    ("ViT-L/14", [14, 1024, 24, 16, 768]),
];

impl ArchitectureChoice {
    fn sizes(&self) -> Option<Architecture> {
        match self {
            ArchitectureChoice::Sizes(sizes) => Some(sizes.clone()),
            ArchitectureChoice::Name(name) => {
                let (_, [patch, width, layers, heads, embed]) = PUBLISHED.iter().find(|(known, _)| known == name)?;
                Some(Architecture {
                    image_size: 224,
                    patch_size: *patch,
                    vision_width: *width,
                    vision_layers: *layers,
                    vision_heads: *heads,
                    embed_dim: *embed,
                    context_length: 77,
                    text_width: *embed,
                    text_layers: 12,
                    text_heads: embed / 64,
                })
            }
        }
    }
}

impl Architecture {
    /// What cannot be built, in words; also guards against files that claim absurd sizes.
    fn problem(&self) -> Option<String> {
        let sizes = [
            ("image_size", self.image_size),
            ("patch_size", self.patch_size),
            ("vision_width", self.vision_width),
            ("vision_layers", self.vision_layers),
            ("vision_heads", self.vision_heads),
            ("embed_dim", self.embed_dim),
            ("context_length", self.context_length),
            ("text_width", self.text_width),
            ("text_layers", self.text_layers),
            ("text_heads", self.text_heads),
        ];
        if let Some((name, value)) = sizes.iter().find(|(_, value)| !(1..=8192).contains(value)) {
            return Some(format!("{name} is {value}; it must be within 1 and 8192"));
        }
        let multiple = |a: (&str, usize), b: (&str, usize)| {
            (!a.1.is_multiple_of(b.1)).then(|| format!("{} ({}) is not a multiple of {} ({})", a.0, a.1, b.0, b.1))
        };
        multiple(sizes[0], sizes[1]).or_else(|| multiple(sizes[2], sizes[4])).or_else(|| multiple(sizes[7], sizes[9]))
    }
}

register!(dyn Backbone, ClipVitConfig, name: "clip_vit", summary: "CLIP with a vision transformer and its text tower",
    paper: Some("CLIP, arXiv 2103.00020"), stability: Stable, example: "{weights: \"builtin:shapes_clip\"}");

impl Component for ClipVitConfig {
    type Slot = dyn Backbone;

    fn check(&self, problems: &mut Problems) {
        if self.weights.is_empty() {
            problems.push(
                "weights",
                "is missing: give the path of a CLIP checkpoint in safetensors format with OpenAI's tensor names \
                 (`--set backbone.weights=ViT-B-16.safetensors`), `builtin:shapes_clip`, or `random`",
            );
        }
        if let Some(name) = self.weights.strip_prefix("builtin:")
            && checkpoint::builtin(name).is_none()
        {
            problems.push("weights", format!("names no built-in weights; there are: {}", checkpoint::builtin_names()));
        }
        match &self.architecture {
            Some(choice) => match choice.sizes() {
                None => {
                    let names = PUBLISHED.map(|(name, _)| name).join(", ");
                    problems
                        .push("architecture", format!("is no published size; there are {names}, or give own sizes"));
                }
                Some(sizes) => {
                    if let Some(problem) = sizes.problem() {
                        problems.push("architecture", format!("cannot be built: {problem}"));
                    }
                }
            },
            None => problems.when(self.weights == "random", "architecture", "is needed with `weights: random`"),
        }
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Backbone>> {
        let asked = self.architecture.as_ref().and_then(ArchitectureChoice::sizes);
        if self.weights == "random" {
            let sizes = asked.ok_or_else(|| Error::failed("backbone.architecture is missing"))?;
            let tokenizer = Tokenizer::new(context.vocabulary.clone())?;
            let stream = context.init("backbone");
            let clip = ClipVit::new(sizes, tokenizer, stream, context.trainable_device());
            return Ok(Box::new(clip));
        }
        let file = checkpoint::read(&self.weights)?;
        context.note_weights(&self.weights, file.sha256.clone());
        if let Some(asked) = asked
            && asked != file.architecture
        {
            return Err(Error::failed(format!(
                "{} holds another architecture than the recipe asks for: {:?}, not {asked:?}",
                self.weights, file.architecture
            ))
            .help("remove backbone.architecture, or choose the matching weights"));
        }
        let device = context.device.clone();
        let empty = ClipVit::new(file.architecture, file.tokenizer, Stream::new(0, "overwritten"), device);
        let loaded = parameters::import(empty, file.tensors, false)
            .map_err(|error| Error::failed(format!("{} does not fit the model:\n  {error}", self.weights)))?;
        Ok(Box::new(loaded.no_grad()))
    }
}

/// Both towers.
#[derive(Module, Debug)]
pub struct ClipVit {
    visual: VisionTower,
    text: TextTower,
    /// ln of the factor on cosines, `[1]`.
    logit_scale: Param<Tensor<1>>,
    #[module(skip)]
    tokenizer: Tokenizer,
    #[module(skip)]
    architecture: Architecture,
    #[module(skip)]
    geometry: Geometry,
    #[module(skip)]
    device: Device,
}

impl ClipVit {
    fn new(architecture: Architecture, tokenizer: Tokenizer, stream: Stream, device: Device) -> Self {
        let mut init = Init::new(stream, device.clone());
        let a = &architecture;
        let grid = a.image_size / a.patch_size;
        let geometry = Geometry {
            image_size: a.image_size,
            width: a.vision_width,
            embed_dim: a.embed_dim,
            blocks: a.vision_layers,
            tokens: grid * grid + 1,
            has_text_tower: true,
            mean: CLIP_MEAN,
            std: CLIP_STD,
        };
        Self {
            visual: VisionTower::new(a, &mut init),
            text: TextTower::new(a, tokenizer.size(), &mut init),
            // CLIP's initial temperature, 1 / 0.07.
            logit_scale: init.constant([1], (1.0f64 / 0.07).ln()),
            tokenizer,
            architecture,
            geometry,
            device,
        }
    }
}

impl Backbone for ClipVit {
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn encode_clips(&self, pixels: Tensor<5>, adapter: &dyn Adapter, branch: &Branch) -> Tensor<3> {
        let [b, t, c, h, w] = pixels.dims();
        let tokens = self.visual.embed(pixels.reshape([b * t, c, h, w]));
        let [_, n, d] = tokens.dims();
        let mut x: Tensor<4> = tokens.reshape([b, t, n, d]);
        for (index, block) in self.visual.blocks().enumerate() {
            x = if adapter.adapts(index) {
                adapter.forward(index, block, x, branch)
            } else {
                block.plain(x.reshape([b * t, n, d])).reshape([b, t, n, d])
            };
        }
        let features = self.visual.head(x.narrow(2, 0, 1).reshape([b * t, d]));
        features.reshape([b, t, self.geometry.embed_dim])
    }

    fn encode_texts(&self, texts: &[String]) -> Result<Tensor<2>> {
        let encoded: Vec<Vec<i32>> = texts
            .iter()
            .map(|text| self.tokenizer.encode(text, self.architecture.context_length))
            .collect::<Result<_>>()?;
        // Shorter than the context length where all texts are: padding after the end token is never attended to.
        let length = encoded.iter().map(Vec::len).max().unwrap_or(1);
        let ends: Vec<usize> = encoded.iter().map(|ids| ids.len() - 1).collect();
        let mut ids = vec![0; texts.len() * length];
        for (row, encoded) in ids.chunks_exact_mut(length).zip(&encoded) {
            row[..encoded.len()].copy_from_slice(encoded);
        }
        let ids = Tensor::from_data(TensorData::new(ids, [texts.len(), length]), &plain(&self.device));
        Ok(self.text.forward(ids, &ends))
    }

    fn logit_scale(&self) -> Option<Tensor<1>> {
        Some(self.logit_scale.val())
    }

    fn export(&self, path: &Path, about: &BTreeMap<String, String>) -> Result<()> {
        let mut about = about.clone();
        about.insert("architecture".to_owned(), serde_json::json!(self.architecture).to_string());
        about.insert("vocabulary".to_owned(), serde_json::json!(self.tokenizer.words()).to_string());
        let tensors = checkpoint::to_openai(parameters::export(self, false));
        weights::write_atomically(path, &weights::serialize(&tensors, &about, Precision::F16)?)
    }
}

/// Inputs are plain tensors: without autodiff they cost no graph.
fn plain(device: &Device) -> Device {
    Tensor::<1>::zeros([1], device).without_autodiff().device()
}

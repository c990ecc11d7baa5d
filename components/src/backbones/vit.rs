//! `vit`: an image transformer without text tower (ImageNet's ViT-B/32 and the like), for the unimodal rows of the paper's
//! table 7.
//!
//! Source: Dosovitskiy et al., ICLR 2021; checkpoints of timm (`VisionTransformer`) and Hugging Face (`ViTModel`). Exact GELU, no
//! norm before the blocks, class token → norm; the classification head is not used.

use super::clip::ImageTower;
use super::clip::block::{Activation, BlockSizes};
use super::clip::checkpoint;
use super::clip::names::flatten_patch;
use super::clip::sizes::{Shapes, no_multiple, out_of_range, refuse_bloat, stack_values};
use super::clip::vision_tower::{VisionSizes, VisionTower};
use crate::layers::Init;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use maclip_framework::error::{Error, Result};
use maclip_framework::images::{CLIP_MEAN, CLIP_STD};
use maclip_framework::parameters::{self, Fit, HostTensor};
use maclip_framework::register;
use maclip_framework::registry::{Component, Problems};
use maclip_framework::run::BuildContext;
use maclip_framework::slots::adapter::{Adapter, Branch, TowerPart};
use maclip_framework::slots::backbone::{Backbone, Geometry};
use maclip_framework::weights::{self, transpose};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Options of the image transformer.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VitConfig {
    /// A safetensors file, torch state dict or Hugging Face folder with timm's or Hugging Face's names.
    pub weights: String,
    /// Heads, where neither a config says nor width / 64 holds.
    pub heads: Option<usize>,
    /// How pixels in 0..1 are normalised: `half` (mean and std 0.5: ImageNet-21k and augreg weights), `imagenet`, or `clip`.
    pub pixels: Pixels,
    /// ε of the layer norms: 1e-6 in timm, 1e-12 in Hugging Face's ViT, whose config is believed before this.
    pub epsilon: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pixels {
    Half,
    Imagenet,
    Clip,
}

impl Default for VitConfig {
    fn default() -> Self {
        Self { weights: String::new(), heads: None, pixels: Pixels::Half, epsilon: 1e-6 }
    }
}

register!(dyn Backbone, VitConfig, name: "vit", summary: "image transformer without text tower (ImageNet weights)",
    paper: Some("ViT, ICLR 2021; MA-CLIP's table 7"), stability: Stable, example: "{weights: vit_base_patch32_224.safetensors}");

impl Component for VitConfig {
    type Slot = dyn Backbone;

    fn check(&self, problems: &mut Problems) {
        problems.when(self.heads == Some(0), "heads", "must be at least 1");
        problems.when(!(self.epsilon > 0.0 && self.epsilon < 1.0), "epsilon", "must be within 0 and 1");
    }

    fn inputs(&self, problems: &mut Problems) {
        problems.when(
            self.weights.is_empty(),
            "weights",
            "is missing: give the path of a ViT checkpoint with timm's or Hugging Face's names",
        );
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Backbone>> {
        let file = weights::read(Path::new(&self.weights))?;
        context.note_weights(&self.weights, file.sha256.clone());
        let tensors = module_paths(file.tensors);
        let empty = self.empty(&tensors, file.config.as_ref(), &context.device)?;
        let loaded = parameters::import(empty, tensors, false)
            .map_err(|error| Error::failed(format!("{} does not fit the model:\n  {error}", self.weights)))?;
        Ok(Box::new(loaded.no_grad()))
    }
}

impl VitConfig {
    /// A model of the sizes that `tensors` (by module path) and a Hugging Face config show, without weights.
    fn empty(
        &self,
        tensors: &BTreeMap<String, HostTensor>,
        config: Option<&serde_json::Value>,
        device: &Device,
    ) -> Result<Vit> {
        let number = |key: &str| config.and_then(|config| config.get(key)).and_then(|v| v.as_f64());
        let epsilon = number("layer_norm_eps").unwrap_or(self.epsilon);
        let shapes = Shapes { source: &self.weights, tensors };
        let &[inputs, width] = shapes.of("visual.patch", 2)? else { return Err(Error::failed("two axes are checked")) };
        let positions = shapes.of("visual.positional_embedding", 2)?[0].saturating_sub(1);
        let layers = shapes.layers("visual.resblocks.");
        let hidden = shapes.of("visual.resblocks.0.c_fc.weight", 2)?[1];
        let (patch_size, grid) = ((inputs / 3).isqrt(), positions.isqrt());
        let heads = self.heads.or(number("num_attention_heads").map(|heads| heads as usize)).unwrap_or(width / 64);
        let image_size = grid * patch_size;
        let sizes =
            [("width", width), ("heads", heads), ("image size", image_size), ("layers", layers), ("hidden", hidden)];
        if let Some(problem) = out_of_range(&sizes[..4]).or_else(|| no_multiple(sizes[0], sizes[1])) {
            return Err(Error::failed(format!("{} holds a model that cannot be built: {problem}", self.weights))
                .help("heads that are not width / 64 are given with backbone.heads"));
        }
        refuse_bloat(&self.weights, stack_values(layers, width, hidden), tensors)?;
        let blocks = BlockSizes { width, heads, layers, hidden, activation: Activation::Gelu, epsilon };
        let visual = VisionSizes { image_size, patch_size, blocks, projection: None, clip_stem: false };
        let (mean, std) = match self.pixels {
            Pixels::Half => ([0.5; 3], [0.5; 3]),
            Pixels::Imagenet => ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            Pixels::Clip => (CLIP_MEAN, CLIP_STD),
        };
        let geometry = Geometry {
            image_size,
            width,
            embed_dim: width,
            blocks: layers,
            transformer: true,
            tokens: grid * grid + 1,
            has_text_tower: false,
            mean,
            std,
        };
        Ok(Vit { visual: VisionTower::new(visual, &mut Init::blank(device.clone())), geometry })
    }
}

/// Whether names are those of an image transformer.
pub fn is_vit(tensors: &BTreeMap<String, HostTensor>) -> bool {
    let names = ["patch_embed.proj.weight", "embeddings.patch_embeddings.projection.weight"];
    tensors.keys().any(|name| names.contains(&name.strip_prefix("vit.").unwrap_or(name)))
}

/// The sizes of a checkpoint in words, and how it fits, by module path.
pub fn fit(
    source: &str,
    tensors: &BTreeMap<String, HostTensor>,
    config: Option<&serde_json::Value>,
    heads: Option<usize>,
) -> Result<(String, Fit)> {
    let options = VitConfig { weights: source.to_owned(), heads, ..VitConfig::default() };
    let tensors = module_paths(tensors.clone());
    let empty = options.empty(&tensors, config, &Device::flex())?;
    let g = &empty.geometry;
    let words = format!("image {}, width {}, {} blocks, {} tokens", g.image_size, g.width, g.blocks, g.tokens);
    Ok((words, parameters::try_import(empty, tensors, false).err().unwrap_or_default()))
}

#[derive(Module, Debug)]
struct Vit {
    visual: VisionTower,
    #[module(skip)]
    geometry: Geometry,
}

impl Backbone for Vit {
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn encode_clips(&self, pixels: Tensor<5>, adapter: &dyn Adapter, branch: &Branch) -> Tensor<3> {
        self.visual.encode(pixels, adapter, branch)
    }

    fn tune(&mut self, tunes: &dyn Fn(TowerPart) -> bool) {
        self.visual.tune(tunes);
    }

    fn encode_texts(&self, _: &[String]) -> Result<Tensor<2>> {
        Err(Error::failed("this backbone has no text tower")
            .help("choose clip_vit or clip_resnet where texts are read"))
    }

    fn logit_scale(&self) -> Option<Tensor<1>> {
        None
    }

    fn export(&self, _: &Path, _: &BTreeMap<String, String>) -> Result<()> {
        Err(Error::failed("`vit` has no text tower, so `task: contrastive` cannot train it")
            .help(format!("contrastive training is for CLIP backbones, such as {}", checkpoint::builtin_names())))
    }
}

/// timm's and Hugging Face's names → module paths, with our layouts. The head and the pooler are not part of the model and left
/// out; other unknown names stay and are reported as unused.
fn module_paths(tensors: BTreeMap<String, HostTensor>) -> BTreeMap<String, HostTensor> {
    const NO_PART: [&str; 6] = ["head.", "classifier.", "pooler.", "head_drop.", "fc_norm.", "pre_logits."];
    let mut renamed = BTreeMap::new();
    let mut packed: BTreeMap<String, [Option<HostTensor>; 3]> = BTreeMap::new();
    for (name, tensor) in tensors {
        let name = name.strip_prefix("vit.").unwrap_or(&name);
        if NO_PART.iter().any(|part| name.starts_with(part)) {
            continue;
        }
        let hugging_face = ["query", "key", "value"].iter().enumerate().find_map(|(part, word)| {
            let (block, kind) = name.split_once(&format!(".attention.attention.{word}."))?;
            let number = block.strip_prefix("encoder.layer.")?;
            Some((format!("visual.resblocks.{number}.attn.in_proj.{kind}"), part))
        });
        if let Some((path, part)) = hugging_face {
            packed.entry(path).or_default()[part] = Some(tensor);
            continue;
        }
        let path = path_of(name);
        let tensor = match path.as_str() {
            "visual.patch" => transpose(flatten_patch(tensor)),
            "visual.class_embedding" => HostTensor { shape: vec![tensor.values.len()], ..tensor },
            "visual.positional_embedding" if tensor.shape.first() == Some(&1) => {
                HostTensor { shape: tensor.shape[1..].to_vec(), ..tensor }
            }
            _ if path.ends_with(".weight") => transpose(tensor),
            _ => tensor,
        };
        renamed.insert(path, tensor);
    }
    for (path, parts) in packed {
        let Some(parts) = parts.into_iter().collect::<Option<Vec<_>>>() else { continue };
        let mut shape = parts[0].shape.clone();
        if let Some(rows) = shape.first_mut() {
            *rows = parts.iter().filter_map(|part| part.shape.first()).sum();
        }
        let values = parts.into_iter().flat_map(|part| part.values).collect();
        let tensor = HostTensor { shape, values };
        renamed.insert(path.clone(), if path.ends_with(".weight") { transpose(tensor) } else { tensor });
    }
    renamed
}

fn path_of(name: &str) -> String {
    const FIXED: [(&str, &str); 12] = [
        ("patch_embed.proj.weight", "visual.patch"),
        ("patch_embed.proj.bias", "visual.patch_bias"),
        ("cls_token", "visual.class_embedding"),
        ("pos_embed", "visual.positional_embedding"),
        ("norm.weight", "visual.ln_post.gamma"),
        ("norm.bias", "visual.ln_post.beta"),
        ("embeddings.patch_embeddings.projection.weight", "visual.patch"),
        ("embeddings.patch_embeddings.projection.bias", "visual.patch_bias"),
        ("embeddings.cls_token", "visual.class_embedding"),
        ("embeddings.position_embeddings", "visual.positional_embedding"),
        ("layernorm.weight", "visual.ln_post.gamma"),
        ("layernorm.bias", "visual.ln_post.beta"),
    ];
    if let Some((_, path)) = FIXED.iter().find(|(known, _)| *known == name) {
        return (*path).to_owned();
    }
    let block = name.strip_prefix("blocks.").or_else(|| name.strip_prefix("encoder.layer."));
    let Some((number, rest)) = block.and_then(|rest| rest.split_once('.')) else { return name.to_owned() };
    let Some((part, kind)) = rest.rsplit_once('.') else { return name.to_owned() };
    let (part, norm) = match part {
        "norm1" | "layernorm_before" => ("ln_1", true),
        "norm2" | "layernorm_after" => ("ln_2", true),
        "attn.qkv" => ("attn.in_proj", false),
        "attn.proj" | "attention.output.dense" => ("attn.out_proj", false),
        "mlp.fc1" | "intermediate.dense" => ("c_fc", false),
        "mlp.fc2" | "output.dense" => ("c_proj", false),
        _ => return name.to_owned(),
    };
    let kind = match (norm, kind) {
        (true, "weight") => "gamma",
        (true, "bias") => "beta",
        (_, kind) => kind,
    };
    format!("visual.resblocks.{number}.{part}.{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::no_adapter;
    use crate::fixtures;

    fn features_agree(name: &str, epsilon: f64) {
        let mut fixture = fixtures::open(name);
        let (input, expected) = (fixture.take("input"), fixture.take("expected"));
        let weights = fixture.checkpoint().display().to_string();
        let config = VitConfig { weights, heads: Some(3), epsilon, ..VitConfig::default() };
        let backbone = config.build(&BuildContext::new(0, Device::flex())).unwrap();
        assert!(!backbone.geometry().has_text_tower && backbone.encode_texts(&[]).is_err());
        let images = fixtures::tensor::<4>(&input).unsqueeze_dim(1);
        let features = backbone.encode_clips(images, &*no_adapter(), &Branch::Query);
        fixtures::close(features, &expected, 1e-5);
    }

    #[test]
    fn features_agree_with_timm() {
        features_agree("vit_timm_tiny", 1e-6);
    }

    #[test]
    fn features_agree_with_hugging_face() {
        features_agree("vit_hf_tiny", 1e-12);
    }
}

//! `vit`: an image transformer without text tower (ImageNet's ViT-B/32 and the like), for the unimodal rows of the paper's
//! table 7.
//!
//! Source: Dosovitskiy et al., ICLR 2021; checkpoints of timm (`VisionTransformer`) and Hugging Face (`ViTModel`). Exact GELU, no
//! norm before the blocks, class token → norm; the classification head is not used.

use super::clip::ImageTower;
use super::clip::block::{Activation, BlockSizes};
use super::clip::checkpoint::{self, Source};
use super::clip::names::{Renamed, flatten_patch, stack};
use super::clip::sizes::{Shapes, no_multiple, out_of_range, refuse_bloat, stack_values};
use super::clip::vision_tower::{VisionSizes, VisionTower};
use crate::layers::Init;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use maclip_framework::error::{Error, Result};
use maclip_framework::images::{CLIP_MEAN, CLIP_STD};
use maclip_framework::model::parameters::{self, Fit};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::adapter::{Adapter, Branch, TowerPart};
use maclip_framework::slots::backbone::{Backbone, Geometry, Precision};
use maclip_framework::slots::cost::Cost;
use maclip_framework::weights::{self, HostTensor, transpose};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Options of the image transformer.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VitConfig {
    /// A safetensors file, torch state dict or Hugging Face folder with timm's or Hugging Face's names.
    pub weights: String,
    /// Attention heads. Needed where no config says them and they are not width / 64.
    #[schemars(range(min = 1))]
    pub heads: Option<usize>,
    /// How pixels in 0..1 are normalised: `half` (mean and std 0.5: ImageNet-21k and augreg weights), `imagenet`, or `clip`.
    pub pixels: Pixels,
    /// ε of the layer norms; `null` takes the config's, else 1e-6 with timm's names and 1e-12 with Hugging Face's.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub epsilon: Option<f64>,
}

/// What is subtracted from pixels in 0..1, and what they are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pixels {
    /// Mean and standard deviation 0.5.
    Half,
    /// ImageNet's mean and standard deviation.
    Imagenet,
    /// CLIP's mean and standard deviation.
    Clip,
}

impl Default for VitConfig {
    fn default() -> Self {
        Self { weights: String::new(), heads: None, pixels: Pixels::Half, epsilon: None }
    }
}

register!(dyn Backbone, VitConfig, name: "vit", summary: "image transformer without text tower (ImageNet weights)",
    paper: Some("ViT, ICLR 2021; MA-CLIP's table 7"), stability: Stable, usage: "{weights: vit_base_patch32_224.safetensors}");

impl Component for VitConfig {
    type Slot = dyn Backbone;

    fn required_inputs(&self, problems: &mut Problems) {
        problems.when(
            self.weights.is_empty(),
            "weights",
            "is missing: give the path of a ViT checkpoint with timm's or Hugging Face's names",
        );
    }

    fn describe(&self, facts: &mut Facts) {
        (facts.text_tower, facts.transformer) = (Some(false), Some(true));
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Backbone>> {
        let file = weights::read(Path::new(&self.weights))?;
        context.note_weights(&self.weights, file.sha256.clone());
        context.note_config(&self.weights, file.config.as_ref());
        let named = Naming::of(&file.tensors);
        let tensors = module_paths(file.tensors)?;
        let empty = self.empty(&tensors, named, file.config.as_ref(), &context.device)?;
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
        naming: Naming,
        config: Option<&serde_json::Value>,
        device: &Device,
    ) -> Result<Vit> {
        let number = |key: &str| config.and_then(|config| config.get(key)).and_then(|v| v.as_f64());
        let usual = if naming == Naming::HuggingFace { 1e-12 } else { 1e-6 };
        let epsilon = self.epsilon.or(number("layer_norm_eps")).unwrap_or(usual);
        let activation = match config.and_then(|config| config.get("hidden_act")).and_then(|v| v.as_str()) {
            Some(name) => Activation::named(&self.weights, name)?,
            None => Activation::Gelu,
        };
        let shapes = Shapes { source: &self.weights, tensors };
        let &[inputs, width] = shapes.of("visual.patch", 2)? else { return Err(Error::failed("two axes are checked")) };
        let positions = shapes.of("visual.positional_embedding", 2)?[0].saturating_sub(1);
        let layers = shapes.layers("visual.resblocks.");
        let hidden = shapes.of("visual.resblocks.0.c_fc.weight", 2)?[1];
        let (patch_size, grid) = ((inputs / 3).isqrt(), positions.isqrt());
        let heads = self.heads.or(number("num_attention_heads").map(|heads| heads as usize)).unwrap_or(width / 64);
        let image_size = grid.saturating_mul(patch_size);
        let sizes =
            [("width", width), ("heads", heads), ("image size", image_size), ("layers", layers), ("hidden", hidden)];
        if let Some(problem) = out_of_range(&sizes[..4])
            .or_else(|| (hidden == 0).then(|| "its feed-forward layers have no width".to_owned()))
            .or_else(|| no_multiple(sizes[0], sizes[1]))
        {
            return Err(Error::failed(format!("{} holds a model that cannot be built: {problem}", self.weights))
                .help("heads that are not width / 64 are given with backbone.heads"));
        }
        let rest = (positions as f64 + inputs as f64) * width as f64;
        refuse_bloat(&self.weights, stack_values(layers, width, hidden) + rest, tensors)?;
        let blocks = BlockSizes { width, heads, layers, hidden, activation, epsilon };
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

/// Whose names a checkpoint has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Naming {
    Timm,
    HuggingFace,
}

impl Naming {
    fn of(tensors: &BTreeMap<String, HostTensor>) -> Self {
        let theirs = tensors.keys().any(|name| name.contains("encoder.layer."));
        if theirs { Naming::HuggingFace } else { Naming::Timm }
    }
}

/// The sizes of a checkpoint, the number of values of its model, and how it fits, by module path.
pub(crate) fn fit(source: &Source, heads: Option<usize>) -> Result<(serde_json::Value, usize, Fit)> {
    let options = VitConfig { weights: source.label.clone(), heads, ..VitConfig::default() };
    let naming = Naming::of(&source.tensors);
    let tensors = module_paths(source.tensors.clone())?;
    let empty = options.empty(&tensors, naming, source.config.as_ref(), &Device::flex())?;
    let Geometry { image_size, width, blocks, tokens, .. } = empty.geometry;
    let sizes = serde_json::json!({"image_size": image_size, "width": width, "blocks": blocks, "tokens": tokens});
    let values = parameters::count(&empty).total;
    Ok((sizes, values, parameters::try_import(empty, tensors, false).err().unwrap_or_default()))
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

    fn prefix(&self, pixels: Tensor<5>, adapter: &dyn Adapter) -> Tensor<3> {
        self.visual.prefix(pixels, adapter)
    }

    fn encode_steps(&self, adapter: &dyn Adapter) -> Vec<usize> {
        self.visual.encode_steps(adapter)
    }

    fn encode_step(&self, step: usize, x: Tensor<3>, adapter: &dyn Adapter, branch: &Branch) -> Tensor<3> {
        self.visual.encode_step(step, x, adapter, branch)
    }

    fn prefix_cost(&self, clips: [usize; 2], adapter: &dyn Adapter) -> Option<Cost> {
        self.visual.prefix_cost(clips, adapter)
    }

    fn encode_step_cost(&self, step: usize, clips: [usize; 2], adapter: &dyn Adapter, branch: &Branch) -> Option<Cost> {
        self.visual.encode_step_cost(step, clips, adapter, branch)
    }

    fn tune(&mut self, tunes: &dyn Fn(TowerPart) -> bool) {
        self.visual.tune(tunes);
    }

    fn lower(&mut self, precision: Precision) -> Result<()> {
        self.visual.lower(precision)
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

/// timm's and Hugging Face's names → module paths, with the layouts of this program. The classification head and the
/// pooler are not part of the model and left out; other unknown names stay and are reported as unused.
fn module_paths(tensors: BTreeMap<String, HostTensor>) -> Result<BTreeMap<String, HostTensor>> {
    const NO_PART: [&str; 6] = ["head.", "classifier.", "pooler.", "head_drop.", "fc_norm.", "pre_logits."];
    let mut renamed = Renamed::default();
    let mut stacks: BTreeMap<String, [Option<HostTensor>; 3]> = BTreeMap::new();
    for (name, tensor) in tensors {
        let name = name.strip_prefix("vit.").unwrap_or(&name);
        if NO_PART.iter().any(|part| name.starts_with(part)) {
            continue;
        }
        let part = ["query", "key", "value"].iter().enumerate().find_map(|(part, word)| {
            let (block, kind) = name.split_once(&format!(".attention.attention.{word}."))?;
            let number = block.strip_prefix("encoder.layer.")?;
            Some((format!("visual.resblocks.{number}.attn.in_proj.{kind}"), part))
        });
        if let Some((path, part)) = part {
            stacks.entry(path).or_default()[part] = Some(tensor);
            continue;
        }
        let path = path_of(name);
        let tensor = match path.as_str() {
            "visual.patch" => flatten_patch(tensor),
            "visual.class_embedding" => HostTensor { shape: vec![tensor.values.len()], ..tensor },
            "visual.positional_embedding" if tensor.shape.first() == Some(&1) => {
                HostTensor { shape: tensor.shape[1..].to_vec(), ..tensor }
            }
            _ => tensor,
        };
        renamed.insert(path, tensor)?;
    }
    for (path, parts) in stacks {
        stack(path, parts, &mut renamed)?;
    }
    // Matrices are `[out, in]` there and `[in, out]` here.
    let matrix = |path: &str| path == "visual.patch" || path.ends_with(".weight");
    let turn =
        |(path, tensor): (String, HostTensor)| if matrix(&path) { (path, transpose(tensor)) } else { (path, tensor) };
    Ok(renamed.finish().into_iter().map(turn).collect())
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

    fn features_agree(name: &str) {
        let mut fixture = fixtures::open(name);
        let (input, expected) = (fixture.take("input"), fixture.take("expected"));
        let weights = fixture.checkpoint().display().to_string();
        let config = VitConfig { weights, heads: Some(3), ..VitConfig::default() };
        let backbone = config.build(&BuildContext::new(0, Device::flex())).unwrap();
        assert!(!backbone.geometry().has_text_tower && backbone.encode_texts(&[]).is_err());
        let images = fixtures::tensor::<4>(&input).unsqueeze_dim(1);
        let features = backbone.encode_clips(images, &*no_adapter(), &Branch::Query);
        fixtures::close(features, &expected, 1e-5);
    }

    #[test]
    fn features_agree_with_timm() {
        features_agree("vit_timm_tiny");
    }

    #[test]
    fn features_agree_with_hugging_face() {
        features_agree("vit_hf_tiny");
    }
}

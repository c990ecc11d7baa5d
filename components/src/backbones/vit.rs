//! `vit`: an image transformer without text tower (ImageNet's ViT-B/32 and the like), for the unimodal rows of the
//! paper's table 7.
//!
//! Source: Dosovitskiy et al., ICLR 2021; checkpoints of timm (`VisionTransformer`) and Hugging Face (`ViTModel`).
//! Exact GELU, no norm before the blocks, class token → norm; the classification head is not used.

use super::clip::ImageTower;
use super::clip::block::{Activation, BlockSizes};
use super::clip::checkpoint::{self, Source};
use super::clip::config::{Said, Shown, TowerSizes, described};
use super::clip::names::{Parts, Renamed, flatten_patch, stack};
use super::clip::preparation::{self, Asked, Pixels, Preparation};
use super::clip::settings::{Number, Settings};
use super::clip::sizes::{Shapes, no_multiple, out_of_range, refuse_bloat, stack_values, usual_heads};
use super::clip::vision_tower::{VisionSizes, VisionTower};
use super::clip_vit::check_source;
use super::handed_out::HandedOut;
use crate::layers::Init;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use maclip_framework::error::{Error, Result};
use maclip_framework::model::parameters::{self, Fit};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::adapter::{Adapter, Branch, TowerPart};
use maclip_framework::slots::backbone::{Backbone, Geometry, Precision};
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::layout::Part;
use maclip_framework::weights::{HostTensor, transpose};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Options of the image transformer.
#[derive(Clone, Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VitConfig {
    /// A safetensors file, torch state dict or Hugging Face folder with timm's or Hugging Face's names, or
    /// `hf:OWNER/NAME` on the Hugging Face hub.
    pub weights: String,
    /// Which of several models in one file is read: the key of a training checkpoint, such as `state_dict_ema`, or what
    /// stands before the names of its tensors, such as `teacher.backbone`. Needed where more than one could be meant.
    pub key: Option<String>,
    /// Attention heads. Needed where no config says them and they are not width / 64, which is guessed with a warning.
    #[schemars(range(min = 1))]
    pub heads: Option<usize>,
    /// Activation of the feed-forward layers; `null` takes the config's, else `gelu`.
    pub activation: Option<Activation>,
    /// How pixels in 0..1 are normalised: `half` (mean and std 0.5: ImageNet-21k and augreg weights), `imagenet`, or
    /// `clip`; `null` takes what the checkpoint's configs say, else `half` with a warning.
    pub pixels: Option<Pixels>,
    /// Who says how images are prepared for the model.
    pub preparation: Preparation,
    /// ε of the layer norms; `null` takes the config's, else 1e-6 with timm's names and 1e-12 with Hugging Face's.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub epsilon: Option<f64>,
}

register!(dyn Backbone, VitConfig, name: "vit", summary: "image transformer without text tower (ImageNet weights)",
    paper: Some("ViT, ICLR 2021; MA-CLIP's table 7"), stability: Stable, usage: "{weights: vit_base_patch32_224.safetensors}");

impl Component for VitConfig {
    type Slot = dyn Backbone;

    fn validate(&self, problems: &mut Problems) {
        check_source(&self.weights, problems);
    }

    fn required_inputs(&self, problems: &mut Problems) {
        problems.when(
            self.weights.trim().is_empty(),
            "weights",
            "is missing: give the path of a ViT checkpoint with timm's or Hugging Face's names, or `hf:OWNER/NAME` on \
             the Hugging Face hub",
        );
    }

    fn describe(&self, facts: &mut Facts) {
        (facts.text_tower, facts.transformer, facts.hands_out) = (Some(false), Some(true), Some(true));
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Backbone>> {
        let source = checkpoint::open(&self.weights, context.pin(&self.weights), self.key.as_deref())?;
        source.note(context);
        source.expect("vit")?;
        let mut settings = Settings::of(&self.weights);
        let opened = self.open(&source, &mut settings, &context.device);
        settings.note(context);
        let Opened { empty, file } = opened?;
        settings.refuse_differences()?;
        if let Some(problem) = file.fit(&empty).problem() {
            return Err(Error::failed(format!("{} does not fit the model:\n  {problem}", self.weights)));
        }
        checkpoint::refuse_not_finite(&self.weights, &file.not_finite())?;
        let outside = checkpoint::not_finite(file.outside.iter().map(|(name, tensor)| (name.clone(), tensor)));
        if !outside.is_empty() {
            let names = outside.join(", ");
            context.note(format!(
                "{} has values that are no finite numbers where they are not used: {names}",
                self.weights
            ));
        }
        let loaded = parameters::import(empty, file.tensors, false).map_err(|error| {
            Error::failed(format!("{} does not fit the model:\n  {}", self.weights, error.reason()))
        })?;
        Ok(Box::new(loaded.no_grad()))
    }
}

/// A checkpoint and the model of its sizes.
struct Opened {
    empty: Vit,
    file: File,
}

impl VitConfig {
    /// The tensors of `source`, and a model of the sizes that they and its configs show, without weights.
    fn open(&self, source: &Source, settings: &mut Settings, device: &Device) -> Result<Opened> {
        let file = File::of(source)?;
        let empty = self.empty(source, &file, settings, device)?;
        Ok(Opened { empty, file })
    }

    fn empty(&self, source: &Source, file: &File, settings: &mut Settings, device: &Device) -> Result<Vit> {
        let label = &source.label;
        let shapes = Shapes { source: label, tensors: &file.tensors, theirs: Box::new(|path| file.name(path)) };
        let &[inputs, width] = shapes.of("visual.patch", 2)? else { return Err(Error::failed("two axes are checked")) };
        let positions = shapes.of("visual.positional_embedding", 2)?[0].saturating_sub(1);
        let layers = shapes.layers("visual.resblocks.");
        let hidden = shapes.of("visual.resblocks.0.c_fc.weight", 2)?[1];
        let (patch_size, grid) = ((inputs / 3).isqrt(), positions.isqrt());
        let image_size = grid.saturating_mul(patch_size);
        let vision = TowerSizes { width, layers: vec![layers], patch: Some(patch_size) };
        let said = described(&source.configs, &Shown { vision, text: None }, true, settings)?;
        let (usual, whose) = match file.naming {
            Naming::HuggingFace => (1e-12, "Hugging Face's"),
            Naming::Timm => (1e-6, "timm's"),
        };
        fn by<T>(said: Said<T>) -> (Option<T>, String) {
            said.map_or((None, String::new()), |(value, from)| (Some(value), from))
        }
        let given = || "given".to_owned();
        let heads = [(self.heads, given()), by(said.vision_heads.clone())];
        let heads = settings.decide("heads", heads, usual_heads(width))?;
        let activation = [(self.activation, given()), by(said.activation.clone())];
        let activation =
            settings.decide("activation", activation, Ok((Activation::Gelu, "that of ImageNet's models")))?;
        let epsilon =
            [(self.epsilon.map(Number), given()), by(said.epsilon.clone().map(|(value, from)| (Number(value), from)))];
        let Number(epsilon) = settings.decide("epsilon", epsilon, Ok((Number(usual), whose)))?;
        let sizes =
            [("width", width), ("heads", heads), ("image size", image_size), ("layers", layers), ("hidden", hidden)];
        if let Some(problem) = out_of_range(&sizes[..4])
            .or_else(|| (hidden == 0).then(|| "its feed-forward layers have no width".to_owned()))
            .or_else(|| no_multiple(sizes[0], sizes[1]))
        {
            return Err(Error::failed(format!("{label} holds a model that cannot be built: {problem}"))
                .help("heads are given with backbone.heads"));
        }
        let rest = (positions as f64 + inputs as f64) * width as f64;
        refuse_bloat(label, stack_values(layers, width, hidden) + rest, &file.tensors)?;
        let asked = Asked { pixels: self.pixels, preparation: self.preparation };
        let usual = (Pixels::Half.normal(), false);
        let normal = preparation::normal(&source.configs, &said, image_size, asked, None, usual, settings)?;
        let blocks = BlockSizes { width, heads, layers, hidden, activation, epsilon };
        let visual = VisionSizes { image_size, patch_size, blocks, projection: None, clip_stem: false };
        let geometry = Geometry {
            image_size,
            width,
            embed_dim: width,
            blocks: layers,
            transformer: true,
            tokens: grid * grid + 1,
            text: None,
            mean: normal.mean,
            std: normal.std,
        };
        let visual = VisionTower::new(visual, &mut Init::blank(device.clone()));
        Ok(Vit { visual, geometry, handed_out: Vec::new() })
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

/// What a checkpoint is, for `maclip weights inspect`.
pub(crate) struct Inspected {
    /// Its sizes.
    pub sizes: serde_json::Value,
    /// Number of values of the model.
    pub values: usize,
    /// How it fits, under the names of the file.
    pub fit: Fit,
    /// Tensors with values that are no finite numbers.
    pub not_finite: Vec<String>,
}

/// Looks into a checkpoint. `settings` has who says what.
///
/// # Errors
/// Where its sizes make no model.
pub(crate) fn inspected(source: &Source, options: &VitConfig, settings: &mut Settings) -> Result<Inspected> {
    let Opened { empty, file } = options.open(source, settings, &Device::flex())?;
    let Geometry { image_size, width, blocks, tokens, .. } = empty.geometry;
    let sizes = serde_json::json!({"image_size": image_size, "width": width, "blocks": blocks, "tokens": tokens});
    let values = parameters::count(&empty).total;
    Ok(Inspected { sizes, values, fit: file.fit(&empty), not_finite: file.not_finite() })
}

/// The tensors of a checkpoint by module path.
struct File {
    naming: Naming,
    tensors: BTreeMap<String, HostTensor>,
    /// The file's name and shape of each.
    theirs: BTreeMap<String, (String, Vec<usize>)>,
    /// What stands before every name.
    prefix: String,
    /// What is no part of the model, under the file's names.
    outside: BTreeMap<String, HostTensor>,
}

impl File {
    fn of(source: &Source) -> Result<Self> {
        let naming = Naming::of(&source.tensors);
        let theirs = source.tensors.iter().map(|(name, tensor)| {
            let path = packed(name).map_or_else(|| path_of(name), |(path, _)| path);
            // A packed tensor has the name of its three parts.
            let theirs = match packed(name) {
                Some(_) => format!("{}{}", source.names.prefix, name_of(&path, naming)),
                None => source.names.of(name),
            };
            (path, (theirs, tensor.shape.clone()))
        });
        let theirs = theirs
            .chain(source.tensors.iter().map(|(name, t)| (name.clone(), (source.names.of(name), t.shape.clone()))));
        let theirs = theirs.collect();
        let (outside, own) = source.tensors.clone().into_iter().partition(|(name, _)| is_no_part(name));
        Ok(Self { naming, tensors: module_paths(own)?, theirs, prefix: source.names.prefix.clone(), outside })
    }

    /// The file's name of the tensor at `path`, also of one that is not in it.
    fn name(&self, path: &str) -> String {
        let known = self.theirs.get(path).map(|(name, _)| name.clone());
        known.unwrap_or_else(|| format!("{}{}", self.prefix, name_of(path, self.naming)))
    }

    /// How the tensors fit `empty`, under the names and with the shapes of the file.
    fn fit(&self, empty: &Vit) -> Fit {
        let mut expected = parameters::shapes(empty);
        let mut fit = Fit::default();
        let in_file = |path: &str, shape: &[usize]| {
            let turned = (path == "visual.patch" || path.ends_with(".weight")) && shape.len() == 2;
            if turned { shape.iter().rev().copied().collect() } else { shape.to_vec() }
        };
        for (path, tensor) in &self.tensors {
            let (name, theirs) = (self.name(path), in_file(path, &tensor.shape));
            match expected.remove(path) {
                None => {
                    let shape = self.theirs.get(path).map_or(&theirs, |(_, shape)| shape);
                    fit.unused.push(format!("{name} {shape:?}"));
                }
                Some(wanted) if wanted != tensor.shape => {
                    let wanted: Vec<usize> = in_file(path, &wanted);
                    fit.misshapen.push(format!("{name} is {theirs:?}, the model has {wanted:?}"));
                }
                Some(_) => {}
            }
        }
        let missing = expected.into_iter().map(|(path, shape)| (self.name(&path), in_file(&path, &shape)));
        fit.missing = missing.map(|(name, shape)| format!("{name} {shape:?}")).collect();
        fit
    }

    fn not_finite(&self) -> Vec<String> {
        checkpoint::not_finite(self.tensors.iter().map(|(path, tensor)| (self.name(path), tensor)))
    }
}

#[derive(Module, Debug)]
struct Vit {
    visual: VisionTower,
    #[module(skip)]
    geometry: Geometry,
    #[module(skip)]
    handed_out: Vec<Part>,
}

impl Backbone for Vit {
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn prefix(&self, pixels: Tensor<5>, adapter: &dyn Adapter) -> Tensor<3> {
        self.visual.prefix(pixels, adapter)
    }

    fn hand_out(&mut self, parts: &[Part]) -> Result<()> {
        self.visual.hand_out(HandedOut::new(parts, &self.geometry)?);
        self.handed_out = parts.to_vec();
        Ok(())
    }

    fn handed_out(&self) -> &[Part] {
        &self.handed_out
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

/// Whether `name` is of the classification head or the pooler, which are no part of the model.
fn is_no_part(name: &str) -> bool {
    const NO_PART: [&str; 6] = ["head.", "classifier.", "pooler.", "head_drop.", "fc_norm.", "pre_logits."];
    NO_PART.iter().any(|part| name.starts_with(part))
}

/// The path of the packed tensor that Hugging Face's query, key or value is a part of, and its place there.
fn packed(name: &str) -> Option<(String, usize)> {
    ["query", "key", "value"].iter().enumerate().find_map(|(part, word)| {
        let (block, kind) = name.split_once(&format!(".attention.attention.{word}."))?;
        let number = block.strip_prefix("encoder.layer.")?;
        Some((format!("visual.resblocks.{number}.attn.in_proj.{kind}"), part))
    })
}

/// timm's and Hugging Face's names → module paths, with the layouts of this program. Unknown names stay and are
/// reported as unused.
fn module_paths(tensors: BTreeMap<String, HostTensor>) -> Result<BTreeMap<String, HostTensor>> {
    let mut renamed = Renamed::default();
    let mut stacks: BTreeMap<String, Parts> = BTreeMap::new();
    for (name, tensor) in tensors {
        if let Some((path, part)) = packed(&name) {
            stacks.entry(path).or_default()[part] = Some((name, tensor));
            continue;
        }
        let path = path_of(&name);
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
    let matrix = |path: &str| path == "visual.patch" || path.starts_with("visual.") && path.ends_with(".weight");
    let turn =
        |(path, tensor): (String, HostTensor)| if matrix(&path) { (path, transpose(tensor)) } else { (path, tensor) };
    Ok(renamed.finish().into_iter().map(turn).collect())
}

/// Names outside of the blocks: timm's, Hugging Face's, and the module path.
const FIXED: [(&str, &str, &str); 6] = [
    ("patch_embed.proj.weight", "embeddings.patch_embeddings.projection.weight", "visual.patch"),
    ("patch_embed.proj.bias", "embeddings.patch_embeddings.projection.bias", "visual.patch_bias"),
    ("cls_token", "embeddings.cls_token", "visual.class_embedding"),
    ("pos_embed", "embeddings.position_embeddings", "visual.positional_embedding"),
    ("norm.weight", "layernorm.weight", "visual.ln_post.gamma"),
    ("norm.bias", "layernorm.bias", "visual.ln_post.beta"),
];
/// Layers of a block: timm's name, Hugging Face's, ours, and whether it is a norm.
const LAYERS: [(&str, &str, &str, bool); 6] = [
    ("norm1", "layernorm_before", "ln_1", true),
    ("norm2", "layernorm_after", "ln_2", true),
    ("attn.qkv", "attention.attention.{query,key,value}", "attn.in_proj", false),
    ("attn.proj", "attention.output.dense", "attn.out_proj", false),
    ("mlp.fc1", "intermediate.dense", "c_fc", false),
    ("mlp.fc2", "output.dense", "c_proj", false),
];

fn path_of(name: &str) -> String {
    if let Some((_, _, path)) = FIXED.iter().find(|(timm, theirs, _)| *timm == name || *theirs == name) {
        return (*path).to_owned();
    }
    let block = name.strip_prefix("blocks.").or_else(|| name.strip_prefix("encoder.layer."));
    let Some((number, rest)) = block.and_then(|rest| rest.split_once('.')) else { return name.to_owned() };
    let Some((part, kind)) = rest.rsplit_once('.') else { return name.to_owned() };
    let layer = LAYERS.iter().find(|(timm, theirs, ..)| *timm == part || *theirs == part);
    let Some((_, _, ours, norm)) = layer else { return name.to_owned() };
    let kind = match (norm, kind) {
        (true, "weight") => "gamma",
        (true, "bias") => "beta",
        (_, kind) => kind,
    };
    format!("visual.resblocks.{number}.{ours}.{kind}")
}

/// The inverse of [`path_of`].
fn name_of(path: &str, naming: Naming) -> String {
    let choose = |timm: &str, theirs: &str| if naming == Naming::Timm { timm.to_owned() } else { theirs.to_owned() };
    if let Some((timm, theirs, _)) = FIXED.iter().find(|(.., known)| *known == path) {
        return choose(timm, theirs);
    }
    let named = || {
        let (number, rest) = path.strip_prefix("visual.resblocks.")?.split_once('.')?;
        let (part, kind) = rest.rsplit_once('.')?;
        let (timm, theirs, ..) = LAYERS.iter().find(|(_, _, ours, _)| *ours == part)?;
        let kind = kind.replace("gamma", "weight").replace("beta", "bias");
        let block = choose("blocks", "encoder.layer");
        Some(format!("{block}.{number}.{}.{kind}", choose(timm, theirs)))
    };
    named().unwrap_or_else(|| path.to_owned())
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
        assert!(!backbone.geometry().has_text_tower() && backbone.encode_texts(&[]).is_err());
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

//! What a checkpoint holds and which backbone it fits; and its conversion to one safetensors file.

use super::clip::block::Activation;
use super::clip::checkpoint::{self, Source, Stored};
use super::clip::{Clip, names};
use super::clip_resnet::ClipResNetConfig;
use super::clip_vit::ClipVitConfig;
use super::vit;
use burn::tensor::Device;
use maclip_framework::error::{Error, Result};
use maclip_framework::files;
use maclip_framework::model::parameters::{self, Fit};
use maclip_framework::weights::{self, ElementType};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// What a checkpoint may not say, given by the user. `None` takes what the file says, or the usual value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints {
    /// Attention heads of the image tower; usually width / 64.
    pub vision_heads: Option<usize>,
    /// Attention heads of the text tower; usually width / 64.
    pub text_heads: Option<usize>,
    /// Activation of the feed-forward layers; usually OpenAI's QuickGELU.
    pub activation: Option<Activation>,
}

/// What a checkpoint holds.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The path or `builtin:NAME` that was asked for.
    pub source: String,
    /// In words: "safetensors, Hugging Face names".
    pub format: String,
    /// Checksum of the file, in hexadecimal.
    pub sha256: String,
    /// Everything in the file, under its own names.
    pub stored: Vec<Stored>,
    /// Values that are infinite or not a number.
    pub not_finite: usize,
    /// The backbone that it fits, or why none could be found.
    pub backbone: std::result::Result<Found, String>,
}

/// A backbone and how a checkpoint fits it.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// The component, such as `clip_vit`.
    pub name: &'static str,
    /// A published name, where the sizes have one.
    pub published: Option<&'static str>,
    /// Its sizes, as the recipe's `backbone.architecture` writes them.
    pub architecture: Value,
    /// Number of values of the model.
    pub values: usize,
    /// Tensors that the backbone needs and the file lacks, and those that it does not use.
    pub fit: Fit,
}

impl Inspection {
    /// What keeps the checkpoint from being used, if anything.
    pub fn problem(&self) -> Option<String> {
        match &self.backbone {
            Err(problem) => Some(problem.clone()),
            Ok(found) => found.fit.problem(),
        }
    }
}

/// Looks into `source`, a path or `builtin:NAME`. That it fits no backbone is no error: see [`Inspection::problem`].
///
/// # Errors
/// Where the file cannot be read, or is no checkpoint.
pub fn inspect(source: &str, hints: Hints) -> Result<Inspection> {
    Ok(inspection(&checkpoint::open(source)?, hints))
}

fn inspection(source: &Source, hints: Hints) -> Inspection {
    let values = source.tensors.values().flat_map(|tensor| &tensor.values);
    Inspection {
        source: source.label.clone(),
        format: source.format.clone(),
        sha256: source.sha256.clone(),
        stored: source.stored.clone(),
        not_finite: values.filter(|value| !value.is_finite()).count(),
        backbone: find(source, hints).map_err(|error| error.to_string()),
    }
}

/// The backbone that the tensor names belong to.
fn find(source: &Source, hints: Hints) -> Result<Found> {
    let Hints { vision_heads, text_heads, activation } = hints;
    if names::is_vit(&source.tensors) {
        let (architecture, values, fit) = vit::fit(source, vision_heads)?;
        return Ok(Found { name: "vit", published: None, architecture, values, fit });
    }
    let (name, published, architecture, blank) = if names::is_resnet(&source.tensors) {
        let config = ClipResNetConfig { vision_heads, text_heads, ..ClipResNetConfig::default() };
        let sizes = config.sizes(source)?;
        ("clip_resnet", sizes.name(), json!(sizes), config.blank(&sizes, source.tokenizer()?, &Device::flex())?)
    } else {
        let config = ClipVitConfig { vision_heads, text_heads, activation, ..ClipVitConfig::default() };
        let sizes = config.sizes(source)?;
        ("clip_vit", sizes.name(), json!(sizes), config.blank(&sizes, source.tokenizer()?, &Device::flex()))
    };
    let values = parameters::count(&blank).total;
    Ok(Found { name, published, architecture, values, fit: fit(source, &blank) })
}

/// How a checkpoint fits an empty model, in OpenAI's names.
fn fit(source: &Source, blank: &Clip) -> Fit {
    let mut fit = Fit::default();
    let mut tensors = parameters::export(blank, false);
    tensors.extend(blank.visual.buffers().into_iter().map(|(path, tensor)| (format!("visual.{path}"), tensor)));
    let shapes = names::to_openai(tensors).into_iter().map(|(name, tensor)| (name, tensor.shape));
    let mut expected: BTreeMap<String, Vec<usize>> = shapes.collect();
    for (name, tensor) in &source.tensors {
        let scalar = tensor.shape.is_empty();
        match expected.remove(name) {
            None => fit.unused.push(format!("{name} {:?}", tensor.shape)),
            Some(shape) if shape != tensor.shape && !(scalar && shape == [1]) => {
                fit.misshapen.push(format!("{name} is {:?}, the model has {shape:?}", tensor.shape));
            }
            Some(_) => {}
        }
    }
    fit.missing = expected.into_iter().map(|(name, shape)| format!("{name} {shape:?}")).collect();
    fit
}

/// Writes `source` as one safetensors file with OpenAI's names, with its architecture in the metadata.
///
/// # Errors
/// Where `source` cannot be read, does not fit a CLIP backbone as a whole, or holds values that are not finite or that
/// `precision` cannot hold; and where `to` cannot be written.
pub fn convert(source: &str, to: &Path, precision: ElementType, hints: Hints) -> Result<Inspection> {
    let opened = checkpoint::open(source)?;
    let inspection = inspection(&opened, hints);
    let help = "`maclip weights inspect FILE --tensors` lists what a file holds";
    if let Some(problem) = inspection.problem() {
        return Err(Error::failed(format!("{source} is no whole CLIP checkpoint:\n  {problem}")).help(help));
    }
    if inspection.not_finite > 0 {
        let message = format!("{} values of {source} are not finite numbers", inspection.not_finite);
        return Err(Error::failed(message).help("such weights give no result; get the file again"));
    }
    let mut about = opened.about.clone();
    match &inspection.backbone {
        Ok(found) if found.name != "vit" => {
            about.insert("architecture".to_owned(), found.architecture.to_string());
        }
        _ => {
            let message = "only CLIP checkpoints are converted";
            return Err(Error::failed(message).help("`vit` reads timm's and Hugging Face's files as they are"));
        }
    }
    about.insert("converted_from".to_owned(), format!("{} (sha256 {})", inspection.format, inspection.sha256));
    files::write_atomically(to, &weights::serialize(&opened.tensors, &about, precision)?)?;
    Ok(inspection)
}

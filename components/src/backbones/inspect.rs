//! What a checkpoint holds and which backbone it fits; and its conversion to one safetensors file.

use super::clip::block::Activation;
use super::clip::checkpoint::{self, Kind, SOURCES, Source, Stored};
use super::clip::prefix::listed;
use super::clip::preparation::Normal;
use super::clip::settings::{Setting, Settings};
use super::clip_resnet::ClipResNetConfig;
use super::clip_vit::ClipVitConfig;
use super::resnet::ResNetConfig;
use super::vit::{self, VitConfig};
use burn::tensor::Device;
use maclip_framework::error::{Error, Result};
use maclip_framework::files;
use maclip_framework::model::parameters::{self, Fit};
use maclip_framework::weights::{self, ElementType};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// What a checkpoint may not say, given by the user. `None` takes what the file or a config says, or the usual value.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// Which of several models in one file is meant.
    pub key: Option<String>,
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
    /// The path, `builtin:NAME` or `hf:OWNER/NAME` that was asked for.
    pub source: String,
    /// In words: "safetensors, Hugging Face names".
    pub format: String,
    /// Checksum of the file, in hexadecimal.
    pub sha256: String,
    /// Of weights of the hub, the address of this very content: `hf:OWNER/NAME@COMMIT/FILE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<String>,
    /// Everything in the file, under its own names.
    pub stored: Vec<Stored>,
    /// Values that are infinite or not a number.
    pub not_finite: usize,
    /// The tensors that have such values, each with their number; first those of the model.
    pub not_finite_tensors: Vec<String>,
    /// Values that shapes do not show, and who says each.
    pub settings: Vec<Setting>,
    /// What was done to read the file, what was guessed, and what a run would refuse, as sentences.
    pub notes: Vec<String>,
    /// Of a checkpoint of a run of maclip: the number of trained values by slot.
    pub training: Option<BTreeMap<String, usize>>,
    /// The backbone that it fits, or why none could be found.
    pub backbone: std::result::Result<Found, String>,
    /// The way out, where no backbone could be found.
    #[serde(skip)]
    pub help: Option<String>,
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
    /// Mean and standard deviation of its pixels, where they are not CLIP's.
    pub pixels: Option<Normal>,
    /// Number of values of the model.
    pub values: usize,
    /// Tensors that the backbone needs and the file lacks, and those that it does not use.
    pub fit: Fit,
}

impl Inspection {
    /// What keeps the checkpoint from being used as a backbone, if anything. A checkpoint of a run is none, and that is
    /// no fault of it.
    pub fn problem(&self) -> Option<String> {
        match &self.backbone {
            Err(_) if self.training.is_some() => None,
            Err(problem) => Some(problem.clone()),
            Ok(found) => found.fit.problem(),
        }
    }
}

/// Looks into `source`, a path, `builtin:NAME`, or `hf:OWNER/NAME` in the cache of the hub. That it fits no backbone is
/// no error: see [`Inspection::problem`].
///
/// # Errors
/// Where the file cannot be read, or is no checkpoint.
pub fn inspect(source: &str, hints: &Hints) -> Result<Inspection> {
    let opened =
        checkpoint::open(source, None, hints.key.as_deref()).map_err(|error| error.help(format!("give {SOURCES}")))?;
    Ok(inspection(&opened, hints))
}

fn inspection(source: &Source, hints: &Hints) -> Inspection {
    let mut settings = Settings::of(&source.label);
    let mut not_finite_tensors = source.not_finite();
    let found = find(source, hints, &mut settings, &mut not_finite_tensors);
    not_finite_tensors.extend(source.not_finite_outside());
    let help = match &found {
        Err(Error::Failed { help, .. }) => help.clone(),
        _ => None,
    };
    let mut notes = source.notes.clone();
    notes.extend(settings.sentences());
    if let Err(refused) = settings.refuse_differences() {
        notes.push(format!("a run refuses this: {}", refused.reason()));
    }
    let values = source.tensors.values().chain(source.outside.values()).flat_map(|tensor| &tensor.values);
    Inspection {
        source: source.label.clone(),
        format: source.format.clone(),
        sha256: source.sha256.clone(),
        pinned: source.pinned.clone(),
        stored: source.stored.clone(),
        not_finite: values.filter(|value| !value.is_finite()).count(),
        not_finite_tensors,
        settings: settings.list,
        notes,
        training: match &source.kind {
            Kind::Training(slots) => Some(slots.clone()),
            _ => None,
        },
        backbone: found.map_err(|error| error.reason()),
        help,
    }
}

/// The backbone that the tensor names belong to.
fn find(source: &Source, hints: &Hints, settings: &mut Settings, not_finite: &mut Vec<String>) -> Result<Found> {
    let Hints { vision_heads, text_heads, activation, .. } = *hints;
    let (name, published, architecture, normal, blank) = match &source.kind {
        Kind::Vit => {
            let options = VitConfig { heads: vision_heads, activation, ..VitConfig::default() };
            let found = vit::inspected(source, &options, settings)?;
            *not_finite = found.not_finite;
            let (architecture, values, fit) = (found.sizes, found.values, found.fit);
            return Ok(Found { name: "vit", published: None, architecture, pixels: None, values, fit });
        }
        Kind::ResNet => {
            let found = ResNetConfig::default().open(source, settings, &Device::flex())?;
            not_finite.clone_from(&found.not_finite);
            let (architecture, values) = (json!(found.sizes), found.values());
            return Ok(Found { name: "resnet", published: None, architecture, pixels: None, values, fit: found.fit });
        }
        Kind::ClipResNet => {
            let text_activation = activation;
            let config = ClipResNetConfig { vision_heads, text_heads, text_activation, ..ClipResNetConfig::default() };
            let (sizes, normal) = config.sizes(source, settings)?;
            let blank = config.blank(&sizes, normal, source.tokenizer()?, &Device::flex())?;
            ("clip_resnet", sizes.name(), json!(sizes), normal, blank)
        }
        Kind::ClipVit => {
            let config = ClipVitConfig { vision_heads, text_heads, activation, ..ClipVitConfig::default() };
            let (sizes, normal) = config.sizes(source, settings)?;
            let blank = config.blank(&sizes, normal, source.tokenizer()?, &Device::flex());
            ("clip_vit", sizes.name(), json!(sizes), normal, blank)
        }
        other => {
            let message = format!("{} {}", source.label, other.words());
            return Err(Error::failed(message).help(format!("a backbone reads {SOURCES}")));
        }
    };
    let values = parameters::count(&blank).total;
    let pixels = Some(normal).filter(|normal| *normal != Normal::CLIP);
    Ok(Found { name, published, architecture, pixels, values, fit: blank.fit(source) })
}

/// Writes `source` as one safetensors file with OpenAI's names, with its architecture in the metadata.
///
/// # Errors
/// Where `source` cannot be read, does not fit a CLIP backbone as a whole, or holds values that are not finite or that
/// `precision` cannot hold; and where `to` cannot be written.
pub fn convert(source: &str, to: &Path, precision: ElementType, hints: &Hints) -> Result<Inspection> {
    let opened =
        checkpoint::open(source, None, hints.key.as_deref()).map_err(|error| error.help(format!("give {SOURCES}")))?;
    let inspection = inspection(&opened, hints);
    let help = "`maclip weights inspect FILE --tensors` lists what a file holds";
    let problem = inspection.problem().or_else(|| inspection.backbone.as_ref().err().cloned());
    if let Some(problem) = problem {
        return Err(Error::failed(format!("{source} is no whole CLIP checkpoint:\n  {problem}")).help(help));
    }
    let not_finite = opened.not_finite();
    if !not_finite.is_empty() {
        let message = format!("values of {source} are not finite numbers: {}", listed(not_finite.iter()));
        return Err(Error::failed(message).help("such weights give no result; get the file again"));
    }
    let mut about = opened.about.clone();
    match &inspection.backbone {
        Ok(found) if !["vit", "resnet"].contains(&found.name) => {
            about.insert("architecture".to_owned(), found.architecture.to_string());
            about.extend(found.pixels.map(|normal| (Normal::METADATA.to_owned(), json!(normal).to_string())));
        }
        _ => {
            let message = "only CLIP checkpoints are converted";
            return Err(Error::failed(message).help("`vit` and `resnet` read their files as they are"));
        }
    }
    about.insert("converted_from".to_owned(), format!("{} (sha256 {})", inspection.format, inspection.sha256));
    files::write_atomically(to, &weights::serialize(&opened.tensors, &about, precision)?)?;
    Ok(inspection)
}

//! What a checkpoint holds and which backbone it fits; and its conversion to maclip's own form.

use super::clip::checkpoint::{self, Source};
use super::clip::sizes::Architecture;
use super::clip::{Clip, names};
use super::clip_resnet::{self, ClipResNetConfig};
use super::clip_vit::ClipVitConfig;
use super::vit;
use burn::tensor::Device;
use maclip_framework::error::{Error, Result};
use maclip_framework::parameters::{self, Fit};
use maclip_framework::run::BuildContext;
use maclip_framework::weights::{self, Precision};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// One tensor, named in OpenAI's way.
#[derive(Clone, Debug, Serialize)]
pub struct TensorInfo {
    pub name: String,
    pub shape: Vec<usize>,
    /// As stored, where the name is the file's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtype: Option<&'static str>,
}

/// What a checkpoint holds.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    pub source: String,
    /// Plain words: "safetensors, Hugging Face names".
    pub format: String,
    pub sha256: String,
    /// The backbone that it fits best.
    pub backbone: &'static str,
    /// A published name, or the sizes.
    pub architecture: String,
    /// Sum over all tensors.
    pub values: usize,
    /// Number of stored tensors by type.
    pub dtypes: BTreeMap<&'static str, usize>,
    pub tensors: Vec<TensorInfo>,
    /// What the backbone would lack or not use.
    pub fit: Fit,
}

/// Looks into `source` (a path or `builtin:NAME`). Heads are as for [`ClipVitConfig`].
pub fn inspect(source: &str, heads: [Option<usize>; 2]) -> Result<Inspection> {
    let opened = checkpoint::open(source)?;
    let (backbone, architecture, fit) = if vit::is_vit(&opened.tensors) {
        let (architecture, fit) = vit::fit(source, &opened.tensors, opened.config.as_ref(), heads[0])?;
        ("vit", architecture, fit)
    } else {
        let (backbone, architecture, blank) = guess(&opened, heads)?;
        (backbone, architecture, fit_of(&opened, backbone, &blank))
    };
    let size = |shape: &[usize]| shape.iter().product::<usize>();
    let mut dtypes = BTreeMap::new();
    opened.dtypes.values().for_each(|dtype| *dtypes.entry(*dtype).or_default() += 1);
    let tensors: Vec<TensorInfo> = opened
        .tensors
        .iter()
        .map(|(name, tensor)| {
            let dtype = opened.dtypes.get(name).copied();
            TensorInfo { name: name.clone(), shape: tensor.shape.clone(), dtype }
        })
        .collect();
    Ok(Inspection {
        source: source.to_owned(),
        format: opened.format,
        sha256: opened.sha256,
        backbone,
        architecture,
        values: tensors.iter().map(|tensor| size(&tensor.shape)).sum(),
        dtypes,
        tensors,
        fit,
    })
}

/// How a checkpoint fits an empty model, in OpenAI's names.
fn fit_of(opened: &Source, backbone: &str, blank: &Clip) -> Fit {
    let mut fit = Fit::default();
    let shapes = names::to_openai(parameters::export(blank, false)).into_iter();
    let mut expected: BTreeMap<String, Vec<usize>> = shapes.map(|(name, tensor)| (name, tensor.shape)).collect();
    for (name, tensor) in &opened.tensors {
        let scalar = tensor.shape.is_empty();
        match expected.remove(name) {
            None if backbone == "clip_resnet" && name.contains(".running_") => {}
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

/// The backbone, its architecture in words, and an empty model of it.
fn guess(source: &Source, [vision_heads, text_heads]: [Option<usize>; 2]) -> Result<(&'static str, String, Clip)> {
    let mut context = BuildContext::new(0, Device::flex());
    context.sizes_only = true;
    if source.tensors.contains_key("visual.layer1.0.conv1.weight") {
        let sizes = clip_resnet::Architecture::from_shapes(&source.label, &source.tensors)?;
        let words = format!("{sizes:?}");
        let options = serde_json::json!({"weights": "absent", "architecture": sizes});
        let config: ClipResNetConfig = serde_json::from_value(options).map_err(|e| Error::failed(e.to_string()))?;
        return Ok(("clip_resnet", words, config.clip(&context)?));
    }
    let config = ClipVitConfig { vision_heads, text_heads, ..ClipVitConfig::default() };
    let sizes: Architecture = config.sizes(source)?;
    let words = sizes.name().map_or_else(|| format!("{sizes:?}"), str::to_owned);
    let clip = super::clip_vit::blank(&sizes, source.tokenizer()?, &Device::flex());
    Ok(("clip_vit", words, clip))
}

/// Writes `source` as one safetensors file with OpenAI's names. Refuses what does not fit a backbone as a whole.
pub fn convert(source: &str, to: &Path, precision: Precision, heads: [Option<usize>; 2]) -> Result<Inspection> {
    let inspection = inspect(source, heads)?;
    if inspection.backbone == "vit" {
        return Err(Error::failed(
            "only CLIP checkpoints are converted; `vit` reads timm's and Hugging Face's files as they are",
        ));
    }
    if let Some(problem) = inspection.fit.problem() {
        return Err(Error::failed(format!("{source} is not a whole {}:\n  {problem}", inspection.backbone))
            .help("`maclip weights inspect` lists all tensors"));
    }
    let opened = checkpoint::open(source)?;
    let mut about = opened.about.clone();
    if inspection.backbone == "clip_vit" {
        let config = ClipVitConfig { vision_heads: heads[0], text_heads: heads[1], ..ClipVitConfig::default() };
        // Heads and activation cannot be seen in shapes.
        about.insert("architecture".to_owned(), serde_json::json!(config.sizes(&opened)?).to_string());
    }
    about.insert("converted_from".to_owned(), format!("{} (sha256 {})", inspection.format, inspection.sha256));
    weights::write_atomically(to, &weights::serialize(&opened.tensors, &about, precision)?)?;
    Ok(inspection)
}

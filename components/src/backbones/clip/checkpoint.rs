//! CLIP weights of every kind (built in, safetensors, torch, Hugging Face), with OpenAI's names.

use super::block::Activation;
use super::names;
use super::sizes::EPSILON;
use super::tokenizer::Tokenizer;
use super::words::Words;
use maclip_framework::error::{Error, Result};
use maclip_framework::files;
use maclip_framework::weights::{self, HostTensor, own_metadata};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;

const BUILTIN: [(&str, &[u8]); 1] = [("shapes_clip", include_bytes!("../../../weights/shapes_clip/model.safetensors"))];

/// What `backbone.weights` may be, for messages.
pub(crate) const SOURCES: &str = "the path of a CLIP checkpoint (safetensors or torch state dict, OpenAI's or Hugging \
                                  Face's names, or a Hugging Face folder), or builtin:shapes_clip";

/// Whether the program holds weights of this name, which is written without `builtin:`.
pub(crate) fn is_builtin(name: &str) -> bool {
    BUILTIN.iter().any(|(known, _)| *known == name)
}

/// All weights in the program, for messages.
pub(crate) fn builtin_names() -> String {
    BUILTIN.map(|(name, _)| format!("builtin:{name}")).join(", ")
}

/// The architecture that built-in weights say in their header; only the header is read.
pub(crate) fn builtin_architecture<T: DeserializeOwned>(source: &str) -> Option<T> {
    let name = source.strip_prefix("builtin:")?;
    let (_, bytes) = BUILTIN.iter().find(|(known, _)| *known == name)?;
    // safetensors: eight bytes of length, then a JSON object.
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let header = rest.get(..u64::from_le_bytes(*length) as usize)?;
    let header: serde_json::Value = serde_json::from_slice(header).ok()?;
    let metadata = serde_json::from_value(header.get("__metadata__")?.clone()).ok()?;
    serde_json::from_str(own_metadata(&metadata).get("architecture")?).ok()
}

/// A tensor as a file holds it, without its values.
#[derive(Clone, Debug, Serialize)]
pub struct Stored {
    /// The file's own name of it.
    pub name: String,
    /// Its axes.
    pub shape: Vec<usize>,
    /// Element type in safetensors' words, such as `F16`; `?` where it is not known.
    pub dtype: &'static str,
}

/// A checkpoint with OpenAI's names.
pub(crate) struct Source {
    /// As the recipe names it.
    pub label: String,
    /// In words: "safetensors, Hugging Face names".
    pub format: String,
    pub tensors: BTreeMap<String, HostTensor>,
    /// What the file holds, under its own names.
    pub stored: Vec<Stored>,
    /// Metadata that maclip writes into its own exports: architecture, vocabulary, recipe.
    pub about: BTreeMap<String, String>,
    /// `config.json` of a Hugging Face folder.
    pub config: Option<serde_json::Value>,
    pub sha256: String,
}

/// Reads `builtin:NAME` or a path.
pub(crate) fn open(source: &str) -> Result<Source> {
    if let Some((_, bytes)) = source.strip_prefix("builtin:").and_then(|name| BUILTIN.iter().find(|(n, _)| *n == name))
    {
        let (tensors, metadata) = weights::parse(source, bytes)?;
        return Ok(Source {
            label: source.to_owned(),
            format: "in the program".to_owned(),
            stored: stored(&tensors, |_| "F16"),
            tensors,
            about: own_metadata(&metadata),
            config: None,
            sha256: files::sha256(bytes),
        });
    }
    let file = weights::read(Path::new(source))
        .map_err(|error| error.help(format!("give `--set backbone.weights=PATH`: {SOURCES}")))?;
    let hugging_face = names::is_hugging_face(&file.tensors);
    let naming = match () {
        () if hugging_face => "Hugging Face",
        () if names::is_vit(&file.tensors) => "image transformer",
        () if file.tensors.contains_key("visual.conv1.weight") => "OpenAI",
        () => "unknown",
    };
    let listed = stored(&file.tensors, |name| file.dtypes.get(name).copied().unwrap_or("?"));
    let mut tensors = file.tensors;
    tensors.retain(|name, _| !names::is_no_weight(name));
    if hugging_face {
        tensors = names::from_hugging_face(tensors)
            .map_err(|error| Error::failed(format!("{source} cannot be read: {error}")))?;
    }
    Ok(Source {
        label: source.to_owned(),
        format: format!("{}, {naming} names", file.format),
        tensors,
        stored: listed,
        about: own_metadata(&file.metadata),
        config: file.config,
        sha256: file.sha256,
    })
}

fn stored(tensors: &BTreeMap<String, HostTensor>, dtype: impl Fn(&str) -> &'static str) -> Vec<Stored> {
    let entry = |(name, tensor): (&String, &HostTensor)| Stored {
        name: name.clone(),
        shape: tensor.shape.clone(),
        dtype: dtype(name),
    };
    tensors.iter().map(entry).collect()
}

impl Source {
    /// The architecture in the metadata of an export of maclip.
    pub fn own_architecture<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        self.own("architecture")
    }

    /// The value `what` in the metadata of an export of maclip.
    fn own<T: DeserializeOwned>(&self, what: &str) -> Result<Option<T>> {
        let read = |text: &String| {
            serde_json::from_str(text)
                .map_err(|_| Error::failed(format!("{}: the file's own {what} cannot be read", self.label)))
        };
        self.about.get(what).map(read).transpose()
    }

    /// The vocabulary in the file's metadata, or OpenAI's where the number of token embeddings is that of OpenAI's.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        match self.own("vocabulary")? {
            Some(words) => Ok(Tokenizer::Words(Words::new(words)?)),
            None => {
                let rows = self.tensors.get("token_embedding.weight").and_then(|tensor| tensor.shape.first());
                Ok(Tokenizer::for_rows(rows.copied().unwrap_or_default()))
            }
        }
    }

    /// A number of the Hugging Face config, such as `vision_config.num_attention_heads`.
    pub fn config_number(&self, tower: &str, key: &str) -> Option<usize> {
        self.config.as_ref()?.get(tower)?.get(key)?.as_u64().map(|value| value as usize)
    }

    /// The activation that the Hugging Face config names for all `towers`. An error where they differ, or where the
    /// config asks for what the model does not have.
    pub fn activation(&self, towers: &[&str]) -> Result<Option<Activation>> {
        let mut found = None;
        for tower in towers {
            let Some(config) = self.config.as_ref().and_then(|config| config.get(tower)) else { continue };
            if let Some(epsilon) = config.get("layer_norm_eps").and_then(|value| value.as_f64())
                && (epsilon - EPSILON).abs() > 1e-9
            {
                return Err(Error::failed(format!("{}: {tower}.layer_norm_eps is {epsilon}, not 1e-5", self.label)));
            }
            let Some(name) = config.get("hidden_act").and_then(|value| value.as_str()) else { continue };
            let activation = Activation::named(&self.label, name)?;
            if found.is_some_and(|known| known != activation) {
                return Err(Error::failed(format!("{}: the two towers have different activations", self.label)));
            }
            found = Some(activation);
        }
        Ok(found)
    }
}

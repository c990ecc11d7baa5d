//! CLIP weights of every kind (built in, safetensors, torch, Hugging Face), with OpenAI's names.

use super::names::{self, FileNames, Renamed};
use super::prefix::{self, Stripped};
use super::preparation::Normal;
use super::tokenizer::Tokenizer;
use super::words::Words;
use crate::backbones::published::ALL;
use maclip_framework::error::{Error, Result};
use maclip_framework::files;
use maclip_framework::model::parameters::Fit;
use maclip_framework::registry::BuildContext;
use maclip_framework::weights::hub::Address;
use maclip_framework::weights::{self, Choice, Config, HostTensor, own_metadata};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;

const BUILTIN: [(&str, &[u8]); 1] = [("shapes_clip", include_bytes!("../../../weights/shapes_clip/model.safetensors"))];

/// The key of a safetensors file's metadata that maclip's own files have.
const OWN: &str = "maclip";
/// The bias of the sigmoid loss, which some CLIPs were trained with.
const LOGIT_BIAS: &str = "logit_bias";
/// What open_clip's `CustomTextCLIP` puts before the names of the text tower.
const TEXT: &str = "text.";

/// What `backbone.weights` may be, for messages.
pub(crate) const SOURCES: &str = "the path of a CLIP checkpoint (safetensors or torch state dict, OpenAI's or Hugging \
                                  Face's names, or a Hugging Face folder), hf:OWNER/NAME on the Hugging Face hub \
                                  (`maclip weights list`), or builtin:shapes_clip";

/// Whether `source` names weights that are a part of the program.
pub(crate) fn is_in_program(source: &str) -> bool {
    source.strip_prefix("builtin:").is_some_and(is_builtin)
}

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

/// What a checkpoint holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A CLIP with a vision transformer.
    ClipVit,
    /// A CLIP with a ResNet.
    ClipResNet,
    /// An image transformer without text tower.
    Vit,
    /// A ResNet without text tower.
    ResNet,
    /// The trained parts of a run of maclip: the number of values by slot.
    Training(BTreeMap<String, usize>),
    /// Nothing that a backbone is made of, in words that follow the name of the file.
    Other(String),
}

impl Kind {
    /// The component that computes it.
    fn backbone(&self) -> Option<&'static str> {
        match self {
            Kind::ClipVit => Some("clip_vit"),
            Kind::ClipResNet => Some("clip_resnet"),
            Kind::Vit => Some("vit"),
            Kind::ResNet => Some("resnet"),
            Kind::Training(_) | Kind::Other(_) => None,
        }
    }

    /// In words that follow the name of the file.
    pub fn words(&self) -> String {
        match self {
            Kind::ClipVit => "holds a CLIP with a vision transformer".to_owned(),
            Kind::ClipResNet => "holds a CLIP with a ResNet".to_owned(),
            Kind::Vit => "holds an image transformer; it has no text tower".to_owned(),
            Kind::ResNet => "holds a ResNet; it has no text tower".to_owned(),
            Kind::Training(_) => "is a checkpoint of a run of maclip: it holds what that run has trained, and no \
                                  whole backbone"
                .to_owned(),
            Kind::Other(words) => words.clone(),
        }
    }

    /// By the names of `tensors` before they are renamed.
    fn of(tensors: &BTreeMap<String, HostTensor>) -> Self {
        let has = |name: &str| tensors.contains_key(name);
        let any = |begin: &str| tensors.keys().find(|name| name.starts_with(begin));
        if names::is_vit(tensors) {
            return Kind::Vit;
        }
        let resnet = names::is_resnet(tensors);
        let vision = resnet || has("visual.conv1.weight") || any("vision_model.").is_some();
        let text = ["token_embedding.weight", "ln_final.weight", "text_projection", "positional_embedding"];
        let text = text.into_iter().any(has) || any("transformer.resblocks.").or(any("text_model.")).is_some();
        if let Some(head) = any("vision_model.head.") {
            return Kind::Other(format!("holds a SigLIP: `{head}` pools its image tokens, which no backbone computes"));
        }
        match (vision, text) {
            (true, true) if resnet => Kind::ClipResNet,
            (true, true) => Kind::ClipVit,
            (true, false) => Kind::Other("has no text tower: it holds the image tower of a CLIP alone".to_owned()),
            // A bare image tower has a norm or a pooling at its end.
            (false, _) if has("conv1.weight") && (has("ln_post.weight") || has("attnpool.c_proj.weight")) => {
                Kind::Other("has no text tower: it holds the image tower of a CLIP alone".to_owned())
            }
            (false, false) if has("layer1.0.conv1.weight") => Kind::ResNet,
            (false, true) => Kind::Other("has no image tower: it holds the text tower of a CLIP alone".to_owned()),
            (false, false) => {
                let some = prefix::listed(tensors.keys());
                Kind::Other(format!("has no tensors with the names of a CLIP or an image transformer, only {some}"))
            }
        }
    }
}

/// A checkpoint, a CLIP with OpenAI's names.
pub(crate) struct Source {
    /// As the recipe names it.
    pub label: String,
    /// In words: "safetensors, Hugging Face names".
    pub format: String,
    pub kind: Kind,
    pub tensors: BTreeMap<String, HostTensor>,
    /// The file's names of them.
    pub names: FileNames,
    /// What the file holds beside them, under its own names.
    pub outside: BTreeMap<String, HostTensor>,
    /// What the file holds, under its own names.
    pub stored: Vec<Stored>,
    /// Metadata that maclip writes into its own exports: architecture, vocabulary, recipe.
    pub about: BTreeMap<String, String>,
    /// Configs in its folder, or beside it.
    pub configs: Vec<Config>,
    pub sha256: String,
    /// Of weights of the hub, the address of this very content.
    pub pinned: Option<String>,
    /// What was done to read it, as sentences.
    pub notes: Vec<String>,
    /// Whether it has the entries that only OpenAI's own files have.
    pub of_openai: bool,
}

/// Reads `builtin:NAME`, a path, or `hf:OWNER/NAME` from the cache of the hub, there at the address `pin` where that is
/// given. `key` chooses between several models of one file.
pub(crate) fn open(source: &str, pin: Option<&str>, key: Option<&str>) -> Result<Source> {
    if let Some((_, bytes)) = source.strip_prefix("builtin:").and_then(|name| BUILTIN.iter().find(|(n, _)| *n == name))
    {
        let (tensors, metadata) = weights::parse(source, bytes)?;
        return Ok(Source {
            label: source.to_owned(),
            format: "in the program".to_owned(),
            kind: Kind::of(&tensors),
            stored: stored(&tensors, |_| "F16"),
            tensors,
            names: FileNames::default(),
            outside: BTreeMap::new(),
            about: own_metadata(&metadata),
            configs: Vec::new(),
            sha256: files::sha256(bytes),
            pinned: None,
            notes: Vec::new(),
            of_openai: false,
        });
    }
    let file = weights::read_choice(Path::new(source), Choice { key, suits: &prefix::suits, pin })
        .map_err(|error| names_no_file(source, error))?;
    let listed = stored(&file.tensors, |name| file.dtypes.get(name).copied().unwrap_or("?"));
    let about = own_metadata(&file.metadata);
    let whole = Source {
        label: source.to_owned(),
        format: file.format.to_string(),
        kind: Kind::Vit,
        tensors: BTreeMap::new(),
        names: FileNames::default(),
        outside: BTreeMap::new(),
        stored: listed,
        about,
        configs: file.configs,
        sha256: file.sha256,
        pinned: file.pinned,
        notes: file.notes,
        of_openai: false,
    };
    if file.metadata.contains_key(OWN)
        && !whole.about.contains_key("architecture")
        && let Some(slots) = trained(&file.tensors)
    {
        let format = format!("{}, names of a run of maclip", whole.format);
        return Ok(Source { kind: Kind::Training(slots), format, tensors: file.tensors, ..whole });
    }
    let key = key.filter(|_| file.taken_from.as_deref() != key);
    named(whole, prefix::strip(source, file.tensors, key)?)
}

/// Adds to the error of a path that is not there which address on the hub may have been meant.
fn names_no_file(source: &str, error: Error) -> Error {
    if Path::new(source).exists() {
        return error;
    }
    let listed = ALL.iter().find(|known| known.name.eq_ignore_ascii_case(source)).map(|known| known.weights.to_owned());
    let address = listed.or_else(|| {
        let of_hub = format!("hf:{source}");
        let repository =
            source.matches('/').count() == 1 && Path::new(source).parent().is_some_and(|own| !own.exists());
        (repository && matches!(Address::of(&of_hub), Ok(Some(_)))).then_some(of_hub)
    });
    match address {
        Some(address) => error.help(format!("if weights of the Hugging Face hub are meant, write `{address}`")),
        None => error,
    }
}

/// Adds to the error of a file that cannot be read how a recipe gives one.
pub(crate) fn where_to_give(error: Error) -> Error {
    error.help(format!("give `--set backbone.weights=PATH`: {SOURCES}"))
}

/// The slots of a run's trained tensors, with the number of values of each; `None` for other names.
fn trained(tensors: &BTreeMap<String, HostTensor>) -> Option<BTreeMap<String, usize>> {
    const SLOTS: [&str; 5] = ["backbone", "adapter", "prototype", "alignment", "objective"];
    let mut slots = BTreeMap::new();
    for (name, tensor) in tensors {
        let slot = name.split('.').next().filter(|slot| SLOTS.contains(slot))?;
        *slots.entry(slot.to_owned()).or_default() += tensor.values.len();
    }
    Some(slots)
}

/// `whole` with the tensors of `stripped`, a CLIP's under OpenAI's names.
fn named(mut whole: Source, stripped: Stripped) -> Result<Source> {
    let Stripped { mut tensors, mut origin, front, outside, notes } = stripped;
    whole.notes.extend(notes);
    whole.outside = outside;
    whole.of_openai =
        ["input_resolution", "context_length", "vocab_size"].iter().all(|name| tensors.contains_key(*name));
    let unused: Vec<String> =
        tensors.keys().filter(|name| names::is_no_weight(name) || **name == LOGIT_BIAS).cloned().collect();
    for name in unused {
        let theirs = origin.remove(&name).unwrap_or_else(|| name.clone());
        if name == LOGIT_BIAS {
            whole.notes.push(format!("`{theirs}` of {} is of its training's loss, and not used", whole.label));
        }
        whole.outside.extend(tensors.remove(&name).map(|tensor| (theirs, tensor)));
    }
    let hugging_face = names::is_hugging_face(&tensors);
    // open_clip's models with a text tower of their own class.
    let in_text = |name: &str| !hugging_face && name.starts_with(TEXT) && !names::is_vit(&tensors);
    let text = tensors.contains_key("visual.conv1.weight") && tensors.keys().any(|name| in_text(name))
        || tensors.keys().all(|name| in_text(name) || name == "logit_scale") && tensors.len() > 1;
    if text {
        let mut renamed = Renamed::default();
        for (name, tensor) in tensors {
            let own = name.strip_prefix(TEXT).unwrap_or(&name).to_owned();
            if let Some(theirs) = origin.remove(&name) {
                origin.insert(own.clone(), theirs);
            }
            renamed.insert(own, tensor)?;
        }
        tensors = renamed.finish();
        whole.notes.push(format!("removed from the names of the text tower of {}: `{TEXT}`", whole.label));
    }
    whole.kind = Kind::of(&tensors);
    let naming = match whole.kind {
        _ if hugging_face => "Hugging Face",
        Kind::Vit => "image transformer",
        Kind::ResNet => "torchvision",
        Kind::ClipVit | Kind::ClipResNet => "OpenAI",
        _ => "unknown",
    };
    whole.format = format!("{}, {naming} names", whole.format);
    if hugging_face {
        tensors = names::from_hugging_face(tensors)
            .map_err(|error| Error::failed(format!("{} cannot be read: {}", whole.label, error.reason())))?;
    }
    whole.tensors = tensors;
    whole.names = FileNames { known: origin, prefix: front, text, hugging_face };
    Ok(whole)
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

    /// Mean and standard deviation in the metadata of an export of maclip.
    pub fn own_normal(&self) -> Result<Option<Normal>> {
        self.own(Normal::METADATA)
    }

    /// Refuses a checkpoint that is none of `backbone`.
    ///
    /// # Errors
    /// Where it is none.
    pub fn expect(&self, backbone: &str) -> Result<()> {
        let Self { label, kind, .. } = self;
        let error = Error::failed(format!("{label} {}", kind.words()));
        match kind.backbone() {
            Some(name) if name == backbone => Ok(()),
            Some(name) => Err(error.help(format!("choose `backbone: {{type: {name}, weights: …}}` for it"))),
            None => Err(error.help(format!("give {SOURCES}"))),
        }
    }

    /// Tensors of the model with values that are no finite numbers, under the names of the file, with their number.
    /// Those that the model does not use are not among them.
    pub fn not_finite(&self) -> Vec<String> {
        not_finite(self.tensors.iter().map(|(name, tensor)| (self.names.of(name), tensor)))
    }

    /// The same of what the file holds beside the model.
    pub fn not_finite_outside(&self) -> Vec<String> {
        not_finite(self.outside.iter().map(|(name, tensor)| (name.clone(), tensor)))
    }

    /// Refuses a checkpoint that does not `fit` its model, or has values in it that are no finite numbers.
    ///
    /// # Errors
    /// Where it does not, or has such values.
    pub fn check(&self, fit: &Fit) -> Result<()> {
        if let Some(problem) = fit.problem() {
            return Err(Error::failed(format!("{} does not fit the model:\n  {problem}", self.label))
                .help(format!("`maclip weights inspect {}` lists what it holds", self.label)));
        }
        refuse_not_finite(&self.label, &self.not_finite())
    }

    /// Notes for the manifest of a run what was read, and what was done to read it.
    pub fn note(&self, context: &BuildContext) {
        context.note_weights(&self.label, self.sha256.clone());
        self.pinned.iter().for_each(|address| context.note_pinned(&self.label, address.clone()));
        self.sentences().into_iter().for_each(|text| context.note(text));
    }

    /// What was done to read it, and what is wrong with what is not used.
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences = self.notes.clone();
        let outside = self.not_finite_outside();
        if !outside.is_empty() {
            let names = prefix::listed(outside.iter());
            sentences
                .push(format!("{} has values that are no finite numbers where they are not used: {names}", self.label));
        }
        sentences
    }
}

/// Refuses weights of `source` with values that are no finite numbers; `found` names their tensors.
pub(crate) fn refuse_not_finite(source: &str, found: &[String]) -> Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::failed(format!("{source} has values that are no finite numbers: {}", prefix::listed(found.iter())))
        .help("such weights give no result; get the file again"))
}

/// The names of tensors with values that are no finite numbers, each with their number.
pub(crate) fn not_finite<'a>(tensors: impl Iterator<Item = (String, &'a HostTensor)>) -> Vec<String> {
    let count = |(name, tensor): (String, &HostTensor)| {
        let bad = tensor.values.iter().filter(|value| !value.is_finite()).count();
        (bad > 0).then(|| format!("{name} ({bad} of {})", tensor.values.len()))
    };
    tensors.filter_map(count).collect()
}

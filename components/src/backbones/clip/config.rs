//! What configs say about a model: Hugging Face's `config.json` and open_clip's `open_clip_config.json`, read as these
//! libraries read them, with their defaults for what is left out.
//!
//! Source: `CLIPConfig`, `CLIPVisionConfig`, `CLIPTextConfig` and `ViTConfig` of transformers 4; `CLIPVisionCfg` and
//! `CLIPTextCfg` of open_clip 2; `VisionTransformer` of timm 1. Not here: how images are prepared (`preparation`).

use super::block::Activation;
use super::settings::Settings;
use maclip_framework::error::{Error, Result};
use maclip_framework::weights::Config;
use serde_json::{Map, Value};
use std::fmt;

/// The sizes of a tower that shapes show, and by which a config is recognised.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TowerSizes {
    /// Width of its tokens, or of a ResNet's first stage.
    pub width: usize,
    /// Number of blocks; of a ResNet, those of each stage.
    pub layers: Vec<usize>,
    /// Side of a patch in pixels, where it has patches.
    pub patch: Option<usize>,
}

impl fmt::Display for TowerSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers: Vec<String> = self.layers.iter().map(usize::to_string).collect();
        write!(f, "width {}, {} layers", self.width, layers.join("-"))?;
        self.patch.iter().try_for_each(|patch| write!(f, ", patches of {patch}"))
    }
}

/// The sizes of a model that its shapes show.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shown {
    pub vision: TowerSizes,
    pub text: Option<TowerSizes>,
}

/// A value of a config, and who says it: the config, or its library where the config leaves it out.
pub(crate) type Said<T> = Option<(T, String)>;

/// What the configs of a checkpoint say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Described {
    pub vision_heads: Said<usize>,
    pub text_heads: Said<usize>,
    pub activation: Said<Activation>,
    pub epsilon: Said<f64>,
    /// Whether configs are there and all of them are of other models.
    pub foreign: bool,
    /// The config that the values are from.
    pub used: Option<&'static str>,
}

impl Described {
    /// What the metadata of an export of maclip say.
    pub fn by_the_file(vision_heads: usize, text_heads: usize, activation: Activation, epsilon: f64) -> Self {
        fn said<T>(value: T) -> Said<T> {
            Some((value, "the file's own metadata".to_owned()))
        }
        Self {
            vision_heads: said(vision_heads),
            text_heads: said(text_heads),
            activation: said(activation),
            epsilon: said(epsilon),
            ..Self::default()
        }
    }
}

/// What one config says about a tower.
struct Tower {
    sizes: TowerSizes,
    heads: Said<usize>,
    activation: Said<String>,
    epsilon: Said<f64>,
}

/// What one config says.
enum Model {
    Towers {
        vision: Box<Tower>,
        text: Option<Box<Tower>>,
    },
    /// A model that no backbone computes, in words.
    Other(String),
}

/// Values that the library takes where a config leaves them out.
struct Defaults {
    width: f64,
    layers: f64,
    heads: f64,
    patch: Option<f64>,
    activation: &'static str,
    epsilon: f64,
}

const CLIP_VISION: Defaults =
    Defaults { width: 768.0, layers: 12.0, heads: 12.0, patch: Some(32.0), activation: "quick_gelu", epsilon: 1e-5 };
const CLIP_TEXT: Defaults =
    Defaults { width: 512.0, layers: 12.0, heads: 8.0, patch: None, activation: "quick_gelu", epsilon: 1e-5 };
const VIT: Defaults =
    Defaults { width: 768.0, layers: 12.0, heads: 12.0, patch: Some(16.0), activation: "gelu", epsilon: 1e-12 };

/// What `configs` say about a model of the sizes `shown`. Where two are of this model and differ, the one for the names
/// of the tensors decides: Hugging Face's with `hugging_face`. What is not used is said in `settings`.
///
/// # Errors
/// Where a config that is of this model asks for what no backbone computes, or has a value that is none.
pub(crate) fn described(
    configs: &[Config],
    shown: &Shown,
    hugging_face: bool,
    settings: &mut Settings,
) -> Result<Described> {
    let mut found: Vec<(&Config, Described)> = Vec::new();
    let mut foreign = false;
    for config in configs {
        let model = match config.name {
            "config.json" => hugging_face_model(config)?,
            "open_clip_config.json" => open_clip_model(config)?,
            _ => continue,
        };
        match model {
            Model::Towers { vision, text } if fits(&vision, text.as_deref(), shown) => {
                found.push((config, values(config, *vision, text.map(|text| *text))?));
            }
            other => {
                foreign = true;
                let theirs = match other {
                    Model::Towers { vision, text: Some(text) } => {
                        format!("image tower: {}; text tower: {}", vision.sizes, text.sizes)
                    }
                    Model::Towers { vision, text: None } => vision.sizes.to_string(),
                    Model::Other(what) => what,
                };
                let ours = match &shown.text {
                    Some(text) => format!("image tower: {}; text tower: {text}", shown.vision),
                    None => shown.vision.to_string(),
                };
                settings.notes.push(format!(
                    "{} is the config of another model ({theirs}) than the tensors ({ours}), so it is not used",
                    config.label
                ));
            }
        }
    }
    let first = if hugging_face { "config.json" } else { "open_clip_config.json" };
    found.sort_by_key(|(config, _)| config.name != first);
    let mut found = found.into_iter();
    let Some((config, described)) = found.next() else { return Ok(Described { foreign, ..Described::default() }) };
    settings.configs.push((config.label.clone(), config.sha256.clone()));
    for (other, says) in found {
        if let Some(difference) = difference(&described, &says) {
            settings
                .notes
                .push(format!("{} and {} differ: {difference}; the first is used", config.label, other.label));
        }
    }
    Ok(Described { used: Some(config.name), ..described })
}

fn fits(vision: &Tower, text: Option<&Tower>, shown: &Shown) -> bool {
    vision.sizes == shown.vision && text.map(|text| &text.sizes) == shown.text.as_ref()
}

/// The values of a config that is of this model. Both towers have one activation and one ε.
fn values(config: &Config, vision: Tower, text: Option<Tower>) -> Result<Described> {
    let unequal = |what: &str, one: &dyn fmt::Display, other: &dyn fmt::Display| {
        Error::failed(format!(
            "{} asks for {what} {one} in the image tower and {other} in the text tower; both towers have one here",
            config.label
        ))
    };
    let (mut activation, mut epsilon) = (vision.activation, vision.epsilon);
    if let Some(text) = &text {
        match (&activation, &text.activation) {
            (Some((one, _)), Some((other, _))) if one != other => return Err(unequal("the activation", one, other)),
            // A ResNet's image tower has none of its own.
            (None, Some(said)) => activation = Some(said.clone()),
            _ => {}
        }
        match (&epsilon, &text.epsilon) {
            (Some((one, _)), Some((other, _))) if one != other => return Err(unequal("an ε of", one, other)),
            (None, Some(said)) => epsilon = Some(said.clone()),
            _ => {}
        }
    }
    let source = config.label.clone();
    let activation =
        activation.map(|(name, from)| Ok::<_, Error>((Activation::named(&source, &name)?, from))).transpose()?;
    Ok(Described {
        vision_heads: vision.heads,
        text_heads: text.and_then(|text| text.heads),
        activation,
        epsilon,
        foreign: false,
        used: None,
    })
}

/// What the first two of the values that differ are, in words.
fn difference(a: &Described, b: &Described) -> Option<String> {
    fn of<T: PartialEq + fmt::Display>(what: &str, a: &Said<T>, b: &Said<T>) -> Option<String> {
        let ((a, _), (b, _)) = (a.as_ref()?, b.as_ref()?);
        (a != b).then(|| format!("{what} {a} and {b}"))
    }
    of("vision heads", &a.vision_heads, &b.vision_heads)
        .or_else(|| of("text heads", &a.text_heads, &b.text_heads))
        .or_else(|| of("activation", &a.activation, &b.activation))
        .or_else(|| of("ε", &a.epsilon, &b.epsilon))
}

/// One map of a config, with messages that name the place of a value.
pub(crate) struct Values<'a> {
    config: &'a Config,
    /// The path of the map, with a dot at its end; empty for the whole.
    place: &'static str,
    map: Option<&'a Map<String, Value>>,
}

impl<'a> Values<'a> {
    /// The map `config.json[place]`; empty where it is missing. The whole for an empty place.
    pub fn at(config: &'a Config, map: Option<&'a Value>, place: &'static str) -> Self {
        Self { config, place, map: map.and_then(Value::as_object) }
    }

    /// The value of `key`; null counts as left out.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.map?.get(key).filter(|value| !value.is_null())
    }

    fn bad(&self, key: &str, value: &Value, wanted: &str) -> Error {
        let Self { config, place, .. } = self;
        let value: String = value.to_string().chars().take(60).collect();
        Error::failed(format!("{}: {place}{key} is {value}, not {wanted}", config.label))
            .help("mend the config, or take it away and give the values as options of the backbone")
    }

    /// A number, also one that is written as a text.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = match value {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_f64(),
        };
        match number.filter(|number: &f64| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.bad(key, value, "a number")),
        }
    }

    /// A whole number of at least 1, also one that is written as a text.
    pub fn count(&self, key: &str) -> Result<Option<usize>> {
        let Some(number) = self.number(key)? else { return Ok(None) };
        if number >= 1.0 && number.fract() == 0.0 && number < 1e9 {
            return Ok(Some(number as usize));
        }
        Err(self.bad(key, &self.get(key).cloned().unwrap_or_default(), "a whole number above 0"))
    }

    /// A truth value, also one that is written as a text or as 0 and 1.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let flag = match value {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => number.as_u64().filter(|n| *n < 2).map(|n| n == 1),
            Value::String(text) => match text.trim().to_lowercase().as_str() {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
            _ => None,
        };
        flag.map(Some).ok_or_else(|| self.bad(key, value, "true or false"))
    }

    /// A text.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.bad(key, value, "a text"))
    }

    /// Three numbers; one number stands for three equal ones.
    pub fn three(&self, key: &str) -> Result<Option<[f32; 3]>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = |value: &Value| match value {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_f64(),
        };
        let numbers: Option<Vec<f64>> = match value {
            Value::Array(items) => items.iter().map(number).collect(),
            one => number(one).map(|one| vec![one; 3]),
        };
        match numbers.as_deref() {
            Some(&[r, g, b]) if [r, g, b].iter().all(|n| n.is_finite()) => Ok(Some([r as f32, g as f32, b as f32])),
            _ => Err(self.bad(key, value, "three numbers")),
        }
    }

    /// `value`, said by this config, or the default of its `library`.
    fn or<T>(&self, value: Option<T>, default: T, library: &str) -> (T, String) {
        let name = self.config.name;
        match value {
            Some(value) => (value, name.to_owned()),
            None => (default, format!("{name}, where {library}'s default holds")),
        }
    }
}

fn hugging_face_model(config: &Config) -> Result<Model> {
    let root = Values::at(config, Some(&config.json), "");
    if let Some(architecture) = root.get("architecture").and_then(Value::as_str) {
        return timm_model(config, architecture);
    }
    let towers = ["vision_config", "text_config", "vision_config_dict", "text_config_dict"];
    match root.text("model_type")? {
        Some("clip") => {}
        None if towers.iter().any(|key| root.get(key).is_some()) => {}
        Some("vit") => return Ok(Model::Towers { vision: Box::new(tower(&root, &VIT)?), text: None }),
        None if root.get("hidden_size").is_some() => {
            return Ok(Model::Towers { vision: Box::new(tower(&root, &VIT)?), text: None });
        }
        Some(other) => return Ok(Model::Other(format!("of the type `{other}`"))),
        None => return Ok(Model::Other("without a model_type".to_owned())),
    }
    // The older form replaces the newer one as a whole, with the defaults for what it leaves out.
    let of = |new: &'static str, new_place, old: &'static str, old_place| match root.get(old) {
        Some(map) => Values::at(config, Some(map), old_place),
        None => Values::at(config, root.get(new), new_place),
    };
    let vision = of("vision_config", "vision_config.", "vision_config_dict", "vision_config_dict.");
    let text = of("text_config", "text_config.", "text_config_dict", "text_config_dict.");
    Ok(Model::Towers {
        vision: Box::new(tower(&vision, &CLIP_VISION)?),
        text: Some(Box::new(tower(&text, &CLIP_TEXT)?)),
    })
}

/// A tower as transformers reads it from `values`.
fn tower(values: &Values, defaults: &Defaults) -> Result<Tower> {
    const LIBRARY: &str = "transformers";
    let count = |key, default: f64| Ok::<_, Error>(values.count(key)?.unwrap_or(default as usize));
    let patch = defaults.patch.map(|default| count("patch_size", default)).transpose()?;
    Ok(Tower {
        sizes: TowerSizes {
            width: count("hidden_size", defaults.width)?,
            layers: vec![count("num_hidden_layers", defaults.layers)?],
            patch,
        },
        heads: Some(values.or(values.count("num_attention_heads")?, defaults.heads as usize, LIBRARY)),
        activation: {
            let (name, from) = values.or(values.text("hidden_act")?, defaults.activation, LIBRARY);
            Some((name.to_owned(), from))
        },
        epsilon: Some(values.or(values.number("layer_norm_eps")?, defaults.epsilon, LIBRARY)),
    })
}

/// timm's config names an architecture, which stands for sizes: `vit_base_patch32_224`, also with more after it.
fn timm_model(config: &Config, architecture: &str) -> Result<Model> {
    let other = || Model::Other(format!("timm's `{architecture}`"));
    let name = architecture.split('.').next().unwrap_or_default();
    let parts: Vec<&str> = name.split('_').collect();
    let ["vit", size, patch, _image] = parts[..] else { return Ok(other()) };
    let (width, layers, heads) = match size {
        "tiny" => (192, 12, 3),
        "small" => (384, 12, 6),
        "base" => (768, 12, 12),
        "large" => (1024, 24, 16),
        "huge" => (1280, 32, 16),
        _ => return Ok(other()),
    };
    let Some(patch) = patch.strip_prefix("patch").and_then(|side| side.parse().ok()) else { return Ok(other()) };
    let from = || format!("{}: `{architecture}`", config.name);
    let vision = Tower {
        sizes: TowerSizes { width, layers: vec![layers], patch: Some(patch) },
        heads: Some((heads, from())),
        activation: Some(("gelu".to_owned(), from())),
        epsilon: Some((1e-6, from())),
    };
    Ok(Model::Towers { vision: Box::new(vision), text: None })
}

fn open_clip_model(config: &Config) -> Result<Model> {
    const LIBRARY: &str = "open_clip";
    let whole = Values::at(config, Some(&config.json), "");
    let root = match whole.get("model_cfg") {
        Some(map) => Values::at(config, Some(map), "model_cfg."),
        None => whole,
    };
    let vision = Values::at(config, root.get("vision_cfg"), "vision_cfg.");
    let text = Values::at(config, root.get("text_cfg"), "text_cfg.");
    for (values, key) in [(&vision, "timm_model_name"), (&text, "hf_model_name")] {
        if let Some(name) = values.text(key)? {
            return Ok(Model::Other(format!("with a tower of another library, `{name}`")));
        }
    }
    let unsupported = |values: &Values, key: &str, usual: &str| -> Result<()> {
        let Some(value) = values.get(key) else { return Ok(()) };
        let same = match value {
            Value::Bool(flag) => flag.to_string() == usual,
            Value::String(text) => text == usual,
            _ => false,
        };
        if same {
            Ok(())
        } else {
            Err(values.bad(key, value, &format!("`{usual}`, which is all that is computed here")))
        }
    };
    for (key, usual) in [("pool_type", "tok"), ("final_ln_after_pool", "false"), ("attentional_pool", "false")] {
        unsupported(&vision, key, usual)?;
    }
    for (key, usual) in [("pool_type", "argmax"), ("no_causal_mask", "false"), ("embed_cls", "false")] {
        unsupported(&text, key, usual)?;
    }
    let quick = match root.flag("force_quick_gelu")? {
        Some(true) => Some(true),
        _ => root.flag("quick_gelu")?,
    };
    let (quick, from) = root.or(quick, false, LIBRARY);
    let activation = Some((if quick { "quick_gelu" } else { "gelu" }.to_owned(), from));
    let epsilon = |values: &Values, place| -> Result<Said<f64>> {
        let norms = Values::at(config, values.get("norm_kwargs"), place);
        Ok(Some(values.or(norms.number("eps")?, 1e-5, LIBRARY)))
    };
    let width = vision.count("width")?.unwrap_or(768);
    let (head_width, from) = vision.or(vision.count("head_width")?, 64, LIBRARY);
    // Four numbers are the stages of a ResNet, whose heads are those of its pooling.
    let stages = match vision.get("layers") {
        Some(value @ Value::Array(items)) => {
            let stages: Option<Vec<usize>> = items.iter().map(|item| Some(item.as_u64()? as usize)).collect();
            Some(stages.ok_or_else(|| vision.bad("layers", value, "whole numbers"))?)
        }
        _ => None,
    };
    let vision = match stages {
        Some(layers) => Tower {
            sizes: TowerSizes { width, layers, patch: None },
            heads: Some((width * 32 / head_width, from)),
            activation: None,
            epsilon: None,
        },
        None => Tower {
            sizes: TowerSizes {
                width,
                layers: vec![vision.count("layers")?.unwrap_or(12)],
                patch: Some(vision.count("patch_size")?.unwrap_or(16)),
            },
            heads: Some((width / head_width, from)),
            activation: activation.clone(),
            epsilon: epsilon(&vision, "vision_cfg.norm_kwargs.")?,
        },
    };
    let text = Tower {
        sizes: TowerSizes {
            width: text.count("width")?.unwrap_or(512),
            layers: vec![text.count("layers")?.unwrap_or(12)],
            patch: None,
        },
        heads: Some(text.or(text.count("heads")?, 8, LIBRARY)),
        activation,
        epsilon: epsilon(&text, "text_cfg.norm_kwargs.")?,
    };
    Ok(Model::Towers { vision: Box::new(vision), text: Some(Box::new(text)) })
}

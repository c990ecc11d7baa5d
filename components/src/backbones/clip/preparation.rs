//! How images are prepared for a checkpoint: `preprocessor_config.json` of Hugging Face, and what open_clip's and
//! timm's configs say about it. Mean and standard deviation are used. A size, filter or crop that is not that of this
//! program is told, so that it can be refused.

use super::config::{Described, Values};
use super::settings::{Setting, Settings};
use maclip_framework::error::{Error, Result};
use maclip_framework::images::{CLIP_MEAN, CLIP_STD};
use maclip_framework::weights::Config;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who says how images are prepared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preparation {
    /// The configs of the checkpoint: their mean and standard deviation are used. Another size, filter or crop than the
    /// program's (shorter side to the size of the model with a bicubic filter, then the centre) is an error.
    #[default]
    Checkpoint,
    /// The recipe: its `resize` decides size and filter, and `pixels` decides mean and standard deviation.
    Recipe,
}

/// What is subtracted from pixels in 0..1, and what they are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pixels {
    /// Mean and standard deviation 0.5.
    Half,
    /// ImageNet's mean and standard deviation.
    Imagenet,
    /// CLIP's mean and standard deviation.
    Clip,
    /// Mean 0 and standard deviation 1: the pixels as they are, as in the code of TRX and STRM.
    Raw,
    /// Mean 0.45 and standard deviation 0.225: video networks of PySlowFast, and the code of HyRSM and MoLo.
    Slowfast,
}

/// Mean and standard deviation of red, green and blue: pixels in 0..1 become (x − mean) / std.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Normal {
    /// What is subtracted.
    pub mean: [f32; 3],
    /// What is divided by.
    pub std: [f32; 3],
}

impl Normal {
    /// The key of an export's metadata that has them.
    pub const METADATA: &'static str = "pixels";
    /// OpenAI's, of all CLIPs whose files say no other.
    pub const CLIP: Self = Self { mean: CLIP_MEAN, std: CLIP_STD };
    const HALF: Self = Self { mean: [0.5; 3], std: [0.5; 3] };
    const RAW: Self = Self { mean: [0.0; 3], std: [1.0; 3] };
    const SLOWFAST: Self = Self { mean: [0.45; 3], std: [0.225; 3] };
    const IMAGENET: Self = Self { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

    fn words(&self) -> String {
        let name = [
            (Self::CLIP, "clip"),
            (Self::HALF, "half"),
            (Self::IMAGENET, "imagenet"),
            (Self::RAW, "raw"),
            (Self::SLOWFAST, "slowfast"),
        ];
        let name = name.into_iter().find(|(known, _)| known == self).map(|(_, name)| format!("{name}: "));
        format!("{}mean {:?}, std {:?}", name.unwrap_or_default(), self.mean, self.std)
    }
}

impl Pixels {
    /// The numbers of it.
    pub fn normal(self) -> Normal {
        match self {
            Pixels::Half => Normal::HALF,
            Pixels::Imagenet => Normal::IMAGENET,
            Pixels::Clip => Normal::CLIP,
            Pixels::Raw => Normal::RAW,
            Pixels::Slowfast => Normal::SLOWFAST,
        }
    }
}

/// Options of a backbone that say how images are prepared.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub pixels: Option<Pixels>,
    pub preparation: Preparation,
}

/// What a config says.
struct Says<'a> {
    config: &'a Config,
    normal: Normal,
    /// What is done otherwise than here, in words.
    differences: Vec<String>,
}

/// Mean and standard deviation for a model whose images have a side of `side` pixels. `own` are those of an export of
/// maclip; `usual` is what the kind of model has where nothing says it, and whether that is a guess. Differences in
/// size, filter and crop go into `settings`.
///
/// # Errors
/// Where a config has a value that is none.
pub(crate) fn normal(
    configs: &[Config],
    described: &Described,
    side: usize,
    asked: Asked,
    own: Option<Normal>,
    (usual, known): (Normal, bool),
    settings: &mut Settings,
) -> Result<Normal> {
    let mut found = Vec::new();
    let foreign = described.foreign && described.used.is_none();
    for config in configs.iter().filter(|_| asked.preparation == Preparation::Checkpoint) {
        let says = match config.name {
            "preprocessor_config.json" if foreign => {
                let path = &config.label;
                settings.notes.push(format!("{path} lies beside the config of another model, so it is not used"));
                None
            }
            "preprocessor_config.json" => preprocessor(config, side, usual)?,
            // What is said beside the model holds where that config is of this model.
            name if described.used == Some(name) => beside_the_model(config, side)?,
            _ => None,
        };
        found.extend(says);
    }
    // That of the library whose config decides the heads comes first.
    found.sort_by_key(|says| {
        described.used.is_some_and(|used| used == "open_clip_config.json")
            != (says.config.name == "open_clip_config.json")
    });
    let mut found = found.into_iter();
    let (said, other) = (found.next(), found.next());
    if let (Some(said), Some(other)) = (&said, &other)
        && said.normal != other.normal
    {
        settings.notes.push(format!(
            "{} and {} differ in mean or standard deviation; the first is used",
            said.config.label, other.config.label
        ));
    }
    if let Some(said) = &said {
        let (path, sum) = (said.config.label.clone(), said.config.sha256.clone());
        if !settings.configs.iter().any(|(known, _)| *known == path) {
            settings.configs.push((path, sum));
        }
        settings.differences.extend(said.differences.iter().map(|what| format!("{}: {what}", said.config.name)));
    }
    let candidates = [
        (asked.pixels.map(Pixels::normal), "given".to_owned()),
        (own, "the file's own metadata".to_owned()),
        (
            said.as_ref().map(|said| said.normal),
            said.as_ref().map(|said| said.config.name.to_owned()).unwrap_or_default(),
        ),
    ];
    let decided = candidates.into_iter().find_map(|(normal, from)| Some((normal?, from)));
    let (normal, from) = match decided {
        Some(decided) => decided,
        None if known => (usual, "what every such model has where nothing says another".to_owned()),
        None => {
            settings.guess("pixels", &usual.words(), "nothing says them");
            (usual, "guessed".to_owned())
        }
    };
    settings.list.push(Setting { name: "pixels", value: normal.words(), from });
    Ok(normal)
}

/// Hugging Face's `preprocessor_config.json`. `usual` are mean and standard deviation of a kind of model that names no
/// image processor.
fn preprocessor(config: &Config, side: usize, usual: Normal) -> Result<Option<Says<'_>>> {
    let values = Values::at(config, Some(&config.json), "");
    let kind = match values.text("image_processor_type")? {
        Some(kind) => Some(kind),
        None => values.text("feature_extractor_type")?,
    };
    let vit = match kind {
        Some(kind) => kind.starts_with("ViT"),
        None => usual != Normal::CLIP,
    };
    let defaults = if vit { Normal::HALF } else { Normal::CLIP };
    let mut differences = Vec::new();
    let flag = |key| Ok::<_, Error>(values.flag(key)?.unwrap_or(true));
    let normal = match flag("do_normalize")? {
        true => Normal {
            mean: values.three("image_mean")?.unwrap_or(defaults.mean),
            std: values.three("image_std")?.unwrap_or(defaults.std),
        },
        false => Normal { mean: [0.0; 3], std: [1.0; 3] },
    };
    let factor = values.number("rescale_factor")?.unwrap_or(1.0 / 255.0);
    if !flag("do_rescale")? || (factor * 255.0 - 1.0).abs() > 1e-3 {
        differences.push(format!("pixels are not divided by 255 (rescale_factor {factor})"));
    }
    // PIL's numbers of its filters.
    let filter = values.number("resample")?.unwrap_or(if vit { 2.0 } else { 3.0 });
    let filter = match filter as i64 {
        3 => "bicubic".to_owned(),
        2 => "bilinear".to_owned(),
        1 => "lanczos".to_owned(),
        0 => "nearest".to_owned(),
        other => format!("number {other}"),
    };
    // A number is the shorter side with a crop, and both sides without.
    let crop = if vit { values.flag("do_center_crop")?.unwrap_or(false) } else { flag("do_center_crop")? };
    let size = match values.get("size") {
        Some(map @ Value::Object(_)) => sides(&Values::at(config, Some(map), "size."))?,
        Some(_) => {
            let count = values.count("size")?;
            if crop {
                Sides { shorter: count, ..Sides::default() }
            } else {
                Sides { height: count, width: count, ..Sides::default() }
            }
        }
        None => Sides::default(),
    };
    let cut = match values.get("crop_size") {
        _ if !crop => None,
        Some(map @ Value::Object(_)) => {
            let cut = sides(&Values::at(config, Some(map), "crop_size."))?;
            cut.height.zip(cut.width).or(cut.shorter.map(|side| (side, side)))
        }
        Some(_) => values.count("crop_size")?.map(|side| (side, side)),
        None => None,
    };
    if flag("do_resize")? {
        if filter != "bicubic" {
            differences.push(format!("resample is {filter}, and here it is bicubic"));
        }
        match size {
            Sides { shorter: Some(shorter), .. } => differences.extend(other_size("the shorter side", shorter, side)),
            Sides { height: Some(height), width: Some(width), .. } => differences.push(format!(
                "images are squeezed to {width} × {height}, and here the shorter side becomes {side} and the rest is cut off"
            )),
            _ => {}
        }
    } else {
        differences.push("images are not resized".to_owned());
    }
    match cut {
        Some((height, width)) => {
            differences.extend(other_size("the height of the crop", height, side));
            differences.extend(other_size("the width of the crop", width, side));
        }
        None if !crop && size.shorter.is_some() => differences.push("the centre is not cut out".to_owned()),
        None => {}
    }
    check(config, normal)?;
    Ok(Some(Says { config, normal, differences }))
}

/// The forms of a size.
#[derive(Clone, Copy, Default)]
struct Sides {
    shorter: Option<usize>,
    height: Option<usize>,
    width: Option<usize>,
}

fn sides(values: &Values) -> Result<Sides> {
    Ok(Sides {
        shorter: values.count("shortest_edge")?,
        height: values.count("height")?,
        width: values.count("width")?,
    })
}

fn other_size(what: &str, theirs: usize, ours: usize) -> Option<String> {
    (theirs != ours).then(|| format!("{what} is {theirs}, and the model's images have {ours}"))
}

/// The part of open_clip's or timm's config that says how images are prepared.
fn beside_the_model(config: &Config, side: usize) -> Result<Option<Says<'_>>> {
    let root = Values::at(config, Some(&config.json), "");
    let mut differences = Vec::new();
    let (values, usual) = if let Some(map) = root.get("pretrained_cfg") {
        // timm resizes to side / crop_pct before the crop.
        let values = Values::at(config, Some(map), "pretrained_cfg.");
        if let Some(part) = values.number("crop_pct")?.filter(|part| (part - 1.0).abs() > 1e-6) {
            differences.push(format!("the crop is {part} of the shorter side, and here it is all of it"));
        }
        (values, Normal::IMAGENET)
    } else if let Some(map) = root.get("preprocess_cfg") {
        let values = Values::at(config, Some(map), "preprocess_cfg.");
        if let Some(mode) = values.text("resize_mode")?.filter(|mode| *mode != "shortest") {
            differences.push(format!("resize_mode is {mode}, and here it is shortest"));
        }
        let size = match values.get("size") {
            Some(Value::Array(items)) => items.first().and_then(Value::as_u64).map(|side| side as usize),
            _ => values.count("size")?,
        };
        differences.extend(size.and_then(|size| other_size("the size", size, side)));
        (values, Normal::CLIP)
    } else {
        return Ok(None);
    };
    if let Some(filter) = values.text("interpolation")?.filter(|filter| *filter != "bicubic") {
        differences.push(format!("interpolation is {filter}, and here it is bicubic"));
    }
    let normal =
        Normal { mean: values.three("mean")?.unwrap_or(usual.mean), std: values.three("std")?.unwrap_or(usual.std) };
    check(config, normal)?;
    Ok(Some(Says { config, normal, differences }))
}

fn check(config: &Config, normal: Normal) -> Result<()> {
    if normal.std.iter().all(|std| *std > 0.0) {
        return Ok(());
    }
    Err(Error::failed(format!("{}: the standard deviation is {:?}, and must be above 0", config.label, normal.std)))
}

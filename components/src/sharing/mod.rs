//! A finished run as a folder that others can load: `maclip export`. The folder's types and its reader are in
//! `maclip_framework::runs::model_folder`; the way back is `maclip_framework::engine::import`.
//!
//! Here belongs what knows concrete components: public names of their tensors, PEFT's files for LoRA, and the forward
//! pass in plain PyTorch with the list of what it covers.

mod card;
mod check;
mod names;
mod peft;

use crate::backbones::clip::checkpoint;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use card::Card;
use maclip_framework::engine::{import, inputs};
use maclip_framework::error::{Error, Result};
use maclip_framework::files::{sha256, write_atomically, write_json};
use maclip_framework::model::few_shot::{FewShotModel, class_texts};
use maclip_framework::model::parameters;
use maclip_framework::recipe::{Purpose, Recipe};
use maclip_framework::registry::BuildContext;
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::model_folder::{
    BackboneConfig, ClassText, FORMAT, ImageConfig, KIND, ModelConfig, ModelFolder, Origin,
};
use maclip_framework::runs::records::State;
use maclip_framework::slots::backbone::{Precision, Published};
use maclip_framework::slots::frames::FrameSampler;
use maclip_framework::slots::prompt::Prompt;
use maclip_framework::weights::{self, ElementType, HostTensor};
use maclip_language::{Arguments, Node, load};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The model in plain PyTorch: its forward pass, its metric, and the comparison with ours.
const PYTHON: [(&str, &str); 3] = [
    ("ma_clip.py", include_str!("python/ma_clip.py")),
    ("otam.py", include_str!("python/otam.py")),
    ("check.py", include_str!("python/check.py")),
];
const CHECK_FILE: &str = "check.safetensors";
const CARD_FILE: &str = "README.md";
const PEFT_FOLDER: &str = "peft";
const PEFT_FILES: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];
/// Keys of a recipe that say where and how this machine worked.
const OF_THIS_MACHINE: [&str; 6] = ["device", "compute", "clip_store", "expect", "description", "study"];

/// The text features of classes, `[C, E]`.
pub(crate) type ClassTexts = Tensor<2>;

/// How a run is exported.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether the frozen backbone comes along, so that the folder needs no other file. That of the program always
    /// does.
    pub with_backbone: bool,
    /// Licence of the weights, as hubs name it, such as `mit`; `None` says that the exporter has chosen none.
    pub license: Option<String>,
    /// Whether an earlier export in the folder is replaced.
    pub force: bool,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Exported {
    /// The folder.
    pub folder: PathBuf,
    /// The files in it, in the order in which they were written.
    pub files: Vec<String>,
    /// Number of trained tensors, and of their values.
    pub tensors: usize,
    /// See `tensors`.
    pub values: usize,
    /// Why there is no forward pass in plain PyTorch; `None` where there is one.
    pub not_covered: Option<String>,
    /// Whether the frozen backbone is in the folder.
    pub backbone: bool,
}

/// Writes the run in `run` as a model folder `to`.
///
/// # Errors
/// Where the run is not done or not one of few-shot training, its records are not what it wrote, its weights or those
/// of its backbone are not there or not the same, or the folder cannot be written.
pub fn export(run: &Path, to: &Path, options: &Options) -> Result<Exported> {
    let directory = finished(run)?;
    let license = options.license.as_deref().map(checked_license).transpose()?;
    check_folder(to, options.force)?;
    let document = load(&run.join("recipe.resolved.yaml"), &Arguments::default())?;
    let recipe = Recipe::check_for(&document.root, Purpose::Plan)?;
    let mut build = recipe.build_context(&Device::flex())?;
    // The values as they are, whatever the run computed in.
    build.precision = Precision::F32;
    let frames = recipe.build::<dyn FrameSampler>(&build)?.count();
    let model = FewShotModel::build(&recipe, &build, frames)?;
    inputs::same_weights(&directory, &build.weights())?;
    let tensors_sha256 = import::backbone_sha256(&model);
    let published = model.backbone.published();
    // Weights that are in the program are in no file that could be named.
    let with_backbone =
        options.with_backbone || directory.manifest.weights.keys().any(|name| checkpoint::is_in_program(name));
    if options.with_backbone && published.is_none() {
        let name = &recipe.components()["backbone"];
        return Err(Error::failed(format!("the backbone `{name}` has no public names, so it cannot come along"))
            .help("leave `--with-backbone` out; the config names its file and checksum"));
    }
    let (model, trained_sha256) = match parameters::count(&model).trainable {
        0 => (model, None),
        _ => {
            let (checkpoint, sum) = inputs::trained_weights(run, &recipe)?;
            (checkpoint.load(model)?, Some(sum))
        }
    };
    let slots = slots_of(&recipe);
    let placed = names::placed(&model, &slots["adapter"]);
    let trained = parameters::export(&model, true);
    let tensors: BTreeMap<String, HostTensor> =
        placed.iter().map(|(name, at)| (name.clone(), at.layout.written(trained[&at.path].clone()))).collect();
    let model = model.valid();
    let classes = texts_of(&model, &recipe, &build, &directory)?;
    let covered = check::covered(&slots);
    let geometry = model.backbone.geometry();
    let about = published.as_ref().map(|published| published.about.clone()).unwrap_or_default();
    let parsed = |key: &str| about.get(key).and_then(|text| serde_json::from_str(text).ok());
    let imported = directory.manifest.imported.as_ref();
    let mut config = ModelConfig {
        model_type: KIND.to_owned(),
        format: FORMAT,
        maclip_version: env!("CARGO_PKG_VERSION").to_owned(),
        run: Origin {
            name: directory.manifest.name.clone(),
            variant: directory.manifest.variant.clone(),
            seed: directory.manifest.seed,
            hash: imported.map_or_else(|| directory.manifest.hash.clone(), |from| from.hash.clone()),
            trained_sha256,
        },
        frames,
        image: ImageConfig { size: geometry.image_size, mean: geometry.mean, std: geometry.std },
        backbone: BackboneConfig {
            architecture: parsed("architecture").unwrap_or(Value::Null),
            weights: backbone_files(&directory),
            tensors_sha256,
            file: with_backbone.then(|| ModelFolder::BACKBONE.to_owned()),
            vocabulary: parsed("vocabulary").and_then(|words| serde_json::from_value(words).ok()),
        },
        slots,
        classes,
        test: directory.test().cloned().or_else(|| imported.filter(|from| !from.changed)?.test.clone()),
        tensors: placed,
        files: BTreeMap::new(),
    };
    let mut writer = Writer { folder: to, written: Vec::new() };
    writer.begin()?;
    config
        .files
        .insert(ModelFolder::TENSORS.to_owned(), writer.tensors(ModelFolder::TENSORS, &tensors, &BTreeMap::new())?);
    if let Some(Published { tensors, about }) = published.filter(|_| with_backbone) {
        config.files.insert(ModelFolder::BACKBONE.to_owned(), writer.tensors(ModelFolder::BACKBONE, &tensors, &about)?);
    }
    let recipe_text = recipe_text(&recipe);
    writer.text(ModelFolder::RECIPE, &recipe_text)?;
    if config.slots["adapter"]["type"] == "lora" {
        // By the name of a model on a hub, where the recipe has that.
        let base = config.backbone.weights.keys().find_map(|name| name.strip_prefix("hf:"));
        let (tensors, about) = peft::adapter(&tensors, &config.tensors, &config.slots["adapter"], base)?;
        let folder = to.join(PEFT_FOLDER);
        std::fs::create_dir_all(&folder).map_err(|error| Error::io("make the folder", &folder, error))?;
        let [config_file, tensors_file] = PEFT_FILES.map(|name| format!("{PEFT_FOLDER}/{name}"));
        writer.tensors(&tensors_file, &tensors, &BTreeMap::new())?;
        writer.json(&config_file, &about)?;
    }
    if covered.is_ok() {
        let texts = check_texts(&model, &recipe, &build, &config)?;
        writer.tensors(CHECK_FILE, &check::features(&model, frames, &texts), &BTreeMap::new())?;
        for (name, text) in PYTHON {
            writer.text(name, text)?;
        }
    }
    let card = Card {
        config: &config,
        directory: &directory,
        recipe: &recipe_text,
        license,
        not_covered: covered.as_ref().err().map(String::as_str),
    };
    writer.text(CARD_FILE, &card.text()?)?;
    // Last: a folder without it is no whole export.
    writer.json(ModelFolder::CONFIG, &config)?;
    let values = tensors.values().map(|tensor| tensor.values.len()).sum();
    let (folder, files) = (to.to_owned(), writer.written);
    let not_covered = covered.err();
    Ok(Exported { folder, files, tensors: tensors.len(), values, not_covered, backbone: with_backbone })
}

/// The run in `path`, if it is done and what is written there is what it wrote.
fn finished(path: &Path) -> Result<RunDirectory> {
    let run = RunDirectory::open(path)?;
    if run.manifest.task != "few_shot" {
        let message = format!(
            "{} is a run of task `{}`; models of few-shot training are exported",
            path.display(),
            run.manifest.task
        );
        return Err(Error::failed(message).help(
            "the weights of task `contrastive` are in its model.safetensors: `maclip weights convert` reads it",
        ));
    }
    if run.state() != Some(State::Done) {
        return Err(Error::failed(format!("{} is not finished", path.display())).help("finish it with `maclip run`"));
    }
    run.verify()?;
    Ok(run)
}

/// `license`, if hubs could name one so.
fn checked_license(license: &str) -> Result<&str> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    match !license.is_empty() && license.chars().all(fits) {
        true => Ok(license),
        false => Err(Error::failed(format!("{license:?} is no name of a licence"))
            .help("hubs name them in small letters, such as mit, apache-2.0 or cc-by-nc-4.0")),
    }
}

/// An error where something is in the folder that must not be replaced.
fn check_folder(folder: &Path, force: bool) -> Result<()> {
    let mut entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", folder, error).help("give another folder with `--to FOLDER`")),
    };
    match entries.next() {
        None => Ok(()),
        Some(_) if !force => Err(Error::failed(format!("{} is there and not empty", folder.display()))
            .help("give another folder, or replace an earlier export in it with `--force`")),
        // Nothing but an export is replaced.
        Some(_) => ModelFolder::open(folder).map(drop),
    }
}

/// The options of each slot that the task uses, as the run had them.
fn slots_of(recipe: &Recipe) -> Map<String, Value> {
    const SLOTS: [&str; 9] =
        ["backbone", "frames", "resize", "augment", "prompt", "adapter", "prototype", "alignment", "objective"];
    let found = SLOTS.iter().filter_map(|slot| Some(((*slot).to_owned(), recipe.resolved.at(slot)?.to_json())));
    found.map(|(slot, options)| (slot, without_places(options))).collect()
}

/// Checksums of the backbone's files by their names, without the folders of this machine.
fn backbone_files(run: &RunDirectory) -> BTreeMap<String, String> {
    let own = run.manifest.weights.iter().filter(|(name, _)| !name.starts_with("start: "));
    own.map(|(name, sum)| (without_place(name), sum.clone())).collect()
}

/// The sentences of the classes that were tested, and their tokens; none where nothing in the model reads a text.
fn texts_of(
    model: &FewShotModel,
    recipe: &Recipe,
    build: &BuildContext,
    run: &RunDirectory,
) -> Result<BTreeMap<String, ClassText>> {
    if !model.needs_text() {
        return Ok(BTreeMap::new());
    }
    let prompt = recipe.build::<dyn Prompt>(build)?;
    let mut names: BTreeSet<String> = run.episodes()?.into_iter().flat_map(|episode| episode.classes).collect();
    if names.is_empty() {
        // An imported run has no episodes.
        names = ["jump", "run"].map(str::to_owned).into();
    }
    let text = |name: String| {
        let sentences = prompt.sentences(&name);
        let tokens = sentences.iter().map(|sentence| model.backbone.tokens(sentence)).collect::<Result<_>>()?;
        Ok((name, ClassText { sentences, tokens }))
    };
    names.into_iter().map(text).collect()
}

/// The texts of the first two classes of the config, `[2, E]`.
fn check_texts(
    model: &FewShotModel,
    recipe: &Recipe,
    build: &BuildContext,
    config: &ModelConfig,
) -> Result<ClassTexts> {
    let names: Vec<&str> = config.classes.keys().map(String::as_str).chain(["", ""]).take(2).collect();
    Ok(class_texts(model, &*recipe.build::<dyn Prompt>(build)?, &names, &Device::flex())?.mean)
}

/// The recipe of the run without what is this machine's alone.
fn recipe_text(recipe: &Recipe) -> String {
    let mut root = recipe.resolved.to_json();
    if let Some(map) = root.as_object_mut() {
        map.retain(|key, _| !OF_THIS_MACHINE.contains(&key.as_str()));
    }
    if let Some(task) = root.get_mut("task").and_then(Value::as_object_mut) {
        task.remove("start");
    }
    let written = Node::from_json(&without_places(root)).to_yaml();
    format!(
        "# The recipe of the exported run, with every default filled in, without folders of its machine.\n{written}"
    )
}

/// `value` where every text that is an absolute path is its last part.
fn without_places(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(without_place(&text)),
        Value::Array(items) => items.into_iter().map(without_places).collect(),
        Value::Object(map) => Value::Object(map.into_iter().map(|(key, item)| (key, without_places(item))).collect()),
        other => other,
    }
}

/// The last part of a path that is absolute or leaves the current folder; any other text as it is.
fn without_place(text: &str) -> String {
    let leaves = ["/", "~", "../"].iter().any(|begin| text.starts_with(begin));
    let last = Path::new(text).file_name().filter(|_| leaves);
    last.map_or_else(|| text.to_owned(), |last| last.to_string_lossy().into_owned())
}

/// Writes the files of the folder.
struct Writer<'a> {
    folder: &'a Path,
    written: Vec<String>,
}

impl Writer<'_> {
    /// Makes the folder, or removes what an earlier export wrote there.
    fn begin(&self) -> Result<()> {
        std::fs::create_dir_all(self.folder).map_err(|error| {
            Error::io("make the folder", self.folder, error).help("give another one with `--to FOLDER`")
        })?;
        let own = [ModelFolder::CONFIG, ModelFolder::TENSORS, ModelFolder::BACKBONE, ModelFolder::RECIPE]
            .into_iter()
            .chain(PYTHON.map(|(name, _)| name))
            .chain([CHECK_FILE, CARD_FILE])
            .map(|name| self.folder.join(name));
        let peft = PEFT_FILES.map(|name| self.folder.join(PEFT_FOLDER).join(name));
        for file in own.chain(peft).filter(|file| file.exists()) {
            std::fs::remove_file(&file).map_err(|error| Error::io("replace", &file, error))?;
        }
        // Where something else lies in it, it stays.
        let _ = std::fs::remove_dir(self.folder.join(PEFT_FOLDER));
        Ok(())
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        write_atomically(&self.folder.join(name), bytes)?;
        self.written.push(name.to_owned());
        Ok(())
    }

    fn text(&mut self, name: &str, text: &str) -> Result<()> {
        self.bytes(name, text.as_bytes())
    }

    fn json(&mut self, name: &str, value: &impl serde::Serialize) -> Result<()> {
        write_json(&self.folder.join(name), value)?;
        self.written.push(name.to_owned());
        Ok(())
    }

    /// Writes tensors in f16 where that loses nothing, else in f32. Returns the file's SHA-256 (hex).
    fn tensors(
        &mut self,
        name: &str,
        tensors: &BTreeMap<String, HostTensor>,
        about: &BTreeMap<String, String>,
    ) -> Result<String> {
        let short = weights::serialize(tensors, about, ElementType::F16);
        let same = |bytes: &Vec<u8>| weights::parse(name, bytes).is_ok_and(|(back, _)| back == *tensors);
        let bytes = match short.ok().filter(same) {
            Some(bytes) => bytes,
            None => weights::serialize(tensors, about, ElementType::F32)?,
        };
        self.bytes(name, &bytes)?;
        Ok(sha256(&bytes))
    }
}

/// A note of a run without the folders of this machine.
pub(crate) fn shared(note: &str) -> String {
    note.split(' ').map(without_place).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn folders_of_this_machine_do_not_leave_it() {
        assert_eq!(without_place("/home/me/data/hmdb51"), "hmdb51");
        assert_eq!(without_place("../weights/ViT-B-16.pt"), "ViT-B-16.pt");
        assert_eq!(without_place("builtin:shapes_clip"), "builtin:shapes_clip");
        assert_eq!(without_place("a photo of {}"), "a photo of {}");
        assert_eq!(shared("begins with /runs/a/b: 3 of 4"), "begins with b: 3 of 4");
        let value = without_places(json!({"dataset": {"root": "/data/x", "list": ["/a/b", 3]}}));
        assert_eq!(value, json!({"dataset": {"root": "x", "list": ["b", 3]}}));
    }

    #[test]
    fn a_licence_is_a_name() {
        assert!(checked_license("cc-by-nc-4.0").is_ok());
        for wrong in ["", "MIT License", "mit\nx: y"] {
            assert!(checked_license(wrong).is_err(), "{wrong:?}");
        }
    }
}

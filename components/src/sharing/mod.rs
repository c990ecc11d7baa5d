//! A finished run as a folder that others can load: `maclip export`. The folder's types and its reader are in
//! `maclip_framework::runs::model_folder`; the way back is `maclip_framework::engine::import`.
//!
//! Here belongs what knows concrete components: public names of their tensors, PEFT's files for LoRA, and the forward
//! pass in plain PyTorch with the list of what it covers.

mod card;
mod check;
mod example;
mod folder;
mod names;
mod peft;
mod places;
mod provenance;

use crate::backbones::clip::checkpoint;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use card::Card;
use folder::Writer;
use maclip_framework::engine::backbone_identity::{BackboneIdentity, parsed};
use maclip_framework::engine::inputs;
use maclip_framework::error::{Error, Result};
use maclip_framework::files::sha256;
use maclip_framework::model::few_shot::{FewShotModel, class_texts};
use maclip_framework::model::parameters;
use maclip_framework::recipe::{Purpose, Recipe};
use maclip_framework::registry::BuildContext;
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::model_folder::{ClassText, FORMAT, ImageConfig, KIND, ModelConfig, ModelFolder, Origin};
use maclip_framework::runs::provenance::{BackboneConfig, StartConfig};
use maclip_framework::runs::records::State;
use maclip_framework::slots::backbone::{Precision, Published};
use maclip_framework::slots::frames::FrameSampler;
use maclip_framework::slots::prompt::Prompt;
use maclip_framework::weights::HostTensor;
use maclip_language::{Arguments, Node, load, read_str};
use places::{Known, last_part, without_places};
use provenance::Provenance;
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
const OF_THIS_MACHINE: [&str; 7] = ["device", "compute", "clip_store", "launcher", "expect", "description", "study"];

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
    /// Why there are no files for PEFT, where the adapter is LoRA; `None` where there are, and for other adapters.
    pub no_peft: Option<String>,
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
    folder::check(to, options.force)?;
    let document = load(&run.join("recipe.resolved.yaml"), &Arguments::default())?;
    let mut recipe = Recipe::check_for(&document.root, Purpose::Plan)?;
    directory.pin(&mut recipe);
    let mut build = recipe.build_context(&Device::flex())?;
    // The values as they are, whatever the run computed in.
    build.precision = Precision::F32;
    let frames = recipe.build::<dyn FrameSampler>(&build)?.count();
    let model = FewShotModel::build(&recipe, &build, frames)?;
    inputs::same_weights(&directory, &build.weights())?;
    let BackboneIdentity { tensors_sha256, architecture } = BackboneIdentity::of(&model.backbone);
    let published = model.backbone.published();
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
    let provenance = Provenance::of(&directory, &recipe, trained_sha256.is_some())?;
    let named = named_backbone(&directory, &recipe, &provenance);
    // Weights that are in the program are in no file that could be named.
    let with_backbone = options.with_backbone || named.weights.keys().any(|name| checkpoint::is_in_program(name));
    let (recipe_text, shared) = shared_recipe(&recipe, &provenance, &named)?;
    let slots = slots_of(&shared);
    let placed = names::placed(&model, &slots["adapter"]);
    let trained = parameters::export(&model, true);
    let tensors: BTreeMap<String, HostTensor> =
        placed.iter().map(|(name, at)| (name.clone(), at.layout.written(trained[&at.path].clone()))).collect();
    let model = model.valid();
    let classes = texts_of(&model, &recipe, &build, &directory)?;
    let covered = check::covered(&slots, with_backbone);
    let peft = peft::covered(&slots);
    let geometry = model.backbone.geometry();
    let about = published.as_ref().map(|published| published.about.clone()).unwrap_or_default();
    let mut config = ModelConfig {
        model_type: KIND.to_owned(),
        format: FORMAT,
        maclip_version: env!("CARGO_PKG_VERSION").to_owned(),
        run: Origin {
            name: directory.manifest.name.clone(),
            variant: provenance.variant.clone(),
            seed: directory.manifest.seed,
            hash: provenance.hash.clone(),
            trained_sha256,
            start: provenance.start.clone(),
        },
        frames,
        image: ImageConfig { size: geometry.image_size, mean: geometry.mean, std: geometry.std },
        backbone: BackboneConfig {
            architecture,
            tensors_sha256,
            file: with_backbone.then(|| ModelFolder::BACKBONE.to_owned()),
            vocabulary: serde_json::from_value(parsed(&about, "vocabulary")).ok(),
            ..named
        },
        slots,
        classes,
        test: provenance.test.clone(),
        data: provenance.data.clone(),
        tensors: placed,
        files: BTreeMap::new(),
        seal: String::new(),
    };
    let mut writer = Writer::begin(to)?;
    config
        .files
        .insert(ModelFolder::TENSORS.to_owned(), writer.tensors(ModelFolder::TENSORS, &tensors, &BTreeMap::new())?);
    if let Some(Published { tensors, about }) = published.filter(|_| with_backbone) {
        config.files.insert(ModelFolder::BACKBONE.to_owned(), writer.tensors(ModelFolder::BACKBONE, &tensors, &about)?);
    }
    config.files.insert(ModelFolder::RECIPE.to_owned(), sha256(recipe_text.as_bytes()));
    writer.text(ModelFolder::RECIPE, &recipe_text)?;
    if peft == Some(Ok(())) {
        // By the name of a model on a hub, where the recipe has that.
        let base = config.backbone.weights.keys().find_map(|name| name.strip_prefix("hf:"));
        let (tensors, about) = peft::adapter(&tensors, &config.tensors, &config.slots["adapter"], base)?;
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
    let (not_covered, no_peft) = (covered.err(), peft.and_then(std::result::Result::err));
    let shot = config.test.as_ref().map(|test| test.shot);
    let card = Card {
        config: &config,
        directory: &directory,
        recipe: &recipe_text,
        license,
        not_covered: not_covered.as_deref(),
        no_peft: no_peft.as_deref(),
        shot: shot.or_else(|| usize::try_from(shared.at("task.shot")?.to_json().as_u64()?).ok()).unwrap_or(1),
        places: &Known::of(&directory, &recipe),
    };
    writer.text(CARD_FILE, &card.text()?)?;
    writer.json(ModelFolder::CONFIG, &config.sealed()?)?;
    let values = tensors.values().map(|tensor| tensor.values.len()).sum();
    let (folder, files) = (to.to_owned(), writer.finish()?);
    Ok(Exported { folder, files, tensors: tensors.len(), values, not_covered, no_peft, backbone: with_backbone })
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

/// The options of each slot that the task uses, as `recipe` has them.
fn slots_of(recipe: &Node) -> Map<String, Value> {
    const SLOTS: [&str; 9] =
        ["backbone", "frames", "resize", "augment", "prompt", "adapter", "prototype", "alignment", "objective"];
    SLOTS.iter().filter_map(|slot| Some(((*slot).to_owned(), recipe.at(slot)?.to_json()))).collect()
}

/// How the backbone is named, without the folders of this machine: of an imported run as before the import.
fn named_backbone(run: &RunDirectory, recipe: &Recipe, provenance: &Provenance) -> BackboneConfig {
    if let Some(before) = &provenance.backbone {
        return before.clone();
    }
    let own = run.manifest.weights.iter().filter(|(name, _)| !name.starts_with("start: "));
    let source = recipe.resolved.at(places::BACKBONE).and_then(Node::as_str);
    BackboneConfig {
        source: source.map(last_part),
        weights: own.map(|(name, sum)| (last_part(name), sum.clone())).collect(),
        ..BackboneConfig::default()
    }
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
        let sentences = prompt.sentences(&name)?;
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

/// The recipe of the run without what is this machine's alone: its text, and what that says. Of an imported run it is
/// the one that came with the tensors.
fn shared_recipe(recipe: &Recipe, provenance: &Provenance, backbone: &BackboneConfig) -> Result<(String, Node)> {
    if let Some(text) = &provenance.recipe {
        return Ok((text.clone(), read_str(ModelFolder::RECIPE, text)?));
    }
    let mut root = without_places(recipe.resolved.to_json());
    if let Some(map) = root.as_object_mut() {
        map.retain(|key, _| !OF_THIS_MACHINE.contains(&key.as_str()));
    }
    if let Some(task) = root.get_mut("task").and_then(Value::as_object_mut) {
        task.remove("start");
    }
    if let (Some(source), Some(value)) = (&backbone.source, places::at(&mut root, places::BACKBONE)) {
        *value = source.as_str().into();
    }
    let mut head = vec![
        "# The recipe of the exported run, with every default filled in, without folders of its machine.".to_owned(),
    ];
    if provenance.given {
        head.push("# The run trained nothing: it tested weights that were trained before.".to_owned());
    }
    head.extend(provenance.start.as_ref().map(|StartConfig { name, sha256 }| {
        format!("# The training began with trained weights: `--from` {name}, SHA-256 {sha256}.")
    }));
    let root = Node::from_json(&root);
    Ok((format!("{}\n{}", head.join("\n"), root.to_yaml()), root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_is_a_name() {
        assert!(checked_license("cc-by-nc-4.0").is_ok());
        for wrong in ["", "MIT License", "mit\nx: y"] {
            assert!(checked_license(wrong).is_err(), "{wrong:?}");
        }
    }
}

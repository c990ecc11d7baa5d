//! A model folder as a run of this machine: what `maclip classify --run`, `maclip test` and `run --from` take.

use super::attempt::manifest;
use super::backbone_identity::BackboneIdentity;
use crate::error::{Error, Result};
use crate::files::{TEXT, as_value, file_hash, hex, read_regular, sha256, write_atomically};
use crate::model::few_shot::FewShotModel;
use crate::model::parameters;
use crate::recipe::study::StudyRun;
use crate::recipe::{Purpose, Recipe};
use crate::registry::BuildContext;
use crate::runs::directory::RunDirectory;
use crate::runs::model_folder::{ImageConfig, ModelFolder, Trained};
use crate::runs::provenance::{BackboneConfig, DataConfig};
use crate::runs::records::{Imported, Manifest, State, Status};
use crate::runs::seal::seal;
use crate::runs::store::{Position, RunStore, checkpoint_sha256};
use crate::slots::backbone::Precision;
use crate::slots::frames::FrameSampler;
use crate::weights::HostTensor;
use crate::weights::hub::Address;
use burn::tensor::Device;
use maclip_language::{Arguments, Change, Diagnostic, Document, Node, Origin, codes, load, within};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What may be changed of an imported model: where things lie on this machine, and how it is tested.
const ALLOWED: [&str; 12] = [
    "name",
    "description",
    "dataset",
    "backbone.weights",
    "backbone.key",
    "device",
    "compute",
    "clip_store",
    "task.test",
    "task.validation",
    "task.shot",
    "task.way",
];
/// What the variant of an imported run has at its end.
pub const IMPORTED: &str = "+imported";

/// How a folder is imported.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Whether its files may be others than those that were exported, such as after a training in PyTorch.
    pub changed: bool,
    /// Commit that the program was built from, for the manifest.
    pub commit: Option<&'a str>,
}

/// Makes a run of the model folder `folder` in its directory below `runs`, with the changes of `arguments`: where the
/// data and the backbone's weights lie. Returns it, opened. It needs the folder no more.
///
/// # Errors
/// Where the folder cannot be read, its files are not those that were exported, the backbone is not the one that they
/// were trained on, they do not fit the recipe, or the run is there already.
pub fn import(folder: &Path, runs: &Path, arguments: &Arguments, options: Options) -> Result<RunDirectory> {
    let source = ModelFolder::open(folder)?;
    let Trained { tensors, changed } = source.trained()?;
    let refused = |name: &str| {
        let help = "copy the folder again; or take it as it is with `--changed`, without the card's result";
        source.refuse_changed(name).help(help)
    };
    if let Some(name) = changed.as_deref().filter(|_| !options.changed) {
        return Err(refused(name));
    }
    let own = own_recipe(&source)?;
    let asked = asked(&source, arguments)?;
    let file = match source.backbone()? {
        Some(file) if !is_changed(&asked, "backbone.weights") && !has_backbone(&own, &source.config.backbone) => {
            let name = Recipe::check_for(&asked.root, Purpose::Plan)?.name;
            let (kept, same) = Kept::of(&source, &file, &runs.join(name))?;
            if !same && !options.changed {
                return Err(refused(ModelFolder::BACKBONE));
            }
            Some(kept)
        }
        _ => None,
    };
    let weights = file.as_ref().map(|kept| kept.path.as_path());
    let recipe = recipe_of(&source, arguments, &tensors, weights)?;
    let mut build = recipe.build_context(&Device::flex())?;
    build.precision = Precision::F32;
    let frames = recipe.build::<dyn FrameSampler>(&build)?.count();
    let model = FewShotModel::build(&recipe, &build, frames)?;
    same_model(&source, &model, frames, &build)?;
    let model = parameters::import(model, tensors, true).map_err(|error| {
        Error::failed(format!("the tensors of {} do not fit its recipe: {}", folder.display(), error.reason()))
            .help("copy the folder again, as a whole")
    })?;
    let run = StudyRun::new(&format!("{}{IMPORTED}", source.config.run.variant), recipe);
    let written = write(&source, &run, runs, &model, &build, Options { changed: changed.is_some(), ..options })?;
    file.into_iter().for_each(Kept::stay);
    Ok(written)
}

/// The recipe of the folder as it is there.
///
/// # Errors
/// Where it cannot be read, or has other options than the config.
fn own_recipe(source: &ModelFolder) -> Result<Recipe> {
    let file = source.path.join(ModelFolder::RECIPE);
    let recipe = Recipe::check_for(&load(&file, &Arguments::default())?.root, Purpose::Plan)?;
    for (slot, options) in &source.config.slots {
        let there = recipe.resolved.at(slot).map_or(Value::Null, Node::to_json);
        let mut all = options.as_object().into_iter().flatten();
        if let Some((key, value)) = all.find(|(key, value)| there[key] != **value) {
            let message = format!(
                "`{slot}.{key}` is {value} in {} of {}, and {} in its {}",
                ModelFolder::CONFIG,
                source.path.display(),
                there[key],
                ModelFolder::RECIPE
            );
            return Err(Error::failed(message).help("copy the folder again, as a whole"));
        }
    }
    Ok(recipe)
}

/// The recipe of the folder with `arguments`.
///
/// # Errors
/// Where they change the model.
fn asked(source: &ModelFolder, arguments: &Arguments) -> Result<Document> {
    let asked = load(&source.path.join(ModelFolder::RECIPE), arguments)?;
    let belongs = |change: &&Change| !ALLOWED.iter().any(|allowed| within(&change.path, allowed));
    let Some(change) = asked.changes.iter().find(belongs) else { return Ok(asked) };
    let message = format!("`{}` belongs to the model, and its tensors are for that model", change.path);
    let help = format!("of a model folder, {} may be changed", ALLOWED.map(|path| format!("`{path}`")).join(", "));
    Err(Diagnostic::new(codes::ARGUMENT, message).at(&change.origin).path(&change.path).help(help).into())
}

fn is_changed(asked: &Document, path: &str) -> bool {
    asked.changes.iter().any(|change| within(&change.path, path))
}

/// Whether the name that the recipe has for the backbone is one that lasts, in the program or on a hub, and has the
/// same tensors here.
fn has_backbone(recipe: &Recipe, config: &BackboneConfig) -> bool {
    let lasts = |source: &String| source.starts_with("builtin:") || Address::is_one(source);
    config.source.as_ref().is_some_and(lasts)
        && BackboneIdentity::of_recipe(recipe).is_ok_and(|(here, _)| here.tensors_sha256 == config.tensors_sha256)
}

/// The backbone's file of a folder, copied to where the runs of its recipe lie, which share it.
struct Kept {
    path: PathBuf,
    /// Whether it was not there before, and nothing needs it yet.
    new: bool,
}

impl Kept {
    /// A copy of `file` in the folder `place`, and whether it is the file that was exported.
    fn of(source: &ModelFolder, file: &Path, place: &Path) -> Result<(Self, bool)> {
        let sum = hex(&file_hash(file)?);
        let same = source.config.files.get(ModelFolder::BACKBONE) == Some(&sum);
        std::fs::create_dir_all(place).map_err(|error| {
            Error::io("make the folder", place, error).help("give another folder for the run with `--runs DIR`")
        })?;
        let place = place.canonicalize().map_err(|error| Error::io("find", place, error))?;
        let path = place.join(format!("backbone-{}.safetensors", &sum[..12]));
        if path.exists() && hex(&file_hash(&path)?) == sum {
            return Ok((Self { path, new: false }, same));
        }
        let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
        let copied = std::fs::copy(file, &unfinished).and_then(|_| std::fs::rename(&unfinished, &path));
        copied.map_err(|error| {
            let _ = std::fs::remove_file(&unfinished);
            Error::io("copy the backbone to", &path, error)
                .help("make room there, or give a file that is here already with `--set backbone.weights=FILE`")
        })?;
        Ok((Self { path, new: true }, same))
    }

    /// Says that a run needs it.
    fn stay(mut self) {
        self.new = false;
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.new {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The recipe of the folder with what `arguments` change, and the backbone in the file `weights` where it came along.
/// It says that the trained tensors are those of the folder, and that nothing is trained.
fn recipe_of(
    source: &ModelFolder,
    arguments: &Arguments,
    tensors: &BTreeMap<String, HostTensor>,
    weights: Option<&Path>,
) -> Result<Recipe> {
    let mut own = vec![("expect", json!([]))];
    if !tensors.is_empty() {
        let place = source.path.canonicalize().map_err(|error| Error::io("find", &source.path, error))?;
        let sha256 = checkpoint_sha256(tensors)?;
        own.push(("task.start", json!({"run": as_value(&place)?, "sha256": sha256, "train": false})));
    }
    if let Some(weights) = weights {
        own.push(("backbone.weights", json!(as_value(weights)?)));
    }
    let own = own.into_iter().map(|(path, value)| Change {
        path: path.to_owned(),
        origin: Origin::Default,
        value: Some(Node::from_json(&value)),
    });
    let others = arguments.others.iter().cloned().chain(own).collect();
    let document = load(&source.path.join(ModelFolder::RECIPE), &Arguments { others, ..arguments.clone() })?;
    Ok(Recipe::check_for(&document.root, Purpose::Plan)?)
}

/// An error where the model, built without the trained tensors, is not the one of the folder.
///
/// # Errors
/// Where its backbone has other tensors or is read otherwise, or the config has other frames.
fn same_model(source: &ModelFolder, model: &FewShotModel, frames: usize, build: &BuildContext) -> Result<()> {
    let (config, here) = (&source.config, BackboneIdentity::of(&model.backbone));
    here.check(&config.backbone, &build.weights())?;
    let geometry = model.backbone.geometry();
    let image = ImageConfig { size: geometry.image_size, mean: geometry.mean, std: geometry.std };
    for (key, now, then) in [
        ("frames", json!(frames), json!(config.frames)),
        ("image", json!(image), json!(config.image)),
        ("backbone.architecture", here.architecture, config.backbone.architecture.clone()),
    ] {
        if now == then {
            continue;
        }
        let message = format!(
            "`{key}` is {then} in {} of {}, and {now} of the model that its {} and its backbone make",
            ModelFolder::CONFIG,
            source.path.display(),
            ModelFolder::RECIPE
        );
        let help = "copy the folder again; of a backbone with a config beside it, give both, as they were trained with";
        return Err(Error::failed(message).help(help));
    }
    Ok(())
}

fn write(
    source: &ModelFolder,
    run: &StudyRun,
    runs: &Path,
    model: &FewShotModel,
    build: &BuildContext,
    options: Options,
) -> Result<RunDirectory> {
    let (recipe, config) = (&run.recipe, &source.config);
    let path = run.directory(runs);
    if path.join(Manifest::FILE).exists() {
        return Err(Error::failed(format!("{} is there already", path.display()))
            .help("it is this import; to make it again, remove it first with `maclip runs rm`"));
    }
    let store = RunStore::open(&path)?;
    let mut about = manifest(recipe, &run.variant, &store, options.commit)?;
    about.weights = build.weights();
    about.pinned = build.pinned();
    about.settings = build.settings();
    let file = source.path.join(ModelFolder::RECIPE);
    let own = read_regular(&file, TEXT).map_err(|error| Error::io("read", &file, error))?;
    let folder = source.path.display().to_string();
    let data = DataConfig { tested: config.data.tested.clone().filter(|_| !options.changed), ..config.data.clone() };
    let backbone = BackboneConfig { file: None, ..config.backbone.clone() };
    about.notes.push(format!("imported from {folder}; nothing was trained here"));
    if options.changed {
        about.notes.push("its files were changed after they were exported".to_owned());
    }
    about.notes.extend(build.notes());
    let (hash, test) = (config.run.hash.clone(), config.test.clone());
    let (start, changed) = (config.run.start.clone(), options.changed);
    let recipe_sha256 = Some(sha256(&own));
    about.imported =
        Some(Imported { folder, hash, changed, test, data, start, backbone: Some(backbone), recipe_sha256 });
    write_atomically(&path.join(Imported::RECIPE), &own)?;
    let params = parameters::count(model);
    store.write_text("recipe.resolved.yaml", &recipe.resolved.to_yaml())?;
    store.write_json("params.json", &params)?;
    if params.trainable > 0 {
        let position = Position { step: 1, best: None, validation_due: false };
        store.save_checkpoint(model, BTreeMap::new(), position, 1)?;
    }
    store.write_json(Manifest::FILE, &about)?;
    let mut status = Status::new(State::Done);
    let value: Value = json!(status);
    status.seal = Some(seal(&path, &about, &value)?);
    store.write_status(status)?;
    drop(store);
    RunDirectory::open(&path)
}

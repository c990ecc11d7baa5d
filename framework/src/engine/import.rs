//! A model folder as a run of this machine: what `maclip classify --run`, `maclip test` and `run --from` take.

use super::attempt::manifest;
use crate::error::{Error, Result};
use crate::model::few_shot::FewShotModel;
use crate::model::parameters;
use crate::recipe::study::StudyRun;
use crate::recipe::{Purpose, Recipe};
use crate::registry::BuildContext;
use crate::runs::directory::RunDirectory;
use crate::runs::model_folder::{ModelConfig, ModelFolder, tensors_sha256};
use crate::runs::records::{Imported, Manifest, State, Status};
use crate::runs::seal::seal;
use crate::runs::store::{Position, RunStore, tested_checkpoint};
use crate::slots::backbone::Precision;
use crate::slots::frames::FrameSampler;
use burn::tensor::Device;
use maclip_language::{Arguments, Change, Diagnostic, Document, Node, Origin, codes, load, within};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// What may be changed of an imported model: where things lie on this machine, and how it is tested.
const ALLOWED: [&str; 11] = [
    "name",
    "description",
    "dataset",
    "backbone",
    "device",
    "compute",
    "clip_store",
    "task.test",
    "task.validation",
    "task.shot",
    "task.way",
];

/// How a folder is imported.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Whether its tensors may be others than those that were exported, such as after a training in PyTorch.
    pub changed: bool,
    /// Commit that the program was built from, for the manifest.
    pub commit: Option<&'a str>,
}

/// Makes a run of the model folder `folder` in its directory below `runs`, with the changes of `arguments`: where the
/// data and the backbone's weights lie. Returns it, opened.
///
/// # Errors
/// Where the folder cannot be read, its tensors are not those that were exported, the backbone is not the one that
/// they were trained on, they do not fit the recipe, or the run is there already.
pub fn import(folder: &Path, runs: &Path, arguments: &Arguments, options: Options) -> Result<RunDirectory> {
    let source = ModelFolder::open(folder)?;
    let (tensors, exported) = source.tensors()?;
    if !exported && !options.changed {
        let file = folder.join(ModelFolder::TENSORS);
        return Err(Error::failed(format!(
            "{} is not the file that was exported: its checksum differs",
            file.display()
        ))
        .help("copy the folder again; or take the tensors as they are with `--changed`, without the card's result"));
    }
    let recipe = recipe_of(&source, arguments, tensors.is_empty())?;
    let mut build = recipe.build_context(&Device::flex())?;
    build.precision = Precision::F32;
    let frames = recipe.build::<dyn FrameSampler>(&build)?.count();
    let model = FewShotModel::build(&recipe, &build, frames)?;
    same_backbone(&source.config, &model, &build)?;
    let model = parameters::import(model, tensors, true).map_err(|error| {
        Error::failed(format!("the tensors of {} do not fit its recipe: {}", folder.display(), error.reason()))
            .help("copy the folder again, as a whole")
    })?;
    let run = StudyRun::new(&format!("{}+imported", source.config.run.variant), recipe);
    write(&source, &run, runs, &model, &build, Options { changed: !exported, ..options })
}

/// The recipe of the folder with what `arguments` change. It says that the weights are those of the folder, and that
/// nothing is trained.
fn recipe_of(source: &ModelFolder, arguments: &Arguments, untrained: bool) -> Result<Recipe> {
    let file = source.path.join(ModelFolder::RECIPE);
    let asked = load(&file, arguments)?;
    if let Some(change) =
        asked.changes.iter().find(|change| !ALLOWED.iter().any(|allowed| within(&change.path, allowed)))
    {
        let message = format!("`{}` belongs to the model, and its tensors are for that model", change.path);
        let help = format!("of a model folder, {} may be changed", ALLOWED.map(|path| format!("`{path}`")).join(", "));
        return Err(Diagnostic::new(codes::ARGUMENT, message).at(&change.origin).path(&change.path).help(help).into());
    }
    let place = source.path.canonicalize().map_err(|error| Error::io("find", &source.path, error))?;
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| {
            Error::failed(format!("{} is not UTF-8, and a recipe, which is text, must name it", path.display()))
                .help("move the folder to a path of plain characters")
        })
    };
    let mut own = vec![("expect", json!([]))];
    if !untrained {
        let (_, sha256) = tested_checkpoint(&source.path)?;
        own.push(("task.start", json!({"run": text(&place)?, "sha256": sha256, "train": false})));
    }
    if let Some(name) = backbone_file(source, &asked)? {
        own.push(("backbone.weights", json!(text(&place.join(name))?)));
    }
    let own = own.into_iter().map(|(path, value)| Change {
        path: path.to_owned(),
        origin: Origin::Default,
        value: Some(Node::from_json(&value)),
    });
    let others = arguments.others.iter().cloned().chain(own).collect();
    let document = load(&file, &Arguments { others, ..arguments.clone() })?;
    Ok(Recipe::check_for(&document.root, Purpose::Plan)?)
}

/// The file of the backbone in the folder, where it came along and nobody asked for another.
fn backbone_file(source: &ModelFolder, asked: &Document) -> Result<Option<String>> {
    let Some(name) = source.config.backbone.file.clone() else { return Ok(None) };
    if asked.changes.iter().any(|change| within(&change.path, "backbone.weights")) {
        return Ok(None);
    }
    // The config comes from somebody else, and may name anything.
    match Path::new(&name).file_name().is_some_and(|file| file == name.as_str()) {
        true => Ok(Some(name)),
        false => Err(Error::failed(format!(
            "{} names the backbone's file {name:?}, which is no file name",
            ModelFolder::CONFIG
        ))),
    }
}

/// The checksum of the tensors of the model's backbone, as [`tensors_sha256`] makes it: of the public names where it
/// has some.
pub fn backbone_sha256(model: &FewShotModel) -> String {
    match model.backbone.published() {
        Some(published) => tensors_sha256(&published.tensors),
        None => tensors_sha256(&parameters::export(&model.backbone, false)),
    }
}

/// An error where the model's backbone is not the one of `config`.
///
/// # Errors
/// Then.
pub fn same_backbone(config: &ModelConfig, model: &FewShotModel, build: &BuildContext) -> Result<()> {
    let now = backbone_sha256(model);
    if now == config.backbone.tensors_sha256 {
        return Ok(());
    }
    let named = |weights: &BTreeMap<String, String>| {
        let named: Vec<String> = weights.iter().map(|(name, sum)| format!("{name} (SHA-256 {sum})")).collect();
        if named.is_empty() { "no file".to_owned() } else { named.join(", ") }
    };
    let (theirs, here) = (named(&config.backbone.weights), named(&build.weights()));
    let message = format!("the backbone here, {here}, is not the one that the tensors were trained on: {theirs}");
    Err(Error::failed(message).help("give the file of that one with `--set backbone.weights=FILE`"))
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
    about.settings = build.settings();
    let folder = source.path.display().to_string();
    about.notes.push(format!("imported from {folder}; nothing was trained here"));
    if options.changed {
        about.notes.push("its tensors were changed after they were exported".to_owned());
    }
    about.notes.extend(build.notes());
    let (hash, test) = (config.run.hash.clone(), config.test.clone());
    about.imported = Some(Imported { folder, hash, changed: options.changed, test });
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

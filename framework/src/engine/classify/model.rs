//! A model that is ready to recognise clips, from a recipe and, where it was trained, from the run that has its
//! weights.

use crate::clips::sources::Clips;
use crate::engine::inputs;
use crate::error::{Error, Result};
use crate::model::few_shot::FewShotModel;
use crate::model::parameters;
use crate::recipe::{Recipe, device};
use crate::runs::directory::RunDirectory;
use crate::slots::backbone::Geometry;
use crate::slots::dataset::Dataset;
use crate::slots::prompt::Prompt;
use burn::module::Module;
use burn::tensor::Device;
use serde_json::json;
use std::path::Path;

/// Slots whose components decide the features of a clip.
const SLOTS: [&str; 7] = ["frames", "resize", "augment", "backbone", "prompt", "adapter", "prototype"];

/// A model that is ready, and what opens clips for it.
pub struct Ready {
    /// Without autodiff.
    pub model: FewShotModel,
    /// Opens clips; the dataset is the caller's.
    pub clips: Clips,
    /// Makes sentences of class texts.
    pub prompt: Box<dyn Prompt>,
    /// The size of the backbone's images, and how their pixels are normalised.
    pub geometry: Geometry,
    /// Where it computes.
    pub device: Device,
    /// Everything that decides the features of a clip.
    pub identity: serde_json::Value,
}

impl Ready {
    /// The model of `recipe`, with the trained weights of the finished run `run` where it has something to train. Clips
    /// are opened by `dataset`, whatever the recipe's is. `commit` is the one that the program was built from.
    ///
    /// # Errors
    /// Where its weights are missing, the run is another model's or not finished, or the device is not there.
    pub fn new(recipe: &Recipe, run: Option<&Path>, dataset: Box<dyn Dataset>, commit: Option<&str>) -> Result<Self> {
        // Answers come from one device, whatever else the training had.
        let name = recipe.devices.first();
        let device = device::probe(name, recipe.precision).map_err(|error| error.at(recipe.place("device")))?;
        let build = recipe.build_context(&device)?;
        let clips = Clips {
            dataset,
            frames: recipe.build(&build)?,
            resize: recipe.build(&build)?,
            augment: recipe.build(&build)?,
        };
        let prompt = recipe.build::<dyn Prompt>(&build)?;
        let mut model = FewShotModel::build(recipe, &build, clips.frames.count())?;
        let mut trained = None;
        let trainable = parameters::count(&model).trainable;
        if let Some(run) = run {
            let directory = finished(run)?;
            inputs::same_weights(&directory, &build.weights())?;
            if trainable > 0 {
                let (checkpoint, sha256) = inputs::trained_weights(run, recipe)?;
                model = checkpoint.load(model)?;
                trained = Some(sha256);
            }
        }
        let geometry = model.backbone.geometry().clone();
        let slots: serde_json::Map<String, serde_json::Value> =
            SLOTS.iter().filter_map(|slot| Some(((*slot).to_owned(), recipe.resolved.at(slot)?.to_json()))).collect();
        let identity = json!({
            "program": [env!("CARGO_PKG_VERSION"), commit],
            "slots": slots,
            "code": model.backbone.code_version(),
            "weights": build.weights(),
            "trained": trained,
            "seed": recipe.seed,
            "device": name,
            "precision": recipe.precision,
        });
        let untrained = trainable > 0 && trained.is_none();
        if untrained {
            return Err(Error::failed(format!(
                "{} trains {trainable} values, and they have no trained weights here",
                recipe.name
            ))
            .help("give a finished run of it with `--run DIR`, or a recipe that trains nothing"));
        }
        Ok(Self { model: model.valid(), clips, prompt, geometry, device, identity })
    }
}

/// The run in `path`, if it is done and its result is that of its records.
fn finished(path: &Path) -> Result<RunDirectory> {
    let run = RunDirectory::open(path)?;
    run.verify()?;
    match run.test().is_some() || run.manifest.imported.is_some() {
        true => Ok(run),
        false => Err(Error::failed(format!("{} is not finished", path.display())).help("finish it with `maclip run`")),
    }
}

//! Where trained tensors come from: through an import of them, and through a test of them that is a run of its own.

use super::places::last_part;
use maclip_framework::engine::import::IMPORTED;
use maclip_framework::error::{Error, Result};
use maclip_framework::files::{TEXT, read_regular, sha256};
use maclip_framework::recipe::Recipe;
use maclip_framework::recipe::expectation::TestResult;
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::model_folder::ModelFolder;
use maclip_framework::runs::provenance::{BackboneConfig, DataConfig, StartConfig};
use maclip_framework::runs::records::Imported;
use maclip_language::{Arguments, Node, load};
use std::path::Path;

/// What an export says of its run that the run itself may not know.
pub struct Provenance {
    /// Variant of the run that was trained.
    pub variant: String,
    /// Identity of that run.
    pub hash: String,
    /// The result, which was measured in this run or in the one that was exported before it was imported.
    pub test: Option<TestResult>,
    /// What was trained and tested on.
    pub data: DataConfig,
    /// The weights that the training began with.
    pub start: Option<StartConfig>,
    /// The backbone as the run names it that was exported before it was imported.
    pub backbone: Option<BackboneConfig>,
    /// The recipe of that run.
    pub recipe: Option<String>,
    /// Whether this run trained nothing, and tests weights that it was given.
    pub given: bool,
}

impl Provenance {
    /// That of `run` with the recipe `recipe`, which has something trained or not.
    ///
    /// # Errors
    /// Where the run cannot be read that this one was given.
    pub fn of(run: &RunDirectory, recipe: &Recipe, trained: bool) -> Result<Self> {
        let manifest = &run.manifest;
        let test = run.test().cloned();
        let tested_on = recipe.resolved.at("task.test_on.type").and_then(Node::as_str).map(str::to_owned);
        let tested = test.as_ref().and(tested_on.or_else(|| dataset(run)));
        let lists = manifest.lists.iter().filter(|(_, sum)| sum.len() == 64);
        let lists = lists.map(|(split, sum)| (split.clone(), sum.clone())).collect();
        let own = |origin: Origin| Self {
            variant: manifest.variant.clone(),
            hash: manifest.hash.clone(),
            data: DataConfig { trained: origin.trained, tested: tested.clone(), lists },
            test,
            start: origin.start,
            backbone: origin.backbone,
            recipe: None,
            given: false,
        };
        if let Some(imported) = &manifest.imported {
            let data = DataConfig {
                tested: imported.data.tested.clone().filter(|_| !imported.changed),
                ..imported.data.clone()
            };
            return Ok(Self {
                variant: manifest.variant.strip_suffix(IMPORTED).unwrap_or(&manifest.variant).to_owned(),
                hash: imported.hash.clone(),
                test: imported.test.clone().filter(|_| !imported.changed),
                data,
                start: imported.start.clone(),
                backbone: imported.backbone.clone(),
                recipe: recipe_before(run, imported)?,
                given: false,
            });
        }
        let start = recipe.resolved.at("task.start");
        match start.filter(|start| trained && !trains(start)).and_then(|start| start.at("run")?.as_str()) {
            Some(given) => Ok(Self { given: true, ..own(Origin::at(Path::new(given))?) }),
            None if trained => Ok(own(Origin::of(run, &recipe.resolved))),
            None => Ok(own(Origin::default())),
        }
    }
}

/// The training that made some tensors.
#[derive(Default)]
struct Origin {
    trained: Option<String>,
    start: Option<StartConfig>,
    backbone: Option<BackboneConfig>,
}

impl Origin {
    /// That of the run or the model folder at `path`.
    fn at(path: &Path) -> Result<Self> {
        if ModelFolder::is_at(path) {
            let config = ModelFolder::open(path)?.config;
            return Ok(Self { trained: config.data.trained, start: config.run.start, backbone: Some(config.backbone) });
        }
        let run = RunDirectory::open(path)?;
        Ok(match &run.manifest.imported {
            Some(Imported { data, start, backbone, .. }) => {
                Self { trained: data.trained.clone(), start: start.clone(), backbone: backbone.clone() }
            }
            None => Self::of(&run, &load(&path.join("recipe.resolved.yaml"), &Arguments::default())?.root),
        })
    }

    /// That of `run`, which was trained by `resolved`.
    fn of(run: &RunDirectory, resolved: &Node) -> Self {
        let text = |start: &Node, key: &str| start.at(key).and_then(Node::as_str).map(str::to_owned);
        let start = resolved.at("task.start").filter(|start| trains(start)).and_then(|start| {
            Some(StartConfig { name: last_part(&text(start, "run")?), sha256: text(start, "sha256")? })
        });
        Self { trained: dataset(run), start, backbone: None }
    }
}

/// The dataset of the training.
fn dataset(run: &RunDirectory) -> Option<String> {
    run.manifest.components.get("dataset").cloned()
}

/// Whether a training goes on from the weights of `start`.
fn trains(start: &Node) -> bool {
    start.at("train").is_none_or(|train| train.to_json() != serde_json::Value::Bool(false))
}

/// The recipe that came with an imported run, which may name other data and other tests than its own.
fn recipe_before(run: &RunDirectory, imported: &Imported) -> Result<Option<String>> {
    let Some(sum) = &imported.recipe_sha256 else { return Ok(None) };
    let file = run.path.join(Imported::RECIPE);
    let bytes = read_regular(&file, TEXT).map_err(|error| Error::io("read", &file, error))?;
    match String::from_utf8(bytes) {
        Ok(text) if sha256(text.as_bytes()) == *sum => Ok(Some(text)),
        _ => Err(Error::failed(format!("{} is not the recipe that was imported", file.display()))
            .help("bring it back, or import the model folder again")),
    }
}

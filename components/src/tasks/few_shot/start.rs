//! Trained weights that a run begins with: those of another run, or of a model folder.

use maclip_framework::engine::backbone_identity::BackboneIdentity;
use maclip_framework::error::{Error, Result};
use maclip_framework::model::few_shot::FewShotModel;
use maclip_framework::model::parameters;
use maclip_framework::recipe::Recipe;
use maclip_framework::registry::{BuildContext, Problems, slots};
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::model_folder::ModelFolder;
use maclip_framework::runs::store::{Begun, tested_checkpoint};
use maclip_language::{Arguments, Node, first_of, load};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The run or the model folder whose trained weights this run begins with.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    /// The run directory, whose weights are those of the checkpoint that it tested, or a folder of `maclip export`.
    pub run: String,
    /// SHA-256 of these weights; with others the run is refused. `maclip run --from` and `maclip test` fill it in. It
    /// is part of a run's identity and the path is not: the same weights make the same run, wherever they lie.
    sha256: String,
    /// Slots whose weights are taken, such as `[adapter]`; `null` takes those of every slot. The others start as the
    /// recipe says. Only for a run that trains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub only: Option<Vec<String>>,
    /// Whether the training goes on from there. With `false` the weights are tested as they are, which `maclip test`
    /// does.
    #[serde(default = "yes")]
    pub train: bool,
}

fn yes() -> bool {
    true
}

impl Start {
    /// `model` with these weights in its trained parameters, and sentences on what was taken. Notes their checksum. A
    /// run that trains may have other parameters beside them; one that does not has these and no others.
    ///
    /// # Errors
    /// Where the weights cannot be read, are others than the recipe says, were trained on another backbone, or do not
    /// fit.
    pub fn load(
        &self,
        model: FewShotModel,
        build: &BuildContext,
        recipe: &Recipe,
    ) -> Result<(FewShotModel, Vec<String>)> {
        let (checkpoint, sha256) = tested_checkpoint(Path::new(&self.run))?;
        if sha256 != self.sha256 {
            return Err(Error::failed(format!(
                "{} has trained weights with the checksum {sha256}, and this run is for {}",
                self.run, self.sha256
            ))
            .help("`maclip test` and `maclip run --from` take the weights as they are now"));
        }
        let fits = |error: Error, help: &str| {
            Error::failed(format!("the weights of {} do not fit this model: {}", self.run, error.reason())).help(help)
        };
        if self.train {
            self.same_backbone(recipe, build)?;
        }
        build.note_weights(&format!("start: {}", self.run), sha256);
        if !self.train {
            let help = "the adapter, prototype, alignment and objective must be those of that run";
            return checkpoint.load(model).map(|model| (model, Vec::new())).map_err(|error| fits(error, help));
        }
        if parameters::count(&model).trainable == 0 {
            return Err(Error::failed("this run has nothing to train, so it cannot begin with trained weights")
                .help("leave it out with `--only`, or give a recipe with an adapter"));
        }
        let wanted = |path: &str| {
            let slot = path.split('.').next().unwrap_or(path);
            self.only.as_ref().is_none_or(|only| only.iter().any(|name| name == slot))
        };
        let (model, begun) = checkpoint.begin(model, wanted).map_err(|error| {
            fits(
                error,
                "use the components of that run, or take the weights of some slots alone: `task.start.only=[adapter]`",
            )
        })?;
        Ok((model, told(&self.run, &begun)))
    }

    /// Reports slots that are none.
    pub fn validate(&self, problems: &mut Problems) {
        let unknown = |name: &&String| !slots().any(|slot| slot.name == name.as_str());
        if let Some(name) = self.only.iter().flatten().find(unknown) {
            problems.push("start.only", format!("names `{name}`, which is no slot"));
        }
        let useless = self.only.is_some() && !self.train;
        problems.when(useless, "start.only", "is for a run that trains: a test takes all weights of its model");
    }

    /// An error where the weights were trained on another backbone than that of `recipe`.
    fn same_backbone(&self, recipe: &Recipe, build: &BuildContext) -> Result<()> {
        let (path, now) = (Path::new(&self.run), build.weights());
        let here = file_of(&json_of(&recipe.resolved), &now);
        let same = |then: Option<_>| then.is_some() && then == here;
        if ModelFolder::is_at(path) {
            let config = ModelFolder::open(path)?.config;
            if same(file_of(&config.slots.get("backbone").cloned().unwrap_or_default(), &config.backbone.weights)) {
                return Ok(());
            }
            return BackboneIdentity::of_recipe(recipe)?.0.check(&config.backbone, &now);
        }
        let run = RunDirectory::open(path)?;
        let frozen = load(&path.join("recipe.resolved.yaml"), &Arguments::default())?;
        if same(file_of(&json_of(&frozen.root), &run.manifest.weights)) {
            return Ok(());
        }
        // The same tensors may lie in another file.
        let then = BackboneIdentity::of_run(&run).map_err(|error| {
            Error::failed(format!(
                "whether {} was trained on the backbone of this run cannot be seen: {}",
                self.run,
                error.reason()
            ))
            .help("bring its weights back to where they were, or give the same file with `--set backbone.weights=FILE`")
        })?;
        if then.tensors_sha256 == BackboneIdentity::of_recipe(recipe)?.0.tensors_sha256 {
            return Ok(());
        }
        let names = |weights: &BTreeMap<String, String>| weights.keys().cloned().collect::<Vec<_>>().join(", ");
        let message = format!(
            "{} was trained on other backbone weights ({}) than this run has ({})",
            self.run,
            names(&run.manifest.weights),
            names(&now)
        );
        Err(Error::failed(message).help("give the same weights with `--set backbone.weights=FILE`"))
    }
}

/// The options of the backbone.
fn json_of(resolved: &Node) -> Value {
    resolved.at("backbone").map_or(Value::Null, Node::to_json)
}

/// The checksum of the file of weights that a backbone with these options was read from, and the key of the model in
/// it. A config beside it counts for nothing here: models of one kind share it. `None` where it is not known.
fn file_of(backbone: &Value, weights: &BTreeMap<String, String>) -> Option<(String, Value)> {
    Some((weights.get(backbone["weights"].as_str()?)?.clone(), backbone["key"].clone()))
}

/// What was taken, what is new and what was left, each with its first names.
fn told(run: &str, Begun { taken, new, left }: &Begun) -> Vec<String> {
    let names = |paths: &[String]| first_of(paths.iter(), 4, ", ");
    let count = taken.len() + new.len();
    let mut lines = vec![format!("begins with the trained weights of {run}: {} of {count} tensors", taken.len())];
    if !new.is_empty() {
        lines.push(format!("not in it, so they start as the recipe says: {}", names(new)));
    }
    if !left.is_empty() {
        lines.push(format!("of its weights, not taken: {}", names(left)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_config_that_two_backbones_share_does_not_make_them_one() {
        let read = |folder: &str, sum: &str, key: Option<&str>| {
            let weights = [(folder.to_owned(), sum), (format!("{folder}/config.json"), "c0")];
            let weights = weights.into_iter().map(|(name, sum)| (name, sum.to_owned())).collect();
            file_of(&json!({"weights": folder, "key": key}), &weights)
        };
        assert!(read("w/a", "aa", None).is_some() && read("w/a", "aa", None) == read("w/moved", "aa", None));
        assert_ne!(read("w/a", "aa", None), read("w/b", "bb", None));
        // Two models of one file.
        assert_ne!(read("w/a", "aa", Some("student")), read("w/a", "aa", Some("teacher")));
    }
}

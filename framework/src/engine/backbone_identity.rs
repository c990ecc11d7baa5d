//! Whether a backbone is the one that tensors were trained on: by its own tensors, whatever file they lie in.

use super::inputs;
use crate::error::{Error, Result};
use crate::model::parameters;
use crate::recipe::{Purpose, Recipe};
use crate::registry::BuildContext;
use crate::runs::directory::RunDirectory;
use crate::runs::model_folder::tensors_sha256;
use crate::runs::provenance::BackboneConfig;
use crate::slots::backbone::Backbone;
use crate::slots::module::Slot;
use burn::tensor::Device;
use maclip_language::{Arguments, load};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a backbone is known by.
#[derive(Clone, Debug, PartialEq)]
pub struct BackboneIdentity {
    /// As [`tensors_sha256`] makes it: of the public names where it has some.
    pub tensors_sha256: String,
    /// As [`BackboneConfig::architecture`].
    pub architecture: Value,
}

impl BackboneIdentity {
    /// That of `backbone`, whose tensors are in f32 and as they were read.
    pub fn of(backbone: &Slot<dyn Backbone>) -> Self {
        match backbone.published() {
            Some(published) => Self {
                tensors_sha256: tensors_sha256(&published.tensors),
                architecture: parsed(&published.about, "architecture"),
            },
            None => {
                Self { tensors_sha256: tensors_sha256(&parameters::export(backbone, false)), architecture: Value::Null }
            }
        }
    }

    /// That of the backbone of `recipe`, and what it was read from.
    ///
    /// # Errors
    /// Where its weights cannot be read.
    pub fn of_recipe(recipe: &Recipe) -> Result<(Self, BuildContext)> {
        let build = recipe.context(&Device::flex());
        let backbone = recipe.build::<dyn Backbone>(&build)?;
        Ok((Self::of(&Slot::new(backbone)), build))
    }

    /// That of the backbone of `run`, whose weights must be there and as they were.
    ///
    /// # Errors
    /// Where they are not.
    pub fn of_run(run: &RunDirectory) -> Result<Self> {
        if let Some(known) = run.manifest.imported.as_ref().and_then(|imported| imported.backbone.clone()) {
            return Ok(Self { tensors_sha256: known.tensors_sha256, architecture: known.architecture });
        }
        let document = load(&run.path.join("recipe.resolved.yaml"), &Arguments::default())?;
        let mut recipe = Recipe::check_for(&document.root, Purpose::Plan)?;
        run.pin(&mut recipe);
        let (identity, build) = Self::of_recipe(&recipe)?;
        inputs::same_weights(run, &build.weights())?;
        Ok(identity)
    }

    /// An error where this is not the backbone of `config`; `here` has the checksums of the files that it was read
    /// from.
    ///
    /// # Errors
    /// Then.
    pub fn check(&self, config: &BackboneConfig, here: &BTreeMap<String, String>) -> Result<()> {
        if self.tensors_sha256 == config.tensors_sha256 {
            return Ok(());
        }
        let (theirs, here) = (named(&config.weights), named(here));
        let message = format!("the backbone here, {here}, is not the one that the tensors were trained on: {theirs}");
        Err(Error::failed(message).help("give the file of that one with `--set backbone.weights=FILE`"))
    }
}

/// The value of `key` in what a backbone says of itself; `null` without it.
pub fn parsed(about: &BTreeMap<String, String>, key: &str) -> Value {
    about.get(key).and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null)
}

/// Files with their checksums, in words.
fn named(weights: &BTreeMap<String, String>) -> String {
    let named: Vec<String> = weights.iter().map(|(name, sum)| format!("{name} (SHA-256 {sum})")).collect();
    if named.is_empty() { "no file".to_owned() } else { named.join(", ") }
}

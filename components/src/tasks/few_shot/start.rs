//! Trained weights that a run begins with: those of another run.

use maclip_framework::error::{Error, Result};
use maclip_framework::model::few_shot::FewShotModel;
use maclip_framework::registry::BuildContext;
use maclip_framework::runs::store::tested_checkpoint;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The run whose trained weights this run begins with.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    /// The run directory. The weights are those of the checkpoint that it tested.
    pub run: String,
    /// SHA-256 of these weights; with others the run is refused. `maclip test` fills it in. It is part of a run's identity
    /// and the path is not: the same weights make the same run, wherever they lie.
    sha256: String,
    /// Whether the training goes on from there. With `false` the weights are tested as they are, which `maclip test` does.
    #[serde(default = "yes")]
    pub train: bool,
}

fn yes() -> bool {
    true
}

impl Start {
    /// `model` with these weights in its trained parameters. Notes their checksum.
    ///
    /// # Errors
    /// Where the run has no checkpoint that can be read, has other weights, or trained another model.
    pub fn load(&self, model: FewShotModel, build: &BuildContext) -> Result<FewShotModel> {
        let (checkpoint, sha256) = tested_checkpoint(Path::new(&self.run))?;
        if sha256 != self.sha256 {
            return Err(Error::failed(format!(
                "{} has trained weights with the checksum {sha256}, and this run is for {}",
                self.run, self.sha256
            ))
            .help("`maclip test` takes the weights as they are now"));
        }
        build.note_weights(&format!("start: {}", self.run), sha256);
        checkpoint.load(model).map_err(|error| {
            Error::failed(format!("the weights of {} do not fit this model: {error}", self.run))
                .help("the adapter, prototype, alignment and objective must be those of that run")
        })
    }
}

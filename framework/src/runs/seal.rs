//! The checksum that ties a result to the records of its run.
//!
//! It is no protection from somebody who wants to cheat. It finds what a slip of an editor, a mixed-up copy or a bad
//! disk changed, before a table shows it.

use crate::error::Result;
use crate::files::{file_hash, hex};
use crate::runs::read::read_json;
use crate::runs::records::Manifest;
use maclip_language::{Arguments, identity, load};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Records that a result comes from.
const RECORDS: [&str; 3] = ["train.jsonl", "validation.jsonl", "episodes.jsonl"];
/// What a finished run may change in its recipe: its name, and what it is expected to reach.
pub(crate) const FREE: [&str; 3] = ["name", "description", "expect"];

/// The seal of the run in `path`: over the result and the step in `status`, which is the content of status.json, the
/// identity in `manifest`, the recipe, the parameters and the records. Not over names and times. The files' own values
/// are taken, not types of this program: a field that a later one adds changes no seal.
///
/// # Errors
/// Where a file cannot be read.
pub fn seal(path: &Path, manifest: &Manifest, status: &Value) -> Result<String> {
    let recipe = load(&path.join("recipe.resolved.yaml"), &Arguments::default())?;
    let params: Option<Value> = read_json(&path.join("params.json"))?;
    let about = json!({
        "test": status["test"],
        "best_step": status["best_step"],
        "hash": manifest.hash,
        "seed": manifest.seed,
        "task": manifest.task,
        "params": params,
        "recipe": identity(&recipe.root, &FREE),
    });
    let mut hash = Sha256::new().chain_update(about.to_string());
    for name in RECORDS {
        match path.join(name) {
            file if file.exists() => hash.update(file_hash(&file)?),
            _ => hash.update("none"),
        }
    }
    Ok(hex(&hash.finalize()))
}

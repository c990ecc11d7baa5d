//! What the clips of a run hold, as checksums: a result holds for these clips alone.

use crate::clips::store::ClipStore;
use crate::clips::store::source;
use crate::error::Result;
use crate::files::hex;
use crate::recipe::Recipe;
use crate::slots::dataset::Dataset;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// SHA-256 (hex) over the bytes of the files of each of `clips`, by clip id. A clip that is made by code has no files
/// and no checksum. With `store`, only files that it does not know yet, or that changed since, are read.
///
/// # Errors
/// Where the dataset does not know a clip, or a file cannot be read.
pub fn contents(dataset: &dyn Dataset, clips: &[&str], store: Option<&ClipStore>) -> Result<BTreeMap<String, String>> {
    let sum = |clip: &&str| -> Result<Option<(String, String)>> {
        let files = dataset.files(clip)?;
        if files.is_empty() {
            return Ok(None);
        }
        let content = match store {
            Some(store) => source::content(store, files)?.content,
            None => source::hash(&files)?,
        };
        Ok(Some(((*clip).to_owned(), hex(&content))))
    };
    let sums: Vec<Option<(String, String)>> = clips.par_iter().map(sum).collect::<Result<_>>()?;
    Ok(sums.into_iter().flatten().collect())
}

/// The clip store of `recipe`, where it has one. `runs` is the folder of all runs.
///
/// # Errors
/// Where the folder of the store cannot be read.
pub fn store_of(recipe: &Recipe, runs: &Path) -> Result<Option<ClipStore>> {
    let opened = recipe.clip_store.open(&recipe.compute.caches(runs));
    opened.map_err(|error| error.at(recipe.place("clip_store")))
}

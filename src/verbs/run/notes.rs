//! What lies beside the runs of a recipe, for the report: which runs were left out, and what its study says of them
//! all. A trial leaves it as it is.

use maclip_framework::engine::overview::RunOverview;
use maclip_framework::error::{Error, Result};
use maclip_framework::files::{TEXT, read_regular, write_json};
use maclip_framework::recipe::study::{Order, Shown, Skipped, StudyRun};
use maclip_framework::runs::records::{LeftOut, Planned};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a study says of all of its runs.
#[derive(Default)]
pub struct OfStudy {
    order: Vec<Order>,
    shown: Shown,
    planned: Vec<Planned>,
}

impl OfStudy {
    /// Adds what another recipe of the same name says.
    pub fn extend(&mut self, order: Vec<Order>, shown: Shown, runs: &[StudyRun]) {
        self.order.extend(order);
        self.shown.extend(shown);
        self.planned.extend(runs.iter().map(Planned::new));
    }
}

/// Writes next to the runs of each recipe which runs its preset leaves out.
pub fn left_out(tables: &[(String, Vec<RunOverview>)], skipped: &[Skipped], runs: &Path) -> Result<()> {
    let of_skipped = skipped.iter().map(|skipped| &skipped.run.recipe.name);
    for name in tables.iter().map(|(name, _)| name).chain(of_skipped).collect::<BTreeSet<_>>() {
        let of_recipe = skipped.iter().filter(|skipped| skipped.run.recipe.name == *name);
        let all = tables.iter().filter(|(of, _)| of == name).flat_map(|(_, runs)| runs).map(|run| &run.run);
        if all.chain(of_recipe.clone().map(|skipped| &skipped.run)).any(StudyRun::is_trial) {
            continue;
        }
        let left_out: Vec<LeftOut> = of_recipe.map(LeftOut::new).collect();
        note(&runs.join(name), LeftOut::FILE, &left_out, left_out.is_empty())?;
    }
    Ok(())
}

/// Writes next to the runs of each recipe what its study says.
pub fn of_studies(studies: &BTreeMap<String, OfStudy>, runs: &Path) -> Result<()> {
    studies.iter().try_for_each(|(name, OfStudy { order, shown, planned })| {
        let folder = runs.join(name);
        note(&folder, Order::FILE, order, order.is_empty())?;
        note(&folder, Shown::FILE, shown, shown.is_empty())?;
        // A run alone is there as soon as it is asked for.
        note(&folder, Planned::FILE, planned, planned.len() < 2)
    })
}

/// Writes `what` into a file in `folder`, unless it is there already. An empty one is written only over an earlier one.
fn note<T: Serialize>(folder: &Path, file: &str, what: &T, empty: bool) -> Result<()> {
    let path = folder.join(file);
    let before = read_regular(&path, TEXT).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    if before == serde_json::to_value(what).ok() || empty && !path.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(folder).map_err(|error| Error::io("make the folder", &path, error))?;
    write_json(&path, what)
}

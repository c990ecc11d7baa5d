//! `maclip validate RECIPE`: all problems of a recipe at once, and with `--deep` also those of data, weights, device
//! and disk. Not here: the checks themselves, which belong to the framework and to each component.

use super::run::left_out;
use crate::terminal::arguments::Source;
use crate::terminal::{say, say_data, warn};
use clap::Args;
use maclip_framework::engine::inputs;
use maclip_framework::error::Result;
use maclip_framework::recipe::Purpose;
use maclip_framework::recipe::study::{Skipped, StudyRun};
use maclip_framework::weights::hub::{self, Address};
use maclip_language::{Diagnostic, Diagnostics};
use maclip_reports::format::plural;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;

pub(super) mod deep;

/// Check a recipe without running it
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Also read the data, the weights and the lists, build the model, and try device and disk
    #[arg(long)]
    deep: bool,
    /// Folder that run directories would go to, for --deep
    #[arg(long, value_name = "DIR", default_value = "runs", requires = "deep")]
    runs: PathBuf,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

crate::verb!("validate", 20, Arguments, validate);

fn validate(arguments: Arguments) -> Result<()> {
    let Arguments { source, deep, runs, json } = arguments;
    let checked = source.expand(Purpose::Run).and_then(|expansion| {
        let found = if deep { deep::examine(&expansion.runs, &runs) } else { Vec::new() };
        let (errors, notes): (Vec<_>, Vec<_>) = found.into_iter().partition(Diagnostic::is_error);
        Diagnostics::check(errors)?;
        let notes: Vec<_> = expansion.notes.into_iter().chain(notes).collect();
        Ok((expansion.runs, expansion.skipped, notes))
    });
    let (planned, skipped, notes) = checked?;
    if json {
        let runs: Vec<_> = planned
            .iter()
            .map(|run| {
                json!({"variant": run.variant, "seed": run.recipe.seed, "hash": run.recipe.hash,
                       "components": run.recipe.components()})
            })
            .collect();
        let notes: Vec<_> = notes.iter().map(Diagnostic::to_json).collect();
        return say_data(json!({
            "valid": true, "deep": deep, "runs": runs, "left_out": left_out(&skipped), "notes": notes,
            "not_fetched": not_fetched(&planned)?,
        }));
    }
    warn(&notes);
    let runs = plural(planned.len(), "run");
    let looked = if deep { ", with data, weights, device and disk" } else { "" };
    say(format!("{} is valid{looked}: {runs}", source.recipe.display()))?;
    let line = |run: &StudyRun, what: &str| say(format!("  {} seed {} {what}", run.variant, run.recipe.seed));
    planned.iter().try_for_each(|run| line(run, &run.recipe.hash[..8]))?;
    not_fetched(&planned)?.iter().try_for_each(|source| {
        say(format!("  {source} is not here yet: `maclip run` fetches it, and so does `maclip weights fetch {source}`"))
    })?;
    skipped.iter().try_for_each(|Skipped { run, reason }| line(run, &format!("is left out: {reason}")))
}

/// The weights of `runs` on the hub that its cache lacks, each once.
fn not_fetched(runs: &[StudyRun]) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for (_, source) in runs.iter().flat_map(|run| inputs::of_hub(&run.recipe)) {
        if Address::of(&source)?.is_some_and(|address| hub::find(&address).is_none()) {
            found.insert(source);
        }
    }
    Ok(found)
}

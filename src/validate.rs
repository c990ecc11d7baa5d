//! `maclip validate RECIPE`: all problems of a recipe at once, without heavy I/O; with `--deep` also data, weights, device and disk.

use crate::cells;
use crate::deep;
use crate::source::Source;
use crate::terminal::{say, warn};
use clap::Args;
use maclip_framework::error::Result;
use maclip_framework::recipe::{Diagnostic, Diagnostics};
use maclip_framework::run::Purpose;
use maclip_framework::study::{Cell, Skipped};
use serde_json::json;
use std::path::PathBuf;

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
    pub json: bool,
}

pub fn validate(arguments: Arguments) -> Result<()> {
    let Arguments { source, deep, runs, json } = arguments;
    let checked = source.expand(Purpose::Run).and_then(|expansion| {
        let found = if deep { deep::examine(&expansion.cells, &runs) } else { Vec::new() };
        let (errors, notes): (Vec<_>, Vec<_>) = found.into_iter().partition(Diagnostic::is_error);
        Diagnostics::check(errors)?;
        let notes: Vec<_> = expansion.notes.into_iter().chain(notes).collect();
        Ok((expansion.cells, expansion.skipped, notes))
    });
    let (cells, skipped, notes) = checked?;
    if json {
        let runs: Vec<_> = cells
            .iter()
            .map(|cell| {
                json!({"variant": cell.variant, "seed": cell.recipe.seed, "hash": cell.recipe.hash,
                       "components": cell.recipe.components()})
            })
            .collect();
        let notes: Vec<_> = notes.iter().map(Diagnostic::to_json).collect();
        return say(
            json!({"valid": true, "deep": deep, "runs": runs, "left_out": cells::left_out(&skipped), "notes": notes}),
        );
    }
    warn(&notes);
    let runs = if cells.len() == 1 { "1 run".to_owned() } else { format!("{} runs", cells.len()) };
    let looked = if deep { ", with data, weights, device and disk" } else { "" };
    say(format!("{} is valid{looked}: {runs}", source.recipe.display()))?;
    let line = |cell: &Cell, what: &str| say(format!("  {} seed {} {what}", cell.variant, cell.recipe.seed));
    cells.iter().try_for_each(|cell| line(cell, &cell.recipe.hash[..8]))?;
    skipped.iter().try_for_each(|Skipped { cell, reason }| line(cell, &format!("is left out: {reason}")))
}

//! `maclip replay RUN --step N`: one training step again, from the newest checkpoint before it, looked at closely.

use crate::progress::Console;
use crate::sitting;
use crate::terminal::say;
use clap::Args;
use maclip_framework::error::Result;
use maclip_framework::run::Recipe;
use serde_json::json;
use std::path::PathBuf;

#[derive(Args)]
pub struct Arguments {
    /// Run directory
    run: PathBuf,
    /// Training step, from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    step: u64,
}

/// Prints one JSON object: the episodes of the step with their clips, loss, ranges of values and norms of gradients.
pub fn replay(arguments: Arguments) -> Result<()> {
    let recipe = Recipe::frozen(&arguments.run)?;
    let found = sitting::replay(&recipe, &arguments.run, arguments.step, &Console::new())?;
    let about = json!({"run": arguments.run, "step": arguments.step, "found": found});
    say(format!("{about:#}"))?;
    Ok(())
}

//! `maclip replay RUN --step N`: repeats one training step, from the newest checkpoint before it, and shows it in
//! detail.

use crate::terminal::progress::Console;
use crate::terminal::say;
use clap::Args;
use maclip_framework::engine::execute;
use maclip_framework::error::Result;
use serde_json::json;
use std::path::PathBuf;

/// Repeat one training step and show what happens in it
#[derive(Args)]
pub struct Arguments {
    /// Run directory
    run: PathBuf,
    /// Training step, from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    step: u64,
}

crate::verb!("replay", 170, Arguments, replay);

/// Prints one JSON object: the episodes of the step with their clips, loss, ranges of values and norms of gradients.
fn replay(arguments: Arguments) -> Result<()> {
    let found = execute::replay(&arguments.run, arguments.step, &Console::new())?;
    let about = json!({"run": arguments.run, "step": arguments.step, "found": found});
    say(format!("{about:#}"))?;
    Ok(())
}

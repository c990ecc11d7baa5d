//! `maclip replay RUN --step N`: repeats one training step, from the newest checkpoint before it, and shows it in
//! detail.

use crate::terminal::outline::outline;
use crate::terminal::progress::Console;
use crate::terminal::run_list::run_path;
use crate::terminal::{say, say_data, shown};
use clap::Args;
use maclip_framework::engine::execute;
use maclip_framework::error::Result;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Repeat one training step and show what happens in it
#[derive(Args)]
pub struct Arguments {
    /// Run directory, or FOLDER/VARIANT where it has one run
    run: PathBuf,
    /// Training step, from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    step: u64,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

crate::verb!("replay", 170, Arguments, replay);

/// Shows the episodes of the step with their clips, loss, ranges of values and norms of gradients.
fn replay(mut arguments: Arguments) -> Result<()> {
    arguments.run = run_path(&arguments.run)?;
    let found = execute::replay(&arguments.run, arguments.step, &Console::new())?;
    if arguments.json {
        let about = json!({"run": shown(&arguments.run), "step": arguments.step, "found": found});
        return say_data(format!("{about:#}"));
    }
    say(format!("{}, step {}", arguments.run.display(), arguments.step))?;
    let parts = match found {
        Value::Array(parts) => parts,
        other => vec![other],
    };
    for (at, part) in parts.iter().enumerate() {
        say(format!("\n{} of {}", at + 1, parts.len()))?;
        say(outline(part, 1).join("\n"))?;
    }
    Ok(())
}

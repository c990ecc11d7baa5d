//! `maclip import FOLDER`: a folder that `maclip export` wrote, as a run of this machine.

use crate::terminal::arguments::Changes;
use crate::terminal::{say, shown};
use clap::Args;
use maclip_framework::engine::import::{self, Options};
use maclip_framework::error::Result;
use serde_json::json;
use std::path::PathBuf;

/// Make a run of a folder that `maclip export` wrote, to test it, to classify with it, and to train on
#[derive(Args)]
pub struct Arguments {
    /// The folder
    folder: PathBuf,
    #[command(flatten)]
    changes: Changes,
    /// Take the files also where they are not those that were exported, such as after a training in PyTorch
    #[arg(long)]
    changed: bool,
    /// Folder that run directories go to
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

crate::verb!("import", 114, Arguments, import);

fn import(arguments: Arguments) -> Result<()> {
    let Arguments { folder, changes, changed, runs, json } = arguments;
    let options = Options { changed, commit: option_env!("MACLIP_COMMIT") };
    let run = import::import(&folder, &runs, &changes.arguments(Vec::new()), options)?;
    if json {
        return say(json!({"dir": shown(&run.path), "imported": run.manifest.imported}));
    }
    let path = shown(&run.path);
    say(format!("{path}\n"))?;
    say(format!("  maclip classify --run {path} --support FOLDER NEW"))?;
    say(format!("  maclip test {path}"))?;
    say(format!("  maclip run RECIPE --from {path}"))
}

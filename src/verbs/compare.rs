//! `maclip compare A B`: two variants on the episodes that both were tested on.

use crate::terminal::{look, say_data, say_made};
use clap::Args;
use maclip_framework::error::Result;
use std::path::PathBuf;

/// Compare two variants on the episodes that both were tested on
#[derive(Args)]
pub struct Arguments {
    /// A run directory, a folder with the runs of one variant, or FOLDER/VARIANT for all seeds of a variant: runs/modules/both
    a: PathBuf,
    /// What it is compared with
    b: PathBuf,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

crate::verb!("compare", 150, Arguments, compare);

fn compare(arguments: Arguments) -> Result<()> {
    let found = maclip_reports::compare(&arguments.a, &arguments.b)?;
    if arguments.json { say_data(serde_json::json!(found)) } else { say_made(found.text(&look())) }
}

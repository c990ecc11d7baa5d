//! `maclip export RUN --to FOLDER`: the trained model as files that other programs and other people can load.

use crate::terminal::{say, shown, tell};
use clap::Args;
use maclip_components::sharing::{self, Exported};
use maclip_framework::error::Result;
use serde_json::json;
use std::path::PathBuf;

/// Write the trained model of a run as a folder to share: tensors, config, card, forward pass in PyTorch
#[derive(Args)]
pub struct Arguments {
    /// Run directory
    run: PathBuf,
    /// Folder to write; it is made where it is missing
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// Also write the frozen backbone, so that the folder needs no other file
    #[arg(long)]
    with_backbone: bool,
    /// Licence of the trained weights for the card, by the name that hubs have for it, such as `mit`
    #[arg(long, value_name = "NAME")]
    license: Option<String>,
    /// Replace an earlier export in the folder
    #[arg(long)]
    force: bool,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

crate::verb!("export", 112, Arguments, export);

fn export(arguments: Arguments) -> Result<()> {
    let Arguments { run, to, with_backbone, license, force, json } = arguments;
    let exported = sharing::export(&run, &to, &sharing::Options { with_backbone, license, force })?;
    if json {
        return say(json!(exported));
    }
    let Exported { folder, files, tensors, values, not_covered, no_peft, backbone } = exported;
    say(format!("{}: {tensors} trained tensors with {values} values", shown(&folder)))?;
    files.iter().try_for_each(|file| say(format!("  {file}")))?;
    if let Some(why) = not_covered {
        tell(format!("no ma_clip.py was written: {why}"));
    }
    if let Some(why) = no_peft {
        tell(format!("no files for PEFT were written: {why}"));
    }
    if !backbone {
        tell(
            "the frozen backbone is not in the folder; its name and checksum are in config.json. --with-backbone adds it",
        );
    }
    Ok(())
}

//! `maclip compare A B`: two variants on the episodes that both were tested on.

use crate::terminal::{look, say_data, say_made, tell};
use clap::Args;
use maclip_framework::error::Result;
use std::path::PathBuf;

/// Compare two variants on the episodes that both were tested on
#[derive(Args)]
pub struct Arguments {
    /// A run directory, a folder with the runs of one variant, or FOLDER/VARIANT for all seeds of a variant:
    /// runs/modules/both
    a: PathBuf,
    /// What it is compared with
    b: PathBuf,
    /// Write a page for the two to this folder: their tables and figures, the queries that only one of them answers
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

crate::verb!("compare", 150, Arguments, compare);

fn compare(arguments: Arguments) -> Result<()> {
    let (found, page) = match &arguments.out {
        None => (maclip_reports::compare(&arguments.a, &arguments.b)?, None),
        Some(out) => {
            let (found, page) = maclip_reports::compare_page(&arguments.a, &arguments.b, out)?;
            (found, Some(page))
        }
    };
    if arguments.json {
        say_data(serde_json::json!(found))?
    } else {
        say_made(found.text(&look()))?
    }
    page.into_iter().for_each(|page| tell(format!("page: {}", page.display())));
    Ok(())
}

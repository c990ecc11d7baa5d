//! `maclip report RUNS… --out DIR`: the report of run directories.

use crate::terminal::say;
use clap::Args;
use maclip_framework::error::Result;
use std::path::PathBuf;

#[derive(Args)]
pub struct Arguments {
    /// Run directories, or folders that hold some
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Where the page, the figures and the tables go
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub fn report(arguments: Arguments) -> Result<()> {
    let report = maclip_reports::report(&arguments.runs, &arguments.out)?;
    say(report.table)?;
    say(format!("report: {}", report.index.display()))?;
    Ok(())
}

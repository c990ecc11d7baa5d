//! `maclip report RUNS… --out DIR`: the report of run directories.

use crate::terminal::progress::{Console, stop_on_ctrl_c};
use crate::terminal::run_list::place;
use crate::terminal::{look, say, say_made, tell};
use clap::Args;
use maclip_framework::error::{Error, Result};
use maclip_framework::progress::stop_requested;
use maclip_reports::format::plural;
use maclip_reports::{Options, Stamp};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Write the report of runs: one HTML page, figures, CSV and Parquet
#[derive(Args)]
pub struct Arguments {
    /// Run directories, folders that hold some, or a shipped recipe, whose runs are in `runs`
    #[arg(default_value = "runs")]
    runs: Vec<PathBuf>,
    /// Where the page, the figures and the tables go
    #[arg(long, value_name = "DIR", default_value = "report")]
    out: PathBuf,
    /// Make the report again whenever a run has written something, until Ctrl-C; an open page reloads itself
    #[arg(long)]
    watch: bool,
}

crate::verb!("report", 120, Arguments, report);

/// Time between two looks at the runs.
const LOOK_EVERY: Duration = Duration::from_secs(2);

fn report(arguments: Arguments) -> Result<()> {
    let runs: Vec<PathBuf> = arguments.runs.iter().map(|path| place(path)).collect();
    if arguments.watch {
        return watch(&runs, &arguments.out);
    }
    let options = Options { look: look(), ..Options::default() };
    let report = maclip_reports::report(&runs, Some(&arguments.out), &options)?;
    say_made(report.table)?;
    say(format!("report: {}", report.index.display()))?;
    report.left_out.iter().for_each(tell);
    report.unreadable.iter().for_each(|line| tell(format!("could not be read: {line}")));
    match report.unreadable.len() {
        0 => Ok(()),
        count => {
            Err(Error::failed(format!("left out of the report: {} that could not be read", plural(count, "path")))
                .help("they are named above and on the page"))
        }
    }
}

fn watch(runs: &[PathBuf], out: &Path) -> Result<()> {
    stop_on_ctrl_c(&Console::new())?;
    let mut before: Option<Stamp> = None;
    let mut shown = false;
    let mut waiting = false;
    while !stop_requested() {
        let now = Stamp::of(runs);
        if now.is_empty() && !waiting {
            waiting = true;
            let places: Vec<String> = runs.iter().map(|path| path.display().to_string()).collect();
            tell(format!("no runs at or below {} yet; waiting", places.join(", ")));
        }
        if !now.is_empty() && !before.as_ref().is_some_and(|before| before.equals(&now)) {
            // A run that is being written may be caught between two files: the next look finds it whole. Therefore a
            // look while something is written does not count as seen.
            match maclip_reports::report(runs, Some(out), &Options { reload: Some(LOOK_EVERY), ..Options::default() }) {
                Ok(report) => tell(format!("report: {}", report.index.display())),
                Err(error) => tell(error),
            }
            shown = true;
            before = now.settled(LOOK_EVERY).then_some(now);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    // The page that is left does not reload itself.
    if shown {
        maclip_reports::report(runs, Some(out), &Options::default())?;
    }
    Ok(())
}

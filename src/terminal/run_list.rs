//! Run directories, for the verbs that list them.

use maclip_framework::error::{Error, Result};
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::records::State;
use maclip_reports::format;
use std::path::Path;

/// `done`, `running`, …; `unknown` before the first status.
pub fn state_name(state: Option<State>) -> &'static str {
    state.map_or("unknown", State::name)
}

/// The runs at or below `root` that can be read. The others are named on standard error and added to `unreadable`.
pub fn readable(root: &Path, unreadable: &mut usize) -> Result<Vec<RunDirectory>> {
    let mut runs = Vec::new();
    for run in RunDirectory::find(root)? {
        match run {
            Ok(run) => runs.push(run),
            Err(error) => {
                *unreadable += 1;
                eprintln!("{error}");
            }
        }
    }
    Ok(runs)
}

/// An error where some runs could not be read.
pub fn all_read(unreadable: usize) -> Result<()> {
    match unreadable {
        0 => Ok(()),
        _ => Err(Error::failed(format!("{} could not be read", format::plural(unreadable, "run")))),
    }
}

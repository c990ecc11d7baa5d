//! Run directories, for the verbs that list them.

use super::arguments::shipped_named;
use super::tell;
use crate::shipped::Shipped;
use maclip_framework::error::{Error, Result};
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::records::State;
use maclip_reports::format;
use std::path::{Path, PathBuf};

/// `done`, `running`, …; `unknown` before the first status.
pub fn state_name(state: Option<State>) -> &'static str {
    state.map_or("unknown", State::name)
}

/// Where the runs of `root` are: there, or in `runs` where nothing has this path and it names a shipped recipe.
pub fn place(root: &Path) -> PathBuf {
    let named = if root.exists() { None } else { shipped_named(root).and_then(Shipped::runs) };
    named.unwrap_or_else(|| root.to_owned())
}

/// The runs at or below `root` that can be read. The others are named on standard error and added to `unreadable`; so are
/// those whose result is not what their records say, which come without it.
pub fn readable(root: &Path, unreadable: &mut usize) -> Result<Vec<RunDirectory>> {
    let mut runs = Vec::new();
    for run in RunDirectory::find(&place(root))? {
        match run {
            Ok(run) => match run.verify() {
                Ok(()) => runs.push(run),
                Err(error) => {
                    *unreadable += 1;
                    tell(error);
                    runs.push(run.without_result());
                }
            },
            Err(error) => {
                *unreadable += 1;
                tell(error);
            }
        }
    }
    Ok(runs)
}

/// The run in `path`; without its result, and with the reason, where that is not what its records say.
pub fn believed(path: &Path) -> Result<(RunDirectory, Result<()>)> {
    let run = RunDirectory::open(path)?;
    match run.verify() {
        Ok(()) => Ok((run, Ok(()))),
        Err(error) => Ok((run.without_result(), Err(error))),
    }
}

/// An error where some runs could not be read.
pub fn all_read(unreadable: usize) -> Result<()> {
    match unreadable {
        0 => Ok(()),
        _ => Err(Error::failed(format!("{} could not be read", format::plural(unreadable, "run")))),
    }
}

//! Run directories, for the verbs that list them.

use super::arguments::shipped_named;
use super::tell;
use crate::shipped::Shipped;
use maclip_framework::error::{Error, Result};
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::journal::folder_of;
use maclip_framework::runs::records::{Manifest, State};
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

/// The runs at or below `root` that can be read. The others are named on standard error and added to `unreadable`; so
/// are those whose result is not what their records say, which come without it.
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

/// The folders at `root` and right below it whose runs may have been submitted, and that of `root` where it is a run.
pub fn job_folders(root: &Path) -> Result<Vec<PathBuf>> {
    let root = place(root);
    let mut folders = vec![root.clone()];
    folders.extend(root.parent().filter(|_| root.join(Manifest::FILE).exists()).map(Path::to_owned));
    let entries = std::fs::read_dir(&root).map_err(|error| Error::io("list", &root, error))?;
    folders.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    folders.retain(|folder| folder_of(folder).is_dir());
    Ok(folders)
}

/// The run directory that `path` names: itself, or the only run of a variant, such as `runs/modules/both`, also without
/// `runs/` before it.
///
/// # Errors
/// Where there are several, such as one for each seed.
pub fn run_path(path: &Path) -> Result<PathBuf> {
    for path in [path.to_owned(), Path::new("runs").join(path)] {
        if path.join(Manifest::FILE).exists() {
            return Ok(path);
        }
        let (Some(folder), Some(variant)) = (path.parent().filter(|folder| folder.is_dir()), path.file_name()) else {
            continue;
        };
        let of_variant =
            RunDirectory::find(folder)?.into_iter().flatten().filter(|run| *run.manifest.variant == *variant);
        let found: Vec<PathBuf> = of_variant.map(|run| run.path).collect();
        match found.as_slice() {
            [] => {}
            [only] => return Ok(only.clone()),
            several => {
                let names: Vec<String> = several.iter().map(|path| path.display().to_string()).collect();
                return Err(Error::failed(format!("{} has {} runs", path.display(), several.len()))
                    .help(format!("name one of {}", names.join(", "))));
            }
        }
    }
    // What is wrong with it is told when it is opened.
    Ok(path.to_owned())
}

/// The run in `path`; without its result, and with the reason, where that is not what its records say.
pub fn believed(path: &Path) -> Result<(RunDirectory, Result<()>)> {
    let run = RunDirectory::open(&run_path(path)?)?;
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

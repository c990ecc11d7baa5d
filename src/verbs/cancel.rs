//! `maclip cancel STUDY|RUNS…`: ends the jobs that a launcher has submitted.

use crate::terminal::arguments::{Changes, is_recipe, load};
use crate::terminal::run_list::job_folders;
use crate::terminal::{completion, say, say_data, shown, tell};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use maclip_framework::engine::launch::{Stage, cancel as end};
use maclip_framework::error::{Error, Result};
use maclip_framework::recipe::{Purpose, study};
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::journal;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Cancel the jobs of runs that wait or are being made; a run that was being made keeps a checkpoint
#[derive(Args)]
pub struct Arguments {
    /// Recipes whose runs were submitted, run directories, or folders that hold some
    #[arg(required = true, value_name = "RUNS|RECIPE", add = ArgValueCompleter::new(completion::recipes))]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    changes: Changes,
    /// Folder that the recipes' run directories go to
    #[arg(long = "runs", value_name = "DIR", default_value = "runs")]
    folder: PathBuf,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

crate::verb!("cancel", 135, Arguments, cancel);

/// The runs that are meant, by the folder that they lie in; `None` for all runs of the folder.
fn meant(arguments: &Arguments) -> Result<BTreeMap<PathBuf, Option<BTreeSet<PathBuf>>>> {
    let mut meant: BTreeMap<PathBuf, Option<BTreeSet<PathBuf>>> = BTreeMap::new();
    let mut add =
        |folder: PathBuf, run: Option<PathBuf>| match (meant.entry(folder).or_insert(Some(BTreeSet::new())), run) {
            (Some(runs), Some(run)) => drop(runs.insert(run)),
            (all, None) => *all = None,
            (None, _) => {}
        };
    for path in &arguments.runs {
        if is_recipe(path) {
            let document = load(path, &arguments.changes.arguments(Vec::new()))?;
            for run in study::expand(&document, Purpose::Plan)?.runs {
                let run = run.directory(&arguments.folder);
                if let Some(folder) = run.parent() {
                    add(folder.to_owned(), Some(run.clone()));
                }
            }
            continue;
        }
        // A run whose job waits has no directory yet.
        let of_run = |folder: &Path| {
            let name = path.file_name()?.to_str()?;
            let known = journal::read(folder).ok()?;
            known.iter().flat_map(|batch| &batch.cells).any(|cell| cell.run == name).then(|| folder.to_owned())
        };
        if let Some(folder) = path.parent().and_then(of_run) {
            add(folder, Some(path.clone()));
            continue;
        }
        if !path.exists() {
            return Err(Error::failed(format!("{} is neither a recipe nor a folder with runs", path.display())).help(
                "give the recipe that was submitted, with the same `--runs` and `--set`, or its folder of runs",
            ));
        }
        job_folders(path)?.into_iter().for_each(|folder| add(folder, None));
    }
    Ok(meant)
}

fn cancel(arguments: Arguments) -> Result<()> {
    if !arguments.changes.is_empty() && !arguments.runs.iter().any(|path| is_recipe(path)) {
        return Err(Error::failed("--set and --unset are for recipes").help("give the recipe in place of a folder"));
    }
    let mut cancelled = Vec::new();
    for (folder, runs) in meant(&arguments)? {
        // Where nothing was ever submitted, nothing is made.
        if journal::read(&folder)?.is_empty() {
            continue;
        }
        let wanted = |path: &Path| runs.as_ref().is_none_or(|runs| runs.contains(path));
        for (run, job) in end(&folder, wanted)? {
            let (id, text) = (job.job.id.clone(), job.text());
            let worked = job.stage(RunDirectory::open(&run).ok().as_ref()) == Stage::Works;
            cancelled.push(json!({"dir": shown(&run), "id": id, "system": job.system, "was_running": worked}));
            if !arguments.json {
                say(format!("{}: cancelled {text}", run.display()))?;
            }
        }
    }
    if arguments.json {
        return say_data(json!({ "cancelled": cancelled }));
    }
    if cancelled.is_empty() {
        tell("no job waits or runs");
    }
    Ok(())
}

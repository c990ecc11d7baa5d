//! `maclip run RECIPE`: trains and tests every run of a recipe that is not done yet, then writes the report.

use crate::progress::Console;
use crate::sitting::{self, Wishes};
use clap::Args;
use maclip_framework::episode::EpisodeList;
use maclip_framework::error::{Error, Result};
use maclip_framework::progress::{request_stop, stop_requested};
use maclip_framework::recipe;
use maclip_framework::records::{Params, RunDirectory};
use maclip_framework::run::directory;
use maclip_framework::study::expand;
use serde_json::json;
use std::path::PathBuf;

#[derive(Args)]
pub struct Arguments {
    /// Recipe file
    recipe: PathBuf,
    /// Change a value: `--set alignment.lambda=0.5` (the value is YAML)
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,
    /// Folder that run directories go to
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
    /// Where the report goes [default: <runs>/<recipe name>/report]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Test on the episodes of a file, such as runs/NAME/episodes-HASH.json
    #[arg(long, value_name = "FILE")]
    episodes: Option<PathBuf>,
    /// Print the time of each phase (waits for the device after each, which costs some)
    #[arg(long)]
    profile: bool,
    /// One JSON object on stdout in place of the table
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<()> {
    let mut sets = arguments.sets;
    if let Some(file) = &arguments.episodes {
        let list = json!({"path": file, "hash": EpisodeList::hash_of(file)?});
        sets.push(format!("task.test.list={list}"));
    }
    let wishes = Wishes { profile: arguments.profile };
    let document = recipe::load(&arguments.recipe, &sets)?;
    let cells = expand(&document.root)?;
    ctrlc::set_handler(|| {
        if stop_requested() {
            std::process::exit(130);
        }
        eprintln!("stopping after this step; once more stops at once");
        request_stop();
    })
    .map_err(|error| Error::failed(format!("cannot listen for Ctrl-C: {error}")))?;
    let Some(first) = cells.first() else { return Err(Error::failed("the recipe has no runs")) };
    let out = arguments.report.clone().unwrap_or_else(|| arguments.runs.join(&first.recipe.name).join("report"));
    // Before the work: a place that cannot be written must not be found after it.
    std::fs::create_dir_all(&out).map_err(|error| {
        Error::io("make the report's folder", &out, error).help("choose another with `--runs DIR` or `--report DIR`")
    })?;
    let progress = Console::new();
    let mut paths = Vec::new();
    for (number, cell) in cells.iter().enumerate() {
        let path = directory(&arguments.runs, &cell.recipe, &cell.variant);
        eprintln!("[{}/{}] {}", number + 1, cells.len(), path.display());
        sitting::run(&cell.recipe, &cell.variant, &path, wishes, &progress)?;
        paths.push(path);
    }
    let report = maclip_reports::report(&paths, &out)?;
    if arguments.json {
        println!("{}", summary(&paths)?);
        eprintln!("report: {}", report.index.display());
    } else {
        println!("\n{}", report.table);
        println!("report: {}", report.index.display());
    }
    Ok(())
}

/// The object of `--json`.
fn summary(paths: &[PathBuf]) -> Result<serde_json::Value> {
    let runs = paths
        .iter()
        .map(|path| {
            let RunDirectory { manifest, params, status, .. } = RunDirectory::open(path)?;
            let Params { trainable, total, .. } = params.unwrap_or_default();
            let status = status.ok_or_else(|| Error::failed(format!("{} has no status", path.display())))?;
            let test = status.test.as_ref().map(|test| {
                json!({"accuracy": test.value, "ci95": test.ci95, "episodes": test.episodes, "metric": test.metric})
            });
            Ok(json!({
                "name": manifest.name, "variant": manifest.variant, "seed": manifest.seed, "hash": manifest.hash,
                "dir": path, "status": status.state, "test": test,
                "params": {"trainable": trainable, "total": total},
                "seconds": {"train": status.seconds.train, "test": status.seconds.test},
            }))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(json!({ "runs": runs }))
}

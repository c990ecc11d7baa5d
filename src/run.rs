//! `maclip run RECIPE`: trains and tests every run of a recipe that is not done yet, then writes the report.

use crate::progress::Console;
use clap::Args;
use maclip_framework::error::{Error, Result};
use maclip_framework::progress::{Progress, request_stop, stop_requested};
use maclip_framework::records::{FORMAT, Manifest, Params, RunDirectory, Seconds, State, Status};
use maclip_framework::run::{BuildContext, RunContext, directory};
use maclip_framework::slots::task::Task;
use maclip_framework::store::{RunStore, unix_seconds};
use maclip_framework::study::{Cell, expand};
use maclip_framework::{device, recipe};
use serde_json::json;
use std::path::{Path, PathBuf};

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
    /// One JSON object on stdout in place of the table
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<()> {
    let document = recipe::load(&arguments.recipe, &arguments.sets)?;
    let cells = expand(&document.root)?;
    ctrlc::set_handler(|| {
        if stop_requested() {
            std::process::exit(130);
        }
        eprintln!("stopping after this step; once more stops at once");
        request_stop();
    })
    .map_err(|error| Error::failed(format!("cannot listen for Ctrl-C: {error}")))?;
    let progress = Console::new();
    let mut paths = Vec::new();
    for (number, cell) in cells.iter().enumerate() {
        let path = directory(&arguments.runs, &cell.recipe, &cell.variant);
        eprintln!("[{}/{}] {}", number + 1, cells.len(), path.display());
        run_cell(cell, &path, &progress)?;
        paths.push(path);
    }
    let Some(first) = cells.first() else { return Err(Error::failed("the recipe has no runs")) };
    let out = arguments.report.unwrap_or_else(|| arguments.runs.join(&first.recipe.name).join("report"));
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

/// Runs one cell unless it is done, and leaves a status whatever happens.
fn run_cell(cell: &Cell, path: &Path, progress: &dyn Progress) -> Result<()> {
    let store = RunStore::open(path)?;
    if let Some(Status { state: State::Done, .. }) = store.status()? {
        eprintln!("  done already, nothing to do");
        return Ok(());
    }
    let recipe = &cell.recipe;
    let device = device::parse(&recipe.device).map_err(|(message, help)| Error::failed(message).help(help))?;
    let manifest = manifest(cell);
    store.write_text("recipe.resolved.yaml", &recipe.resolved.to_yaml())?;
    store.write_json("manifest.json", &manifest)?;
    store.write_status(State::Running, None, None, None, Seconds::default())?;
    let task = recipe.build::<dyn Task>(&BuildContext::new(recipe.seed, device.clone()))?;
    let mut context = RunContext { recipe, store: &store, progress, device, manifest };
    task.run(&mut context).inspect_err(|error| {
        let (state, reason) = match error {
            Error::Interrupted => (State::Interrupted, None),
            other => (State::Failed, Some(other.to_string())),
        };
        // The error itself is what the user must see; that the status could not be written either adds nothing.
        let _ = store.write_status(state, reason, None, None, Seconds::default());
    })
}

fn manifest(cell: &Cell) -> Manifest {
    let recipe = &cell.recipe;
    let components = recipe.components();
    Manifest {
        format: FORMAT,
        name: recipe.name.clone(),
        variant: cell.variant.clone(),
        seed: recipe.seed,
        hash: recipe.hash.clone(),
        task: components.get("task").cloned().unwrap_or_default(),
        components,
        maclip_version: env!("CARGO_PKG_VERSION").to_owned(),
        features: device::features(),
        device: recipe.device.clone(),
        cpu: cpu_name(),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        argv: std::env::args().collect(),
        started_unix: unix_seconds(),
        weights: Default::default(),
        notes: Vec::new(),
    }
}

fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
    name.unwrap_or(std::env::consts::ARCH).to_owned()
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

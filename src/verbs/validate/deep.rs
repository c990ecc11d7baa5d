//! `maclip validate --deep`: what can only be known on the machine itself: device, data, weights, model, room on the
//! disk.

use crate::terminal::tell;
use maclip_framework::engine::task::Task;
use maclip_framework::recipe::Recipe;
use maclip_framework::recipe::study::StudyRun;
use maclip_framework::registry::BuildContext;
use maclip_language::{Diagnostic, Diagnostics, codes};
use std::path::Path;

/// Errors and warnings, each once.
pub fn examine(planned: &[StudyRun], runs: &Path) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut room = 0;
    for (at, run) in planned.iter().enumerate() {
        tell(format!("[{}/{}] {} seed {}", at + 1, planned.len(), run.variant, run.recipe.seed));
        let recipe = &run.recipe;
        match recipe.devices.probe(recipe.precision) {
            Ok(devices) => match recipe.build::<dyn Task>(&BuildContext::new(recipe.seed, devices[0].clone())) {
                Ok(task) => {
                    found.extend(task.examine(recipe, &devices[0]));
                    room += needed(&*task, recipe);
                }
                Err(error) => found.push(recipe.diagnostic(codes::MODEL, "task", &error)),
            },
            Err(error) => found.push(recipe.diagnostic(codes::DEVICE, "device", &error)),
        }
    }
    found.extend(disk(runs, room));
    Diagnostics::from_list(found).map(Diagnostics::into_vec).unwrap_or_default()
}

/// Bytes that the run may write: checkpoints with two moments for each weight, and records.
fn needed(task: &dyn Task, recipe: &Recipe) -> u64 {
    const RECORDS: u64 = 50_000_000;
    let trainable = task.plan(recipe).map_or(0, |plan| plan.params.trainable as u64);
    let kept = recipe.resolved.at("task.train.keep_checkpoints").and_then(|node| node.to_json().as_u64());
    // One more while it is written, and the best.
    trainable * 4 * 3 * (kept.unwrap_or(2) + 2) + RECORDS
}

/// Whether the folder can be written, and has room for `needed` bytes.
fn disk(runs: &Path, needed: u64) -> Option<Diagnostic> {
    let problem =
        |message: String| Diagnostic::new(codes::DISK, message).help("choose another folder with `--runs DIR`");
    if let Err(error) = writable(runs) {
        return Some(problem(format!("{} cannot be written: {error}", runs.display())));
    }
    let free = free(runs).filter(|free| *free < needed)?;
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    let (free, needed) = (megabytes(free), megabytes(needed));
    Some(problem(format!("{} has {free} MB left, and the runs may write {needed} MB", runs.display())))
}

/// The folder itself, or the nearest above it that exists.
fn existing(folder: &Path) -> &Path {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    if there.as_os_str().is_empty() { Path::new(".") } else { there }
}

/// Whether files can be made where `folder` is or would be.
pub fn writable(folder: &Path) -> std::io::Result<()> {
    let path = existing(folder).join(format!(".maclip-{}", std::process::id()));
    std::fs::write(&path, "room?")?;
    std::fs::remove_file(&path)
}

/// Bytes that are free where `folder` is or would be.
pub fn free(folder: &Path) -> Option<u64> {
    rustix::fs::statvfs(existing(folder)).map(|about| about.f_bavail * about.f_frsize).ok()
}

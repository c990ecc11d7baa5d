//! Runs of a study as jobs of a launcher: submitted, and followed where the call waits for them.

use super::{Arguments, by_name, left_out};
use crate::terminal::jobs::{self, last_lines, named, state_of};
use crate::terminal::progress::Console;
use crate::terminal::{look, say, say_data, shown, tell};
use crate::verbs::status;
use maclip_framework::engine::launch::{self, Jobs, Sent, Stage};
use maclip_framework::engine::overview::{RunOverview, to_make};
use maclip_framework::error::{Error, Result};
use maclip_framework::progress::{Progress, stop_requested};
use maclip_framework::recipe::study::Skipped;
use maclip_language::{Diagnostic, Origin, codes};
use maclip_reports::format::plural;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often the records of the runs are read.
const LOOK: Duration = Duration::from_secs(1);
/// How often the cluster is asked.
const ASK: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);

/// Whether the runs are made as jobs, after the options that go with it were checked.
///
/// # Errors
/// Where an option of the command line is for the other way.
pub fn asked(arguments: &Arguments, runs: &[RunOverview]) -> Result<bool> {
    let as_jobs = launch::as_jobs(runs)?;
    let (local, queued) = (
        "with a launcher each run is a job of its own: take it out, or say `--launcher local`",
        "say where the jobs go, such as `--launcher slurm`, or take it out",
    );
    let count = arguments.jobs.map(|jobs| jobs.to_string());
    let wrong = [
        (as_jobs && count.is_some(), "--jobs", count.unwrap_or_default(), local),
        (as_jobs && !arguments.devices.is_empty(), "--devices", arguments.devices.join(","), local),
        (as_jobs && arguments.profile, "--profile", String::new(), local),
        (as_jobs && arguments.fail_fast, "--fail-fast", String::new(), local),
        (!as_jobs && arguments.wait, "--wait", String::new(), queued),
    ];
    match wrong.into_iter().find(|(wrong, ..)| *wrong) {
        None => Ok(as_jobs),
        Some((_, option, given, help)) => {
            let message = match as_jobs {
                true => "these runs are made as jobs of the recipe's `launcher`",
                false => "these runs are made here, and nothing is submitted",
            };
            let origin = Origin::argument(option, &given);
            Err(Diagnostic::new(codes::ARGUMENT, message).at(&origin).help(help).into())
        }
    }
}

/// `--dry-run`: how far the runs are, and what would be submitted.
///
/// # Errors
/// Where a cluster cannot be asked which runs wait already.
pub fn show(runs: Vec<RunOverview>, as_jobs: bool, json: bool) -> Result<()> {
    let jobs = jobs::of_folders(runs.iter().filter_map(|run| Some(run.path.parent()?.to_owned())))?;
    let (table, mut data) = (status::table(&runs, &jobs, &look()), status::json(&runs, &jobs));
    let mut scripts = Vec::new();
    for (_, runs) in by_name(runs).into_iter().filter(|_| as_jobs) {
        let Some(folder) = runs.first().and_then(|run| run.path.parent()) else { continue };
        for planned in launch::plan(&runs, folder)?.batches {
            scripts.push(planned.script()?);
        }
    }
    if json {
        if as_jobs {
            data["scripts"] = scripts.into();
        }
        return say_data(data);
    }
    crate::terminal::say_made(table)?;
    scripts.iter().try_for_each(|script| say_data(format!("\n{}", script.trim_end())))
}

/// Submits what is missing. `None` where jobs are at work now and the call does not wait; else the runs that failed, by
/// name.
///
/// # Errors
/// Where something cannot be submitted, and as [`follow`].
pub fn submit(
    tables: &mut [(String, Vec<RunOverview>)],
    arguments: &Arguments,
    skipped: &[Skipped],
    progress: &Console,
) -> Result<Option<Vec<(String, Error)>>> {
    let (mut sent_runs, mut open_runs) = (Vec::new(), Vec::new());
    for (name, runs) in tables.iter() {
        let Sent { submitted, open } = launch::submit(runs, &arguments.runs, !arguments.force)?;
        let entry = |at: usize, job: Option<&(String, String)>| {
            let run = &runs[at];
            json!({
                "name": name, "variant": run.run.variant, "seed": run.run.recipe.seed, "hash": run.run.recipe.hash,
                "dir": shown(&run.path), "system": job.map(|job| &job.0), "id": job.map(|job| &job.1),
            })
        };
        let systems: BTreeSet<&str> = submitted.values().map(|(system, _)| system.as_str()).collect();
        for system in systems {
            let ids: Vec<&str> = submitted.values().filter(|(of, _)| of == system).map(|(_, id)| id.as_str()).collect();
            let line = format!("{name}: {} to {system}, {}", plural(ids.len(), "run"), named(ids.iter().copied()));
            if arguments.json || arguments.wait { tell(line) } else { say(line)? }
        }
        if !open.is_empty() {
            tell(format!("{name}: {} with a job that waits or works already", plural(open.len(), "run")));
        }
        sent_runs.extend(submitted.iter().map(|(at, job)| entry(*at, Some(job))));
        open_runs.extend(open.iter().map(|at| entry(*at, None)));
    }
    if sent_runs.is_empty() && open_runs.is_empty() {
        return Ok(Some(Vec::new()));
    }
    if arguments.wait {
        return follow(tables, progress).map(Some);
    }
    tell(
        "`maclip status` shows how far they are; the same command with `--wait` waits for them, and writes the report",
    );
    if arguments.json {
        say_data(json!({"submitted": sent_runs, "open": open_runs, "left_out": left_out(skipped)}))?;
    }
    Ok(None)
}

/// Waits until no run has a job any more, and shows how far they are. Returns the runs that have no result, by name.
///
/// # Errors
/// [`Error::Interrupted`] after a request to stop: the jobs go on. Where the state of a job cannot be known.
fn follow(tables: &mut [(String, Vec<RunOverview>)], progress: &Console) -> Result<Vec<(String, Error)>> {
    let wanted: BTreeSet<PathBuf> =
        tables.iter().flat_map(|(_, runs)| to_make(runs)).map(|run| run.path.clone()).collect();
    progress.begin("jobs", 0, wanted.len() as u64);
    let (mut told, mut asked): (Option<String>, Option<Instant>) = (None, None);
    let mut jobs = Jobs::default();
    let mut looked: Option<Instant> = None;
    loop {
        if stop_requested() {
            progress.clear();
            tell("the jobs go on: `maclip status` shows how far they are, and `maclip cancel` ends them");
            return Err(Error::Interrupted);
        }
        if looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            std::thread::sleep(PAUSE);
            continue;
        }
        looked = Some(Instant::now());
        // The records are read after the cluster was asked: what a job wrote at its end is then there.
        if asked.is_none_or(|asked| asked.elapsed() >= ASK) {
            asked = Some(Instant::now());
            jobs = Jobs::default();
            for folder in wanted.iter().filter_map(|path| path.parent()).collect::<BTreeSet<_>>() {
                let Jobs { of, unasked } = Jobs::read(folder, |path| wanted.contains(path))?;
                jobs.of.extend(of);
                // A cluster that does not answer for a while is asked again.
                let problem = unasked.into_iter().next().map(|error| error.reason());
                if let Some(problem) = problem.as_ref().filter(|problem| told.as_ref() != Some(problem)) {
                    progress.note(&format!("how far the jobs are is not known now: {problem}"));
                }
                told = problem;
            }
        }
        let runs = || tables.iter().flat_map(|(_, runs)| runs).filter(|run| wanted.contains(&run.path));
        let (mut done, mut waiting, mut now) = (0, 0, Vec::new());
        for run in runs() {
            match jobs.of.get(&run.path).map_or(Stage::Over, |job| job.stage(run.directory.as_ref())) {
                _ if run.done() => done += 1,
                Stage::Waits => waiting += 1,
                Stage::Works => now.push(match run.wanted_steps() {
                    Some(wanted) => format!("{} {}/{wanted}", run.run.name(), run.steps),
                    None => run.run.name(),
                }),
                Stage::Over => {}
            }
        }
        progress.at(done, &format!("{waiting} waiting, {} running {}", now.len(), now.join(", ")));
        let all_over = waiting == 0 && now.is_empty();
        let open = tables.iter_mut().flat_map(|(_, runs)| runs).filter(|run| wanted.contains(&run.path) && !run.done());
        for run in open {
            run.refresh();
            if run.done() {
                progress.note(&format!("{} is done", run.run.name()));
            }
        }
        if all_over {
            break;
        }
    }
    progress.clear();
    let without = tables.iter().flat_map(|(_, runs)| runs).filter(|run| wanted.contains(&run.path) && !run.done());
    let failed = without.map(|run| {
        let (state, reason) = state_of(&jobs, &run.path, run.directory.as_ref())
            .unwrap_or_else(|| (run.state_name(), run.reason().unwrap_or_default()));
        let mut error = Error::failed(format!("{} {state}: {reason}", run.run.name()));
        if let Some(job) = jobs.of.get(&run.path) {
            let lines = last_lines(&job.log);
            let text = lines.iter().map(|line| format!("\n    {line}")).collect::<String>();
            error = error.help(format!("its whole output is {}, which ends with:{text}", job.log.display()));
        }
        (run.run.name(), error)
    });
    Ok(failed.collect())
}

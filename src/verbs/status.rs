//! `maclip status [RUNS]`: how far runs are, in one line each.

use crate::terminal::arguments::{Changes, is_recipe, load};
use crate::terminal::run_list::{all_read, job_folders, place, readable, state_name};
use crate::terminal::sparkline::bar;
use crate::terminal::{completion, jobs, look, say, say_data, say_made, shown, tell};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use maclip_framework::engine::launch::Jobs;
use maclip_framework::engine::overview::{RunOverview, estimate, to_make};
use maclip_framework::error::{Error, Result};
use maclip_framework::files::unix_seconds;
use maclip_framework::recipe::{Purpose, study, training_steps};
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::records::{Manifest, State};
use maclip_language::printable_lines;
use maclip_reports::format::{percent_interval, plural, rough_duration};
use maclip_reports::{Grid, GridCell, GridColumn, Kind, Look};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Show how far runs are, or all runs of a recipe
#[derive(Args)]
pub struct Arguments {
    /// Run directories, folders that hold some, or recipes: of a recipe all runs are listed, also those that have
    /// not begun
    #[arg(default_value = "runs", value_name = "RUNS|RECIPE", add = ArgValueCompleter::new(completion::recipes))]
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

crate::verb!("status", 130, Arguments, status);

/// Steps done, and those wanted of a run that is not done.
fn steps(run: &RunDirectory, state: Option<State>) -> (u64, Option<u64>) {
    // Records that cannot be read are reported by `maclip run`.
    let done = run.last_step().unwrap_or(0);
    if state == Some(State::Done) {
        return (done, None);
    }
    let document =
        maclip_language::load(&run.path.join("recipe.resolved.yaml"), &maclip_language::Arguments::default());
    (done, document.ok().and_then(|document| training_steps(&document.root)))
}

/// When the run last wrote its status or a step.
fn updated(run: &RunDirectory) -> Option<u64> {
    let status = run.status.as_ref()?.updated_unix;
    let step = std::fs::metadata(run.path.join("train.jsonl")).and_then(|data| data.modified()).ok();
    let step = step.and_then(|time| Some(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs()));
    Some(status.max(step.unwrap_or(0)))
}

/// `3 min ago`; a clock that was set back is no reason to fail.
fn ago(then: u64) -> String {
    match unix_seconds().checked_sub(then) {
        None => "in the future: the clock was set back".to_owned(),
        Some(seconds @ 0..=119) => format!("{seconds} s ago"),
        Some(seconds @ 120..=7_199) => format!("{} min ago", seconds / 60),
        Some(seconds @ 7_200..=172_799) => format!("{} h ago", seconds / 3600),
        Some(seconds) => format!("{} days ago", seconds / 86_400),
    }
}

/// The runs of the recipes, one line each.
fn of_recipes(arguments: &Arguments) -> Result<()> {
    let mut doubted = 0;
    for path in &arguments.runs {
        let document = load(path, &arguments.changes.arguments(Vec::new()))?;
        // Files and folders that a run needs may be missing here.
        let expansion = study::expand(&document, Purpose::Plan)?;
        let runs: Vec<RunOverview> =
            expansion.runs.into_iter().map(|run| RunOverview::new(run, &arguments.folder)).collect();
        let jobs = jobs::of_folders(runs.iter().filter_map(|run| Some(run.path.parent()?.to_owned())))?;
        for doubt in runs.iter().filter_map(|run| run.doubt.as_ref()) {
            doubted += 1;
            tell(doubt);
        }
        if arguments.json {
            say_data(json(&runs, &jobs))?;
            continue;
        }
        say_made(table(&runs, &jobs, &look()))?;
        others(&runs).into_iter().try_for_each(say)?;
    }
    all_read(doubted)
}

/// A line about the runs that lie beside those of a recipe: trials, and runs of the recipe as it was before.
fn others(runs: &[RunOverview]) -> Option<String> {
    let folder = runs.first()?.path.parent()?;
    let beside = RunDirectory::find(folder).ok()?.into_iter().flatten();
    let count = beside.filter(|other| runs.iter().all(|run| run.path != other.path)).count();
    let (runs, place) = (plural(count, "more run"), folder.display());
    (count > 0).then(|| format!("  {runs} in {place}, of other settings: `maclip status {place}` lists them"))
}

/// One line for each run of a study, one with the sum, and the ends of the logs of jobs that failed.
pub(super) fn table(runs: &[RunOverview], jobs: &Jobs, look: &Look) -> String {
    let mut grid = grid("directory", Kind::Path);
    for run in runs {
        let test = run.directory.as_ref().and_then(RunDirectory::test);
        let wanted = run.wanted_steps().filter(|_| !run.done());
        let (state, reason) = stated(run, jobs);
        let cells = [
            run.run.name(),
            state.to_owned(),
            progress(run.steps, wanted, state, look),
            test.map_or_else(String::new, |test| percent_interval(test.value, test.ci95)),
            run.path.display().to_string(),
            reason.unwrap_or_default().lines().next().unwrap_or_default().to_owned(),
        ];
        grid.push(cells.iter().map(|cell| GridCell::new(cell)).collect());
    }
    let done = runs.iter().filter(|run| run.done()).count();
    let make = to_make(runs).len();
    let time = match estimate(runs) {
        _ if make == 0 => String::new(),
        Some(seconds) => format!("; the rest about {} after the runs that are done", rough_duration(seconds)),
        None => "; how long the rest takes is not known yet".to_owned(),
    };
    let alike = if done + make == runs.len() { String::new() } else { format!(", {make} to make") };
    let tails = jobs::tails(jobs, runs.iter().map(|run| (run.path.as_path(), run.directory.as_ref())));
    let whole = look.width.map(|_| format!("{}  ", bar(done as u64, runs.len() as u64))).unwrap_or_default();
    let sum = look.note(&format!("{whole}{done} of {} done{alike}{time}", runs.len()), 2);
    format!("{}\n\n{sum}{}", grid.lines(look).join("\n"), printable_lines(&tails))
}

/// The table of runs; `about` is its column before the last.
fn grid(about: &str, kind: Kind) -> Grid {
    let column = GridColumn::new;
    Grid::new(vec![
        column("run", Kind::Path, 0),
        column("state", Kind::Name, 0),
        column("steps", Kind::Name, 0),
        column("accuracy", Kind::Number, 1),
        column(about, kind, 2),
        column("reason", Kind::Note, 0),
    ])
}

/// `120/400`; on a terminal with a bar while somebody works on it.
fn progress(done: u64, wanted: Option<u64>, state: &str, look: &Look) -> String {
    match wanted {
        Some(wanted) if look.width.is_some() && state == "running" => format!("{} {done}/{wanted}", bar(done, wanted)),
        Some(wanted) => format!("{done}/{wanted}"),
        None => done.to_string(),
    }
}

/// State and reason of a run, as its records and its job say them.
fn stated(run: &RunOverview, jobs: &Jobs) -> (&'static str, Option<String>) {
    match jobs::state_of(jobs, &run.path, run.directory.as_ref()).filter(|_| run.same.is_none()) {
        Some((state, reason)) => (state, Some(reason)),
        None => (run.state_name(), run.reason()),
    }
}

/// The same as data.
pub(super) fn json(runs: &[RunOverview], jobs: &Jobs) -> Value {
    let listed: Vec<Value> = runs
        .iter()
        .map(|run| {
            let (state, reason) = stated(run, jobs);
            json!({
                "name": run.run.recipe.name, "variant": run.run.variant, "label": run.run.recipe.label,
                "seed": run.run.recipe.seed, "hash": run.run.recipe.hash, "dir": shown(&run.path), "state": state,
                "reason": reason, "same_as": run.same.as_deref().map(shown),
                "steps": {"done": run.steps, "wanted": run.wanted_steps()},
                "test": run.directory.as_ref().and_then(RunDirectory::test),
                "job": jobs::json_of(jobs, &run.path, run.directory.as_ref()),
            })
        })
        .collect();
    let done = runs.iter().filter(|run| run.done()).count();
    json!({"runs": listed, "done": done, "missing": runs.len() - done, "seconds_left": estimate(runs)})
}

fn status(arguments: Arguments) -> Result<()> {
    let recipes = arguments.runs.iter().filter(|path| is_recipe(path)).count();
    if recipes == arguments.runs.len() {
        return of_recipes(&arguments);
    }
    if !arguments.changes.is_empty() {
        return Err(Error::failed("--set and --unset are for recipes").help("give the recipe in place of a folder"));
    }
    if recipes > 0 {
        return Err(Error::failed("recipes and run folders do not go together").help("ask for one kind at a time"));
    }
    let mut unreadable = 0;
    let mut listed = Vec::new();
    let look = look();
    let mut grid = grid("updated", Kind::Name);
    let mut tails = String::new();
    for root in &arguments.runs {
        let runs = readable(root, &mut unreadable)?;
        let jobs = jobs::of_folders(job_folders(root)?)?;
        tails.push_str(&jobs::tails(&jobs, runs.iter().map(|run| (run.path.as_path(), Some(run)))));
        let whole = !place(root).join(Manifest::FILE).exists();
        let begun: HashSet<&Path> = runs.iter().map(|run| run.path.as_path()).collect();
        for path in jobs.of.keys().filter(|path| whole && !begun.contains(path.as_path())) {
            // A run that has not begun has its job alone.
            let Some((state, reason)) = jobs::state_of(&jobs, path, None) else { continue };
            let job = jobs::json_of(&jobs, path, None);
            listed.push(json!({"dir": shown(path), "state": state, "reason": reason, "job": job}));
            let path_text = path.display().to_string();
            grid.push([path_text.as_str(), state, "0", "", "", &reason].map(GridCell::new).into());
            tails.push_str(&jobs::tails(&jobs, [(path.as_path(), None)]));
        }
        for run in runs {
            let state = run.state();
            let (done, wanted) = steps(&run, state);
            let own = run.status.as_ref().and_then(|status| status.reason.clone()).unwrap_or_default();
            let job = jobs::json_of(&jobs, &run.path, Some(&run));
            let (state_name, reason) =
                jobs::state_of(&jobs, &run.path, Some(&run)).unwrap_or_else(|| (state_name(state), own));
            if arguments.json {
                listed.push(json!({
                    "dir": shown(&run.path), "name": run.manifest.name, "variant": run.manifest.variant,
                    "seed": run.manifest.seed, "state": state_name, "reason": reason,
                    "steps": {"done": done, "wanted": wanted}, "test": run.test(), "job": job,
                }));
                continue;
            }
            let cells = [
                run.path.display().to_string(),
                state_name.to_owned(),
                progress(done, wanted, state_name, &look),
                run.test().map_or_else(String::new, |test| percent_interval(test.value, test.ci95)),
                updated(&run).map_or_else(String::new, ago),
                reason.lines().next().unwrap_or_default().to_owned(),
            ];
            grid.push(cells.iter().map(|cell| GridCell::new(cell)).collect());
        }
    }
    if arguments.json {
        say_data(json!({ "runs": listed }))?;
    } else if grid.is_empty() {
        say("no runs")?;
    } else {
        say_made(grid.lines(&look).join("\n") + &printable_lines(&tails))?;
    }
    all_read(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_reported_and_not_a_panic() {
        assert!(ago(unix_seconds() + 1000).contains("set back"));
        assert_eq!(ago(unix_seconds() - 600), "10 min ago");
    }
}

//! `maclip runs list|show|diff|log|rm`: which runs there are, what is in one, how two differ.

use crate::terminal::columns::columns;
use crate::terminal::run_list::{all_read, believed, readable, run_path, state_name};
use crate::terminal::{look, say, say_data, say_made, shown, tell};
use clap::{Args, Subcommand};
use maclip_framework::error::{Error, Result};
use maclip_framework::recipe::expectation::Expectation;
use maclip_framework::recipe::log::LogOptions;
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::log::LogTo;
use maclip_framework::runs::records::Attempt;
use maclip_framework::runs::store::{RunStore, checkpoint_steps};
use maclip_language::load;
use maclip_reports::{Grid, GridCell, GridColumn, Kind, format};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// List, show, diff, log and remove runs
#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

crate::verb!("runs", 140, Arguments, runs);

#[derive(Subcommand)]
enum Verb {
    /// One line for each run
    List {
        /// Run directories, or folders that hold some
        #[arg(default_value = "runs")]
        runs: Vec<PathBuf>,
        /// One JSON object on stdout
        #[arg(long)]
        json: bool,
    },
    /// Everything about one run
    Show {
        /// Run directory, or FOLDER/VARIANT where it has one run
        run: PathBuf,
        /// One JSON object on stdout
        #[arg(long)]
        json: bool,
    },
    /// Recipe keys, environment and results that differ between two runs
    Diff {
        /// Run directory, or FOLDER/VARIANT where it has one run
        a: PathBuf,
        /// Another
        b: PathBuf,
        /// One JSON object on stdout
        #[arg(long)]
        json: bool,
    },
    /// Write the logs of runs for TensorBoard and as CSV, from their records; what is there is completed
    Log {
        /// Run directories, FOLDER/VARIANT, or folders that hold some
        #[arg(required = true)]
        runs: Vec<PathBuf>,
        /// Only TensorBoard's event files
        #[arg(long, conflicts_with = "csv")]
        tensorboard: bool,
        /// Only log.csv
        #[arg(long)]
        csv: bool,
    },
    /// Remove runs, with their records and checkpoints
    Rm {
        /// Run directories
        #[arg(required = true)]
        runs: Vec<PathBuf>,
        /// Really remove them; without this, only list them
        #[arg(long)]
        yes: bool,
    },
}

fn runs(arguments: Arguments) -> Result<()> {
    match arguments.verb {
        Verb::List { runs, json } => list(&runs, json),
        Verb::Show { run, json } => {
            let (run, sound) = believed(&run)?;
            show(&run, json).and(sound)
        }
        Verb::Diff { a, b, json } => {
            let ((a, of_a), (b, of_b)) = (believed(&a)?, believed(&b)?);
            diff(&a, &b, json).and(of_a).and(of_b)
        }
        Verb::Log { runs, tensorboard, csv } => {
            log(&runs, &LogOptions { tensorboard: !csv, csv: !tensorboard, histograms: None })
        }
        Verb::Rm { runs, yes } => remove(&runs, yes),
    }
}

fn list(roots: &[PathBuf], as_json: bool) -> Result<()> {
    let (mut unreadable, mut at_once) = (0, 0);
    let mut listed = Vec::new();
    let column = GridColumn::new;
    let mut grid = Grid::new(vec![
        column("run", Kind::Path, 0),
        column("variant", Kind::Name, 2),
        column("seed", Kind::Name, 3),
        column("state", Kind::Name, 0),
        column("accuracy", Kind::Number, 0),
        column("trainable", Kind::Number, 1),
    ]);
    for root in roots {
        for run in readable(root, &mut unreadable)? {
            if run.failed_at_once() {
                at_once += 1;
                continue;
            }
            if as_json {
                listed.push(json!({
                    "dir": shown(&run.path), "name": run.manifest.name, "variant": run.manifest.variant,
                    "seed": run.manifest.seed, "hash": run.manifest.hash, "state": state_name(run.state()),
                    "test": run.test(), "params": run.params.as_ref().map(|params| (params.trainable, params.total)),
                }));
                continue;
            }
            let cells = [
                run.path.display().to_string(),
                run.manifest.variant.clone(),
                run.manifest.seed.to_string(),
                state_name(run.state()).to_owned(),
                run.test().map_or_else(String::new, |test| format::percent_interval(test.value, test.ci95)),
                run.params.as_ref().map_or_else(String::new, |params| format::whole(params.trainable as u64)),
            ];
            grid.push(cells.iter().map(|cell| GridCell::new(cell)).collect());
        }
    }
    if as_json {
        say_data(json!({ "runs": listed }))?;
    } else {
        say_made(grid.lines(&look()).join("\n"))?;
    }
    if at_once > 0 {
        let runs = format::plural(at_once, "run");
        tell(format!(
            "{runs} failed before the first step and {} nothing: `maclip status` has the reasons",
            if at_once == 1 { "holds" } else { "hold" }
        ));
    }
    all_read(unreadable)
}

fn show(run: &RunDirectory, as_json: bool) -> Result<()> {
    let (expected, setting) = run.expectations()?;
    let store_steps = checkpoint_steps(&run.path)?;
    if as_json {
        let verdict = |expect: &Expectation| json!({"expect": expect, "outcome": expect.verdict(run.test(), &setting)});
        let verdicts: Vec<_> = expected.iter().map(verdict).collect();
        say(
            json!({"dir": shown(&run.path), "state": state_name(run.state()), "manifest": run.manifest, "params": run.params,
                   "status": run.status, "steps": run.last_step()?, "checkpoints": store_steps, "expect": verdicts,
                   "recipe": run.recipe()?}),
        )?;
        return Ok(());
    }
    let manifest = &run.manifest;
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut row = |key: &str, value: String| rows.push([key.to_owned(), value]);
    row("run", run.path.display().to_string());
    row("recipe", format!("{}, variant {}, seed {}", manifest.name, manifest.variant, manifest.seed));
    row("identity", manifest.hash.clone());
    row("state", state_name(run.state()).to_owned());
    if let Some(status) = &run.status {
        status.reason.iter().for_each(|reason| row("reason", reason.clone()));
        if let Some(test) = &status.test {
            let result = format::percent_interval(test.value, test.ci95);
            row(&test.metric, format!("{result} % on {} test episodes ({})", test.episodes, test.episodes_hash));
        }
        status.best_step.iter().for_each(|step| row("tested step", step.to_string()));
    }
    if let Some(params) = &run.params {
        let (trainable, total) = (format::whole(params.trainable as u64), format::whole(params.total as u64));
        row("parameters", format!("{trainable} trainable of {total}"));
    }
    row("steps", run.last_step()?.to_string());
    let steps: Vec<String> = store_steps.iter().map(u64::to_string).collect();
    row("checkpoints", steps.join(", "));
    for (slot, component) in &manifest.components {
        row(slot, component.clone());
    }
    manifest.lists.iter().for_each(|(split, sum)| row(&format!("list {split}"), sum.clone()));
    manifest.weights.iter().for_each(|(file, sum)| row(&format!("weights {file}"), sum.clone()));
    manifest.pinned.iter().for_each(|(name, address)| row(&format!("from {name}"), address.clone()));
    manifest.settings.iter().for_each(|(option, value)| row(&format!("setting {option}"), value.clone()));
    for (number, attempt) in manifest.attempts.iter().enumerate() {
        let command: Vec<String> = attempt.argv.iter().map(|word| format::shell(word)).collect();
        row(&format!("attempt {}", number + 1), command.join(" "));
        for (key, value) in environment(attempt).into_iter().filter(|(_, value)| !value.is_empty()) {
            row(&format!("  {key}"), value);
        }
        let seconds = attempt.seconds;
        row(
            "  time",
            format!("{} training, {} testing", format::duration(seconds.train), format::duration(seconds.test)),
        );
        if let Some(bytes) = attempt.peak_memory_bytes {
            row("  peak memory", format!("{:.0} MB", bytes as f64 / 1e6));
        }
        let phases: Vec<String> =
            attempt.phases.iter().map(|(phase, seconds)| format!("{phase} {seconds:.1} s")).collect();
        row("  thread-seconds", phases.join(", "));
    }
    manifest.notes.iter().for_each(|note| row("note", note.clone()));
    for expect in &expected {
        let (measured, word) = expect.words(run.test(), &setting);
        let wanted = expect.value - expect.tolerance;
        row("expects", format!("{} ≥ {wanted:.1} ({}): {measured}, {word}", expect.metric, expect.source));
    }
    say(columns(&rows, 2).join("\n"))?;
    Ok(())
}

/// Program, machine and device of an attempt.
fn environment(attempt: &Attempt) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("maclip", attempt.maclip_version.clone()),
        ("commit", attempt.commit.clone().unwrap_or_default()),
        ("features", attempt.features.join(" ")),
        ("device", attempt.device.clone()),
        ("accelerator", attempt.accelerator.clone().unwrap_or_default()),
        ("cpu", attempt.cpu.clone()),
        ("threads", attempt.threads.to_string()),
    ])
}

/// Entries that are not the same in both: (key, in a, in b).
fn differences<K: Ord + ToString, V: ToString>(
    a: &BTreeMap<K, V>,
    b: &BTreeMap<K, V>,
) -> Vec<(String, String, String)> {
    let keys: std::collections::BTreeSet<&K> = a.keys().chain(b.keys()).collect();
    let value = |map: &BTreeMap<K, V>, key: &K| map.get(key).map_or_else(|| "–".to_owned(), ToString::to_string);
    keys.into_iter().map(|key| (key.to_string(), value(a, key), value(b, key))).filter(|(_, a, b)| a != b).collect()
}

fn diff(a: &RunDirectory, b: &RunDirectory, as_json: bool) -> Result<()> {
    let recipe = |run: &RunDirectory| -> Result<BTreeMap<String, String>> {
        let document = load(&run.path.join("recipe.resolved.yaml"), &Default::default())?;
        Ok(document.root.leaves().into_iter().map(|(path, node)| (path, node.to_json().to_string())).collect())
    };
    let around = |run: &RunDirectory| {
        let mut found: BTreeMap<String, String> = run
            .manifest
            .last_attempt()
            .map(environment)
            .unwrap_or_default()
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        found.extend(run.manifest.lists.iter().map(|(split, sum)| (format!("list {split}"), sum.clone())));
        found.extend(run.manifest.weights.iter().map(|(file, sum)| (format!("weights {file}"), sum.clone())));
        found.extend(run.manifest.pinned.iter().map(|(name, address)| (format!("from {name}"), address.clone())));
        found
    };
    let result = |run: &RunDirectory| {
        let mut found = BTreeMap::from([("state".to_owned(), state_name(run.state()).to_owned())]);
        if let Some(test) = run.test() {
            found.insert(test.metric.clone(), format!("{} %", format::percent_interval(test.value, test.ci95)));
            found.insert("episodes".to_owned(), test.episodes_hash.clone());
        }
        if let Some(params) = &run.params {
            found.insert("trainable".to_owned(), format::whole(params.trainable as u64));
        }
        if let Some(step) = run.status.as_ref().and_then(|status| status.best_step) {
            found.insert("tested step".to_owned(), step.to_string());
        }
        let seconds = run.manifest.seconds();
        found.insert("training".to_owned(), format::duration(seconds.train));
        found.insert("testing".to_owned(), format::duration(seconds.test));
        found
    };
    let parts = [
        ("recipe", differences(&recipe(a)?, &recipe(b)?)),
        ("environment", differences(&around(a), &around(b))),
        ("result", differences(&result(a), &result(b))),
    ];
    if as_json {
        let object = |list: &[(String, String, String)]| {
            list.iter().map(|(key, a, b)| (key.clone(), json!({"a": a, "b": b}))).collect::<serde_json::Map<_, _>>()
        };
        let found: serde_json::Map<_, _> =
            parts.iter().map(|(part, list)| ((*part).to_owned(), object(list).into())).collect();
        say_data(json!({"a": shown(&a.path), "b": shown(&b.path), "differences": found}))?;
        return Ok(());
    }
    let columns = [("", Kind::Name), ("", Kind::Words), ("", Kind::Words)];
    let mut grid = Grid::new(columns.map(|(heading, kind)| GridColumn::new(heading, kind, 0)).into());
    let mut row = |cells: [&str; 3]| grid.push(cells.map(GridCell::new).into());
    row(["", &a.path.display().to_string(), &b.path.display().to_string()]);
    for (part, list) in parts {
        row([&format!("{part}:"), "", if list.is_empty() { "the same" } else { "" }]);
        list.iter().for_each(|(key, a, b)| row([&format!("  {key}"), a, b]));
    }
    say_made(grid.lines(&look()).join("\n"))
}

/// Completes the logs of all runs at or below `roots`. One that cannot be logged is told, and does not keep the others
/// from it.
fn log(roots: &[PathBuf], options: &LogOptions) -> Result<()> {
    let mut unreadable = 0;
    let mut unlogged = Vec::new();
    for root in roots {
        let before = unreadable;
        let mut found = || -> Result<Vec<RunDirectory>> {
            let place = if root.exists() { root.clone() } else { run_path(root)? };
            let runs = readable(&place, &mut unreadable)?;
            if runs.is_empty() && unreadable == before {
                return Err(Error::failed(format!("there is no run in {}", root.display()))
                    .help("`maclip runs list` shows the run directories"));
            }
            Ok(runs)
        };
        for run in told(root, found(), &mut unlogged).unwrap_or_default() {
            let complete = || -> Result<()> {
                let recipe = load(&run.path.join("recipe.resolved.yaml"), &Default::default())?.root;
                LogTo { options, recipe: &recipe }.complete(&RunStore::open(&run.path)?)
            };
            if told(&run.path, complete(), &mut unlogged).is_some() {
                say(format!("logged {}", run.path.display()))?;
            }
        }
    }
    if !unlogged.is_empty() {
        return Err(Error::failed(format!("not logged: {}", unlogged.join(", ")))
            .help("the lines above say why; the same command goes on with these"));
    }
    all_read(unreadable)
}

/// What was found; an error is told and `path` added to `failed`.
fn told<T>(path: &Path, found: Result<T>, failed: &mut Vec<String>) -> Option<T> {
    let note = |error: Error| {
        tell(error);
        failed.push(path.display().to_string());
    };
    found.map_err(note).ok()
}

fn remove(paths: &[PathBuf], yes: bool) -> Result<()> {
    // Opening each first: a path that is no run, or a run in use, stops before anything is gone. A damaged run can be
    // removed.
    let mut stores = BTreeMap::new();
    for path in paths {
        if !path.join("manifest.json").is_file() {
            return Err(Error::failed(format!("{} is not a run directory: no manifest.json", path.display()))
                .help("`maclip runs list` shows the run directories"));
        }
        let real = path.canonicalize().map_err(|error| Error::io("find", path, error))?;
        if !stores.contains_key(&real) {
            stores.insert(real.clone(), RunStore::open(&real)?);
        }
    }
    if !yes {
        for path in stores.keys() {
            say(format!("would remove {}", path.display()))?;
        }
        return Err(Error::failed("nothing was removed").help("say `--yes` to remove these runs for good"));
    }
    for (path, store) in stores {
        std::fs::remove_dir_all(&path).map_err(|error| Error::io("remove", &path, error))?;
        drop(store);
        say(format!("removed {}", path.display()))?;
    }
    Ok(())
}

//! `maclip run RECIPE…`: trains and tests every run of recipes that is not done yet, then writes the reports.

mod changes;
mod launch;
mod notes;
mod pool;

use crate::terminal::arguments::{Changes, Local, load, shipped_named};
use crate::terminal::columns::columns;
use crate::terminal::pattern::matches;
use crate::terminal::progress::{Console, stop_on_ctrl_c};
use crate::terminal::run_list::believed;
use crate::terminal::{completion, look, say, say_made, shown, tell, tell_error, warn};
pub(super) use changes::change_of_file;
use changes::{change_of_launcher, change_of_start};
use clap::{Args, value_parser};
use clap_complete::engine::ArgValueCompleter;
use maclip_framework::engine::execute::{self, Options};
use maclip_framework::engine::overview::{RunOverview, estimate, to_make};
use maclip_framework::error::{Error, Result};
use maclip_framework::files::unix_seconds;
use maclip_framework::model::parameters::Params;
use maclip_framework::profile::{self, Totals};
use maclip_framework::recipe::Purpose;
use maclip_framework::recipe::study::{Expansion, Skipped, StudyRun, expand};
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::records::{Manifest, State, Status};
use maclip_framework::runs::store::{RunStore, in_use};
use maclip_language::{Diagnostic, Diagnostics, Origin, Severity, codes, name_help};
use pool::{Ended, Pool};
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// Train and test the runs of recipes; continues where an earlier call stopped
#[derive(Args)]
pub struct Arguments {
    /// Recipes, run one after the other: files, or names of shipped ones, such as `quickstart`
    #[arg(required = true, value_name = "RECIPE", add = ArgValueCompleter::new(completion::recipes))]
    recipes: Vec<PathBuf>,
    #[command(flatten)]
    changes: Changes,
    #[command(flatten)]
    local: Local,
    /// Folder that run directories go to
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
    /// Folder of the report [default: <runs>/<recipe name>/report; for the report over several recipes, <runs>/report]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Test on the episodes of a file, such as runs/NAME/episodes-HASH.json
    #[arg(long, value_name = "FILE")]
    episodes: Option<PathBuf>,
    /// Begin with the trained weights of a run, or of a folder that `maclip export` wrote
    #[arg(long, value_name = "RUN|FOLDER")]
    from: Option<PathBuf>,
    /// Only these runs: a variant, or variant and seed (`ma_clip-s1`); `*` matches any text; may be given several times
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,
    /// Only show the runs, how far they are and how long the rest may take; of jobs also what would be submitted
    #[arg(long)]
    dry_run: bool,
    /// Repeat runs that are done; the old ones move to <runs>/<recipe name>/.replaced
    #[arg(long, conflicts_with = "dry_run")]
    force: bool,
    /// Stop at the first run that fails
    #[arg(long)]
    fail_fast: bool,
    /// Go on with the other runs when one fails (the default)
    #[arg(long, conflicts_with = "fail_fast")]
    keep_going: bool,
    /// Devices that runs are made on side by side, one process each, such as `tch:cuda:0,tch:cuda:1`
    #[arg(long, value_name = "DEVICE,…", value_delimiter = ',', conflicts_with_all = ["dry_run", "profile"])]
    devices: Vec<String>,
    /// How many runs are made side by side, one process each [default: as many as --devices]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=1024))]
    #[arg(conflicts_with_all = ["dry_run", "profile"])]
    jobs: Option<u16>,
    /// Where the runs are made, in place of the recipe's `launcher`: `local`, `slurm`, `command`
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(completion::launchers))]
    launcher: Option<String>,
    /// Wait for the jobs that were submitted, show how far their runs are, and write the report
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// Print the time of each phase (waits for the device after each phase, which takes some time)
    #[arg(long)]
    profile: bool,
    /// One JSON object on stdout in place of the table
    #[arg(long)]
    json: bool,
}

crate::verb!("run", 10, Arguments, run);

fn run(arguments: Arguments) -> Result<()> {
    let pool = Pool::new(&arguments.devices, arguments.jobs.map(usize::from))?;
    let Requested { runs, skipped, studies } = requested(&arguments)?;
    let (runs, reported) = only(runs, skipped.clone(), &arguments.only)?;
    reported.iter().for_each(|Skipped { run, reason }| {
        tell(format!("{} {} is left out: {reason}", run.recipe.name, run.name()));
    });
    let runs: Vec<RunOverview> = runs.into_iter().map(|run| RunOverview::new(run, &arguments.runs)).collect();
    let as_jobs = launch::asked(&arguments, &runs)?;
    if arguments.dry_run {
        return launch::show(runs, as_jobs, arguments.json);
    }
    let progress = Console::new();
    stop_on_ctrl_c(&progress)?;
    let mut tables = by_name(runs);
    let own = |name: &str| arguments.runs.join(name).join("report");
    let over_all = match (&arguments.report, tables.as_slice()) {
        (Some(folder), _) => Some(folder.clone()),
        (None, [_, _, ..]) => Some(arguments.runs.join("report")),
        (None, _) => None,
    };
    let all: Vec<&RunOverview> = tables.iter().flat_map(|(_, runs)| runs).collect();
    // Where nothing is left to do, nothing needs to be written: the runs may lie where nothing can be.
    let idle = !arguments.force && all.iter().all(|run| run.done());
    if !idle {
        // Before the work, so that a folder that cannot be written is found now and not after it.
        let own_folders = tables.iter().filter(|_| tables.len() > 1 || over_all.is_none()).map(|(name, _)| own(name));
        for out in own_folders.chain(over_all.clone()) {
            std::fs::create_dir_all(&out).map_err(|error| {
                Error::io("make the report's folder", &out, error)
                    .help("choose another with `--runs DIR` or `--report DIR`")
            })?;
        }
        tables.iter().try_for_each(|(name, runs)| sweep(&arguments.runs.join(name), runs))?;
    }
    let noted =
        notes::left_out(&tables, &skipped, &arguments.runs).and_then(|()| notes::of_studies(&studies, &arguments.runs));
    match noted {
        Err(error) if idle => tell(error),
        other => other?,
    }
    if arguments.force {
        if let Some(busy) = all.iter().find(|run| in_use(&run.path)) {
            return Err(Error::failed(format!(
                "another process works on {}, so nothing was moved",
                busy.path.display()
            ))
            .help("wait for it, or leave that run out with --only"));
        }
        // Also those whose result is not believed: to make them again is the way out.
        all.iter().filter(|run| run.state == Some(State::Done)).try_for_each(|run| put_aside(&run.path))?;
    }
    let count = all.len();
    if arguments.force {
        tables.iter_mut().flat_map(|(_, runs)| runs).for_each(RunOverview::refresh);
    }
    let left = match as_jobs {
        true => launch::submit(&mut tables, &arguments, &skipped, &progress)?,
        false => Some(Vec::new()),
    };
    let Some(failed) = left else { return Ok(()) };
    let mut work = Work::new(&arguments, count > 1, &progress);
    // That of a single run is what the program ends with.
    failed.iter().filter(|_| count > 1).for_each(|(_, error)| tell_error(error));
    work.outcome.failed = failed;
    let mut begun = Vec::new();
    let mut reported = Ok(());
    let several = tables.len() > 1;
    for (name, runs) in &mut tables {
        if several {
            tell(format!("{name}:"));
        }
        let alone = match &pool {
            Some(pool) => work.side_by_side(runs, pool)?,
            // After jobs: what is done, and what is the same as a run that is.
            None if as_jobs => {
                (0..runs.len()).filter(|at| to_make(runs).iter().all(|run| run.path != runs[*at].path)).collect()
            }
            None => (0..runs.len()).collect(),
        };
        work.through(runs, alone)?;
        let of_table = have_begun(runs);
        if several && !of_table.is_empty() && reported.is_ok() {
            reported = report(&[arguments.runs.join(&*name)], &of_table, &own(name), idle).map(drop);
        }
        begun.extend(of_table);
    }
    if !begun.is_empty() && reported.is_ok() {
        // A report in the folder of the runs is of all that lie there: a call that makes a few of them leaves the
        // others on the page.
        let roots = match &arguments.report {
            Some(_) => begun.clone(),
            None => tables.iter().map(|(name, _)| arguments.runs.join(name)).filter(|folder| folder.is_dir()).collect(),
        };
        let out = over_all.unwrap_or_else(|| own(&tables[0].0));
        reported = report(&roots, &begun, &out, idle).and_then(|report| {
            let page = report.files.contains(&report.index).then(|| format!("report: {}", report.index.display()));
            if arguments.json {
                say(summary(&begun, &skipped)?)?;
                page.into_iter().for_each(tell);
                return Ok(());
            }
            say_made(format!("\n{}", report.table))?;
            page.map_or(Ok(()), say)
        });
    }
    // A run that failed comes first: what failed after it, such as the report on a full disk, may follow from it.
    match (work.outcome.into_result(count), reported) {
        (Err(error), Err(after)) => {
            tell_error(&after);
            Err(error)
        }
        (outcome, reported) => outcome.and(reported),
    }
}

/// The report of all runs at or below `roots`; its table is of the runs in `shown`. Where the call made nothing
/// (`idle`), it is no error that the report cannot be written: then there is the table alone.
fn report(roots: &[PathBuf], shown: &[PathBuf], out: &Path, idle: bool) -> Result<maclip_reports::Report> {
    let options = maclip_reports::Options { shown: Some(shown), look: look(), ..Default::default() };
    let report = match maclip_reports::report(roots, Some(out), &options) {
        Err(error) if idle => {
            tell(format!("the report is not written: {error}"));
            maclip_reports::report(roots, None, &options)?
        }
        other => other?,
    };
    report.unreadable.iter().for_each(|line| tell(format!("could not be read: {line}")));
    Ok(report)
}

/// The runs of the given recipes, and those that a preset leaves out.
#[derive(Default)]
struct Requested {
    runs: Vec<StudyRun>,
    skipped: Vec<Skipped>,
    /// What studies say for the report, by the name of their recipe.
    studies: BTreeMap<String, notes::OfStudy>,
}

/// The runs of all recipes. All of them are checked before the first begins.
fn requested(arguments: &Arguments) -> Result<Requested> {
    let episodes = arguments.episodes.as_deref().map(change_of_file).transpose()?;
    let from = arguments.from.as_deref().map(change_of_start).transpose()?;
    let launcher = arguments.launcher.as_deref().map(change_of_launcher);
    let local = arguments.local.change()?;
    let changes = arguments.changes.arguments(episodes.into_iter().chain(from).chain(launcher).chain(local).collect());
    let mut requested = Requested::default();
    let mut seen = HashSet::new();
    let mut problems = Vec::new();
    for path in &arguments.recipes {
        let shipped = shipped_named(path);
        if path.is_dir() && shipped.is_none() {
            let message = format!("{} is a folder, not a recipe", path.display());
            let help = format!("name its recipes: `maclip run {}`", path.join("*.yaml").display());
            let origin = Origin::argument("run", &path.display().to_string());
            return Err(Diagnostic::new(codes::ARGUMENT, message).at(&origin).help(help).into());
        }
        let file = || path.canonicalize().unwrap_or_else(|_| path.clone());
        if !seen.insert(shipped.map_or_else(file, |recipe| Path::new("shipped:").join(recipe.file()))) {
            continue;
        }
        match load(path, &changes).and_then(|document| expand(&document, Purpose::Run)) {
            Ok(Expansion { runs, skipped, order, shown, notes }) => {
                // Notes on the recipe are for its author; shown are notes on this command line, and warnings.
                let news = |note: &&Diagnostic| {
                    let argument = |origin: &Origin| matches!(origin.written(), Origin::Argument { .. });
                    // What a changed component drops is for `validate`.
                    let told = note.code != codes::DROPPED && note.origin.as_deref().is_some_and(argument);
                    told || note.severity <= Severity::Warning
                };
                warn(notes.iter().filter(news));
                if let Some(run) = runs.first().filter(|_| !runs.iter().any(StudyRun::is_trial)) {
                    requested.studies.entry(run.recipe.name.clone()).or_default().extend(order, shown, &runs);
                }
                requested.runs.extend(runs);
                requested.skipped.extend(skipped);
            }
            Err(found) => problems.extend(found.into_vec()),
        }
    }
    Diagnostics::check(problems)?;
    Ok(requested)
}

/// Runs by the name of their recipe, in the order in which the names come.
fn by_name(runs: Vec<RunOverview>) -> Vec<(String, Vec<RunOverview>)> {
    let mut tables: Vec<(String, Vec<RunOverview>)> = Vec::new();
    for run in runs {
        let name = run.run.recipe.name.clone();
        match tables.iter_mut().find(|(known, _)| *known == name) {
            Some((_, runs)) => runs.push(run),
            None => tables.push((name, vec![run])),
        }
    }
    tables
}

/// Removes the runs in `folder` that failed before their first step and are not among `asked`: their reason was told,
/// and they hold nothing else.
fn sweep(folder: &Path, asked: &[RunOverview]) -> Result<()> {
    let Ok(found) = RunDirectory::find(folder) else { return Ok(()) };
    let litter = found.into_iter().flatten().filter(RunDirectory::failed_at_once);
    for run in litter.filter(|run| asked.iter().all(|asked| asked.path != run.path)) {
        // Locked, so that no other process works on it.
        if RunStore::open_free(&run.path)?.is_some_and(|_| run.failed_at_once()) {
            std::fs::remove_dir_all(&run.path).map_err(|error| Error::io("remove", &run.path, error))?;
        }
    }
    Ok(())
}

/// The directories of runs that have begun.
fn have_begun(runs: &[RunOverview]) -> Vec<PathBuf> {
    runs.iter().map(|run| run.path.clone()).filter(|path| path.join(Manifest::FILE).is_file()).collect()
}

/// What became of the runs.
#[derive(Default)]
struct Outcome {
    failed: Vec<(String, Error)>,
    /// Runs that another process works on.
    elsewhere: usize,
}

impl Outcome {
    /// Success, or the failure of one run itself, or of several by name.
    fn into_result(mut self, all: usize) -> Result<()> {
        if self.elsewhere == all && all > 0 {
            return Err(Error::failed("another process works on what is left of this")
                .help("wait for it, or stop it; the run can be resumed"));
        }
        if self.elsewhere > 0 {
            tell(format!(
                "{} of {all} runs are another process's, which writes the report when it is done",
                self.elsewhere
            ));
        }
        match self.failed.len() {
            0 => Ok(()),
            1 if all == 1 => Err(self.failed.remove(0).1),
            count => {
                let names: Vec<&str> = self.failed.iter().map(|(name, _)| name.as_str()).collect();
                Err(Error::failed(format!("{count} of {all} runs failed: {}", names.join(", ")))
                    .help("the reasons are above and in `maclip status`; the same command tries them again"))
            }
        }
    }
}

/// This process at work.
struct Work<'a> {
    arguments: &'a Arguments,
    /// Whether there are several runs, so that a failure is reported at once.
    several: bool,
    progress: &'a Console,
    outcome: Outcome,
    /// Runs that it has done.
    made: HashSet<PathBuf>,
}

impl<'a> Work<'a> {
    fn new(arguments: &'a Arguments, several: bool, progress: &'a Console) -> Self {
        Self { arguments, several, progress, outcome: Outcome::default(), made: HashSet::new() }
    }

    /// Does the runs that are missing in processes of their own. Returns the runs that are left to this one: they are
    /// done, or the same as one that is.
    fn side_by_side(&mut self, runs: &mut [RunOverview], pool: &Pool) -> Result<Vec<usize>> {
        let Arguments { runs: folder, force, fail_fast, .. } = self.arguments;
        let Ended { made, failed, busy } = pool.make(runs, folder, !force, *fail_fast, self.progress)?;
        let settled = |at: &usize| {
            made.contains(&runs[*at].path) || busy.contains(at) || failed.iter().any(|(failed, _)| failed == at)
        };
        let left = (0..runs.len()).filter(|at| !settled(at)).collect();
        self.outcome.elsewhere += busy.len();
        self.outcome.failed.extend(failed.into_iter().map(|(at, error)| (runs[at].run.name(), error)));
        self.made.extend(made);
        Ok(left)
    }

    /// Does those of the runs `open` that are missing. One that another process works on is skipped, and tried again as
    /// long as there was other work: the other process may have stopped meanwhile.
    fn through(&mut self, runs: &mut [RunOverview], mut open: Vec<usize>) -> Result<()> {
        loop {
            let (mut locked, mut worked) = (Vec::new(), false);
            for at in open {
                self.progress.study(at + 1, runs.len(), estimate(runs));
                tell(format!("[{}/{}] {}", at + 1, runs.len(), runs[at].path.display()));
                let made = self.once(&runs[at]);
                // After an error the phase was not ended.
                self.progress.clear();
                match made {
                    Ok(execute::Outcome::Busy) => {
                        tell("  another process works on it");
                        locked.push(at);
                    }
                    Ok(_) => worked = true,
                    Err(Error::Interrupted) => return Err(Error::Interrupted),
                    Err(error) if self.arguments.fail_fast => return Err(error),
                    Err(error) => {
                        worked = true;
                        if self.several {
                            tell_error(&error);
                        }
                        self.outcome.failed.push((runs[at].run.name(), error));
                    }
                }
                runs[at].refresh();
            }
            if locked.is_empty() || !worked {
                self.outcome.elsewhere += locked.len();
                return Ok(());
            }
            open = locked;
        }
    }

    /// Runs `overview`, or copies the same run under another name.
    fn once(&mut self, overview: &RunOverview) -> Result<execute::Outcome> {
        // With --force, only runs of this call are copied.
        let reuse = |from: &Path| !self.arguments.force || self.made.contains(from);
        let options =
            Options { exact_phases: self.arguments.profile, commit: option_env!("MACLIP_COMMIT"), reuse: &reuse };
        let started = Totals::now();
        let outcome = execute::attempt(&overview.run, &self.arguments.runs, options, self.progress);
        if self.arguments.profile && !matches!(outcome, Ok(execute::Outcome::Busy)) {
            tell(profile_table(&started));
        }
        if matches!(outcome, Ok(execute::Outcome::Made)) {
            self.made.insert(overview.path.clone());
        }
        outcome
    }
}

/// The runs, and those that a preset leaves out, that `only` names: by variant, or by variant and seed (`ma_clip-s1`),
/// with `*` for any text.
fn only(runs: Vec<StudyRun>, skipped: Vec<Skipped>, only: &[String]) -> Result<(Vec<StudyRun>, Vec<Skipped>)> {
    let named = |run: &StudyRun, pattern: &String| {
        matches(&run.design, pattern) || matches(&run.variant, pattern) || matches(&run.name(), pattern)
    };
    for pattern in only {
        let mut all = runs.iter().chain(skipped.iter().map(|skipped| &skipped.run));
        if !all.clone().any(|run| named(run, pattern)) {
            let mut variants: Vec<&str> = all.by_ref().map(|run| run.variant.as_str()).collect();
            variants.dedup();
            let problem = Diagnostic::new(codes::ARGUMENT, format!("`{pattern}` names no run of the study"));
            return Err(problem.at(&Origin::argument("--only", pattern)).helps(name_help(pattern, variants)).into());
        }
    }
    let wanted = |run: &StudyRun| only.is_empty() || only.iter().any(|pattern| named(run, pattern));
    let runs = runs.into_iter().filter(wanted).collect();
    Ok((runs, skipped.into_iter().filter(|skipped| wanted(&skipped.run)).collect()))
}

/// The runs that a preset leaves out, as JSON.
pub(super) fn left_out(skipped: &[Skipped]) -> Vec<serde_json::Value> {
    let one = |Skipped { run, reason }: &Skipped| json!({"name": run.recipe.name, "variant": run.variant, "seed": run.recipe.seed, "reason": reason});
    skipped.iter().map(one).collect()
}

/// Thread-seconds of each phase since `started`.
fn profile_table(started: &Totals) -> String {
    let phases = Totals::now().since(started);
    let all: f64 = phases.iter().map(|(_, seconds, _)| seconds).sum();
    let mut rows = vec![["phase", "thread-seconds", "share", "calls", "each"].map(str::to_owned)];
    rows.extend(phases.iter().map(|(name, seconds, calls)| {
        [
            (*name).to_owned(),
            format!("{seconds:.2}"),
            format!("{:.1} %", 100.0 * seconds / all),
            calls.to_string(),
            format!("{:.2} ms", 1e3 * seconds / *calls as f64),
        ]
    }));
    if let Some(bytes) = profile::peak_memory() {
        let memory = format!("{:.0} MB", bytes as f64 / 1e6);
        rows.push(["peak memory".to_owned(), memory, String::new(), String::new(), String::new()]);
    }
    columns(&rows, 1).join("\n")
}

/// Moves a run that is done to `.replaced`.
fn put_aside(path: &Path) -> Result<()> {
    // Locked, so that no other process works on it; the status is read again, because another process may have changed
    // it.
    let store = RunStore::open(path)?;
    if !matches!(store.status(), Some(Status { state: State::Done, .. })) {
        return Ok(());
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::failed(format!("{} is no run directory", path.display())));
    };
    let folder = folder.join(".replaced");
    std::fs::create_dir_all(&folder).map_err(|error| Error::io("make the folder", &folder, error))?;
    let free = (0..).map(|count| folder.join(format!("{}-{}", name.to_string_lossy(), unix_seconds() + count)));
    let to = free.into_iter().find(|path| !path.exists()).unwrap_or_else(|| folder.join(name));
    std::fs::rename(path, &to).map_err(|error| Error::io("move aside", path, error))?;
    tell(format!("{} is now {}", path.display(), to.display()));
    Ok(())
}

/// The object of `--json`.
fn summary(paths: &[PathBuf], skipped: &[Skipped]) -> Result<serde_json::Value> {
    let runs = paths
        .iter()
        .map(|path| {
            // Why a result is not believed was told when the run was reported.
            let RunDirectory { manifest, params, status, .. } = believed(path)?.0;
            let Params { trainable, total, .. } = params.unwrap_or_default();
            // Another process may have only begun.
            let status = status.unwrap_or_else(|| Status::new(State::Running));
            let test = status.test.as_ref().map(|test| {
                json!({"accuracy": test.value, "ci95": test.ci95, "episodes": test.episodes, "metric": test.metric})
            });
            Ok(json!({
                "name": manifest.name, "variant": manifest.variant, "seed": manifest.seed, "hash": manifest.hash,
                "dir": shown(path), "status": status.state, "reason": status.reason, "test": test,
                "params": {"trainable": trainable, "total": total},
                "seconds": {"train": status.seconds.train, "test": status.seconds.test},
            }))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(json!({"runs": runs, "left_out": left_out(skipped)}))
}

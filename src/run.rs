//! `maclip run RECIPE…`: trains and tests every run of recipes that is not done yet, then writes the reports.

use crate::cells::{self, Standing};
use crate::complete;
use crate::progress::{Console, stop_on_ctrl_c};
use crate::sitting::{self, Wishes};
use crate::source::Changes;
use crate::takeover;
use crate::terminal::{say, warn};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use maclip_framework::episode::EpisodeList;
use maclip_framework::error::{Error, Result};
use maclip_framework::recipe::{self, Change, Diagnostic, Diagnostics, Node, Origin, Severity, codes};
use maclip_framework::records::{LeftOut, Params, RunDirectory, State, Status};
use maclip_framework::run::Purpose;
use maclip_framework::store::{RunStore, in_use, unix_seconds, write_json};
use maclip_framework::study::{Cell, Expansion, Skipped, expand};
use serde_json::json;
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Arguments {
    /// Recipe files, run one after the other
    #[arg(required = true, value_name = "RECIPE", add = ArgValueCompleter::new(complete::recipes))]
    recipes: Vec<PathBuf>,
    #[command(flatten)]
    changes: Changes,
    /// Folder that run directories go to
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
    /// Where the report goes [default: <runs>/<recipe name>/report]; of several recipes, the one over all of them [<runs>/report]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Test on the episodes of a file, such as runs/NAME/episodes-HASH.json
    #[arg(long, value_name = "FILE")]
    episodes: Option<PathBuf>,
    /// Only these runs: a variant, or variant and seed (`ma_clip-s1`); `*` stands for anything; may be given several times
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,
    /// Show the runs, what exists of them and how long the rest may take; do nothing
    #[arg(long)]
    dry_run: bool,
    /// Make runs that are done again; what is there moves to <runs>/<recipe name>/.replaced
    #[arg(long, conflicts_with = "dry_run")]
    force: bool,
    /// Stop at the first run that fails
    #[arg(long)]
    fail_fast: bool,
    /// Go on with the other runs when one fails (the default)
    #[arg(long, conflicts_with = "fail_fast")]
    keep_going: bool,
    /// Print the time of each phase (waits for the device after each, which costs some)
    #[arg(long)]
    profile: bool,
    /// One JSON object on stdout in place of the table
    #[arg(long)]
    pub json: bool,
}

pub fn run(arguments: Arguments) -> Result<()> {
    let Plan { cells, skipped } = plan(&arguments)?;
    let (cells, told) = cells::only(cells, skipped.clone(), &arguments.only)?;
    told.iter().for_each(|Skipped { cell, reason }| {
        eprintln!("{} {} is left out: {reason}", cell.recipe.name, cell.name());
    });
    let standing: Vec<Standing> = cells.into_iter().map(|cell| Standing::of(cell, &arguments.runs)).collect();
    if arguments.dry_run {
        return say(if arguments.json { cells::json(&standing).to_string() } else { cells::table(&standing) });
    }
    let progress = Console::new();
    stop_on_ctrl_c(&progress)?;
    let mut tables = by_name(standing);
    let own = |name: &str| arguments.runs.join(name).join("report");
    let over_all = match (&arguments.report, tables.as_slice()) {
        (Some(folder), _) => Some(folder.clone()),
        (None, [_, _, ..]) => Some(arguments.runs.join("report")),
        (None, _) => None,
    };
    // Before the work: a place that cannot be written must not be found after it.
    let own_folders = tables.iter().filter(|_| tables.len() > 1 || over_all.is_none()).map(|(name, _)| own(name));
    for out in own_folders.chain(over_all.clone()) {
        std::fs::create_dir_all(&out).map_err(|error| {
            Error::io("make the report's folder", &out, error)
                .help("choose another with `--runs DIR` or `--report DIR`")
        })?;
    }
    note_left_out(&tables, &skipped, &arguments.runs)?;
    let all: Vec<&Standing> = tables.iter().flat_map(|(_, cells)| cells).collect();
    if arguments.force {
        if let Some(busy) = all.iter().find(|cell| in_use(&cell.path)) {
            return Err(Error::failed(format!(
                "another process works on {}, so nothing was moved",
                busy.path.display()
            ))
            .help("wait for it, or leave that run out with --only"));
        }
        all.iter().filter(|cell| cell.done()).try_for_each(|cell| put_aside(&cell.path))?;
    }
    let count = all.len();
    if arguments.force {
        tables.iter_mut().flat_map(|(_, cells)| cells).for_each(Standing::look);
    }
    let mut work = Work::new(&arguments, count > 1, &progress);
    let mut written = Vec::new();
    let several = tables.len() > 1;
    for (name, cells) in &mut tables {
        if several {
            eprintln!("{name}:");
        }
        work.through(cells)?;
        let of_table = begun(cells);
        let out = own(name);
        if several && !of_table.is_empty() {
            maclip_reports::report(&of_table, &out, &maclip_reports::Options::default())?;
        }
        written.extend(of_table);
    }
    if !written.is_empty() {
        let out = over_all.unwrap_or_else(|| own(&tables[0].0));
        let report = maclip_reports::report(&written, &out, &maclip_reports::Options::default())?;
        if arguments.json {
            say(summary(&written, &skipped)?)?;
            eprintln!("report: {}", report.index.display());
        } else {
            say(format!("\n{}", report.table))?;
            say(format!("report: {}", report.index.display()))?;
        }
    }
    work.outcome.told(count)
}

/// What recipes ask for.
#[derive(Default)]
struct Plan {
    cells: Vec<Cell>,
    skipped: Vec<Skipped>,
}

/// The runs of all recipes, each of which is checked before the first begins.
fn plan(arguments: &Arguments) -> Result<Plan> {
    let episodes = arguments.episodes.as_deref().map(of_file).transpose()?;
    let changes = arguments.changes.arguments(episodes.into_iter().collect());
    let mut plan = Plan::default();
    let mut seen = HashSet::new();
    let mut problems = Vec::new();
    for path in &arguments.recipes {
        if path.is_dir() {
            let message = format!("{} is a folder, not a recipe", path.display());
            let help = format!("name its recipes: `maclip run {}`", path.join("*.yaml").display());
            let origin = Origin::argument("run", &path.display().to_string());
            return Err(Diagnostic::new(codes::ARGUMENT, message).at(&origin).help(help).into());
        }
        if !seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
            continue;
        }
        match recipe::load(path, &changes).and_then(|document| expand(&document, Purpose::Run)) {
            Ok(Expansion { cells, skipped, notes }) => {
                // What the recipe's author wrote was for the author; what this command line does is news.
                let news = |note: &&Diagnostic| {
                    let argument = |origin: &Origin| matches!(origin.written(), Origin::Argument { .. });
                    note.origin.as_deref().is_some_and(argument) || note.severity <= Severity::Warning
                };
                warn(notes.iter().filter(news));
                plan.cells.extend(cells);
                plan.skipped.extend(skipped);
            }
            Err(found) => problems.extend(found.into_vec()),
        }
    }
    Diagnostics::check(problems)?;
    Ok(plan)
}

/// Runs by the name of their recipe, in the order in which the names come.
fn by_name(standing: Vec<Standing>) -> Vec<(String, Vec<Standing>)> {
    let mut tables: Vec<(String, Vec<Standing>)> = Vec::new();
    for cell in standing {
        let name = cell.cell.recipe.name.clone();
        match tables.iter_mut().find(|(known, _)| *known == name) {
            Some((_, cells)) => cells.push(cell),
            None => tables.push((name, vec![cell])),
        }
    }
    tables
}

/// Leaves beside the runs of each recipe what its preset leaves out, for the report.
fn note_left_out(tables: &[(String, Vec<Standing>)], skipped: &[Skipped], runs: &Path) -> Result<()> {
    let of_skipped = skipped.iter().map(|skipped| &skipped.cell.recipe.name);
    for name in tables.iter().map(|(name, _)| name).chain(of_skipped).collect::<BTreeSet<_>>() {
        let of_recipe = skipped.iter().filter(|skipped| skipped.cell.recipe.name == *name);
        let left_out: Vec<LeftOut> = of_recipe.map(Skipped::record).collect();
        let path = runs.join(name).join(LeftOut::FILE);
        // An earlier preset may have left something out.
        if !left_out.is_empty() || path.exists() {
            std::fs::create_dir_all(runs.join(name)).map_err(|error| Error::io("make the folder", &path, error))?;
            write_json(&path, &left_out)?;
        }
    }
    Ok(())
}

/// The directories of runs that have begun.
fn begun(cells: &[Standing]) -> Vec<PathBuf> {
    cells.iter().map(|cell| cell.path.clone()).filter(|path| path.join("manifest.json").is_file()).collect()
}

/// The change that `--episodes FILE` stands for.
fn of_file(file: &Path) -> Result<Change> {
    let origin = Origin::argument("--episodes", &file.display().to_string());
    let list = json!({"path": file, "hash": EpisodeList::hash_of(file)?});
    let value = Node::from_json(&list).map_origins(&|_| origin.clone());
    Ok(Change { path: "task.test.list".to_owned(), origin, value: Some(value) })
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
    fn told(mut self, all: usize) -> Result<()> {
        if self.elsewhere == all && all > 0 {
            return Err(Error::failed("another process works on what is left of this")
                .help("wait for it, or stop it; the run can be resumed"));
        }
        if self.elsewhere > 0 {
            eprintln!(
                "{} of {all} runs are another process's, which writes the report when it is done",
                self.elsewhere
            );
        }
        match self.failed.len() {
            0 => Ok(()),
            1 if all == 1 => Err(self.failed.remove(0).1),
            count => {
                let names: Vec<&str> = self.failed.iter().map(|(name, _)| name.as_str()).collect();
                Err(Error::failed(format!("{count} of {all} runs failed: {}", names.join(", ")))
                    .help("the reasons stand above and in `maclip status`; the same command tries them again"))
            }
        }
    }
}

/// This process at work.
struct Work<'a> {
    arguments: &'a Arguments,
    /// Whether there are several runs, so that a failure is told at once.
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

    /// Runs what is missing of `cells`. What another process works on is left to it, and looked at again as long as there was other
    /// work: it may have been stopped meanwhile.
    fn through(&mut self, cells: &mut [Standing]) -> Result<()> {
        let mut open: Vec<usize> = (0..cells.len()).collect();
        loop {
            let (mut locked, mut worked) = (Vec::new(), false);
            for at in open {
                self.progress.study(at + 1, cells.len(), cells::estimate(cells));
                eprintln!("[{}/{}] {}", at + 1, cells.len(), cells[at].path.display());
                let made = self.once(&cells[at]);
                // An error leaves its phase open.
                self.progress.clear();
                match made {
                    Ok(true) => worked = true,
                    Ok(false) => {
                        eprintln!("  another process works on it");
                        locked.push(at);
                    }
                    Err(Error::Interrupted) => return Err(Error::Interrupted),
                    Err(error) if self.arguments.fail_fast => return Err(error),
                    Err(error) => {
                        worked = true;
                        if self.several {
                            eprintln!("{}", crate::message(&error));
                        }
                        self.outcome.failed.push((cells[at].label(), error));
                    }
                }
                cells[at].look();
            }
            if locked.is_empty() || !worked {
                self.outcome.elsewhere += locked.len();
                return Ok(());
            }
            open = locked;
        }
    }

    /// Runs `cell`, or takes it over; `false` where another process works on it.
    fn once(&mut self, Standing { cell, path, .. }: &Standing) -> Result<bool> {
        if !path.join("manifest.json").exists()
            // Forced, what was there already does not count.
            && let Some(from) = takeover::same(&self.arguments.runs, &cell.recipe, path, |from| {
                !self.arguments.force || self.made.contains(from)
            })
            && takeover::take_over(&from, path, &cell.recipe, &cell.variant)?
        {
            eprintln!("  the same run as {}: its records are taken over", from.display());
            return Ok(true);
        }
        let Some(store) = RunStore::open_free(path)? else { return Ok(false) };
        let wishes = Wishes { profile: self.arguments.profile };
        sitting::run(store, &cell.recipe, &cell.variant, wishes, self.progress)?;
        self.made.insert(path.clone());
        Ok(true)
    }
}

/// Moves a run out of the way; nothing that was written is lost.
fn put_aside(path: &Path) -> Result<()> {
    // Locked, so that nobody else is at work on it; and looked at again, because somebody may have been.
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
    eprintln!("{} is now {}", path.display(), to.display());
    Ok(())
}

/// The object of `--json`.
fn summary(paths: &[PathBuf], skipped: &[Skipped]) -> Result<serde_json::Value> {
    let runs = paths
        .iter()
        .map(|path| {
            let RunDirectory { manifest, params, status, .. } = RunDirectory::open(path)?;
            let Params { trainable, total, .. } = params.unwrap_or_default();
            // Another process may have only begun.
            let status = status.unwrap_or_else(|| Status::new(State::Running));
            let test = status.test.as_ref().map(|test| {
                json!({"accuracy": test.value, "ci95": test.ci95, "episodes": test.episodes, "metric": test.metric})
            });
            Ok(json!({
                "name": manifest.name, "variant": manifest.variant, "seed": manifest.seed, "hash": manifest.hash,
                "dir": path, "status": status.state, "reason": status.reason, "test": test,
                "params": {"trainable": trainable, "total": total},
                "seconds": {"train": status.seconds.train, "test": status.seconds.test},
            }))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(json!({"runs": runs, "left_out": cells::left_out(skipped)}))
}

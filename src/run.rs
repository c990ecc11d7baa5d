//! `maclip run RECIPE`: trains and tests every run of a recipe that is not done yet, then writes the report.

use crate::cells::{self, Standing};
use crate::progress::{Console, stop_on_ctrl_c};
use crate::sitting::{self, Wishes};
use crate::source::Source;
use crate::terminal::{say, warn};
use clap::Args;
use maclip_framework::episode::EpisodeList;
use maclip_framework::error::{Error, Result};
use maclip_framework::recipe::{Change, Node, Origin, Severity};
use maclip_framework::records::{Params, RunDirectory, State, Status};
use maclip_framework::run::Purpose;
use maclip_framework::store::{RunStore, in_use, unix_seconds};
use maclip_framework::study::expand;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Folder that run directories go to
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
    /// Where the report goes [default: <runs>/<recipe name>/report]
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
    let episodes = arguments.episodes.as_deref().map(of_file).transpose()?;
    let document = arguments.source.load(episodes.into_iter().collect())?;
    let expansion = expand(&document, Purpose::Run)?;
    // What the recipe's author wrote was for the author; what this command line does is news.
    let news = |note: &&maclip_framework::recipe::Diagnostic| {
        let typed = note.origin.as_deref().is_some_and(|origin| matches!(origin.written(), Origin::Argument { .. }));
        typed || note.severity <= Severity::Warning
    };
    warn(expansion.notes.iter().filter(news));
    let cells = cells::only(expansion.cells, &arguments.only)?;
    let Some(first) = cells.first() else { return Err(Error::failed("the recipe has no runs")) };
    let name = first.recipe.name.clone();
    let standing: Vec<Standing> = cells.into_iter().map(|cell| Standing::of(cell, &arguments.runs)).collect();
    if arguments.dry_run {
        return say(if arguments.json { cells::json(&standing).to_string() } else { cells::table(&standing) });
    }
    stop_on_ctrl_c()?;
    let out = arguments.report.clone().unwrap_or_else(|| arguments.runs.join(&name).join("report"));
    // Before the work: a place that cannot be written must not be found after it.
    std::fs::create_dir_all(&out).map_err(|error| {
        Error::io("make the report's folder", &out, error).help("choose another with `--runs DIR` or `--report DIR`")
    })?;
    if arguments.force {
        if let Some(busy) = standing.iter().find(|cell| in_use(&cell.path)) {
            return Err(Error::failed(format!(
                "another process works on {}, so nothing was moved",
                busy.path.display()
            ))
            .help("wait for it, or leave that run out with --only"));
        }
        standing.iter().filter(|cell| cell.done()).try_for_each(|cell| put_aside(&cell.path))?;
    }
    let wishes = Wishes { profile: arguments.profile };
    let outcome = work(&standing, wishes, arguments.fail_fast)?;
    let written: Vec<PathBuf> =
        standing.iter().map(|cell| cell.path.clone()).filter(|path| path.join("manifest.json").is_file()).collect();
    if !written.is_empty() {
        let report = maclip_reports::report(&written, &out)?;
        if arguments.json {
            say(summary(&written)?)?;
            eprintln!("report: {}", report.index.display());
        } else {
            say(format!("\n{}", report.table))?;
            say(format!("report: {}", report.index.display()))?;
        }
    }
    outcome.told(standing.len())
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
        if self.elsewhere == all {
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

/// Runs what is missing. What another process works on is left to it, and looked at again as long as there was other work: it may
/// have been stopped meanwhile.
fn work(cells: &[Standing], wishes: Wishes, fail_fast: bool) -> Result<Outcome> {
    let progress = Console::new();
    let mut outcome = Outcome::default();
    let mut open: Vec<usize> = (0..cells.len()).collect();
    loop {
        let (mut locked, mut worked) = (Vec::new(), false);
        for at in open {
            let Standing { cell, path, .. } = &cells[at];
            eprintln!("[{}/{}] {}", at + 1, cells.len(), path.display());
            let opened = match RunStore::open_free(path) {
                Ok(None) => {
                    eprintln!("  another process works on it");
                    locked.push(at);
                    continue;
                }
                Ok(Some(store)) => Ok(store),
                Err(error) => Err(error),
            };
            worked = true;
            let ran = opened.and_then(|store| sitting::run(store, &cell.recipe, &cell.variant, wishes, &progress));
            match ran {
                Ok(()) => {}
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) if fail_fast => return Err(error),
                Err(error) => {
                    if cells.len() > 1 {
                        eprintln!("{}", crate::message(&error));
                    }
                    outcome.failed.push((cells[at].label(), error));
                }
            }
        }
        if locked.is_empty() || !worked {
            outcome.elsewhere = locked.len();
            return Ok(outcome);
        }
        open = locked;
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
fn summary(paths: &[PathBuf]) -> Result<serde_json::Value> {
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
    Ok(json!({ "runs": runs }))
}

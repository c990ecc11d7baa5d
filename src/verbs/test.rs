//! `maclip test RUN`: the trained weights of a run on other episodes, shots or ways; trains nothing.

use super::run::change_of_file;
use crate::terminal::arguments::{Changes, Local};
use crate::terminal::progress::{Console, stop_on_ctrl_c};
use crate::terminal::run_list::run_path;
use crate::terminal::{say, say_data, shown};
use clap::Args;
use maclip_framework::engine::episodes::{EpisodeList, Shape};
use maclip_framework::engine::execute::{self, Options};
use maclip_framework::engine::retest;
use maclip_framework::error::{Error, Result};
use maclip_framework::runs::directory::RunDirectory;
use maclip_language::{Change, Node, Origin};
use maclip_reports::format::percent_interval;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Test the trained weights of a run on other episodes, shots or ways, without training
#[derive(Args)]
pub struct Arguments {
    /// Run directory, or FOLDER/VARIANT where it has one run
    run: PathBuf,
    /// Support clips of each class
    #[arg(long, value_name = "K")]
    shot: Option<u64>,
    /// Classes of an episode
    #[arg(long, value_name = "N")]
    way: Option<u64>,
    /// Seed of the test episodes
    #[arg(long)]
    seed: Option<u64>,
    /// Test on the episodes of a file, such as runs/NAME/episodes-HASH.json
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    episodes: Option<PathBuf>,
    #[command(flatten)]
    changes: Changes,
    #[command(flatten)]
    local: Local,
    /// Folder of all runs [default: that of RUN]
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

crate::verb!("test", 15, Arguments, test);

fn test(mut arguments: Arguments) -> Result<()> {
    arguments.run = run_path(&arguments.run)?;
    let number = |option: &'static str, path: &str, value: Option<u64>| {
        let value = value?;
        let origin = Origin::argument(option, &value.to_string());
        let node = Node::from_json(&json!(value)).map_origins(&|_| origin.clone());
        Some(Change { path: path.to_owned(), origin, value: Some(node) })
    };
    // A file of episodes says their shape.
    let shape = arguments.episodes.as_deref().map(EpisodeList::shape_of).transpose()?;
    let of_file = |of: fn(&Shape) -> usize| shape.as_ref().map(|shape| of(shape) as u64);
    let numbers = [
        number("--shot", "task.shot", arguments.shot.or(of_file(|shape| shape.shot))),
        number("--way", "task.way", arguments.way.or(of_file(|shape| shape.way))),
        number("--episodes", "task.test.queries", of_file(|shape| shape.queries)),
        number("--seed", "task.test.seed", arguments.seed),
    ];
    let episodes = arguments.episodes.as_deref().map(change_of_file).transpose()?;
    let others = numbers.into_iter().flatten().chain(episodes).chain(arguments.local.change()?);
    let changes = arguments.changes.arguments(others.collect());
    let progress = Console::new();
    stop_on_ctrl_c(&progress)?;
    let run = retest::of(&arguments.run, &changes, &progress)?;
    let runs = match arguments.runs {
        Some(runs) => runs,
        None => runs_of(&arguments.run)?,
    };
    let commit = option_env!("MACLIP_COMMIT");
    let done = execute::execute(&run, &runs, Options { commit, ..Options::default() }, &progress)?;
    report(&done, arguments.json)
}

/// The folder of all runs that the run in `path` lies in: `runs` of `runs/NAME/RUN`.
pub(super) fn runs_of(path: &Path) -> Result<PathBuf> {
    let whole = path.canonicalize().map_err(|error| Error::io("find", path, error))?;
    let runs = whole.parent().and_then(Path::parent).map(Path::to_owned);
    runs.ok_or_else(|| Error::failed(format!("{} lies in no folder of runs", path.display())).help("give `--runs DIR`"))
}

fn report(run: &RunDirectory, json: bool) -> Result<()> {
    run.verify()?;
    let test = run.test().ok_or_else(|| Error::failed("the test has no result"))?;
    if json {
        return say_data(json!({"dir": shown(&run.path), "test": test}));
    }
    let (value, shape) = (percent_interval(test.value, test.ci95), format!("{}-way {}-shot", test.way, test.shot));
    say(format!("{value} % of {} {shape} episodes, {}", test.episodes, run.path.display()))
}

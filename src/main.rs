//! `maclip`: few-shot action recognition with CLIP. One file per verb.

mod check;
mod columns;
mod describe;
mod list;
mod plan;
mod progress;
mod replay;
mod report;
mod run;
mod runs;
mod sitting;
mod status;
mod validate;
mod weights;

use clap::{Parser, Subcommand};
use maclip_components as _;
use maclip_framework::error::Error;
use std::process::ExitCode;

/// Few-shot action recognition with CLIP: recipes in, trained models, honest numbers and a report out.
#[derive(Parser)]
#[command(name = "maclip", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Train and test what a recipe says; goes on where an earlier call stopped
    Run(run::Arguments),
    /// Check a recipe without running it
    Validate(validate::Arguments),
    /// Show the graph, shapes and parameters of a recipe, without its data and weights
    Plan(plan::Arguments),
    /// Look into checkpoints, and convert them
    Weights(weights::Arguments),
    /// List slots and components
    List(list::Arguments),
    /// Show a component: its source, and every option with its default and reason
    Describe(describe::Arguments),
    /// Write the report of runs: one HTML page, figures, CSV and Parquet
    Report(report::Arguments),
    /// Show how far runs are
    Status(status::Arguments),
    /// List, show, compare and remove runs
    #[command(subcommand)]
    Runs(runs::Verb),
    /// Hold results against the numbers that their recipes expect
    Check(check::Arguments),
    /// Make one training step again and show what happens in it
    Replay(replay::Arguments),
}

/// burn-flex takes every intermediate tensor from the allocator: keeping freed memory halves the time of a training step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // `maclip list | head` ends quietly, as other programs do.
    sigpipe::reset();
    let result = match Cli::parse().verb {
        Verb::Run(arguments) => run::run(arguments),
        Verb::Validate(arguments) => validate::validate(arguments),
        Verb::Plan(arguments) => plan::plan(arguments),
        Verb::Weights(arguments) => weights::weights(arguments),
        Verb::List(arguments) => list::list(arguments),
        Verb::Describe(arguments) => describe::describe(arguments),
        Verb::Report(arguments) => report::report(arguments),
        Verb::Status(arguments) => status::status(arguments),
        Verb::Runs(verb) => runs::runs(verb),
        Verb::Check(arguments) => check::check(arguments),
        Verb::Replay(arguments) => replay::replay(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", message(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Colours on a terminal, unless `NO_COLOR` is set.
fn message(error: &Error) -> String {
    use std::io::IsTerminal;
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    match error {
        Error::Recipe(diagnostics) => diagnostics.render(color),
        other => other.to_string(),
    }
}

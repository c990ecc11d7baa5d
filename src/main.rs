//! `maclip`: few-shot action recognition with CLIP. One file per verb.

mod cells;
mod check;
mod columns;
mod compare;
mod complete;
mod completions;
mod deep;
mod describe;
mod doctor;
mod explain;
mod init;
mod list;
mod man;
mod new;
mod plan;
mod prepare;
mod progress;
mod replay;
mod report;
mod run;
mod runs;
mod schema;
mod shipped;
mod sitting;
mod source;
mod sparkline;
mod status;
mod takeover;
mod terminal;
mod validate;
mod weights;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::CompleteEnv;
use maclip_components as _;
use maclip_framework::error::Error;
use serde_json::json;
use std::process::ExitCode;

/// Few-shot action recognition with CLIP: recipes in, trained models, honest numbers and a report out.
#[derive(Parser)]
#[command(name = "maclip", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Colours in messages; `auto` asks whether standard error is a terminal, and NO_COLOR
    #[arg(
        long,
        value_enum,
        global = true,
        default_value_t,
        hide_possible_values = true,
        value_name = "auto|always|never"
    )]
    color: terminal::Color,
}

#[derive(Subcommand)]
enum Verb {
    /// Train and test what a recipe says; goes on where an earlier call stopped
    Run(run::Arguments),
    /// Check a recipe without running it
    Validate(validate::Arguments),
    /// Show the graph, shapes, parameters, FLOPs and memory of a recipe, without its data and weights
    Plan(plan::Arguments),
    /// Decode every clip of a recipe once and keep the frames; verify and prune what is kept
    Prepare(prepare::Arguments),
    /// Write a shipped recipe to edit, with what it extends
    Init(init::Arguments),
    /// List slots and components
    List(list::Arguments),
    /// Show a component or a key of recipes: its source, and every option with its default and reason
    Describe(describe::Arguments),
    /// Write the file of a new component from a template
    New(new::Arguments),
    /// Explain the code of a message, such as MC007
    Explain(explain::Arguments),
    /// Print the JSON Schema of recipes, for editors
    Schema(schema::Arguments),
    /// Look into checkpoints, and convert them
    Weights(weights::Arguments),
    /// Write the report of runs: one HTML page, figures, CSV and Parquet
    Report(report::Arguments),
    /// Show how far runs are, or all runs of a recipe
    Status(status::Arguments),
    /// List, show, diff and remove runs
    #[command(subcommand)]
    Runs(runs::Verb),
    /// Compare two variants on the episodes that both were tested on
    Compare(compare::Arguments),
    /// Hold results against the numbers that their recipes expect
    Check(check::Arguments),
    /// Make one training step again and show what happens in it
    Replay(replay::Arguments),
    /// Look at this binary and this machine: devices, memory, disk, programs
    Doctor(doctor::Arguments),
    /// Print a shell's completion script; component names and recipes complete too
    Completions(completions::Arguments),
    /// Print the manual page
    Man(man::Arguments),
}

impl Verb {
    /// Whether standard output is for a program, so that problems go there as data too.
    fn json(&self) -> bool {
        match self {
            Verb::Run(arguments) => arguments.json,
            Verb::Validate(arguments) => arguments.json,
            Verb::Plan(arguments) => arguments.json(),
            Verb::Prepare(arguments) => arguments.json,
            Verb::Init(arguments) => arguments.json,
            Verb::List(arguments) => arguments.json,
            Verb::Describe(arguments) => arguments.json,
            Verb::Explain(arguments) => arguments.json,
            Verb::Status(arguments) => arguments.json,
            Verb::Compare(arguments) => arguments.json,
            Verb::Check(arguments) => arguments.json,
            Verb::Doctor(arguments) => arguments.json,
            _ => false,
        }
    }

    fn work(self) -> maclip_framework::error::Result<()> {
        match self {
            Verb::Run(arguments) => run::run(arguments),
            Verb::Validate(arguments) => validate::validate(arguments),
            Verb::Plan(arguments) => plan::plan(arguments),
            Verb::Prepare(arguments) => prepare::prepare(arguments),
            Verb::Init(arguments) => init::init(arguments),
            Verb::List(arguments) => list::list(arguments),
            Verb::Describe(arguments) => describe::describe(arguments),
            Verb::New(arguments) => new::new(arguments),
            Verb::Explain(arguments) => explain::explain(arguments),
            Verb::Schema(arguments) => schema::schema(arguments),
            Verb::Weights(arguments) => weights::weights(arguments),
            Verb::Report(arguments) => report::report(arguments),
            Verb::Status(arguments) => status::status(arguments),
            Verb::Runs(verb) => runs::runs(verb),
            Verb::Compare(arguments) => compare::compare(arguments),
            Verb::Check(arguments) => check::check(arguments),
            Verb::Replay(arguments) => replay::replay(arguments),
            Verb::Doctor(arguments) => doctor::doctor(arguments),
            Verb::Completions(arguments) => completions::completions(arguments),
            Verb::Man(arguments) => man::man(arguments, Cli::command()),
        }
    }
}

/// burn-flex takes every intermediate tensor from the allocator: keeping freed memory halves the time of a training step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // `maclip list | head` ends quietly, as other programs do.
    sigpipe::reset();
    CompleteEnv::with_factory(Cli::command).var(completions::VARIABLE).complete();
    let Cli { verb, color } = Cli::parse();
    terminal::choose(color);
    let json = verb.json();
    let Err(error) = verb.work() else { return ExitCode::SUCCESS };
    if let (true, Error::Recipe(diagnostics)) = (json, &error) {
        // That this could not be written either adds nothing to the message below.
        let _ = terminal::say(json!({"valid": false, "diagnostics": diagnostics.to_json()}));
    }
    eprintln!("{}", message(&error));
    ExitCode::from(error.exit_code())
}

/// An error as the terminal shows it.
fn message(error: &Error) -> String {
    match error {
        Error::Recipe(diagnostics) => {
            let mut codes: Vec<&str> = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
            codes.dedup();
            let explain =
                codes.first().map_or_else(String::new, |code| format!("\n\n`maclip explain {code}` says more"));
            format!("{}{explain}", diagnostics.render(terminal::colored()))
        }
        other => other.to_string(),
    }
}

//! `maclip`: few-shot action recognition with CLIP. Recipes in, trained models, honest numbers and a report out.
//!
//! This crate is the command line as a library. A program of your own gets every verb, with your components beside the
//! shipped ones, in a few lines; `examples/own_component/` is such a program:
//!
//! ```no_run
//! use maclip_components as _;
//!
//! fn main() -> std::process::ExitCode {
//!     maclip::main()
//! }
//! ```
//!
//! A recipe can be run without the command line too. This trains two steps of the quickstart and tests on ten episodes:
//!
//! ```
//! use maclip_components as _;
//! use maclip_framework::engine::execute::{Options, execute};
//! use maclip_framework::progress::Silent;
//! use maclip_framework::recipe::study;
//! use std::path::Path;
//!
//! # fn main() -> maclip_framework::error::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let runs = folder.path();
//! let short = ["task.train.steps=2", "task.test.episodes=10", "task.validation.episodes=2"];
//! let all = study::load(Path::new("recipes/quickstart.yaml"), &short)?;
//! let done = execute(&all[0], runs, Options::default(), &Silent)?;
//! assert!(done.test().is_some_and(|test| test.episodes == 10));
//! # Ok(())
//! # }
//! ```
//!
//! Here belongs what talks to a person in a terminal. Not here: what a recipe means and how it is run
//! (`maclip-framework`).
#![forbid(unsafe_code)]
// Writing to a terminal can fail, and these would panic then: see `terminal::say` and `terminal::tell`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod recognition;
mod shipped;
mod terminal;
pub mod verbs;

use clap::{ArgMatches, Args, Command, FromArgMatches};
use clap_complete::CompleteEnv;
use maclip_framework::error::Error;
use maclip_language::{Diagnostic, codes};
use serde_json::json;
use std::process::ExitCode;

/// burn-flex takes every intermediate tensor from the allocator: keeping freed memory halves the time of a training
/// step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Options that every verb has.
#[derive(Args)]
struct Everywhere {
    /// Colours in messages and results; `auto` uses them on a terminal, where NO_COLOR is not set
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

/// The whole command line, as clap reads it.
pub fn command() -> Command {
    let whole = Command::new("maclip")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Few-shot action recognition with CLIP: recipes in, trained models, honest numbers and a report out")
        .propagate_version(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(verbs::all().map(verbs::Verb::command));
    // The options' own description is of no use here.
    Everywhere::augment_args(whole.clone()).about(whole.get_about().cloned().unwrap_or_default())
}

/// The program: reads the command line, does what its verb says, and reports what went wrong.
///
/// Exit codes: 0 done; 1 the work could not be done, or a result is below what its recipe expects; 2 the recipe or the
/// command line is wrong; 130 interrupted.
pub fn main() -> ExitCode {
    maclip_kernels::allocator::keep_pages();
    // `maclip list | head` ends quietly, as other programs do.
    sigpipe::reset();
    #[cfg(feature = "libav")]
    if let Some(code) = maclip_components::datasets::readers::serve_if_asked() {
        return code;
    }
    if let Some(code) = maclip_framework::recipe::device::try_if_asked() {
        return code;
    }
    CompleteEnv::with_factory(command).var(verbs::completions::VARIABLE).complete();
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            if error.use_stderr() && asked_for_json() {
                // Where this cannot be written, the message below is enough.
                let _ = terminal::say_data(as_json(&usage(&error)));
            }
            let code = if error.print().is_err() { 1 } else { error.exit_code() };
            return ExitCode::from(u8::try_from(code).unwrap_or(2));
        }
    };
    let Everywhere { color } = Everywhere::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    terminal::choose(color);
    let Some((verb, given)) = matches.subcommand().and_then(|(name, given)| Some((verbs::find(name)?, given))) else {
        // Cannot happen: clap accepts only registered verbs.
        return ExitCode::from(2);
    };
    let Err(error) = instructions().and_then(|()| verb.run(given)) else { return ExitCode::SUCCESS };
    if wants_json(given) && !terminal::has_said() {
        // Where this cannot be written either, the message below is enough.
        let _ = terminal::say_data(as_json(&error));
    }
    terminal::tell_error(&error);
    ExitCode::from(error.exit_code())
}

/// Whether this processor has the instructions that the environment asks for.
fn instructions() -> Result<(), Error> {
    let help = format!("leave {} out: the best that the processor has are then used", maclip_kernels::VARIABLE);
    maclip_kernels::Level::asked().map(drop).map_err(|message| Error::failed(message).help(help))
}

/// Whether standard output is for a program: the verb was given `--json`, or `--format json`.
fn wants_json(given: &ArgMatches) -> bool {
    if let Some((_, inner)) = given.subcommand() {
        return wants_json(inner);
    }
    let flag = matches!(given.try_get_one::<bool>("json"), Ok(Some(true)));
    let format = given.try_get_raw("format").ok().flatten().and_then(|mut values| values.next_back());
    flag || format.is_some_and(|format| format == "json")
}

/// As [`wants_json`], of a command line that could not be read.
fn asked_for_json() -> bool {
    let words: Vec<_> = std::env::args_os().skip(1).take_while(|word| word != "--").collect();
    let format = words.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
    format || words.iter().any(|word| word == "--json" || word == "--format=json")
}

/// A command line that could not be read, as an error of ours.
fn usage(error: &clap::Error) -> Error {
    let text = error.render().to_string();
    let text = text.trim().trim_start_matches("error: ");
    let (message, help) = text.split_once("\n\n").unwrap_or((text, ""));
    Diagnostic::new(codes::ARGUMENT, message).help(help).into()
}

/// An error as the one object that a program reads.
fn as_json(error: &Error) -> serde_json::Value {
    match error {
        Error::Recipe(diagnostics) => json!({"valid": false, "diagnostics": diagnostics.to_json()}),
        Error::Failed { message, place, help } => {
            json!({"error": {"message": message, "place": place, "help": help}})
        }
        Error::Interrupted => json!({"error": {"message": error.to_string(), "place": null, "help": null}}),
    }
}

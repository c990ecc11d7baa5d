//! `maclip explain MC007`: what a kind of problem means, why it happens, and what to do.

use crate::terminal::{completion, say, say_data};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use maclip_framework::error::Result;
use maclip_language::codes::{self, Code};
use maclip_language::{Diagnostic, name_help};
use serde_json::json;

/// Explain the code of a message, such as MC007
#[derive(Args)]
pub struct Arguments {
    /// The code of a message, such as MC007; without one, all codes
    #[arg(add = ArgValueCompleter::new(completion::explained))]
    code: Option<String>,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

crate::verb!("explain", 90, Arguments, explain);

fn explain(arguments: Arguments) -> Result<()> {
    let found: Vec<&Code> = match &arguments.code {
        None => codes::TABLE.iter().collect(),
        Some(name) => vec![codes::explain(name).ok_or_else(|| {
            Diagnostic::new(codes::UNKNOWN_NAME, format!("there is no code `{name}`"))
                .helps(name_help(name, codes::TABLE.iter().map(|code| code.code)))
        })?],
    };
    if arguments.json {
        return say_data(json!({ "codes": found }));
    }
    if arguments.code.is_none() {
        return found.iter().try_for_each(|code| say(format!("{}  {}", code.code, code.title)));
    }
    found.iter().try_for_each(|code| {
        let example: String = code.example.lines().map(|line| format!("    {line}\n")).collect();
        say(format!(
            "{}: {}\n\nWhy it happens\n  {}\n\nWhat to do\n  {}\n\nExample\n{example}",
            code.code, code.title, code.cause, code.resolution
        ))
    })
}

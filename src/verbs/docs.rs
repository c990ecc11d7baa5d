//! `maclip docs [TOPIC]`: the book of this program, in the terminal.

use crate::shipped::{TOPICS, Topic};
use crate::terminal::columns::columns;
use crate::terminal::{say, say_data};
use clap::Args;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use maclip_framework::error::Result;
use maclip_language::{Diagnostic, codes, name_help};
use serde_json::json;

/// Read the documentation: the list of topics, or one of them
#[derive(Args)]
pub struct Arguments {
    /// A topic, such as `recipes`; without one, the list
    #[arg(add = ArgValueCandidates::new(candidates))]
    topic: Option<String>,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

crate::verb!("docs", 175, Arguments, docs);

fn candidates() -> Vec<CompletionCandidate> {
    TOPICS.iter().map(|topic| CompletionCandidate::new(topic.name).help(Some(topic.title().into()))).collect()
}

fn docs(arguments: Arguments) -> Result<()> {
    let Some(name) = arguments.topic else { return list(arguments.json) };
    let Some(topic) = TOPICS.iter().find(|topic| topic.name == name) else {
        return Err(Diagnostic::new(codes::UNKNOWN_NAME, format!("there is no topic `{name}`"))
            .helps(name_help(&name, TOPICS.iter().map(|topic| topic.name)))
            .into());
    };
    match arguments.json {
        true => say_data(json!({"topic": topic.name, "title": topic.title(), "markdown": topic.text})),
        false => say(topic.text.trim_end()),
    }
}

fn list(as_json: bool) -> Result<()> {
    if as_json {
        let about = |topic: &Topic| json!({"topic": topic.name, "title": topic.title(), "summary": topic.summary()});
        return say_data(json!({"topics": TOPICS.iter().map(about).collect::<Vec<_>>()}));
    }
    let rows: Vec<_> = TOPICS.iter().map(|topic| [topic.name.to_owned(), topic.summary()]).collect();
    say(columns(&rows, 2).join("\n"))?;
    say("\n`maclip docs TOPIC` prints one.")
}

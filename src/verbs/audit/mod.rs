//! `maclip audit [METHOD]`: how published methods choose, train and test, with the place in their code, and our recipe
//! beside.

mod ours;
mod page;

use crate::terminal::{say, say_data};
use clap::Args;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use maclip_framework::error::Result;
use maclip_framework::registry::{Method, methods};
use maclip_language::{Diagnostic, codes, name_help};
use serde_json::json;

/// Show how published methods choose their weights, train and test, with the places in their code
#[derive(Args)]
pub struct Arguments {
    /// A method, such as `strm`; without one, the summary of all
    #[arg(add = ArgValueCandidates::new(candidates))]
    method: Option<String>,
    /// One JSON object on stdout, with every statement and its places
    #[arg(long)]
    json: bool,
    /// The whole page in Markdown: docs/audit.md
    #[arg(long, conflicts_with_all = ["method", "json"])]
    markdown: bool,
}

crate::verb!("audit", 75, Arguments, audit);

fn candidates() -> Vec<CompletionCandidate> {
    methods().into_iter().map(|method| CompletionCandidate::new(method.name).help(Some(method.title.into()))).collect()
}

fn audit(arguments: Arguments) -> Result<()> {
    if arguments.markdown {
        return say_data(page::page());
    }
    let one = arguments.method.as_deref().map(named).transpose()?;
    if arguments.json {
        let listed = one.map_or_else(methods, |method| vec![method]);
        return say_data(json!({ "methods": listed.into_iter().map(page::data).collect::<Vec<_>>() }));
    }
    say(one.map_or_else(page::text, page::method_text))
}

/// The method called `name`.
///
/// # Errors
/// Where there is none, with the name that is nearest.
fn named(name: &str) -> Result<&'static Method> {
    let all = methods();
    match all.iter().find(|method| method.name == name) {
        Some(method) => Ok(method),
        None => Err(Diagnostic::new(codes::UNKNOWN_NAME, format!("there is no method `{name}`"))
            .helps(name_help(name, all.iter().map(|method| method.name)))
            .into()),
    }
}

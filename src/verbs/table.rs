//! `maclip table RUNS --rows AXES --columns AXES`: results along any axes, as a paper prints them.

use crate::shipped::RECIPES;
use crate::terminal::run_list::place;
use crate::terminal::{look, say_data, say_made, tell};
use clap::{Args, ValueEnum};
use maclip_framework::error::Result;
use maclip_framework::recipe::expectation::is_publication;
use maclip_language::{Diagnostic, Node, Origin, codes};
use maclip_reports::{Asked, Interval, Marks, pivot, pivot_csv, pivot_html, pivot_latex, pivot_markdown, pivot_text};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Print results along any axes, such as methods and shots: for a paper, a README, a page or a program
#[derive(Args)]
pub struct Arguments {
    /// Run directories, folders that hold some, or a shipped recipe, whose runs are in `runs`
    #[arg(default_value = "runs")]
    runs: Vec<PathBuf>,
    /// Axes of the rows, the outermost first: method, variant, recipe, dataset, backbone, way, shot, seed, task, a slot
    /// such as adapter, or a key of the recipe such as alignment.lambda
    #[arg(long, value_name = "AXES", value_delimiter = ',', default_value = "method")]
    rows: Vec<String>,
    /// Axes of the columns, the outermost first
    #[arg(long, value_name = "AXES", value_delimiter = ',')]
    columns: Vec<String>,
    /// What is shown: what the tests measure, or some of accuracy, recall_at_1, trainable, total, train_time,
    /// test_time, memory
    #[arg(long, value_name = "METRICS", value_delimiter = ',')]
    metric: Vec<String>,
    /// Only runs with this value of an axis; can be given several times, and then all must hold
    #[arg(long = "where", value_name = "AXIS=VALUE")]
    only: Vec<String>,
    /// What varies in the interval beside a result
    #[arg(long, value_enum, default_value_t)]
    interval: Over,
    /// What is marked: the best of a column and what cannot be told from it, or what differs from the baseline
    #[arg(long, value_enum, default_value_t)]
    marks: Mark,
    /// Add the numbers of papers that the recipes expect as rows of their own, with their sources
    #[arg(long)]
    published: bool,
    /// How it is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The first sentence of the caption, in the place of one that is made of the axes
    #[arg(long, value_name = "TEXT")]
    caption: Option<String>,
    /// The end of `\label{tab:NAME}` in LaTeX
    #[arg(long, value_name = "NAME", default_value = "results")]
    label: String,
    /// Another name for a value or a heading: hmdb51=HMDB51; can be given several times
    #[arg(long, value_name = "OLD=NEW")]
    name: Vec<String>,
    /// A value that comes before the others; several come in the order given
    #[arg(long, value_name = "VALUE")]
    first: Vec<String>,
    /// One JSON object on stdout
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

crate::verb!("table", 125, Arguments, table);

#[derive(Clone, Copy, Default, ValueEnum)]
enum Over {
    /// Test episodes, given these videos and these trained models
    #[default]
    Episodes,
    /// Classes and videos of the test
    Classes,
    /// Seeds of the training
    Seeds,
    None,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Mark {
    #[default]
    Best,
    Baseline,
    None,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    /// For a terminal
    #[default]
    Text,
    /// A table environment for `\input`
    Latex,
    Markdown,
    Html,
    /// Numbers alone
    Csv,
}

fn table(arguments: Arguments) -> Result<()> {
    let asked = Asked {
        rows: arguments.rows,
        columns: arguments.columns,
        metrics: arguments.metric,
        only: pairs(&arguments.only, "--where")?,
        interval: match arguments.interval {
            Over::Episodes => Interval::Episodes,
            Over::Classes => Interval::Classes,
            Over::Seeds => Interval::Seeds,
            Over::None => Interval::None,
        },
        marks: match arguments.marks {
            Mark::Best => Marks::Best,
            Mark::Baseline => Marks::Baseline,
            Mark::None => Marks::None,
        },
        published: arguments.published,
        caption: arguments.caption,
        names: pairs(&arguments.name, "--name")?,
        order: arguments.first,
    };
    let runs: Vec<PathBuf> = arguments.runs.iter().map(|path| place(path)).collect();
    let (table, unreadable) = pivot(&runs, &asked)?;
    unreadable.iter().for_each(|line| tell(format!("could not be read: {line}")));
    if asked.published && !table.has_published() {
        let others = with_published();
        tell(format!(
            "no published number: the recipes of these runs expect none of a paper; shipped ones that do: {others}"
        ));
    }
    if arguments.json {
        return say_data(json!(table));
    }
    match arguments.format {
        Format::Text => say_made(pivot_text(&table, &look())),
        Format::Latex => say_data(pivot_latex(&table, &arguments.label).trim_end()),
        Format::Markdown => say_data(pivot_markdown(&table).trim_end()),
        Format::Html => say_data(pivot_html(&table).trim_end()),
        Format::Csv => say_data(pivot_csv(&table).trim_end()),
    }
}

/// The shipped recipes that expect a number of a paper; those in a folder by its name.
fn with_published() -> String {
    let published = |tree: &Node| {
        let variants = tree.at("study.variants").and_then(Node::as_map).into_iter().flatten();
        let all = std::iter::once(tree).chain(variants.map(|variant| &variant.value));
        let mut expected = all.filter_map(|tree| tree.at("expect")?.as_list()).flatten();
        expected.any(|number| number.at("source").and_then(Node::as_str).is_some_and(is_publication))
    };
    let runnable = RECIPES.iter().filter(|recipe| !recipe.name.starts_with("parts/"));
    let names = runnable.filter(|recipe| recipe.tree().is_some_and(|tree| published(&tree))).map(|recipe| recipe.name);
    let folders: BTreeSet<&str> = names.map(|name| name.rsplit_once('/').map_or(name, |(folder, _)| folder)).collect();
    folders.into_iter().collect::<Vec<_>>().join(", ")
}

/// Both sides of each `A=B`. A label may have a `=`, a key of a recipe has none.
fn pairs(given: &[String], option: &'static str) -> Result<Vec<(String, String)>> {
    let pair = |text: &String| {
        let both = text.split_once('=').filter(|(left, _)| !left.is_empty());
        both.map(|(left, right)| (left.to_owned(), right.to_owned())).ok_or_else(|| {
            let problem = Diagnostic::new(codes::ARGUMENT, format!("`{text}` has no `=` between two parts"));
            problem.at(&Origin::argument(option, text)).help("write it as NAME=VALUE").into()
        })
    };
    given.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn recipes_with_published_numbers_are_named() {
        let named = super::with_published();
        assert_eq!(named, "benchmarks, kinetics_5w5s, paper", "and not the quickstart, whose numbers are its own");
    }
}

//! `maclip plan RECIPE`: the graph with shapes and scopes, the parameters of each component, FLOPs and an estimate of
//! the memory. Needs no data and no weights.

mod interval;
mod study;

use crate::terminal::arguments::{Changes, Source};
use crate::terminal::columns::columns;
use crate::terminal::{completion, say, say_data};
use clap::{Args, ValueEnum, value_parser};
use clap_complete::engine::ArgValueCompleter;
use maclip_framework::engine::task;
use maclip_framework::error::{Error, Result};
use maclip_framework::model::plan::{Flops, Memory, Plan, short};
use maclip_framework::recipe::{Purpose, Recipe};
use maclip_reports::format::whole;
use serde_json::json;
use std::path::PathBuf;

/// Show the graph, shapes, parameters, FLOPs and memory of a recipe, without its data and weights
#[derive(Args)]
pub struct Arguments {
    /// Recipe: a file, or the name of a shipped one, such as `quickstart`; `--interval` needs none
    #[arg(add = ArgValueCompleter::new(completion::recipes), required_unless_present = "interval")]
    recipe: Option<PathBuf>,
    #[command(flatten)]
    changes: Changes,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// One JSON object on stdout, as `--format json`
    #[arg(long)]
    json: bool,
    /// Plan the whole study on so many machines: device hours, wall time, disk and cost
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    machines: Option<u16>,
    #[command(flatten)]
    many: Many,
    /// Say how many test episodes and seeds a 95 % interval of this half width needs, in points of a percent
    #[arg(long, value_name = "POINTS", value_parser = points, conflicts_with = "machines")]
    interval: Option<f64>,
    /// Folder of the runs: rates that were measured are read from it, and finished runs are compared with the estimate
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
}

/// What a study would be made on.
#[derive(Args)]
pub struct Many {
    /// Devices of each machine [default: 1]
    #[arg(long, value_name = "N", requires = "machines", value_parser = value_parser!(u16).range(1..))]
    gpus: Option<u16>,
    /// Price of an hour of one device, in any currency
    #[arg(long, value_name = "PRICE", requires = "machines", value_parser = price)]
    price: Option<f64>,
    /// Speed of a device in TFLOP/s, or a file that `maclip doctor --measure` wrote [default: that of --runs]
    #[arg(long, value_name = "FILE|TFLOPS", requires = "machines")]
    rate: Option<String>,
}

fn price(text: &str) -> std::result::Result<f64, String> {
    let price = text.parse::<f64>().ok().filter(|price| price.is_finite() && *price >= 0.0);
    price.ok_or_else(|| "a price is a number, such as 2.5".to_owned())
}

fn points(text: &str) -> std::result::Result<f64, String> {
    let points = text.parse::<f64>().ok().filter(|points| *points >= 0.001 && *points <= 50.0);
    points.ok_or_else(|| "a half width is a number of points from 0.001 to 50, such as 0.5".to_owned())
}

crate::verb!("plan", 30, Arguments, plan);

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Text,
    Json,
    Mermaid,
}

impl Arguments {
    /// Whether the plan goes to a program.
    fn json(&self) -> bool {
        self.json || self.format == Format::Json
    }
}

fn plan(arguments: Arguments) -> Result<()> {
    let json = arguments.json();
    if arguments.recipe.is_none() && !arguments.changes.is_empty() {
        return Err(Error::failed("without a recipe there is nothing to change")
            .help("name the recipe, or leave `--set` and `--unset` out"));
    }
    // Data and weights may be missing.
    let runs = match arguments.recipe {
        Some(recipe) => Some(Source { recipe, changes: arguments.changes }.expand(Purpose::Plan)?.runs),
        None => None,
    };
    if let Some(points) = arguments.interval {
        if arguments.format == Format::Mermaid {
            return Err(Error::failed("what an interval needs is a table, and no graph")
                .help("leave `--format mermaid` or `--interval` out"));
        }
        return interval::plan(runs.as_deref(), points, &arguments.runs, json);
    }
    // The command line asks for a recipe where there is no interval.
    let mut runs = runs.unwrap_or_default();
    if let Some(machines) = arguments.machines {
        if arguments.format == Format::Mermaid {
            return Err(Error::failed("a plan for machines is a table, and no graph")
                .help("leave `--format mermaid` or `--machines` out"));
        }
        return study::plan(runs, &arguments.many, machines.into(), &arguments.runs, json);
    }
    // Seeds of one variant have one plan.
    runs.dedup_by(|b, a| a.variant == b.variant);
    let mut listed = Vec::new();
    for run in &runs {
        let plan = plan_of(&run.recipe)?;
        match arguments.format {
            _ if json => listed.push(json!({"variant": run.variant, "plan": plan})),
            Format::Mermaid => say_data(format!("%% {} {}\n{}\n", run.recipe.name, run.variant, plan.mermaid()))?,
            Format::Text | Format::Json => say(text(&run.recipe, &run.variant, &plan))?,
        }
    }
    if !listed.is_empty() {
        say_data(json!({ "plans": listed }))?;
    }
    Ok(())
}

fn plan_of(recipe: &Recipe) -> Result<Plan> {
    task::of(recipe)?.plan(recipe)
}

fn text(recipe: &Recipe, variant: &str, plan: &Plan) -> String {
    let mut lines = vec![format!("{}, variant {variant}", recipe.name), String::new()];
    let rows = plan.nodes.iter().map(|node| {
        let flops = match node.flops {
            Some(0.0) => "–".to_owned(),
            Some(flops) => short(flops).trim_end().to_owned(),
            None => "not counted".to_owned(),
        };
        let (shape, reads) = (format!("{:?}", node.shape), node.from.join(", "));
        [node.id.to_owned(), node.by.clone(), shape, node.runs.to_owned(), reads, flops]
    });
    let graph: Vec<_> =
        std::iter::once(["step", "by", "shape", "runs", "reads", "FLOPs"].map(str::to_owned)).chain(rows).collect();
    lines.extend(columns(&graph, 5));
    lines.push(String::new());
    let count = |slot: &str, part: &str, trainable: usize, total: usize| {
        [slot.to_owned(), part.to_owned(), whole(trainable as u64), whole(total as u64)]
    };
    let mut parameters = vec![["component", "part", "trainable", "all"].map(str::to_owned)];
    parameters.extend(plan.params.parts.iter().map(|part| {
        let inner = if part.part == part.slot { "" } else { &part.part };
        count(&part.slot, inner, part.trainable, part.total)
    }));
    parameters.push(count("model", "", plan.params.trainable, plan.params.total));
    lines.extend(columns(&parameters, 2));
    lines.push(String::new());
    lines.extend(flops(&plan.flops));
    lines.push(String::new());
    lines.extend(memory(&plan.memory));
    lines.join("\n") + "\n"
}

/// `; without a, b`, or nothing.
fn without(steps: &[&str]) -> String {
    if steps.is_empty() { String::new() } else { format!("; without {}", steps.join(", ")) }
}

fn flops(flops: &Flops) -> Vec<String> {
    let row = |of: &str, number: &str, about: String| [of.to_owned(), number.to_owned(), about];
    let mut rows = vec![row("FLOPs", "", String::new())];
    rows.extend(flops.totals.iter().map(|total| {
        row(&total.of.replace('_', " "), &short(total.flops), format!("{}{}", total.about, without(&total.without)))
    }));
    let mut lines = columns(&rows, 3);
    lines.push(format!("  Of the shape shown, or of one of each. {}.", flops.counted));
    lines
}

fn memory(memory: &Memory) -> Vec<String> {
    let row =
        |of: &str, bytes: f64, about: &str| [of.replace('_', " "), format!("{}B", short(bytes)), about.to_owned()];
    let mut rows = vec![["memory, estimated".to_owned(), String::new(), String::new()]];
    rows.extend(memory.parts.iter().map(|part| row(part.of, part.bytes, &part.about)));
    rows.extend(memory.training_bytes.map(|bytes| row("training", bytes, "in all")));
    rows.push(row("evaluation", memory.evaluation_bytes, "in all"));
    let mut lines = columns(&rows, 3);
    lines.push(format!("  {}{}.", memory.about, without(&memory.without)));
    if !memory.fits.is_empty() {
        let fits = memory.fits.iter().map(|fit| {
            let (gb, needs) = (format!("{} GB", fit.gb), format!("{}B", short(fit.bytes)));
            match &fit.setting {
                Some(setting) => [gb, "fits".to_owned(), format!("compute: {{{setting}}} needs {needs}")],
                None => [gb, "too small".to_owned(), format!("a step needs at least {needs}")],
            }
        });
        let head = ["device with".to_owned(), String::new(), String::new()];
        lines.extend(columns(&[head].into_iter().chain(fits).collect::<Vec<_>>(), 3));
    }
    lines
}

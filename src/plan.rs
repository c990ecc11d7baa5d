//! `maclip plan RECIPE`: the graph with shapes and scopes, and the parameters of each component. Needs no data and no weights.

use crate::columns::{columns, grouped};
use clap::{Args, ValueEnum};
use maclip_framework::error::Result;
use maclip_framework::plan::Plan;
use maclip_framework::run::{BuildContext, Purpose, Recipe};
use maclip_framework::slots::task::Task;
use maclip_framework::{device, recipe, study};
use serde_json::json;
use std::path::PathBuf;

#[derive(Args)]
pub struct Arguments {
    /// Recipe file
    recipe: PathBuf,
    /// Change a value: `--set alignment.lambda=0.5` (the value is YAML)
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// One JSON object on stdout, as `--format json`
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Text,
    Json,
    Mermaid,
}

pub fn plan(arguments: Arguments) -> Result<()> {
    // Data and weights may be missing.
    let document = recipe::load(&arguments.recipe, &arguments.sets)?;
    let mut cells = study::expand_for(&document.root, Purpose::Plan)?;
    // Seeds of one variant have one plan.
    cells.dedup_by(|b, a| a.variant == b.variant);
    let mut listed = Vec::new();
    for cell in &cells {
        let plan = plan_of(&cell.recipe)?;
        match (arguments.json, arguments.format) {
            (true, _) | (_, Format::Json) => listed.push(json!({"variant": cell.variant, "plan": plan})),
            (_, Format::Mermaid) => println!("%% {} {}\n{}\n", cell.recipe.name, cell.variant, plan.mermaid()),
            (_, Format::Text) => println!("{}", text(&cell.recipe, &cell.variant, &plan)),
        }
    }
    if !listed.is_empty() {
        println!("{}", json!({ "plans": listed }));
    }
    Ok(())
}

fn plan_of(recipe: &Recipe) -> Result<Plan> {
    let device =
        device::parse("flex").map_err(|(message, help)| maclip_framework::error::Error::failed(message).help(help))?;
    recipe.build::<dyn Task>(&BuildContext::new(recipe.seed, device))?.plan(recipe)
}

fn text(recipe: &Recipe, variant: &str, plan: &Plan) -> String {
    let mut lines = vec![format!("{}, variant {variant}", recipe.name), String::new()];
    let rows = plan.nodes.iter().map(|node| {
        [node.id.to_owned(), node.by.clone(), format!("{:?}", node.shape), node.runs.to_owned(), node.from.join(", ")]
    });
    let graph: Vec<_> =
        std::iter::once(["step", "by", "shape", "runs", "reads"].map(str::to_owned)).chain(rows).collect();
    lines.extend(columns(&graph, 5));
    lines.push(String::new());
    let count = |slot: &str, part: &str, trainable: usize, total: usize| {
        [slot.to_owned(), part.to_owned(), grouped(trainable), grouped(total)]
    };
    let mut parameters = vec![["component", "part", "trainable", "all"].map(str::to_owned)];
    parameters.extend(plan.params.parts.iter().map(|part| {
        let inner = if part.part == part.slot { "" } else { &part.part };
        count(&part.slot, inner, part.trainable, part.total)
    }));
    parameters.push(count("model", "", plan.params.trainable, plan.params.total));
    lines.extend(columns(&parameters, 2));
    lines.join("\n") + "\n"
}

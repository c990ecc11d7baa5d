//! `maclip check RUNS`: measured numbers against those that the recipes expect; exit code 1 where one is too low.

use crate::terminal::run_list::{all_read, readable};
use crate::terminal::{look, say_data, say_made, shown};
use clap::Args;
use maclip_framework::error::{Error, Result};
use maclip_framework::recipe::expectation::Verdict;
use maclip_reports::{Grid, GridCell, GridColumn, Kind};
use serde_json::json;
use std::path::PathBuf;

/// Compare results with the numbers that their recipes expect
#[derive(Args)]
pub struct Arguments {
    /// Run directories, or folders that hold some
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

crate::verb!("check", 160, Arguments, check);

fn check(arguments: Arguments) -> Result<()> {
    let (mut count, mut wrong, mut elsewhere, mut unreadable) = (0, 0, 0, 0);
    let mut listed = Vec::new();
    let column = GridColumn::new;
    let mut grid = Grid::new(vec![
        column("run", Kind::Name, 0),
        column("expected", Kind::Name, 0),
        column("measured", Kind::Number, 0),
        column("", Kind::Words, 0),
        column("source", Kind::Words, 1),
    ]);
    for root in &arguments.runs {
        for run in readable(root, &mut unreadable)? {
            let (expected, setting) = run.expectations()?;
            for expect in expected {
                let verdict = expect.verdict(run.test(), &setting);
                count += 1;
                match verdict {
                    Verdict::Met { .. } => {}
                    Verdict::Elsewhere { .. } => elsewhere += 1,
                    Verdict::Short { .. } | Verdict::Missing { .. } => wrong += 1,
                }
                let (measured, word) = expect.words(run.test(), &setting);
                listed.push(json!({"dir": shown(&run.path), "expect": expect, "outcome": verdict}));
                let name = format!("{} {} s{}", run.manifest.name, run.manifest.variant, run.manifest.seed);
                let wanted = format!("{} ≥ {:.1}", expect.metric, expect.value - expect.tolerance);
                let cells = [name, wanted, measured, word, expect.source];
                grid.push(cells.iter().map(|cell| GridCell::new(cell)).collect());
            }
        }
    }
    if arguments.json {
        say_data(json!({"checked": count, "short": wrong, "not_comparable": elsewhere, "expectations": listed}))?;
    } else if count > 0 {
        say_made(grid.lines(&look()).join("\n"))?;
    }
    all_read(unreadable)?;
    match (count, wrong) {
        (0, _) => Err(Error::failed("no run expects anything").help(
            "add `expect: [{metric: accuracy, value: 83.4, tolerance: 0.5, source: 'paper, table 1'}]` to the recipe",
        )),
        (_, 0) => Ok(()),
        _ => Err(Error::failed(format!("{wrong} of {count} expectations are not met"))),
    }
}

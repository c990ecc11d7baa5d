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
    let look = look();
    // Said once, below the table, where a line has no room for them.
    let mut reasons: Vec<String> = Vec::new();
    let column = GridColumn::new;
    let mut grid = Grid::new(vec![
        column("run", Kind::Name, 0),
        column("expected", Kind::Name, 0),
        column("measured", Kind::Number, 0),
        column("", Kind::Name, 0),
        column("source", Kind::Note, 0),
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
                let (measured, mut word) = expect.words(run.test(), &setting);
                if let (Verdict::Elsewhere { reason, .. }, Some(_)) = (&verdict, look.width) {
                    word = format!("not comparable [{}]", number(&mut reasons, reason));
                }
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
        let reasons = reasons.iter().enumerate();
        let notes = reasons.map(|(at, reason)| look.note(&format!("[{}] {reason}", at + 1), 2));
        say_made(grid.lines(&look).into_iter().chain(notes).collect::<Vec<_>>().join("\n"))?;
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

/// The number of `reason` among `reasons`, from 1.
fn number(reasons: &mut Vec<String>, reason: &str) -> usize {
    let known = reasons.iter().position(|known| known == reason);
    known.unwrap_or_else(|| {
        reasons.push(reason.to_owned());
        reasons.len() - 1
    }) + 1
}

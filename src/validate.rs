//! `maclip validate RECIPE`: all problems of a recipe at once, without heavy I/O.

use clap::Args;
use maclip_framework::error::Result;
use maclip_framework::{recipe, study};
use serde_json::json;
use std::path::PathBuf;

#[derive(Args)]
pub struct Arguments {
    /// Recipe file
    recipe: PathBuf,
    /// Change a value: `--set alignment.lambda=0.5` (the value is YAML)
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

pub fn validate(arguments: Arguments) -> Result<()> {
    let checked = recipe::load(&arguments.recipe, &arguments.sets).and_then(|document| study::expand(&document.root));
    match checked {
        Ok(cells) if arguments.json => {
            let runs: Vec<_> = cells
                .iter()
                .map(|cell| {
                    json!({"variant": cell.variant, "seed": cell.recipe.seed, "hash": cell.recipe.hash,
                           "components": cell.recipe.components()})
                })
                .collect();
            println!("{}", json!({"valid": true, "runs": runs}));
            Ok(())
        }
        Ok(cells) => {
            let runs = if cells.len() == 1 { "1 run".to_owned() } else { format!("{} runs", cells.len()) };
            println!("{} is valid: {runs}", arguments.recipe.display());
            for cell in cells {
                println!("  {} seed {} {}", cell.variant, cell.recipe.seed, &cell.recipe.hash[..8]);
            }
            Ok(())
        }
        Err(problems) => {
            if arguments.json {
                println!("{}", json!({"valid": false, "diagnostics": problems.to_json()}));
            }
            Err(problems.into())
        }
    }
}

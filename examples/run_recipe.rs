//! Runs a recipe from Rust and prints how accurate it is.
//!
//! ```sh
//! cargo run --release --example run_recipe                                # the quickstart, cut down to a minute
//! cargo run --release --example run_recipe -- recipes/quickstart.yaml     # a recipe as it is
//! ```
//!
//! What is written is what `maclip run` writes: run directories below `runs/`, which `maclip report` reads. A run that
//! is there already is not made again.

use maclip_components as _;
use maclip_framework::engine::execute::{Options, execute};
use maclip_framework::error::Result;
use maclip_framework::progress::Silent;
use maclip_framework::recipe::study;
use std::path::Path;

/// As `--set` on the command line.
const SHORT: [&str; 3] = ["task.train.steps=20", "task.validation.episodes=50", "task.test.episodes=500"];

fn main() -> Result<()> {
    let given = std::env::args().nth(1);
    let (recipe, changes) = match &given {
        Some(path) => (path.as_str(), &[][..]),
        None => ("recipes/quickstart.yaml", &SHORT[..]),
    };
    for run in study::load(Path::new(recipe), changes)? {
        let done = execute(&run, Path::new("runs"), Options::default(), &Silent)?;
        if let Some(test) = done.test() {
            println!("{:<16} {:.1} ± {:.1} %", run.name(), 100.0 * test.value, 100.0 * test.ci95);
        }
    }
    Ok(())
}

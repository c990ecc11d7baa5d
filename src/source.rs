//! The arguments of every verb that reads a recipe.

use crate::complete;
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use maclip_framework::recipe::{self, Arguments, Change, Diagnostics, Document};
use maclip_framework::run::Purpose;
use maclip_framework::study::{self, Expansion};
use std::path::PathBuf;

/// A recipe and what the command line changes in it.
#[derive(Args)]
pub struct Source {
    /// Recipe file
    #[arg(add = ArgValueCompleter::new(complete::recipes))]
    pub recipe: PathBuf,
    #[command(flatten)]
    pub changes: Changes,
}

/// Changes of a recipe.
#[derive(Args)]
pub struct Changes {
    /// Change a value: `--set alignment.lambda=0.5` (the value is YAML; `list[0]` is an item of a list, `list[+]` a new one)
    #[arg(long = "set", value_name = "PATH=VALUE", add = ArgValueCompleter::new(complete::changes))]
    sets: Vec<String>,
    /// Take a key out, so that its default holds: `--unset study`
    #[arg(long = "unset", value_name = "PATH", add = ArgValueCompleter::new(complete::paths))]
    unsets: Vec<String>,
}

impl Changes {
    /// As arguments, with `others` that a verb's own options stand for.
    pub fn arguments(&self, others: Vec<Change>) -> Arguments {
        Arguments { sets: self.sets.clone(), unsets: self.unsets.clone(), others }
    }

    pub fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.unsets.is_empty()
    }
}

impl Source {
    /// The recipe with its changes, and `others` that the verb's own options stand for.
    pub fn load(&self, others: Vec<Change>) -> Result<Document, Diagnostics> {
        recipe::load(&self.recipe, &self.changes.arguments(others))
    }

    /// The runs of the recipe.
    pub fn expand(&self, purpose: Purpose) -> Result<Expansion, Diagnostics> {
        study::expand(&self.load(Vec::new())?, purpose)
    }
}

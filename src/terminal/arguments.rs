//! The arguments of every verb that reads a recipe.

use super::completion;
use crate::shipped;
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use maclip_framework::recipe::Purpose;
use maclip_framework::recipe::study::{self, Expansion};
use maclip_language::{Arguments, Change, Diagnostics, Document, codes};
use std::path::{Path, PathBuf};

/// A recipe and what the command line changes in it.
#[derive(Args)]
pub struct Source {
    /// Recipe file
    #[arg(add = ArgValueCompleter::new(completion::recipes))]
    pub recipe: PathBuf,
    #[command(flatten)]
    pub changes: Changes,
}

/// Changes of a recipe.
#[derive(Args)]
pub struct Changes {
    /// Change a value: `--set alignment.lambda=0.5` (the value is YAML; `list[0]` is an item of a list, `list[+]` a new one)
    #[arg(long = "set", value_name = "PATH=VALUE", add = ArgValueCompleter::new(completion::changes))]
    sets: Vec<String>,
    /// Remove a key, so that its default holds: `--unset study`
    #[arg(long = "unset", value_name = "PATH", add = ArgValueCompleter::new(completion::paths))]
    unsets: Vec<String>,
}

impl Changes {
    /// As arguments of the recipe language, with `others`, which come from a verb's own options.
    pub fn arguments(&self, others: Vec<Change>) -> Arguments {
        Arguments { sets: self.sets.clone(), unsets: self.unsets.clone(), others }
    }

    pub fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.unsets.is_empty()
    }
}

impl Source {
    /// The recipe with its changes and with `others`, which come from the verb's own options.
    pub fn load(&self, others: Vec<Change>) -> Result<Document, Diagnostics> {
        load(&self.recipe, &self.changes.arguments(others))
    }

    /// The runs of the recipe.
    pub fn expand(&self, purpose: Purpose) -> Result<Expansion, Diagnostics> {
        study::expand(&self.load(Vec::new())?, purpose)
    }
}

/// The recipe at `path` with its changes. Where there is no such file, the error says where the shipped recipe of that
/// name is.
pub fn load(path: &Path, changes: &Arguments) -> Result<Document, Diagnostics> {
    maclip_language::load(path, changes).map_err(|problems| {
        let places: Vec<String> = match path.exists() {
            true => Vec::new(),
            false => shipped::named_as(path).map(|recipe| format!("recipes/{}.yaml", recipe.name)).collect(),
        };
        places.iter().filter(|place| Path::new(place) != path).fold(problems, |problems, place| {
            let found = problems.into_iter().map(|problem| {
                let help = format!("the shipped recipe of this name is {place}");
                if problem.code == codes::UNREADABLE { problem.help(help) } else { problem }
            });
            Diagnostics::from_list(found.collect()).expect("there were problems to begin with")
        })
    })
}

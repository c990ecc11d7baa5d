//! The arguments of every verb that reads a recipe.

use super::{completion, tell};
use crate::shipped::{self, RECIPES, Shipped};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use maclip_framework::error::Error;
use maclip_framework::recipe::Purpose;
use maclip_framework::recipe::study::{self, Expansion};
use maclip_language::{Arguments, Change, Diagnostic, Diagnostics, Document, Node, Origin, codes, suggest};
use std::path::{Path, PathBuf};

/// A recipe and what the command line changes in it.
#[derive(Args)]
pub struct Source {
    /// Recipe: a file, or the name of a shipped one, such as `quickstart`
    #[arg(add = ArgValueCompleter::new(completion::recipes))]
    pub recipe: PathBuf,
    #[command(flatten)]
    pub changes: Changes,
}

/// Where a verb that makes runs copies what it reads from a shared folder.
#[derive(Args)]
pub struct Local {
    /// Folder on a disk of this machine: clips and features of a shared store are copied there once and read from there
    #[arg(long, value_name = "DIR")]
    local_cache: Option<PathBuf>,
}

impl Local {
    /// The change of the recipe that the option makes.
    pub fn change(&self) -> Result<Option<Change>, Error> {
        let Some(folder) = &self.local_cache else { return Ok(None) };
        let origin = Origin::argument("--local-cache", &folder.display().to_string());
        // Processes that make the runs may begin in another folder.
        let whole = std::path::absolute(folder).map_err(|error| Error::io("find", folder, error))?;
        let Some(whole) = whole.to_str() else {
            let problem = Diagnostic::new(codes::ARGUMENT, format!("{} is not UTF-8", folder.display()));
            let help = "the path becomes a part of the recipe, which is text: choose a folder of plain characters";
            return Err(problem.at(&origin).help(help).into());
        };
        let value = Node::from_json(&whole.into()).map_origins(&|_| origin.clone());
        Ok(Some(Change { path: "compute.local_cache".to_owned(), origin, value: Some(value) }))
    }
}

/// Changes of a recipe.
#[derive(Args)]
pub struct Changes {
    /// Change a value: `--set alignment.lambda=0.5` (the value is YAML; `list[0]` is an item of a list, `list[+]` a new
    /// one)
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

/// The shipped recipe that `path` names. A file of exactly this path comes first, and what ends with `.yaml` or `.yml`
/// is always a file.
pub fn shipped_named(path: &Path) -> Option<&'static Shipped> {
    let file = path.metadata().is_ok_and(|about| !about.is_dir());
    let yaml = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
    if file || yaml { None } else { shipped::find(path.to_str()?) }
}

/// Whether `path` names a recipe: a file, or a shipped one where nothing has this path.
pub fn is_recipe(path: &Path) -> bool {
    path.is_file() || !path.exists() && shipped_named(path).is_some()
}

/// The recipe that `path` names, with its changes. Where there is none, the error says how a shipped one is named.
pub fn load(path: &Path, changes: &Arguments) -> Result<Document, Diagnostics> {
    let Some(recipe) = shipped_named(path) else {
        let there = path.exists();
        return maclip_language::load(path, changes)
            .map_err(|problems| if there { problems } else { known(problems, path) });
    };
    let beside = format!("{}.yaml", path.display());
    if Path::new(&beside).is_file() {
        tell(format!("`{}` is the shipped recipe, and not the file {beside}: write that for the file", path.display()));
    }
    recipe.load(changes)
}

/// `problems` of a `path` that is not there, with the names of shipped recipes.
fn known(problems: Diagnostics, path: &Path) -> Diagnostics {
    let mut helps: Vec<String> = shipped::named_as(path)
        .map(|recipe| format!("`{}`, without `.yaml`, is a shipped recipe", recipe.name))
        .collect();
    if helps.is_empty() {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let near = suggest(&stem, RECIPES.iter().map(|recipe| recipe.name));
        helps.extend(near.map(|near| format!("did you mean `{near}`?")));
        helps.push("shipped recipes go by their name, such as `quickstart`: `maclip init` lists them".to_owned());
    }
    let found = problems.into_iter().map(|problem| match problem.code {
        codes::UNREADABLE => problem.helps(helps.iter().cloned()),
        _ => problem,
    });
    Diagnostics::from_list(found.collect()).expect("there were problems to begin with")
}

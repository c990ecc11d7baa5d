//! Which model recognises: the default recipe, another recipe, a weights file, or a trained run.

use crate::shipped;
use crate::terminal::arguments::{self, Changes};
use crate::terminal::run_list::run_path;
use clap::Args;
use maclip_components::backbones::inspect::{self, Hints};
use maclip_framework::error::{Error, Result};
use maclip_framework::progress::Progress;
use maclip_framework::recipe::{Purpose, Recipe, study};
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::weights::hub;
use maclip_language::{Change, Diagnostic, Node, Origin, codes, load, name_help, within};
use serde_json::json;
use std::path::{Path, PathBuf};

/// The model.
#[derive(Args)]
pub struct Model {
    /// A recipe that names the components [default: that of `maclip init classify`]
    #[arg(long, value_name = "FILE", conflicts_with = "run")]
    recipe: Option<PathBuf>,
    /// The variant of the recipe's study
    #[arg(long, value_name = "NAME", requires = "recipe")]
    variant: Option<String>,
    /// A run directory, or FOLDER/VARIANT where it has one run: its trained weights
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// A CLIP checkpoint in place of the recipe's: a file, a folder, or `hf:OWNER/NAME`, which is fetched
    #[arg(long, value_name = "WEIGHTS", conflicts_with = "run")]
    weights: Option<PathBuf>,
}

impl Model {
    /// The run directory whose weights are used.
    ///
    /// # Errors
    /// Where several runs have the name that was given.
    pub fn run(&self) -> Result<Option<PathBuf>> {
        self.run.as_deref().map(run_path).transpose()
    }
}

/// What a call may change of a trained run.
const OF_A_RUN: [&str; 2] = ["device", "compute"];
/// The recipe that the arguments ask for, and what answers call it.
///
/// # Errors
/// Where it cannot be read, is a study of which no variant is named, or a run would become another model.
pub fn recipe_of(model: &Model, changes: &Changes, progress: &dyn Progress) -> Result<(Recipe, String)> {
    let mut own = Vec::new();
    if let Some(file) = &model.weights {
        let path = file.to_str().ok_or_else(|| Error::failed(format!("{} is not UTF-8", file.display())))?;
        hub::provide(path, progress)?;
        let found = inspect::inspect(path, &Hints::default())?;
        let backbone = found.backbone.as_ref().map_err(|problem| {
            let error = Error::failed(format!("{path} fits no backbone: {problem}"));
            error.help("`maclip weights inspect` shows what is in it")
        })?;
        own.push(change("--weights", path, "backbone", &json!({"type": backbone.name, "weights": path})));
    }
    let arguments_of = changes.arguments(own);
    if let Some(run) = model.run()? {
        let document = load(&run.join("recipe.resolved.yaml"), &arguments_of)?;
        if let Some(change) =
            document.changes.iter().find(|change| !OF_A_RUN.iter().any(|allowed| within(&change.path, allowed)))
        {
            let message =
                format!("`{}` belongs to the model of the run, and its weights are for that model", change.path);
            let help = format!("of a run, {} may be changed", OF_A_RUN.map(|path| format!("`{path}`")).join(" and "));
            return Err(Diagnostic::new(codes::ARGUMENT, message)
                .at(&change.origin)
                .path(&change.path)
                .help(help)
                .into());
        }
        let mut recipe = Recipe::check_for(&document.root, Purpose::Plan)?;
        RunDirectory::open(&run)?.pin(&mut recipe);
        return Ok((recipe, run.display().to_string()));
    }
    let document = match &model.recipe {
        Some(path) => arguments::load(path, &arguments_of)?,
        None => {
            let shipped = shipped::find("classify")
                .ok_or_else(|| Error::failed("the recipe `classify` is not in this program"))?;
            shipped.load(&arguments_of)?
        }
    };
    let mut runs = study::expand(&document, Purpose::Plan)?.runs;
    runs.dedup_by(|b, a| a.design == b.design);
    let place = model.recipe.as_deref().unwrap_or(Path::new("classify")).display().to_string();
    let names: Vec<String> = runs.iter().map(|run| run.design.clone()).collect();
    let at = match &model.variant {
        None if runs.len() == 1 => 0,
        None => {
            return Err(Error::failed(format!("{place} is a study of {}", names.join(", ")))
                .help("name one of them with `--variant NAME`"));
        }
        Some(name) => names.iter().position(|known| known == name).ok_or_else(|| {
            Diagnostic::new(codes::UNKNOWN_NAME, format!("{place} has no variant `{name}`"))
                .helps(name_help(name, names.iter().map(String::as_str)))
        })?,
    };
    let chosen = runs.swap_remove(at);
    let name =
        if names.len() > 1 { format!("{}, {}", chosen.recipe.name, names[at]) } else { chosen.recipe.name.clone() };
    Ok((chosen.recipe, name))
}

/// The model in a few words, such as `classify: clip_vit, otam`.
pub fn model_words(recipe: &Recipe, name: &str) -> String {
    let parts = recipe.components();
    let part = |slot: &str| parts.get(slot).map_or("none", String::as_str);
    let parts = ["backbone", "adapter", "prototype", "alignment"].map(part);
    format!("{name}: {}", parts.into_iter().filter(|part| *part != "none").collect::<Vec<_>>().join(", "))
}

fn change(option: &'static str, written: &str, path: &str, value: &serde_json::Value) -> Change {
    let origin = Origin::argument(option, written);
    let node = Node::from_json(value).map_origins(&|_| origin.clone());
    Change { path: path.to_owned(), origin, value: Some(node) }
}

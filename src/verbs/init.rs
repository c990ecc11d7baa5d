//! `maclip init [RECIPE]`: writes a shipped recipe, and what it extends, to edit.

use crate::shipped::{self, FILES, RECIPES, Shipped};
use crate::terminal::{completion, say, say_data, shown};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use maclip_framework::error::{Error, Result};
use maclip_framework::files::write_atomically;
use maclip_framework::recipe::schema;
use maclip_language::{Diagnostic, Files, Node, codes, name_help};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Write a shipped recipe, and the recipes it extends, into a folder to edit them
#[derive(Args)]
pub struct Arguments {
    /// A shipped recipe, such as `quickstart` or `ablations/modules`; without it, all of them are listed
    #[arg(add = ArgValueCandidates::new(completion::shipped))]
    recipe: Option<String>,
    /// Folder to write to
    #[arg(long, value_name = "DIR", default_value = "recipes")]
    folder: PathBuf,
    /// Replace files that are there and differ
    #[arg(long)]
    force: bool,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

crate::verb!("init", 50, Arguments, init);

fn init(arguments: Arguments) -> Result<()> {
    let Some(name) = &arguments.recipe else { return list(arguments.json) };
    let first = shipped::find(name).ok_or_else(|| {
        Diagnostic::new(codes::UNKNOWN_NAME, format!("there is no shipped recipe `{name}`"))
            .helps(name_help(name, RECIPES.iter().map(|recipe| recipe.name)))
    })?;
    let mut wanted = vec![first];
    let mut at = 0;
    while at < wanted.len() {
        for parent in parents(wanted[at]) {
            if !wanted.iter().any(|known| known.name == parent.name) {
                wanted.push(parent);
            }
        }
        at += 1;
    }
    let mut files: Vec<(PathBuf, String)> =
        wanted.iter().map(|recipe| (file(&arguments.folder, recipe), recipe.text.to_owned())).collect();
    // For editors; the recipes say where it is.
    files.push((arguments.folder.join("schema.json"), format!("{:#}\n", schema::recipe())));
    let differs =
        |path: &Path, text: &str| path.exists() && std::fs::read(path).ok().as_deref() != Some(text.as_bytes());
    if let Some((path, _)) = files.iter().find(|(path, text)| !arguments.force && differs(path, text)) {
        return Err(Error::failed(format!("{} is there already, and differs", path.display()))
            .help("choose another folder with `--folder DIR`, or replace it with --force"));
    }
    for (path, text) in &files {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| Error::io("make the folder", folder, error))?;
        }
        write_atomically(path, text.as_bytes())?;
    }
    let path = file(&arguments.folder, first);
    if arguments.json {
        return say(
            json!({"recipe": shown(&path), "files": files.iter().map(|(path, _)| shown(path)).collect::<Vec<_>>()}),
        );
    }
    files.iter().try_for_each(|(path, _)| say(format!("wrote {}", path.display())))?;
    let path = path.display();
    say(format!("\nnext: edit it, then\n  maclip validate {path}\n  maclip run {path} --dry-run\n  maclip run {path}"))
}

fn list(json: bool) -> Result<()> {
    if json {
        let listed: Vec<_> =
            RECIPES.iter().map(|recipe| json!({"name": recipe.name, "summary": recipe.summary()})).collect();
        return say_data(json!({ "recipes": listed }));
    }
    say("shipped recipes; `maclip run NAME` runs one, and `maclip init NAME` writes it to recipes/ for you to edit\n")?;
    RECIPES.iter().try_for_each(|recipe| say(format!("  {:<32} {}", recipe.name, recipe.summary())))
}

fn file(folder: &Path, recipe: &Shipped) -> PathBuf {
    folder.join(recipe.file())
}

/// The recipes that `recipe` extends, in its variants too.
fn parents(recipe: &Shipped) -> Vec<&'static Shipped> {
    let Some(tree) = recipe.tree() else { return Vec::new() };
    let variants = tree.at("study.variants").and_then(Node::as_map);
    let variants = variants.into_iter().flatten().map(|variant| &variant.value);
    let extends = std::iter::once(&tree).chain(variants).filter_map(|tree| tree.at("extends"));
    let paths = extends.flat_map(|node| match node.as_list() {
        Some(list) => list.iter().filter_map(Node::as_str).collect(),
        None => node.as_str().into_iter().collect::<Vec<_>>(),
    });
    let beside = |path: &str| {
        let folder = Path::new(recipe.name).parent().unwrap_or(Path::new(""));
        shipped::find(FILES.identity(&folder.join(path)).to_str()?)
    };
    paths.filter_map(beside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_recipe_extends_comes_with_it() {
        let names = |name: &str| parents(shipped::find(name).unwrap()).iter().map(|r| r.name).collect::<Vec<_>>();
        assert_eq!(names("ablations/modules"), ["quickstart"]);
        assert!(names("methods").contains(&"parts/method") && names("methods").contains(&"methods/trx"));
        assert_eq!(names("quickstart"), [""; 0]);
    }
}

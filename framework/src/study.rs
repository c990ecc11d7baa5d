//! Studies: one recipe, several variants and seeds. Expands to frozen recipes with readable variant names.

use crate::recipe::{Diagnostic, Diagnostics, Node, Origin, apply_variant, codes, from_node, interpolate};
use crate::run::{Purpose, Recipe};
use serde::Deserialize;

/// One run of a study.
#[derive(Clone, Debug)]
pub struct Cell {
    pub variant: String,
    pub recipe: Recipe,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Options {
    seeds: Option<Vec<u64>>,
    variants: Option<serde_json::Value>,
}

/// The cells of `root` (merged, not interpolated), variant by variant, seed by seed. Without `study:` one cell called
/// `default`.
pub fn expand(root: &Node) -> Result<Vec<Cell>, Diagnostics> {
    expand_for(root, Purpose::Run)
}

/// [`expand`], for runs or only for their plans.
pub fn expand_for(root: &Node, purpose: Purpose) -> Result<Vec<Cell>, Diagnostics> {
    let mut base = root.clone();
    let study = base.as_map_mut().and_then(|map| map.remove("study"));
    let Some(study) = study else {
        let recipe = Recipe::check_for(&interpolate(&base)?, purpose)?;
        return Ok(vec![Cell { variant: "default".to_owned(), recipe }]);
    };
    let options: Options = from_node(&study, "study")?;
    if options.seeds.as_ref().is_some_and(Vec::is_empty) {
        let origin = study.at("seeds").map_or(&study.origin, |node| &node.origin);
        return Err(Diagnostic::new(codes::OUT_OF_RANGE, "`seeds` is empty").at(origin).path("study.seeds").into());
    }
    let mut variants: Vec<(String, Option<&Node>)> = Vec::new();
    if let Some(node) = study.at("variants").filter(|_| options.variants.is_some()) {
        let Some(map) = node.as_map().filter(|map| !map.is_empty()) else {
            let message = format!("`variants` maps names to changes of the recipe; it is {}", node.describe());
            return Err(Diagnostic::new(codes::WRONG_TYPE, message).at(&node.origin).path("study.variants").into());
        };
        for entry in map.iter() {
            if entry.key.is_empty() || !entry.key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c)) {
                let message = format!("variant `{}` cannot name a folder", entry.key);
                let diagnostic = Diagnostic::new(codes::OUT_OF_RANGE, message).at(&entry.key_origin);
                return Err(diagnostic
                    .path("study.variants")
                    .help("use letters, digits, `-`, `_`, `+` and `.`")
                    .into());
            }
            variants.push((entry.key.clone(), Some(&entry.value)));
        }
    } else {
        variants.push(("default".to_owned(), None));
    }
    let mut cells = Vec::new();
    let mut problems = Vec::new();
    for (variant, changes) in variants {
        let mut changed = base.clone();
        if let Some(changes) = changes.filter(|changes| !changes.is_null()) {
            apply_variant(&mut changed, changes)?;
        }
        let seeds: Vec<Option<u64>> = match &options.seeds {
            Some(seeds) => seeds.iter().copied().map(Some).collect(),
            None => vec![None],
        };
        for seed in seeds {
            let mut cell = changed.clone();
            if let (Some(seed), Some(map)) = (seed, cell.as_map_mut()) {
                map.insert("seed", Origin::Default, Node::from_json(&serde_json::Value::from(seed)));
            }
            match interpolate(&cell).and_then(|cell| Recipe::check_for(&cell, purpose)) {
                Ok(recipe) => cells.push(Cell { variant: variant.clone(), recipe }),
                // The same problem in every variant is one problem; equal diagnostics are dropped when they are sorted.
                Err(found) => problems.extend(found.into_vec()),
            }
        }
    }
    Diagnostics::check(problems)?;
    Ok(cells)
}

//! Studies: several runs from one recipe. `study:` says which; [`expand`] makes a checked recipe for each, with a
//! readable name.
//!
//! A study has designs and seeds, and every design runs with every seed. A design is one of the `variants` (named sets
//! of changes) or the recipe without one of the slots in `without`, combined with one point of the grid of `axes`. Runs
//! that `exclude` matches are left out.

mod design;
mod exclude;
mod order;
mod shown;
mod trial;

pub use order::Order;
pub use shown::Shown;

pub(crate) use design::names_a_run;
pub(crate) use trial::called_after;

use crate::recipe::changes::reaches;
use crate::recipe::{Purpose, Recipe, presets};
use design::{Design, designs};
use exclude::Exclusions;
use maclip_language::{
    Arguments, Change, Diagnostic, Diagnostics, Document, Node, Origin, apply_all, apply_variant, codes, interpolate,
    segments, within,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One run of a study.
#[derive(Clone, Debug)]
pub struct StudyRun {
    /// The name of its design, such as `ma_clip` or `ma_clip+lambda=0.5`; `default` where there is no study.
    pub design: String,
    /// The same, with what the command line changes where that makes another run of it: `ma_clip+adapter=lora`.
    pub variant: String,
    /// With every change of the study and the preset.
    pub recipe: Recipe,
}

impl StudyRun {
    /// The run of `design` with the checked `recipe`.
    pub fn new(design: &str, recipe: Recipe) -> Self {
        Self { design: design.to_owned(), variant: design.to_owned(), recipe }
    }

    /// Whether the command line makes it another run than the recipe's own.
    pub fn is_trial(&self) -> bool {
        self.variant != self.design
    }

    /// `ma_clip-s1`: variant and seed.
    pub fn name(&self) -> String {
        format!("{}-s{}", self.variant, self.recipe.seed)
    }

    /// The folder of the run below `runs`: `<runs>/<recipe name>/<variant>-s<seed>-<first 8 digits of the hash>`.
    pub fn directory(&self, runs: &Path) -> PathBuf {
        let Recipe { name, seed, hash, .. } = &self.recipe;
        runs.join(name).join(format!("{}-s{seed}-{}", self.variant, &hash[..8]))
    }
}

/// The recipe's `study:`.
#[derive(Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Study {
    /// Every run of the study is made once with each of these seeds, in the place of the recipe's `seed`.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub seeds: Option<Vec<u64>>,
    /// Named sets of changes: dotted paths (`task.shot: 5`), or maps as in a recipe. `extends` takes the changes from
    /// another recipe. `{}` is the recipe itself.
    pub variants: Option<BTreeMap<String, serde_json::Value>>,
    /// A grid: for each dotted path a list of its values, which may be whole components; or a map from names to values.
    pub axes: Option<BTreeMap<String, serde_json::Value>>,
    /// Slots to leave out, one at a time: each is replaced by its identity component, such as `none`. The whole recipe
    /// runs too, as `full`.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub without: Option<Vec<String>>,
    /// Runs to leave out. Each item is a map of conditions that must all hold; its keys are `variant`, `seed` and the
    /// paths of axes. A list of values means any of them.
    #[schemars(length(min = 1))]
    pub exclude: Option<Vec<BTreeMap<String, serde_json::Value>>>,
    /// The variant that the report compares the others with. With axes, a name of a variant stands for all points of
    /// the grid, each compared within its own table.
    pub baseline: Option<String>,
    /// Orders of variants that the study is expected to show. The report says of each pair of neighbours whether it
    /// does.
    #[schemars(length(min = 1))]
    pub order: Option<Vec<Order>>,
}

/// A run that the recipe's preset leaves out.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// The run as it would be without the preset.
    pub run: StudyRun,
    /// The preset's reason.
    pub reason: String,
}

/// The runs of a study.
#[derive(Debug)]
pub struct Expansion {
    /// Design by design, and for each design seed by seed.
    pub runs: Vec<StudyRun>,
    /// Runs that the preset leaves out.
    pub skipped: Vec<Skipped>,
    /// Orders that the study is expected to show; none where the command line changes its runs.
    pub order: Vec<Order>,
    /// How the report shows them.
    pub shown: Shown,
    /// Warnings and notes about the recipe and the arguments.
    pub notes: Vec<Diagnostic>,
}

/// The runs of the recipe file at `path`, with `changes` as `--set` takes them (`task.shot=5`).
///
/// # Errors
/// Every problem of the file and of its runs, each with its place.
pub fn load(path: &Path, changes: &[&str]) -> Result<Vec<StudyRun>, Diagnostics> {
    let sets = changes.iter().map(|change| (*change).to_owned()).collect();
    let document = maclip_language::load(path, &Arguments { sets, ..Arguments::default() })?;
    Ok(expand(&document, Purpose::Run)?.runs)
}

/// The runs of `document`, design by design, and for each design seed by seed. Without `study:` it is one run called
/// `default`.
///
/// # Errors
/// Every problem of the study, the preset and the runs, each with its place; an argument of the command line without an
/// effect on any run; an `exclude` that matches nothing; and a study without runs.
pub fn expand(document: &Document, purpose: Purpose) -> Result<Expansion, Diagnostics> {
    let mut expansion = runs_of(document, purpose)?;
    trial::name(document, &mut expansion);
    Ok(expansion)
}

/// [`expand`], with the names of the designs.
fn runs_of(document: &Document, purpose: Purpose) -> Result<Expansion, Diagnostics> {
    let mut base = document.root.clone();
    let study = base.as_map_mut().and_then(|map| map.remove("study")).filter(|study| !study.is_null());
    let mut problems = Vec::new();
    let mut notes = document.notes.clone();
    let (designs, study) = match &study {
        None => (vec![Design::default()], Study::default()),
        Some(node) => designs(node, &mut problems),
    };
    let seeds: Vec<Option<u64>> =
        study.seeds.as_ref().map_or(vec![None], |seeds| seeds.iter().copied().map(Some).collect());
    if problems.is_empty() {
        problems.extend(order::unknown(&study, document.root.at("study.order"), &designs));
        problems.extend(shown::unknown_baseline(&study, document, &designs));
    }
    let excluded = Exclusions::of(&study, document.root.at("study.exclude"));
    let (mut runs, mut skipped): (Vec<StudyRun>, Vec<Skipped>) = Default::default();
    let mut of_runs: Vec<(Diagnostic, Vec<String>)> = Vec::new();
    if study.variants.is_some() || study.without.is_some() {
        // It would be the label of all of them.
        base.as_map_mut().map(|map| map.remove("label"));
    }
    let mut reached = vec![0; document.changes.len()];
    let mut trees = 0;
    for design in &designs {
        let mut changed = base.clone();
        let applied = match design.variant_changes {
            Some(changes) => apply_variant(&mut changed, changes, &mut notes),
            None => Ok(()),
        };
        let applied = applied.and_then(|()| apply_all(&mut changed, design.changes.clone(), &mut notes));
        if let Err(found) = applied {
            problems.extend(found);
            continue;
        }
        for seed in seeds.iter().filter(|seed| !excluded.matches(design, **seed)) {
            let mut tree = changed.clone();
            if let (Some(seed), Some(map)) = (seed, tree.as_map_mut()) {
                map.insert("seed", Origin::Default, Node::from_json(&serde_json::Value::from(*seed)));
            }
            trees += 1;
            let mut hold: Vec<bool> =
                document.changes.iter().map(|change| reaches(change, &tree, &document.changes)).collect();
            let skip = presets::apply(&mut tree, &document.changes, &mut hold, &mut notes);
            reached.iter_mut().zip(&hold).for_each(|(count, holds)| *count += usize::from(*holds));
            let checked = skip.and_then(|skip| {
                // A run that is left out needs no data and no weights.
                let purpose = if skip.is_some() { Purpose::Plan } else { purpose };
                let mut recipe = Recipe::check_for(&interpolate(&tree, document.folder())?, purpose)?;
                design.point_names().for_each(|name| recipe.extend_label(&format!(", {name}")));
                Ok((skip, StudyRun::new(&design.label(), recipe)))
            });
            match checked {
                Ok((None, run)) => runs.push(run),
                Ok((Some(reason), run)) => skipped.push(Skipped { run, reason }),
                // The same problem in several runs is one problem.
                Err(found) => found.into_iter().for_each(|problem| {
                    let run = seed.map_or(design.label(), |seed| format!("{}-s{seed}", design.label()));
                    match of_runs.iter_mut().find(|(known, _)| *known == problem) {
                        Some((_, runs)) => runs.push(run),
                        None => of_runs.push((problem, vec![run])),
                    }
                }),
            }
        }
    }
    let complete = problems.is_empty() && of_runs.is_empty();
    problems.extend(of_runs.into_iter().map(|(problem, runs)| match runs.len() {
        // The place in the recipe is enough; runs are named only if not all have the problem.
        count if count == trees => problem,
        1..=3 => problem.help(format!("only in {}", runs.join(", "))),
        count => problem.help(format!("only in {count} runs, such as {}", runs[0])),
    }));
    if complete {
        problems.extend(excluded.unused());
    }
    if trees == 0 && problems.is_empty() {
        let origin = study_origin(document, "exclude");
        problems.push(Diagnostic::new(codes::STUDY, "the study leaves no run").at(&origin).path("study.exclude"));
    }
    if problems.is_empty() {
        let (lost, partial) = unreached(document, &reached, trees);
        problems.extend(lost);
        notes.extend(partial);
        problems.extend(shown::alike(document, &runs));
        notes.extend(duplicates(&runs, &study_origin(document, "variants")));
    }
    Diagnostics::check(problems)?;
    let notes = Diagnostics::from_list(notes).map(Diagnostics::into_vec).unwrap_or_default();
    let shown = Shown::of(&study, runs.iter().chain(skipped.iter().map(|skipped| &skipped.run)));
    Ok(Expansion { runs, skipped, order: study.order.unwrap_or_default(), shown, notes })
}

fn study_origin(document: &Document, key: &str) -> Origin {
    let study = document.root.at("study");
    let node = study.and_then(|study| study.at(key)).or(study).unwrap_or(&document.root);
    node.origin.clone()
}

/// Diagnostics for arguments that have no effect on any run, and notes for those that have one on some runs only.
fn unreached(document: &Document, reached: &[usize], trees: usize) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    let (mut lost, mut partial) = (Vec::new(), Vec::new());
    for (at, (change, &count)) in document.changes.iter().zip(reached).enumerate() {
        let path = &change.path;
        // If there is a later argument for the same place, only that one counts.
        let same = |later: &Change| segments(&later.path).eq(segments(path));
        let again = document.changes[at + 1..].iter().any(same);
        if count == trees || again {
            continue;
        }
        let what = match count {
            0 => format!("`{path}` reaches no run: the study sets it again in each"),
            _ => format!("`{path}` reaches {count} of {trees} runs: the study sets it again in the others"),
        };
        let axes = document.root.at("study.axes").and_then(Node::as_map);
        let axis = axes.into_iter().flatten().find(|axis| within(path, &axis.key) || within(&axis.key, path));
        let help = match path.as_str() {
            _ if axis.is_some() => {
                let axis = axis.map_or("", |axis| &axis.key);
                format!("`--set 'study.axes.{axis}=[…]'` changes the axis, `--unset study.axes.{axis}` takes it out")
            }
            "seed" => {
                "`--set 'study.seeds=[…]'` changes the seeds, `--unset study.seeds` leaves them to `seed`".to_owned()
            }
            _ => {
                format!("`--set study.variants.NAME.{path}=…` changes a variant, `--unset study` runs the recipe alone")
            }
        };
        let problem = if count == 0 { Diagnostic::new } else { Diagnostic::note };
        let problem = problem(codes::NO_EFFECT, what).at(&change.origin).path(path).help(help);
        if count == 0 { lost.push(problem) } else { partial.push(problem) }
    }
    (lost, partial)
}

/// Notes about runs that are the same under two names.
fn duplicates(runs: &[StudyRun], origin: &Origin) -> Vec<Diagnostic> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for run in runs {
        let first = *seen.entry(&run.recipe.hash).or_insert(&run.variant);
        if first != run.variant {
            let message = format!("`{first}` and `{}` are the same run, and it runs once for both", run.variant);
            found.push(Diagnostic::note(codes::STUDY, message).at(origin).path("study"));
        }
    }
    found
}

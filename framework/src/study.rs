//! Studies: one recipe, several runs. `study:` says which; [`expand`] makes a frozen recipe of each, with a readable name.
//!
//! A study has designs and seeds, and every design runs with every seed. Designs are its `variants` (named sets of changes) and
//! what `without` leaves out, each combined with every point of the grid that `axes` spans, less what `exclude` matches.

use crate::preset;
use crate::recipe::{
    Change, Diagnostic, Diagnostics, Document, Entry, Map, Node, Origin, Repaired, Value, apply_all, apply_variant,
    codes, from_node_repaired, identity as identity_of, interpolate, item, join, name_help, segments, within,
};
use crate::records::LeftOut;
use crate::registry::{SLOTS, slot};
use crate::run::{Purpose, Recipe};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One run of a study.
#[derive(Clone, Debug)]
pub struct Cell {
    pub variant: String,
    pub recipe: Recipe,
}

impl Cell {
    /// `ma_clip-s1`: variant and seed.
    pub fn name(&self) -> String {
        format!("{}-s{}", self.variant, self.recipe.seed)
    }
}

/// The recipe's `study:`.
#[derive(Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Study {
    /// Every design runs once with each of these seeds, in place of the recipe's `seed`.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub seeds: Option<Vec<u64>>,
    /// Named sets of changes: dotted paths (`task.shot: 5`) or maps as in a recipe; `extends` takes another recipe's. `{}` is the
    /// recipe itself.
    pub variants: Option<BTreeMap<String, serde_json::Value>>,
    /// A grid: for each dotted path the values it takes, numbers or whole components; or a map from names to values.
    pub axes: Option<BTreeMap<String, serde_json::Value>>,
    /// Slots to leave out, one at a time, each by its identity component; the whole recipe runs beside them as `full`.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub without: Option<Vec<String>>,
    /// Runs to leave out: each item is a map of conditions that must all hold, out of `variant`, `seed` and the paths of axes.
    #[schemars(length(min = 1))]
    pub exclude: Option<Vec<BTreeMap<String, serde_json::Value>>>,
}

/// A run that the recipe's preset leaves out.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// What would run without the preset.
    pub cell: Cell,
    pub reason: String,
}

impl Skipped {
    /// For the report.
    pub fn record(&self) -> LeftOut {
        let Recipe { seed, expect, .. } = &self.cell.recipe;
        LeftOut { variant: self.cell.variant.clone(), seed: *seed, reason: self.reason.clone(), expect: expect.clone() }
    }
}

/// A study and what is worth saying about it.
#[derive(Debug)]
pub struct Expansion {
    pub cells: Vec<Cell>,
    pub skipped: Vec<Skipped>,
    /// Warnings and notes.
    pub notes: Vec<Diagnostic>,
}

/// More designs than this are a slip.
const MOST_DESIGNS: usize = 10_000;
/// With seed and hash it must stay within the 255 bytes of a folder's name.
const LONGEST_NAME: usize = 200;

/// One point of the design: a name, the conditions that `exclude` can name, and changes to apply one after the other.
#[derive(Clone, Default)]
struct Design<'a> {
    name: Vec<String>,
    /// The variant's name, for `exclude`.
    variant: String,
    variant_changes: Option<&'a Node>,
    /// Paths and values of axes.
    point: Vec<(&'a str, &'a Node)>,
    changes: Vec<Change>,
    /// The slot that the design leaves out; axes of that slot mean nothing to it.
    without: Option<&'a str>,
}

impl Design<'_> {
    fn label(&self) -> String {
        if self.name.is_empty() { "default".to_owned() } else { self.name.join("+") }
    }
}

/// The runs of `document`, design by design, seed by seed. Without `study:` one run called `default`.
pub fn expand(document: &Document, purpose: Purpose) -> Result<Expansion, Diagnostics> {
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
    let excluded = Exclusions::of(&study, document.root.at("study.exclude"));
    let (mut cells, mut skipped): (Vec<Cell>, Vec<Skipped>) = Default::default();
    let mut of_runs: Vec<(Diagnostic, Vec<String>)> = Vec::new();
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
            let skip = preset::lay(&mut tree, &document.changes, &mut hold, &mut notes);
            reached.iter_mut().zip(&hold).for_each(|(count, holds)| *count += usize::from(*holds));
            let checked = skip.and_then(|skip| {
                // What does not run needs no data and no weights.
                let purpose = if skip.is_some() { Purpose::Plan } else { purpose };
                let recipe = Recipe::check_for(&interpolate(&tree, document.folder())?, purpose)?;
                Ok((skip, Cell { variant: design.label(), recipe }))
            });
            match checked {
                Ok((None, cell)) => cells.push(cell),
                Ok((Some(reason), cell)) => skipped.push(Skipped { cell, reason }),
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
        // It has its place in the recipe; which runs reach it is worth saying only where not all do.
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
        notes.extend(duplicates(&cells, &study_origin(document, "variants")));
    }
    Diagnostics::check(problems)?;
    let notes = Diagnostics::from_list(notes).map(Diagnostics::into_vec).unwrap_or_default();
    Ok(Expansion { cells, skipped, notes })
}

fn study_origin(document: &Document, key: &str) -> Origin {
    let study = document.root.at("study");
    let node = study.and_then(|study| study.at(key)).or(study).unwrap_or(&document.root);
    node.origin.clone()
}

/// Whether `change` holds in `tree`, the recipe of one run: every value that it gives is still there, or what it takes out is not.
/// Changes of the study itself are not in a run's tree.
pub(crate) fn reaches(change: &Change, tree: &Node, all: &[Change]) -> bool {
    if segments(&change.path).next() == Some("study") {
        return true;
    }
    let Some(value) = &change.value else {
        // What the same command line gives anew was meant to be there.
        let given = |other: &Change| other.value.is_some() && within(&other.path, &change.path);
        return tree.at(&change.path).is_none() || all.iter().any(given);
    };
    let written = |node: &Node| match (&node.origin, &change.origin) {
        (Origin::Argument { option, argument, .. }, Origin::Argument { option: wanted, argument: given, .. }) => {
            option == wanted && argument == given
        }
        _ => false,
    };
    if change.path.contains("[+]") {
        // An appended item has no index to look at.
        return tree.any_origin(&|origin| written(&Node::new(Value::Null, origin.clone())));
    }
    let mut leaves = Vec::new();
    collect_leaves(value, &change.path, &mut leaves);
    // What another argument of the same command line gives there is no study's doing.
    let again = |path: &str| {
        let gives = |other: &Change| {
            let below = path.strip_prefix(&other.path).map(|rest| rest.trim_start_matches(['.', '[']));
            below.is_some_and(|rest| other.value.as_ref().is_some_and(|value| value.at(rest).is_some()))
        };
        all.iter().any(|other| other.path != change.path && within(path, &other.path) && gives(other))
    };
    leaves.iter().all(|path| again(path) || tree.at(path).is_some_and(written))
}

/// Paths of the scalars, lists and empty maps in `node`, which is at `path`.
fn collect_leaves(node: &Node, path: &str, found: &mut Vec<String>) {
    match node.as_map().filter(|map| !map.is_empty()) {
        Some(map) => map.iter().for_each(|entry| collect_leaves(&entry.value, &join(path, &entry.key), found)),
        None => found.push(path.to_owned()),
    }
}

/// Arguments that reach no run, and those that reach only some.
fn unreached(document: &Document, reached: &[usize], trees: usize) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    let (mut lost, mut partial) = (Vec::new(), Vec::new());
    for (at, (change, &count)) in document.changes.iter().zip(reached).enumerate() {
        let path = &change.path;
        // A later argument for the same place is the one that counts.
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
fn duplicates(cells: &[Cell], origin: &Origin) -> Vec<Diagnostic> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for cell in cells {
        let first = *seen.entry(&cell.recipe.hash).or_insert(&cell.variant);
        if first != cell.variant {
            let message = format!("`{first}` and `{}` are the same run, and it runs once for both", cell.variant);
            found.push(Diagnostic::note(codes::STUDY, message).at(origin).path("study"));
        }
    }
    found
}

/// The designs that the map `study` spans, and its options.
fn designs<'a>(study: &'a Node, problems: &mut Vec<Diagnostic>) -> (Vec<Design<'a>>, Study) {
    let Repaired { value, problems: found, .. } = from_node_repaired::<Study>(study, "study");
    let faulty = !found.is_empty();
    problems.extend(found);
    let options = value.unwrap_or_default();
    if !faulty {
        let schema = serde_json::Value::from(schemars::schema_for!(Study));
        let out_of_range = crate::ranges::check(&schema, study, "study").into_iter();
        problems.extend(out_of_range.map(|problem| Diagnostic { code: codes::STUDY, ..problem }));
    }
    let mut designs = variants(study, &options, problems);
    for entry in study.at("axes").and_then(Node::as_map).into_iter().flatten() {
        let values = entry.value.as_list().map(<[Node]>::len).or(entry.value.as_map().map(Map::len)).unwrap_or(1);
        if designs.len().saturating_mul(values) > MOST_DESIGNS {
            let message = format!("the study has more than {MOST_DESIGNS} designs with the axis `{}`", entry.key);
            let problem =
                Diagnostic::new(codes::STUDY, message).at(&entry.key_origin).path(join("study.axes", &entry.key));
            problems.push(problem.help("leave values out, or make several studies of it"));
            return (designs, options);
        }
        designs = cross(designs, entry, problems);
    }
    if let Some(long) = designs.iter().map(Design::label).find(|label| label.len() > LONGEST_NAME) {
        let message =
            format!("the run `{long}` has a name of more than {LONGEST_NAME} letters, which no folder can have");
        let origin = study.at("axes").map_or(&study.origin, |node| &node.origin);
        let problem = Diagnostic::new(codes::STUDY, message).at(origin).path("study.axes");
        problems.push(problem.help("give the values of an axis short names: `lambda: {low: 0.1, high: 0.5}`"));
    }
    if faulty || !problems.is_empty() {
        return (designs, options);
    }
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    designs.iter().for_each(|design| *names.entry(design.label()).or_default() += 1);
    for (name, _) in names.into_iter().filter(|(_, count)| *count > 1) {
        let origin = study.at("axes").map_or(&study.origin, |node| &node.origin);
        problems.push(
            Diagnostic::new(codes::STUDY, format!("two designs of the study are called `{name}`"))
                .at(origin)
                .path("study")
                .help("give the values of an axis names of their own: `lambda: {low: 0.1, high: 0.5}`"),
        );
    }
    (designs, options)
}

/// The named variants and those that leave a slot out; one nameless design where there are none.
fn variants<'a>(study: &'a Node, options: &Study, problems: &mut Vec<Diagnostic>) -> Vec<Design<'a>> {
    let mut designs = Vec::new();
    if let Some(node) = study.at("variants").filter(|_| options.variants.is_some()) {
        let entries = node.as_map().into_iter().flatten();
        for entry in entries {
            let place = join("study.variants", &entry.key);
            problems.extend(unusable(&entry.key, &entry.key_origin, &place));
            if entry.value.as_map().is_none() && !entry.value.is_null() {
                let message = format!("expected a map of paths to values, found {}", entry.value.describe());
                problems.push(Diagnostic::new(codes::WRONG_TYPE, message).at(&entry.value.origin).path(place));
                continue;
            }
            let own = entry.value.as_map().into_iter().flatten();
            for key in own.filter(|key| {
                ["name", "study"].contains(&key.key.as_str()) || (key.key == "seed" && options.seeds.is_some())
            }) {
                let message = match key.key.as_str() {
                    "seed" => "the study's `seeds` set `seed` again in every run".to_owned(),
                    other => format!("a variant cannot change `{other}`, which is the whole study's"),
                };
                let problem = Diagnostic::new(codes::STUDY, message).at(&key.key_origin).path(join(&place, &key.key));
                problems.push(problem.help("take it out, or make a recipe of its own"));
            }
            let changes = Some(&entry.value).filter(|changes| !changes.is_null());
            designs.push(Design {
                name: vec![entry.key.clone()],
                variant: entry.key.clone(),
                variant_changes: changes,
                ..Design::default()
            });
        }
        if designs.is_empty() {
            let message = format!("`variants` maps names to changes of the recipe; it is {}", node.describe());
            problems.push(Diagnostic::new(codes::STUDY, message).at(&node.origin).path("study.variants"));
        }
    }
    let Some(without) = study.at("without").and_then(Node::as_list).filter(|_| options.without.is_some()) else {
        return if designs.is_empty() { vec![Design::default()] } else { designs };
    };
    if designs.is_empty() {
        let full = "full".to_owned();
        designs.push(Design { name: vec![full.clone()], variant: full, ..Design::default() });
    }
    for (at, node) in without.iter().enumerate() {
        // Anything else has been told.
        let Some(name) = node.as_str() else { continue };
        match identity(name) {
            Some(identity) => {
                let label = format!("without_{name}");
                let kind = Node::from_json(&serde_json::Value::from(identity));
                let change = Change { path: format!("{name}.type"), origin: node.origin.clone(), value: Some(kind) };
                designs.push(Design {
                    name: vec![label.clone()],
                    variant: label,
                    changes: vec![change],
                    without: Some(name),
                    ..Design::default()
                });
            }
            None => {
                let known: Vec<&str> =
                    SLOTS.iter().map(|slot| slot.name).filter(|name| identity(name).is_some()).collect();
                let message = format!("`{name}` is not a slot that can be left out");
                problems.push(
                    Diagnostic::new(codes::STUDY, message)
                        .at(&node.origin)
                        .path(item("study.without", at))
                        .helps(name_help(name, known)),
                );
            }
        }
    }
    designs
}

/// The component that stands for the absence of the slot `name`.
fn identity(name: &str) -> Option<&'static str> {
    slot(name)?.identity
}

/// `designs` with each value of the axis `entry`.
fn cross<'a>(designs: Vec<Design<'a>>, entry: &'a Entry, problems: &mut Vec<Diagnostic>) -> Vec<Design<'a>> {
    let path = &entry.key;
    let place = join("study.axes", path);
    let mut wrong = |message: String| {
        problems.push(Diagnostic::new(codes::STUDY, message).at(&entry.key_origin).path(&place));
    };
    let first = segments(path).next().unwrap_or_default();
    if segments(path).any(str::is_empty) || ["study", "seed", "extends", "name"].contains(&first) {
        wrong(format!("`{path}` cannot be an axis: give the dotted path of an option, or a slot"));
        return designs;
    }
    let values: Vec<Point> = match (entry.value.as_list(), entry.value.as_map()) {
        (Some(list), _) => list.iter().enumerate().map(|(at, value)| Point::unnamed(path, &place, at, value)).collect(),
        (None, Some(map)) => map.iter().map(|value| Point::named(&place, value)).collect(),
        _ => {
            let message =
                format!("an axis is a list of values, or a map from names to values, not {}", entry.value.describe());
            problems.push(Diagnostic::new(codes::STUDY, message).at(&entry.value.origin).path(&place));
            return designs;
        }
    };
    if values.is_empty() {
        let message = format!("the axis `{path}` has no values");
        problems.push(Diagnostic::new(codes::STUDY, message).at(&entry.value.origin).path(&place));
    }
    for (at, point) in values.iter().enumerate() {
        problems.extend(unusable(&point.name, point.origin, &point.place));
        if values[..at].iter().any(|before| before.name == point.name) {
            let message = format!("two values of the axis are called `{}`", point.name);
            problems.push(
                Diagnostic::new(codes::STUDY, message)
                    .at(point.origin)
                    .path(&point.place)
                    .help("give the values names of their own: `lambda: {low: 0.1, high: 0.5}`"),
            );
        }
    }
    let with = |design: &Design<'a>, point: &Point<'a>| {
        let mut design = design.clone();
        design.name.push(point.name.clone());
        design.point.push((path, point.value));
        design.changes.push(Change {
            path: path.clone(),
            origin: entry.key_origin.clone(),
            value: Some(point.value.clone()),
        });
        design
    };
    let crossed: Vec<Design<'a>> = designs
        .iter()
        .flat_map(|design| match design.without == Some(first) {
            true => vec![design.clone()],
            false => values.iter().map(|value| with(design, value)).collect(),
        })
        .collect();
    if crossed.is_empty() { designs } else { crossed }
}

/// One value of an axis.
struct Point<'a> {
    name: String,
    value: &'a Node,
    /// Where its name was written, or the value that has none.
    origin: &'a Origin,
    place: String,
}

impl<'a> Point<'a> {
    fn named(axis: &str, entry: &'a Entry) -> Self {
        Self { name: entry.key.clone(), value: &entry.value, origin: &entry.key_origin, place: join(axis, &entry.key) }
    }

    fn unnamed(path: &str, axis: &str, at: usize, value: &'a Node) -> Self {
        Self { name: label(path, value), value, origin: &value.origin, place: item(axis, at) }
    }
}

/// The name of a value of the axis `path`: `lambda=0.5`, or a component's type.
fn label(path: &str, value: &Node) -> String {
    let last = segments(path).last().unwrap_or(path);
    match value.at("type").and_then(Node::as_str) {
        Some(kind) => {
            let options = value.as_map().into_iter().flatten().filter(|option| option.key != "type");
            let parts = std::iter::once(kind.to_owned()).chain(options.map(|option| label(&option.key, &option.value)));
            parts.collect::<Vec<_>>().join(",")
        }
        None if last == "type" => usable(value),
        None => format!("{last}={}", usable(value)),
    }
}

/// A value as a part of a folder's name.
fn usable(value: &Node) -> String {
    let text = value.as_str().map_or_else(|| value.to_json().to_string(), str::to_owned);
    let text: String = text.chars().filter(|c| !"\"{}[] ".contains(*c)).collect();
    text.chars().map(|c| if c.is_ascii_alphanumeric() || NAME.contains(c) { c } else { '-' }).collect()
}

/// What the name of a run may hold beside letters and digits.
const NAME: &str = "-_.+=,";

fn unusable(name: &str, origin: &Origin, path: &str) -> Option<Diagnostic> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || NAME.contains(c);
    let wrong = name.is_empty() || name.starts_with('.') || name.len() > 100 || !name.chars().all(allowed);
    wrong.then(|| {
        Diagnostic::new(codes::STUDY, format!("`{name}` cannot name a folder"))
            .at(origin)
            .path(path)
            .help("use letters, digits, `-`, `_`, `+`, `=`, `,` and `.`, at most 100 of them")
    })
}

/// Whether `wanted` says what `written` does, whatever the order of keys and the spelling of numbers.
fn same(wanted: &serde_json::Value, written: &Node) -> bool {
    identity_of(&Node::from_json(wanted), &[]) == identity_of(written, &[])
}

/// The study's `exclude`.
struct Exclusions<'a>(Vec<Exclusion<'a>>);

/// One item of it.
struct Exclusion<'a> {
    place: Option<&'a Node>,
    conditions: &'a BTreeMap<String, serde_json::Value>,
    /// Whether it matched a run.
    used: std::cell::Cell<bool>,
}

impl<'a> Exclusions<'a> {
    fn of(study: &'a Study, node: Option<&'a Node>) -> Self {
        let places = node.and_then(Node::as_list).unwrap_or_default();
        let list = study.exclude.iter().flatten().enumerate();
        let item = |(at, conditions)| Exclusion { place: places.get(at), conditions, used: false.into() };
        Self(list.map(item).collect())
    }

    fn matches(&self, design: &Design, seed: Option<u64>) -> bool {
        let holds = |(key, wanted): (&String, &serde_json::Value)| match key.as_str() {
            "variant" => wanted.as_str() == Some(&design.variant),
            "seed" => wanted.as_u64().is_some() && wanted.as_u64() == seed,
            path => design.point.iter().any(|(axis, value)| *axis == path && same(wanted, value)),
        };
        let mut any = false;
        for exclusion in &self.0 {
            let all = exclusion.conditions.iter().all(holds);
            exclusion.used.set(exclusion.used.get() || all);
            any |= all;
        }
        any
    }

    fn unused(&self) -> Vec<Diagnostic> {
        let unused = self.0.iter().enumerate().filter(|(_, exclusion)| !exclusion.used.get());
        unused
            .map(|(at, exclusion)| {
                let problem = Diagnostic::new(codes::STUDY, "this `exclude` matches no run of the study");
                let problem = problem.path(item("study.exclude", at));
                let problem = exclusion.place.iter().fold(problem, |problem, node| problem.at(&node.origin));
                problem.help("conditions are `variant`, `seed` and the paths of axes, as the study writes them")
            })
            .collect()
    }
}

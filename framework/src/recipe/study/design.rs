//! The designs of a study: variants, slots left out, and the grid of its axes.

use super::Study;
use crate::recipe::LONGEST_NAME;
use crate::registry::{slot, slots};
use maclip_language::{
    Change, Diagnostic, Entry, Map, Node, Origin, Repaired, codes, from_node_repaired, item, join, name_help, ranges,
    segments,
};
use std::collections::BTreeMap;

/// More designs than this are a mistake.
const MOST_DESIGNS: usize = 10_000;

/// One design: its name, the values that `exclude` can refer to, and changes that are applied one after the other.
#[derive(Clone, Default)]
pub(super) struct Design<'a> {
    pub(super) name: Vec<String>,
    /// The variant's name, for `exclude`.
    pub(super) variant: String,
    pub(super) variant_changes: Option<&'a Node>,
    /// Its value of each axis, by the axis' path.
    pub(super) point: Vec<(&'a str, &'a Node)>,
    pub(super) changes: Vec<Change>,
    /// The slot that the design leaves out. Axes of this slot do not apply to it.
    pub(super) without: Option<&'a str>,
}

impl Design<'_> {
    pub(super) fn label(&self) -> String {
        if self.name.is_empty() { "default".to_owned() } else { self.name.join("+") }
    }

    /// The names of its values of the axes, which follow that of its variant.
    pub(super) fn point_names(&self) -> impl Iterator<Item = &String> {
        self.name.iter().skip(self.name.len() - self.point.len())
    }
}

/// The designs of the map `study`, and its options.
pub(super) fn designs<'a>(study: &'a Node, problems: &mut Vec<Diagnostic>) -> (Vec<Design<'a>>, Study) {
    let Repaired { value, problems: found, .. } = from_node_repaired::<Study>(study, "study");
    let faulty = !found.is_empty();
    problems.extend(found);
    let options = value.unwrap_or_default();
    if !faulty {
        let schema = serde_json::Value::from(schemars::schema_for!(Study));
        let out_of_range = ranges::check(&schema, study, "study").into_iter();
        problems.extend(out_of_range.map(|problem| Diagnostic { code: codes::STUDY, ..problem }));
    }
    let mut designs = variants(study, &options, problems);
    let axes = || study.at("axes").and_then(Node::as_map).into_iter().flatten();
    for entry in axes() {
        let values = entry.value.as_list().map(<[Node]>::len).or(entry.value.as_map().map(Map::len)).unwrap_or(1);
        if designs.len().saturating_mul(values) > MOST_DESIGNS {
            let message = format!("the study has more than {MOST_DESIGNS} designs with the axis `{}`", entry.key);
            let problem =
                Diagnostic::new(codes::STUDY, message).at(&entry.key_origin).path(join("study.axes", &entry.key));
            problems.push(problem.help("leave values out, or make several studies of it"));
            return (designs, options);
        }
        let last = |path: &'a str| segments(path).last();
        let alike = axes().filter(|other| last(&other.key) == last(&entry.key)).count() > 1;
        designs = cross(designs, entry, alike, problems);
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

/// The named variants and those that leave a slot out; one design without a name where there are none.
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
                    other => format!("a variant cannot change `{other}`, which belongs to the whole study"),
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
        // A value of another type was reported before.
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
                let known: Vec<&str> = slots().map(|slot| slot.name).filter(|name| identity(name).is_some()).collect();
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

/// The component that means "nothing here" in the slot `name`.
fn identity(name: &str) -> Option<&'static str> {
    slot(name)?.identity
}

/// `designs` with each value of the axis `entry`. `alike` says that another axis ends as it does.
fn cross<'a>(
    designs: Vec<Design<'a>>,
    entry: &'a Entry,
    alike: bool,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Design<'a>> {
    let path = &entry.key;
    let place = join("study.axes", path);
    let mut wrong = |message: String| {
        problems.push(Diagnostic::new(codes::STUDY, message).at(&entry.key_origin).path(&place));
    };
    let first = segments(path).next().unwrap_or_default();
    if segments(path).any(str::is_empty) || ["study", "seed", "extends", "name", "label"].contains(&first) {
        wrong(format!("`{path}` cannot be an axis: give the dotted path of an option, or a slot"));
        return designs;
    }
    let values: Vec<Point> = match (entry.value.as_list(), entry.value.as_map()) {
        (Some(list), _) => {
            list.iter().enumerate().map(|(at, value)| Point::unnamed(path, alike, &place, at, value)).collect()
        }
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
    pub(super) name: String,
    value: &'a Node,
    /// Where its name was written, or the value that has none.
    origin: &'a Origin,
    place: String,
}

impl<'a> Point<'a> {
    fn named(axis: &str, entry: &'a Entry) -> Self {
        Self { name: entry.key.clone(), value: &entry.value, origin: &entry.key_origin, place: join(axis, &entry.key) }
    }

    fn unnamed(path: &str, alike: bool, axis: &str, at: usize, value: &'a Node) -> Self {
        let name = apart(path, label(path, value), alike);
        Self { name, value, origin: &value.origin, place: item(axis, at) }
    }
}

/// The name of a value of the axis `path`: `lambda=0.5`, or a component's type.
pub(super) fn label(path: &str, value: &Node) -> String {
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

/// `name`, which begins with the last part of `path`; where another path ends `alike`, with the part before that too:
/// `test.episodes=50`.
pub(super) fn apart(path: &str, name: String, alike: bool) -> String {
    match segments(path).collect::<Vec<_>>()[..] {
        [.., owner, _] if alike => format!("{owner}.{name}"),
        _ => name,
    }
}

/// A value as a part of a folder's name.
fn usable(value: &Node) -> String {
    let text = value.as_str().map_or_else(|| value.to_json().to_string(), str::to_owned);
    let text: String = text.chars().filter(|c| !"\"{}[] ".contains(*c)).collect();
    as_name(&text)
}

/// `text` with `-` in the place of what the name of a run cannot have. The result is ASCII.
pub(super) fn as_name(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || NAME.contains(c) { c } else { '-' }).collect()
}

/// The characters that the name of a run may have apart from letters and digits.
const NAME: &str = "-_.+=,";

/// Whether a run can have this name of its design: it becomes a part of a folder's name.
pub(crate) fn names_a_run(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || NAME.contains(c);
    !name.is_empty() && name.len() <= LONGEST_NAME && !name.starts_with('.') && name.chars().all(allowed)
}

fn unusable(name: &str, origin: &Origin, path: &str) -> Option<Diagnostic> {
    let wrong = !names_a_run(name) || name.len() > 100;
    wrong.then(|| {
        Diagnostic::new(codes::STUDY, format!("`{name}` cannot name a folder"))
            .at(origin)
            .path(path)
            .help("use letters, digits, `-`, `_`, `+`, `=`, `,` and `.`, at most 100 of them")
    })
}

//! Axes of a table: what a run is by one of its properties, such as its method, dataset, or the value of a recipe key.

use crate::format;
use crate::load::Run;
use crate::settings::varying;
use crate::summary::{GroupKey, shown};
use maclip_framework::error::Error;
use maclip_language::{Diagnostic, Origin, codes, name_help};
use std::collections::BTreeSet;

/// One axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Label or name of the variant, without the values of a grid and without `-1shot`.
    Method,
    /// Label or name of the variant as the report shows it.
    Variant,
    /// Name of the recipe.
    Recipe,
    /// The dataset, with the options in which it differs from another one of the runs; behind the one of the training,
    /// where that is another.
    Dataset,
    /// Architecture of the backbone, or the name of its embedded weights.
    Backbone,
    Task,
    Way,
    Shot,
    Seed,
    /// The component of a slot.
    Slot(String),
    /// The dotted path of a key of the recipe.
    Key(String),
}

/// The words for axes that are no slot and no key.
const WORDS: [(&str, Axis); 9] = [
    ("method", Axis::Method),
    ("variant", Axis::Variant),
    ("recipe", Axis::Recipe),
    ("dataset", Axis::Dataset),
    ("backbone", Axis::Backbone),
    ("task", Axis::Task),
    ("way", Axis::Way),
    ("shot", Axis::Shot),
    ("seed", Axis::Seed),
];

/// A run and the group that the report puts it into.
pub type Placed<'a> = (&'a Run, &'a GroupKey);

impl Axis {
    /// The axis called `name`, as `option` of the command line gives it.
    ///
    /// # Errors
    /// Where no run has a slot or key of this name.
    pub fn read(name: &str, option: &'static str, runs: &[Placed]) -> Result<Self, Error> {
        if let Some((_, axis)) = WORDS.iter().find(|(word, _)| *word == name) {
            return Ok(axis.clone());
        }
        if runs.iter().any(|(run, _)| run.directory.manifest.components.contains_key(name)) {
            return Ok(Axis::Slot(name.to_owned()));
        }
        if runs.iter().any(|(run, _)| run.settings.keys.contains_key(name)) {
            return Ok(Axis::Key(name.to_owned()));
        }
        let slots: BTreeSet<&str> =
            runs.iter().flat_map(|(run, _)| run.directory.manifest.components.keys().map(String::as_str)).collect();
        let keys = varying(runs.iter().map(|(run, _)| &run.settings));
        let mut known: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
        known.extend(slots.into_iter().filter(|slot| WORDS.iter().all(|(word, _)| word != slot)));
        known.extend(keys.iter().map(String::as_str));
        let message = format!("no run has an axis `{name}`");
        let problem = Diagnostic::new(codes::ARGUMENT, message).at(&Origin::argument(option, name));
        Err(problem.helps(name_help(name, known)).into())
    }

    /// The axis that tells runs apart which differ in the recipe key `key`.
    pub fn of_key(key: &str) -> String {
        match key.split_once('.') {
            Some(("task", "shot" | "way")) => key["task.".len()..].to_owned(),
            Some(("backbone", "architecture" | "weights")) => "backbone".to_owned(),
            Some(("dataset", "type")) => "dataset".to_owned(),
            Some((slot, "type")) => slot.to_owned(),
            _ => key.to_owned(),
        }
    }

    /// What the axis is called above a column of its values.
    pub fn name(&self) -> String {
        match self {
            Axis::Slot(name) => format::words(name),
            Axis::Key(key) => {
                let last = format::words(maclip_language::segments(key).last().unwrap_or(key));
                // Beside an option of the training's dataset, the same one of the test's has another name.
                if key.starts_with("task.test_on.") { format!("test {last}") } else { last }
            }
            word => WORDS.iter().find(|(_, axis)| axis == word).map_or("", |(word, _)| word).to_owned(),
        }
    }

    /// The run's value.
    pub fn value(&self, (run, group): Placed) -> String {
        let manifest = &run.directory.manifest;
        let measured = |of: fn(&crate::summary::Measure) -> usize| {
            group.measure.as_ref().map_or_else(|| format::NONE.to_owned(), |measure| of(measure).to_string())
        };
        match self {
            Axis::Method => method(run),
            Axis::Variant => shown(&[run]),
            Axis::Recipe => manifest.name.clone(),
            Axis::Dataset => group.data.label.clone(),
            Axis::Backbone => match &run.settings.setting {
                Some(setting) => setting.backbone.clone(),
                None => manifest.components.get("backbone").cloned().unwrap_or_else(|| format::NONE.to_owned()),
            },
            Axis::Task => manifest.task.clone(),
            Axis::Way => measured(|measure| measure.way),
            Axis::Shot => measured(|measure| measure.shot),
            Axis::Seed => manifest.seed.to_string(),
            Axis::Slot(slot) => manifest.components.get(slot).cloned().unwrap_or_else(|| format::NONE.to_owned()),
            Axis::Key(key) => run.settings.get(key).unwrap_or(format::NONE).to_owned(),
        }
    }

    /// A value for people, in a column that has the axis' name above it.
    pub fn plain(&self, value: &str) -> String {
        match self {
            Axis::Dataset | Axis::Task | Axis::Slot(_) => format::words(value),
            _ => value.to_owned(),
        }
    }

    /// A value as a heading, without the axis' name above it: `5-shot`, `λ = 0.5`.
    pub fn heading(&self, value: &str) -> String {
        match self {
            _ if value == format::NONE => format!("no {}", self.name()),
            Axis::Way => format!("{value}-way"),
            Axis::Shot => format!("{value}-shot"),
            Axis::Seed => format!("seed {value}"),
            Axis::Key(_) => format!("{} = {value}", self.name()),
            _ => self.plain(value),
        }
    }
}

/// What a variant is called beside the values that its name has from a grid or from the way and shot of its test.
pub fn method(run: &Run) -> String {
    let manifest = &run.directory.manifest;
    let label = shown(&[run]);
    if run.label().is_some() {
        // A grid adds `, shot=5` to the label of a variant called `both+shot=5`.
        let points = manifest.variant.split('+').skip(1).collect::<Vec<_>>();
        let ends = [format!(", {}", points.join(", ")), format!("+{}", points.join("+"))];
        let cut = ends.iter().filter(|_| !points.is_empty()).find_map(|end| label.strip_suffix(end.as_str()));
        return cut.unwrap_or(&label).to_owned();
    }
    let name = label.split('+').next().unwrap_or(&label);
    run.result().map_or(name, |test| format::without_setting(name, test.way, test.shot)).to_owned()
}

//! How the report shows a study: the labels of its variants, and the one that the others are compared with.

use super::design::Design;
use super::{Study, StudyRun};
use maclip_language::{Diagnostic, Document, codes, join, name_help};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a study says of how its runs are shown. It is noted beside them, so that runs which are done follow the recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Shown {
    /// The label of each variant, by its name; `None` where it has none.
    pub labels: BTreeMap<String, Option<String>>,
    /// The variant that the others are compared with, as [`Shown::is_baseline`] reads it.
    pub baseline: Option<String>,
}

impl Shown {
    pub(super) fn of<'a>(study: &Study, runs: impl Iterator<Item = &'a StudyRun>) -> Self {
        let labels = runs.map(|run| (run.variant.clone(), run.recipe.label.clone())).collect();
        Self { labels, baseline: study.baseline.clone() }
    }

    /// Whether it says anything.
    pub fn is_empty(&self) -> bool {
        self.baseline.is_none() && self.labels.values().all(Option::is_none)
    }

    /// Adds what another recipe with the same name of its folder says.
    pub fn extend(&mut self, other: Self) {
        self.labels.extend(other.labels);
        self.baseline = self.baseline.take().or(other.baseline);
    }

    /// Whether `variant` is what the others are compared with; `None` where the study names no such variant. With axes,
    /// a name without their values stands for all points of the grid.
    pub fn is_baseline(&self, variant: &str) -> Option<bool> {
        let baseline = self.baseline.as_deref()?;
        let rest = variant.strip_prefix(baseline);
        Some(rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('+')))
    }
}

/// The problem of a `baseline` that is no variant of the study.
pub(super) fn unknown_baseline(study: &Study, document: &Document, designs: &[Design]) -> Option<Diagnostic> {
    let name = study.baseline.as_deref()?;
    let mut names: BTreeSet<String> = designs.iter().map(Design::label).collect();
    names.extend(designs.iter().map(|design| design.variant.clone()).filter(|name| !name.is_empty()));
    if names.contains(name) {
        return None;
    }
    let problem = Diagnostic::new(codes::STUDY, format!("the study has no variant `{name}`")).path("study.baseline");
    let problem = problem.helps(name_help(name, names.iter().map(String::as_str)));
    Some(match document.root.at("study.baseline") {
        Some(node) => problem.at(&node.origin),
        None => problem,
    })
}

/// Problems of variants that one table would show under one name. Runs on other data, ways or shots are in other
/// tables.
pub(super) fn alike(document: &Document, runs: &[StudyRun]) -> Vec<Diagnostic> {
    let mut seen: BTreeMap<(String, String), &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for run in runs {
        let shown = run.recipe.label.as_ref().unwrap_or(&run.design);
        let table = ["dataset", "task.type", "task.way", "task.shot"]
            .map(|path| run.recipe.resolved.at(path).map(|node| node.to_json().to_string()).unwrap_or_default());
        let first = *seen.entry((shown.clone(), table.join(" "))).or_insert(&run.design);
        if first == run.design {
            continue;
        }
        let message = format!("the variants `{first}` and `{}` are both shown as `{shown}`", run.design);
        let place = join("study.variants", run.design.split('+').next().unwrap_or(&run.design));
        let node = document.root.at(&join(&place, "label")).or(document.root.at(&place)).or(document.root.at("study"));
        let problem = Diagnostic::new(codes::STUDY, message).path(join(&place, "label")).help(
            "give each a `label` of its own; they can share one where they differ in dataset, way or shot, as tables do then",
        );
        let problem = node.iter().fold(problem, |problem, node| problem.at(&node.origin));
        // Once, and not for each seed.
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    problems
}

//! A run as the page shows it.

use crate::load::Run;
use crate::summary::Summary;
use crate::{format, frame};
use maclip_framework::model::parameters::ParamsPart;
use maclip_framework::runs::records::{Planned, State};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A run without a result, for the list of those.
#[derive(Serialize)]
pub struct OpenView {
    title: String,
    path: String,
    pub state: &'static str,
    /// Why it has none.
    reason: String,
    /// `212 of 600`, and the share that is done.
    step: String,
    progress: Option<f64>,
    /// The time that a training that goes on still takes.
    pub left: String,
}

impl OpenView {
    /// Of a run that has begun; `None` where it has a result.
    pub fn of(run: &Run) -> Option<Self> {
        let left = left(run).map(|seconds| format!("about {}", format::rough_duration(seconds)));
        run.result().is_none().then(|| Self {
            title: title(run),
            path: run.path(),
            state: frame::state(run.state()),
            reason: plainly(&reason(run)),
            step: step(run),
            progress: progress(run).map(|(done, wanted)| done as f64 / wanted as f64),
            left: left.unwrap_or_default(),
        })
    }

    /// Of a run that the study of this name asks for, and that has not begun.
    pub fn waiting(name: &str, run: &Planned) -> Self {
        Self {
            title: format!("{name} / {}, seed {}", run.label.as_ref().unwrap_or(&run.variant), run.seed),
            path: String::new(),
            state: "waiting",
            reason: "it has not begun".to_owned(),
            step: String::new(),
            progress: None,
            left: String::new(),
        }
    }
}

/// The run of the same variant that holds what this one would repeat.
#[derive(Clone, Serialize)]
struct Like {
    anchor: String,
    seed: u64,
}

/// The runs of a page, in order. What all seeds of a variant have in common is told once.
pub fn views(runs: &[Run], varying: &BTreeSet<&str>) -> Vec<RunView> {
    let mut first: Vec<(&Run, Like)> = Vec::new();
    let mut views = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        let mut view = view(run, varying);
        match first.iter().rev().find(|(other, _)| alike(run, other)) {
            Some((_, like)) => view.repeats(like),
            None => {
                let anchor = format!("run-{}", number + 1);
                view.anchor = Some(anchor.clone());
                first.push((run, Like { anchor, seed: run.directory.manifest.seed }));
            }
        }
        views.push(view);
    }
    views
}

/// Whether two runs differ in their seeds alone.
fn alike(run: &Run, other: &Run) -> bool {
    let [a, b] = [run, other].map(|run| &run.directory.manifest);
    let parts = |run: &Run| run.directory.params.as_ref().map(|params| params.parts.clone());
    let [keys, of_other] = [run, other].map(|run| run.settings.keys.iter().filter(|(key, _)| *key != "seed"));
    (&a.name, &a.variant, &a.components, &a.weights) == (&b.name, &b.variant, &b.components, &b.weights)
        && a.settings == b.settings
        && run.settings.setting.is_some()
        && other.settings.setting.is_some()
        && keys.eq(of_other)
        && parts(run) == parts(other)
}

#[derive(Serialize)]
pub struct RunView {
    /// Where others are told to be like it.
    anchor: Option<String>,
    like: Option<Like>,
    title: String,
    state: &'static str,
    result: String,
    path: String,
    facts: Vec<(&'static str, String)>,
    components: BTreeMap<String, String>,
    parts: Vec<(String, String, String)>,
    weights: BTreeMap<String, String>,
    /// Values that files decided and not the recipe, by the option that could set them.
    settings: BTreeMap<String, String>,
    notes: Vec<String>,
    /// Lines of the recipe, and whether their key differs among the variants.
    recipe: Option<Vec<(String, bool)>>,
}

impl RunView {
    /// Leaves out what another run tells too.
    fn repeats(&mut self, like: &Like) {
        self.like = Some(like.clone());
        self.components.clear();
        self.parts.clear();
        self.weights.clear();
        self.settings.clear();
        self.recipe = None;
    }
}

/// Keys that differ among the variants of any group.
pub fn varying(summary: &Summary) -> BTreeSet<&str> {
    summary.groups.iter().flat_map(|group| &group.varying).map(String::as_str).collect()
}

fn title(run: &Run) -> String {
    let manifest = &run.directory.manifest;
    format!("{} / {}, seed {}", manifest.name, crate::summary::shown(&[run]), manifest.seed)
}

fn view(run: &Run, varying: &BTreeSet<&str>) -> RunView {
    let manifest = &run.directory.manifest;
    let status = run.directory.status.as_ref();
    let mut facts = vec![("task", format::words(&manifest.task))];
    if let Some(attempt) = manifest.last_attempt() {
        let commit = attempt.commit.as_ref().map(|commit| format!(" ({commit})")).unwrap_or_default();
        facts.extend([
            ("device", attempt.device.clone()),
            ("cpu", attempt.cpu.clone()),
            ("threads", attempt.threads.to_string()),
            ("features", attempt.features.join(", ")),
            ("maclip", format!("{}{commit}", attempt.maclip_version)),
            ("command", attempt.argv.iter().map(|word| format::shell(word)).collect::<Vec<_>>().join(" ")),
        ]);
    }
    if manifest.attempts.len() > 1 {
        facts.push(("attempts", format!("{}; the facts above are the last one's", manifest.attempts.len())));
    }
    facts.push(("identity", manifest.hash.clone()));
    if let Some(params) = &run.directory.params {
        let trainable = format::whole(params.trainable as u64);
        facts.push(("parameters", format!("{trainable} trainable of {}", format::whole(params.total as u64))));
    }
    if let Some(step) = status.and_then(|status| status.best_step) {
        facts.push(("tested step", format::whole(step)));
    }
    if let Some(status) = status {
        let (train, test) = (format::duration(status.seconds.train), format::duration(status.seconds.test));
        facts.push(("time", format!("{train} training, {test} testing")));
    }
    if let Some(test) = run.result() {
        facts.push(("test list", format!("{} ({} in all)", test.episodes_hash, format::whole(test.episodes))));
    }
    let part = |part: &ParamsPart| {
        let name = if part.part == part.slot { part.slot.clone() } else { format!("{} / {}", part.slot, part.part) };
        (name, format::count(part.trainable), format::count(part.total))
    };
    RunView {
        anchor: None,
        like: None,
        title: title(run),
        state: frame::state(run.state()),
        result: run
            .result()
            .map_or_else(|| format::NONE.into(), |test| format::percent_interval(test.value, test.ci95)),
        path: run.path(),
        facts: facts.into_iter().filter(|(_, fact)| !fact.is_empty()).collect(),
        components: manifest.components.clone(),
        parts: run.directory.params.iter().flat_map(|params| params.parts.iter().map(part)).collect(),
        weights: manifest.weights.clone(),
        settings: manifest.settings.clone(),
        notes: manifest.notes.clone(),
        recipe: run.recipe.as_ref().map(|recipe| marked(recipe, varying)),
    }
}

/// Steps done, and those that the recipe wants; `None` where it trains nothing or could not be read.
fn progress(run: &Run) -> Option<(u64, u64)> {
    if run.settings.get("task.fine_tune.alone") == Some("true") || run.settings.get("task.start.train") == Some("false")
    {
        return None;
    }
    let wanted = run.settings.get("task.train.steps")?.parse().ok().filter(|wanted| *wanted > 0)?;
    Some((run.train.last().map_or(0, |record| record.step), wanted))
}

fn step(run: &Run) -> String {
    match (progress(run), run.train.last()) {
        (Some((done, wanted)), _) => format!("{} of {}", format::whole(done), format::whole(wanted)),
        (None, Some(record)) => format::whole(record.step),
        (None, None) => String::new(),
    }
}

/// Seconds that the training of a running run still takes at its pace so far.
fn left(run: &Run) -> Option<f64> {
    if run.state() != Some(State::Running) {
        return None;
    }
    let attempt = run.directory.manifest.last_attempt()?;
    let (done, wanted) = progress(run).filter(|(done, wanted)| done < wanted)?;
    let made = done.checked_sub(attempt.first_step).filter(|made| *made > 0)?;
    let spent = run.stepped?.checked_sub(attempt.started_unix)?;
    Some(spent as f64 / made as f64 * wanted.saturating_sub(done) as f64)
}

/// Why a run has no result, and what to do about it.
fn reason(run: &Run) -> String {
    let step = run.train.last().map(|record| format!(" after step {}", format::whole(record.step))).unwrap_or_default();
    match (run.state(), run.directory.status.as_ref().and_then(|status| status.reason.as_ref())) {
        (Some(State::Failed), Some(reason)) => reason.clone(),
        (Some(State::Failed), None) => format!("failed{step} without a reason"),
        (Some(State::Interrupted), _) => {
            let phase = if trained(run) { ", in its test" } else { "" };
            format!("interrupted{step}{phase}; the command that started it resumes it")
        }
        // Its lock is held, else it would be interrupted.
        (Some(State::Running), _) if trained(run) => "testing: a process works on it".into(),
        (Some(State::Running), _) if progress(run).is_some() => "training: a process works on it".into(),
        (Some(State::Running), _) => "a process works on it".into(),
        (Some(State::Done), _) if tested(run) => "done, but its result is not a number".into(),
        (Some(State::Done), _) => "done, but without a test result".into(),
        (None, _) => format!("started{step}; no status was written"),
    }
}

/// Whether all of its steps are done.
fn trained(run: &Run) -> bool {
    progress(run).is_some_and(|(done, wanted)| done >= wanted)
}

/// A reason for people: help on a line of its own, and huge numbers with an exponent.
fn plainly(reason: &str) -> String {
    let text = reason.trim_start_matches("error: ");
    let words = text.split(' ').map(|word| {
        let number = word.trim_end_matches([',', ';', '.']);
        match number.parse::<f64>() {
            Ok(value) if value.is_finite() && value.abs() >= 1e9 => {
                format!("{value:.2e}{}", &word[number.len()..])
            }
            _ => word.to_owned(),
        }
    });
    let text = words.collect::<Vec<_>>().join(" ");
    let lines = text.split('\n').map(str::trim).collect::<Vec<_>>().join("\n");
    lines.replace(" help: ", "\nhelp: ")
}

fn tested(run: &Run) -> bool {
    run.directory.status.as_ref().is_some_and(|status| status.test.is_some())
}

/// The lines of a recipe in block style; those of the keys in `varying` are marked.
fn marked(recipe: &str, varying: &BTreeSet<&str>) -> Vec<(String, bool)> {
    let mut path: Vec<(usize, &str)> = Vec::new();
    recipe
        .lines()
        .map(|line| {
            let text = line.trim_start();
            let indent = line.len() - text.len();
            path.retain(|(above, _)| *above < indent);
            if let Some((key, _)) = text.split_once(':').filter(|(key, _)| !key.starts_with(['-', '#', '"'])) {
                path.push((indent, key));
            }
            let dotted = path.iter().map(|(_, key)| *key).collect::<Vec<_>>().join(".");
            (line.to_owned(), varying.contains(dotted.as_str()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;
    use crate::testing::study;

    #[test]
    fn reasons_are_for_people() {
        let told =
            "error: step 1: the loss is 3868802896773462000000000000000, of 12 clips\n  help: lower it; help: or not";
        let wanted = "step 1: the loss is 3.87e30, of 12 clips\nhelp: lower it;\nhelp: or not";
        assert_eq!(plainly(told), wanted);
    }

    #[test]
    fn what_seeds_have_in_common_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let views = views(&load(&[folder.path().to_owned()]).unwrap().runs, &BTreeSet::new());
        // Four variants with three seeds.
        assert_eq!(views.iter().filter(|view| view.recipe.is_some()).count(), 4);
        let like = views[1].like.as_ref().unwrap();
        assert_eq!((views[0].anchor.as_ref(), like.seed), (Some(&like.anchor), 0));
        assert!(views[1].components.is_empty() && !views[1].facts.is_empty());
    }

    #[test]
    fn lines_of_differing_keys_are_marked() {
        let recipe = "name: a\nadapter:\n  type: aim\n  ratio: 0.25\nseed: 1\n";
        let lines = marked(recipe, &["adapter.ratio"].into());
        let marks: Vec<bool> = lines.iter().map(|(_, marked)| *marked).collect();
        assert_eq!(marks, [false, false, false, true, false]);
    }
}

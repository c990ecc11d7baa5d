//! The runs of a study as they stand on the disk: what is done, what is missing, how long the rest may take.

use crate::columns::columns;
use crate::status::name;
use crate::takeover;
use maclip_framework::error::Result;
use maclip_framework::recipe::{Diagnostic, Origin, codes, name_help};
use maclip_framework::records::{RunDirectory, State};
use maclip_framework::run::directory;
use maclip_framework::store::in_use;
use maclip_framework::study::{Cell, Skipped};
use maclip_reports::format::percent_interval;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// One run of a study and what there is of it.
pub struct Standing {
    pub cell: Cell,
    pub path: PathBuf,
    /// `None` where nothing is there, or it cannot be read.
    pub run: Option<RunDirectory>,
    /// `None` where the run has not begun.
    pub state: Option<State>,
    /// Optimizer steps done.
    pub steps: u64,
    /// The same run under another name, which is done; looked for where this one has not begun.
    pub same: Option<PathBuf>,
}

impl Standing {
    pub fn of(cell: Cell, runs: &Path) -> Self {
        let path = directory(runs, &cell.recipe, &cell.variant);
        let mut standing = Self { cell, path, run: None, state: None, steps: 0, same: None };
        standing.look();
        if standing.run.is_none() {
            standing.same = takeover::same(runs, &standing.cell.recipe, &standing.path, |_| true);
        }
        standing
    }

    /// Takes over what is on the disk now.
    pub fn look(&mut self) {
        self.run = RunDirectory::open(&self.path).ok();
        self.state = self.run.as_ref().and_then(RunDirectory::state);
        // Records that cannot be read are the run's to complain about.
        self.steps = self.run.as_ref().and_then(|run| run.last_step().ok()).unwrap_or(0);
    }

    pub fn done(&self) -> bool {
        self.state == Some(State::Done)
    }

    /// Optimizer steps that the recipe wants, where its task has any.
    pub fn wanted(&self) -> Option<u64> {
        self.cell.recipe.resolved.at("task.train.steps")?.to_json().as_u64()
    }

    pub fn label(&self) -> String {
        self.cell.name()
    }

    /// Why it failed, or what will be taken over.
    fn reason(&self) -> Option<String> {
        match &self.same {
            Some(path) => Some(format!("the same as {}", path.display())),
            None => self.run.as_ref()?.status.as_ref()?.reason.clone(),
        }
    }

    fn word(&self) -> &'static str {
        match self.state {
            None if in_use(&self.path) => "starting",
            // What cannot be read is not missing: `maclip run` says what is wrong with it.
            None if self.run.is_none() && self.path.join("manifest.json").exists() => "unreadable",
            None => "missing",
            state => name(state),
        }
    }
}

/// What `only` names by variant, or by variant and seed (`ma_clip-s1`), of what runs and of what a preset leaves out; `*` stands for
/// anything.
pub fn only(cells: Vec<Cell>, skipped: Vec<Skipped>, only: &[String]) -> Result<(Vec<Cell>, Vec<Skipped>)> {
    let named = |cell: &Cell, pattern: &String| matches(&cell.variant, pattern) || matches(&cell.name(), pattern);
    for pattern in only {
        let mut all = cells.iter().chain(skipped.iter().map(|skipped| &skipped.cell));
        if !all.clone().any(|cell| named(cell, pattern)) {
            let mut variants: Vec<&str> = all.by_ref().map(|cell| cell.variant.as_str()).collect();
            variants.dedup();
            let problem = Diagnostic::new(codes::ARGUMENT, format!("`{pattern}` names no run of the study"));
            return Err(problem.at(&Origin::argument("--only", pattern)).helps(name_help(pattern, variants)).into());
        }
    }
    let wanted = |cell: &Cell| only.is_empty() || only.iter().any(|pattern| named(cell, pattern));
    let cells = cells.into_iter().filter(wanted).collect();
    Ok((cells, skipped.into_iter().filter(|skipped| wanted(&skipped.cell)).collect()))
}

/// Whether `name` is as `pattern` says, in which `*` stands for anything.
pub fn matches(name: &str, pattern: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return name == pattern };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
    }
    name.ends_with(last)
}

/// Seconds that what is missing may take, after the runs of the study that are done; `None` where none is.
pub fn estimate(cells: &[Standing]) -> Option<f64> {
    let done: Vec<_> = cells
        .iter()
        .filter(|cell| cell.done())
        .filter_map(|cell| Some((cell, cell.run.as_ref()?.manifest.seconds())))
        .collect();
    let of = |cell: &Standing| {
        // Runs of the same variant say most; any run that trained says something.
        let same: Vec<_> = done.iter().filter(|(other, _)| other.cell.variant == cell.cell.variant).collect();
        let trained: Vec<_> = done.iter().filter(|(other, _)| other.steps > 0).collect();
        let like = if same.is_empty() { trained } else { same };
        let count = like.len() as f64;
        let steps: f64 = like.iter().map(|(cell, _)| cell.steps as f64).sum();
        let train: f64 = like.iter().map(|(_, seconds)| seconds.train).sum();
        let test: f64 = like.iter().map(|(_, seconds)| seconds.test).sum();
        let left = cell.wanted().unwrap_or(0).saturating_sub(cell.steps) as f64;
        // A variant that trains nothing has no steps, and none left.
        let training = if steps > 0.0 { train / steps * left } else { 0.0 };
        (count > 0.0).then(|| training + test / count)
    };
    to_make(cells).into_iter().map(of).sum()
}

/// What is missing: the same run under several names once, and not where it is done under another.
fn to_make(cells: &[Standing]) -> Vec<&Standing> {
    let mut seen: HashSet<&String> =
        cells.iter().filter(|cell| cell.done()).map(|cell| &cell.cell.recipe.hash).collect();
    let missing = cells.iter().filter(|cell| !cell.done() && cell.same.is_none());
    missing.filter(|cell| seen.insert(&cell.cell.recipe.hash)).collect()
}

/// `2 h 05 min`
pub fn duration(seconds: f64) -> String {
    match seconds.round() as u64 {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// One line for each cell, and a last one with the sum.
pub fn table(cells: &[Standing]) -> String {
    let mut rows = vec![["run", "state", "steps", "accuracy", "directory", "reason"].map(str::to_owned)];
    rows.extend(cells.iter().map(|cell| {
        let test = cell.run.as_ref().and_then(RunDirectory::test);
        let steps = match cell.wanted() {
            Some(wanted) if !cell.done() => format!("{}/{wanted}", cell.steps),
            _ => cell.steps.to_string(),
        };
        [
            cell.label(),
            cell.word().to_owned(),
            steps,
            test.map_or_else(String::new, |test| percent_interval(test.value, test.ci95)),
            cell.path.display().to_string(),
            cell.reason().iter().flat_map(|reason| reason.lines()).next().unwrap_or_default().to_owned(),
        ]
    }));
    let done = cells.iter().filter(|cell| cell.done()).count();
    let make = to_make(cells).len();
    let time = match estimate(cells) {
        _ if make == 0 => String::new(),
        Some(seconds) => format!("; the rest about {} after the runs that are done", duration(seconds)),
        None => "; how long the rest takes is not known yet".to_owned(),
    };
    let alike = if done + make == cells.len() { String::new() } else { format!(", {make} to make") };
    format!("{}\n\n  {done} of {} done{alike}{time}", columns(&rows, 6).join("\n"), cells.len())
}

/// The same as data.
pub fn json(cells: &[Standing]) -> Value {
    let listed: Vec<Value> = cells
        .iter()
        .map(|cell| {
            json!({
                "name": cell.cell.recipe.name, "variant": cell.cell.variant, "seed": cell.cell.recipe.seed,
                "hash": cell.cell.recipe.hash, "dir": cell.path, "state": cell.word(),
                "reason": cell.reason(), "same_as": cell.same,
                "steps": {"done": cell.steps, "wanted": cell.wanted()},
                "test": cell.run.as_ref().and_then(RunDirectory::test),
            })
        })
        .collect();
    let done = cells.iter().filter(|cell| cell.done()).count();
    json!({"runs": listed, "done": done, "missing": cells.len() - done, "seconds_left": estimate(cells)})
}

/// What a preset leaves out, as data.
pub fn left_out(skipped: &[Skipped]) -> Vec<Value> {
    let one = |Skipped { cell, reason }: &Skipped| json!({"name": cell.recipe.name, "variant": cell.variant, "seed": cell.recipe.seed, "reason": reason});
    skipped.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        let yes = [("ma_clip", "ma_clip"), ("ma_clip-s1", "ma*"), ("ma_clip-s1", "*-s1"), ("a", "*"), ("abc", "a*b*c")];
        assert!(yes.iter().all(|(name, pattern)| matches(name, pattern)));
        let no = [("ma_clip", "ma"), ("ma_clip-s1", "*-s2"), ("ab", "a*b*c")];
        assert!(no.iter().all(|(name, pattern)| !matches(name, pattern)));
        assert_eq!([59.6, 130.0, 7500.0].map(duration), ["60 s", "2 min", "2 h 05 min"]);
    }
}

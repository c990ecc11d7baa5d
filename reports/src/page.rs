//! The page: one HTML file that needs nothing else.

use crate::figures::{self, Figure};
use crate::format;
use crate::frame;
use crate::load::{Loaded, Run, display};
use crate::statistics;
use crate::summary::{Difference, Group, Summary, Variant};
use crate::table::{self, Row};
use maclip_framework::error::{Error, Result};
use maclip_framework::records::State;
use minijinja::{Environment, context};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Serialize)]
struct GroupView {
    title: String,
    metric: String,
    unit: &'static str,
    headline: Headline,
    compared: bool,
    rows: Vec<RowView>,
    figures: Vec<FigureView>,
    warnings: Vec<String>,
    reasons: Vec<String>,
}

/// The finding in one sentence, in pieces so that the template can set the numbers apart.
#[derive(Serialize)]
struct Headline {
    best: String,
    value: String,
    metric: String,
    difference: String,
    /// `above`, `below`, `not clearly different from`; empty without a difference.
    relation: String,
    baseline: String,
    detail: String,
}

#[derive(Serialize)]
struct RowView {
    #[serde(flatten)]
    row: Row,
    swatch: usize,
    best: bool,
}

#[derive(Serialize)]
struct FigureView {
    id: String,
    file: String,
    caption: String,
    svg: minijinja::Value,
}

#[derive(Serialize)]
struct RunView {
    title: String,
    state: &'static str,
    /// Why a run without a result has none.
    reason: Option<String>,
    result: String,
    path: String,
    facts: Vec<(&'static str, String)>,
    components: BTreeMap<String, String>,
    parts: Vec<(String, String, String)>,
    weights: BTreeMap<String, String>,
    notes: Vec<String>,
    recipe: Option<String>,
}

/// Renders the page; `figures` holds those of each group of `summary`.
pub fn render(loaded: &Loaded, summary: &Summary, figures: &[Vec<Figure>], roots: &[PathBuf]) -> Result<String> {
    let mut environment = Environment::new();
    let templates = [
        ("page.html", include_str!("../templates/page.html")),
        ("group.html", include_str!("../templates/group.html")),
        ("runs.html", include_str!("../templates/runs.html")),
    ];
    for (name, source) in templates {
        // The names end in .html, which is what turns escaping on.
        environment.add_template(name, source).map_err(failed)?;
    }
    let groups: Vec<GroupView> =
        summary.groups.iter().zip(figures).map(|(group, figures)| view(group, figures)).collect();
    let runs: Vec<RunView> = loaded.runs.iter().map(run).collect();
    let mut notes: BTreeMap<String, usize> = BTreeMap::new();
    loaded
        .runs
        .iter()
        .flat_map(|run| &run.directory.manifest.notes)
        .for_each(|note| *notes.entry(note.clone()).or_default() += 1);
    let notes: Vec<_> = notes.into_iter().map(|(note, number)| (note, format::plural(number, "run"))).collect();
    let names: std::collections::BTreeSet<&str> =
        loaded.runs.iter().map(|run| run.directory.manifest.name.as_str()).collect();
    let command = roots.iter().map(|root| format::shell(&display(root))).collect::<Vec<_>>().join(" ");
    let done = loaded.runs.iter().filter(|run| run.result().is_some()).count();
    environment
        .get_template("page.html")
        .and_then(|template| {
            template.render(context! {
                title => names.into_iter().collect::<Vec<_>>().join(", "),
                style => minijinja::Value::from_safe_string(include_str!("../templates/style.css").to_owned()),
                palette => figures::palette(),
                count => format::plural(loaded.runs.len(), "run"),
                done => done,
                groups => groups,
                unfinished => runs.iter().filter(|run| run.reason.is_some()).collect::<Vec<_>>(),
                problems => loaded.problems.iter().map(|problem| (&problem.path, &problem.reason)).collect::<Vec<_>>(),
                notes => notes,
                runs => &runs,
                over_episodes => statistics::OVER_EPISODES,
                pooling => statistics::POOLING,
                command => format!("maclip report {command} --out DIR"),
            })
        })
        .map_err(failed)
}

fn failed(error: minijinja::Error) -> Error {
    Error::failed(format!("cannot render the page: {error:#}"))
}

fn view(group: &Group, figures: &[Figure]) -> GroupView {
    let best = best(group).map(|variant| variant.label.clone());
    let rows = group.variants.iter().enumerate().map(|(position, variant)| RowView {
        row: Row::new(variant),
        swatch: figures::swatch(group, position),
        best: group.variants.len() > 1 && best.as_ref() == Some(&variant.label),
    });
    GroupView {
        title: table::title(group),
        metric: group.measure.as_ref().map_or_else(|| "result".into(), |measure| format::words(&measure.metric)),
        unit: group.unit(),
        headline: headline(group),
        compared: group.variants.iter().any(|variant| variant.difference == Difference::IsBaseline),
        rows: rows.collect(),
        figures: figures
            .iter()
            .map(|figure| FigureView {
                id: figure.id.clone(),
                file: figure.file_name(),
                caption: figure.caption.clone(),
                svg: minijinja::Value::from_safe_string(figure.svg.clone()),
            })
            .collect(),
        warnings: group.warnings.clone(),
        reasons: table::reasons(group),
    }
}

/// The variant with the highest mean.
fn best(group: &Group) -> Option<&Variant> {
    let mean = |variant: &Variant| variant.result.as_ref().map(|result| result.over_episodes.mean);
    group
        .variants
        .iter()
        .filter(|variant| variant.result.is_some())
        .max_by(|a, b| mean(a).unwrap_or(0.0).total_cmp(&mean(b).unwrap_or(0.0)))
}

fn headline(group: &Group) -> Headline {
    let metric = group.measure.as_ref().map(|measure| format::words(&measure.metric)).unwrap_or_default();
    let mut headline = Headline {
        best: String::new(),
        value: String::new(),
        metric,
        difference: String::new(),
        relation: String::new(),
        baseline: String::new(),
        detail: String::new(),
    };
    let Some((variant, result)) = best(group).and_then(|best| best.result.as_ref().map(|result| (best, result))) else {
        return headline;
    };
    headline.best = variant.label.clone();
    headline.value = format::percent_interval(result.over_episodes.mean, result.over_episodes.half_width);
    if let Difference::Paired(interval) = variant.difference {
        let baseline = group.variants.iter().find(|variant| variant.difference == Difference::IsBaseline);
        headline.baseline = baseline.map(|baseline| baseline.label.clone()).unwrap_or_default();
        let clear = interval.mean.abs() > interval.half_width;
        headline.relation = match (clear, interval.mean > 0.0) {
            (true, true) => "above",
            (true, false) => "below",
            (false, _) => "not clearly different from",
        }
        .into();
        headline.difference = format::points_interval(interval.mean, interval.half_width);
    }
    let seeds = format::plural(result.values.len(), "seed");
    let each = if result.values.len() > 1 { " each" } else { "" };
    let tests = format::whole(result.episodes);
    headline.detail = format!("{seeds}, {tests} test {}{each}; ± is the {}", group.unit(), group.interval());
    headline
}

fn run(run: &Run) -> RunView {
    let manifest = &run.directory.manifest;
    let status = run.directory.status.as_ref();
    let mut facts = vec![("task", format::words(&manifest.task))];
    if let Some(sitting) = manifest.last_sitting() {
        let commit = sitting.commit.as_ref().map(|commit| format!(" ({commit})")).unwrap_or_default();
        facts.extend([
            ("device", sitting.device.clone()),
            ("cpu", sitting.cpu.clone()),
            ("threads", sitting.threads.to_string()),
            ("features", sitting.features.join(", ")),
            ("maclip", format!("{}{commit}", sitting.maclip_version)),
            ("command", sitting.argv.iter().map(|word| format::shell(word)).collect::<Vec<_>>().join(" ")),
        ]);
    }
    if manifest.sittings.len() > 1 {
        facts.push(("sittings", format!("{}; the facts above are the last one's", manifest.sittings.len())));
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
    let part = |part: &maclip_framework::records::ParamsPart| {
        let name = if part.part == part.slot { part.slot.clone() } else { format!("{} / {}", part.slot, part.part) };
        (name, format::count(part.trainable), format::count(part.total))
    };
    RunView {
        title: format!("{} / {}, seed {}", manifest.name, manifest.variant, manifest.seed),
        state: frame::state(run.state()),
        reason: run.result().is_none().then(|| reason(run)),
        result: run
            .result()
            .map_or_else(|| format::NONE.into(), |test| format::percent_interval(test.value, test.ci95)),
        path: run.path(),
        facts: facts.into_iter().filter(|(_, fact)| !fact.is_empty()).collect(),
        components: manifest.components.clone(),
        parts: run.directory.params.iter().flat_map(|params| params.parts.iter().map(part)).collect(),
        weights: manifest.weights.clone(),
        notes: manifest.notes.clone(),
        recipe: run.recipe.clone(),
    }
}

/// Why a run has no result, and what to do about it.
fn reason(run: &Run) -> String {
    let step = run.train.last().map(|record| format!(" after step {}", format::whole(record.step))).unwrap_or_default();
    match (run.state(), run.directory.status.as_ref().and_then(|status| status.reason.as_ref())) {
        (Some(State::Failed), Some(reason)) => reason.clone(),
        (Some(State::Failed), None) => format!("failed{step} without a reason"),
        (Some(State::Interrupted), _) => format!("interrupted{step}; the command that started it resumes it"),
        (Some(State::Running), _) => format!("not finished{step}: still running, or killed"),
        (Some(State::Done), _) => "done, but without a test result".into(),
        (None, _) => format!("started{step}; no status was written"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;
    use crate::summary::summarise;
    use crate::testing::{Study, study};
    use std::path::Path;

    fn page(root: &Path) -> String {
        let loaded = load(&[root.to_owned()]).unwrap();
        let summary = summarise(&loaded);
        let figures = figures::all(&summary).unwrap();
        render(&loaded, &summary, &figures, &[PathBuf::from("my runs")]).unwrap()
    }

    #[test]
    fn the_headline_and_the_table_hold_the_same_numbers() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let html = page(folder.path());
        let summary = summarise(&load(&[folder.path().to_owned()]).unwrap());
        let row = Row::new(&summary.groups[0].variants[3]);
        assert_eq!(html.matches(&row.difference).count(), 2, "{}", row.difference);
        assert!(html.matches(&row.result).count() >= 3);
        assert!(html.contains("maclip report &#x27;my runs&#x27; --out DIR"));
        assert!(html.contains("# frozen &lt;recipe&gt;"));
        assert!(html.contains("20.0</text>") || html.contains("chance 20.0"));
    }

    #[test]
    fn nothing_is_loaded_from_outside() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let html = page(folder.path()).replace("http://www.w3.org/2000/svg", "");
        for loads in ["http:", "https:", "<script", "<link", "@import", "url("] {
            assert!(!html.contains(loads), "{loads}");
        }
    }

    #[test]
    fn retrieval_has_its_own_metric_and_no_chance() {
        let folder = tempfile::tempdir().unwrap();
        Study::contrastive().write(folder.path(), 1);
        let html = page(folder.path());
        assert!(html.contains("recall at 1") && !html.contains("chance") && !html.contains("-way"));
    }

    #[test]
    fn a_run_without_a_result_says_why() {
        let folder = tempfile::tempdir().unwrap();
        Study { state: State::Failed, ..Study::default() }.write(folder.path(), 1);
        assert!(page(folder.path()).contains("the loss is not a number at step 212"));
        Study { state: State::Interrupted, ..Study::default() }.write(folder.path(), 1);
        assert!(page(folder.path()).contains("interrupted after step 400"));
    }
}

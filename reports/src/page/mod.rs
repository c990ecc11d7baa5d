//! The page: one HTML file that needs no other file. The templates are in `templates/`; not here: the numbers and
//! figures on it.

pub mod classified;
mod contents;
mod group;
mod headline;
mod run;
#[cfg(test)]
mod seen;
mod side;

use crate::answers::Answers;
use crate::figures::{Figure, Figures};
use crate::load::{Loaded, display};
use crate::palette::{self, Shape};
use crate::{Contents, Summarised, format, statistics};
use contents::Entry;
use maclip_framework::error::{Error, Result};
use maclip_framework::runs::records::State;
use minijinja::{Environment, HtmlEscape, Value, context};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Serialize)]
struct FigureView {
    id: String,
    title: String,
    caption: String,
    svg: Value,
    data: Vec<Vec<String>>,
}

impl FigureView {
    fn of(figure: &Figure) -> Self {
        Self {
            id: figure.id.clone(),
            title: figure.title.clone(),
            caption: figure.caption.clone(),
            // The figures escape what they are given.
            svg: Value::from_safe_string(figure.inline()),
            data: figure.data.clone(),
        }
    }
}

/// Rows of a figure's data that the page shows; the file has all.
const SHOWN_DATA: usize = 60;

const TEMPLATES: [(&str, &str); 17] = [
    ("classified.html", include_str!("../../templates/classified.html")),
    ("recognised.html", include_str!("../../templates/recognised.html")),
    ("trust.html", include_str!("../../templates/trust.html")),
    ("serve.html", include_str!("../../templates/serve.html")),
    ("look.html", include_str!("../../templates/look.html")),
    ("page.html", include_str!("../../templates/page.html")),
    ("group.html", include_str!("../../templates/group.html")),
    ("figure.html", include_str!("../../templates/figure.html")),
    ("answers.html", include_str!("../../templates/answers.html")),
    ("pair.html", include_str!("../../templates/pair.html")),
    ("strips.html", include_str!("../../templates/strips.html")),
    ("tools.html", include_str!("../../templates/tools.html")),
    ("gallery.html", include_str!("../../templates/gallery.html")),
    ("method.html", include_str!("../../templates/method.html")),
    ("runs.html", include_str!("../../templates/runs.html")),
    ("side.html", include_str!("../../templates/side.html")),
    ("unfinished.html", include_str!("../../templates/unfinished.html")),
];

/// All templates.
fn environment() -> Result<Environment<'static>> {
    let mut environment = Environment::new();
    environment.add_filter("breaks", breaks);
    environment.add_filter("shell", format::shell);
    environment.add_filter("shape", |number: usize| Shape::of(number).name());
    for (name, source) in TEMPLATES {
        // The names end in .html, which is what turns escaping on.
        environment.add_template(name, source).map_err(failed)?;
    }
    Ok(environment)
}

fn ends_with_digit(text: Option<&str>) -> bool {
    text.is_some_and(|text| text.ends_with(|last: char| last.is_ascii_digit()))
}

/// A name as HTML that may break behind its signs and not within its words; within those only where no line has room
/// for them.
fn breaks(name: &str) -> Value {
    /// Letters of the longest word that stays whole, and of the parts of a longer one.
    const WHOLE: usize = 24;
    const PART: usize = 12;
    let mut parts: Vec<String> = Vec::new();
    for part in name.split_inclusive(['+', '_', '-', '/', '.', ',', '=', ':', '(', '[', ' ']) {
        match parts.last_mut() {
            // 1e-4 is one word.
            Some(before) if ends_with_digit(before.strip_suffix("e-")) => before.push_str(part),
            _ => parts.push(part.to_owned()),
        }
    }
    let mut html = String::new();
    for part in parts {
        let letters: Vec<char> = part.chars().collect();
        let size = if letters.len() > WHOLE { PART } else { WHOLE };
        for piece in letters.chunks(size) {
            html += &HtmlEscape(&piece.iter().collect::<String>()).to_string();
            html += "<wbr>";
        }
    }
    Value::from_safe_string(html.trim_end_matches("<wbr>").to_owned())
}

/// So many tables of a page are open at once; of more, only the first is.
const OPEN_TABLES: usize = 3;
/// Tables whose examples are on a page: all of the first, and the first of each kind of the second. Each example has
/// about a tenth of a megabyte.
const GALLERIES: usize = 2;
/// So many runs are listed at the end of a page; more are in a fold.
const MOST_RUNS: usize = 24;
/// As many notes of runs.
const MOST_NOTES: usize = 12;
/// What is said of a clip whose picture no run holds, and of one whose picture is left out.
const NO_PICTURE: &str = "no picture was recorded";
const LEFT_OUT: &str = "its picture is left out of this page";

/// The groups as the page shows them.
fn groups(contents: &Contents, figures: &Figures) -> Vec<group::GroupView> {
    let Contents { loaded, summarised, .. } = contents;
    let Summarised { summary, tables, orders, galleries } = summarised;
    let mut shown = 0;
    let view = |(number, group): (usize, &crate::summary::Group)| {
        let gallery = galleries.of_groups[number].as_ref();
        let examples = match shown {
            0 => group::Inlined::All,
            more if more < GALLERIES => group::Inlined::First,
            _ => group::Inlined::None,
        };
        shown += usize::from(gallery.is_some());
        let (clips, bare) = match (examples, gallery) {
            (group::Inlined::None, Some(_)) => (None, LEFT_OUT),
            _ => (gallery, NO_PICTURE),
        };
        let clips = clips.into_iter().flat_map(|gallery| &gallery.clips);
        let answers = group.best().and_then(|best| Answers::of(best, &loaded.runs, clips, bare));
        let (table, order, figures) = (&tables[number], &orders[number], figures.groups[number].as_slice());
        let open = number == 0 || tables.len() <= OPEN_TABLES;
        let parts = group::Parts { table, order, figures, gallery, answers, open, examples };
        group::view(format!("group-{}", number + 1), group, parts)
    };
    summary.groups.iter().enumerate().map(view).collect()
}

/// Renders the page of the runs in `roots`, which an open browser loads again after `reload`.
pub fn render(contents: &Contents, figures: &Figures, roots: &[PathBuf], reload: Option<Duration>) -> Result<String> {
    let Contents { loaded, summarised, pair } = contents;
    let Summarised { summary, galleries, .. } = summarised;
    let groups = groups(contents, figures);
    let varying = run::varying(summary);
    let runs = run::views(&loaded.runs, &varying);
    let side = if pair.is_some() { Vec::new() } else { side::tables(loaded, summary) };
    let mut notes: BTreeMap<&String, usize> = BTreeMap::new();
    loaded
        .runs
        .iter()
        .flat_map(|run| &run.directory.manifest.notes)
        .for_each(|note| *notes.entry(note).or_default() += 1);
    let notes: Vec<_> = notes.into_iter().map(|(note, number)| (note, format::plural(number, "run"))).collect();
    let names: BTreeSet<&str> = loaded.runs.iter().map(|run| run.directory.manifest.name.as_str()).collect();
    let command = roots.iter().map(|root| format::shell(&display(root))).collect::<Vec<_>>().join(" ");
    let problems: Vec<_> = loaded.problems.iter().map(|problem| (&problem.path, &problem.reason)).collect();
    let waiting = loaded.waiting.iter().map(|(name, run)| run::OpenView::waiting(name, run));
    let mut unfinished: Vec<run::OpenView> = loaded.runs.iter().filter_map(run::OpenView::of).chain(waiting).collect();
    unfinished.sort_by_key(|run| (run.state == "waiting", run.state != "failed"));
    // What went wrong comes before all that went well.
    let urgent = unfinished.iter().any(|run| run.state == "failed");
    let unfinished_title = if urgent { "Failed or unfinished" } else { "Not finished yet" };
    let left_out = left_out(loaded);
    let own = [
        (!unfinished.is_empty() && urgent, "unfinished", unfinished_title),
        (pair.is_some(), "pair", "One against the other"),
        (!side.is_empty(), "side-by-side", "Side by side"),
        (!figures.overview.is_empty(), "overview", "Across the tables"),
        (!unfinished.is_empty() && !urgent, "unfinished", unfinished_title),
        (!left_out.is_empty(), "left-out", "Not run here"),
        (!problems.is_empty(), "problems", "Could not be read"),
        (!notes.is_empty(), "notes", "Notes from the runs"),
        (true, "method", "How to read the numbers"),
        (true, "runs", "Every run"),
    ];
    let entry = |(there, anchor, title): &(bool, &str, &str)| there.then(|| Entry::new(anchor, title));
    let before = own[..4].iter().filter_map(entry);
    let titles = contents::short_titles(&summary.groups);
    let of_groups = groups.iter().zip(&titles).map(|(group, title)| Entry::of(group, title));
    let entries: Vec<Entry> = before.chain(of_groups).chain(own[4..].iter().filter_map(entry)).collect();
    let environment = environment()?;
    let page = environment
        .get_template("page.html")
        .and_then(|template| {
            template.render(context! {
                title => names.into_iter().collect::<Vec<_>>().join(", "),
                style => safe(include_str!("../../templates/style.css")),
                script => safe(include_str!("../../templates/page.js")),
                palette => palette::palette(),
                themed => palette::DARK,
                states => states(loaded),
                contents => entries,
                pair => pair,
                side => side,
                urgent => urgent,
                unfinished_title => unfinished_title,
                most_galleries => GALLERIES,
                overview => figures.overview.iter().map(FigureView::of).collect::<Vec<_>>(),
                groups => groups,
                time_left => unfinished.iter().any(|run| !run.left.is_empty()),
                unfinished => unfinished,
                problems => problems,
                left_out => left_out,
                many_notes => notes.len() > MOST_NOTES,
                notes => notes,
                runs => &runs,
                many_runs => runs.len() > MOST_RUNS,
                not_shown => &galleries.left_out,
                reload => reload.map(|time| time.as_secs()),
                shown_data => SHOWN_DATA,
                over_episodes => statistics::OVER_EPISODES,
                over_clusters => statistics::OVER_CLUSTERS,
                over_seeds => statistics::OVER_SEEDS,
                pooling => statistics::POOLING,
                p_value => format!("{}, {}", statistics::SIGN_FLIP, statistics::HOLM),
                command => format!("maclip report {command} --out DIR"),
            })
        })
        .map_err(failed)?;
    let strips = galleries.strips.shown(&used(&page));
    let strips =
        environment.get_template("strips.html").and_then(|of| of.render(context! { strips })).map_err(failed)?;
    Ok(page.replacen("<!-- strips -->", &strips, 1))
}

/// The strips that a page shows, by their ids: in pictures and in the data of its script.
fn used(page: &str) -> BTreeSet<&str> {
    let starts = page.match_indices("strip-").filter(|(at, _)| matches!(page.as_bytes()[at - 1], b'#' | b'"'));
    starts.filter_map(|(at, _)| page[at..].split_once('"')).map(|(id, _)| id).collect()
}

/// `12 runs, 8 with a result, 1 running, 2 failed`
fn states(loaded: &Loaded) -> String {
    let runs = || loaded.runs.iter();
    let done = runs().filter(|run| run.result().is_some()).count();
    let all = loaded.runs.len() + loaded.waiting.len();
    let mut text = format!("{}, {done} with a result", format::plural(all, "run"));
    for state in [State::Running, State::Failed, State::Interrupted] {
        let count = runs().filter(|run| run.result().is_none() && run.state() == Some(state)).count();
        if count > 0 {
            text += &format!(", {count} {}", state.name());
        }
    }
    if !loaded.waiting.is_empty() {
        text += &format!(", {} waiting", loaded.waiting.len());
    }
    if !loaded.left_out.is_empty() {
        text += &format!(", {} left out", loaded.left_out.len());
    }
    if !loaded.problems.is_empty() {
        text += &format!(", {} unreadable", loaded.problems.len());
    }
    text
}

#[derive(Serialize)]
struct LeftOutView<'a> {
    recipe: &'a str,
    variant: &'a str,
    reason: &'a str,
    /// What it would be held against.
    expected: Vec<String>,
    /// The first of them, to sort by.
    value: Option<f64>,
}

fn left_out(loaded: &Loaded) -> Vec<LeftOutView<'_>> {
    let mut views = Vec::new();
    for (recipe, run) in &loaded.left_out {
        let expected =
            run.expect.iter().map(|expect| format!("{} ({})", format::percent(expect.value / 100.0), expect.source));
        let value = run.expect.first().map(|expect| expect.value);
        let expected = expected.collect();
        views.push(LeftOutView { recipe, variant: &run.variant, reason: &run.reason, expected, value });
    }
    views
}

/// Text that is HTML already.
fn safe(text: &str) -> Value {
    Value::from_safe_string(text.to_owned())
}

fn failed(error: minijinja::Error) -> Error {
    Error::failed(format!("cannot render the page: {error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;
    use crate::summarised;
    use crate::summary::summarise;
    use crate::table::Table;
    use crate::testing::{Study, study};
    use maclip_framework::runs::records::State;
    use std::path::Path;

    fn page(root: &Path) -> String {
        let loaded = load(&[root.to_owned()]).unwrap();
        let summarised = summarised(&loaded);
        let figures = Figures::of(&summarised.summary, &summarised.galleries.maps);
        let contents = Contents { loaded: &loaded, summarised: &summarised, pair: None };
        render(&contents, &figures, &[PathBuf::from("my runs")], None).unwrap()
    }

    #[test]
    fn the_headline_and_the_table_hold_the_same_numbers() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let html = page(folder.path());
        let summary = summarise(&load(&[folder.path().to_owned()]).unwrap());
        let table = Table::of(&summary.groups[0]);
        let cell = |heading: &str| {
            let column = table.columns.iter().position(|column| column.heading == heading).unwrap();
            table.rows[3][column].text.clone()
        };
        // Headline, table, bar, and what a bar shows when pointed at; the bar's data.
        assert!(html.matches(&cell("Δ baseline")).count() >= 5, "{}", cell("Δ baseline"));
        assert!(html.matches(&cell("accuracy")).count() >= 5);
        assert!(html.contains("maclip report &#x27;my runs&#x27; --out DIR"));
        assert!(html.contains("# frozen &lt;recipe&gt;"));
        assert!(html.contains("chance 20.0"));
    }

    /// As the figures give it, so that two variants of one colour differ in a table too.
    #[test]
    fn a_variant_has_its_shape_beside_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let number = |number: usize| (format!("variant {number}"), 0.3 + 0.01 * number as f64, 1000 * number);
        Study { variants: (0..30).map(number).collect(), ..Study::default() }.write(folder.path(), 1);
        let html = page(folder.path());
        let marked = |swatch: usize, shape: &str| {
            html.contains(&format!("<span class=\"swatch swatch-{swatch} {shape}\"></span>"))
        };
        assert!(marked(1, "disc") && marked(1, "square"));
        assert!(!html.contains(" diamond\"></span>"));
    }

    #[test]
    fn nothing_is_loaded_from_outside() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let html = page(folder.path()).replace("http://www.w3.org/2000/svg", "");
        for loads in ["http:", "https:", "<script src", "<link", "@import", "url(", "<iframe"] {
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
    fn words_break_behind_their_signs() {
        let html = |name| breaks(name).to_string();
        assert_eq!(html("mean_feature/all"), "mean_<wbr>feature/<wbr>all".replace('/', "&#x2f;"));
        assert_eq!(html("<a>"), "&lt;a&gt;");
        assert_eq!(html("rate=1e-4_more"), "rate=<wbr>1e-4_<wbr>more");
        assert_eq!(html(&"a".repeat(26)), format!("{0}<wbr>{0}<wbr>aa", "a".repeat(12)));
    }

    #[test]
    fn of_many_tables_the_first_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let groups = |end: &str| page(folder.path()).matches(&format!("\"{end}>\n<summary><h2")).count();
        for shot in 1..=3 {
            Study { shot, folder: shot.to_string(), ..Study::default() }.write(folder.path(), 1);
        }
        assert_eq!((groups(" open"), groups("")), (3, 0));
        Study { shot: 4, folder: "4".into(), ..Study::default() }.write(folder.path(), 1);
        assert_eq!((groups(" open"), groups("")), (1, 3));
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

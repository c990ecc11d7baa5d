//! From run directories to something one can read: tidy frames, statistics, figures, tables, one page.
//!
//! ```text
//! run directories ─load─▶ runs ─┬─pivot───▶ a table along any axes: terminal, Markdown, LaTeX, HTML, CSV
//!                               └─summary─▶ groups of variants ─┬─table───▶ terminal, Markdown, LaTeX, CSV
//!                               │                               ├─figures─▶ SVG, PNG, CSV
//!                               │                               ├─page────▶ HTML
//!                               └────────────frame──────────────┴─────────▶ CSV, Parquet
//! ```
//!
//! The same runs give the same bytes: everything is sorted and nothing depends on the time or place of the report.
//!
//! Here belongs what is made of finished run directories. Not here: how they are written (`maclip_framework::runs`),
//! and anything that needs a model or data.
#![forbid(unsafe_code)]

mod answers;
mod compare;
mod curve;
mod episodes;
mod figures;
pub mod format;
mod frame;
mod gallery;
mod lines;
mod load;
#[cfg(test)]
#[path = "../../tests/common/needs.rs"]
mod needs;
mod page;
mod pair;
mod palette;
mod pivot;
mod queries;
#[cfg(test)]
#[path = "../../tests/common/scripts.rs"]
mod scripts;
mod settings;
mod statistics;
mod strips;
mod summary;
mod table;
#[cfg(test)]
mod testing;

pub use compare::{ClassDifference, Comparison, Side, compare};
pub use lines::{Grid, GridCell, GridColumn, Kind, Look};
pub use load::Stamp;
pub use page::classified::{Classified, ClassifiedClip, SERVE_SCRIPT, classified, recognised, serve_page, trust};
pub use pair::compare_page;
pub use pivot::{
    Asked, Interval, Marks, Pivot, PivotCell, PivotRow, csv as pivot_csv, html as pivot_html, latex as pivot_latex,
    markdown as pivot_markdown, pivot, text as pivot_text,
};
pub use statistics::{mean, moments, t_quantile};
pub use table::csv_lines;

use figures::Figures;
use gallery::Galleries;
use maclip_framework::error::{Error, Result};
use maclip_framework::files::write_quickly;
use maclip_language::printable_lines;
use rayon::prelude::*;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;
use table::Table;

/// How a report is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// A page that is open in a browser reloads itself after this time; `None` for never.
    pub reload: Option<Duration>,
    /// Directories of the runs that [`Report::table`] is of; `None` for all.
    pub shown: Option<&'a [PathBuf]>,
    /// How [`Report::table`] is shown.
    pub look: Look,
}

/// What [`report`] wrote, and what it could not read.
#[derive(Clone, Debug)]
pub struct Report {
    /// The page, to open in a browser.
    pub index: PathBuf,
    /// Every file written, the page included, sorted.
    pub files: Vec<PathBuf>,
    /// The summary for a terminal.
    pub table: String,
    /// One line for each thing that could not be read; the page lists them too.
    pub unreadable: Vec<String>,
    /// What was not written, and why.
    pub left_out: Option<String>,
}

/// Reads all runs at or below `roots` and writes the page, tables, figures and frames to `out`. Without `out`, nothing
/// is written: [`Report::table`] and [`Report::unreadable`] are all there is.
///
/// ```text
/// index.html
/// runs.csv  runs.parquet  variants.csv  variants.parquet  episodes.parquet  schema.json
/// tables/table-<n>.{tex,md,csv}  tables/order-<n>.{tex,md,csv}
/// figures/<id>.{svg,png,csv}
/// ```
///
/// Each file is written under a temporary name and renamed, so a page that is open never sees half a file. A run that
/// cannot be read is named on the page and in [`Report::unreadable`]; the others are reported as usual.
///
/// # Errors
/// Where `roots` do not exist or hold no run that can be read, or `out` cannot be written.
pub fn report(roots: &[PathBuf], out: Option<&Path>, options: &Options) -> Result<Report> {
    let mut loaded = load::load(roots)?;
    let summarised = summarised(&loaded);
    let files = match out {
        None => Vec::new(),
        Some(out) => write(&Contents { loaded: &loaded, summarised: &summarised, pair: None }, roots, out, options)?,
    };
    let Summarised { tables, orders, galleries, .. } = summarised;
    let problems = loaded.problems.iter().map(|problem| format!("{}: {}", problem.path, problem.reason));
    let unreadable = problems.chain(galleries.problems).collect();
    let table = match options.shown {
        None => terminal(&tables, &orders, &options.look),
        Some(shown) => {
            loaded.only(shown);
            let groups = summary::summarise(&loaded).groups;
            terminal(
                &groups.iter().map(Table::of).collect::<Vec<_>>(),
                &groups.iter().map(Table::of_orders).collect::<Vec<_>>(),
                &options.look,
            )
        }
    };
    let rows = queries::rows(&loaded.runs);
    let left_out = (out.is_some() && rows > queries::MOST_ROWS).then(|| {
        format!(
            "{EPISODES} is not written: it would have {} rows, and {} are the most; a report of fewer runs has it",
            format::whole(rows as u64),
            format::whole(queries::MOST_ROWS as u64)
        )
    });
    Ok(Report { index: out.unwrap_or(Path::new("")).join("index.html"), files, table, unreadable, left_out })
}

/// Runs put together, with their tables and examples.
struct Summarised {
    summary: summary::Summary,
    /// One for each group.
    tables: Vec<Table>,
    /// One for each group: what its runs say of the expected orders.
    orders: Vec<Option<Table>>,
    galleries: Galleries,
}

fn summarised(loaded: &load::Loaded) -> Summarised {
    let summary = summary::summarise(loaded);
    Summarised {
        tables: summary.groups.iter().map(Table::of).collect(),
        orders: summary.groups.iter().map(Table::of_orders).collect(),
        galleries: Galleries::of(&summary.groups),
        summary,
    }
}

/// What goes into the files of a report.
struct Contents<'a> {
    loaded: &'a load::Loaded,
    summarised: &'a Summarised,
    /// Of a page for two variants.
    pair: Option<&'a pair::Pair>,
}

/// Writes the files of a report; returns their paths, sorted.
fn write(contents: &Contents, roots: &[PathBuf], out: &Path, options: &Options) -> Result<Vec<PathBuf>> {
    let Contents { loaded, summarised, .. } = *contents;
    let Summarised { summary, tables, orders, .. } = summarised;
    let figures = Figures::of(summary, &summarised.galleries.maps);
    let page = page::render(contents, &figures, roots, options.reload)?;

    let mut contents = frames(loaded, summary)?;
    let numbered = |kind: &str, number: usize| format!("{kind}-{}", number + 1);
    let of_groups = tables.iter().enumerate().map(|(number, table)| (numbered("table", number), table));
    let of_orders =
        orders.iter().enumerate().filter_map(|(number, order)| Some((numbered("order", number), order.as_ref()?)));
    for (name, table) in of_groups.chain(of_orders) {
        let renderings = [
            ("tex", table::latex(table, &name).into_bytes()),
            ("md", table::markdown(table).into_bytes()),
            ("csv", table::csv(table)),
        ];
        contents.extend(renderings.map(|(ending, bytes)| (format!("tables/{name}.{ending}"), bytes)));
    }
    let drawn: Vec<_> = figures.iter().collect();
    let pictures = drawn.par_iter().map(|figure| figures::png(&figure.svg)).collect::<Result<Vec<_>>>()?;
    for (figure, png) in drawn.into_iter().zip(pictures) {
        let renderings = [("svg", printable_lines(&figure.svg).into_bytes()), ("png", png), ("csv", figure.csv())];
        contents.extend(renderings.map(|(ending, bytes)| (format!("figures/{}.{ending}", figure.id), bytes)));
    }
    // Last, so that a page always finds the files it links to.
    contents.push(("index.html".to_owned(), printable_lines(&page).into_bytes()));
    let mut files = Vec::new();
    for (name, bytes) in contents {
        let path = out.join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
        }
        write_quickly(&path, &bytes)?;
        files.push(path);
    }
    files.sort();
    Ok(files)
}

/// The tables of groups and what is found of their expected orders, for a terminal.
fn terminal(tables: &[Table], orders: &[Option<Table>], look: &Look) -> String {
    let each = tables.iter().zip(orders).flat_map(|(table, order)| [Some(table), order.as_ref()]);
    each.flatten().map(|table| table::terminal(table, look)).collect::<String>().trim_end().to_owned()
}

/// Version of the frames: it rises where a column changes its meaning, its name or its type, or goes.
const FRAMES: u32 = 1;
/// The file with a row for each query.
const EPISODES: &str = "episodes.parquet";

/// The frames, by file name, and what their columns are.
fn frames(loaded: &load::Loaded, summary: &summary::Summary) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    let columns = |list: Vec<(String, String)>| {
        list.into_iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect::<Vec<_>>()
    };
    let mut schema = json!({"version": FRAMES, "files": {}});
    for (name, mut frame) in [("runs", frame::runs(&loaded.runs)?), ("variants", frame::variants(summary)?)] {
        files.push((format!("{name}.csv"), frame::csv(&frame)?));
        files.push((format!("{name}.parquet"), frame::parquet(&mut frame)?));
        schema["files"][format!("{name}.parquet")] = columns(frame::columns(&frame)).into();
    }
    if queries::rows(&loaded.runs) <= queries::MOST_ROWS {
        files.push((EPISODES.to_owned(), queries::parquet(&loaded.runs)?));
        schema["files"][EPISODES] = columns(queries::columns()?).into();
    }
    let text = serde_json::to_string_pretty(&schema).map_err(|error| Error::failed(error.to_string()))?;
    files.push(("schema.json".to_owned(), format!("{text}\n").into_bytes()));
    Ok(files)
}

/// The folder of the repository, for `scripts`.
#[cfg(test)]
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Study, study};
    use maclip_framework::files::write_json;
    use maclip_framework::recipe::study::Order;
    use maclip_framework::runs::records::State;

    #[test]
    fn writes_all_files_and_the_same_bytes_twice() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        study(&runs);
        let read = |out: &Path| {
            let report = report(std::slice::from_ref(&runs), Some(out), &Options::default()).unwrap();
            report.files.iter().map(|file| std::fs::read(file).unwrap()).collect::<Vec<_>>()
        };
        let first = read(&folder.path().join("a"));
        let second = read(&folder.path().join("b"));
        // The page, two frames in two formats, episodes and schema, one table in three, eight figures in three.
        assert_eq!(first.len(), 1 + 2 * 2 + 2 + 3 + 8 * 3);
        assert!(first == second);
        let leftovers = std::fs::read_dir(folder.path().join("a")).unwrap().count();
        assert_eq!(leftovers, 9, "the page, five frames and their schema, tables, figures and no temporary file");
    }

    #[test]
    fn the_documentation_names_every_column_of_every_frame() {
        let folder = tempfile::tempdir().unwrap();
        study(&folder.path().join("runs"));
        let out = folder.path().join("out");
        report(&[folder.path().join("runs")], Some(&out), &Options::default()).unwrap();
        let schema: serde_json::Value =
            serde_json::from_slice(&std::fs::read(out.join("schema.json")).unwrap()).unwrap();
        assert_eq!(schema["version"], FRAMES);
        let text = include_str!("../../docs/reports.md");
        assert!(text.contains(&format!("version {FRAMES} ")), "docs/reports.md does not say version {FRAMES}");
        for file in ["runs.parquet", "variants.parquet", EPISODES] {
            let columns = schema["files"][file].as_array().unwrap();
            let fixed = columns.iter().filter_map(|column| column["name"].as_str());
            // Slots and keys of recipes are named as such.
            let fixed = fixed
                .filter(|name| !["adapter", "alignment", "backbone", "dataset"].contains(name) && !name.contains('.'));
            for name in fixed {
                assert!(text.contains(&format!("`{name}`")), "docs/reports.md does not say what `{name}` of {file} is");
            }
        }
    }

    #[test]
    fn expected_orders_are_on_the_page_in_the_files_and_on_the_terminal() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let order = Order { best_first: vec!["both".into(), "adapters".into()], source: "table <3>".into() };
        write_json(&folder.path().join("ablation").join(Order::FILE), &[order]).unwrap();
        let report =
            report(&[folder.path().to_owned()], Some(&folder.path().join("out")), &Options::default()).unwrap();
        let page = std::fs::read_to_string(&report.index).unwrap();
        assert!(page.contains("Expected orders") && page.contains("table &lt;3&gt;") && page.contains(">holds<"));
        assert!(report.table.contains("expected better") && report.table.contains("3 of 3"), "{}", report.table);
        let files = ["tex", "md", "csv"].map(|end| folder.path().join(format!("out/tables/order-1.{end}")));
        assert!(files.iter().all(|file| report.files.contains(file)));
    }

    #[test]
    fn no_run_is_an_error_with_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let error =
            report(&[folder.path().to_owned()], Some(&folder.path().join("out")), &Options::default()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("no run") && text.contains("help: "), "{text}");
    }

    #[test]
    fn an_out_that_is_a_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        study(&folder.path().join("runs"));
        let out = folder.path().join("taken");
        std::fs::write(&out, "").unwrap();
        let error = report(&[folder.path().join("runs")], Some(&out), &Options::default()).unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
    }

    #[test]
    fn one_broken_run_is_listed_and_the_others_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        study(&runs);
        std::fs::create_dir_all(runs.join("x/broken")).unwrap();
        std::fs::write(runs.join("x/broken/manifest.json"), "{ not json").unwrap();
        let report = report(&[runs], Some(&folder.path().join("out")), &Options::default()).unwrap();
        assert_eq!(report.unreadable.len(), 1);
        let page = std::fs::read_to_string(report.index).unwrap();
        assert!(page.contains("Could not be read") && page.contains("x&#x2f;broken"));
    }

    #[test]
    fn names_cannot_inject_html() {
        let folder = tempfile::tempdir().unwrap();
        let evil = "<script>alert('x')</script>\"|&";
        let mut runs = Study { name: evil.into(), folder: "a".into(), class: evil.into(), ..Study::default() };
        runs.variants[0].0 = evil.into();
        runs.note = evil.into();
        runs.write(&folder.path().join("runs"), 2);
        runs.state = State::Failed;
        runs.folder = "b".into();
        runs.write(&folder.path().join("runs"), 1);
        let report =
            report(&[folder.path().join("runs")], Some(&folder.path().join("out")), &Options::default()).unwrap();
        for file in report.files.iter().filter(|file| file.extension().is_some_and(|end| end == "html" || end == "svg"))
        {
            let text = std::fs::read_to_string(file).unwrap();
            assert!(!text.contains("<script>alert") && !text.contains("'x')</"), "{}", file.display());
        }
    }

    fn reported(study: &Study, seeds: u64) -> (Report, String) {
        let folder = tempfile::tempdir().unwrap();
        study.write(&folder.path().join("runs"), seeds);
        let report =
            report(&[folder.path().join("runs")], Some(&folder.path().join("out")), &Options::default()).unwrap();
        let page = std::fs::read_to_string(&report.index).unwrap();
        (report, page)
    }

    #[test]
    fn failed_runs_alone_make_a_page_that_says_so() {
        let (report, page) = reported(&Study { state: State::Failed, ..Study::default() }, 1);
        assert!(page.contains("4 runs, 0 with a result") && page.contains("the loss is not a number at step 212"));
        assert!(report.table.contains("no result yet"), "{}", report.table);
    }

    #[test]
    fn one_run_is_compared_with_nothing() {
        let one = Study { variants: vec![("default".into(), 0.6, 7)], ..Study::default() };
        let (report, page) = reported(&one, 1);
        assert!(
            page.contains("1 run, 1 with a result")
                && !report.table.contains("Δ")
                && !page.contains("against <strong>")
        );
    }

    #[test]
    fn a_result_that_is_no_number_is_reported_and_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        study(&runs);
        let status = runs.join("ablation").read_dir().unwrap().next().unwrap().unwrap().path().join("status.json");
        let mut value: serde_json::Value = serde_json::from_slice(&std::fs::read(&status).unwrap()).unwrap();
        value["test"]["value"] = serde_json::Value::Null;
        std::fs::write(&status, value.to_string()).unwrap();
        let report = report(&[runs], Some(&folder.path().join("out")), &Options::default()).unwrap();
        let page = std::fs::read_to_string(&report.index).unwrap();
        assert!(page.contains("its result is not a number") && !page.contains("NaN"));
        assert!(report.table.contains("1 run without a result not counted"), "{}", report.table);
    }

    #[test]
    fn two_hundred_variants_have_one_table_and_figures_of_the_best() {
        let variants = (0..200).map(|number| (format!("variant {number}"), 0.4 + 0.002 * number as f64, 1000 * number));
        let many = Study { variants: variants.collect(), ..Study::default() };
        let (report, page) = reported(&many, 1);
        assert!(page.contains("24 of 200, the best, the baseline among them; the table has all."));
        assert_eq!(report.table.lines().filter(|line| line.trim_start().starts_with("variant ")).count(), 201);
        assert!(page.len() < 6_000_000, "{}", page.len());
    }
}

//! From run directories to something one can read: a tidy frame, statistics, figures, one page.
//!
//! ```text
//! run directories ─load─▶ runs ─summary─▶ groups of variants ─┬─figures─▶ SVG
//!                           └──frame──▶ CSV, Parquet          ├─page────▶ HTML
//!                                                             └─table───▶ terminal, Markdown
//! ```
//!
//! Only the record types of `maclip-framework` are read. The same runs give the same bytes: everything is sorted and
//! nothing depends on the time or place of the report.
#![forbid(unsafe_code)]

pub mod curve;
pub mod figures;
pub mod format;
pub mod frame;
pub mod load;
pub mod page;
pub mod statistics;
pub mod summary;
pub mod table;
#[cfg(test)]
mod testing;

use maclip_framework::error::{Error, Result};
use std::path::{Path, PathBuf};

/// What [`report`] wrote and what there is to say about it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The page: open it in a browser.
    pub index: PathBuf,
    /// Every file written, the page included, sorted.
    pub files: Vec<PathBuf>,
    /// The summary for a terminal.
    pub table: String,
    /// The same summary in Markdown.
    pub markdown: String,
    /// One line for each thing that could not be read; the page lists them too.
    pub unreadable: Vec<String>,
}

/// Reads all runs at or below `roots` and writes `index.html`, `runs.csv`, `runs.parquet` and `figures/*.svg` to `out`.
///
/// Each file is written under a temporary name and renamed, so a page that is open never sees half a file. A run that
/// cannot be read is named on the page and in [`Report::unreadable`] and spoils nothing else.
///
/// # Errors
/// When `roots` hold no readable run, or `out` cannot be written.
pub fn report(roots: &[PathBuf], out: &Path) -> Result<Report> {
    let loaded = load::load(roots)?;
    let summary = summary::summarise(&loaded);
    let mut frame = frame::frame(&loaded.runs)?;
    let figures = figures::all(&summary)?;
    let page = page::render(&loaded, &summary, &figures, roots)?;

    let mut contents = vec![
        (PathBuf::from("runs.csv"), frame::csv(&mut frame)?),
        (PathBuf::from("runs.parquet"), frame::parquet(&mut frame)?),
    ];
    for figure in figures.iter().flatten() {
        contents.push((Path::new("figures").join(figure.file_name()), figure.svg.clone().into_bytes()));
    }
    // Last, so that a page always finds the files it links to.
    contents.push((PathBuf::from("index.html"), page.into_bytes()));
    let mut files = Vec::new();
    for (name, bytes) in contents {
        let path = out.join(name);
        write_atomically(&path, &bytes)?;
        files.push(path);
    }
    files.sort();
    Ok(Report {
        index: out.join("index.html"),
        files,
        table: table::terminal(&summary),
        markdown: table::markdown(&summary),
        unreadable: loaded.problems.iter().map(|problem| format!("{}: {}", problem.path, problem.reason)).collect(),
    })
}

/// Writes beside `path` and renames.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // The process id keeps two reports into one folder from writing the same temporary file.
    let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    std::fs::write(&temporary, bytes).map_err(|error| Error::io("write", path, error))?;
    std::fs::rename(&temporary, path).map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        Error::io("write", path, error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Study, study};
    use maclip_framework::records::State;

    #[test]
    fn writes_all_files_and_the_same_bytes_twice() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        study(&runs);
        let read = |out: &Path| {
            let report = report(std::slice::from_ref(&runs), out).unwrap();
            report.files.iter().map(|file| std::fs::read(file).unwrap()).collect::<Vec<_>>()
        };
        let first = read(&folder.path().join("a"));
        let second = read(&folder.path().join("b"));
        assert_eq!(first.len(), 2 + 4 + 1);
        assert!(first == second);
        let leftovers = std::fs::read_dir(folder.path().join("a")).unwrap().count();
        assert_eq!(leftovers, 4, "index.html, runs.csv, runs.parquet, figures and no temporary file");
    }

    #[test]
    fn no_run_is_an_error_with_a_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let error = report(&[folder.path().to_owned()], &folder.path().join("out")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("no run") && text.contains("help: "), "{text}");
    }

    #[test]
    fn an_out_that_is_a_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        study(&folder.path().join("runs"));
        let out = folder.path().join("taken");
        std::fs::write(&out, "").unwrap();
        let error = report(&[folder.path().join("runs")], &out).unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
    }

    #[test]
    fn one_broken_run_is_listed_and_the_others_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        study(&runs);
        std::fs::create_dir_all(runs.join("x/broken")).unwrap();
        std::fs::write(runs.join("x/broken/manifest.json"), "{ not json").unwrap();
        let report = report(&[runs], &folder.path().join("out")).unwrap();
        assert_eq!(report.unreadable.len(), 1);
        let page = std::fs::read_to_string(report.index).unwrap();
        assert!(page.contains("Could not be read") && page.contains("x&#x2f;broken"));
    }

    #[test]
    fn names_cannot_inject_html() {
        let folder = tempfile::tempdir().unwrap();
        let evil = "<script>alert('x')</script>\"|&";
        let mut runs = Study { name: evil.into(), folder: "a".into(), ..Study::default() };
        runs.variants[0].0 = evil.into();
        runs.note = evil.into();
        runs.write(&folder.path().join("runs"), 2);
        runs.state = State::Failed;
        runs.folder = "b".into();
        runs.write(&folder.path().join("runs"), 1);
        let report = report(&[folder.path().join("runs")], &folder.path().join("out")).unwrap();
        for file in report.files.iter().filter(|file| file.extension().is_some_and(|end| end == "html" || end == "svg"))
        {
            let text = std::fs::read_to_string(file).unwrap();
            assert!(!text.contains("<script"), "{}", file.display());
            assert!(!text.contains("'x')</"), "{}", file.display());
        }
        assert!(report.markdown.lines().all(|line| !line.contains("<script")));
    }

    /// Writes a page to look at: `MACLIP_REPORT_OUT=folder cargo test … -- --ignored look_at_it`.
    #[test]
    #[ignore = "for eyes, not for machines"]
    fn look_at_it() {
        let out = PathBuf::from(std::env::var("MACLIP_REPORT_OUT").unwrap());
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        study(&runs);
        let failed = Study { state: State::Failed, first_seed: 3, ..Study::default() };
        failed.write(&runs, 1);
        let report = report(&[runs], &out).unwrap();
        println!("{}\n{}", report.table, report.markdown);
        let retrieval = folder.path().join("retrieval");
        Study::contrastive().write(&retrieval, 1);
        super::report(&[retrieval], &out.join("contrastive")).unwrap();
    }
}

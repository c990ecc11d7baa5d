//! A report as its readers see it: in a browser, in LaTeX and in Python. A test whose program is not there is skipped,
//! and says so.

mod common;

use common::scripts::asked;
use common::{ok, root};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const STUDY: &str = "name: two\ndataset: {type: shapes_in_motion, clips_per_class: 6}\n\
    backbone: {type: clip_vit, weights: \"builtin:shapes_clip\"}\nobjective: {type: metric}\n\
    task: {type: few_shot, queries: 1, train: {steps: 4, validate_every_steps: 2, checkpoint_every_steps: 2},\n  \
    validation: {episodes: 4, clips_per_class: 6}, test: {episodes: 30, clips_per_class: 6, occlusion: 2, map_clips: 48}}\n\
    expect: [{metric: accuracy, value: 56.5, tolerance: 60, source: 'A & B, table 1'}]\n\
    study: {seeds: [1, 2], variants: {frozen_clip: {}, with_hyrsm: {prototype: {type: hyrsm}, label: 'LABEL'}}}\n";

/// A label that cannot be broken: a page has room for it, and a column of a table on paper has not.
const LONG: &str = "with_hyrsm_and_a_label_that_is_long_and_cannot_be_broken+steps=60+episodes=50";

/// A folder, and in it the report of two variants with two seeds.
fn report() -> (TempDir, PathBuf) {
    labelled("with_hyrsm")
}

/// The same where the second variant has this label.
fn labelled(label: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, out) = (folder.path().join("two.yaml"), folder.path().join("report"));
    std::fs::write(&recipe, STUDY.replace("LABEL", label)).unwrap();
    let runs = folder.path().join("runs");
    let paths = [&recipe, &runs, &out].map(|path| path.to_str().unwrap());
    ok(&["run", paths[0], "--runs", paths[1], "--report", paths[2]]);
    (folder, out)
}

#[test]
fn the_page_works_in_a_browser() {
    let (_folder, out) = labelled(LONG);
    let Some((code, told)) = asked("python3", "page_check.py", &[&out.join("index.html")]) else { return };
    assert_eq!(code, 0, "{told}");
}

#[test]
fn the_tables_compile_in_latex() {
    let (_folder, out) = report();
    let Some((code, told)) = asked("bash", "latex_check.sh", &[&out]) else { return };
    assert_eq!(code, 0, "{told}");
}

#[test]
fn what_latex_does_not_take_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let table = |name: &str, cell: &str| {
        let text =
            format!("\\noindent\\begin{{tabular}}{{ll}}\\toprule {cell} & b \\\\ \\bottomrule\\end{{tabular}}\n");
        std::fs::write(folder.path().join(name), text).unwrap();
    };
    table("good.tex", "a\\_b");
    let Some((code, told)) = asked("bash", "latex_check.sh", &[folder.path()]) else { return };
    assert_eq!((code, told.as_str()), (0, "ok     good\n"));
    table("special.tex", "a_b");
    table("unknown.tex", "\\nosuchcommand");
    table("wide.tex", "\\rule{400pt}{2pt}");
    let (code, told) = asked("bash", "latex_check.sh", &[folder.path()]).unwrap();
    let faults =
        ["FAILED special: ! Missing $", "FAILED unknown: ! Undefined control sequence", "FAILED wide: Overfull \\hbox"];
    assert!(code == 1 && told.contains("ok     good"), "{told}");
    faults.iter().for_each(|fault| assert!(told.contains(fault), "`{fault}` is not in\n{told}"));
}

#[test]
fn csv_and_parquet_are_the_same_frame_in_python() {
    let (_folder, out) = report();
    let Some((code, told)) = asked("python3", "frame_check.py", &[&out]) else { return };
    assert_eq!(code, 0, "{told}");
    let runs = out.join("runs.csv");
    let text = std::fs::read_to_string(&runs).unwrap();
    std::fs::write(&runs, text.replacen("frozen_clip", "frozen clip", 1)).unwrap();
    let (code, told) = asked("python3", "frame_check.py", &[&out]).unwrap();
    assert!(code == 1 && told.contains("variant, row 1: 'frozen clip' in CSV, 'frozen_clip' in Parquet"), "{told}");
}

#[test]
fn the_scripts_refuse_what_is_not_there() {
    for (program, script) in [("python3", "page_check.py"), ("bash", "latex_check.sh"), ("python3", "frame_check.py")] {
        let Some((code, told)) = asked(program, script, &[Path::new("no/such/place")]) else { continue };
        assert!(code == 2 && told.contains("no/such/place is no f"), "{script}: {told}");
    }
}

#[test]
fn a_table_of_any_axes_compiles_in_latex() {
    let (folder, _out) = report();
    let runs = folder.path().join("runs");
    let tables = folder.path().join("tables");
    std::fs::create_dir(&tables).unwrap();
    let made = |name: &str, more: &[&str]| {
        let words = ["table", runs.to_str().unwrap(), "--format", "latex", "--label", name];
        let text = ok(&[&words, more].concat());
        std::fs::write(tables.join(name).with_extension("tex"), text).unwrap();
    };
    made("nested", &["--rows", "method,seed", "--columns", "dataset,shot", "--metric", "accuracy,trainable"]);
    made(
        "marks",
        &["--columns", "shot", "--marks", "baseline", "--interval", "classes", "--caption", "50 % & more_of it"],
    );
    made("published", &["--columns", "backbone", "--published", "--name", "frozen_clip=动作 & <frozen>"]);
    let published = std::fs::read_to_string(tables.join("published.tex")).unwrap();
    assert!(published.contains("56.5") && published.contains("A \\& B"), "{published}");
    let Some((code, told)) = asked("bash", "latex_check.sh", &[&tables]) else { return };
    assert_eq!(code, 0, "{told}");
}

#[test]
fn the_notebook_runs_on_a_report() {
    let (_folder, out) = report();
    let notebook = root().join("docs/notebook.ipynb");
    let Some((code, told)) = asked("python3", "notebook_check.py", &[&notebook, &out]) else { return };
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("a chart of") && told.contains("a table of"), "{told}");
    // A column that has gone is found.
    std::fs::copy(out.join("runs.parquet"), out.join("episodes.parquet")).unwrap();
    let (code, told) = asked("python3", "notebook_check.py", &[&notebook, &out]).unwrap();
    assert!(code == 1 && told.contains("FAILED cell-"), "{told}");
}

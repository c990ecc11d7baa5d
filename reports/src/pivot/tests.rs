//! Tables of made-up runs, and what is refused.

use super::*;
use crate::lines::Look;
use crate::testing::Study;
use maclip_framework::files::write_json;
use maclip_framework::recipe::study::Shown;
use std::path::Path;

/// Two studies of 1 and 5 shots with three seeds, `both` with a label that every format must escape.
fn runs(root: &Path) {
    for (shot, gain) in [(1, 0.0), (5, 0.1)] {
        let mut study =
            Study { folder: format!("ablation{shot}"), name: format!("ablation{shot}"), shot, ..Study::default() };
        study.variants.iter_mut().for_each(|variant| variant.1 += gain);
        study.write(root, 3);
        let label = (String::from("both"), Some("MA_CLIP & <all>|".to_owned()));
        let shown = Shown { labels: [label].into(), baseline: Some("none".to_owned()) };
        write_json(&root.join(&study.folder).join(Shown::FILE), &shown).unwrap();
    }
}

fn asked(rows: &[&str], columns: &[&str]) -> Asked {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Asked { rows: owned(rows), columns: owned(columns), ..Asked::default() }
}

fn made(asked: &Asked) -> Result<Pivot> {
    let folder = tempfile::tempdir().unwrap();
    runs(folder.path());
    pivot(&[folder.path().to_owned()], asked).map(|(table, _)| table)
}

#[test]
fn methods_are_rows_shots_are_columns_and_seeds_are_averaged() {
    let table = made(&asked(&["method"], &["shot"])).unwrap();
    assert_eq!(table.columns, [["1-shot"], ["5-shot"]]);
    let names: Vec<&str> = table.rows.iter().map(|row| row.names[0].as_str()).collect();
    assert_eq!(names, ["none", "tpcm", "adapters", "MA_CLIP & <all>|"], "the baseline first, then by rising mean");
    let best: Vec<bool> = table.rows.iter().map(|row| row.cells[0].best).collect();
    assert_eq!(best, [false, false, false, true]);
    let both = &table.rows[3].cells;
    assert!(both[0].value.unwrap() > 70.0 && both[1].value.unwrap() > both[0].value.unwrap(), "{both:?}");
    let wanted = "Few-shot recognition on hmdb51, 5-way: accuracy in %. Mean of 3 seeds. ±: 95 % interval over episodes \
                  given these videos (closed). Bold: ";
    assert!(table.caption.starts_with(wanted), "{}", table.caption);
    assert!(table.notes.is_empty(), "{:?}", table.notes);
}

#[test]
fn headings_nest_and_every_format_escapes() {
    let table =
        Pivot { notes: vec!["50 % & <more>".to_owned()], ..made(&asked(&["method"], &["way", "shot"])).unwrap() };
    assert_eq!((table.spans(0), table.spans(1)), (vec![("5-way", 2)], vec![("1-shot", 1), ("5-shot", 1)]));
    let tex = latex(&table, "main");
    assert!(tex.contains(r" & \multicolumn{2}{c}{5-way} \\") && tex.contains(r"\cmidrule(lr){2-3}"), "{tex}");
    assert!(tex.contains(r"MA\_CLIP \& \textless{}all\textgreater{}\textbar{} & "), "{tex}");
    let html = html(&table);
    assert!(
        html.contains("<th scope=\"colgroup\" colspan=\"2\">5-way</th>") && html.contains("rowspan=\"2\""),
        "{html}"
    );
    assert!(html.contains("MA_CLIP &amp; &lt;all&gt;|") && !html.contains("<all>"), "{html}");
    let markdown = markdown(&table);
    assert!(markdown.contains("| MA\\_CLIP &amp; &lt;all>\\| | **"), "{markdown}");
    let csv = csv(&table);
    assert!(csv.starts_with("method,\"5-way, 1-shot\",\"5-way, 1-shot ±\","), "{csv}");
    let plain = text(&table, &Look::default());
    // A heading is whole, also where what stands below it is narrower.
    let long = "a heading that is wider than all that stands below it ".repeat(4);
    let mut wide = table.clone();
    wide.columns.iter_mut().for_each(|column| column[0] = long.trim().to_owned());
    assert!(text(&wide, &Look::default()).contains(long.trim()));
    assert!(plain.lines().any(|line| line.trim() == "5-way"), "{plain}");
    assert!(plain.contains("•: the best of a column") && plain.contains("•\n"), "a pipe has no bold letters: {plain}");
    for width in [40, 80] {
        let text = text(&table, &Look { width: Some(width), colored: false });
        assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
        assert_eq!(text.matches(" ± ").count(), plain.matches(" ± ").count(), "no number is lost: {text}");
    }
}

#[test]
fn runs_that_are_no_seeds_of_one_another_are_told_apart() {
    let error = made(&asked(&["dataset"], &["shot"])).unwrap_err();
    let text = error.to_string();
    assert_eq!(error.exit_code(), 2);
    for wanted in ["12 runs in the cell hmdb51 × 1-shot are no seeds", "adapter.width (0, ", "add `method` to `--rows`"]
    {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let one = Asked { only: vec![("variant".into(), "tpcm".into())], ..asked(&["dataset"], &["shot"]) };
    let table = made(&one).unwrap();
    assert_eq!(table.rows.len(), 1);
    assert!(
        table.caption.contains("accuracy in %. Only runs with variant = tpcm. Mean of 3 seeds"),
        "{}",
        table.caption
    );
    // The beginning of the caption says this one.
    let one = Asked { only: vec![("shot".into(), "5".into())], ..asked(&["method"], &[]) };
    let caption = made(&one).unwrap().caption;
    assert!(caption.contains("5-way 5-shot") && !caption.contains("Only runs"), "{caption}");
}

#[test]
fn axes_metrics_and_values_that_nothing_has_name_the_nearest() {
    let refused = |asked: Asked, words: &[&str]| {
        let error = made(&asked).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.exit_code(), 2, "{text}");
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    refused(asked(&["methd"], &["shot"]), &["no run has an axis `methd`", "did you mean `method`?", "adapter.width"]);
    refused(asked(&["method"], &["shot", "method"]), &["given twice"]);
    let of = |metrics: &[&str]| Asked {
        metrics: metrics.iter().map(|name| (*name).to_owned()).collect(),
        ..asked(&["method"], &["shot"])
    };
    refused(of(&["acuracy"]), &["no run has a metric `acuracy`", "`accuracy`", "trainable"]);
    let only = Asked { only: vec![("shot".into(), "3".into())], ..asked(&["method"], &["shot"]) };
    refused(only, &["no run has shot = 3", "1, 5"]);
}

#[test]
fn costs_stand_beside_results_and_what_is_missing_is_said() {
    let folder = tempfile::tempdir().unwrap();
    runs(folder.path());
    std::fs::remove_dir_all(folder.path().join("ablation5")).unwrap();
    let more = Study { folder: "b".into(), name: "b".into(), shot: 5, ..Study::default() };
    Study { variants: vec![("tpcm".into(), 0.6, 4_210_688)], ..more }.write(folder.path(), 1);
    let asked = Asked {
        metrics: vec!["accuracy".into(), "trainable".into()],
        interval: Interval::Seeds,
        names: vec![("tpcm".into(), "TPCM".into()), ("hmdb51".into(), "HMDB51".into())],
        order: vec!["adapters".into()],
        ..asked(&["method"], &["shot"])
    };
    let (table, _) = pivot(&[folder.path().to_owned()], &asked).unwrap();
    assert_eq!(table.columns[1], ["1-shot", "trainable parameters"]);
    let names: Vec<&str> = table.rows.iter().map(|row| row.names[0].as_str()).collect();
    assert_eq!(names, ["adapters", "none", "TPCM", "MA_CLIP & <all>|"]);
    assert_eq!((table.rows[0].cells[2].text.as_str(), table.rows[2].cells[1].text.as_str()), ("–", "4.21 M"));
    assert!(table.caption.contains("on HMDB51") && table.caption.contains("Mean of 1 to 3 seeds"), "{}", table.caption);
    let notes = ["–: no run with a result", "without ±: the runs do not allow this interval"];
    assert_eq!(table.notes[..2], notes);
}

#[test]
fn the_baseline_is_named_and_what_differs_from_it_is_marked() {
    let table = made(&Asked { marks: Marks::Baseline, ..asked(&["method"], &["shot"]) }).unwrap();
    let signs: Vec<&str> = table.rows.iter().map(|row| row.cells[0].sign.as_str()).collect();
    assert_eq!(signs, ["", "*", "*", "*"]);
    assert!(table.caption.contains("*: differs from none (exact sign-flip"), "{}", table.caption);
}

#[test]
fn published_numbers_are_rows_with_their_source() {
    let folder = tempfile::tempdir().unwrap();
    runs(folder.path());
    for entry in std::fs::read_dir(folder.path().join("ablation1")).unwrap() {
        let path = entry.unwrap().path().join("recipe.resolved.yaml");
        let Ok(recipe) = std::fs::read_to_string(&path) else { continue };
        if recipe.contains("name: both") {
            let expect = "expect: [{metric: accuracy, value: 83.4, tolerance: 1, source: 'paper, table 1', dataset: \
                          ucf101}, {metric: accuracy, value: 61.0, tolerance: 3, source: this recipe}]\n";
            std::fs::write(&path, recipe + expect).unwrap();
        }
    }
    let asked = Asked { published: true, ..asked(&["method"], &["shot"]) };
    let (table, _) = pivot(&[folder.path().to_owned()], &asked).unwrap();
    let row = &table.rows[4];
    assert_eq!((row.names[0].as_str(), row.published), ("MA_CLIP & <all>| [1]", true));
    assert_eq!(
        (row.cells[0].text.as_str(), row.cells[0].sign.as_str(), row.cells[1].text.as_str()),
        ("83.4", "†", "–")
    );
    assert!(table.notes[0].starts_with("[1]: paper, table 1 (†: measured on "), "{:?}", table.notes);
    let tex = latex(&table, "t");
    assert!(
        tex.contains(r"\textcolor[gray]{0.45}{\rlap{\num{83.4}\rlap{\textdagger{}}}\phantom{\num{83.4 +- ")
            && tex.contains(r"\usepackage{xcolor}"),
        "{tex}"
    );
    assert!(html(&table).contains("<tr style=\"color: #6b6b6b\">"));
    assert!(table.has_published() && !html(&table).contains("61.0"), "what the recipe expects of itself is no paper's");
}

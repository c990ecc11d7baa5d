//! The tables of one study side by side: a method in each row, and in the columns what it is tested on, with how many
//! shots, and where that differs from the test's, what it is trained on. Not here: how such a table is made (`pivot`).

use super::contents::short_data;
use crate::format;
use crate::load::{Loaded, Run};
use crate::pivot::{self, Asked, Pivot, PivotCell, PivotRow};
use crate::summary::{Group, GroupKey, Summary, keys_of};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

#[derive(Debug, Serialize)]
pub struct SideView {
    title: String,
    row_headings: Vec<String>,
    columns: Vec<Heading>,
    rows: Vec<RowView>,
    caption: String,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Heading {
    heading: String,
    about: String,
}

#[derive(Debug, Serialize)]
struct RowView {
    names: Vec<String>,
    cells: Vec<PivotCell>,
    /// Of the variant that the row is about, where it is the same in all tables.
    number: Option<usize>,
    swatch: Option<usize>,
}

/// A table for each study whose variants are in several tables.
pub fn tables(loaded: &Loaded, summary: &Summary) -> Vec<SideView> {
    let mut studies: BTreeMap<&Option<String>, Vec<&Group>> = BTreeMap::new();
    for group in summary.groups.iter().filter(|group| group.measure.is_some()) {
        studies.entry(&group.study).or_default().push(group);
    }
    let several = studies.into_iter().filter(|(_, groups)| groups.len() > 1);
    several.filter_map(|(study, groups)| table(study.as_deref(), &groups, loaded)).collect()
}

/// `None` where the tables differ in something else, one method has several results for the same data and shots, or
/// none has more than one, unless each says what it is trained on.
fn table(study: Option<&str>, groups: &[&Group], loaded: &Loaded) -> Option<SideView> {
    let paths: BTreeSet<&PathBuf> =
        groups.iter().flat_map(|group| &group.variants).flat_map(|variant| &variant.paths).collect();
    let runs: Vec<&Run> = loaded.runs.iter().filter(|run| paths.contains(&run.directory.path)).collect();
    let asked = asked(groups, &runs)?;
    // What was trained on has an axis of its own.
    let tested = |mut key: GroupKey| {
        key.data.label = key.data.tested.clone();
        key
    };
    let keys: Vec<GroupKey> = keys_of(&loaded.runs).into_iter().map(tested).collect();
    let all = loaded.runs.iter().zip(&keys);
    let own: Vec<(&Run, &GroupKey)> = all.filter(|(run, _)| paths.contains(&run.directory.path)).collect();
    let found = pivot::of(&own, &asked).ok()?;
    let mut results: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &found.rows {
        *results.entry(&row.names[0]).or_default() += row.cells.iter().filter(|cell| cell.value.is_some()).count();
    }
    let joins = asked.rows.len() > 1 || results.values().any(|of_method| *of_method > 1);
    joins.then(|| view(study, groups, found))
}

/// What distinguishes the columns.
fn asked(groups: &[&Group], runs: &[&Run]) -> Option<Asked> {
    let tested: BTreeSet<&str> = groups.iter().map(|group| group.data.tested.as_str()).collect();
    let measures = groups.iter().filter_map(|group| group.measure.as_ref());
    let (ways, shots): (BTreeSet<usize>, BTreeSet<usize>) = measures.map(|measure| (measure.way, measure.shot)).unzip();
    let mut asked = Asked { rows: vec!["method".to_owned()], ..Asked::default() };
    if let Some(key) = training_key(runs) {
        let mut trained: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for run in runs {
            let variant = run.directory.manifest.variant.as_str();
            let method = variant.split('+').next().unwrap_or(variant);
            trained.entry(method).or_default().extend(run.settings.get(&key));
        }
        let name = format::words(maclip_language::segments(&key).last()?);
        let values: BTreeSet<&str> = trained.values().flatten().copied().collect();
        // A method that is trained on one dataset alone says so in its row.
        match trained.values().any(|of| of.len() > 1) {
            true => {
                let words = values.iter().map(|of| (format!("{name} = {of}"), format!("trained on {}", word(of))));
                asked.names.extend(words);
                asked.columns.push(key);
            }
            false => {
                asked.names.extend(values.iter().map(|of| ((*of).to_owned(), word(of))));
                asked.names.push((name, "trained on".to_owned()));
                asked.rows.push(key);
            }
        }
    }
    let short = short_data(tested.iter().copied());
    let on = if asked.names.is_empty() { "" } else { "tested on " };
    let names = tested.iter().zip(short).map(|(label, short)| ((*label).to_owned(), format!("{on}{short}")));
    asked.names.extend(names.filter(|_| tested.len() > 1));
    let axes = [(tested.len() > 1, "dataset"), (ways.len() > 1, "way"), (shots.len() > 1, "shot")];
    asked.columns.extend(axes.into_iter().filter(|(varies, _)| *varies).map(|(_, axis)| axis.to_owned()));
    (!asked.columns.is_empty()).then_some(asked)
}

/// The last name of a path, in words.
fn word(value: &str) -> String {
    format::words(value.trim_end_matches('/').rsplit('/').next().unwrap_or(value))
}

/// The key of the recipe that tells apart what runs are trained on; `None` where all are trained on the same, or on
/// what they are tested on.
fn training_key(runs: &[&Run]) -> Option<String> {
    const TRAINED_ON: &str = "dataset.";
    runs.iter().find(|run| run.settings.get("task.test_on.type").is_some())?;
    let options = |run: &&&Run| -> Vec<(String, String)> {
        let own = run.settings.keys.iter().filter(|(key, _)| key.starts_with(TRAINED_ON));
        own.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let sources: BTreeSet<Vec<(String, String)>> = runs.iter().map(|run| options(&run)).collect();
    let mut keys: Vec<&String> =
        sources.iter().flatten().map(|(key, _)| key).collect::<BTreeSet<_>>().into_iter().collect();
    keys.sort_by_key(|key| *key != "dataset.type");
    let values = |key: &String| {
        let value = |of: &Vec<(String, String)>| of.iter().find(|(own, _)| own == key).map(|(_, value)| value.clone());
        sources.iter().map(value).collect::<Option<BTreeSet<String>>>().map_or(0, |values| values.len())
    };
    let tells = keys.into_iter().find(|key| values(key) == sources.len())?;
    (sources.len() > 1).then(|| tells.clone())
}

fn view(study: Option<&str>, groups: &[&Group], found: Pivot) -> SideView {
    let heading = |levels: Vec<String>| {
        let (first, rest) = levels.split_first().expect("a column has a heading");
        Heading { heading: first.clone(), about: rest.join(", ") }
    };
    let marks = |name: &str| {
        let variants = groups.iter().flat_map(|group| &group.variants).filter(|variant| variant.label == name);
        let marks: BTreeSet<(usize, usize)> = variants.map(|variant| (variant.number, variant.swatch)).collect();
        marks.first().copied().filter(|_| marks.len() == 1)
    };
    let row = |row: PivotRow| {
        let marks = row.names.first().and_then(|name| marks(name));
        RowView {
            number: marks.map(|(number, _)| number),
            swatch: marks.map(|(_, swatch)| swatch),
            names: row.names,
            cells: row.cells,
        }
    };
    SideView {
        title: study.map_or_else(|| "all tables".to_owned(), str::to_owned),
        row_headings: found.row_headings,
        columns: found.columns.into_iter().map(heading).collect(),
        rows: found.rows.into_iter().map(row).collect(),
        caption: found.caption,
        notes: found.notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::summarise;
    use crate::testing::Study;
    use std::path::Path;

    fn sides(root: &Path) -> Vec<SideView> {
        let loaded = crate::load::load(&[root.to_owned()]).unwrap();
        tables(&loaded, &summarise(&loaded))
    }

    fn headings(side: &SideView) -> Vec<String> {
        side.columns.iter().map(|column| format!("{}|{}", column.heading, column.about)).collect()
    }

    #[test]
    fn shots_stand_side_by_side() {
        let folder = tempfile::tempdir().unwrap();
        Study::default().write(folder.path(), 1);
        assert!(sides(folder.path()).is_empty());
        Study { shot: 5, folder: "five".into(), ..Study::default() }.write(folder.path(), 1);
        let sides = sides(folder.path());
        assert_eq!(headings(&sides[0]), ["1-shot|", "5-shot|"]);
        assert_eq!(sides[0].rows.len(), 4);
        assert!(sides[0].rows.iter().all(|row| row.number.is_some() && row.cells.iter().all(|c| c.value.is_some())));
    }

    /// As where the name of a variant says what it is tested on.
    #[test]
    fn methods_of_one_column_each_have_no_table() {
        let folder = tempfile::tempdir().unwrap();
        let one = |name: &str, shot| Study {
            variants: vec![(name.into(), 0.5, 7)],
            shot,
            folder: name.into(),
            ..Study::default()
        };
        one("one-shot", 1).write(folder.path(), 1);
        one("five-shot", 5).write(folder.path(), 1);
        assert!(sides(folder.path()).is_empty());
    }

    /// Runs that are trained and tested on these variants of a dataset.
    fn crossed(root: &Path, of: &[(&str, &str, &str)]) {
        for (method, trained, tested) in of {
            let variants = vec![((*method).to_owned(), 0.5, 7)];
            let folder = format!("{method}-{trained}-{tested}");
            Study { variants, folder: folder.clone(), ..Study::default() }.write(root, 1);
            let run = std::fs::read_dir(root.join(folder)).unwrap().next().unwrap().unwrap().path();
            let manifest = std::fs::read_to_string(run.join("manifest.json")).unwrap();
            let mut manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
            manifest["lists"] = serde_json::json!({"test": format!("{tested} test")});
            manifest["components"]["dataset"] = "shapes".into();
            std::fs::write(run.join("manifest.json"), manifest.to_string()).unwrap();
            let other = format!("task: {{type: few_shot, shot: 1, test_on: {{type: shapes, variant: {tested}}}}}\n");
            let recipe = format!("dataset: {{type: shapes, variant: {trained}}}\nprompt: {{type: {method}}}\n{other}");
            std::fs::write(run.join("recipe.resolved.yaml"), recipe).unwrap();
        }
    }

    #[test]
    fn what_is_trained_on_and_tested_on_is_said_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let each = |method| {
            [("motion", "motion"), ("motion", "figures"), ("figures", "motion"), ("figures", "figures")]
                .map(|(trained, tested)| (method, trained, tested))
        };
        crossed(folder.path(), &[each("a"), each("b")].concat());
        let sides = sides(folder.path());
        let wanted = [
            "trained on figures|tested on figures",
            "trained on figures|tested on motion",
            "trained on motion|tested on figures",
            "trained on motion|tested on motion",
        ];
        assert_eq!(headings(&sides[0]), wanted);
        assert_eq!(sides[0].rows.len(), 2);
    }

    #[test]
    fn a_method_that_is_trained_on_one_dataset_says_so_in_its_row() {
        let folder = tempfile::tempdir().unwrap();
        let runs = [("here", "motion", "motion"), ("there", "motion", "figures"), ("back", "figures", "motion")];
        crossed(folder.path(), &runs);
        let sides = sides(folder.path());
        assert_eq!(headings(&sides[0]), ["tested on figures|", "tested on motion|"]);
        assert_eq!(sides[0].row_headings, ["method", "trained on"]);
        let mut names: Vec<_> = sides[0].rows.iter().map(|row| row.names.join(" ")).collect();
        names.sort();
        assert_eq!(names, ["back figures", "here motion", "there motion"]);
    }
}

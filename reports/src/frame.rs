//! Everything that was read and computed as two tables: one with a row for each run, one with a row for each variant.

use crate::load::Run;
use crate::settings::varying;
use crate::summary::{Difference, Group, Outcome, Summary, Variant, shown};
use crate::table::harmless;
use maclip_framework::error::{Error, Result};
use maclip_framework::runs::records::{Manifest, State};
use polars::prelude::*;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// One row for each run, in the order given: what it is, what it measured, what it cost, the component of each slot,
/// and every key of the recipe whose value differs among the runs.
///
/// `value` and `ci95` are shares from 0 to 1, times are in seconds, memory in bytes; null where a run has no value. A
/// slot with the name of another column gets the prefix `slot_`.
pub fn runs(runs: &[Run]) -> Result<DataFrame> {
    fn manifest(run: &Run) -> &Manifest {
        &run.directory.manifest
    }
    let seconds = |run: &Run| run.directory.status.as_ref().map(|status| status.seconds);
    let params = |run: &Run| run.directory.params.clone();
    let memory = |run: &Run| manifest(run).attempts.iter().filter_map(|attempt| attempt.peak_memory_bytes).max();
    let mut columns = vec![
        texts(runs, "name", |run| Some(manifest(run).name.clone())),
        texts(runs, "variant", |run| Some(manifest(run).variant.clone())),
        texts(runs, "label", |run| Some(shown(&[run]))),
        wholes(runs, "seed", |run| Some(run.directory.manifest.seed)),
        texts(runs, "task", |run| Some(manifest(run).task.clone())),
        texts(runs, "hash", |run| Some(manifest(run).hash.clone())),
        texts(runs, "state", |run| Some(state(run.state()).into())),
        texts(runs, "metric", |run| run.result().map(|test| test.metric.clone())),
        numbers(runs, "value", |run| run.result().map(|test| test.value)),
        numbers(runs, "ci95", |run| run.result().map(|test| test.ci95)),
        wholes(runs, "episodes", |run| run.result().map(|test| test.episodes)),
        texts(runs, "episodes_hash", |run| run.result().map(|test| test.episodes_hash.clone())),
        wholes(runs, "way", |run| run.result().map(|test| test.way as u64)),
        wholes(runs, "shot", |run| run.result().map(|test| test.shot as u64)),
        wholes(runs, "trainable", |run| params(run).map(|params| params.trainable as u64)),
        wholes(runs, "total", |run| params(run).map(|params| params.total as u64)),
        numbers(runs, "train_seconds", |run| seconds(run).map(|seconds| seconds.train)),
        numbers(runs, "test_seconds", |run| seconds(run).map(|seconds| seconds.test)),
        wholes(runs, "peak_memory_bytes", memory),
        wholes(runs, "best_step", |run| run.directory.status.as_ref().and_then(|status| status.best_step)),
        texts(runs, "dir", |run| Some(run.path())),
    ];
    let taken: BTreeSet<String> = columns.iter().map(|column| column.name().to_string()).collect();
    let slots: BTreeSet<&String> = runs.iter().flat_map(|run| run.directory.manifest.components.keys()).collect();
    for slot in slots {
        let name = if taken.contains(slot) { format!("slot_{slot}") } else { slot.clone() };
        columns.push(texts(runs, &name, |run| run.directory.manifest.components.get(slot).cloned()));
    }
    for key in varying(runs.iter().map(|run| &run.settings)).iter().filter(|key| !key.ends_with(".type")) {
        // A key at the top has no dot, and may be called like a column.
        let name = if key.contains('.') { key.clone() } else { format!("recipe.{key}") };
        columns.push(texts(runs, &name, |run| run.settings.get(key).map(str::to_owned)));
    }
    table(runs.len(), columns)
}

/// One row for each variant of each group, in the order of the report: the numbers of its tables at full precision.
/// Shares are from 0 to 1.
pub fn variants(summary: &Summary) -> Result<DataFrame> {
    let rows: Vec<(&Group, &Variant)> =
        summary.groups.iter().flat_map(|group| group.variants.iter().map(move |variant| (group, variant))).collect();
    type Row<'a> = (&'a Group, &'a Variant);
    fn result<'a>(row: &Row<'a>) -> Option<&'a Outcome> {
        row.1.result.as_ref()
    }
    let compared = |row: &Row| match &row.1.difference {
        Difference::Paired(compared) => Some(*compared),
        _ => None,
    };
    let measure = |row: &Row| row.0.measure.clone();
    let paper = |row: &Row| row.1.paper.first().cloned();
    let columns = vec![
        texts(&rows, "study", |row| row.0.study.clone()),
        texts(&rows, "task", |row| Some(row.0.task.clone())),
        texts(&rows, "data", |row| Some(row.0.data.label.clone())),
        texts(&rows, "metric", |row| measure(row).map(|measure| measure.metric)),
        wholes(&rows, "way", |row| measure(row).map(|measure| measure.way as u64)),
        wholes(&rows, "shot", |row| measure(row).map(|measure| measure.shot as u64)),
        texts(&rows, "name", |row| Some(row.1.name.clone())),
        texts(&rows, "variant", |row| Some(row.1.variant.clone())),
        texts(&rows, "label", |row| Some(row.1.label.clone())),
        wholes(&rows, "seeds", |row| Some(row.1.seeds.len() as u64)),
        numbers(&rows, "value", |row| row.1.mean()),
        numbers(&rows, "ci95_episodes", |row| result(row).map(|result| result.over_episodes.half_width)),
        numbers(&rows, "ci95_clusters", |row| Some(result(row)?.over_clusters?.half_width)),
        numbers(&rows, "ci95_seeds", |row| Some(result(row)?.over_seeds?.half_width)),
        numbers(&rows, "difference", |row| compared(row).map(|compared| compared.paired.over_episodes.mean)),
        numbers(&rows, "difference_ci95_episodes", |row| compared(row).map(|c| c.paired.over_episodes.half_width)),
        numbers(&rows, "difference_ci95_clusters", |row| Some(compared(row)?.paired.over_clusters?.half_width)),
        numbers(&rows, "p", |row| compared(row).map(|compared| compared.paired.p)),
        numbers(&rows, "p_holm", |row| compared(row).map(|compared| compared.p_holm)),
        numbers(&rows, "expected", |row| paper(row).map(|paper| share(paper.expectation.value))),
        texts(&rows, "expected_source", |row| paper(row).map(|paper| paper.expectation.source)),
        texts(&rows, "expected_elsewhere", |row| paper(row).and_then(|paper| paper.elsewhere)),
        wholes(&rows, "trainable", |row| row.1.trainable.map(|count| count as u64)),
        wholes(&rows, "total", |row| row.1.total.map(|count| count as u64)),
        numbers(&rows, "train_seconds", |row| row.1.train_seconds),
        numbers(&rows, "test_seconds", |row| row.1.test_seconds),
        wholes(&rows, "peak_memory_bytes", |row| row.1.peak_memory),
    ];
    table(rows.len(), columns)
}

/// Percent as a share, without the digits that the division adds.
fn share(percent: f64) -> f64 {
    (percent * 1e6).round() / 1e8
}

fn table(height: usize, columns: Vec<Column>) -> Result<DataFrame> {
    DataFrame::new(height, columns).map_err(|error| Error::failed(format!("cannot make a table of the runs: {error}")))
}

/// Name and type of each column, by polars' names.
pub fn columns(frame: &DataFrame) -> Vec<(String, String)> {
    frame.columns().iter().map(|column| (column.name().to_string(), column.dtype().to_string())).collect()
}

/// The frame as CSV with a header line; nulls are empty. A text that a spreadsheet would compute is marked as text.
pub fn csv(frame: &DataFrame) -> Result<Vec<u8>> {
    let safe = |column: &Column| match column.str() {
        Ok(texts) => texts.apply(|text| text.map(|text| Cow::Owned(harmless(text)))).into_column(),
        Err(_) => column.clone(),
    };
    let mut frame = table(frame.height(), frame.columns().iter().map(safe).collect())?;
    let mut bytes = Vec::new();
    CsvWriter::new(&mut bytes)
        .finish(&mut frame)
        .map_err(|error| Error::failed(format!("cannot write the table of runs as CSV: {error}")))?;
    Ok(bytes)
}

/// The frame as Parquet.
pub fn parquet(frame: &mut DataFrame) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Uncompressed: a table of runs is small, and the default codec is not compiled in.
    ParquetWriter::new(&mut bytes)
        .with_compression(ParquetCompression::Uncompressed)
        .finish(frame)
        .map_err(|error| Error::failed(format!("cannot write the table of runs as Parquet: {error}")))?;
    Ok(bytes)
}

/// The state as a word; `started` where the run has not written a status yet.
pub fn state(state: Option<State>) -> &'static str {
    match state {
        Some(State::Running) => "running",
        Some(State::Done) => "done",
        Some(State::Failed) => "failed",
        Some(State::Interrupted) => "interrupted",
        None => "started",
    }
}

fn texts<T>(rows: &[T], name: &str, value: impl Fn(&T) -> Option<String>) -> Column {
    Column::new(name.into(), rows.iter().map(value).collect::<Vec<_>>())
}

fn wholes<T>(rows: &[T], name: &str, value: impl Fn(&T) -> Option<u64>) -> Column {
    Column::new(name.into(), rows.iter().map(value).collect::<Vec<_>>())
}

fn numbers<T>(rows: &[T], name: &str, value: impl Fn(&T) -> Option<f64>) -> Column {
    Column::new(name.into(), rows.iter().map(value).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;
    use crate::summary::summarise;
    use crate::testing::{Study, study};

    #[test]
    fn a_run_is_a_row_and_a_failed_run_has_nulls() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        Study { state: State::Failed, folder: "z".into(), name: "z".into(), ..Study::default() }
            .write(folder.path(), 1);
        let loaded = load(&[folder.path().to_owned()]).unwrap();
        let frame = runs(&loaded.runs).unwrap();
        assert_eq!(frame.height(), 16);
        assert_eq!(frame.column("value").unwrap().null_count(), 4);
        assert_eq!(frame.column("adapter").unwrap().null_count(), 0);
        assert_eq!(frame.column("state").unwrap().str().unwrap().get(15), Some("failed"));
    }

    #[test]
    fn csv_and_parquet_hold_the_frame() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let loaded = load(&[folder.path().to_owned()]).unwrap();
        let mut table = runs(&loaded.runs).unwrap();
        let text = String::from_utf8(csv(&table).unwrap()).unwrap();
        assert!(text.starts_with("name,variant,label,seed,task,hash,state,metric,value,ci95,episodes,"), "{text}");
        assert_eq!(text.lines().count(), 13);
        let bytes = parquet(&mut table).unwrap();
        let read = ParquetReader::new(std::io::Cursor::new(bytes)).finish().unwrap();
        assert!(read.equals_missing(&table));
        let variants = variants(&summarise(&loaded)).unwrap();
        assert_eq!((variants.height(), variants.column("p_holm").unwrap().null_count()), (4, 1));
    }
}

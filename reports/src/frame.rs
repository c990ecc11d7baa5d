//! All runs as one tidy table: a row for each run, nulls where a run has nothing to say.

use crate::load::Run;
use maclip_framework::error::{Error, Result};
use maclip_framework::records::State;
use polars::prelude::*;
use std::collections::BTreeSet;

/// One row for each run, in the order given, and one column for each slot that any run filled.
///
/// `value` and `ci95` are shares from 0 to 1, times are in seconds. A slot that is named like another column gets the
/// prefix `slot_`.
pub fn frame(runs: &[Run]) -> Result<DataFrame> {
    let manifest = |run: &Run| run.directory.manifest.clone();
    let best = |run: &Run| run.directory.status.as_ref().and_then(|status| status.best_step);
    let seconds = |run: &Run| run.directory.status.as_ref().map(|status| status.seconds);
    let params = |run: &Run| run.directory.params.clone();
    let mut columns = vec![
        texts(runs, "name", |run| Some(manifest(run).name)),
        texts(runs, "variant", |run| Some(manifest(run).variant)),
        wholes(runs, "seed", |run| Some(run.directory.manifest.seed)),
        texts(runs, "task", |run| Some(manifest(run).task)),
        texts(runs, "hash", |run| Some(manifest(run).hash)),
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
        wholes(runs, "best_step", best),
        texts(runs, "dir", |run| Some(run.path())),
    ];
    let taken: BTreeSet<String> = columns.iter().map(|column| column.name().to_string()).collect();
    let slots: BTreeSet<&String> = runs.iter().flat_map(|run| run.directory.manifest.components.keys()).collect();
    for slot in slots {
        let name = if taken.contains(slot) { format!("slot_{slot}") } else { slot.clone() };
        columns.push(texts(runs, &name, |run| run.directory.manifest.components.get(slot).cloned()));
    }
    DataFrame::new(runs.len(), columns)
        .map_err(|error| Error::failed(format!("cannot make the table of runs: {error}")))
}

/// The frame as CSV with a header line; nulls are empty.
pub fn csv(frame: &mut DataFrame) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    CsvWriter::new(&mut bytes)
        .finish(frame)
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

/// The state as a word; a run that wrote no status was started and no more is known.
pub fn state(state: Option<State>) -> &'static str {
    match state {
        Some(State::Running) => "running",
        Some(State::Done) => "done",
        Some(State::Failed) => "failed",
        Some(State::Interrupted) => "interrupted",
        None => "started",
    }
}

fn texts(runs: &[Run], name: &str, value: impl Fn(&Run) -> Option<String>) -> Column {
    Column::new(name.into(), runs.iter().map(value).collect::<Vec<_>>())
}

fn wholes(runs: &[Run], name: &str, value: impl Fn(&Run) -> Option<u64>) -> Column {
    Column::new(name.into(), runs.iter().map(value).collect::<Vec<_>>())
}

fn numbers(runs: &[Run], name: &str, value: impl Fn(&Run) -> Option<f64>) -> Column {
    Column::new(name.into(), runs.iter().map(value).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;
    use crate::testing::{Study, study};

    #[test]
    fn a_run_is_a_row_and_a_failed_run_has_nulls() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        Study { state: State::Failed, folder: "z".into(), name: "z".into(), ..Study::default() }
            .write(folder.path(), 1);
        let runs = load(&[folder.path().to_owned()]).unwrap().runs;
        let frame = frame(&runs).unwrap();
        assert_eq!(frame.height(), 16);
        assert_eq!(frame.column("value").unwrap().null_count(), 4);
        assert_eq!(frame.column("adapter").unwrap().null_count(), 0);
        assert_eq!(frame.column("state").unwrap().str().unwrap().get(15), Some("failed"));
    }

    #[test]
    fn csv_and_parquet_hold_the_frame() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let mut table = frame(&load(&[folder.path().to_owned()]).unwrap().runs).unwrap();
        let text = String::from_utf8(csv(&mut table).unwrap()).unwrap();
        assert!(text.starts_with("name,variant,seed,task,hash,state,metric,value,ci95,episodes,"), "{text}");
        assert_eq!(text.lines().count(), 13);
        let bytes = parquet(&mut table).unwrap();
        let read = ParquetReader::new(std::io::Cursor::new(bytes)).finish().unwrap();
        assert!(read.equals_missing(&table));
    }
}

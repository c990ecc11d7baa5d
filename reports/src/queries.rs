//! `episodes.parquet`: a row for each query of each test episode of each run, for questions that the report does not
//! ask.

use crate::load::Run;
use crate::summary::shown;
use maclip_framework::error::{Error, Result};
use polars::prelude::*;

/// With more rows than this, the file would take longer than the rest of the report: about a hundred runs of 10,000
/// episodes.
pub const MOST_ROWS: usize = 5_000_000;

/// Number of rows: the queries of all runs with a result.
pub fn rows(runs: &[Run]) -> usize {
    tested(runs).map(|run| run.episodes.as_ref().map_or(0, |episodes| episodes.predictions.len())).sum()
}

fn tested(runs: &[Run]) -> impl Iterator<Item = &Run> {
    runs.iter().filter(|run| run.result().is_some() && run.episodes.is_some())
}

/// The rows of all runs as Parquet, a row group for each run, in the order given; without compression, as
/// `runs.parquet`.
pub fn parquet(runs: &[Run]) -> Result<Vec<u8>> {
    let failed = |error: PolarsError| Error::failed(format!("cannot write the episodes as Parquet: {error}"));
    let mut bytes = Vec::new();
    // The columns of a run without episodes: those of an empty file.
    let schema = frame(None).map_err(failed)?.schema().clone();
    let writer = ParquetWriter::new(&mut bytes).with_compression(ParquetCompression::Uncompressed);
    let mut writer = writer.batched(&schema).map_err(failed)?;
    for run in tested(runs) {
        writer.write_batch(&frame(Some(run)).map_err(failed)?).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    drop(writer);
    Ok(bytes)
}

/// The rows of one run.
fn frame(run: Option<&Run>) -> PolarsResult<DataFrame> {
    let episodes = run.and_then(|run| run.episodes.as_ref());
    let height = episodes.map_or(0, |episodes| episodes.predictions.len());
    let manifest = run.map(|run| &run.directory.manifest);
    let constant = |name: &str, text: Option<String>| {
        Column::new_scalar(name.into(), Scalar::from(PlSmallStr::from(text.unwrap_or_default())), height)
    };
    let (mut ids, mut queries) = (Vec::with_capacity(height), Vec::with_capacity(height));
    let (mut clips, mut classes, mut predicted): (Vec<Option<&str>>, Vec<&str>, Vec<&str>) = Default::default();
    let mut right = Vec::with_capacity(height);
    for (episodes, list) in episodes.iter().map(|episodes| (episodes, &episodes.list)) {
        for (at, (label, answer)) in list.labels.iter().zip(&episodes.predictions).enumerate() {
            let (episode, query) = (at / list.queries, at % list.queries);
            let name = |class: u16| list.classes[list.classes_of(episode)[usize::from(class)] as usize].as_str();
            ids.push(list.ids[episode]);
            queries.push(query as u32);
            clips.push(list.queries_of(episode).get(query).map(|clip| list.clips[*clip as usize].as_str()));
            classes.push(name(*label));
            predicted.push(name(*answer));
            right.push(label == answer);
        }
    }
    let columns = vec![
        constant("dir", run.map(Run::path)),
        constant("name", manifest.map(|manifest| manifest.name.clone())),
        constant("variant", manifest.map(|manifest| manifest.variant.clone())),
        constant("label", run.map(|run| shown(&[run]))),
        Column::new("seed".into(), vec![manifest.map_or(0, |manifest| manifest.seed); height]),
        Column::new("episode".into(), ids),
        Column::new("query".into(), queries),
        Column::new("clip".into(), clips),
        Column::new("class".into(), classes),
        Column::new("predicted".into(), predicted),
        Column::new("right".into(), right),
    ];
    DataFrame::new(height, columns)
}

/// Name and type of each column, for `schema.json`.
pub fn columns() -> Result<Vec<(String, String)>> {
    let empty = frame(None).map_err(|error| Error::failed(format!("cannot make a table of episodes: {error}")))?;
    Ok(crate::frame::columns(&empty))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;
    use crate::testing::{Study, study};
    use maclip_framework::runs::records::State;

    #[test]
    fn every_query_of_every_tested_run_is_a_row_and_the_rows_give_the_result() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        Study { state: State::Failed, folder: "z".into(), name: "z".into(), ..Study::default() }
            .write(folder.path(), 1);
        let loaded = load(&[folder.path().to_owned()]).unwrap();
        // 12 runs of 200 episodes of 5 classes with 4 queries each.
        assert_eq!(rows(&loaded.runs), 12 * 200 * 20);
        let read = ParquetReader::new(std::io::Cursor::new(parquet(&loaded.runs).unwrap())).finish().unwrap();
        assert_eq!(read.height(), 12 * 200 * 20);
        let right = read.column("right").unwrap().bool().unwrap().slice(0, 200 * 20);
        let first = loaded.runs.iter().find(|run| run.result().is_some()).unwrap();
        let share = f64::from(right.sum().unwrap()) / 4000.0;
        assert!((share - first.result().unwrap().value).abs() < 1e-12);
        assert_eq!(columns().unwrap().len(), read.width());
        let empty = ParquetReader::new(std::io::Cursor::new(parquet(&[]).unwrap())).finish().unwrap();
        assert_eq!((empty.height(), empty.width()), (0, read.width()));
    }
}

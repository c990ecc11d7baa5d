//! Logs for other programs: TensorBoard's event files, and a table as CSV, beside the records of a run.
//!
//! What is logged is a function of the records and of the time. So one code path serves a training under way, a run that
//! is resumed, and a run that was made without a log: what the files lack is filled in from the records.
//!
//! Here belongs how these files are written.
//! Not here: when (`engine`), and the records themselves.

mod events;
mod messages;
mod summaries;
mod table;
mod values;

use crate::error::{Error, Result};
use crate::recipe::log::LogOptions;
use crate::runs::directory::RunDirectory;
use crate::runs::examples::Examples;
use crate::runs::records::{Manifest, State, TrainRecord, ValidationRecord};
use crate::runs::store::{Position, RunStore};
use crate::weights::HostTensor;
use events::EventFiles;
use maclip_language::Node;
use messages::{Event, What};
use std::collections::BTreeMap;
use table::Table;
use values::{Rates, now, of_step, of_test, of_validation, time_of};

/// What a run logs, and with which recipe.
#[derive(Clone, Copy, Debug)]
pub struct LogTo<'a> {
    /// The recipe's `log:`, or what a command asks for.
    pub options: &'a LogOptions,
    /// The resolved recipe.
    pub recipe: &'a Node,
}

/// The logs of a run, open to go on with.
pub struct RunLog {
    events: Option<Events>,
    table: Option<Table>,
    rates: Rates,
    histograms: Option<u64>,
}

/// Event files, and what they have already.
struct Events {
    files: EventFiles,
    step: u64,
    validation: u64,
    begun: bool,
    ended: bool,
}

impl Events {
    fn open(store: &RunStore, position: &Position, done: bool) -> Result<Self> {
        let Position { step: last, validation_due, .. } = *position;
        // An end that is not whole is written again.
        let done = done && EventFiles::any(store, |event| has(event, summaries::END))?;
        let (mut step, mut validation, mut begun, mut ended) = (0, 0, false, false);
        let files = EventFiles::open(store, last + 1, |event| {
            let at = u64::try_from(event.step).unwrap_or(0);
            let is = |group: &str| has(event, group);
            // A run that is done has a test; one that goes on will have another.
            let of_end = is("test/") || is("examples/") || is(summaries::END);
            let kept = if of_end { done } else { at + u64::from(validation_due && is("val/")) <= last };
            if kept {
                begun = true;
                step = if is("train/") { at } else { step };
                validation = if is("val/") { at } else { validation };
                ended |= is(summaries::END);
            }
            kept
        })?;
        Ok(Self { files, step, validation, begun, ended })
    }
}

/// Whether the event has a value whose tag begins with `group`.
fn has(event: &Event, group: &str) -> bool {
    let Some(What::Summary(summary)) = &event.what else { return false };
    summary.value.iter().any(|value| value.tag.starts_with(group))
}

impl LogTo<'_> {
    /// Opens the logs of the run in `store`, whose records end at `position`. What is in the logs after that is removed, and
    /// what they lack before it is filled in from the records, with times that are estimated.
    ///
    /// # Errors
    /// Where a log cannot be written, or the records cannot be read.
    pub(crate) fn open(&self, store: &RunStore, position: &Position) -> Result<RunLog> {
        self.opened(store, position, false)
    }

    fn opened(&self, store: &RunStore, position: &Position, done: bool) -> Result<RunLog> {
        let events = self.options.tensorboard.then(|| Events::open(store, position, done)).transpose()?;
        let table = self.options.csv.then(|| Table::open(store.path(), position)).transpose()?;
        let row = table.as_ref().map(|(_, last)| *last);
        let mut log = RunLog {
            events,
            table: table.map(|(table, _)| table),
            rates: Rates::of(self.recipe),
            histograms: self.options.histograms.filter(|_| self.options.tensorboard),
        };
        let run = RunDirectory::open(store.path())?;
        log.begin(self.recipe, &run.manifest)?;
        log.fill(&run, position, row)?;
        Ok(log)
    }

    /// Completes the logs of the run in `store` from its records; with the test and its examples where it is done.
    ///
    /// # Errors
    /// Where a log cannot be written, or the records cannot be read.
    pub fn complete(&self, store: &RunStore) -> Result<()> {
        let run = RunDirectory::open(store.path())?;
        let last = run.last_step()?;
        let done = run.status.as_ref().is_some_and(|status| status.state == State::Done);
        let mut log = self.opened(store, &Position { step: last, ..Position::default() }, done)?;
        if done { log.end(&run, last) } else { Ok(()) }
    }
}

impl RunLog {
    fn event(&mut self, event: &Event) -> Result<()> {
        self.events.as_mut().map_or(Ok(()), |events| events.files.append(event))
    }

    /// The recipe, where the files do not have it yet.
    fn begin(&mut self, recipe: &Node, manifest: &Manifest) -> Result<()> {
        if self.events.as_ref().is_none_or(|events| events.begun) {
            return Ok(());
        }
        let time = manifest.attempts.first().map_or_else(now, |attempt| attempt.started_unix as f64);
        self.event(&summaries::beginning(time, recipe, manifest))
    }

    /// The steps up to `position` that the logs lack. `row` is the last step of the table, where there is one.
    fn fill(&mut self, run: &RunDirectory, position: &Position, row: Option<u64>) -> Result<()> {
        let (step, validation) = self.events.as_ref().map_or((u64::MAX, u64::MAX), |has| (has.step, has.validation));
        let row = row.unwrap_or(u64::MAX);
        if step.min(row) >= position.step && validation >= position.step {
            return Ok(());
        }
        let validations: BTreeMap<u64, ValidationRecord> =
            run.validation()?.into_iter().map(|record| (record.step, record)).collect();
        let records = run.train()?;
        let all = records.last().map_or(0, |record| record.step);
        for record in records.into_iter().filter(|record| record.step <= position.step) {
            let time = time_of(record.step, all, &run.manifest);
            let due = record.step == position.step && position.validation_due;
            let validated = validations.get(&record.step).filter(|_| !due);
            let values = of_step(&record, &self.rates);
            if record.step > step {
                self.event(&summaries::scalars(time, record.step, &values))?;
            }
            if let Some(found) = validated.filter(|found| found.step > validation) {
                self.event(&summaries::scalars(time, found.step, &of_validation(found)))?;
            }
            if let Some(table) = self.table.as_mut().filter(|_| record.step > row) {
                table.step(record.step, time, values, due || validated.is_some())?;
                if let Some(found) = validated {
                    table.validated(of_validation(found))?;
                }
            }
        }
        Ok(())
    }

    /// Logs a training step, which has just been done and recorded. `validated` says whether a validation follows, and
    /// `tensors` gives the trained parameters.
    pub(crate) fn step(
        &mut self,
        record: &TrainRecord,
        validated: bool,
        tensors: impl FnOnce() -> BTreeMap<String, HostTensor>,
    ) -> Result<()> {
        let (time, values) = (now(), of_step(record, &self.rates));
        if self.events.is_some() {
            self.event(&summaries::scalars(time, record.step, &values))?;
        }
        if self.histograms.is_some_and(|every| record.step.is_multiple_of(every)) {
            self.event(&summaries::histograms(time, record.step, &tensors()))?;
        }
        self.table.as_mut().map_or(Ok(()), |table| table.step(record.step, time, values, validated))
    }

    /// Logs a validation, which has just been done and recorded.
    pub(crate) fn validation(&mut self, record: &ValidationRecord) -> Result<()> {
        let values = of_validation(record);
        if self.events.is_some() {
            self.event(&summaries::scalars(now(), record.step, &values))?;
        }
        self.table.as_mut().map_or(Ok(()), |table| table.validated(values))
    }

    /// The test of a run that is done, at the step whose weights were tested, and its examples.
    fn end(&mut self, run: &RunDirectory, last: u64) -> Result<()> {
        if self.events.as_ref().is_none_or(|events| events.ended) {
            return Ok(());
        }
        let Some(status) = &run.status else { return Ok(()) };
        let (time, step) = (status.updated_unix as f64, status.best_step.unwrap_or(last));
        if let Some(test) = &status.test {
            self.event(&summaries::scalars(time, step, &of_test(test)))?;
        }
        let pictures = summaries::pictures(time, step, &run.path).map_err(|error| {
            let folder = run.path.join(Examples::FOLDER);
            error.help(format!("bring {} back, or remove it: the log is then without pictures", folder.display()))
        });
        pictures?.iter().try_for_each(|event| self.event(event))?;
        self.event(&summaries::end(time, last))
    }
}

/// What a person is told where a run is done and its log is not.
pub(crate) fn unlogged(error: Error, run: &RunStore) -> Error {
    let path = run.path().display();
    match error {
        Error::Failed { message, place, help } => Error::Failed {
            message: format!("{path} is done and keeps its result, but its log is not complete: {message}"),
            place,
            help: help.or_else(|| Some(format!("`maclip runs log {path}` completes it"))),
        },
        other => other,
    }
}

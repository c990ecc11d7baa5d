//! Logs for other programs: TensorBoard's event files, and a table as CSV, beside the records of a run.
//!
//! What is logged is a function of the records and of the time. So one code path serves a training under way, a run
//! that is resumed, and a run that was made without a log: what the files lack is filled in from the records.
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
use crate::runs::records::{State, TrainRecord, ValidationRecord};
use crate::runs::store::{Position, RunStore};
use crate::weights::HostTensor;
use events::{EventFiles, Verdict};
use maclip_language::Node;
use messages::{Event, What};
use std::collections::{BTreeMap, BTreeSet};
use table::Table;
use values::{Rates, now, of_step, of_test, of_validation, seconds_of, time_of};

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
    steps: BTreeSet<u64>,
    validations: BTreeSet<u64>,
    /// The last step of anything that is there.
    last: Option<u64>,
    begun: bool,
    ended: bool,
}

/// What an event is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Beginning,
    Step,
    Validation,
    /// The test, its examples, and that the run is done.
    End,
    /// What the records do not have, such as histograms.
    Other,
}

impl Of {
    /// Each event has values of one kind, so its first tag says which.
    fn event(event: &Event) -> Self {
        match tag(event) {
            tag if tag == summaries::RECIPE => Self::Beginning,
            tag if tag.starts_with("train/") => Self::Step,
            tag if tag.starts_with("val/") => Self::Validation,
            tag if tag == summaries::END || tag.starts_with("test/") || tag.starts_with("examples/") => Self::End,
            _ => Self::Other,
        }
    }
}

/// The first tag of an event.
fn tag(event: &Event) -> &str {
    let Some(What::Summary(summary)) = &event.what else { return "" };
    summary.value.first().map_or("", |value| value.tag.as_str())
}

impl Events {
    /// `group` is that of the run: what stands in the files of another run that was copied is not its own.
    fn open(store: &RunStore, position: &Position, done: bool, group: &str) -> Result<Self> {
        let Position { step: last, validation_due, .. } = *position;
        // An end that is not whole is written again.
        let done = done && EventFiles::whole_with(store, |event| tag(event) == summaries::END)?;
        let (mut steps, mut validations, mut others) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (mut newest, mut begun, mut ended) = (None, false, false);
        let files = EventFiles::open(store, last + 1, |event| {
            let at = u64::try_from(event.step).unwrap_or(0);
            let mut kept = |kept: bool| {
                newest = if kept { newest.max(Some(at)) } else { newest };
                if kept { Verdict::Keep } else { Verdict::Drop }
            };
            let seen = match Of::event(event) {
                Of::Beginning => {
                    let own = !begun && summaries::begins(event, group);
                    begun |= own;
                    return kept(own);
                }
                // A run that is done has a test; one that goes on will have another.
                Of::End if done => {
                    let new = !ended;
                    ended |= tag(event) == summaries::END;
                    return kept(new);
                }
                Of::End => return Verdict::Cut,
                Of::Validation if at + u64::from(validation_due) > last => return Verdict::Cut,
                _ if at > last => return Verdict::Cut,
                Of::Step => &mut steps,
                Of::Validation => &mut validations,
                Of::Other => &mut others,
            };
            // In their order, and once.
            kept(seen.last().is_none_or(|before| *before < at) && seen.insert(at))
        })?;
        Ok(Self { files, steps, validations, last: newest, begun, ended })
    }

    /// Whether something is missing before what is there, of a run with these records.
    fn holes(&self, steps: &BTreeSet<u64>, validations: &BTreeSet<u64>) -> bool {
        let Some(last) = self.last else { return false };
        let lacks = |all: &BTreeSet<u64>, have: &BTreeSet<u64>| all.range(..=last).any(|step| !have.contains(step));
        !self.begun || self.files.holes() || lacks(steps, &self.steps) || lacks(validations, &self.validations)
    }
}

impl LogTo<'_> {
    /// Opens the logs of the run in `store`, whose records end at `position`. What is in the logs after that is
    /// removed, and what they lack before it is filled in from the records, with times that are estimated.
    ///
    /// # Errors
    /// Where a log cannot be written, or the records cannot be read.
    pub(crate) fn open(&self, store: &RunStore, position: &Position) -> Result<RunLog> {
        self.opened(store, position, false)
    }

    fn opened(&self, store: &RunStore, position: &Position, done: bool) -> Result<RunLog> {
        let run = RunDirectory::open(store.path())?;
        let group = summaries::group(&run.manifest);
        let events = self.options.tensorboard.then(|| Events::open(store, position, done, &group)).transpose()?;
        let table = self.options.csv.then(|| Table::open(store.path(), position)).transpose()?;
        let row = table.as_ref().map(|(_, last)| *last);
        let mut log = RunLog {
            events,
            table: table.map(|(table, _)| table),
            rates: Rates::of(self.recipe),
            histograms: self.options.histograms.filter(|_| self.options.tensorboard),
        };
        log.fill(self.recipe, &run, position, row)?;
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

/// When the records of the training were written last, in seconds since 1970 (UTC).
fn logged_until(run: &RunDirectory) -> Result<f64> {
    let path = run.path.join("train.jsonl");
    match std::fs::metadata(&path).and_then(|data| data.modified()) {
        Ok(time) => Ok(seconds_of(time)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0.0),
        Err(error) => Err(Error::io("read", &path, error)),
    }
}

impl RunLog {
    fn event(&mut self, event: &Event) -> Result<()> {
        self.events.as_mut().map_or(Ok(()), |events| events.files.append(event))
    }

    /// What the logs lack up to `position`: the recipe, steps and validations. `row` is the last step of the table,
    /// where there is one.
    fn fill(&mut self, recipe: &Node, run: &RunDirectory, position: &Position, row: Option<u64>) -> Result<()> {
        let mut records = run.train()?;
        let all = records.last().map_or(0, |record| record.step);
        records.retain(|record| record.step <= position.step);
        let due = |step: u64| step == position.step && position.validation_due;
        let steps: BTreeSet<u64> = records.iter().map(|record| record.step).collect();
        let mut validations: BTreeMap<u64, ValidationRecord> =
            run.validation()?.into_iter().map(|record| (record.step, record)).collect();
        validations.retain(|step, _| steps.contains(step) && !due(*step));
        let until = logged_until(run)?;
        let (mut lacks_step, mut lacks_validation) = (BTreeSet::new(), BTreeSet::new());
        if let Some(events) = &mut self.events {
            let validated = validations.keys().copied().collect();
            let time = run.manifest.attempts.first().map_or_else(now, |attempt| attempt.started_unix as f64);
            if events.holes(&steps, &validated) {
                events.files.rewrite(time)?;
            }
            lacks_step = &steps - &events.steps;
            lacks_validation = &validated - &events.validations;
            if !events.begun {
                events.files.append(&summaries::beginning(time, recipe, &run.manifest))?;
            }
        }
        for record in records {
            let step = record.step;
            let time = time_of(step, all, &run.manifest, until);
            let validated = validations.get(&step).map(of_validation);
            let values = of_step(&record, &self.rates);
            if lacks_step.contains(&step) {
                self.event(&summaries::scalars(time, step, &values))?;
            }
            if let Some(found) = validated.as_ref().filter(|_| lacks_validation.contains(&step)) {
                self.event(&summaries::scalars(time, step, found))?;
            }
            if let Some(table) = self.table.as_mut().filter(|_| row.is_some_and(|row| step > row)) {
                table.step(step, time, values, due(step) || validated.is_some())?;
                if let Some(found) = validated {
                    table.validated(found)?;
                }
            }
        }
        self.events.as_mut().map_or(Ok(()), |events| events.files.settle())
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

/// Whether the file `name` of a run directory is a log that `options` do not ask for.
pub(crate) fn unasked(name: &str, options: &LogOptions) -> bool {
    name == table::FILE && !options.csv || name.starts_with(events::PREFIX) && !options.tensorboard
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

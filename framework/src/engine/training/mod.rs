//! Training: the loop of steps, with clipping, schedule, validation, early stopping, checkpoints and resume.
//!
//! Here belongs what is the same for every task that trains.
//! Not here: what happens in one step and in a validation; a task says this with a [`Learner`].

mod prefetch;
mod smoothed;
mod stepper;
#[cfg(test)]
pub(crate) mod testing;

pub use stepper::Stepper;

use crate::error::{Error, Result};
use crate::model::gradients::clip_gradients;
use crate::model::parameters;
use crate::profile::{self, Phase};
use crate::progress::{Progress, Validated, stop_requested};
use crate::runs::log::LogTo;
use crate::runs::read::read_lines;
use crate::runs::records::{TrainLoss, TrainRecord, ValidationRecord};
use crate::runs::store::{Position, Records, RunStore};
use crate::slots::optimizer::Optimizer;
use crate::slots::schedule::Schedule;
use burn::module::Module;
use burn::optim::GradientsParams;
use prefetch::prefetch;
use serde::{Deserialize, Serialize};
use smoothed::Smoothed;
use std::collections::{BTreeMap, BTreeSet};

/// Options of the training loop. They are the same for every task.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoopOptions {
    /// Number of optimizer steps. A task that trains nothing before its test sets it to 0: the weights then stay as
    /// they begin, and are validated once.
    #[schemars(range(min = 1))]
    pub steps: u64,
    /// Largest L2 norm of a step's gradient, over all parameters together; a larger gradient is scaled down to it.
    /// `null` turns clipping off.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub clip_norm: Option<f64>,
    /// Steps between two validations. The checkpoint with the best validation is the one that is tested.
    #[schemars(range(min = 1))]
    pub validate_every_steps: u64,
    /// Steps between two checkpoints.
    #[schemars(range(min = 1))]
    pub checkpoint_every_steps: u64,
    /// Number of newest checkpoints that are kept, in addition to the best. The second one is used if the first is
    /// damaged.
    #[schemars(range(min = 1))]
    pub keep_checkpoints: usize,
    /// Training ends after this many validations in a row without a new best one. `null` trains for all steps.
    #[schemars(range(min = 1))]
    pub patience: Option<u64>,
}

impl Default for LoopOptions {
    fn default() -> Self {
        Self {
            steps: 1000,
            clip_norm: Some(1.0),
            validate_every_steps: 100,
            checkpoint_every_steps: 50,
            keep_checkpoints: 2,
            patience: None,
        }
    }
}

impl LoopOptions {
    /// Whether nothing is left to do after `position`.
    fn finished(&self, position: Position) -> bool {
        let waited = position.best.map_or(0, |(best, _)| (position.step - best) / self.validate_every_steps);
        position.step >= self.steps || self.patience.is_some_and(|patience| waited >= patience)
    }
}

/// The result of the forward and backward passes of one optimizer step.
pub struct StepOutput {
    /// The gradients of the loss, before clipping.
    pub gradients: GradientsParams,
    /// The loss.
    pub loss: f64,
    /// The terms of the loss, by name.
    pub parts: BTreeMap<String, f64>,
    /// Accuracy on the step's own input, 0 to 1.
    pub accuracy: f64,
}

/// The result of one validation.
pub struct Validation {
    /// The mean that checkpoints are compared by; larger is better. An accuracy, 0 to 1.
    pub value: f64,
    /// Half width of the 95 % interval of the mean.
    pub ci95: f64,
    /// Number of episodes that the mean is over.
    pub episodes: u64,
}

/// What a task does in the training loop.
pub trait Learner: Sync {
    /// The module that is trained.
    type Model: Module;
    /// The input of a step, such as its clips. It must not depend on the weights.
    type Input: Send;

    /// Prepares the input of step `step` (from 0). It must depend on the step number alone: worker threads prepare
    /// several inputs in parallel, before their steps are computed.
    ///
    /// # Errors
    /// Where the input cannot be made, for example because a clip cannot be opened.
    fn prepare(&self, step: u64) -> Result<Self::Input>;

    /// Computes loss and gradients of a step.
    ///
    /// # Errors
    /// Where they are not finite. The message should name the input that caused it.
    fn step(&self, model: &Self::Model, input: Self::Input) -> Result<StepOutput>;

    /// Evaluates the model on classes or clips that are not trained on.
    ///
    /// # Errors
    /// Where the evaluation fails; [`Error::Interrupted`] after a request to stop: the validation is then the first
    /// thing that a resumed run does.
    fn validate(&self, model: &Self::Model) -> Result<Validation>;

    /// A report on a step whose numbers are wrong, for a person to read: its input, losses, values and gradients.
    ///
    /// # Errors
    /// Where the step cannot be computed at all. Numbers that are not finite are no error here.
    fn inspect(&self, model: &Self::Model, input: Self::Input) -> Result<serde_json::Value>;
}

/// The training loop: its options, and the parts that it works with.
pub struct Loop<'a> {
    /// Steps, validations and checkpoints.
    pub options: &'a LoopOptions,
    /// Changes the weights.
    pub optimizer: &'a dyn Optimizer,
    /// The factor on the learning rate of each step.
    pub schedule: &'a dyn Schedule,
    /// The run directory that records and checkpoints go to.
    pub store: &'a RunStore,
    /// What is written for other programs besides the records: [`RunContext::log`](super::context::RunContext::log).
    pub log: Option<LogTo<'a>>,
    /// Where the loop reports how far it is.
    pub progress: &'a dyn Progress,
    /// Number of threads that prepare inputs; 0 prepares each input when it is needed.
    pub workers: usize,
    /// Number of inputs that may be ready before they are needed; 0 prepares each input when it is needed.
    pub prefetch: usize,
}

/// The result of a training.
pub struct Trained<M> {
    /// The model with the weights of the best validation; with the last weights where there was no validation.
    pub model: M,
    /// The step of the best validation.
    pub best_step: Option<u64>,
}

/// A training under way.
struct Training<M> {
    model: M,
    stepper: Stepper,
    position: Position,
}

impl Loop<'_> {
    /// The model with the weights of the newest checkpoint that is not damaged and that `fits`; as it is, where there
    /// is none.
    fn resume<M: Module>(
        &self,
        model: M,
        fits: impl Fn(&Position) -> bool,
        damaged: impl FnMut(u64, &Error) -> Result<()>,
    ) -> Result<Training<M>> {
        let stepper = Stepper::new(self.optimizer, &model)?;
        let Some(checkpoint) = self.store.newest_checkpoint(fits, damaged)? else {
            // Where there is no step, the validation comes at once.
            let position = Position { validation_due: self.options.steps == 0, ..Position::default() };
            return Ok(Training { model, stepper, position });
        };
        let position = checkpoint.position;
        Ok(Training { model: checkpoint.load(model)?, stepper: stepper.load(checkpoint.optimizer())?, position })
    }

    /// Number of steps from the first on that have records without a gap, and the steps that were validated.
    fn recorded(&self) -> Result<(u64, BTreeSet<u64>)> {
        let train: Vec<TrainLoss> = read_lines(&self.store.path().join("train.jsonl"))?;
        let whole = train.iter().zip(1..).take_while(|(record, step)| record.step == *step).count() as u64;
        Ok((whole, self.curve()?.into_iter().map(|record| record.step).collect()))
    }

    fn curve(&self) -> Result<Vec<ValidationRecord>> {
        read_lines(&self.store.path().join("validation.jsonl"))
    }

    fn validates(&self, step: u64) -> bool {
        step == self.options.steps || step.is_multiple_of(self.options.validate_every_steps)
    }

    /// Trains from the newest checkpoint to the end, and returns the model with the weights of the best validation.
    ///
    /// # Errors
    /// Where a step or a validation fails, its numbers are not finite, or a file cannot be read or written. After a
    /// request to stop, the step is finished, a checkpoint is written, and [`Error::Interrupted`] is returned.
    pub fn run<L: Learner>(&self, learner: &L, model: L::Model) -> Result<Trained<L::Model>> {
        let options = self.options;
        let (steps, validated) = self.recorded()?;
        let fits = |position: &Position| {
            let last = position.step - u64::from(position.validation_due);
            let whole =
                position.step <= steps && (1..=last).all(|step| !self.validates(step) || validated.contains(&step));
            if !whole {
                let step = position.step;
                let note = format!("the records do not reach step {step}; going on from an earlier checkpoint");
                self.progress.note(&note);
            }
            whole
        };
        let mut now = self.resume(model, fits, |step, error| {
            self.progress.note(&format!("{error}; put aside, going on from an earlier checkpoint"));
            self.store.put_aside(step)
        })?;
        let first_step = now.position.step;
        if first_step == 0 && steps > 0 {
            self.progress.note("no checkpoint can be used; the training begins again");
        }
        if first_step > 0 && !options.finished(now.position) {
            self.progress.note(&format!("resuming at step {first_step}"));
        }
        let (mut train_records, mut validation_records) = self.store.training_records(&now.position)?;
        let mut log = self.log.map(|log| log.open(self.store, &now.position)).transpose()?;
        // Read after the records were cut back to the checkpoint.
        let mut curve: Vec<Validated> = self.curve()?.iter().map(Validated::from).collect();
        self.progress.begin("train", first_step, options.steps);
        prefetch(
            first_step..options.steps,
            self.workers,
            self.prefetch,
            |step| learner.prepare(step),
            |inputs| {
                let (mut loss, mut smoothed) = (String::new(), Smoothed::default());
                while now.position.validation_due || !options.finished(now.position) {
                    if now.position.validation_due {
                        let record = match learner.validate(&now.model) {
                            // A resumed run begins with this validation.
                            Err(Error::Interrupted) => {
                                let records = [&train_records, &validation_records];
                                return self.save(&now, records).and(Err(Error::Interrupted));
                            }
                            validation => self.judge(validation?, &mut now.position),
                        };
                        validation_records.append(&record)?;
                        self.save(&now, [&train_records, &validation_records])?;
                        if let Some(log) = &mut log {
                            log.validation(&record)?;
                        }
                        curve.push(Validated::from(&record));
                        self.progress.validated(&curve);
                    } else {
                        let stepped = self.step(learner, &mut now, inputs);
                        let records = [&train_records, &validation_records];
                        let (record, next) = stepped.map_err(|error| self.stopped(&now, records, error))?;
                        (now.model, now.position.step) = (next, record.step);
                        train_records.append(&record)?;
                        let step = record.step;
                        now.position.validation_due = self.validates(step);
                        if stop_requested()
                            || !now.position.validation_due && step.is_multiple_of(options.checkpoint_every_steps)
                        {
                            self.save(&now, [&train_records, &validation_records])?;
                        }
                        if let Some(log) = &mut log {
                            log.step(&record, now.position.validation_due, || parameters::export(&now.model, true))?;
                        }
                        loss = format!("loss {:.3}", smoothed.with(record.loss));
                    }
                    self.progress.at(now.position.step, &loss);
                    if stop_requested() {
                        return Err(Error::Interrupted);
                    }
                }
                Ok(())
            },
        )
        .inspect_err(|_| self.progress.end())?;
        self.progress.end();
        if now.position.step < options.steps && first_step < now.position.step {
            let (best, _) = now.position.best.unwrap_or_default();
            self.progress.note(&format!("stopped at step {}: no better validation since {best}", now.position.step));
        }
        let model = match now.position.best {
            Some((best, _)) => self.store.checkpoint(best)?.load(now.model)?,
            None => now.model,
        };
        Ok(Trained { model, best_step: now.position.best.map(|(step, _)| step) })
    }

    /// The record of a validation, and whether it is the best so far.
    fn judge(&self, validation: Validation, position: &mut Position) -> ValidationRecord {
        let best = position.best.is_none_or(|(_, value)| validation.value > value);
        if best {
            position.best = Some((position.step, validation.value));
        }
        position.validation_due = false;
        ValidationRecord {
            step: position.step,
            accuracy: validation.value,
            ci95: validation.ci95,
            episodes: validation.episodes,
            best,
        }
    }

    /// Writes a checkpoint, after the records of all steps before it are on the disk.
    fn save<M: Module>(&self, now: &Training<M>, records: [&Records; 2]) -> Result<()> {
        records.into_iter().try_for_each(Records::sync)?;
        self.store.save_checkpoint(&now.model, now.stepper.bytes()?, now.position, self.options.keep_checkpoints)
    }

    /// One optimizer step: its record and the model after it.
    fn step<L: Learner>(
        &self,
        learner: &L,
        now: &mut Training<L::Model>,
        inputs: &mut dyn Iterator<Item = Result<L::Input>>,
    ) -> Result<(TrainRecord, L::Model)> {
        let step = now.position.step;
        let input = inputs.next().ok_or_else(|| Error::failed(format!("step {step} has no input")))??;
        let output = learner.step(&now.model, input)?;
        let (norm, gradients) = clip_gradients(&now.model, output.gradients, self.options.clip_norm);
        if !norm.is_finite() || !output.loss.is_finite() {
            let message = format!("the loss is {} and the gradient's norm {norm}", output.loss);
            return Err(Error::failed(message));
        }
        let factor = self.schedule.factor(step, self.options.steps);
        let model = {
            let _span = profile::span(Phase::Optimizer);
            now.stepper.step(factor, now.model.clone(), gradients)
        };
        let record = TrainRecord {
            step: step + 1,
            loss: output.loss,
            parts: output.parts,
            accuracy: output.accuracy,
            learning_rate: self.optimizer.learning_rate() * factor,
            gradient_norm: norm,
        };
        Ok((record, model))
    }

    /// The error of a step that cannot be computed: adds the step and how to look at it, and saves the weights before
    /// it for that.
    fn stopped<M: Module>(&self, now: &Training<M>, records: [&Records; 2], error: Error) -> Error {
        let Error::Failed { message, place, help } = error else { return error };
        if help.is_some() {
            return Error::Failed { message, place, help };
        }
        let kept = self.save(now, records).map_or_else(|error| format!(" ({error})"), |()| String::new());
        let step = now.position.step + 1;
        Error::Failed { message: format!("step {step}: {message}{kept}"), place, help: None }.help(format!(
            "look at the step with `maclip replay {} --step {step}`; then lower optimizer.learning_rate or \
             task.train.clip_norm",
            self.store.path().display()
        ))
    }

    /// Computes the steps from the newest checkpoint before step `step` (from 1) again, and returns the report of
    /// [`Learner::inspect`] on that step. Writes neither records nor checkpoints.
    ///
    /// # Errors
    /// Where the training has no such step, or a step before it cannot be computed.
    pub fn replay<L: Learner>(&self, learner: &L, model: L::Model, step: u64) -> Result<serde_json::Value> {
        if step > self.options.steps {
            return Err(Error::failed(format!("the training has {} steps, and no step {step}", self.options.steps)));
        }
        let mut now = self.resume(model, |position| position.step < step, |_, _| Ok(()))?;
        let from = now.position.step;
        self.progress.begin("train", from, step);
        while now.position.step + 1 < step {
            let mut inputs = std::iter::once(learner.prepare(now.position.step));
            let (record, next) = self.step(learner, &mut now, &mut inputs)?;
            (now.model, now.position.step) = (next, record.step);
            self.progress.at(record.step, &format!("loss {:.3}", record.loss));
        }
        self.progress.end();
        learner.inspect(&now.model, learner.prepare(step - 1)?)
    }
}

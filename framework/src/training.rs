//! The training loop: steps, clipping, schedule, validation, checkpoints, resume. What a step is, is the task's.

use crate::error::{Error, Result};
use crate::parameters;
use crate::progress::{Progress, stop_requested};
use crate::records::{TrainRecord, ValidationRecord};
use crate::registry::Problems;
use crate::slots::optimizer::Optimizer;
use crate::slots::schedule::Schedule;
use crate::store::{Position, RunStore};
use burn::module::Module;
use burn::optim::GradientsParams;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Instant;

/// Options of the loop that every task shares.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoopOptions {
    /// Optimizer steps.
    pub steps: u64,
    /// Largest global L2 norm of a step's gradient; larger ones are scaled down. `null` turns clipping off.
    pub clip_norm: Option<f64>,
    /// Steps between validations; the best checkpoint is chosen among them.
    pub validate_every_steps: u64,
    /// Steps between checkpoints.
    pub checkpoint_every_steps: u64,
}

impl Default for LoopOptions {
    fn default() -> Self {
        Self { steps: 1000, clip_norm: Some(1.0), validate_every_steps: 100, checkpoint_every_steps: 50 }
    }
}

impl LoopOptions {
    /// Range checks; `prefix` is the dotted path of the options inside their component, with its dot.
    pub fn check(&self, prefix: &str, problems: &mut Problems) {
        for (name, value) in [
            ("steps", self.steps),
            ("validate_every_steps", self.validate_every_steps),
            ("checkpoint_every_steps", self.checkpoint_every_steps),
        ] {
            problems.when(value == 0, &format!("{prefix}{name}"), "must be at least 1");
        }
        let wrong = self.clip_norm.is_some_and(|norm| !(norm > 0.0 && norm.is_finite()));
        problems.when(wrong, &format!("{prefix}clip_norm"), "must be above 0, or null for no clipping");
    }
}

/// What one optimizer step's forward and backward passes gave.
pub struct StepOutput {
    pub gradients: GradientsParams,
    pub loss: f64,
    pub parts: BTreeMap<String, f64>,
    pub accuracy: f64,
}

/// Mean and interval of one validation.
pub struct Validation {
    pub value: f64,
    pub ci95: f64,
    pub episodes: u64,
}

/// A task's side of the loop.
pub trait Learner {
    type Model: Module;

    /// Gradients of step `step` (from 0): a pure function of the weights and the step number.
    fn step(&self, model: &Self::Model, step: u64) -> Result<StepOutput>;

    fn validate(&self, model: &Self::Model) -> Result<Validation>;

    /// How to run a step again when its loss is not finite.
    fn describe(&self, step: u64) -> String;
}

pub struct Loop<'a> {
    pub options: &'a LoopOptions,
    pub optimizer: &'a dyn Optimizer,
    pub schedule: &'a dyn Schedule,
    pub store: &'a RunStore,
    pub progress: &'a dyn Progress,
}

/// The trained model.
pub struct Trained<M> {
    pub model: M,
    pub best_step: Option<u64>,
    pub seconds: f64,
}

impl Loop<'_> {
    /// Trains from the last checkpoint to the end and gives back the weights that validated best. On a stop request the
    /// step is finished, a checkpoint written and `Error::Interrupted` returned.
    pub fn run<L: Learner>(&self, learner: &L, model: L::Model) -> Result<Trained<L::Model>> {
        let options = self.options;
        let mut model = model;
        let mut optimizer = self.optimizer.init();
        let mut position = Position::default();
        if let Some(checkpoint) = self.store.load_checkpoint("last")? {
            model = checkpoint.load(model)?;
            optimizer = checkpoint.load_optimizer(optimizer)?;
            position = checkpoint.position;
            if position.step < options.steps {
                self.progress.note(&format!("resuming at step {}", position.step));
            }
        }
        let (mut train_records, mut validation_records) = self.store.training_records(position.step)?;
        self.progress.begin("train", position.step, options.steps);
        let mut accuracy = String::new();
        while position.step < options.steps {
            let started = Instant::now();
            let output = learner.step(&model, position.step)?;
            if !output.loss.is_finite() {
                return Err(Error::failed(format!("the loss is {} {}", output.loss, learner.describe(position.step)))
                    .help(
                        "lower optimizer.learning_rate or task.train.clip_norm; the last checkpoint is from before",
                    ));
            }
            let (norm, gradients) = parameters::clip_gradients(&model, output.gradients, options.clip_norm);
            if !norm.is_finite() {
                return Err(Error::failed(format!("the gradient is not finite {}", learner.describe(position.step)))
                    .help("lower optimizer.learning_rate; the last checkpoint is from before"));
            }
            let rate = self.optimizer.learning_rate() * self.schedule.factor(position.step, options.steps);
            model = optimizer.step(rate, model, gradients);
            position.step += 1;
            let seconds = started.elapsed().as_secs_f64();
            train_records.append(&TrainRecord {
                step: position.step,
                loss: output.loss,
                parts: output.parts,
                accuracy: output.accuracy,
                learning_rate: rate,
                gradient_norm: norm,
                seconds,
            })?;
            let last = position.step == options.steps;
            if last || position.step.is_multiple_of(options.validate_every_steps) {
                let validating = Instant::now();
                let validation = learner.validate(&model)?;
                let best = position.best.is_none_or(|(_, value)| validation.value > value);
                accuracy = format!(", val {:.1} %", validation.value * 100.0);
                position.train_seconds += started.elapsed().as_secs_f64();
                if best {
                    position.best = Some((position.step, validation.value));
                    self.store.save_checkpoint("best", &model, &optimizer, position)?;
                }
                validation_records.append(&ValidationRecord {
                    step: position.step,
                    accuracy: validation.value,
                    ci95: validation.ci95,
                    episodes: validation.episodes,
                    best,
                    seconds: validating.elapsed().as_secs_f64(),
                })?;
                self.store.save_checkpoint("last", &model, &optimizer, position)?;
            } else {
                position.train_seconds += seconds;
                let stop = stop_requested();
                if stop || position.step.is_multiple_of(options.checkpoint_every_steps) {
                    self.store.save_checkpoint("last", &model, &optimizer, position)?;
                }
            }
            self.progress.at(position.step, &format!("loss {:.3}{accuracy}", output.loss));
            if stop_requested() {
                self.progress.end();
                return Err(Error::Interrupted);
            }
        }
        self.progress.end();
        if let Some(best) = self.store.load_checkpoint("best")? {
            model = best.load(model)?;
        }
        Ok(Trained { model, best_step: position.best.map(|(step, _)| step), seconds: position.train_seconds })
    }
}

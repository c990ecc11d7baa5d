//! What a run tells the person who waits. The command line draws bars on a terminal and plain lines elsewhere.

use std::sync::atomic::{AtomicBool, Ordering};

/// One validation, as a person who waits wants to see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Validated {
    /// Optimizer steps done.
    pub step: u64,
    /// 0 to 1.
    pub accuracy: f64,
    /// Half width of the 95 % interval over episodes, 0 to 1.
    pub ci95: f64,
    /// Whether it was the best so far.
    pub best: bool,
}

/// Where a run reports how far it is.
pub trait Progress: Send + Sync {
    /// A phase of `total` units begins, `done` of which are already there.
    fn begin(&self, phase: &str, done: u64, total: u64);
    /// `done` units of the phase, with a short state such as the loss.
    fn at(&self, done: u64, state: &str);
    /// The validations of this run so far in the order of their steps. The last, which is there always, is new.
    fn validated(&self, curve: &[Validated]);
    fn end(&self);
    /// A line that stays.
    fn note(&self, text: &str);
}

/// Says nothing.
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: u64, _: u64) {}
    fn at(&self, _: u64, _: &str) {}
    fn validated(&self, _: &[Validated]) {}
    fn end(&self) {}
    fn note(&self, _: &str) {}
}

static STOP: AtomicBool = AtomicBool::new(false);

/// Asks every running loop to finish its step, write a checkpoint and return `Error::Interrupted`.
pub fn request_stop() {
    STOP.store(true, Ordering::SeqCst);
}

pub fn stop_requested() -> bool {
    STOP.load(Ordering::SeqCst)
}

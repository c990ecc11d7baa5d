//! What a run reports to the person who waits for it. The command line draws bars on a terminal, and plain lines
//! elsewhere.

use std::sync::atomic::{AtomicBool, Ordering};

/// The result of one validation, for a person who waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Validated {
    /// Optimizer steps done.
    pub step: u64,
    /// Mean accuracy over the validation episodes, 0 to 1.
    pub accuracy: f64,
    /// Half width of the 95 % interval over these episodes, 0 to 1.
    pub ci95: f64,
    /// Whether it is the best so far.
    pub best: bool,
}

/// Receives how far a run is.
pub trait Progress: Send + Sync {
    /// A phase of `total` units begins, of which `done` are already done, for example by an earlier attempt.
    fn begin(&self, phase: &str, done: u64, total: u64);
    /// `done` units of the phase, with a short state such as the loss.
    fn at(&self, done: u64, state: &str);
    /// The validations of this run so far, in the order of their steps. There is at least one, and the last is new.
    fn validated(&self, curve: &[Validated]);
    /// The phase is done.
    fn end(&self);
    /// A line that stays on the terminal.
    fn note(&self, text: &str);
    /// Whether the work shall end: the whole program, or this piece alone because nobody wants it any more. A loop asks
    /// after every unit of work, and returns [`Error::Interrupted`](crate::error::Error::Interrupted).
    fn stopped(&self) -> bool {
        stop_requested()
    }
}

/// Shows nothing.
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: u64, _: u64) {}
    fn at(&self, _: u64, _: &str) {}
    fn validated(&self, _: &[Validated]) {}
    fn end(&self) {}
    fn note(&self, _: &str) {}
}

static STOP: AtomicBool = AtomicBool::new(false);

/// Asks every loop of this process to finish its step, write a checkpoint, and return
/// [`Error::Interrupted`](crate::error::Error::Interrupted).
pub fn request_stop() {
    STOP.store(true, Ordering::SeqCst);
}

/// Whether [`request_stop`] was called. A loop asks after every unit of work.
pub fn stop_requested() -> bool {
    STOP.load(Ordering::SeqCst)
}

//! How much time each phase takes: seconds, added up over all threads.
//!
//! A span costs two clock readings. A device that works in the background accepts an operation before it has computed
//! it, and a span would measure only that. So `maclip run --profile` waits for the device at the end of each span
//! ([`wait_for`]); this is slower, and exact.

use burn::tensor::Device;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A part of a run whose time is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Opening, sampling, augmenting and resizing clips; reading features from the cache.
    Data,
    /// The training waits for clips of the next steps that are not open yet.
    Wait,
    /// Class texts through the text tower.
    Texts,
    /// The image tower with its adapters.
    Encode,
    /// The prototype module.
    Prototype,
    /// Distances of queries and classes.
    Align,
    /// Loss and prediction.
    Objective,
    /// Gradients of the loss.
    Backward,
    /// The change of the weights.
    Optimizer,
    /// Writing checkpoints.
    Checkpoint,
}

/// All phases in the order of the data flow, with their names in records.
const PHASES: [(Phase, &str); 10] = [
    (Phase::Data, "data"),
    (Phase::Wait, "wait"),
    (Phase::Texts, "texts"),
    (Phase::Encode, "encode"),
    (Phase::Prototype, "prototype"),
    (Phase::Align, "align"),
    (Phase::Objective, "objective"),
    (Phase::Backward, "backward"),
    (Phase::Optimizer, "optimizer"),
    (Phase::Checkpoint, "checkpoint"),
];

static NANOSECONDS: [AtomicU64; PHASES.len()] = [const { AtomicU64::new(0) }; PHASES.len()];
static CALLS: [AtomicU64; PHASES.len()] = [const { AtomicU64::new(0) }; PHASES.len()];
static DEVICES: OnceLock<Vec<Device>> = OnceLock::new();

/// From now on every span of this process waits for all of `devices` before it ends.
pub fn wait_for(devices: Vec<Device>) {
    // A second call names the same devices: the runs of a process work on the same ones.
    let _ = DEVICES.set(devices);
}

/// Measures the time until it is dropped. Made by [`span`].
pub struct Span {
    phase: Phase,
    started: Instant,
}

/// Begins to measure a part of `phase`.
pub fn span(phase: Phase) -> Span {
    Span { phase, started: Instant::now() }
}

impl Drop for Span {
    fn drop(&mut self) {
        for device in DEVICES.get().into_iter().flatten() {
            // A device that fails here also fails in the next operation, which has a better message.
            let _ = device.sync();
        }
        let nanoseconds = self.started.elapsed().as_nanos() as u64;
        NANOSECONDS[self.phase as usize].fetch_add(nanoseconds, Ordering::Relaxed);
        CALLS[self.phase as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// Seconds of all threads and number of spans of each phase, since the process began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals([(f64, u64); PHASES.len()]);

impl Totals {
    /// Up to this moment.
    pub fn now() -> Self {
        let mut totals = Self::default();
        for (phase, _) in PHASES {
            let at = phase as usize;
            totals.0[at] = (NANOSECONDS[at].load(Ordering::Relaxed) as f64 * 1e-9, CALLS[at].load(Ordering::Relaxed));
        }
        totals
    }

    /// Name, seconds of all threads, and number of spans of the phases that had a span since `earlier`.
    pub fn since(&self, earlier: &Self) -> Vec<(&'static str, f64, u64)> {
        PHASES
            .iter()
            .map(|&(phase, name)| {
                let ((seconds, calls), before) = (self.0[phase as usize], earlier.0[phase as usize]);
                (name, seconds - before.0, calls - before.1)
            })
            .filter(|(_, _, calls)| *calls > 0)
            .collect()
    }

    /// The seconds of [`Totals::since`] by the name of the phase.
    pub fn seconds_since(&self, earlier: &Self) -> BTreeMap<String, f64> {
        self.since(earlier).into_iter().map(|(name, seconds, _)| (name.to_owned(), seconds)).collect()
    }
}

/// Makes [`peak_memory`] start from the present memory, where the system can do this (Linux).
pub fn reset_peak_memory() {
    // Where it cannot, the peak stays that of the whole process: too much is reported rather than too little.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Largest resident memory of this process in bytes, since [`reset_peak_memory`] or the start; `None` where the system
/// does not say it (it does on Linux).
pub fn peak_memory() -> Option<u64> {
    kernel_bytes("/proc/self/status", "VmHWM")
}

/// Bytes that Linux gives for `key` in a file of lines `key: 12 kB`, such as `/proc/meminfo`; `None` where it does not.
pub fn kernel_bytes(file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let size = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kib: u64 = size.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_add_up_by_phase() {
        let before = Totals::now();
        for _ in 0..3 {
            let _span = span(Phase::Texts);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let found = Totals::now().since(&before);
        let texts = found.iter().find(|(name, ..)| *name == "texts").unwrap();
        assert!(texts.2 >= 3 && texts.1 >= 0.006, "{found:?}");
        assert!(PHASES.iter().enumerate().all(|(at, (phase, _))| *phase as usize == at));
        if cfg!(target_os = "linux") {
            let before = peak_memory().unwrap();
            assert!(before > 1 << 20);
            drop(std::hint::black_box(vec![1u8; 256 << 20]));
            let with = peak_memory().unwrap();
            assert!(with > before + (200 << 20), "{with} after {before}");
            reset_peak_memory();
            assert!(peak_memory().unwrap() < with);
        }
    }
}

//! Where the time goes: seconds per phase, added up over all threads.
//!
//! A span costs two clock readings. On devices that work in the background a span would measure how long it takes to ask, so
//! `maclip run --profile` waits for the device at the end of each ([`wait_for`]), which is slower and exact.

use burn::tensor::Device;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Opening, sampling, augmenting and resizing clips; reading cached features.
    Data,
    /// The training, waiting for clips that are opened ahead of it.
    Wait,
    /// Class texts through the text tower.
    Texts,
    /// The image tower with its adapters.
    Encode,
    Prototype,
    Align,
    /// Loss and prediction.
    Objective,
    Backward,
    Optimizer,
    /// Writing checkpoints.
    Checkpoint,
}

/// All phases in the order of the data flow, with their names in records.
pub const PHASES: [(Phase, &str); 10] = [
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
static DEVICE: OnceLock<Device> = OnceLock::new();

/// Makes every span wait for `device`. For the life of the process.
pub fn wait_for(device: Device) {
    // A second call names the same device: one process works on one.
    let _ = DEVICE.set(device);
}

/// Time from its making to its drop.
pub struct Span {
    phase: Phase,
    started: Instant,
}

/// Begins a span of `phase`.
pub fn span(phase: Phase) -> Span {
    Span { phase, started: Instant::now() }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(device) = DEVICE.get() {
            // A device that fails here fails again in the next operation, with a better message.
            let _ = device.sync();
        }
        let nanoseconds = self.started.elapsed().as_nanos() as u64;
        NANOSECONDS[self.phase as usize].fetch_add(nanoseconds, Ordering::Relaxed);
        CALLS[self.phase as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// Thread-seconds and calls of each phase since the process began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals([(f64, u64); PHASES.len()]);

impl Totals {
    pub fn now() -> Self {
        let mut totals = Self::default();
        for (phase, _) in PHASES {
            let at = phase as usize;
            totals.0[at] = (NANOSECONDS[at].load(Ordering::Relaxed) as f64 * 1e-9, CALLS[at].load(Ordering::Relaxed));
        }
        totals
    }

    /// Name, thread-seconds and calls of the phases that ran since `earlier`.
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

    /// [`Totals::since`] as a map of thread-seconds.
    pub fn seconds_since(&self, earlier: &Self) -> BTreeMap<String, f64> {
        self.since(earlier).into_iter().map(|(name, seconds, _)| (name.to_owned(), seconds)).collect()
    }
}

/// Begins the count of [`peak_memory`] anew, where the system can (Linux).
pub fn reset_peak_memory() {
    // Where it cannot, the peak stays that of the process, and too much is told rather than too little.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Largest resident memory of this process in bytes, since [`reset_peak_memory`] or its start, where the system tells.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
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

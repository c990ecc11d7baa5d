//! Slot `frames`: which T frames of a clip.

use crate::random::Rng;

pub trait FrameSampler: Send + Sync + std::fmt::Debug {
    /// Number of frames T.
    fn count(&self) -> usize;

    /// Whether training takes the same frames of a clip every time.
    fn fixed(&self) -> bool {
        false
    }

    /// T frame indices below `available` in the order of time. `rng` is given in training only; evaluation frames are
    /// deterministic. `available` is at least 1; a short clip repeats frames.
    fn sample(&self, available: usize, rng: Option<&mut Rng>) -> Vec<usize>;
}

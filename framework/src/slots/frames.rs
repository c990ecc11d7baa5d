//! Slot `frames`: which T frames of a clip.

use super::dataset::Timeline;
use crate::error::Result;
use crate::random::Rng;

pub trait FrameSampler: Send + Sync + std::fmt::Debug {
    /// Number of frames T.
    fn count(&self) -> usize;

    /// Whether a clip has the same frames in training and evaluation, every time. The clip store then keeps no others.
    fn fixed(&self) -> bool {
        false
    }

    /// Whether evaluation draws frames at random too, as some published protocols do. Every clip of every episode then has its own
    /// draw, and the result says so.
    fn random_in_evaluation(&self) -> bool {
        false
    }

    /// T frame indices below `clip.frames` in the order of time. `rng` is given in training, and in evaluation only to samplers
    /// that are [`Self::random_in_evaluation`]. A short clip repeats frames, unless the protocol that is followed refuses it.
    fn sample(&self, clip: &Timeline, rng: Option<&mut Rng>) -> Result<Vec<usize>>;
}

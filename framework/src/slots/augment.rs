//! Slot `augment`: pixel transforms for training, the same for all frames of a clip.

use super::dataset::Frames;
use crate::random::Rng;

pub trait Augment: Send + Sync + std::fmt::Debug {
    /// Whether frames stay as they are.
    fn identity(&self) -> bool {
        false
    }

    /// One draw of `rng` decides for the whole clip.
    fn apply(&self, frames: Frames, rng: &mut Rng) -> Frames;
}

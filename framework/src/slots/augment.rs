//! Slot `augment`: pixel transforms after `resize`, the same for all frames of a clip.

use super::dataset::Frames;
use crate::random::Rng;

pub trait Augment: Send + Sync + std::fmt::Debug {
    /// Whether frames stay as they are, in training and evaluation.
    fn identity(&self) -> bool {
        false
    }

    /// `rng` is given in training, and one draw of it decides for the whole clip. Without it, in evaluation, frames become what
    /// they are compared with: the centre where training cuts out a random part, and mostly what they were.
    fn apply(&self, frames: Frames, rng: Option<&mut Rng>) -> Frames;
}

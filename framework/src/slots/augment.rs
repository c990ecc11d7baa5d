//! Slot `augment`: changes of the pixels after `resize`, the same for all frames of a clip.

use super::dataset::Frames;
use crate::random::Rng;

/// Changes the frames of a clip, at random in training and always in the same way in evaluation.
///
/// # Contract
/// - A clip keeps its number of frames. They stay of one size, which may be another one than before.
/// - All frames of a clip are changed in the same way: equal frames stay equal.
/// - In training the draws of `rng` alone decide: the same draws give the same frames.
/// - In evaluation the result is the same every time. Whether it differs from the input is in the test of the component
///   (`changes_evaluation`).
pub trait Augment: Send + Sync + std::fmt::Debug {
    /// Whether frames always stay as they are, in training and in evaluation. The clip store then keeps them in the
    /// size of the backbone.
    fn identity(&self) -> bool {
        false
    }

    /// The changed frames of one clip.
    ///
    /// In training `rng` is given. It is drawn from once for the whole clip, and not again for each frame. In
    /// evaluation `rng` is `None`, and nothing is random: an augmentation that cuts out a random part in training cuts
    /// out the centre, and most others return the frames unchanged.
    fn apply(&self, frames: Frames, rng: Option<&mut Rng>) -> Frames;

    /// [`Augment::apply`] for a support clip of a training episode. Only an augmentation that treats support clips
    /// otherwise has one of its own.
    fn apply_to_support(&self, frames: Frames, rng: Option<&mut Rng>) -> Frames {
        self.apply(frames, rng)
    }
}

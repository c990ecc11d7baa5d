//! Slot `frames`: which T frames of a clip are used.

use super::dataset::Timeline;
use crate::error::Result;
use crate::random::Rng;

/// Chooses T frames of a clip.
///
/// # Contract
/// - A clip gives exactly [`FrameSampler::count`] indices, each below its number of frames, in the order of time; an
///   index may repeat. `Component::describe` sets `Facts::frames` to the same count.
/// - Without `rng` a clip gives the same frames every time. With `rng` the draws alone decide.
/// - [`FrameSampler::fixed`] holds if, and only if, training takes the frames of evaluation. A sampler is not both
///   `fixed` and `random_in_evaluation`.
/// - A clip without a frame rate gives the frames of a clip with one, or is refused by a sampler that counts in
///   seconds.
/// - A clip that is shorter than the sampler can use is refused, with a hint. The test of the component says the
///   shortest one.
pub trait FrameSampler: Send + Sync + std::fmt::Debug {
    /// Number of frames T, at least 1.
    fn count(&self) -> usize;

    /// Whether a clip has the same frames in training and evaluation, every time. The clip store then keeps only these.
    fn fixed(&self) -> bool {
        false
    }

    /// Whether evaluation draws frames at random too, as some published protocols do. Every clip of every episode then
    /// has a draw of its own, and the record of the result notes it.
    fn random_in_evaluation(&self) -> bool {
        false
    }

    /// T frame indices below `clip.frames`, in the order of time. `rng` is given in training; in evaluation it is given
    /// only if [`Self::random_in_evaluation`]. A clip with fewer than T frames repeats some, unless the published
    /// protocol refuses such clips.
    ///
    /// # Errors
    /// Where the clip is too short, or the sampler needs a frame rate that the clip does not have.
    fn sample(&self, clip: &Timeline, rng: Option<&mut Rng>) -> Result<Vec<usize>>;
}

//! Slot `resize`: the size of the frames before augmentation, the same in training and evaluation.
//!
//! The clip store keeps the frames that come from here. After the augmentation, the shorter side of every frame is
//! resized to the backbone's image size and the centre is cut out, as CLIP does. A frame that already has this size
//! does not change.

use crate::error::Result;
use crate::images::Image;

/// Changes the size of single frames.
///
/// # Contract
/// An image of any size, down to 1 × 1, gives an image with at least one pixel. The result is a function of the image
/// alone: nothing is drawn at random.
pub trait Resize: Send + Sync + std::fmt::Debug {
    /// Whether every frame stays as it is.
    fn identity(&self) -> bool {
        false
    }

    /// The frame in its new size.
    ///
    /// # Errors
    /// Where the image cannot be resized.
    fn apply(&self, image: Image) -> Result<Image>;
}

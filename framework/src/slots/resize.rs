//! Slot `resize`: the size that frames are brought to before anything is drawn at random, in training and evaluation alike.
//!
//! The clip store keeps frames as they come out of here. Whatever their size, what enters the backbone has the shorter side resized
//! to its image size and the centre cut out, as CLIP does; frames of exactly that size pass unchanged.

use crate::error::Result;
use crate::images::Image;

pub trait Resize: Send + Sync + std::fmt::Debug {
    /// Whether frames stay as they are.
    fn identity(&self) -> bool {
        false
    }

    fn apply(&self, image: Image) -> Result<Image>;
}

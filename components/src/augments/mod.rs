//! Slot `augment`: random changes of the frames of a clip, one file each; evaluation takes the frames without a draw.
//!
//! Not here: what is done to every frame alike in training and evaluation (resizes), and which frames are taken
//! (frames).
pub mod color_jitter;
mod crop;
mod flip;
mod none;
mod queries_only;
mod random_crop;
mod random_erasing;
mod sequence;

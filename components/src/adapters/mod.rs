//! Slot `adapter`: what is trained inside the frozen image tower, one file for each method.
//!
//! Here too: which blocks are adapted, and the moves between frames, tokens and clips (`blocks`); the depth-wise
//! convolution over a clip (`depthwise`); values between its cells (`trilinear`). Not here: modules on the features
//! that the tower gives, which are prototypes.
mod aim;
pub mod blocks;
#[cfg(test)]
pub(crate) mod counts;
pub mod d2st;
mod depthwise;
mod full;
mod last_blocks;
mod lora;
mod multimodal;
mod none;
mod st_adapter;
mod task_adapter;
mod trilinear;

pub use none::no_adapter;
mod soap;

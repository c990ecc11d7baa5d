//! Slot `backbone`: networks that turn frames and texts into features, one file or folder each, with the names of their
//! checkpoints.
//!
//! Here too: what a checkpoint holds and which backbone it fits (`inspect`), and a list of published ones
//! (`published`). Not here: what is trained inside a tower (adapters), and the formats of files
//! (`maclip_framework::weights`).
pub mod clip;
pub mod clip_resnet;
pub mod clip_vit;
pub mod handed_out;
pub mod inspect;
mod precomputed;
pub mod published;
pub mod residual;
mod resnet;
pub mod vit;

#[cfg(test)]
mod tests;

//! From clip ids to pixels: which frames, how they are opened, and where decoded ones are kept.
//!
//! Here belongs everything between a dataset and the tensor that enters a backbone. Not here: how a video or an image is decoded (a
//! dataset's, and `images`), and which clips an episode has (`engine`).

pub mod filler;
pub mod loader;
pub mod sources;
pub mod store;

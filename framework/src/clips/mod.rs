//! From clip ids to pixels: which frames of a clip are taken, how they are opened, and where decoded frames are kept.
//!
//! Here belongs everything between a dataset and the tensor that enters a backbone.
//! Not here: how a video or an image is decoded (the datasets and `images`), and which clips an episode has (`engine`).

pub mod contents;
pub mod filler;
pub mod joined;
pub mod loader;
pub mod shared;
pub mod sources;
pub mod store;

//! Run directories: their files as types, how they are written so that nothing is lost, and how they are read.
//!
//! Here belongs what lies on the disk under `runs/`.
//! Not here: the work that makes these files (`engine`), and what is shown of them (the crate `maclip-reports`).

pub mod directory;
pub mod embedding;
pub mod examples;
pub mod journal;
pub mod log;
pub mod model_folder;
pub mod provenance;
pub mod read;
pub mod records;
pub mod seal;
pub mod store;

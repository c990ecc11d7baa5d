//! Run directories: their files as types, how they are written so that nothing is lost, and how they are read.
//!
//! Here belongs what lies on the disk under `runs/`. Not here: what is done to get there (`engine`), and what is made of it (the crate
//! of the reports).

pub mod directory;
pub mod examples;
pub mod read;
pub mod records;
pub mod store;

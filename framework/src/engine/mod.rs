//! Runs are made here: episodes, features, evaluation, training, and one function that executes a run.
//!
//! Here belongs what happens between a checked recipe and the files of its run.
//! Not here: the files themselves (`runs`), and what one task does (a component).

pub mod attempt;
pub mod backbone_identity;
pub mod classify;
pub mod context;
pub mod embedding;
pub mod episodes;
pub mod evaluation;
pub mod examples;
pub mod execute;
pub mod features;
pub mod import;
pub mod inputs;
pub mod launch;
pub mod overview;
pub mod rates;
pub mod retest;
mod reuse;
pub mod spec;
pub mod task;
pub mod training;

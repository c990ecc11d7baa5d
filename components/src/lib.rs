//! The components of maclip: one file each, grouped by slot. Adding one touches its file and one `mod` line.
//!
//! A binary links them with `use maclip_components as _;`.
#![forbid(unsafe_code)]

pub mod adapters;
pub mod alignments;
pub mod augments;
pub mod backbones;
pub mod conformance;
pub mod datasets;
#[cfg(test)]
mod fixtures;
mod frames;
mod launchers;
pub mod layers;
mod methods;
#[cfg(test)]
#[path = "../../tests/common/needs.rs"]
mod needs;
pub mod objectives;
mod optimizers;
mod prompts;
pub mod prototypes;
mod resizes;
mod schedules;
pub mod sharing;
mod tasks;
#[cfg(test)]
mod tests;

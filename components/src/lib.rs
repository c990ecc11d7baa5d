//! The components of maclip: one file each, grouped by slot. Adding one touches its file and one `mod` line.
//!
//! A binary links them with `use maclip_components as _;`.
#![forbid(unsafe_code)]

mod adapters;
mod alignments;
mod augments;
mod backbones;
mod datasets;
mod frames;
#[cfg(test)]
mod golden;
mod layers;
mod objectives;
mod optimizers;
mod prompts;
mod prototypes;
mod schedules;
mod tasks;

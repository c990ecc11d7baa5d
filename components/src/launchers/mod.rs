//! Slot `launcher`: where the runs of a study are made, one file each.
//!
//! Not here: which runs are submitted, and what was (`maclip_framework::engine::launch`).
mod command;
mod local;
mod shell;
mod slurm;

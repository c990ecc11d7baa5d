//! Slot `optimizer`: how a gradient changes a weight, one file each.
//!
//! Not here: how the learning rate changes over the steps (schedules), and the training loop
//! (`maclip_framework::engine::training`).
mod adam;
mod adamw;
mod sgd;

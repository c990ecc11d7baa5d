//! Slot `schedule`: the factor on the learning rate at each step, one file each.
//!
//! Not here: what is done with the rate (optimizers).
mod constant;
mod cosine;
mod multi_step;
mod warmup;

//! Slot `schedule`.
mod constant;
mod cosine;
mod multi_step;

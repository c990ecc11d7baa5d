//! Slot `schedule`.
mod constant;
mod cosine;

//! Slot `augment`.
mod color_jitter;
mod crop;
mod flip;
mod none;
mod random_crop;
mod random_erasing;
mod sequence;

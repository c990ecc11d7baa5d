//! Slot `augment`.
mod none;
mod random_crop;

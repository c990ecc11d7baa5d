//! Slot `augment`.
mod none;

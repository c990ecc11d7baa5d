//! Slot `frames`.
mod uniform_segments;

//! Slot `objective`.
mod ma_clip;
mod metric;

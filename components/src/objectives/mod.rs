//! Slot `objective`.
mod clip_fsar;
mod ma_clip;
mod metric;

//! Slot `backbone`.
mod clip_vit;

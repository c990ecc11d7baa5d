//! Slot `prototype`.
mod clip_fsar;
mod hyrsm;
mod multimodal_transformer;
mod none;
mod text_guided;
pub mod transformer;
mod unimodal_transformer;

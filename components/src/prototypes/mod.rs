//! Slot `prototype`.
mod clip_fsar;
mod hyrsm;
mod multimodal_transformer;
mod none;
#[cfg(test)]
mod tests;
mod text_guided;
pub mod transformer;
mod unimodal_transformer;

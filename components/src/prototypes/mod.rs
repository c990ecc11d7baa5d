//! Slot `prototype`: modules that rewrite frame features before they are compared, one file each.
//!
//! Here too: the transformer layer that several of them are made of (`transformer`, `text_layer`). Not here: layers
//! inside the image tower (adapters), and distances (alignments).
#[cfg(test)]
mod checks;
mod clip_fsar;
pub mod clip_spm;
pub mod emp_net;
mod hyrsm;
pub mod molo;
mod multimodal_transformer;
mod none;
mod reduced;
pub mod strm;
mod text_guided;
mod text_layer;
mod text_mean;
pub mod transformer;
pub mod ts_fsar;
mod unimodal_transformer;

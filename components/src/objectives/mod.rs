//! Slot `objective`: the loss and the prediction, from distances and from cosines with class texts, one file each.
//!
//! Not here: the distances themselves (alignments), and the sentences around class names (prompts).
mod clip_fsar;
pub mod emp_net;
mod ma_clip;
mod metric;
pub mod molo;
mod motion_consistency;
mod product;
pub mod sub_action_product;
pub mod temporal_coherence;
mod text_sum;
pub mod ts_fsar;
mod weighted_distances;
mod with_class_loss;

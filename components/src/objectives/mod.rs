//! Slot `objective`: the loss and the prediction, from distances and from cosines with class texts, one file each.
//!
//! Not here: the distances themselves (alignments), and the sentences around class names (prompts).
mod clip_fsar;
mod ma_clip;
mod metric;
mod product;
pub mod sub_action_product;
mod with_class_loss;

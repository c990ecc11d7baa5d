//! Slot `objective`: the loss and the prediction, from distances and from cosines with class texts, one file each.
//!
//! Not here: the distances themselves (alignments), and the sentences around class names (prompts).
mod clip_fsar;
pub mod emp_net;
mod ma_clip;
mod metric;
mod product;
pub mod sub_action_product;
mod text_sum;
pub mod ts_fsar;
mod with_class_loss;

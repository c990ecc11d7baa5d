//! Slot `task`: what a run does from its recipe to its result, one file or folder each.
//!
//! Not here: episodes, the training loop and the evaluation, which tasks share (`maclip_framework::engine`).
mod contrastive;
mod few_shot;

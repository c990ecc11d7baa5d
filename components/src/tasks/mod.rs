//! Slot `task`.
mod contrastive;
mod few_shot;

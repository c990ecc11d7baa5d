//! Slot `prompt`: sentences around a class name, one file each.
//!
//! Not here: the text of a class name (datasets), and the tokenizers (backbones).
mod action_clip;
mod descriptions;
mod plain;
mod template;
mod templates;

//! Slot `prompt`.
mod action_clip;
mod plain;
mod template;
mod templates;

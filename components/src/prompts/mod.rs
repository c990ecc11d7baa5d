//! Slot `prompt`.
mod plain;
mod template;

//! Slot `prototype`.
mod none;
mod text_guided;

//! Slot `adapter`.
mod multimodal;
mod none;

pub use none::no_adapter;

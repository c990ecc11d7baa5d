//! The framework of maclip: it knows no concrete component.
#![forbid(unsafe_code)]

pub mod error;
pub mod random;
pub mod recipe;
pub mod records;
pub mod slots;

//! The framework of maclip: registry, slots, recipes, clips, models, runs and the engine. It knows no concrete
//! component.
//!
//! Each room imports only rooms above it in this list; `docs/architecture.md` has the drawing.
#![forbid(unsafe_code)]

pub mod error;
pub mod files;
pub mod images;
pub mod profile;
pub mod progress;
pub mod random;

pub mod slots;

pub mod registry;

pub mod recipe;

pub mod clips;

pub mod weights;

pub mod model;

pub mod runs;

pub mod engine;

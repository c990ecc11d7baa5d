//! The framework of maclip: recipe language, registry, slots, episodes, training, evaluation and run store. It knows no
//! concrete component.
#![forbid(unsafe_code)]

pub mod clip_store;
pub mod clips;
pub mod compute;
pub mod cost;
pub mod device;
pub mod episode;
pub mod error;
pub mod evaluation;
pub mod expectation;
pub mod features;
pub mod images;
pub mod keys;
pub mod model;
pub mod module;
pub mod nested;
pub mod options;
pub mod parameters;
pub mod plan;
pub mod profile;
pub mod progress;
pub mod random;
pub mod ranges;
pub mod recipe;
pub mod records;
pub mod registry;
pub mod run;
pub mod schema;
pub mod slots;
pub mod store;
pub mod study;
pub mod training;
pub mod weights;

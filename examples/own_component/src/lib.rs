//! A component in a crate of its own: the alignment `time_band`.
//!
//! The program of this crate, `src/main.rs`, links it beside the components of maclip, so that all verbs know it.
#![forbid(unsafe_code)]

mod time_band;

//! Slot `frames`: which frames of a clip are taken, one file for each rule.
//!
//! Not here: how frames are read (datasets) and what is done to their pixels (resizes, augments).
mod clip_fsar_interval;
mod clip_fsar_segments;
mod dense;
mod linspace;
mod trx;
mod uniform_segments;

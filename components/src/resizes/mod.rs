//! Slot `resize`: what size every frame gets, one file each; the same in training and evaluation.
//!
//! Not here: anything that is drawn at random (augments).
mod none;
mod short_side;
mod square;

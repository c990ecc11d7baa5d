//! Slot `resize`.
mod none;
mod short_side;
mod square;

//! Slot `schedule`: factor on the learning rate.

pub trait Schedule: Send + Sync + std::fmt::Debug {
    /// Factor for `step` (from 0) of `steps`.
    fn factor(&self, step: u64, steps: u64) -> f64;
}

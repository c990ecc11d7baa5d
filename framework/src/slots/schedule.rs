//! Slot `schedule`: a factor on the learning rate in each step.

/// A factor on the learning rate.
///
/// # Contract
/// Factors are finite and not below 0, and not all of them are 0. A factor is a function of `step` and `steps` alone,
/// because a training that is resumed asks for the later steps only.
pub trait Schedule: Send + Sync + std::fmt::Debug {
    /// The factor in `step`, counted from 0, of a training of `steps` steps.
    fn factor(&self, step: u64, steps: u64) -> f64;
}

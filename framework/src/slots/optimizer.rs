//! Slot `optimizer`.

use burn::optim::ModuleOptimizer;

pub trait Optimizer: Send + Sync + std::fmt::Debug {
    /// The learning rate that the schedule multiplies.
    fn learning_rate(&self) -> f64;

    /// A fresh optimizer; its state is restored from a checkpoint by parameter id.
    fn init(&self) -> ModuleOptimizer;
}

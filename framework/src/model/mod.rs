//! The few-shot model as one burn module, its parameters and gradients, and its plan.
//!
//! Here belongs what is true of a built model: its forward pass, its tensors by path, what it costs.
//! Not here: how it is trained and tested (`engine`), and how weights files are read (`weights`).

pub mod component_size;
pub mod few_shot;
pub mod gradients;
pub mod parameters;
pub mod plan;
pub mod workload;

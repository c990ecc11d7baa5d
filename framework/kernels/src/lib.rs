//! Fused operations with their gradients, for processors and for LibTorch. Unsafe code of the project is here and
//! nowhere else.
//!
//! Here belongs what computes on slices of `f32` and on tensors as one operation: linear layers, layer norm, attention,
//! feed-forward layers. [`Level`] chooses the instruction set at run time.
//! Not here: what a model makes of them.
#![deny(unsafe_op_in_unsafe_fn)]
// burn calls its LibTorch deprecated, and names nothing else that computes with it.
#![cfg_attr(feature = "tch", allow(deprecated))]

mod adamw;
pub mod allocator;
mod attention;
mod feed_forward;
mod flex;
#[cfg(feature = "libav")]
pub mod libav;
#[cfg(feature = "tch")]
mod libtorch;
mod linear;
mod math;
mod memory;
mod norm;
pub mod operations;
mod product;
mod simd;
#[cfg(test)]
mod tests;
#[cfg(feature = "tch")]
mod torch_calls;

pub use math::Activation;
pub use simd::{Level, VARIABLE};

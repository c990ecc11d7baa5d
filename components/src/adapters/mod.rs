//! Slot `adapter`.
mod aim;
pub mod blocks;
mod full;
mod last_blocks;
mod lora;
mod multimodal;
mod none;
mod st_adapter;
mod task_adapter;
#[cfg(test)]
mod tests;

pub use none::no_adapter;

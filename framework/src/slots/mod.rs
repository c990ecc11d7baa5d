//! The slots: places in the graph that a component fills, one trait and one file each.

pub mod dataset;

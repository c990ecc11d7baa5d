//! Slot `alignment`. The functions on cost matrices are public, for own metrics and for checks against other code.
pub mod bi_mhm;
pub mod chamfer;
pub mod diagonal;
pub mod dtw;
pub mod frame_costs;
pub mod hausdorff;
pub mod linear;
pub mod max_similarity;
pub mod mean_cosine;
pub mod mean_similarity;
pub mod mean_squared_l2;
pub mod modified_hausdorff;
pub mod optimal_transport;
pub mod otam;
#[cfg(test)]
mod properties;
pub mod soft_dtw;
pub mod trx;

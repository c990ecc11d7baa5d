//! Slot `alignment`: how far a query is from a class, one file for each metric. The functions on cost matrices are
//! public, for metrics of your own and for checks against other code.
//!
//! Not here: modules that rewrite features before they are compared (prototypes), and the loss (objectives).
pub mod bi_mhm;
mod cache;
pub mod chamfer;
mod clip_spm;
mod cosine_classifier;
pub mod diagonal;
pub mod dtw;
mod emp_net;
pub mod frame_costs;
pub mod hausdorff;
pub mod linear;
mod linear_probe;
pub mod max_similarity;
pub mod mean_cosine;
pub mod mean_similarity;
pub mod mean_squared_l2;
pub mod modified_hausdorff;
pub mod molo;
pub mod optimal_transport;
pub mod otam;
mod probe;
mod ridge;
pub mod soft_dtw;
pub mod strm;
pub mod trx;
mod ts_dcm;

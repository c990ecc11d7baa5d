//! Slot `alignment`.
mod bi_mhm;
mod frame_costs;
mod mean_cosine;
mod otam;

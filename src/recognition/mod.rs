//! What clips are recognised with and what was found, for `maclip classify` and `maclip serve`.
//!
//! Not here: how answers are computed (`maclip-framework`, `engine::classify`), and the verbs themselves.

pub mod answers;
pub mod asked;
pub mod model;

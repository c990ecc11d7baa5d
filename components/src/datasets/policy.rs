//! What happens to clips that cannot be used: one answer and one default for all datasets.

use serde::{Deserialize, Serialize};

/// What happens to clips that cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Stop with an error that counts them and names the first of them.
    #[default]
    Fail,
    /// Leave them out; the result names each with its reason.
    Skip,
}

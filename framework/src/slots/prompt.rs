//! Slot `prompt`: class name → one or more sentences.

use crate::error::Result;
use crate::slots::explanation::normalize;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// How the text features of several sentences of a class become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Average {
    /// The mean of their unit vectors, as CLIP does.
    #[default]
    UnitVectors,
    /// Their mean as they are.
    Features,
}

impl Average {
    /// Features `[…, P, E]` of P sentences → the class text `[…, 1, E]`; one sentence stays as it is.
    pub fn of<const D: usize>(self, features: Tensor<D>) -> Tensor<D> {
        match (features.dims()[D - 2], self) {
            (1, _) => features,
            (_, Average::UnitVectors) => normalize(features).mean_dim(D - 2),
            (_, Average::Features) => features.mean_dim(D - 2),
        }
    }
}

/// Turns the name of a class into sentences for the text tower.
///
/// # Contract
/// A class gives at least one sentence, none is empty, and they are the same every time. Two classes do not have the
/// same sentences.
pub trait Prompt: Send + Sync + std::fmt::Debug {
    /// The sentences of the class called `class`. The class text is the average of their text features, as
    /// [`Prompt::average`] says.
    ///
    /// # Errors
    /// Where it has none for this class.
    fn sentences(&self, class: &str) -> Result<Vec<String>>;

    /// How the features of several sentences become one.
    fn average(&self) -> Average {
        Average::UnitVectors
    }

    /// The largest number of sentences of one class, as far as it is known.
    fn most(&self) -> usize {
        self.sentences("class").map_or(1, |sentences| sentences.len())
    }
}

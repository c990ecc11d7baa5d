//! Slot `objective`: distances, text similarities and labels → loss; and the prediction rule.

use crate::clone_boxed;
use crate::slots::module::DynModule;
use burn::tensor::{Int, Tensor};

/// Everything after the encoders, for N episodes of equal shape: Q queries, S = way · shot supports, W classes.
#[derive(Clone, Debug)]
pub struct Scores {
    /// Alignment distances `[N, Q, W]`.
    pub distances: Tensor<3>,
    /// Cosines of time-averaged query features and class texts `[N, Q, W]`, where there is a text tower.
    pub query_text: Option<Tensor<3>>,
    /// The same for support clips, `[N, S, W]`.
    pub support_text: Option<Tensor<3>>,
    /// Cosines with all training classes, in training and where the objective asks with [`Objective::all_classes`].
    pub all_classes: Option<AllClasses>,
}

/// Cosines of time-averaged features with the texts of all C training classes, and the positions of the right ones.
#[derive(Clone, Debug)]
pub struct AllClasses {
    /// `[N, M, C]` for the M = Q + S clips, queries first.
    pub cosines: Tensor<3>,
    /// `[N, M]`
    pub labels: Tensor<2, Int>,
}

/// Labels of N episodes: positions in the episode's class list.
#[derive(Clone, Debug)]
pub struct Labels {
    /// `[N, Q]`
    pub query: Tensor<2, Int>,
    /// `[N, S]`
    pub support: Tensor<2, Int>,
}

/// A loss with its named terms, each `[1]`.
#[derive(Clone, Debug)]
pub struct Loss {
    pub total: Tensor<1>,
    pub parts: Vec<(&'static str, Tensor<1>)>,
}

pub trait Objective: DynModule + CloneObjective {
    /// Whether the text similarities are read, so that the backbone must have a text tower.
    fn needs_text(&self) -> bool;

    /// Whether the loss compares clips with the texts of all training classes.
    fn all_classes(&self) -> bool {
        false
    }

    /// Mean over the N episodes.
    fn loss(&self, scores: &Scores, labels: &Labels) -> Loss;

    /// Probabilities of the classes `[N, Q, W]`; the prediction is the largest.
    fn probabilities(&self, scores: &Scores) -> Tensor<3>;
}

clone_boxed!(Objective, CloneObjective);

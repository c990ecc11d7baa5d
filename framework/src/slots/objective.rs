//! Slot `objective`: distances, text similarities and labels → the loss; and the prediction.

use crate::clone_boxed;
use crate::slots::alignment::Aligned;
use crate::slots::module::DynModule;
use crate::slots::prototype::Related;
use burn::tensor::{Int, Tensor};

/// The input of an objective, for N episodes of equal shape: Q queries, S = way · shot supports, W classes.
#[derive(Clone, Debug)]
pub struct Scores {
    /// Alignment distances `[N, Q, W]`.
    pub distances: Tensor<3>,
    /// Cosines of time-averaged query features and class texts `[N, Q, W]`; given if [`Objective::needs_text`].
    pub query_text: Option<Tensor<3>>,
    /// The same for support clips, `[N, S, W]`; given in training if [`Objective::needs_text`].
    pub support_text: Option<Tensor<3>>,
    /// Cosines of time-averaged query features with each of the P sentences of a class, `[N, Q, P, W]`; given if
    /// [`Objective::needs_sentences`].
    pub query_sentences: Option<Tensor<4>>,
    /// Frames and sentences by themselves; given if [`Objective::needs_frames`].
    pub frames: Option<FramesAndSentences>,
    /// Further distances of the alignment, `[N, Q, W]`, by their names.
    pub further: Vec<(&'static str, Tensor<3>)>,
    /// What the alignment compares, before it is cut to what the alignment reads; given in training if
    /// [`Objective::needs_related`].
    pub related: Option<Related>,
    /// Clips and all training classes; given in training if [`Objective::all_classes`].
    pub all_classes: Option<AllClasses>,
}

impl Scores {
    /// The distances of an alignment alone.
    pub fn aligned(aligned: Aligned) -> Self {
        Self { further: aligned.further, ..Self::of(aligned.distances) }
    }

    /// The further distances of this name, `[N, Q, W]`.
    ///
    /// # Panics
    /// Where the alignment does not compute them; an objective checks `Facts::further` before.
    pub fn named(&self, name: &str) -> Tensor<3> {
        let found = self.further.iter().find(|(own, _)| *own == name);
        found.unwrap_or_else(|| panic!("the alignment computes no distances `{name}`")).1.clone()
    }

    /// Distances `[N, Q, W]` alone.
    pub fn of(distances: Tensor<3>) -> Self {
        Self {
            distances,
            query_text: None,
            support_text: None,
            query_sentences: None,
            frames: None,
            further: Vec::new(),
            related: None,
            all_classes: None,
        }
    }
}

/// What an objective compares frame by frame and sentence by sentence.
#[derive(Clone, Debug)]
pub struct FramesAndSentences {
    /// All values of the queries' frames after the prototype module, `[N, Q, T, F]`; `BuildContext::compared` says
    /// where they are.
    pub query: Tensor<4>,
    /// Class texts, `[N, W, E]`, not normalised.
    pub texts: Tensor<3>,
    /// K, the support clips of a class.
    pub shots: usize,
    /// Features of the P sentences of each class, `[N, W, P, E]`, not normalised.
    pub sentences: Tensor<4>,
}

/// Features of the M = Q + S clips, queries first, the texts of all C training classes, and the labels. An objective
/// compares them in its own way.
#[derive(Clone, Debug)]
pub struct AllClasses {
    /// Before the prototype module, `[N, M, T, E]`.
    pub frames: Tensor<4>,
    /// After it, the same shape.
    pub prototypes: Tensor<4>,
    /// All values that the backbone hands out of the frames, `[N, M, T, F]`; `BuildContext::given` says where they are.
    pub given: Tensor<4>,
    /// All values of the frames after the prototype module; `BuildContext::compared` says where they are.
    pub compared: Tensor<4>,
    /// `[N, C, E]`, not normalised; zeros where nothing in the model reads class texts.
    pub texts: Tensor<3>,
    /// `[N, M]`: the position of each clip's class among the C training classes.
    pub labels: Tensor<2, Int>,
}

impl AllClasses {
    /// Time averages of [`AllClasses::frames`], `[N, M, E]`.
    pub fn clips(&self) -> Tensor<3> {
        self.frames.clone().mean_dim(2).squeeze_dim(2)
    }
}

/// Labels of N episodes: the position of each clip's class among the W classes of its episode.
#[derive(Clone, Debug)]
pub struct Labels {
    /// `[N, Q]`
    pub query: Tensor<2, Int>,
    /// `[N, S]`
    pub support: Tensor<2, Int>,
}

/// A loss and its named terms.
#[derive(Clone, Debug)]
pub struct Loss {
    /// What is trained on, `[1]`.
    pub total: Tensor<1>,
    /// The terms for the records, each with a name and `[1]`.
    pub parts: Vec<(&'static str, Tensor<1>)>,
}

/// The loss of the training and the prediction of the test.
///
/// # Contract
/// - **Loss.** The total is one finite number and the mean over the episodes: the loss of N episodes is the mean of
///   their N losses. It has at least one named term; each name is there once, and none is `total`.
/// - **Gradient.** The gradient with respect to distances and text cosines is finite and not 0 everywhere.
/// - **Prediction.** The probabilities of a query are within 0 and 1, and their sum is 1. They do not depend on other
///   episodes. They are computed from [`Scores::distances`], [`Scores::query_text`], [`Scores::query_sentences`],
///   [`Scores::frames`] and [`Scores::further`] alone: the other fields are `None` in a test.
/// - **Class texts** of the episode or of all training classes change the outcome if, and only if,
///   [`Objective::needs_text`]. `Component::describe` adds `objective` to `Facts::readers` in the same cases.
/// - **Sentences.** [`Scores::query_sentences`] changes the outcome if, and only if, [`Objective::needs_sentences`],
///   which implies [`Objective::needs_text`].
/// - **Frames.** [`Scores::frames`] changes the outcome if, and only if, [`Objective::needs_frames`], which implies
///   [`Objective::needs_text`].
/// - **All classes.** [`Scores::all_classes`] changes the loss if, and only if, [`Objective::all_classes`].
pub trait Objective: DynModule + CloneObjective {
    /// The objective that this one adds a loss to. What that one needs is then needed here too, but for what this one
    /// says of itself.
    fn inner(&self) -> Option<&dyn Objective> {
        None
    }

    /// Whether class texts are read. The backbone must have a text tower then.
    fn needs_text(&self) -> bool;

    /// Whether each sentence of a class is read by itself, see [`Scores::query_sentences`].
    fn needs_sentences(&self) -> bool {
        self.inner().is_some_and(|inner| inner.needs_sentences())
    }

    /// Whether frames and sentences are read by themselves, see [`Scores::frames`].
    fn needs_frames(&self) -> bool {
        self.inner().is_some_and(|inner| inner.needs_frames())
    }

    /// Whether the score of a query depends on the other queries of its episode.
    fn mixes_queries(&self) -> bool {
        self.inner().is_some_and(|inner| inner.mixes_queries())
    }

    /// How many sentences every class must have, where it must be a certain number.
    fn sentences(&self) -> Option<usize> {
        self.inner().and_then(|inner| inner.sentences())
    }

    /// Whether the loss reads what is aligned, see [`Scores::related`].
    fn needs_related(&self) -> bool {
        self.inner().is_some_and(|inner| inner.needs_related())
    }

    /// Whether the loss compares clips with all training classes, see [`Scores::all_classes`].
    fn all_classes(&self) -> bool {
        self.inner().is_some_and(|inner| inner.all_classes())
    }

    /// The number of training classes that it was built for, where it was built for one.
    fn classes(&self) -> Option<usize> {
        self.inner().and_then(|inner| inner.classes())
    }

    /// The loss, as the mean over the N episodes.
    fn loss(&self, scores: &Scores, labels: &Labels) -> Loss;

    /// Probabilities of the classes `[N, Q, W]`; the prediction is the largest.
    fn probabilities(&self, scores: &Scores) -> Tensor<3>;
}

clone_boxed!(Objective, CloneObjective);

//! What the options of a recipe say about a run, before anything is read or built.

use crate::slots::backbone::Geometry;
use crate::slots::layout::Part;

/// What is known about a run before it is built. Components add to it in `Component::describe`; `None` is what is not
/// known.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The slots that the task uses. A recipe that fills any other slot is refused.
    pub task_slots: Option<&'static [&'static str]>,
    /// Whether the task divides its work among several devices. A recipe that names several is refused otherwise.
    pub several_devices: bool,
    /// T, frames of a clip.
    pub frames: Option<usize>,
    /// Sizes of the backbone.
    pub geometry: Option<Geometry>,
    /// Whether the backbone has a text tower.
    pub text_tower: Option<bool>,
    /// Whether the backbone has transformer blocks.
    pub transformer: Option<bool>,
    /// Sizes of the dataset's splits: train, val and test.
    pub splits: Option<[SplitSize; 3]>,
    /// The same of the dataset that the test's classes are of, where it is not the dataset of the training.
    pub tested_splits: Option<[SplitSize; 3]>,
    /// Whether the clips of the dataset are ready features in place of pixels.
    pub gives_features: bool,
    /// Whether the backbone takes ready features in place of pixels, and passes them on.
    pub passes_features: bool,
    /// Whether classes of the dataset have a direction, such as left and right, that a mirror image would change.
    pub directed: Option<bool>,
    /// Queries of a class in an episode, of training and of test.
    pub queries: Vec<usize>,
    /// The slots whose components read class texts, such as `adapter`.
    pub readers: Vec<&'static str>,
    /// Whether the backbone hands out parts of a frame beside its feature.
    pub hands_out: Option<bool>,
    /// The parts of a frame that components read, each with its slot.
    pub parts: Vec<(&'static str, Part)>,
    /// The parts that the prototype module adds.
    pub added: Vec<Part>,
    /// Names of the further distances that the alignment computes.
    pub further: Vec<&'static str>,
    /// Whether all components of the recipe have said what they say, so that what is missing is missing.
    pub complete: bool,
}

/// How large a split is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitSize {
    /// Number of its classes.
    pub classes: usize,
    /// Clips of the class that has the fewest.
    pub clips: usize,
}

impl Facts {
    /// Says that the component of `slot` reads `part` of a frame.
    pub fn reads(&mut self, slot: &'static str, part: Part) {
        self.parts.push((slot, part));
    }

    /// Says that the prototype module adds `part` to the frames that it returns.
    pub fn adds(&mut self, part: Part) {
        self.added.push(part);
    }

    /// The parts that the backbone must hand out, ordered and each once.
    pub fn of_backbone(&self) -> Vec<Part> {
        let parts = self.parts.iter().map(|(_, part)| *part).filter(|part| !matches!(part, Part::Added { .. }));
        parts.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    /// Sets the sizes of the backbone, and with them `text_tower` and `transformer`.
    pub fn backbone(&mut self, geometry: Geometry) {
        self.text_tower = Some(geometry.has_text_tower());
        self.transformer = Some(geometry.transformer);
        self.geometry = Some(geometry);
    }
}

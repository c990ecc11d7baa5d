//! What the options of a recipe say about a run, before anything is read or built.

use crate::slots::backbone::Geometry;

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
    /// Sets the sizes of the backbone, and with them `text_tower` and `transformer`.
    pub fn backbone(&mut self, geometry: Geometry) {
        self.text_tower = Some(geometry.has_text_tower());
        self.transformer = Some(geometry.transformer);
        self.geometry = Some(geometry);
    }
}

//! Slot `prompt`: class name → one or more sentences.

use crate::error::Result;

/// Turns the name of a class into sentences for the text tower.
///
/// # Contract
/// A class gives at least one sentence, none is empty, and they are the same every time. Two classes do not have the
/// same sentences.
pub trait Prompt: Send + Sync + std::fmt::Debug {
    /// The sentences of the class called `class`. The class text is the average of their text features, which are
    /// normalised first if there is more than one.
    ///
    /// # Errors
    /// Where it has none for this class.
    fn sentences(&self, class: &str) -> Result<Vec<String>>;

    /// The largest number of sentences of one class, as far as it is known.
    fn most(&self) -> usize {
        self.sentences("class").map_or(1, |sentences| sentences.len())
    }
}

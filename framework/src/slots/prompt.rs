//! Slot `prompt`: class name → one or more sentences.

/// Turns the name of a class into sentences for the text tower.
///
/// # Contract
/// A class gives at least one sentence, none is empty, and they are the same every time. Two classes do not have the
/// same sentences.
pub trait Prompt: Send + Sync + std::fmt::Debug {
    /// The sentences of the class called `class`. The class text is the average of their text features, which are
    /// normalised first if there is more than one.
    fn sentences(&self, class: &str) -> Vec<String>;
}

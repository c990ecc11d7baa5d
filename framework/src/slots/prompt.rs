//! Slot `prompt`: class name → one or more sentences.

pub trait Prompt: Send + Sync + std::fmt::Debug {
    /// Sentences whose text features are averaged (after normalisation, where there is more than one).
    fn sentences(&self, class: &str) -> Vec<String>;
}

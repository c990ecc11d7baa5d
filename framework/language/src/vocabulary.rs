//! What the language asks the program that knows components.

/// Knows which options a component has in common with another one. A program registers one with `inventory`; without
/// any, no options are in common.
pub struct Vocabulary {
    /// The options that survive where the component `before` under the key `key` becomes `after`: both have them, and
    /// they take the same values.
    pub shared: fn(key: &str, before: &str, after: &str) -> Vec<String>,
}

inventory::collect!(Vocabulary);

/// The options that all registered vocabularies know to be in common.
pub(crate) fn shared(key: &str, before: &str, after: &str) -> Vec<String> {
    inventory::iter::<Vocabulary>.into_iter().flat_map(|known| (known.shared)(key, before, after)).collect()
}

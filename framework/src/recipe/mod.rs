//! The recipe language: read, resolve, check, deserialise.
#[derive(Debug)]
pub struct Diagnostics;
impl std::fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "") }
}

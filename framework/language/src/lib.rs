//! The recipe language: read a file into a tree that remembers where everything was written, resolve it, and
//! deserialise components out of it with errors that point at the place.
//!
//! The order is fixed: [`load`] reads the file, merges what it `extends` and the arguments `--unset` and `--set`; a study then
//! [`apply`]s its changes; [`interpolate`] replaces `${…}` last, so that a variant can change what others refer to.
//! [`from_node`] turns a subtree into a typed configuration.

#![forbid(unsafe_code)]

pub mod codes;
mod de;
mod de_access;
mod de_error;
mod diagnostic;
mod hash;
mod interpolate;
mod merge;
mod node;
mod origin;
pub mod ranges;
mod read;
mod render;
mod resolve;
mod suggest;
mod write;

pub use de::{Repaired, from_node, from_node_repaired};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use hash::identity;
pub use interpolate::{interpolate, interpolate_with};
pub use merge::{Change, apply, apply_all, apply_variant, merge};
pub use node::{Entry, Map, Node, Value, item, join, parent, segments, within};
pub use origin::{Origin, Place, Source};
pub use read::{read_file, read_str};
pub use resolve::{Arguments, Document, load, load_text};
pub use suggest::{name_help, suggest};

/// Deeper trees are refused everywhere, so that no walk over one can exhaust the stack: an unoptimised build of the YAML
/// reader takes tens of kilobytes a level.
pub const MAX_DEPTH: usize = 32;

#[cfg(test)]
mod tests;

//! The recipe language: from a YAML file to typed values, with errors that point at the place in the file.
//!
//! Here belongs what holds for every recipe, whatever its keys mean: the tree with its places, `extends`, `--set`,
//! `${…}`, ranges, and diagnostics. Not here: slots, components and the keys of a recipe (crate `maclip-framework`).
//! This crate imports nothing of the framework.
//!
//! The order is fixed:
//! 1. [`load`] reads the file, merges it with what it `extends`, and applies the arguments `--unset` and `--set`.
//! 2. A study changes the tree for each of its runs, with [`apply_variant`] and [`apply_all`].
//! 3. [`interpolate`] replaces `${…}`. It comes last, so that a variant can change a value that others refer to.
//! 4. [`from_node`] turns a subtree into a typed configuration.

#![forbid(unsafe_code)]

pub mod codes;
mod de;
mod de_access;
mod de_error;
mod diagnostic;
mod files;
mod hash;
mod interpolate;
mod merge;
mod node;
mod origin;
mod printable;
pub mod ranges;
mod read;
mod render;
mod resolve;
mod suggest;
mod vocabulary;
mod write;

pub use de::{Repaired, from_node, from_node_repaired};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use files::{Disk, Embedded, Files};
pub use hash::identity;
pub use interpolate::{interpolate, interpolate_with};
pub use merge::{Change, apply_all, apply_variant, merge};
pub use node::{Entry, Map, Node, Value, item, join, parent, segments, within};
pub use origin::{Origin, Place, Source};
pub use printable::{first_of, printable, printable_lines};
pub use read::read_str;
pub use resolve::{Arguments, Document, load, load_from, load_text};
pub use suggest::{name_help, suggest};
pub use vocabulary::Vocabulary;

/// Deeper trees are refused everywhere, so that no recursive function can exhaust the stack: an unoptimised build of
/// the YAML reader takes tens of kilobytes for each level.
pub(crate) const MAX_DEPTH: usize = 32;

#[cfg(test)]
mod tests;

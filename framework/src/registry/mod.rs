//! Registration: one `register!` beside each component feeds the check of recipes, schema, `list`, `describe` and reports.
//!
//! Here belongs what is known of components by their registration: options, choices, and what they are built from. Not
//! here: what a component does (`slots`), and what else a recipe says (`recipe`).
//!
//! `inventory` registers nothing unless the crate is linked: a program says `use maclip_components as _;`.

mod choice;
mod component;
mod context;
mod entry;
mod facts;
mod nested;
pub mod options;
mod slot;

pub use choice::{build_choice, check_compatible, check_required_inputs, describe_choice, resolve_choice};
pub use component::{Component, Info, Problems, Stability};
pub use context::BuildContext;
pub use entry::{Entry, build, compatible, describe, entry_of, required_inputs, resolve};
pub use facts::{Facts, SplitSize};
pub use nested::{Nested, SLOT};
pub(crate) use slot::declare_slot;
pub use slot::{Candidate, SlotInfo, SlotTrait, slot, slots};

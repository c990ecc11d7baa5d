//! Registration: one `register!` in the file of a component is the source of the recipe checks, the schema, `list`,
//! `describe` and the reports.
//!
//! Here belongs what follows from registrations: slots by name, options, choices, and what components are built from.
//! Not here: what a component does (`slots`), and the other parts of a recipe (`recipe`).
//!
//! `inventory` finds registrations only in crates that are linked: a program must have `use maclip_components as _;`.

mod choice;
mod component;
mod context;
mod entry;
mod facts;
mod method;
mod nested;
pub mod options;
pub mod protocol;
mod shared;
mod slot;

pub use choice::{build_choice, describe_choice, resolve_choice};
pub(crate) use choice::{check_compatible, check_required_inputs};
pub use component::{Component, Info, Problems, Stability};
pub use context::BuildContext;
pub use entry::{Entry, build, compatible, describe, entry_of, required_inputs, resolve};
pub use facts::{Facts, SplitSize};
pub use method::{Compared, Method, methods};
pub use nested::{Nested, SLOT};
pub(crate) use slot::declare_slot;
pub use slot::{Candidate, SlotInfo, SlotTrait, slot, slots};

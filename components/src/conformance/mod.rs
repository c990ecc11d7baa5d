//! What a component must hold, as functions that its own tests call. Tests of any crate can call them.
//!
//! There is a module for each slot that has shared properties. A component says in its test module what it claims of
//! itself:
//!
//! ```text
//! #[test]
//! fn it_keeps_the_contract_of_its_slot() {
//!     conformance::alignment::holds::<MyConfig>(Traits { order_blind: true, ..Traits::default() });
//! }
//! ```
//!
//! `holds` finds the component by its configuration type, builds it as a recipe does, and holds it to the contract that
//! the trait of its slot describes in `maclip_framework::slots`. A claim is checked both ways: a metric that is said to
//! see the order of frames must see it. What fails panics with the component's name and its options.
//!
//! Here belongs what is true of every component of a slot. Not here: what is true of one, such as a value computed by
//! hand.

pub mod adapter;
pub mod alignment;
pub mod augment;
pub mod frames;
pub mod launcher;
pub mod model;
pub mod objective;
pub mod optimizer;
pub mod prompt;
pub mod prototype;
pub mod resize;
pub mod schedule;
pub mod scopes;
pub mod tensors;

use burn::tensor::Device;
use maclip_framework::registry::{self, BuildContext, Component, Entry, Facts, SlotTrait};
use maclip_framework::slots::backbone::{Geometry, TextGeometry};
use maclip_language::{Diagnostics, Node, read_str};
use std::fmt::Display;

/// The registration of `C`.
///
/// # Panics
/// Where there is none.
pub fn registered<C: Component>() -> &'static Entry<C::Slot>
where
    C::Slot: SlotTrait,
{
    let missing = || {
        let (slot, config) = (<C::Slot>::NAME, std::any::type_name::<C>());
        panic!("no component of slot `{slot}` is registered with the configuration {config}: see `register!`")
    };
    registry::entry_of::<C>().unwrap_or_else(missing)
}

/// The options of `C` that its registration shows, in YAML without braces.
pub fn usage<C: Component>() -> &'static str
where
    C::Slot: SlotTrait,
{
    let usage = registered::<C>().info.usage;
    usage.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(usage)
}

/// What a recipe writes to choose `C` with `options` in YAML without braces, such as `shots: joint`.
pub fn choice<C: Component>(options: &str) -> String
where
    C::Slot: SlotTrait,
{
    format!("{{type: {}, {options}}}", registered::<C>().info.name)
}

/// The options of `C`, checked, with every default filled in.
///
/// # Errors
/// All that is wrong with them.
pub fn resolved<C: Component>(options: &str) -> Result<Node, Diagnostics>
where
    C::Slot: SlotTrait,
{
    let node = read_str("options.yaml", &choice::<C>(options))?;
    registry::resolve::<C>(&node, <C::Slot>::NAME)
}

/// `C` with `options`, built as a recipe builds it.
///
/// # Panics
/// With what is wrong with the options, or stands in the way of building it.
pub fn built<C: Component>(options: &str, context: &BuildContext) -> Box<C::Slot>
where
    C::Slot: SlotTrait,
{
    let node = ok(resolved::<C>(options), &choice::<C>(options));
    ok(registry::build::<C>(&node, <C::Slot>::NAME, context), &choice::<C>(options))
}

/// What the options of `C` say about a run.
///
/// # Panics
/// With what is wrong with the options.
pub fn described<C: Component>(options: &str) -> Facts
where
    C::Slot: SlotTrait,
{
    let node = ok(resolved::<C>(options), &choice::<C>(options));
    let mut facts = Facts::default();
    registry::describe::<C>(&node, <C::Slot>::NAME, &mut facts);
    facts
}

/// What small components are built from: features of `width` values, clips of `frames` frames.
pub fn context(seed: u64, width: usize, frames: usize) -> BuildContext {
    let geometry = Geometry {
        image_size: 2,
        width,
        embed_dim: width,
        blocks: 1,
        transformer: true,
        tokens: 5,
        text: Some(TextGeometry { width: 8, blocks: 1 }),
        mean: [0.0; 3],
        std: [1.0; 3],
    };
    BuildContext::new(seed, Device::flex()).with_sizes(geometry, frames)
}

/// The options that a component is tried with: those that its registration shows, and `also` these.
fn variants<C: Component>(also: &[&'static str]) -> Vec<&'static str>
where
    C::Slot: SlotTrait,
{
    std::iter::once(usage::<C>()).chain(also.iter().copied()).collect()
}

/// Asserts that `describe` names the slot among the readers of class texts exactly where it reads them.
fn describes_its_text<C: Component>(options: &str, needs_text: bool)
where
    C::Slot: SlotTrait,
{
    let described = described::<C>(options).readers.contains(&<C::Slot>::NAME);
    let choice = choice::<C>(options);
    assert_eq!(described, needs_text, "{choice}: whether `describe` adds to `readers`, and `needs_text`");
}

/// The value, or a panic that says what went wrong with `what`.
fn ok<T, E: Display>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// Whether `check` panics: that a property does not hold where it does not.
#[cfg(test)]
fn caught(check: impl FnOnce()) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_err()
}

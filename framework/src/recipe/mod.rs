//! Recipes: what one says, checked, with every default filled in.
//!
//! Here belongs what a recipe may hold beside its components: keys, presets, studies, expectations, device names, and the
//! schema of the whole. Not here: the language itself (crate `maclip-language`), and what is done with a recipe.

pub mod clip_store;
pub mod compute;
pub mod device;
pub mod expectation;
pub mod keys;
pub mod presets;
pub mod schema;
pub mod study;

mod changes;
mod check;
mod identity;

use crate::error::{Error, Result};
use crate::recipe::clip_store::ClipStoreOptions;
use crate::recipe::compute::Compute;
use crate::recipe::expectation::Expectation;
use crate::registry::{BuildContext, Facts, SlotTrait, build_choice, describe_choice, slot, slots};
use crate::slots::backbone::Precision;
use crate::slots::dataset::Dataset;
use burn::tensor::Device;
use maclip_language::{Arguments, Diagnostic, Diagnostics, Node, Origin, parent};
use std::collections::BTreeMap;
use std::path::Path;

/// What a recipe is checked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Run,
    /// Data and weights may be missing.
    Plan,
}

/// A recipe that passed all checks, with every default filled in.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub name: String,
    pub description: String,
    pub seed: u64,
    pub device: String,
    pub precision: Precision,
    pub compute: Compute,
    pub clip_store: ClipStoreOptions,
    pub expect: Vec<Expectation>,
    /// The whole resolved tree: what is frozen into the run directory.
    pub resolved: Node,
    /// Identity of the run, SHA-256 in hex.
    pub hash: String,
    /// The tree as it was written, for the places of its values.
    source: Node,
}

impl Recipe {
    /// Where the value at the dotted `path` was written, or the nearest map around it: `file:line:column`, or the `--set`
    /// argument. `None` for defaults.
    pub fn place(&self, path: &str) -> Option<String> {
        let (path, node) = self.written(path, |origin| matches!(origin, Origin::File(_) | Origin::Argument { .. }))?;
        Some(match node.origin.written() {
            origin @ Origin::File(_) => format!("{origin} ({path})"),
            origin => origin.to_string(),
        })
    }

    /// What was written at `path`, or the nearest around it whose origin `fits`, with its path.
    fn written<'a>(&self, mut path: &'a str, fits: impl Fn(&Origin) -> bool) -> Option<(&'a str, &Node)> {
        loop {
            match self.source.at(path).filter(|node| fits(node.origin.written())) {
                Some(node) => return Some((path, node)),
                None => path = parent(path)?,
            }
        }
    }

    /// `error` as a problem with what was written at `path`.
    pub fn diagnostic(&self, code: &'static str, path: &str, error: &Error) -> Diagnostic {
        let (message, help) = match error {
            Error::Failed { message, help, .. } => (message.clone(), help.clone()),
            Error::Recipe(found) => {
                let first = found.iter().next();
                (first.map(|d| d.message.clone()).unwrap_or_default(), first.and_then(|d| d.help.first().cloned()))
            }
            Error::Interrupted => (error.to_string(), None),
        };
        let problem = Diagnostic::new(code, message).path(path).helps(help);
        self.written(path, |_| true).iter().fold(problem, |problem, (_, node)| problem.at(&node.origin))
    }

    /// Checks the interpolated tree `root` (without `study`) and collects all problems. Does no heavy I/O.
    pub fn check(root: &Node) -> std::result::Result<Self, Diagnostics> {
        Self::check_for(root, Purpose::Run)
    }

    /// The recipe that the run in `directory` was frozen with.
    pub fn frozen(directory: &Path) -> Result<Self> {
        let document = maclip_language::load(&directory.join("recipe.resolved.yaml"), &Arguments::default())?;
        Ok(Self::check(&document.root)?)
    }

    /// The component chosen for each slot.
    pub fn components(&self) -> BTreeMap<String, String> {
        slots()
            .filter_map(|slot| {
                let name = self.resolved.at(slot.name)?.at("type")?.as_str()?;
                Some((slot.name.to_owned(), name.to_owned()))
            })
            .collect()
    }

    /// Builds the component of slot `T`.
    pub fn build<T: SlotTrait + ?Sized>(&self, context: &BuildContext) -> Result<Box<T>> {
        let node = self
            .resolved
            .at(T::NAME)
            .ok_or_else(|| Error::failed(format!("the recipe has no `{}`, which its task builds", T::NAME)))?;
        build_choice::<T>(node, context).map_err(|error| error.at(self.place(T::NAME)))
    }

    /// What components are built from in a run on `device`.
    ///
    /// # Errors
    /// Where the device lacks the recipe's precision.
    pub fn build_context(&self, device: &Device) -> Result<BuildContext> {
        device::check_precision(&self.device, device, self.precision)
            .map_err(|error| error.at(self.place("precision")))?;
        let mut facts = Facts::default();
        if let (Some(slot), Some(node)) = (slot(<dyn Dataset>::NAME), self.resolved.at(<dyn Dataset>::NAME)) {
            describe_choice(slot, node, &mut facts);
        }
        let mut context = BuildContext::new(self.seed, device.clone());
        context.precision = self.precision;
        context.activation_checkpointing = self.compute.activation_checkpointing;
        context.directed = facts.directed;
        Ok(context)
    }
}

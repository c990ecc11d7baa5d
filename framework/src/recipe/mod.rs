//! Recipes: checked, and with every default filled in.
//!
//! Here belong the parts of a recipe that are not components: keys, presets, studies, expected numbers, device names,
//! and the schema of the whole. Not here: the language itself (crate `maclip-language`), and the work that a recipe
//! describes.

pub mod clip_store;
pub mod compute;
pub mod device;
pub mod devices;
pub mod expectation;
pub mod keys;
pub mod label;
pub mod log;
pub mod schema;
pub mod study;

mod changes;
mod check;
mod identity;
mod presets;

pub use identity::{changes_results, design_of, training_of, training_steps};

use crate::error::{Error, Result};
use crate::recipe::clip_store::ClipStoreOptions;
use crate::recipe::compute::Compute;
use crate::recipe::devices::Devices;
use crate::recipe::expectation::Expectation;
use crate::recipe::log::LogOptions;
use crate::registry::{BuildContext, Facts, SlotTrait, build_choice, describe_choice, slot, slots};
use crate::slots::backbone::Precision;
use crate::slots::dataset::Dataset;
use crate::slots::layout::Part;
use burn::tensor::Device;
use maclip_language::{Arguments, Diagnostic, Diagnostics, Node, Origin, parent};
use std::collections::BTreeMap;
use std::path::Path;

/// Most bytes of the name of a recipe or of a variant: the 255 that a file system allows for a folder, less what is put
/// before and after it.
const LONGEST_NAME: usize = 200;

/// What a recipe is checked for: a plan needs less than a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Options that only a run needs must be given, such as the folder of the data.
    Run,
    /// The options for data and weights may be missing.
    Plan,
}

/// A recipe that passed all checks, with every default filled in.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The folder of its runs.
    pub name: String,
    /// One line for the report; may be empty.
    pub description: String,
    /// What the report calls the run; `None` for the name of its variant.
    pub label: Option<String>,
    /// The seed of all random numbers of the training.
    pub seed: u64,
    /// The names of the devices: see [`device`].
    pub devices: Devices,
    /// Number format of the frozen towers' matrix products.
    pub precision: Precision,
    /// How the work is done.
    pub compute: Compute,
    /// Where and how decoded frames are kept.
    pub clip_store: ClipStoreOptions,
    /// Where the numbers go besides the records.
    pub log: LogOptions,
    /// Numbers that the run must meet.
    pub expect: Vec<Expectation>,
    /// The whole tree with every default, as it is frozen in the run directory.
    pub resolved: Node,
    /// Identity of the run: SHA-256 in hex of everything that can change a result.
    pub hash: String,
    /// Weights of the hub by their name in the recipe, each at the commit and file that it is read at: see
    /// [`RunDirectory::pin`](crate::runs::directory::RunDirectory::pin). A name that is not here is read as the hub has
    /// it. It is no part of the identity.
    pub pinned: BTreeMap<String, String>,
    /// The parts of a frame that the backbone must hand out beside its feature, because components read them.
    pub parts: Vec<Part>,
    /// The parts of a frame that components read, each with its slot.
    reads: Vec<(&'static str, Part)>,
    /// Whether a backbone with `weights: random` counts as a trained one, for a run that is made for its time alone.
    pub untrained: bool,
    /// The tree as it was written, for the places of its values.
    source: Node,
}

impl Recipe {
    /// Where the value at the dotted `path` was written, or the nearest map around it: `file:line:column (path)`, or
    /// the `--set` argument. `None` for a default.
    pub fn place(&self, path: &str) -> Option<String> {
        let (path, node) = self.written(path, |origin| matches!(origin, Origin::File(_) | Origin::Argument { .. }))?;
        Some(match node.origin.written() {
            origin @ Origin::File(_) => format!("{origin} ({path})"),
            origin => origin.to_string(),
        })
    }

    /// The value at `path`, or the nearest map around it, that was written and whose origin `fits`; with its path.
    fn written<'a>(&self, mut path: &'a str, fits: impl Fn(&Origin) -> bool) -> Option<(&'a str, &Node)> {
        loop {
            match self.source.at(path).filter(|node| fits(node.origin.written())) {
                Some(node) => return Some((path, node)),
                None => path = parent(path)?,
            }
        }
    }

    /// `error` as a diagnostic with `code`, at the place where the value at the dotted `path` was written.
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

    /// Adds `ending` to the label, where there is one.
    fn extend_label(&mut self, ending: &str) {
        if let Some(label) = &mut self.label {
            label.push_str(ending);
            let node = Node::from_json(&serde_json::Value::from(label.as_str()));
            self.resolved.as_map_mut().map(|map| map.insert("label", Origin::Default, node));
        }
    }

    /// Checks the interpolated tree `root`, without `study` and presets, for a run. Reads no data and no weights.
    ///
    /// # Errors
    /// All problems, each with its place.
    pub fn check(root: &Node) -> std::result::Result<Self, Diagnostics> {
        Self::check_for(root, Purpose::Run)
    }

    /// The recipe of the run in `directory`, from its `recipe.resolved.yaml`.
    ///
    /// # Errors
    /// Where the file cannot be read, or this version of the program refuses the recipe.
    pub fn frozen(directory: &Path) -> Result<Self> {
        let document = maclip_language::load(&directory.join("recipe.resolved.yaml"), &Arguments::default())?;
        Ok(Self::check(&document.root)?)
    }

    /// The name of the chosen component of each slot that the task uses.
    pub fn components(&self) -> BTreeMap<String, String> {
        slots()
            .filter(|slot| !slot.is_of_work())
            .filter_map(|slot| {
                let name = self.resolved.at(slot.name)?.at("type")?.as_str()?;
                Some((slot.name.to_owned(), name.to_owned()))
            })
            .collect()
    }

    /// The parts of a frame that the component of `slot` reads.
    pub fn parts_of(&self, slot: &str) -> Vec<Part> {
        self.reads.iter().filter(|(reader, _)| *reader == slot).map(|(_, part)| *part).collect()
    }

    /// All parts of a frame that components read.
    pub fn read_parts(&self) -> Vec<Part> {
        self.reads.iter().map(|(_, part)| *part).collect()
    }

    /// Builds the component of slot `T`.
    ///
    /// # Errors
    /// Where the task does not use the slot, and as [`build_choice`]. The error has the place of the slot in the
    /// recipe.
    pub fn build<T: SlotTrait + ?Sized>(&self, context: &BuildContext) -> Result<Box<T>> {
        let node = self
            .resolved
            .at(T::NAME)
            .ok_or_else(|| Error::failed(format!("the recipe has no `{}`, which its task builds", T::NAME)))?;
        build_choice::<T>(node, context).map_err(|error| error.at(self.place(T::NAME)))
    }

    /// The context in which the components of a run are built on `device`, the first of the recipe's.
    ///
    /// # Errors
    /// Where the device lacks the recipe's precision.
    pub fn build_context(&self, device: &Device) -> Result<BuildContext> {
        device::check_precision(self.devices.first(), device, self.precision)
            .map_err(|error| error.at(self.place("precision")))?;
        let mut context = self.context(device);
        context.precision = self.precision;
        context.activation_checkpointing = self.compute.activation_checkpointing;
        Ok(context)
    }

    /// What the components are built from where only their sizes matter.
    pub fn sizes_context(&self) -> BuildContext {
        let mut context = self.context(&Device::flex());
        context.sizes_only = true;
        context.precision = self.precision;
        context
    }

    /// What the components are built from in f32, for what looks at them and runs nothing.
    pub fn context(&self, device: &Device) -> BuildContext {
        let mut context = BuildContext::new(self.seed, device.clone());
        context.pins.clone_from(&self.pinned);
        context.untrained = self.untrained;
        self.describe_dataset(&mut context);
        context
    }

    fn describe_dataset(&self, context: &mut BuildContext) {
        let mut facts = Facts::default();
        if let (Some(slot), Some(node)) = (slot(<dyn Dataset>::NAME), self.resolved.at(<dyn Dataset>::NAME)) {
            describe_choice(slot, node, &mut facts);
        }
        context.directed = facts.directed;
        context.train_classes = facts.splits.map(|[train, ..]| train.classes);
    }
}

//! The list of slots.
//!
//! A slot is declared once, with its name, default and summary. The declarations are collected when the program starts.
//! So a module that may not be imported here can declare a slot too, as `engine::task` does.

use super::entry::{Compatible, Describe, RequiredInputs, Resolve};
use super::{BuildContext, Entry, Info};
use crate::error::Result;
use crate::slots::adapter::Adapter;
use crate::slots::alignment::Alignment;
use crate::slots::augment::Augment;
use crate::slots::backbone::Backbone;
use crate::slots::dataset::Dataset;
use crate::slots::frames::FrameSampler;
use crate::slots::launcher::Launcher;
use crate::slots::objective::Objective;
use crate::slots::optimizer::Optimizer;
use crate::slots::prompt::Prompt;
use crate::slots::prototype::Prototype;
use crate::slots::resize::Resize;
use crate::slots::schedule::Schedule;
use maclip_language::Node;
use std::sync::OnceLock;

/// A slot: its key in a recipe, and its components.
pub struct SlotInfo {
    /// Key of the recipe, such as `alignment`.
    pub name: &'static str,
    /// Position in the flow of data. Lists of slots are in this order.
    pub order: u32,
    /// What the slot does, in one line.
    pub summary: &'static str,
    /// The component that a recipe without this slot gets.
    pub default: Option<&'static str>,
    /// The component that means "nothing here", such as `none`, for `study.without`.
    pub identity: Option<&'static str>,
    /// All registered components of the slot, by name.
    pub components: fn() -> Vec<Candidate>,
    /// Builds the component that a checked node names and drops it, to see whether it can be built.
    pub try_build: fn(&Node, &BuildContext) -> Result<()>,
}

impl SlotInfo {
    /// Whether the slot says how the work is done, in place of what is computed. Every recipe has such a slot, whatever
    /// its task; its component is none of the run's.
    pub fn is_of_work(&self) -> bool {
        self.name == <dyn Launcher>::NAME
    }
}

inventory::collect!(SlotInfo);

/// A component of a slot, whatever its trait.
pub struct Candidate {
    /// The entries of its registration.
    pub info: &'static Info,
    pub(super) resolve: Resolve,
    pub(super) required_inputs: RequiredInputs,
    pub(super) describe: Describe,
    pub(super) compatible: Compatible,
}

impl Candidate {
    pub(crate) fn new<T: ?Sized>(entry: &'static Entry<T>) -> Self {
        Self {
            info: &entry.info,
            resolve: entry.resolve,
            required_inputs: entry.required_inputs,
            describe: entry.describe,
            compatible: entry.compatible,
        }
    }
}

/// A trait that can fill a slot.
pub trait SlotTrait: 'static {
    /// The slot's key in a recipe.
    const NAME: &'static str;
    /// All registered components, by name.
    fn entries() -> Vec<&'static Entry<Self>>;
}

/// Makes a trait a slot: `$trait` in a recipe under `$name`.
macro_rules! declare_slot {
    ($name:literal: $trait:ident, order: $order:expr, default: $default:expr, identity: $identity:expr, $summary:literal) => {
        inventory::collect!($crate::registry::Entry<dyn $trait>);
        impl $crate::registry::SlotTrait for dyn $trait {
            const NAME: &'static str = $name;
            fn entries() -> Vec<&'static $crate::registry::Entry<Self>> {
                // The linker decides the order of registrations, so they are sorted.
                let mut entries: Vec<_> = inventory::iter::<$crate::registry::Entry<dyn $trait>>().collect();
                entries.sort_by_key(|entry| entry.info.name);
                entries
            }
        }
        inventory::submit! {
            $crate::registry::SlotInfo {
                name: $name,
                order: $order,
                summary: $summary,
                default: $default,
                identity: $identity,
                components: || {
                    let entries = <dyn $trait as $crate::registry::SlotTrait>::entries();
                    entries.into_iter().map($crate::registry::Candidate::new).collect()
                },
                try_build: |node, context| $crate::registry::build_choice::<dyn $trait>(node, context).map(drop),
            }
        }
    };
}
pub(crate) use declare_slot;

declare_slot!("dataset": Dataset, order: 1, default: None, identity: None,
    "lists clips (class, split) and opens one as frames");
declare_slot!("frames": FrameSampler, order: 2, default: Some("uniform_segments"), identity: None,
    "which T frames of a clip");
declare_slot!("resize": Resize, order: 3, default: Some("none"), identity: Some("none"),
    "the size of frames before augmentation, in training and evaluation");
declare_slot!("augment": Augment, order: 4, default: Some("none"), identity: Some("none"),
    "pixel transforms in training, the same for all frames of a clip");
declare_slot!("backbone": Backbone, order: 5, default: None, identity: None,
    "frames to features, and class texts to features where it has a text tower");
declare_slot!("prompt": Prompt, order: 6, default: Some("plain"), identity: Some("plain"),
    "class name to one or more sentences");
declare_slot!("adapter": Adapter, order: 7, default: Some("none"), identity: Some("none"),
    "what happens inside each block around the frozen attention and MLP");
declare_slot!("prototype": Prototype, order: 8, default: Some("none"), identity: Some("none"),
    "rewrites support and query features before alignment");
declare_slot!("alignment": Alignment, order: 9, default: Some("mean_cosine"), identity: Some("mean_cosine"),
    "distance of a query to each class, frames against frames");
declare_slot!("objective": Objective, order: 10, default: Some("ma_clip"), identity: None,
    "distances, text similarities and labels to the loss and the prediction");
declare_slot!("optimizer": Optimizer, order: 11, default: Some("adamw"), identity: None,
    "how gradients change the trainable weights");
declare_slot!("schedule": Schedule, order: 12, default: Some("constant"), identity: Some("constant"),
    "factor on the learning rate");
declare_slot!("launcher": Launcher, order: 13, default: Some("local"), identity: None,
    "where the runs of a study are made: here, or as jobs of a cluster");

/// All slots in the order of the data flow.
pub fn slots() -> impl ExactSizeIterator<Item = &'static SlotInfo> + Clone {
    static SLOTS: OnceLock<Vec<&'static SlotInfo>> = OnceLock::new();
    let sorted = SLOTS.get_or_init(|| {
        let mut slots: Vec<_> = inventory::iter::<SlotInfo>().collect();
        slots.sort_by_key(|slot| slot.order);
        slots
    });
    sorted.iter().copied()
}

/// The slot with the key `name`; `None` where there is none.
pub fn slot(name: &str) -> Option<&'static SlotInfo> {
    slots().find(|slot| slot.name == name)
}

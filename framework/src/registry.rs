//! Registration of components: one `register!` beside each component feeds parsing, schema, `list` and reports.
//!
//! `inventory` registers nothing unless the crate is linked: a binary says `use maclip_components as _;`.

use crate::error::{Error, Result};
use crate::nested;
use crate::ranges;
use crate::recipe::{Diagnostic, Diagnostics, Node, Origin, Repaired, codes, from_node_repaired, join, name_help};
use crate::run::BuildContext;
use crate::slots::{
    adapter::Adapter,
    alignment::Alignment,
    augment::Augment,
    backbone::{Backbone, Geometry},
    dataset::Dataset,
    frames::FrameSampler,
    objective::Objective,
    optimizer::Optimizer,
    prompt::Prompt,
    prototype::Prototype,
    resize::Resize,
    schedule::Schedule,
    task::Task,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How settled a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stability {
    Stable,
    Experimental,
}

/// What a registration says about a component.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Paper or public code that the component follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paper: Option<&'static str>,
    pub stability: Stability,
    /// A working choice in YAML, without `type`.
    pub example: &'static str,
    #[serde(skip)]
    pub schema: fn() -> schemars::Schema,
}

/// Options of a component: deserialised from its own subtree, checked, then built.
pub trait Component: DeserializeOwned + Serialize + schemars::JsonSchema + 'static {
    /// The slot's trait object, such as `dyn Alignment`.
    type Slot: ?Sized;

    /// Looks at the values alone, without I/O: push a message for each field whose value does not go with the others or has a
    /// meaning that is refused. Plain ranges are schemars attributes on the fields, and [`ranges::check`] holds values to them.
    fn check(&self, _problems: &mut Problems) {}

    /// What only a run needs, such as a folder or a file: push a message for each that is not given.
    fn inputs(&self, _problems: &mut Problems) {}

    /// What the options alone say about the whole run, before anything is read or built.
    fn tells(&self, _facts: &mut Facts) {}

    /// Looks at the options beside those of the other components, without I/O: push a message for each that does not fit. What is
    /// not known yet is `None` in `facts`; the same is asked again when the component is built and the backbone's sizes are known.
    fn fits(&self, _facts: &Facts, _problems: &mut Problems) {}

    /// May read files and make tensors.
    fn build(self, context: &BuildContext) -> Result<Box<Self::Slot>>;
}

/// What is known about a run before it is built.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// T, frames of a clip.
    pub frames: Option<usize>,
    /// Sizes of the backbone.
    pub geometry: Option<Geometry>,
    /// Whether the backbone has a text tower.
    pub text_tower: Option<bool>,
    /// Whether the backbone has transformer blocks.
    pub transformer: Option<bool>,
    /// Train, val and test of the dataset.
    pub splits: Option<[SplitSize; 3]>,
    /// Whether classes of the dataset have a direction, such as left and right, that a mirror image would change.
    pub directed: Option<bool>,
    /// Slots whose components read class texts.
    pub readers: Vec<&'static str>,
}

/// How large a split is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitSize {
    pub classes: usize,
    /// Clips of the class that has the fewest.
    pub clips: usize,
}

impl Facts {
    /// Notes the sizes of the backbone.
    pub fn backbone(&mut self, geometry: Geometry) {
        self.text_tower = Some(geometry.has_text_tower);
        self.transformer = Some(geometry.transformer);
        self.geometry = Some(geometry);
    }
}

/// Problems with single options, by field name.
#[derive(Debug, Default)]
pub struct Problems(Vec<(String, String)>);

impl Problems {
    /// `message` reads on from the field's name: "must be above 0".
    pub fn push(&mut self, field: &str, message: impl Into<String>) {
        self.0.push((field.to_owned(), message.into()));
    }

    /// Fields and messages.
    pub fn into_vec(self) -> Vec<(String, String)> {
        self.0
    }

    /// Pushes the message where `wrong` holds.
    pub fn when(&mut self, wrong: bool, field: &str, message: impl Into<String>) {
        if wrong {
            self.push(field, message);
        }
    }
}

type Resolve = fn(&Node, &str) -> std::result::Result<Node, Diagnostics>;
type Inputs = fn(&Node, &str) -> std::result::Result<(), Diagnostics>;
type Tells = fn(&Node, &str, &mut Facts);
type Fits = fn(&Node, &str, &Facts) -> std::result::Result<(), Diagnostics>;

/// One registered component of slot `T`.
pub struct Entry<T: ?Sized + 'static> {
    pub info: Info,
    /// Checks the options and gives them back with every default filled in.
    pub resolve: Resolve,
    /// Checks that what only a run needs is given.
    pub inputs: Inputs,
    /// [`Component::tells`].
    pub tells: Tells,
    /// [`Component::fits`].
    pub fits: Fits,
    pub build: fn(&Node, &str, &BuildContext) -> Result<Box<T>>,
}

/// Deserialises and checks options, ranges included; `node` is the component's map with its `type`.
pub fn options<C: Component>(node: &Node, path: &str) -> std::result::Result<C, Diagnostics> {
    let mut bare = node.clone();
    if let Some(map) = bare.as_map_mut() {
        map.remove("type");
    }
    let Repaired { value, mut problems, tree } = from_node_repaired::<C>(&bare, path);
    let faulty = !problems.is_empty();
    problems.extend(ranges::check_beside(&schemars::schema_for!(C).to_value(), &bare, path, &problems));
    if let Some(config) = &value {
        let mut found = Problems::default();
        config.check(&mut found);
        // Beside a faulty option, a default is no choice to complain about.
        found.0.retain(|(field, _)| !faulty || tree.at(field).is_some());
        problems.extend(placed(found, node, path, codes::OUT_OF_RANGE));
    }
    Diagnostics::check(problems)?;
    value.ok_or_else(|| {
        Diagnostic::new(codes::WRONG_TYPE, "the options cannot be read").at(&node.origin).path(path).into()
    })
}

/// [`Entry::inputs`] of a component.
pub fn inputs<C: Component>(node: &Node, path: &str) -> std::result::Result<(), Diagnostics> {
    let mut problems = Problems::default();
    options::<C>(node, path)?.inputs(&mut problems);
    let mut found = nested::problems::<C>(node, path, inputs_at);
    for (field, message) in problems.0 {
        // What nobody wrote is missing; what somebody wrote is wrong.
        let (code, origin) = match node.at(&field) {
            Some(value) => (codes::OUT_OF_RANGE, &value.origin),
            None => (codes::MISSING_KEY, &node.origin),
        };
        found.push(Diagnostic::new(code, format!("`{field}` {message}")).at(origin).path(join(path, &field)));
    }
    Diagnostics::check(found)
}

/// [`Entry::tells`] of a component.
pub fn tells<C: Component>(node: &Node, path: &str, facts: &mut Facts) {
    // What is wrong with the options has been reported.
    if let Ok(config) = options::<C>(node, path) {
        config.tells(facts);
        nested::of::<C>(node, path).into_iter().for_each(|inner| tell_at(inner.slot, inner.node, &inner.path, facts));
    }
}

/// [`Entry::fits`] of a component.
pub fn fits<C: Component>(node: &Node, path: &str, facts: &Facts) -> std::result::Result<(), Diagnostics> {
    let mut problems = Problems::default();
    options::<C>(node, path)?.fits(facts, &mut problems);
    let mut found = placed(problems, node, path, codes::STRUCTURE);
    found.extend(nested::problems::<C>(node, path, |slot, node, path| fit_at(slot, node, path, facts)));
    Diagnostics::check(found)
}

/// Problems with the places of their fields; what is not written is at the component.
fn placed(problems: Problems, node: &Node, path: &str, code: &'static str) -> Vec<Diagnostic> {
    let place = |(field, message): (String, String)| {
        let origin = node.at(&field).or(node.at("type")).map_or(&node.origin, |value| &value.origin);
        Diagnostic::new(code, format!("`{field}` {message}")).at(origin).path(join(path, &field))
    };
    problems.0.into_iter().map(place).collect()
}

/// [`Entry::resolve`] of a component.
pub fn resolve<C: Component>(node: &Node, path: &str) -> std::result::Result<Node, Diagnostics> {
    let (config, inner) = match (options::<C>(node, path), nested::resolved::<C>(node, path)) {
        (Ok(config), Ok(inner)) => (config, inner),
        (config, inner) => {
            let problems = [config.err(), inner.err()].into_iter().flatten().flatten().collect();
            return Err(Diagnostics::from_list(problems).expect("one of the two has problems"));
        }
    };
    let value = serde_json::to_value(&config).map_err(|error| {
        Diagnostics::from(Diagnostic::new(codes::STRUCTURE, error.to_string()).at(&node.origin).path(path))
    })?;
    let mut resolved = Node::map(Origin::Default);
    if let Some(map) = resolved.as_map_mut() {
        if let Some(name) = node.at("type") {
            map.insert("type", Origin::Default, name.clone());
        }
        for entry in Node::from_json(&value).as_map().into_iter().flat_map(|options| options.iter()) {
            map.insert(entry.key.clone(), Origin::Default, entry.value.clone());
        }
    }
    for (field, component) in inner {
        if let Some(written) = resolved.at_mut(&field) {
            *written = component;
        }
    }
    Ok(resolved)
}

/// [`Entry::build`] of a component.
pub fn build<C: Component>(node: &Node, path: &str, context: &BuildContext) -> Result<Box<C::Slot>> {
    fits::<C>(node, path, &context.facts())?;
    options::<C>(node, path)?.build(context)
}

/// Registers a component. The configuration type implements [`Component`].
#[macro_export]
macro_rules! register {
    ($slot:ty, $config:ty, name: $name:literal, summary: $summary:literal, paper: $paper:expr, stability: $stability:ident, example: $example:literal $(,)?) => {
        inventory::submit! {
            $crate::registry::Entry::<$slot> {
                info: $crate::registry::Info {
                    name: $name,
                    summary: $summary,
                    paper: $paper,
                    stability: $crate::registry::Stability::$stability,
                    example: $example,
                    schema: || schemars::schema_for!($config),
                },
                resolve: $crate::registry::resolve::<$config>,
                inputs: $crate::registry::inputs::<$config>,
                tells: $crate::registry::tells::<$config>,
                fits: $crate::registry::fits::<$config>,
                build: $crate::registry::build::<$config>,
            }
        }
    };
}

/// A slot as the recipe language sees it.
pub struct SlotInfo {
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// The component that a recipe without this slot gets.
    pub default: Option<&'static str>,
    /// The component that stands for the slot's absence.
    pub identity: Option<&'static str>,
    pub components: fn() -> Vec<Candidate>,
}

/// A component of a slot, whatever its trait.
pub struct Candidate {
    pub info: &'static Info,
    resolve: Resolve,
    inputs: Inputs,
    tells: Tells,
    fits: Fits,
}

/// A trait that can fill a slot.
pub trait SlotTrait: 'static {
    const NAME: &'static str;
    fn entries() -> Vec<&'static Entry<Self>>;
}

macro_rules! slots {
    ($($name:literal: $trait:ident, $default:expr, $identity:expr, $summary:literal;)*) => {
        $(
            inventory::collect!(Entry<dyn $trait>);
            impl SlotTrait for dyn $trait {
                const NAME: &'static str = $name;
                fn entries() -> Vec<&'static Entry<Self>> {
                    // Registration order is the linker's; names give a fixed one.
                    let mut entries: Vec<_> = inventory::iter::<Entry<dyn $trait>>().collect();
                    entries.sort_by_key(|entry| entry.info.name);
                    entries
                }
            }
        )*
        /// All slots in the order of the data flow.
        pub const SLOTS: &[SlotInfo] = &[$(SlotInfo {
            name: $name,
            summary: $summary,
            default: $default,
            identity: $identity,
            components: || {
                let candidate = |entry: &'static Entry<dyn $trait>| Candidate {
                    info: &entry.info,
                    resolve: entry.resolve,
                    inputs: entry.inputs,
                    tells: entry.tells,
                    fits: entry.fits,
                };
                <dyn $trait>::entries().into_iter().map(candidate).collect()
            },
        }),*];
    };
}

slots! {
    "task": Task, Some("few_shot"), None, "what is trained and tested";
    "dataset": Dataset, None, None, "lists clips (class, split) and opens one as frames";
    "frames": FrameSampler, Some("uniform_segments"), None, "which T frames of a clip";
    "resize": Resize, Some("none"), Some("none"), "the size of frames before augmentation, in training and evaluation";
    "augment": Augment, Some("none"), Some("none"), "pixel transforms in training, the same for all frames of a clip";
    "backbone": Backbone, None, None, "frames to features, and class texts to features where it has a text tower";
    "prompt": Prompt, Some("plain"), Some("plain"), "class name to one or more sentences";
    "adapter": Adapter, Some("none"), Some("none"), "what happens inside each block around the frozen attention and MLP";
    "prototype": Prototype, Some("none"), Some("none"), "rewrites support and query features before alignment";
    "alignment": Alignment, Some("mean_cosine"), Some("mean_cosine"), "distance of a query to each class, frames against frames";
    "objective": Objective, Some("ma_clip"), None, "distances, text similarities and labels to the loss and the prediction";
    "optimizer": Optimizer, Some("adamw"), None, "how gradients change the trainable weights";
    "schedule": Schedule, Some("constant"), Some("constant"), "factor on the learning rate";
}

/// The slot called `name`.
pub fn slot(name: &str) -> Option<&'static SlotInfo> {
    SLOTS.iter().find(|slot| slot.name == name)
}

/// Checks the component map `node` of `slot`: its `type` and its options. Gives it back with defaults filled in.
pub fn resolve_choice(slot: &SlotInfo, node: &Node) -> std::result::Result<Node, Diagnostics> {
    resolve_at(slot, node, slot.name)
}

/// [`resolve_choice`] of a component at `path`, which is not the slot's own where the component is an option of another.
pub(crate) fn resolve_at(slot: &SlotInfo, node: &Node, path: &str) -> std::result::Result<Node, Diagnostics> {
    let resolved = (chosen(slot, node, path)?.resolve)(node, path);
    resolved.map_err(|problems| {
        let told = problems.into_iter().map(|problem| of_others(slot, path, problem)).collect();
        Diagnostics::from_list(told).expect("there were problems to begin with")
    })
}

/// An unknown key may be an option of another component of the slot; the help says of which.
fn of_others(slot: &SlotInfo, path: &str, problem: Diagnostic) -> Diagnostic {
    let key = problem.path.strip_prefix(path).and_then(|key| key.strip_prefix('.')).map(str::to_owned);
    let Some(key) = key.filter(|_| problem.code == codes::UNKNOWN_KEY) else { return problem };
    let has = |info: &Info| (info.schema)().to_value()["properties"].get(&key).is_some();
    let components = (slot.components)();
    let owners: Vec<&str> = components.iter().map(|c| c.info).filter(|info| has(info)).map(|info| info.name).collect();
    if owners.is_empty() { problem } else { problem.help(format!("`{key}` is an option of {}", owners.join(", "))) }
}

/// Adds what the component `node` says about the run to `facts`.
pub fn tell(slot: &SlotInfo, node: &Node, facts: &mut Facts) {
    tell_at(slot, node, slot.name, facts);
}

fn tell_at(slot: &SlotInfo, node: &Node, path: &str, facts: &mut Facts) {
    if let Ok(candidate) = chosen(slot, node, path) {
        (candidate.tells)(node, path, facts);
    }
}

/// Checks that the component `node` fits what is known about the run.
pub fn check_fit(slot: &SlotInfo, node: &Node, facts: &Facts) -> std::result::Result<(), Diagnostics> {
    fit_at(slot, node, slot.name, facts)
}

fn fit_at(slot: &SlotInfo, node: &Node, path: &str, facts: &Facts) -> std::result::Result<(), Diagnostics> {
    (chosen(slot, node, path)?.fits)(node, path, facts)
}

/// Checks that what only a run needs of the component `node` is given.
pub fn check_inputs(slot: &SlotInfo, node: &Node) -> std::result::Result<(), Diagnostics> {
    inputs_at(slot, node, slot.name)
}

fn inputs_at(slot: &SlotInfo, node: &Node, path: &str) -> std::result::Result<(), Diagnostics> {
    (chosen(slot, node, path)?.inputs)(node, path)
}

/// The component that `node` names.
fn chosen(slot: &SlotInfo, node: &Node, path: &str) -> std::result::Result<Candidate, Diagnostics> {
    let components = (slot.components)();
    let names: Vec<&str> = components.iter().map(|candidate| candidate.info.name).collect();
    let list = || format!("components for {}: {}", slot.name, names.join(", "));
    if node.as_map().is_none() {
        let message = format!("expected a map with the `type` of a component, found {}", node.describe());
        let problem = Diagnostic::new(codes::WRONG_TYPE, message).at(&node.origin).path(path);
        let meant = node.as_str().filter(|name| names.contains(name)).or(slot.default).or(names.first().copied());
        // An item of a list has no key to write.
        let key = if path.ends_with(']') { String::new() } else { format!("{path}: ") };
        return Err(problem.help(format!("write `{key}{{type: {}}}`", meant.unwrap_or("NAME"))).into());
    }
    let Some(kind) = node.at("type") else {
        let message = format!("`{path}` does not say which component: its `type` is missing");
        let problem = Diagnostic::new(codes::MISSING_KEY, message).at(&node.origin).path(join(path, "type"));
        return Err(problem.help(list()).into());
    };
    let path = join(path, "type");
    let Some(name) = kind.as_str() else {
        let message = format!("`type` is the name of a component, not {}", kind.describe());
        return Err(Diagnostic::new(codes::WRONG_TYPE, message).at(&kind.origin).path(path).help(list()).into());
    };
    let unknown = || {
        let message = format!("there is no {} called `{name}`", slot.name);
        let diagnostic = Diagnostic::new(codes::UNKNOWN_NAME, message).at(&kind.origin).path(path);
        diagnostic.helps(name_help(name, names.iter().copied()))
    };
    let problem = unknown();
    components.into_iter().find(|candidate| candidate.info.name == name).ok_or_else(|| problem.into())
}

/// Builds the component that `node` (checked by [`resolve_choice`]) names.
pub fn build_choice<T: SlotTrait + ?Sized>(node: &Node, context: &BuildContext) -> Result<Box<T>> {
    let name = node.at("type").and_then(Node::as_str).unwrap_or_default();
    let entry = T::entries()
        .into_iter()
        .find(|entry| entry.info.name == name)
        .ok_or_else(|| Error::failed(format!("there is no {} called `{name}`", T::NAME)))?;
    (entry.build)(node, T::NAME, context)
}

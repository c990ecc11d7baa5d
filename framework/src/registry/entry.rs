//! A registration, and its functions on the options of its component.

use super::choice::{check_compatible_at, check_required_inputs_at, describe_at};
use super::{BuildContext, Component, Facts, Info, Problems, SlotTrait, nested};
use crate::error::Result;
use maclip_language::{Diagnostic, Diagnostics, Node, Origin, Repaired, codes, from_node_repaired, join, ranges};
use std::any::TypeId;

pub(super) type Resolve = fn(&Node, &str) -> std::result::Result<Node, Diagnostics>;
pub(super) type RequiredInputs = fn(&Node, &str) -> std::result::Result<(), Diagnostics>;
pub(super) type Describe = fn(&Node, &str, &mut Facts);
pub(super) type Compatible = fn(&Node, &str, &Facts) -> std::result::Result<(), Diagnostics>;

/// A registered component of slot `T`. Made by [`register!`](crate::register).
pub struct Entry<T: ?Sized + 'static> {
    /// Name, summary, source and options.
    pub info: Info,
    /// Checks the options and returns them with every default filled in: [`resolve`].
    pub resolve: Resolve,
    /// Checks that the options that only a run needs are given: [`required_inputs`].
    pub required_inputs: RequiredInputs,
    /// [`Component::describe`].
    pub describe: Describe,
    /// [`Component::compatible`].
    pub compatible: Compatible,
    /// Builds the component: [`build`].
    pub build: fn(&Node, &str, &BuildContext) -> Result<Box<T>>,
    /// The type of the options.
    pub config: fn() -> TypeId,
}

/// The registration of the component with the options `C`; `None` where there is none.
pub fn entry_of<C: Component>() -> Option<&'static Entry<C::Slot>>
where
    C::Slot: SlotTrait,
{
    <C::Slot>::entries().into_iter().find(|entry| (entry.config)() == TypeId::of::<C>())
}

/// Deserialises and checks options, ranges included; `node` is the component's map with its `type`.
fn options<C: Component>(node: &Node, path: &str) -> std::result::Result<C, Diagnostics> {
    let mut bare = node.clone();
    if let Some(map) = bare.as_map_mut() {
        map.remove("type");
    }
    let Repaired { value, mut problems, tree } = from_node_repaired::<C>(&bare, path);
    let faulty = !problems.is_empty();
    problems.extend(ranges::check_beside(&schemars::schema_for!(C).to_value(), &bare, path, &problems));
    if let Some(config) = &value {
        let mut found = Problems::default();
        config.validate(&mut found);
        // Where an option is wrong, messages about defaults that nobody wrote would only be confusing.
        found.retain(|field| !faulty || tree.at(field).is_some());
        problems.extend(placed(found, node, path, codes::OUT_OF_RANGE));
    }
    Diagnostics::check(problems)?;
    value.ok_or_else(|| {
        Diagnostic::new(codes::WRONG_TYPE, "the options cannot be read").at(&node.origin).path(path).into()
    })
}

/// [`Component::required_inputs`] of the component `node` at the dotted `path`, and of the components among its
/// options.
///
/// # Errors
/// Every option that only a run needs and that is missing, or that is wrong.
pub fn required_inputs<C: Component<Slot: SlotTrait>>(node: &Node, path: &str) -> std::result::Result<(), Diagnostics> {
    let mut problems = Problems::default();
    options::<C>(node, path)?.required_inputs(&mut problems);
    let mut found = nested::problems::<C>(node, path, check_required_inputs_at);
    for (field, message) in problems.into_vec() {
        // A component among the options of another is not where its own words say.
        let message = message.replace(&format!("--set {}.", C::Slot::NAME), &format!("--set {path}."));
        // An option that was not written is missing; one that was written is wrong.
        let (code, origin) = match node.at(&field) {
            Some(value) => (codes::OUT_OF_RANGE, &value.origin),
            None => (codes::MISSING_KEY, &node.origin),
        };
        found.push(Diagnostic::new(code, format!("`{field}` {message}")).at(origin).path(join(path, &field)));
    }
    Diagnostics::check(found)
}

/// [`Component::describe`] of the components among the options of the component `node` at the dotted `path`, and then
/// of itself. Adds nothing if the options are wrong.
pub fn describe<C: Component>(node: &Node, path: &str, facts: &mut Facts) {
    // Wrong options are reported elsewhere.
    if let Ok(config) = options::<C>(node, path) {
        nested::of::<C>(node, path)
            .into_iter()
            .for_each(|inner| describe_at(inner.slot, inner.node, &inner.path, facts));
        config.describe(facts);
    }
}

/// [`Component::compatible`] of the component `node` at the dotted `path`, and of the components among its options.
///
/// # Errors
/// Every option that does not fit `facts`, or that is wrong.
pub fn compatible<C: Component>(node: &Node, path: &str, facts: &Facts) -> std::result::Result<(), Diagnostics> {
    let mut problems = Problems::default();
    options::<C>(node, path)?.compatible(facts, &mut problems);
    let mut found = placed(problems, node, path, codes::STRUCTURE);
    found.extend(nested::problems::<C>(node, path, |slot, node, path| check_compatible_at(slot, node, path, facts)));
    Diagnostics::check(found)
}

/// Problems with the places of their fields. A field that was not written gets the place of the component.
fn placed(problems: Problems, node: &Node, path: &str, code: &'static str) -> Vec<Diagnostic> {
    let place = |(field, message): (String, String)| {
        let origin = node.at(&field).or(node.at("type")).map_or(&node.origin, |value| &value.origin);
        Diagnostic::new(code, format!("`{field}` {message}")).at(origin).path(join(path, &field))
    };
    problems.into_vec().into_iter().map(place).collect()
}

/// The component map `node` at the dotted `path` with every default filled in, also in the components among its
/// options.
///
/// # Errors
/// Everything that is wrong with the options.
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

/// Builds the component `node` at the dotted `path`, after it was checked against `context`.
///
/// # Errors
/// Where an option is wrong or does not fit the sizes in `context`, and as [`Component::build`].
pub fn build<C: Component>(node: &Node, path: &str, context: &BuildContext) -> Result<Box<C::Slot>> {
    compatible::<C>(node, path, &context.facts())?;
    options::<C>(node, path)?.build(context)
}

/// Registers a component: its slot, the type of its options, which implements
/// [`Component`](crate::registry::Component), and the fields of [`Info`](crate::registry::Info). The crate that uses it
/// needs `inventory` and `schemars` as dependencies.
///
/// ```text
/// register!(dyn Alignment, MyMetric, name: "my_metric", summary: "what it is, in one line",
///           paper: Some("where it is from"), stability: Experimental, usage: "{scale: 2.0}");
/// ```
#[macro_export]
macro_rules! register {
    ($slot:ty, $config:ty, name: $name:literal, summary: $summary:literal, paper: $paper:expr, stability: $stability:ident, usage: $usage:literal $(,)?) => {
        inventory::submit! {
            $crate::registry::Entry::<$slot> {
                info: $crate::registry::Info {
                    name: $name,
                    summary: $summary,
                    paper: $paper,
                    stability: $crate::registry::Stability::$stability,
                    usage: $usage,
                    schema: || schemars::schema_for!($config),
                },
                resolve: $crate::registry::resolve::<$config>,
                required_inputs: $crate::registry::required_inputs::<$config>,
                describe: $crate::registry::describe::<$config>,
                compatible: $crate::registry::compatible::<$config>,
                build: $crate::registry::build::<$config>,
                config: std::any::TypeId::of::<$config>,
            }
        }
    };
}

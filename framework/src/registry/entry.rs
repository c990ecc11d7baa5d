//! One registration, and what it does with the options of its component.

use super::choice::{check_compatible_at, check_required_inputs_at, describe_at};
use super::{BuildContext, Component, Facts, Info, Problems, SlotTrait, nested};
use crate::error::Result;
use maclip_language::{Diagnostic, Diagnostics, Node, Origin, Repaired, codes, from_node_repaired, join, ranges};
use std::any::TypeId;

pub(super) type Resolve = fn(&Node, &str) -> std::result::Result<Node, Diagnostics>;
pub(super) type RequiredInputs = fn(&Node, &str) -> std::result::Result<(), Diagnostics>;
pub(super) type Describe = fn(&Node, &str, &mut Facts);
pub(super) type Compatible = fn(&Node, &str, &Facts) -> std::result::Result<(), Diagnostics>;

/// One registered component of slot `T`.
pub struct Entry<T: ?Sized + 'static> {
    pub info: Info,
    /// Checks the options and gives them back with every default filled in.
    pub resolve: Resolve,
    /// Checks that what only a run needs is given.
    pub required_inputs: RequiredInputs,
    /// [`Component::describe`].
    pub describe: Describe,
    /// [`Component::compatible`].
    pub compatible: Compatible,
    pub build: fn(&Node, &str, &BuildContext) -> Result<Box<T>>,
    /// The configuration type.
    pub config: fn() -> TypeId,
}

/// The registration of the configuration type `C`; `None` where there is none.
pub fn entry_of<C: Component>() -> Option<&'static Entry<C::Slot>>
where
    C::Slot: SlotTrait,
{
    <C::Slot>::entries().into_iter().find(|entry| (entry.config)() == TypeId::of::<C>())
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
        config.validate(&mut found);
        // Beside a faulty option, a default is no choice to complain about.
        found.retain(|field| !faulty || tree.at(field).is_some());
        problems.extend(placed(found, node, path, codes::OUT_OF_RANGE));
    }
    Diagnostics::check(problems)?;
    value.ok_or_else(|| {
        Diagnostic::new(codes::WRONG_TYPE, "the options cannot be read").at(&node.origin).path(path).into()
    })
}

/// [`Entry::required_inputs`] of a component.
pub fn required_inputs<C: Component>(node: &Node, path: &str) -> std::result::Result<(), Diagnostics> {
    let mut problems = Problems::default();
    options::<C>(node, path)?.required_inputs(&mut problems);
    let mut found = nested::problems::<C>(node, path, check_required_inputs_at);
    for (field, message) in problems.into_vec() {
        // What nobody wrote is missing; what somebody wrote is wrong.
        let (code, origin) = match node.at(&field) {
            Some(value) => (codes::OUT_OF_RANGE, &value.origin),
            None => (codes::MISSING_KEY, &node.origin),
        };
        found.push(Diagnostic::new(code, format!("`{field}` {message}")).at(origin).path(join(path, &field)));
    }
    Diagnostics::check(found)
}

/// [`Entry::describe`] of a component.
pub fn describe<C: Component>(node: &Node, path: &str, facts: &mut Facts) {
    // What is wrong with the options has been reported.
    if let Ok(config) = options::<C>(node, path) {
        config.describe(facts);
        nested::of::<C>(node, path)
            .into_iter()
            .for_each(|inner| describe_at(inner.slot, inner.node, &inner.path, facts));
    }
}

/// [`Entry::compatible`] of a component.
pub fn compatible<C: Component>(node: &Node, path: &str, facts: &Facts) -> std::result::Result<(), Diagnostics> {
    let mut problems = Problems::default();
    options::<C>(node, path)?.compatible(facts, &mut problems);
    let mut found = placed(problems, node, path, codes::STRUCTURE);
    found.extend(nested::problems::<C>(node, path, |slot, node, path| check_compatible_at(slot, node, path, facts)));
    Diagnostics::check(found)
}

/// Problems with the places of their fields; what is not written is at the component.
fn placed(problems: Problems, node: &Node, path: &str, code: &'static str) -> Vec<Diagnostic> {
    let place = |(field, message): (String, String)| {
        let origin = node.at(&field).or(node.at("type")).map_or(&node.origin, |value| &value.origin);
        Diagnostic::new(code, format!("`{field}` {message}")).at(origin).path(join(path, &field))
    };
    problems.into_vec().into_iter().map(place).collect()
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
    compatible::<C>(node, path, &context.facts())?;
    options::<C>(node, path)?.build(context)
}

/// Registers a component. The configuration type implements [`Component`].
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

//! Components among the options of another, such as `augment: {type: sequence, steps: [{type: crop}, {type: flip}]}`.
//!
//! A component only declares an option of type `Nested<dyn Slot>`, `Option<Nested<dyn Slot>>` or
//! `Vec<Nested<dyn Slot>>`. The JSON schema of the
//! option names the slot, so the registry finds the components in it: it checks them at their own places, fills in
//! their defaults, and calls the same functions for them as for the component that contains them.

use super::choice::resolve_at;
use super::{BuildContext, Component, SlotInfo, SlotTrait, build_choice, slot};
use crate::error::Result;
use maclip_language::{Diagnostic, Diagnostics, Node, item, join};
use serde::{Deserialize, Serialize};
use std::fmt::{Debug, Display, Formatter};
use std::marker::PhantomData;

/// The key of a schema that names the slot of a [`Nested`].
pub const SLOT: &str = "slot";

/// A component of slot `T` among the options of another, as it was written.
#[derive(Deserialize, Serialize)]
#[serde(transparent, bound = "")]
pub struct Nested<T: ?Sized> {
    written: serde_json::Value,
    #[serde(skip)]
    slot: PhantomData<fn() -> Box<T>>,
}

// Derived, these two would be for slots alone that have them.
impl<T: ?Sized> Debug for Nested<T> {
    fn fmt(&self, formatter: &mut Formatter) -> std::fmt::Result {
        Display::fmt(&self.written, formatter)
    }
}

impl<T: ?Sized> Clone for Nested<T> {
    fn clone(&self) -> Self {
        Self { written: self.written.clone(), slot: PhantomData }
    }
}

impl<T: SlotTrait + ?Sized> Nested<T> {
    /// The name of the component.
    pub fn name(&self) -> &str {
        self.written["type"].as_str().unwrap_or_default()
    }

    /// Builds the component. Its options were checked together with those of the component that contains it.
    ///
    /// # Errors
    /// As [`build_choice`].
    pub fn build(&self, context: &BuildContext) -> Result<Box<T>> {
        build_choice(&Node::from_json(&self.written), context)
    }
}

impl<T: SlotTrait + ?Sized> schemars::JsonSchema for Nested<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::NAME.into()
    }

    /// Only the name of the slot: a component may contain components of its own slot, so the schema would have no end.
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "object", "required": ["type"], (SLOT): T::NAME})
    }
}

/// A component among the options of another.
pub(crate) struct Inner<'a> {
    pub slot: &'static SlotInfo,
    pub node: &'a Node,
    /// Its place among the options, such as `steps[1]`.
    pub field: String,
    /// Its place in the recipe.
    pub path: String,
}

/// The components among the options `node` of a `C`.
pub(crate) fn of<'a, C: Component>(node: &'a Node, path: &str) -> Vec<Inner<'a>> {
    let schema = schemars::schema_for!(C).to_value();
    let mut found = Vec::new();
    for (name, option) in schema["properties"].as_object().into_iter().flatten() {
        // An option that may be absent is `null` then.
        if let (Some(slot), Some(node)) = (option[SLOT].as_str().and_then(slot), node.at(name).filter(|n| !n.is_null()))
        {
            found.push(Inner { slot, node, path: join(path, name), field: name.clone() });
            continue;
        }
        let slot = option["items"][SLOT].as_str().and_then(slot);
        let (Some(slot), Some(list)) = (slot, node.at(name).and_then(Node::as_list)) else { continue };
        found.extend(list.iter().enumerate().map(|(index, node)| {
            let field = item(name, index);
            Inner { slot, node, path: join(path, &field), field }
        }));
    }
    found
}

/// The components among the options of a `C`, by their fields, with defaults filled in; or everything that is wrong
/// with them.
pub(crate) fn resolved<C: Component>(node: &Node, path: &str) -> std::result::Result<Vec<(String, Node)>, Diagnostics> {
    let (mut components, mut problems) = (Vec::new(), Vec::new());
    for inner in of::<C>(node, path) {
        match resolve_at(inner.slot, inner.node, &inner.path) {
            Ok(component) => components.push((inner.field, component)),
            Err(found) => problems.extend(found),
        }
    }
    Diagnostics::check(problems).map(|()| components)
}

/// The problems that `check` finds in the components among the options of a `C`.
pub(crate) fn problems<C: Component>(
    node: &Node,
    path: &str,
    check: impl Fn(&SlotInfo, &Node, &str) -> std::result::Result<(), Diagnostics>,
) -> Vec<Diagnostic> {
    let checked = of::<C>(node, path).into_iter().filter_map(|inner| check(inner.slot, inner.node, &inner.path).err());
    checked.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::augment::Augment;
    use serde_json::json;

    #[derive(Deserialize, schemars::JsonSchema)]
    #[allow(dead_code)]
    struct Options {
        /// One after the other.
        steps: Vec<Nested<dyn Augment>>,
    }

    #[test]
    fn the_schema_names_the_slot_and_describe_says_it() {
        let schema = schemars::schema_for!(Options).to_value();
        let want = json!({"type": "object", "required": ["type"], "slot": "augment"});
        assert_eq!(schema["properties"]["steps"]["items"], want);
        let options = crate::registry::options::options(&schema);
        assert_eq!(options.iter().map(|option| option.kind.as_str()).collect::<Vec<_>>(), ["list of augment"]);
    }

    #[test]
    fn what_was_written_comes_back() {
        let written = json!({"type": "flip", "probability": 1.0});
        let nested: Nested<dyn Augment> = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&nested).unwrap(), written);
    }
}

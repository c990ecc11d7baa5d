//! The keys of a recipe beside its slots, each with its schema: what the check, `describe`, the schema and the documentation know.

use crate::recipe::clip_store::ClipStoreOptions;
use crate::recipe::compute::Compute;
use crate::recipe::expectation::Expectation;
use crate::recipe::presets::Presets;
use crate::recipe::study::Study;
use crate::slots::backbone::Precision;
use schemars::{Schema, schema_for};
use serde_json::{Value, json};

/// One key of a recipe.
pub struct Key {
    /// As a recipe writes it.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// `null` where it must be given, and for keys of the language itself.
    default: fn() -> Value,
    schema: fn() -> Schema,
    /// Whether the resolved recipe still has it; the others say how to make that one.
    pub resolved: bool,
}

impl Key {
    /// The JSON schema of the value, with its description and default.
    pub fn schema(&self) -> Value {
        let mut schema = Value::from((self.schema)());
        let default = (self.default)();
        if let Some(map) = schema.as_object_mut() {
            map.insert("description".to_owned(), self.summary.into());
            if !default.is_null() {
                map.insert("default".to_owned(), default);
            }
            map.remove("title");
            map.remove("$schema");
        }
        schema
    }
}

fn absent() -> Value {
    Value::Null
}

fn file_names() -> Schema {
    schemars::json_schema!({"anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": "string", "minLength": 1}},
    ]})
}

fn folder_name() -> Schema {
    schemars::json_schema!({"type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]*$"})
}

fn device_name() -> Schema {
    schemars::json_schema!({"type": "string", "pattern": r"^(flex|tch:cpu|tch:cuda:[0-9]+|vulkan:[0-9]+)$|\$\{", "examples": ["flex", "tch:cpu", "tch:cuda:0", "vulkan:0"]})
}

/// In the order in which a recipe has them.
pub const KEYS: &[Key] = &[
    Key {
        name: "extends",
        summary: "Another recipe, or several, relative to this file: this one is laid over them. Maps merge key by key, lists and \
                  numbers replace, a changed `type` drops the old component's options.",
        default: absent,
        schema: file_names,
        resolved: false,
    },
    Key {
        name: "name",
        summary: "Names the folder of the runs: letters, digits, `-`, `_` and `.`.",
        default: absent,
        schema: folder_name,
        resolved: true,
    },
    Key {
        name: "description",
        summary: "One line for the report.",
        default: || json!(""),
        schema: || schema_for!(String),
        resolved: true,
    },
    Key {
        name: "seed",
        summary: "All random numbers of training come from it: initial weights, episodes, augmentation. Test episodes have their own.",
        default: || json!(0),
        schema: || schema_for!(u64),
        resolved: true,
    },
    Key {
        name: "device",
        summary: "What computes: `flex` is the processor; `maclip doctor` shows what this binary has.",
        default: || json!("flex"),
        schema: device_name,
        resolved: true,
    },
    Key {
        name: "precision",
        summary: "Number format of the frozen towers' matrix products; everything trainable is f32.",
        default: || json!(Precision::default()),
        schema: || schema_for!(Precision),
        resolved: true,
    },
    Key {
        name: "compute",
        summary: "How the work is done. Changes no number beyond rounding, and is no part of a run's identity.",
        default: || json!(Compute::default()),
        schema: || schema_for!(Compute),
        resolved: true,
    },
    Key {
        name: "clip_store",
        summary: "Decoded frames, kept on disk so that no clip is decoded twice. `maclip prepare` fills it, and so does every run. Only \
                  `format` can change a result.",
        default: || json!(ClipStoreOptions::default()),
        schema: || schema_for!(ClipStoreOptions),
        resolved: true,
    },
    Key {
        name: "expect",
        summary: "Published or earlier numbers that the run must meet; `maclip check` compares.",
        default: || json!([]),
        schema: || schema_for!(Vec<Expectation>),
        resolved: true,
    },
    Key {
        name: "presets",
        summary: "Named sets of changes, as variants have them; `preset` chooses one. With `skip: REASON` a preset leaves the run out.",
        default: absent,
        schema: || schema_for!(Presets),
        resolved: false,
    },
    Key {
        name: "preset",
        summary: "Which of `presets` is laid over every run: after its variant and axes, below what the command line says. It is no \
                  part of a run's identity; its changes are.",
        default: absent,
        schema: || schema_for!(Option<String>),
        resolved: false,
    },
    Key {
        name: "study",
        summary: "Several runs out of one recipe: seeds, named variants, a grid of axes, slots left out.",
        default: absent,
        schema: || schema_for!(Study),
        resolved: false,
    },
];

/// The key called `name`.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Keys that a recipe may have once everything is merged, slots left out. `study` and presets are taken out before.
pub fn resolved() -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter(|key| key.resolved).map(|key| key.name)
}
